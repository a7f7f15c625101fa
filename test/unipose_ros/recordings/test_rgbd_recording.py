"""From recordings to frames: which topics, which pairs, what is dropped."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unipose_ros.camera import Camera, depth_to_points
from unipose_ros.recordings import BagReader, BagWriter, RecordingError, RgbdRecording, RgbdTopics, Topic, detect_topics
from unipose_ros.recordings import messages as make
from unipose_ros.recordings.messages import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, POINT_CLOUD, SKELETON_ARRAY
from unipose_ros.recordings.rgbd import pair_stamps

PERIOD, START = 33_333_333, 5_000_000_000


def topics(*pairs: tuple[str, str]) -> dict[str, Topic]:
    return {name: Topic(name, kind, 10) for name, kind in pairs}


REALSENSE = topics(
    ("/camera/camera/color/image_raw", IMAGE),
    ("/camera/camera/color/image_raw/compressed", COMPRESSED_IMAGE),
    ("/camera/camera/color/camera_info", CAMERA_INFO),
    ("/camera/camera/depth/image_rect_raw", IMAGE),
    ("/camera/camera/depth/camera_info", CAMERA_INFO),
    ("/camera/camera/aligned_depth_to_color/image_raw", IMAGE),
    ("/camera/camera/aligned_depth_to_color/camera_info", CAMERA_INFO),
    ("/camera/camera/infra1/image_rect_raw", IMAGE),
    ("/camera/camera/depth/color/points", POINT_CLOUD),
)
AZURE = topics(
    ("/rgb/image_raw", IMAGE),
    ("/rgb/camera_info", CAMERA_INFO),
    ("/depth/image_raw", IMAGE),
    ("/depth/camera_info", CAMERA_INFO),
    ("/depth_to_rgb/image_raw", IMAGE),
    ("/depth_to_rgb/camera_info", CAMERA_INFO),
    ("/ir/image_raw", IMAGE),
)
OURS = topics(
    ("/color/image/compressed", COMPRESSED_IMAGE),
    ("/color/camera_info", CAMERA_INFO),
    ("/depth/image/compressedDepth", COMPRESSED_IMAGE),
    ("/depth/camera_info", CAMERA_INFO),
    ("/truth/keypoints", SKELETON_ARRAY),
    ("/truth/skeletons", SKELETON_ARRAY),
    ("/skeletons", SKELETON_ARRAY),
)


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        (
            REALSENSE,
            RgbdTopics(
                color="/camera/camera/color/image_raw",
                color_info="/camera/camera/color/camera_info",
                depth="/camera/camera/aligned_depth_to_color/image_raw",
                depth_info="/camera/camera/aligned_depth_to_color/camera_info",
                points="/camera/camera/depth/color/points",
            ),
        ),
        (
            AZURE,
            RgbdTopics(
                color="/rgb/image_raw",
                color_info="/rgb/camera_info",
                depth="/depth_to_rgb/image_raw",
                depth_info="/depth_to_rgb/camera_info",
            ),
        ),
        (
            OURS,
            RgbdTopics(
                color="/color/image/compressed",
                color_info="/color/camera_info",
                depth="/depth/image/compressedDepth",
                depth_info="/depth/camera_info",
                ground_truth="/truth/skeletons",
            ),
        ),
        (topics(("/chatter", "std_msgs/msg/String")), RgbdTopics()),
    ],
    ids=["realsense", "azure", "ours", "none"],
)
def test_topics_are_found_by_type_and_name(present: dict[str, Topic], expected: RgbdTopics) -> None:
    assert detect_topics(present) == expected


def test_a_named_topic_is_kept_and_its_camera_info_found() -> None:
    found = detect_topics(REALSENSE, RgbdTopics(depth="/camera/camera/depth/image_rect_raw"))
    assert found.depth == "/camera/camera/depth/image_rect_raw"
    assert found.depth_info == "/camera/camera/depth/camera_info"


@pytest.mark.parametrize(
    ("named", "text"),
    [
        (RgbdTopics(depth="/nope"), "depth: there is no topic '/nope'"),
        (RgbdTopics(color="/rgb/camera_info"), "color: '/rgb/camera_info' carries sensor_msgs/msg/CameraInfo"),
    ],
)
def test_a_wrong_name_is_refused(named: RgbdTopics, text: str) -> None:
    with pytest.raises(RecordingError, match=text):
        detect_topics(AZURE, named)


def test_near_stamps_do_not_pair_while_there_are_equal_ones() -> None:
    assert pair_stamps([0, 30, 61], [30, 60, 90], max_gap_ns=10) == {30: 30}
    assert pair_stamps([0, 31, 61], [30, 60, 90], max_gap_ns=10) == {30: 31, 60: 61}


def test_further_than_half_a_period_is_no_pair() -> None:
    depth = [0, 100, 200, 300]
    assert pair_stamps([49], depth) == {0: 49}
    assert pair_stamps([351], depth) == {}


@given(
    st.lists(st.integers(1, 10**6), unique=True, max_size=40),
    st.lists(st.integers(1, 10**6), unique=True, max_size=40),
    st.integers(0, 1000),
)
def test_pairs_are_one_to_one_and_near(color: list[int], depth: list[int], gap: int) -> None:
    pairs = pair_stamps(color, depth, gap)
    assert set(pairs) <= set(depth)
    assert len(set(pairs.values())) == len(pairs)
    assert set(pairs.values()) <= set(color)
    assert all(d == c or abs(d - c) < gap or not gap for d, c in pairs.items())


def frames_of(path: Path, **options: object) -> tuple[list, RgbdRecording]:
    with BagReader(path) as reader:
        recording = RgbdRecording(reader, **options)  # type: ignore[arg-type]
        return list(recording.frames()), recording


def test_stamps_are_known_without_a_look_at_the_images(rgbd_bag: Callable[..., Path]) -> None:
    with BagReader(rgbd_bag([0, 1, 2, 5], [0, 2, 3, 5])) as reader:
        recording = RgbdRecording(reader)
        assert recording.stamps() == [frame.stamp_ns for frame in recording.frames()]
        assert len(recording.stamps()) == 3


def test_frames_carry_what_was_recorded(
    rgbd_bag: Callable[..., Path], color: np.ndarray, depth: np.ndarray, camera: Camera
) -> None:
    frames, recording = frames_of(rgbd_bag([0, 1, 2], [0, 1, 2]))
    assert [frame.stamp_ns for frame in frames] == [START, START + PERIOD, START + 2 * PERIOD]
    assert sum(recording.dropped.values()) == 0
    for frame in frames:
        assert frame.frame_id == "optical"
        assert frame.camera == camera
        np.testing.assert_array_equal(frame.color, color)
        np.testing.assert_allclose(frame.depth, depth, atol=1e-6)


def test_near_stamps_are_paired_and_the_rest_is_counted(rgbd_bag: Callable[..., Path]) -> None:
    frames, recording = frames_of(rgbd_bag([0.1, 1.1, 2.1, 9.0], [0, 1, 2, 3]))
    assert [frame.stamp_ns for frame in frames] == [START + n * PERIOD for n in range(3)]
    assert recording.dropped["no_partner"] == 2


def test_a_single_stream_gives_frames_too(rgbd_bag: Callable[..., Path]) -> None:
    frames, _ = frames_of(rgbd_bag([], [0, 1]))
    assert [frame.color is None and frame.depth is not None for frame in frames] == [True, True]
    frames, _ = frames_of(rgbd_bag([0, 1, 2], [], name="other"))
    assert [frame.depth is None for frame in frames] == [True] * 3


def write(path: Path, *messages: tuple[str, object, int]) -> Path:
    with BagWriter(path) as writer:
        for topic, message, at in messages:
            writer.write(topic, message, at)
    return path


def test_bad_images_are_counted_by_reason_and_logged_once(
    tmp_path: Path, camera: Camera, depth: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    broken = make.compressed_depth(4, "optical", depth)
    broken.data = broken.data[:40]
    small = make.depth_image(5, "optical", depth[:10])
    good = make.depth_image(6, "optical", depth)
    path = write(
        tmp_path / "bag",
        ("/depth/camera_info", make.camera_info(1, "optical", camera), 1),
        ("/depth/image", make.depth_image(0, "optical", depth), 2),
        ("/depth/image", make.depth_image(0, "optical", depth), 3),
        ("/depth/image", small, 5),
        ("/depth/image", good, 6),
        ("/depth/image", good, 7),
    )
    with caplog.at_level(logging.WARNING):
        frames, recording = frames_of(path)
    assert [frame.stamp_ns for frame in frames] == [6]
    assert recording.dropped == {"zero_stamp": 2, "repeated_stamp": 1, "size": 1}
    assert caplog.text.count("zero_stamp") == 1
    path = write(
        tmp_path / "other",
        ("/depth/camera_info", make.camera_info(1, "optical", camera), 1),
        ("/depth/image/compressedDepth", broken, 4),
    )
    frames, recording = frames_of(path)
    assert (frames, recording.dropped) == ([], {"depth_image": 1})


def test_uncalibrated_camera_is_counted(tmp_path: Path, camera: Camera, depth: np.ndarray) -> None:
    info = make.camera_info(1, "optical", camera)
    info.k = np.zeros(9)
    path = write(
        tmp_path / "bag", ("/depth/camera_info", info, 1), ("/depth/image", make.depth_image(2, "optical", depth), 2)
    )
    frames, recording = frames_of(path)
    assert frames == []
    assert recording.dropped == {"intrinsics": 1}


def test_an_image_before_the_first_camera_info_is_not_lost(tmp_path: Path, camera: Camera, depth: np.ndarray) -> None:
    path = write(
        tmp_path / "bag",
        ("/depth/image", make.depth_image(1, "optical", depth), 1),
        ("/depth/camera_info", make.camera_info(2, "optical", camera), 2),
    )
    frames, recording = frames_of(path)
    assert len(frames) == 1
    assert sum(recording.dropped.values()) == 0


def test_points_stand_in_for_depth(tmp_path: Path, camera: Camera, depth: np.ndarray) -> None:
    path = write(
        tmp_path / "bag",
        ("/depth/camera_info", make.camera_info(1, "optical", camera), 1),
        ("/depth/points", make.point_cloud(2, "optical", depth_to_points(camera, depth)), 2),
    )
    (frame,), _ = frames_of(path)
    np.testing.assert_allclose(frame.depth, depth, atol=1e-5)


def test_what_is_missing_is_named(tmp_path: Path, depth: np.ndarray, camera: Camera) -> None:
    no_info = write(tmp_path / "a", ("/depth/image", make.depth_image(1, "optical", depth), 1))
    with pytest.raises(RecordingError, match="record camera_info"):
        frames_of(no_info)
    no_image = write(tmp_path / "b", ("/depth/camera_info", make.camera_info(1, "optical", camera), 1))
    with pytest.raises(RecordingError, match="neither a color nor a depth topic"):
        frames_of(no_image)
    with BagReader(no_info) as reader, pytest.raises(RecordingError, match="no sensor_msgs/CameraInfo topic"):
        RgbdRecording(reader)


def test_real_frames_can_be_read_twice(rgbd_bag: Callable[..., Path]) -> None:
    with BagReader(rgbd_bag([0, 1, 5], [0, 1])) as reader:
        recording = RgbdRecording(reader)
        assert len(list(recording.frames())) == len(list(recording.frames())) == 2
        assert recording.dropped["no_partner"] == 1
