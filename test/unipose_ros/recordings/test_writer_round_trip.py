"""What is written comes back as it was, in both storages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unipose_ros.camera import Camera
from unipose_ros.clouds import read_cloud
from unipose_ros.decoding import FrameDecoder
from unipose_ros.frame import Skeletons
from unipose_ros.joint_sets import COCO23
from unipose_ros.recordings import BagReader, BagWriter, RecordingError
from unipose_ros.recordings import messages as make
from unipose_ros.recordings.messages import (
    read_skeletons,
    skeleton_array,
    stamp_of,
)

STORAGES = pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
STAMP = 1_700_000_000_123_456_789


def decoded(message: Any, role: str) -> np.ndarray:
    """What the decoder makes of an image."""
    decoder = FrameDecoder()
    height, width = (24, 32) if hasattr(message, "format") else (message.height, message.width)
    decoder.set_info(
        "color", make.camera_info(1, "optical", Camera(width, width, width / 2, height / 2, width, height))
    )
    frame = decoder.decode(*((message, None) if role == "color" else (None, message)), STAMP)
    return getattr(frame, role)


def round_trip(path: Path, message: Any, storage: str = "mcap") -> Any:
    with BagWriter(path, storage) as writer:
        writer.write("/topic", message, STAMP)
    with BagReader(path) as reader:
        (read,) = reader.messages()
    assert read.type == message.__msgtype__
    assert read.time_ns == STAMP
    assert stamp_of(read.value) == STAMP
    assert read.value.header.frame_id == "optical"
    return read.value


@STORAGES
@pytest.mark.parametrize(
    ("encoding", "channels", "dtype"),
    [("rgb8", 3, np.uint8), ("bgr8", 3, np.uint8), ("rgba8", 4, np.uint8), ("mono8", 1, np.uint8)],
)
def test_color_image(tmp_path: Path, storage: str, encoding: str, channels: int, dtype: type) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (5, 7, 3)).astype(dtype)
    stored = {
        "rgb8": rgb,
        "bgr8": rgb[..., ::-1],
        "rgba8": np.dstack([rgb, np.full((5, 7), 9, np.uint8)]),
        "mono8": rgb[..., 0],
    }[encoding]
    expected = np.repeat(rgb[..., :1], 3, axis=2) if encoding == "mono8" else rgb
    message = round_trip(tmp_path / "bag", make.image(STAMP, "optical", stored, encoding), storage)
    np.testing.assert_array_equal(decoded(message, "color"), expected)


@STORAGES
def test_depth_is_exact_to_the_millimeter(tmp_path: Path, storage: str, depth: np.ndarray) -> None:
    for name, message in (
        ("raw", make.depth_image(STAMP, "optical", depth)),
        ("compressed", make.compressed_depth(STAMP, "optical", depth)),
        ("meters", make.image(STAMP, "optical", depth, "32FC1")),
    ):
        back = decoded(round_trip(tmp_path / name, message, storage), "depth")
        np.testing.assert_allclose(back, depth, atol=1e-6)
        assert back[5, 7] == 0


def test_jpeg_color_is_close(tmp_path: Path) -> None:
    smooth = np.zeros((24, 32, 3), np.uint8)
    smooth[..., 0], smooth[..., 2] = np.linspace(0, 200, 32), 90
    message = round_trip(tmp_path / "bag", make.compressed_image(STAMP, "optical", smooth))
    back = decoded(message, "color")
    assert np.abs(back.astype(int) - smooth).mean() < 4


@STORAGES
def test_camera_info(tmp_path: Path, storage: str) -> None:
    camera = Camera(500, 510, 320, 240, 640, 480, distortion=(0.1, -0.2, 0.001, 0.002, 0.05))
    message = round_trip(tmp_path / "bag", make.camera_info(STAMP, "optical", camera), storage)
    assert Camera.from_camera_info(message) == camera
    assert Camera.from_camera_info(message, rectified=True).distortion == ()


@STORAGES
@pytest.mark.parametrize("shape", [(4, 5, 3), (9, 3)])
def test_point_cloud(tmp_path: Path, storage: str, shape: tuple[int, ...]) -> None:
    points = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    points.reshape(-1, 3)[2] = np.nan
    message = round_trip(tmp_path / "bag", make.point_cloud(STAMP, "optical", points), storage)
    np.testing.assert_array_equal(read_cloud(message).reshape(shape), points)
    assert not message.is_dense


def people(covariances: bool) -> Skeletons:
    rng = np.random.default_rng(2)
    positions = rng.normal(size=(2, 23, 3)).astype(np.float32)
    positions[1, 4] = np.nan
    return Skeletons(
        stamp_ns=STAMP,
        frame_id="optical",
        modality="ground_truth",
        positions=positions,
        confidences=rng.uniform(size=(2, 23)).astype(np.float32),
        status=rng.integers(0, 3, (2, 23)).astype(np.uint8),
        scores=np.array([0.5, 0.75], np.float32),
        covariances=rng.normal(size=(2, 23, 6)).astype(np.float32) if covariances else None,
        ids=("abcde", "fghij"),
        states=np.array([1, 2], np.uint8),
        ages_ns=np.array([0, 12_345_678_901], np.int64),
        joint_set=COCO23,
    )


@STORAGES
@pytest.mark.parametrize("covariances", [True, False])
def test_our_own_message(tmp_path: Path, storage: str, covariances: bool) -> None:
    original = people(covariances)
    back = read_skeletons(round_trip(tmp_path / "bag", skeleton_array(original), storage))
    assert (back.stamp_ns, back.frame_id, back.modality) == (STAMP, "optical", "ground_truth")
    assert back.joint_set is COCO23
    assert back.ids == original.ids
    for field in ("positions", "confidences", "status", "scores", "states", "ages_ns"):
        np.testing.assert_array_equal(getattr(back, field), getattr(original, field), err_msg=field)
    if covariances:
        np.testing.assert_array_equal(back.covariances, original.covariances)
    else:
        assert back.covariances is None


def test_no_people(tmp_path: Path) -> None:
    message = skeleton_array(Skeletons.empty(STAMP, "optical", "lookup"))
    assert len(read_skeletons(round_trip(tmp_path / "bag", message))) == 0


def test_a_skeleton_of_the_wrong_length_is_named() -> None:
    message = skeleton_array(people(covariances=False))
    message.skeletons[1].confidences = message.skeletons[1].confidences[:5]
    with pytest.raises(RecordingError, match=r"fghij.*confidences.* 5 .* 23"):
        read_skeletons(message)


@STORAGES
def test_order_is_that_of_the_recording_times(tmp_path: Path, storage: str) -> None:
    with BagWriter(tmp_path / "bag", storage) as writer:
        for at in (30, 10, 20):
            writer.write(f"/t{at}", skeleton_array(Skeletons.empty(at, "optical", "x")), at)
    with BagReader(tmp_path / "bag") as reader:
        assert [raw.time_ns for raw in reader.raw()] == [10, 20, 30]
        assert [raw.topic for raw in reader.raw(["/t30", "/t10"])] == ["/t10", "/t30"]
        assert reader.duration_ns == 20


@STORAGES
def test_topics_with_type_count_and_durability(tmp_path: Path, storage: str) -> None:
    with BagWriter(tmp_path / "bag", storage) as writer:
        writer.add_topic("/tf_static", "tf2_msgs/msg/TFMessage", latched=True)
        writer.write("/skeletons", skeleton_array(Skeletons.empty(1, "optical", "x")), 1)
        writer.write("/skeletons", skeleton_array(Skeletons.empty(2, "optical", "x")), 2)
    with BagReader(tmp_path / "bag") as reader:
        topics = reader.topics
    assert (topics["/tf_static"].count, topics["/tf_static"].latched) == (0, True)
    skeletons = topics["/skeletons"]
    assert (skeletons.type, skeletons.count, skeletons.latched) == ("unipose_ros/msg/SkeletonArray", 2, False)


def test_writing_names_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="storage = 'hdf5': use one of mcap, sqlite3"):
        BagWriter(tmp_path / "bag", "hdf5")
    with BagWriter(tmp_path / "bag") as writer:
        writer.add_topic("/a", "sensor_msgs/msg/Image")
        with pytest.raises(RecordingError, match=r"'/a' carries sensor_msgs/msg/Image"):
            writer.add_topic("/a", "sensor_msgs/msg/CameraInfo")
        with pytest.raises(RecordingError, match="unknown_msgs/msg/Thing"):
            writer.add_topic("/b", "unknown_msgs/msg/Thing")
    with pytest.raises(RecordingError, match="choose another folder"), BagWriter(tmp_path / "bag"):
        pass
    with pytest.raises(RecordingError, match="not open"):
        writer.write_raw("/a", "sensor_msgs/msg/Image", b"", 1)


@pytest.mark.parametrize(
    ("pixels", "encoding", "text"),
    [
        (np.zeros((2, 2), np.uint8), "16UC1", "do not fit '16UC1'"),
        (np.zeros((2, 2, 4), np.uint8), "rgb8", "do not fit 'rgb8'"),
        (np.zeros((2, 2), np.uint8), "yuv", "encoding = 'yuv'"),
    ],
)
def test_pixels_must_fit_their_encoding(pixels: np.ndarray, encoding: str, text: str) -> None:
    with pytest.raises(RecordingError, match=text):
        make.image(STAMP, "optical", pixels, encoding)
