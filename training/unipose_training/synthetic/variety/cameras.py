"""Robots' depth cameras: intrinsics, the sensor behind them, and where they look from.

Figures: nominal intrinsics of color and depth registered to each other, as drivers publish them.
Kinect v1 and Astra: openni_launch (525, 570). Kinect v2: kinect2_bridge's ``sd`` topics (365.5).
Azure Kinect and Femto Bolt: narrow unbinned mode, 75 x 65 degrees (Microsoft's hardware page).
D435 and D455: color at 640 x 480, field of view 69 and 90 degrees wide at 16:9 (Intel's data
sheet). ZED 2: VGA, Stereolabs' calibration page. Every camera's own copy differs by 2 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unipose_ros.camera import Camera
from unipose_training.errors import SyntheticError
from unipose_training.synthetic.renderer import View


@dataclass(frozen=True)
class CameraKind:
    """A product: focal length and size in pixels, and the kind of its depth sensor."""

    focal: float
    width: int
    height: int
    sensor: str


KINDS: dict[str, CameraKind] = {
    "kinect_v1": CameraKind(525.0, 640, 480, "structured_light"),
    "astra": CameraKind(570.3, 640, 480, "structured_light"),
    "kinect_v2": CameraKind(365.5, 512, 424, "time_of_flight"),
    "azure_kinect": CameraKind(504.0, 640, 576, "time_of_flight"),
    "femto_bolt": CameraKind(506.0, 640, 576, "time_of_flight"),
    "d435": CameraKind(615.0, 640, 480, "stereo"),
    "d455": CameraKind(386.0, 640, 480, "stereo"),
    "zed2": CameraKind(264.0, 672, 376, "stereo"),
}


@dataclass(frozen=True)
class CameraPlan:
    """One camera and how it is held.

    Attributes:
        kind: one of :data:`KINDS`.
        intrinsics: fx, fy, cx, cy.
        height: above the floor, meters.
        yaw, tilt, roll: radians; yaw to the right of +y, tilt downwards.
        upright: held upright: images are taller than wide, with the lens' focal length.
        drift: meters a second that the robot moves to the right, forward, and radians a second that it turns right.

    Raises:
        SyntheticError: the kind is unknown.
    """

    kind: str
    intrinsics: tuple[float, float, float, float]
    height: float
    yaw: float
    tilt: float
    roll: float = 0.0
    drift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    upright: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SyntheticError(f"camera '{self.kind}': use one of {', '.join(KINDS)}")

    @property
    def moves(self) -> bool:
        """Whether the robot moves."""
        return any(self.drift)

    def camera(self) -> Camera:
        """Intrinsics of all images."""
        kind = KINDS[self.kind]
        fx, fy, cx, cy = self.intrinsics
        wide, high = (kind.height, kind.width) if self.upright else (kind.width, kind.height)
        return Camera(fx=fx, fy=fy, cx=cx, cy=cy, width=wide, height=high)

    def view(self, time_s: float) -> View:
        """Where the camera is."""
        right, forward, turning = self.drift
        yaw = self.yaw + turning * time_s
        position = np.array([right * time_s, forward * time_s, self.height])
        return View(position, _rotation(yaw, self.tilt, self.roll))


def _rotation(yaw: float, tilt: float, roll: float) -> np.ndarray:
    """(3, 3) world -> optical frame."""
    c, s = np.cos(yaw), np.sin(yaw)
    forward = np.array([s * np.cos(tilt), c * np.cos(tilt), -np.sin(tilt)])
    right = np.array([c, -s, 0.0])
    down = np.cross(forward, right)
    return np.stack([np.cos(roll) * right + np.sin(roll) * down, np.cos(roll) * down - np.sin(roll) * right, forward])


def draw_camera(rng: np.random.Generator, kind: str, distance: float, moving: float) -> CameraPlan:
    """A copy of a camera on some robot, looking at people.

    Args:
        distance: meters to the people.
        moving: probability that the robot moves.
    """
    make = KINDS[kind]
    fx = make.focal * float(rng.uniform(0.98, 1.02))
    cx, cy = ((size - 1) / 2 + float(rng.uniform(-8, 8)) for size in (make.width, make.height))
    height = float(rng.uniform(0.3, 1.8))
    # Look at the middle of a body, roughly; a low robot looks up.
    aim = float(rng.uniform(0.75, 1.1))
    tilt = float(np.arctan2(height - aim, distance) + rng.normal(0, 0.03))
    drift = tuple(float(v) for v in rng.uniform(-1, 1, 3) * (0.25, 0.25, 0.2)) if rng.random() < moving else (0.0,) * 3
    return CameraPlan(
        kind=kind,
        intrinsics=(fx, fx * float(rng.uniform(0.997, 1.003)), cx, cy),
        height=height,
        yaw=float(rng.normal(0, 0.05)),
        tilt=tilt,
        roll=float(rng.normal(0, 0.015)),
        drift=(drift[0], drift[1], drift[2]),
    )
