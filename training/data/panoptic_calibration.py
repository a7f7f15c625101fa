"""How a Kinect of the CMU Panoptic Studio stands in the studio, as in the panoptic-toolbox.

Colour pixel: project ``M_color p_local`` with ``K_color``. Point of the depth camera:
``p_depth = M_depth p_local``, metres. The Panoptic world, centimetres, is reached through the
extrinsics R, t of the colour camera ``50_xx``: ``X = inv([R|t]) diag(100) inv(M_color) p_local``.

The toolbox thus applies M_color as local-to-colour in the first line and as colour-to-local in the
last. Both hold where it is the identity. Where it is not, only one can be right, so the reading
can be chosen: ``toolbox`` is the world chain as written, ``local_to_color`` reads M_color in it as
the colouring does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project
from unipose_training.data.errors import DataError
from unipose_training.data.json_files import array_of, read_json, value_of

CONVENTIONS = ("toolbox", "local_to_color")
#: A true joint lies this far behind the surface that the camera sees there, metres.
_BEHIND = (0.0, 0.20)
_CENTIMETRES = 100.0
#: Distortion coefficients of OpenCV's plumb_bob. The files hold more; later entries are no coefficients.
_COEFFICIENTS = 5


@dataclass(frozen=True, eq=False)
class KinectCalibration:
    """One Kinect.

    Attributes:
        depth, colour: intrinsics of the two cameras.
        m_depth, m_color: (4, 4) from the Kinect's local frame, metres.
        world: (4, 4) Panoptic world to colour camera ``50_xx``, centimetres.
    """

    depth: Camera
    colour: Camera
    m_depth: NDArray[np.float64]
    m_color: NDArray[np.float64]
    world: NDArray[np.float64]

    def world_to_depth(self, points: NDArray[np.float64], convention: str = "toolbox") -> NDArray[np.float64]:
        """Panoptic world (..., 3) in centimetres -> optical frame of the depth camera in metres."""
        if convention not in CONVENTIONS:
            raise DataError(f"m_color_convention = '{convention}': use auto, {' or '.join(CONVENTIONS)}")
        in_colour = _moved(self.world, points) / _CENTIMETRES
        m_color = self.m_color if convention == "toolbox" else np.linalg.inv(self.m_color)
        return _moved(self.m_depth @ m_color, in_colour)

    def depth_to_colour_pixels(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (..., 3) of the depth camera, metres -> pixels (..., 2) of the colour picture."""
        return project(self.colour, _moved(self.m_color @ np.linalg.inv(self.m_depth), points))

    def likelier_convention(self, samples: Iterable[tuple[NDArray[np.float32], NDArray[np.float64]]]) -> str:
        """The reading of M_color that puts joints behind the surface that the camera sees.

        Args:
            samples: depth images with (N, 3) joints of the world, centimetres.
        """
        votes = dict.fromkeys(CONVENTIONS, 0)
        for depth, joints in samples:
            for convention in CONVENTIONS:
                votes[convention] += self._joints_behind(depth, self.world_to_depth(joints, convention))
        return max(CONVENTIONS, key=lambda convention: votes[convention])  # the first, toolbox, when equal

    def _joints_behind(self, depth: NDArray[np.float32], joints: NDArray[np.float64]) -> int:
        pixels = np.rint(np.nan_to_num(project(self.depth, joints), nan=-1)).astype(np.int64)
        inside = (pixels >= 0).all(axis=-1) & (pixels < [self.depth.width, self.depth.height]).all(axis=-1)
        surface = depth[pixels[inside, 1], pixels[inside, 0]]
        behind = joints[inside, 2] - surface
        return int(((surface > 0) & (behind >= _BEHIND[0]) & (behind <= _BEHIND[1])).sum())


def read_calibration(sequence: Path, node: int) -> KinectCalibration:
    """Kinect ``node`` (1 to 10) from ``kcalibration_SEQ.json`` and ``calibration_SEQ.json``.

    Raises:
        DataError: a file or a value in it is missing.
    """
    kinects_path = sequence / f"kcalibration_{sequence.name}.json"
    sensors = value_of(kinects_path, read_json(kinects_path), "sensors")
    if not 1 <= node <= len(sensors):
        raise DataError(f"{kinects_path}: there is no Kinect {node}, there are 1 to {len(sensors)}")
    sensor = sensors[node - 1]
    return KinectCalibration(
        depth=_camera(kinects_path, sensor, "depth"),
        colour=_camera(kinects_path, sensor, "color"),
        m_depth=array_of(kinects_path, sensor, "M_depth", (4, 4)),
        m_color=array_of(kinects_path, sensor, "M_color", (4, 4)),
        world=_extrinsics(sequence / f"calibration_{sequence.name}.json", f"50_{node:02d}"),
    )


def _camera(path: Path, sensor: object, kind: str) -> Camera:
    k = array_of(path, sensor, f"K_{kind}", (3, 3))
    distortion = array_of(path, sensor, f"distCoeffs_{kind}", (-1,))
    if len(distortion) < _COEFFICIENTS:
        raise DataError(f"{path}: key 'distCoeffs_{kind}' has {len(distortion)} numbers, expected at least 5")
    return Camera(
        fx=float(k[0, 0]),
        fy=float(k[1, 1]),
        cx=float(k[0, 2]),
        cy=float(k[1, 2]),
        width=int(value_of(path, sensor, f"{kind}_width")),
        height=int(value_of(path, sensor, f"{kind}_height")),
        distortion=tuple(distortion[:_COEFFICIENTS].tolist()),
    )


def _extrinsics(path: Path, name: str) -> NDArray[np.float64]:
    for camera in value_of(path, read_json(path), "cameras"):
        if camera.get("name") == name:
            matrix = np.eye(4)
            matrix[:3, :3] = array_of(path, camera, "R", (3, 3))
            matrix[:3, 3] = array_of(path, camera, "t", (3,))
            return matrix
    raise DataError(f"{path}: key 'cameras' has no '{name}'; take the calibration of this sequence")


def _moved(matrix: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(points @ matrix[:3, :3].T + matrix[:3, 3])
