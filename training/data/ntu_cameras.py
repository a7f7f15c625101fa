"""NTU RGB+D's cameras. None are published; skeletons say where their joints are in space and in both pictures.

Kinect camera space is that of the depth camera: right-handed, z forward, y up, x to the sensor's left.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera
from unipose_training.data.errors import DataError
from unipose_training.data.fitted_camera import FittedNeighbour, FittedPinhole, fit_neighbour, fit_pinhole
from unipose_training.data.ntu_skeleton import TRACKED, missing_skeletons, read_skeleton_file

#: Of depth.
WIDTH, HEIGHT = 512, 424
#: Kinect camera space into the optical frame, and back.
AXES = np.array([-1.0, -1.0, 1.0])
#: Clips whose skeletons decide a camera.
_FIT_CLIPS = 20


@dataclass(frozen=True)
class NtuCamera:
    """A depth camera, and whether its pictures are stored as in a mirror."""

    camera: Camera
    mirrored: bool
    residual_px: float


@lru_cache(maxsize=64)
def fitted_camera(root: Path, setup_and_camera: str) -> NtuCamera:
    """The camera ``SsssCccc``, from the skeletons of its first clips by name.

    Raises:
        DataError: there are too few skeletons of it.
    """
    joints = _joints_to_fit(root, setup_and_camera)
    try:
        return _camera(fit_pinhole(joints[:, :3], joints[:, 3:5]))
    except DataError as error:
        raise DataError(f"{root}/nturgb+d_skeletons/{setup_and_camera}*.skeleton: {error}") from error


@lru_cache(maxsize=64)
def fitted_colour_camera(root: Path, setup_and_camera: str) -> FittedNeighbour:
    """Kinect camera space -> pixels of the colour camera ``SsssCccc``, as :func:`fitted_camera`."""
    joints = _joints_to_fit(root, setup_and_camera)
    try:
        return fit_neighbour(joints[:, :3], joints[:, 5:7])
    except DataError as error:
        raise DataError(f"{root}/nturgb+d_skeletons/{setup_and_camera}*.skeleton: colour {error}") from error


@lru_cache(maxsize=4)
def _joints_to_fit(root: Path, setup_and_camera: str) -> NDArray[np.float64]:
    """(N, 12) tracked joints of the camera's first clips by name."""
    missing = missing_skeletons(root)
    files = sorted((root / "nturgb+d_skeletons").glob(f"{setup_and_camera}*.skeleton"))
    chosen = [path for path in files if path.stem not in missing][:_FIT_CLIPS]
    bodies = [frame for path in chosen for frame in read_skeleton_file(path)]
    tracked = [b.joints[b.tracking == TRACKED] for b in bodies]
    return np.concatenate(tracked) if tracked else np.zeros((0, 12))


def _camera(fit: FittedPinhole) -> NtuCamera:
    # fy < 0: y points up, rows count down. fx > 0: the picture's right is the sensor's left, a mirror.
    if fit.fy >= 0:
        raise DataError(f"camera fit: depthY grows with y (fy = {fit.fy:.1f}); these are not Kinect skeletons")
    mirrored = fit.fx > 0
    cx = WIDTH - 1 - fit.cx if mirrored else fit.cx
    camera = Camera(fx=abs(fit.fx), fy=abs(fit.fy), cx=cx, cy=fit.cy, width=WIDTH, height=HEIGHT)
    return NtuCamera(camera, mirrored, fit.residual_px)
