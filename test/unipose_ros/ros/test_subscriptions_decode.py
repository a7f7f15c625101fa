"""Messages become a frame, or are refused with the reason and the remedy."""

from __future__ import annotations

from array import array
from typing import Any

import cv2
import numpy as np
import pytest
from ros_samples import FRAME, STAMP
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField
from sensor_msgs_py import point_cloud2
from std_msgs.msg import Header

from unipose_ros.clouds import read_cloud
from unipose_ros.ros.monitoring import BadInputError
from unipose_ros.ros.subscriptions import FrameDecoder
from unipose_ros.ros.synchronizer import Pair

pytestmark = pytest.mark.ros
WIDTH, HEIGHT = 8, 6


def info(**changes: Any) -> CameraInfo:
    message = CameraInfo(width=WIDTH, height=HEIGHT, k=[10.0, 0.0, 3.5, 0.0, 10.0, 2.5, 0.0, 0.0, 1.0],
                         p=[20.0, 0.0, 3.5, 0.0, 0.0, 20.0, 2.5, 0.0, 0.0, 0.0, 1.0, 0.0])  # fmt: skip
    message.header.frame_id = FRAME
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def image(encoding: str, pixels: np.ndarray, frame: str = FRAME) -> Image:
    message = Image(encoding=encoding, height=pixels.shape[0], width=pixels.shape[1], step=pixels.strides[0],
                    data=array("B", pixels.tobytes()))  # fmt: skip
    message.header.frame_id = frame
    return message


COLOR = np.arange(WIDTH * HEIGHT * 3, dtype=np.uint8).reshape(HEIGHT, WIDTH, 3)
DEPTH = np.full((HEIGHT, WIDTH), 2500, np.uint16)


def pair(color: Any = None, depth: Any = None) -> Pair:
    return Pair(color or image("rgb8", COLOR), depth or image("16UC1", DEPTH), STAMP, 0)


def decoder(rectified: bool = False, **infos: CameraInfo) -> FrameDecoder:
    made = FrameDecoder(rectified)
    for name, message in {"color": info(), **infos}.items():
        if message is not None:
            made.set_info("color" if name == "color" else name, message)
    return made


def test_a_good_pair() -> None:
    frame = decoder().decode(pair())
    np.testing.assert_array_equal(frame.color, COLOR)
    np.testing.assert_array_equal(frame.depth, np.full((HEIGHT, WIDTH), 2.5, np.float32))
    assert (frame.frame_id, frame.stamp_ns, frame.camera.fx) == (FRAME, STAMP, 10.0)


def test_rectified_images_have_the_calibration_of_p() -> None:
    assert decoder(rectified=True).decode(pair()).camera.fx == 20.0


def test_depths_calibration_stands_in_for_colors() -> None:
    made = FrameDecoder()
    made.set_info("depth", info())
    assert made.decode(pair()).camera.fx == 10.0


def test_a_changed_calibration_counts_from_the_next_frame() -> None:
    made = decoder()
    made.decode(pair())
    made.set_info("color", info(k=[11.0, 0.0, 3.5, 0.0, 11.0, 2.5, 0.0, 0.0, 1.0]))
    assert made.decode(pair()).camera.fx == 11.0


@pytest.mark.parametrize(("encoding", "code"), [("bayer_rggb8", cv2.COLOR_BAYER_BG2RGB), ("mono8", cv2.COLOR_GRAY2RGB)])
def test_other_color_encodings(encoding: str, code: int) -> None:
    raw = (np.indices((HEIGHT, WIDTH)).sum(axis=0) * 15).astype(np.uint8)
    frame = decoder().decode(pair(color=image(encoding, raw)))
    np.testing.assert_array_equal(frame.color, cv2.cvtColor(raw, code))


SMALL = image("16UC1", DEPTH[::2, ::2].copy())


