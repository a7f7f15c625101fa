"""Render people walking about in a room, with the 3D ground truth of every frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_training.synthetic.body import load_body
from unipose_training.synthetic.deepmimic import read_deepmimic
from unipose_training.synthetic.ground_truth import true_skeletons
from unipose_training.synthetic.lighting import Lighting, render_color
from unipose_training.synthetic.motion import Motion
from unipose_training.synthetic.renderer import Scene, look_at, render_depth
from unipose_training.synthetic.retarget import retarget
from unipose_training.synthetic.room import living_room
from unipose_training.synthetic.sensor import DepthSensor, measure
from unipose_training.synthetic.stroll import stroll
from unipose_training.synthetic.walkers import WALKERS, Walker
from unipose_training.synthetic.wardrobe import DressedPerson, dress

FRAME_ID = "camera_color_optical_frame"
CAMERA = Camera(fx=525.0, fy=525.0, cx=319.5, cy=239.5, width=640, height=480)
VIEW = look_at((0.0, -0.35, 1.35), (0.0, 3.4, 0.92))
#: An arbitrary acquisition time of the first frame; players can move it to the present.
_FIRST_STAMP_NS = 1_700_000_000_000_000_000
#: Leg length in meters of the DeepMimic humanoid: thigh 0.42, shin 0.41.
_PERFORMER_LEG = 0.83


@dataclass(frozen=True, eq=False)
class SyntheticFrame:
    """A rendered frame: what the camera gives, what is true, and the depth without the sensor's faults."""

    frame: RgbdFrame
    ground_truth: Skeletons
    ideal_depth: NDArray[np.float32]
    owners: NDArray[np.int64]


@dataclass(frozen=True)
class WalkSettings:
    """How to render.

    Attributes:
        seconds, rate_hz: length and frame rate.
        seed: of the room's colors and of all noise.
    """

    seconds: float = 5.6
    rate_hz: float = 15.0
    seed: int = 1
    lighting: Lighting = field(default_factory=Lighting)
    sensor: DepthSensor = field(default_factory=DepthSensor)

    @property
    def frames(self) -> int:
        """Number of frames."""
        return round(self.seconds * self.rate_hz)


def render_walk(
    motions: Path,
    clothes: Path | None = None,
    settings: WalkSettings | None = None,
    walkers: Sequence[Walker] = WALKERS,
) -> Iterator[SyntheticFrame]:
    """Render people walking, frame by frame; the same arguments give the same frames.

    The walkers end where they began, so that the recording can be looped.

    Args:
        motions: the ``pybullet`` wheel, or a folder with ``humanoid3d_walk.txt``.
        clothes: folder of MakeHuman garments; painted clothes without it.

    Raises:
        SyntheticError: motion or garments cannot be read.
    """
    chosen = settings or WalkSettings()
    times = np.arange(chosen.frames + 1) / chosen.rate_hz
    cycle = read_deepmimic(motions, "walk")
    people = [_walk(walker, cycle, times, clothes) for walker in walkers]
    # The last time is the first again.
    return (_photograph(number, float(times[number]), people, walkers, chosen) for number in range(chosen.frames))


def _walk(walker: Walker, cycle: Motion, times: NDArray[np.float64], clothes: Path | None) -> DressedPerson:
    body = load_body()
    skeleton = body.rest_skeleton(walker.shape)
    motion = stroll(cycle, walker.path.points(), times, skeleton.leg_length / _PERFORMER_LEG, walker.phase)
    person = dress(body, body.pose(walker.shape, retarget(motion, skeleton)), walker.outfit, clothes)
    # A walk always has a foot on the floor.
    return person.lifted(-person.lowest())


def _photograph(
    number: int, time_s: float, people: Sequence[DressedPerson], walkers: Sequence[Walker], settings: WalkSettings
) -> SyntheticFrame:
    room = living_room(np.random.default_rng(settings.seed))
    scene = Scene([*room, *(s for i, person in enumerate(people) for s in person.surfaces(number, i + 1))])
    ideal, owners = render_depth(scene, CAMERA, VIEW)
    # Noise of its own for every frame, whatever frames came before.
    rng = np.random.default_rng((settings.seed, number))
    age = round(time_s * 1e9)
    frame = RgbdFrame(
        stamp_ns=_FIRST_STAMP_NS + age,
        frame_id=FRAME_ID,
        camera=CAMERA,
        depth=measure(ideal, CAMERA, settings.sensor, rng),
        color=render_color(scene, CAMERA, VIEW, settings.lighting, rng),
    )
    joints = VIEW.to_camera(np.stack([person.joints[number] for person in people]))
    ids = [walker.id for walker in walkers]
    ground_truth = true_skeletons(frame.stamp_ns, FRAME_ID, joints, ids, CAMERA, ideal, owners, age_ns=age)
    return SyntheticFrame(frame, ground_truth, ideal, owners)
