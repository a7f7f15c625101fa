"""Single RGB-D frames and sequences of real people, in the forms in which they are published.

None of them is part of this project; each reader takes the user's copy. Where a publisher gives
no intrinsics they are those of the camera's driver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from unipose_ros.camera import Camera
from unipose_ros.frame import RgbdFrame
from unipose_ros.images import to_metres
from unipose_training.data.errors import DataError
from unipose_training.data.pictures import read_colour_file, read_depth_file

FRAME_ID = "camera_color_optical_frame"
#: The first frame's stamp: any time but zero, which means "no stamp".
FIRST_STAMP_NS = 1_600_000_000_000_000_000

#: Kinect v2 of lmb-freiburg/rgbd-pose3d, for its 1920x1080 depth that is registered to colour.
LMB_CAMERA = Camera(fx=1392.5, fy=944.9, cx=944.5, cy=546.7, width=1920, height=1080)
#: Kinect v1 as its drivers assume; also in the camera files of the UvA sequence.
KINECT1_CAMERA = Camera(fx=525.0, fy=525.0, cx=319.5, cy=239.5, width=640, height=480)
UVA_CAMERA = Camera(fx=525.0, fy=525.0, cx=320.0, cy=240.0, width=640, height=480)
#: Kinect v2 colour at a quarter of its pixels, as iai_kinect2 assumes without calibration.
KINECT2_CAMERA = Camera(fx=540.686, fy=540.686, cx=479.75, cy=269.75, width=960, height=540)


def read_lmb(source: Path, rate_hz: float, count: int) -> Iterator[RgbdFrame]:
    """The one pair of rgbd-pose3d: ``color.png`` (960x540, enlarged) and ``depth.png``, ``count`` times."""
    depth = to_metres(read_depth_file(source / "depth.png"))
    small = read_colour_file(source / "color.png")
    colour = np.asarray(cv2.resize(small, depth.shape[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
    for stamp in _stamps(rate_hz, count or 1):
        yield RgbdFrame(stamp, FRAME_ID, LMB_CAMERA, depth, colour)


def read_uva(source: Path, rate_hz: float, count: int) -> Iterator[RgbdFrame]:
    """A sequence ``NNNNNNNNNN.jpg`` and ``NNNNNNNNNN_depth.png`` in millimetres; ``count`` 0 takes all."""
    pictures = sorted(source.glob("[0-9]*_depth.png"))
    if not pictures:
        raise DataError(f"{source}: no files like 0000000000_depth.png; give the folder of the sequence")
    chosen = pictures[: count or None]
    for stamp, picture in zip(_stamps(rate_hz, len(chosen)), chosen, strict=True):
        colour = read_colour_file(picture.with_name(picture.name.replace("_depth.png", ".jpg")))
        yield RgbdFrame(stamp, FRAME_ID, UVA_CAMERA, to_metres(read_depth_file(picture)), colour)


def read_dih(source: Path, rate_hz: float, count: int) -> Iterator[RgbdFrame]:
    """A depth frame of idiap/fast_pose_machines (``.npy``, uint16 millimetres), ``count`` times."""
    try:
        stored = np.load(source, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{source}: no NumPy file of a depth frame ({error})") from error
    if stored.dtype != np.uint16 or stored.shape != (KINECT2_CAMERA.height, KINECT2_CAMERA.width):
        raise DataError(f"{source}: {stored.dtype}{list(stored.shape)}, expected uint16 millimetres of 540x960")
    for stamp in _stamps(rate_hz, count or 1):
        yield RgbdFrame(stamp, FRAME_ID, KINECT2_CAMERA, to_metres(stored))


def read_pcd(source: Path, rate_hz: float, count: int) -> Iterator[RgbdFrame]:
    """An organised 640x480 Kinect cloud (``.pcd``, Point Cloud Library), ``count`` times."""
    # Imported here: it takes seconds, and the other formats do not need it.
    import open3d

    points = np.asarray(open3d.io.read_point_cloud(str(source), remove_nan_points=False).points)
    if len(points) != KINECT1_CAMERA.width * KINECT1_CAMERA.height:
        raise DataError(f"{source}: {len(points)} points, an organised cloud of 640x480 has 307200")
    depth = to_metres(points[:, 2].astype(np.float32).reshape(KINECT1_CAMERA.height, KINECT1_CAMERA.width))
    for stamp in _stamps(rate_hz, count or 1):
        yield RgbdFrame(stamp, FRAME_ID, KINECT1_CAMERA, depth)


def _stamps(rate_hz: float, count: int) -> Iterator[int]:
    if rate_hz <= 0:
        raise DataError(f"rate = {rate_hz}: give a positive number of frames per second")
    for number in range(count):
        yield FIRST_STAMP_NS + round(number * 1e9 / rate_hz)


#: By the name that the command line knows: source, frames per second, number of frames (0: all there are).
Reader = Callable[[Path, float, int], Iterator[RgbdFrame]]
READERS: dict[str, Reader] = {"lmb": read_lmb, "uva": read_uva, "dih": read_dih, "pcd": read_pcd}