@pytest.mark.parametrize(
    ("infos", "images", "reason", "words"),
    [
        ({"color": None}, {}, "no_camera_info", "remap color/camera_info"),
        ({"color": info(k=[0.0] * 9)}, {}, "intrinsics", "fx = 0.0"),
        ({"color": info(width=4)}, {}, "size", "color is 8x6, camera_info says 4x6"),
        ({}, {"depth": SMALL}, "size", "depth is 4x3"),
        ({"depth": info(width=4)}, {}, "size", "depth/camera_info 4x6"),
        ({"depth": info(k=[12.0, 0, 3.5, 0, 12.0, 2.5, 0, 0, 1.0])}, {}, "intrinsics", "of depth 12.0"),
        ({}, {"depth": image("16UC1", DEPTH, "depth_frame")}, "frame_id", "align_depth"),
        ({}, {"color": image("rgb8", COLOR, "")}, "frame_id", "no frame_id"),
        ({}, {"color": image("nv99", COLOR)}, "color_image", "nv99"),
        ({}, {"depth": image("rgb8", COLOR)}, "depth_image", "use one of 16UC1"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_remedy(
    infos: dict[str, Any], images: dict[str, Any], reason: str, words: str
) -> None:
    with pytest.raises(BadInputError, match=words) as caught:
        decoder(**infos).decode(pair(**images))
    assert caught.value.reason == reason


def cloud_with_color_and_gaps(points: np.ndarray) -> PointCloud2:
    """float32 x, y, z, four bytes of nothing, uint32 rgb: as PCL lays it out."""
    kind = np.dtype({"names": ["x", "y", "z", "rgb"], "formats": ["<f4", "<f4", "<f4", "<u4"],
                     "offsets": [0, 4, 8, 16], "itemsize": 32})  # fmt: skip
    rows = np.zeros(len(points), kind)
    for k, axis in enumerate("xyz"):
        rows[axis] = points[:, k]
    fields = [PointField(name=name, offset=offset, datatype=datatype, count=1)
              for name, offset, datatype in (("x", 0, 7), ("y", 4, 7), ("z", 8, 7), ("rgb", 16, 6))]  # fmt: skip
    return PointCloud2(height=1, width=len(points), fields=fields, point_step=32, row_step=32 * len(points),
                       data=array("B", rows.tobytes()))  # fmt: skip


def test_clouds_of_any_layout_become_depth() -> None:
    points = np.array([[0.0, 0.0, 2.0], [0.1, 0.1, 1.0], [np.nan] * 3], np.float32)
    for cloud in (point_cloud2.create_cloud_xyz32(Header(), points), cloud_with_color_and_gaps(points)):
        np.testing.assert_array_equal(read_cloud(cloud)[0], points)
        theirs = point_cloud2.read_points(cloud, field_names=("x", "y", "z"))
        np.testing.assert_array_equal(np.stack([theirs[axis] for axis in "xyz"], axis=-1), points)
        cloud.header.frame_id = FRAME
        frame = decoder().decode(pair(depth=cloud))
        assert frame.depth is not None
        assert sorted(frame.depth[frame.depth > 0].tolist()) == [1.0, 2.0]


def test_clouds_that_lack_something_are_refused() -> None:
    cloud = point_cloud2.create_cloud_xyz32(Header(), np.zeros((4, 3), np.float32))
    cloud.header.frame_id = FRAME
    cloud.fields = cloud.fields[:2]
    with pytest.raises(BadInputError, match="lacks the field z") as caught:
        decoder().decode(pair(depth=cloud))
    assert caught.value.reason == "depth_image"


def test_an_image_that_came_alone_needs_only_its_own_calibration() -> None:
    depth_only = Pair(None, image("16UC1", DEPTH, "depth_frame"), STAMP, 0)
    own = info(k=[30.0, 0.0, 3.5, 0.0, 30.0, 2.5, 0.0, 0.0, 1.0])
    own.header.frame_id = "depth_frame"
    # Color's calibration is of another camera: it is not asked.
    frame = decoder(depth=own).decode(depth_only)
    assert (frame.frame_id, frame.camera.fx, frame.color) == ("depth_frame", 30.0, None)
    color_only = decoder(depth=own).decode(Pair(image("rgb8", COLOR), None, STAMP, 0))
    assert (color_only.frame_id, color_only.camera.fx, color_only.depth) == (FRAME, 10.0, None)


def test_an_image_that_came_alone_borrows_the_others_calibration() -> None:
    assert decoder().decode(Pair(None, image("16UC1", DEPTH), STAMP, 0)).camera.fx == 10.0
    with pytest.raises(BadInputError, match="color/camera_info is in frame"):
        decoder().decode(Pair(None, image("16UC1", DEPTH, "depth_frame"), STAMP, 0))


def test_a_calibration_stays_known_when_the_node_is_activated_again() -> None:
    kept: dict[str, Any] = {}
    FrameDecoder(calibrations=kept).set_info("depth", info())
    # A driver that latches it, or publishes it once, does not send it to the next session.
    assert FrameDecoder(calibrations=kept).decode(pair()).camera.fx == 10.0
