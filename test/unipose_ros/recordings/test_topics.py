"""Color, depth and calibration of one camera, whatever the topics are called, and what is refused otherwise."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unipose_ros.camera import Camera
from unipose_ros.frame import RgbdFrame
from unipose_ros.recordings import BagReader, BagWriter, RecordingError, RgbdRecording, RgbdTopics
from unipose_ros.recordings import messages as make

PERIOD = 33_333_333
COUNT = 4
Message = tuple[str, Any]


def write(path: Path, per_frame: Any, count: int = COUNT) -> Path:
    with BagWriter(path) as writer:
        for number in range(1, count + 1):
            for topic, message in per_frame(number * PERIOD):
                writer.write(topic, message, number * PERIOD)
    return path


@pytest.fixture
def view(color: np.ndarray, depth: np.ndarray, camera: Camera) -> Any:
    """Messages of one camera: color, depth, and the calibration of both."""

    def messages(
        stamp: int, names: tuple[str, str, str, str], frame: str = "optical", depth_frame: str = "", **changes: Any
    ) -> Iterable[Message]:
        pixels, meters = changes.get("color", color), changes.get("depth", depth)
        beside, own = depth_frame or frame, changes.get("depth_camera", camera)
        return [
            (names[0], make.image(stamp, frame, pixels, "rgb8")),
            (names[1], make.depth_image(stamp, beside, meters)),
            (names[2], make.camera_info(stamp, frame, camera)),
            (names[3], make.camera_info(stamp, beside, own)),
        ]

    return messages


def named(prefix: str, depth: str = "aligned_depth_to_color") -> tuple[str, str, str, str]:
    return (
        f"{prefix}/color/image_raw", f"{prefix}/{depth}/image_raw", f"{prefix}/color/camera_info",
        f"{prefix}/{depth}/camera_info",
    )  # fmt: skip


def read(path: Path, chosen: RgbdTopics | None = None) -> tuple[list[RgbdFrame], RgbdRecording]:
    with BagReader(path) as reader:
        recording = RgbdRecording(reader, chosen)
        return list(recording.frames()), recording


@pytest.mark.parametrize(
    "chosen", [None, RgbdTopics(color="/rear/color/image_raw"), RgbdTopics(depth="/rear/x/image_raw")]
)
def test_of_several_cameras_one_is_read_and_the_others_are_named(
    tmp_path: Path, view: Any, color: np.ndarray, depth: np.ndarray, chosen: RgbdTopics | None,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    # By its name, the depth of /rear would be preferred.
    front, rear = named("/front", "depth"), named("/rear")
    if chosen and chosen.depth:
        rear = named("/rear", "x")
    mirrored = {"color": np.ascontiguousarray(color[:, ::-1]), "depth": np.ascontiguousarray(depth[:, ::-1])}
    path = write(
        tmp_path / "bag",
        lambda stamp: [*view(stamp, front, "front_optical"), *view(stamp, rear, "rear_optical", **mirrored)],
    )
    with caplog.at_level(logging.WARNING):
        frames, recording = read(path, chosen)
    assert len(frames) == COUNT
    side = "rear" if chosen else "front"
    expected = (mirrored["color"], mirrored["depth"]) if chosen else (color, depth)
    for frame in frames:
        assert frame.frame_id == f"{side}_optical"
        np.testing.assert_array_equal(frame.color, expected[0])
        np.testing.assert_allclose(frame.depth, expected[1], atol=1e-6)
    assert all(str(topic).startswith(f"/{side}") for topic in vars(recording.topics).values() if topic)
    if chosen is None:
        assert "/front/color/image_raw with /front/depth/image_raw" in caplog.text
        assert "/rear/color/image_raw with /rear/aligned_depth_to_color/image_raw" in caplog.text


def test_depth_that_is_not_registered_is_refused_as_the_node_refuses_it(
    tmp_path: Path, view: Any, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "bag", lambda stamp: view(stamp, named("/camera", "depth"), depth_frame="depth_optical"))
    with caplog.at_level(logging.WARNING):
        frames, recording = read(path)
    assert frames == []
    assert recording.dropped == {"frame_id": COUNT}
    assert "'depth_optical'" in caplog.text
    assert "align_depth" in caplog.text
    # Alone, either is a recording.
    frames, _ = read(path, RgbdTopics(depth="/camera/depth/image_raw"))
    assert [(frame.frame_id, frame.color) for frame in frames] == [("depth_optical", None)] * COUNT


def test_two_focal_lengths_are_refused(tmp_path: Path, view: Any) -> None:
    other = Camera(fx=40.0, fy=41.0, cx=15.5, cy=11.5, width=32, height=24)
    path = write(tmp_path / "bag", lambda stamp: view(stamp, named("/camera", "depth"), depth_camera=other))
    frames, recording = read(path)
    assert (frames, recording.dropped) == ([], {"intrinsics": COUNT})


def test_of_two_depth_images_the_one_in_the_color_frame_is_taken(tmp_path: Path, view: Any, depth: np.ndarray) -> None:
    def messages(stamp: int) -> Iterable[Message]:
        # The names say nothing of it.
        names = ("/cam/image", "/cam/depth_b", "/cam/info", "/cam/b/camera_info")
        return [*view(stamp, names), ("/cam/depth_a", make.depth_image(stamp, "other", depth))]

    frames, recording = read(write(tmp_path / "bag", messages))
    assert recording.topics.depth == "/cam/depth_b"
    assert len(frames) == COUNT


@pytest.mark.parametrize(
    "names",
    [
        ("/depth_cam/color/image_raw", "/depth_cam/depth/image_raw", "/depth_cam/color/camera_info",
         "/depth_cam/depth/camera_info"),
        ("/intel_realsense_r200_depth/image_raw", "/intel_realsense_r200_depth/depth/image_raw",
         "/intel_realsense_r200_depth/camera_info", "/intel_realsense_r200_depth/depth/camera_info"),
        ("/depth_camera/image", "/depth_camera/image_d", "/depth_camera/info", "/depth_camera/info_d"),
        named("/iris/camera"), named("/ir_cam"), named("/debug"), named("/infrastructure/cam"),
        named("/labeled/mask_1"),
        ("/cam/video", "/cam/stereo", "/cam/video_info", "/cam/stereo_info"),
    ],
    ids=["depth_cam", "waffle", "nothing in the name", "iris", "ir", "debug", "infrastructure", "labeled", "video"],
)  # fmt: skip
def test_a_camera_may_be_called_depth(
    tmp_path: Path, view: Any, names: tuple[str, ...], color: np.ndarray, depth: np.ndarray
) -> None:
    frames, recording = read(write(tmp_path / "bag", lambda stamp: view(stamp, names)))
    assert (recording.topics.color, recording.topics.depth) == names[:2]
    assert len(frames) == COUNT
    np.testing.assert_array_equal(frames[0].color, color)
    np.testing.assert_allclose(frames[0].depth, depth, atol=1e-6)


@pytest.mark.parametrize(
    "other",
    [
        "/cam/depth/image_colorized", "/cam/semantic/image_color", "/cam/segmentation/image", "/unipose/debug/image",
        "/cam/infra1/image_rect_raw", "/cam/ir/image_raw", "/cam/a_confidence/image_raw",
    ],
)  # fmt: skip
def test_what_was_made_of_images_is_not_taken_for_the_color_image(
    tmp_path: Path, view: Any, color: np.ndarray, other: str
) -> None:
    names = named("/cam", "depth")

    def messages(stamp: int) -> Iterable[Message]:
        return [(other, make.image(stamp, "optical", 255 - color, "rgb8")), *view(stamp, names)]

    frames, recording = read(write(tmp_path / "bag", messages))
    assert (recording.topics.color, recording.topics.depth) == names[:2]
    np.testing.assert_array_equal(frames[0].color, color)


def test_recordings_read_the_encodings_that_the_node_reads(tmp_path: Path, view: Any, color: np.ndarray) -> None:
    mosaic = np.empty(color.shape[:2], np.uint8)
    for (row, column), channel in {(0, 0): 0, (0, 1): 1, (1, 0): 1, (1, 1): 2}.items():
        mosaic[row::2, column::2] = color[row::2, column::2, channel]

    def messages(stamp: int) -> Iterable[Message]:
        for topic, message in view(stamp, named("/camera")):
            if message.__msgtype__.endswith("/Image") and "color/image" in topic:
                message.encoding, message.step, message.data = "bayer_rggb8", 32, mosaic.reshape(-1)
            yield topic, message

    frames, recording = read(write(tmp_path / "bag", messages))
    assert (len(frames), sum(recording.dropped.values())) == (COUNT, 0)
    assert frames[0].color is not None
    # Where the filter is red, red is as it was.
    assert np.abs(frames[0].color[2:-2:2, 2:-2:2, 0].astype(int) - color[2:-2:2, 2:-2:2, 0]).max() <= 1


def test_a_fault_is_named_with_the_topic_it_came_on(
    tmp_path: Path, view: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def messages(stamp: int) -> Iterable[Message]:
        for topic, message in view(stamp, named("/camera")):
            if "color/image" in topic:
                message.encoding = "nv99"
            yield topic, message

    with caplog.at_level(logging.WARNING):
        frames, recording = read(write(tmp_path / "bag", messages))
    assert (frames, recording.dropped) == ([], {"color_image": COUNT})
    assert "'/camera/color/image_raw': dropped, color_image" in caplog.text


@pytest.mark.parametrize("length", [0, 3, 11, 40])
@pytest.mark.parametrize("topic", ["/camera/color/image_raw", "/camera/color/camera_info"])
def test_short_messages_are_counted(tmp_path: Path, view: Any, topic: str, length: int) -> None:
    with BagWriter(tmp_path / "bag") as writer:
        for number in range(1, COUNT + 1):
            for name, message in view(number * PERIOD, named("/camera")):
                writer.write(name, message, number * PERIOD)
            kind = "CameraInfo" if "info" in topic else "Image"
            writer.write_raw(topic, f"sensor_msgs/msg/{kind}", b"\0\1\0\0" + bytes(length), number * PERIOD + 1)
    frames, recording = read(tmp_path / "bag")
    assert len(frames) == COUNT
    assert sum(recording.dropped.values()) == COUNT


def test_ground_truth_of_an_unknown_joint_set_is_a_fault_of_the_recording(tmp_path: Path, view: Any) -> None:
    with BagWriter(tmp_path / "bag") as writer:
        for name, message in view(PERIOD, named("/camera")):
            writer.write(name, message, PERIOD)
        skeletons = make.message_class("unipose_ros/msg/SkeletonArray")(
            make.header(PERIOD, "optical"), "tails", "ground_truth", []
        )
        writer.write("/truth/skeletons", skeletons, PERIOD)
    with BagReader(tmp_path / "bag") as reader, pytest.raises(RecordingError, match="tails"):
        list(RgbdRecording(reader).ground_truth())


@pytest.mark.parametrize("backwards", [False, True])
def test_depth_recorded_after_all_color_is_read_without_holding_it_all(
    tmp_path: Path, view: Any, backwards: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unipose_ros.recordings.rgbd._WAITING", 5)
    stamps = [number * PERIOD for number in range(1, 41)]
    with BagWriter(tmp_path / "bag") as writer:
        for topic in (0, 2, 3, 1):
            at = 10**10 * (topic + 1)
            for stamp in stamps[:: -1 if backwards and topic == 1 else 1]:
                name, message = list(view(stamp, named("/camera")))[topic]
                writer.write(name, message, at + (0 if topic == 1 else stamp))
                at += 1
    frames, recording = read(tmp_path / "bag")
    assert sorted(frame.stamp_ns for frame in frames) == stamps
    assert sum(recording.dropped.values()) == 0


def test_a_rectified_image_without_p_has_the_calibration_of_k(tmp_path: Path, view: Any) -> None:
    def messages(stamp: int) -> Iterable[Message]:
        names = ("/camera/color/image_rect", "/camera/depth/image_rect", "/camera/color/camera_info",
                 "/camera/depth/camera_info")  # fmt: skip
        for topic, message in view(stamp, names):
            if hasattr(message, "p"):
                message.p = np.zeros(12)
            yield topic, message

    frames, _ = read(write(tmp_path / "bag", messages))
    assert [frame.camera.fx for frame in frames] == [50.0] * COUNT


@pytest.mark.parametrize(("late", "words"), [(-(10**18), "1e+09 s apart"), (10 * 10**9, "s apart")])
def test_color_and_depth_of_two_clocks_are_named(
    tmp_path: Path, view: Any, depth: np.ndarray, late: int, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    names = named("/cam", "depth")

    def messages(stamp: int) -> Iterable[Message]:
        at = stamp + 2 * 10**18
        return [message for message in view(at, names) if message[0] != names[1]] + [
            (names[1], make.depth_image(at + late, "optical", depth))
        ]

    frames, recording = read(write(tmp_path / "bag", messages))
    assert not frames
    assert recording.dropped == {"no_partner": 2 * COUNT}
    assert words in caplog.text
    assert "one clock must stamp both" in caplog.text


@pytest.mark.parametrize("off", [-PERIOD - 1_000_000, 300_000_000, 60_000_000_000, -60_000_000_000])
def test_one_image_off_its_time_loses_that_frame_alone(tmp_path: Path, view: Any, off: int) -> None:
    start, late = 3_000 * PERIOD, 3_010 * PERIOD

    def per_frame(number: int) -> Iterable[Message]:
        stamp = start + number
        return view(stamp + off if stamp == late else stamp, named("/camera"))

    frames, recording = read(write(tmp_path / "bag", per_frame, count=20))
    stamps = [start + number * PERIOD for number in range(1, 21)]
    assert [frame.stamp_ns for frame in frames] == [stamp for stamp in stamps if stamp != late]
    assert recording.dropped["late_stamp"] == 2
