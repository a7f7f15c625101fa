"""Render people walking about in a room, with the 3D ground truth of every frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from unipose_ros.camera import Camera
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_training.synthetic.body import Shape, load_body
from unipose_training.synthetic.lighting import Lighting, render_color
from unipose_training.synthetic.materials import Color, Material, Surface, box
from unipose_training.synthetic.motion import Motion, Oval, retarget, stroll
from unipose_training.synthetic.motion_files import read_deepmimic
from unipose_training.synthetic.photograph import FIRST_STAMP_NS, FRAME_ID, true_skeletons
from unipose_training.synthetic.renderer import Scene, look_at, render_depth
from unipose_training.synthetic.sensors.effects import hidden_from
from unipose_training.synthetic.wardrobe import DressedPerson, Outfit, dress

# The people of the demo: who they are, what they wear and where they walk.


@dataclass(frozen=True)
class Walker:
    """A person, with clothes and a way.

    Attributes:
        id: as in the true skeletons.
        path: where to walk.
        phase: of the walking cycle at the beginning.
    """

    id: str
    shape: Shape
    outfit: Outfit
    path: Oval
    phase: float


WALKERS = (
    Walker(
        id="annab",
        shape=Shape(gender=1.0, height=0.43, weight=0.45),
        outfit=Outfit(
            suit="female_casualsuit01", shoes="shoes04", hair="ponytail01",
            skin=Material((0.86, 0.67, 0.56), grain=0.03),
            top=Material((0.80, 0.28, 0.24), (0.93, 0.90, 0.86), "stripes", 0.07, grain=0.06),
            bottom=Material((0.18, 0.24, 0.38), grain=0.1),
            footwear=Material((0.90, 0.89, 0.87)),
            hair_look=Material((0.33, 0.20, 0.11), grain=0.4, grain_size=0.012),
        ),
        path=Oval((0.0, 3.35), (1.15, 0.80), start=-2.2, laps=1.0),
        phase=0.0,
    ),
    Walker(
        id="berto",
        shape=Shape(gender=0.0, height=0.41, weight=0.5, muscle=0.55),
        outfit=Outfit(
            suit="male_casualsuit04", shoes="shoes01", hair="short02",
            skin=Material((0.66, 0.46, 0.34), grain=0.03),
            top=Material((0.24, 0.47, 0.42), grain=0.08),
            bottom=Material((0.62, 0.56, 0.45), grain=0.08),
            footwear=Material((0.22, 0.14, 0.10)),
            hair_look=Material((0.08, 0.06, 0.05), grain=0.4, grain_size=0.012),
        ),
        path=Oval((0.0, 3.35), (1.20, 0.85), start=0.95, laps=1.0),
        phase=0.35,
    ),
)  # fmt: skip


# A living room for people to walk about in.

_WHITE = Material((0.93, 0.92, 0.89), grain=0.02)
_WOOD = Material((0.62, 0.45, 0.30), (0.45, 0.31, 0.19), "planks", 0.12, grain=0.05)
_DARK_WOOD = Material((0.30, 0.21, 0.15), grain=0.08, grain_size=0.05)


def living_room(rng: np.random.Generator, depth: float = 5.6, width: float = 7.0, height: float = 2.7) -> list[Surface]:
    """Floor, walls, a sofa, shelves, an image, a lamp and a rug.

    The camera stands at the origin of the floor and looks along +y; the back wall is at y = ``depth``.

    Args:
        rng: decides colors and the books.
    """
    wall = Material(
        _one_of(rng, ((0.78, 0.80, 0.78), (0.80, 0.77, 0.72), (0.72, 0.77, 0.82))), grain=0.025, grain_size=0.3
    )
    shell = [
        box((0, depth / 2, -0.05), (width, depth + 4, 0.1), _WOOD),
        box((0, depth + 0.05, height / 2), (width, 0.1, height), wall),
        box((-width / 2, depth / 2, height / 2), (0.1, depth + 4, height), wall),
        box((width / 2, depth / 2, height / 2), (0.1, depth + 4, height), wall),
        box((0, depth / 2, height + 0.05), (width, depth + 4, 0.1), _WHITE),
        box((0, depth - 0.01, 0.05), (width, 0.02, 0.1), _WHITE),
    ]
    return [*shell, *_sofa(rng, depth), *_shelf(rng, depth), *_image(depth), *_floor_lamp(depth), *_rug(depth)]


def _one_of(rng: np.random.Generator, colors: tuple[Color, ...]) -> Color:
    return colors[rng.integers(len(colors))]


def _sofa(rng: np.random.Generator, depth: float) -> list[Surface]:
    cloth = Material(_one_of(rng, ((0.33, 0.40, 0.46), (0.42, 0.38, 0.34), (0.30, 0.42, 0.36))), grain=0.1)
    cushion = Material((0.80, 0.62, 0.28), grain=0.1)
    y, x = depth - 0.55, -1.35
    return [
        box((x, y, 0.22), (1.9, 0.85, 0.36), cloth),
        box((x, y + 0.33, 0.55), (1.9, 0.2, 0.6), cloth),
        box((x - 0.97, y, 0.32), (0.18, 0.85, 0.56), cloth),
        box((x + 0.97, y, 0.32), (0.18, 0.85, 0.56), cloth),
        box((x + 0.55, y + 0.1, 0.55), (0.42, 0.14, 0.36), cushion, yaw=0.15),
    ]


def _shelf(rng: np.random.Generator, depth: float) -> list[Surface]:
    x, y, wide, high = 1.75, depth - 0.17, 1.1, 1.9
    parts = [box((x + side * wide / 2, y, high / 2), (0.03, 0.32, high), _DARK_WOOD) for side in (-1, 1)]
    parts += [box((x, y + 0.15, high / 2), (wide, 0.02, high), _DARK_WOOD)]
    for level in np.linspace(0.06, high, 5):
        parts.append(box((x, y, level), (wide, 0.32, 0.03), _DARK_WOOD))
    for level in np.linspace(0.06, high, 5)[:-1]:
        parts += _books(rng, x - wide / 2 + 0.05, x + wide / 2 - 0.05, y, level + 0.015)
    return parts


def _books(rng: np.random.Generator, start: float, end: float, y: float, level: float) -> list[Surface]:
    books, at = [], start
    fill = rng.uniform(0.5, 1.0)
    while at < start + fill * (end - start) - 0.06:
        wide, high = rng.uniform(0.025, 0.06), rng.uniform(0.2, 0.32)
        r, g, b = (float(c) for c in rng.uniform(0.15, 0.75, 3))
        books.append(box((at + wide / 2, y + 0.02, level + high / 2), (wide * 0.94, 0.2, high), Material((r, g, b))))
        at += wide
    return books


def _image(depth: float) -> list[Surface]:
    canvas = Material((0.86, 0.83, 0.75), (0.25, 0.42, 0.55), "stripes", 0.34, grain=0.2, grain_size=0.08)
    return [
        box((-1.3, depth - 0.02, 1.62), (1.0, 0.03, 0.7), _DARK_WOOD),
        box((-1.3, depth - 0.035, 1.62), (0.9, 0.02, 0.6), canvas),
    ]


def _floor_lamp(depth: float) -> list[Surface]:
    x, y = 0.45, depth - 0.45
    metal, shade = Material((0.18, 0.18, 0.19), grain=0.02), Material((0.93, 0.86, 0.70), grain=0.03)
    return [
        box((x, y, 0.015), (0.3, 0.3, 0.03), metal),
        box((x, y, 0.72), (0.025, 0.025, 1.4), metal),
        box((x, y, 1.52), (0.34, 0.34, 0.3), shade, yaw=0.5),
    ]


def _rug(depth: float) -> list[Surface]:
    x, y = 0.0, depth - 2.2
    border, field = Material((0.74, 0.66, 0.55), grain=0.15), Material((0.50, 0.20, 0.18), grain=0.18)
    return [box((x, y, 0.004), (2.9, 1.9, 0.008), border), box((x, y, 0.005), (2.6, 1.6, 0.010), field)]


# What the demo's depth camera makes of the true depth; :mod:`~.sensors` has models of products. It stays beside them:
# the recording ``demo/walk`` was made with it, and so were the figures that are told of it.
#
# A triangulating camera (structured light or stereo) measures disparity ``d = f b / z``: its noise
# is even in d and so grows with the square of the distance (Khoshelham and Elberink 2012). Between
# its two eyes or eye and projector lies a baseline b: what only one of them sees has no reading.

Depth = NDArray[np.float32]


@dataclass(frozen=True)
class DepthSensor:
    """Properties of a triangulating depth camera.

    Attributes:
        baseline: meters between the eyes; the second is to the right.
        noise: standard deviation of the disparity in pixels.
        noise_size: pixels over which the noise is correlated: the matching window.
        step: pixels, the smallest difference of disparity that is told apart.
        edge_loss: share of the pixels beside a jump in depth that give nothing.
        nearest, farthest: meters.
    """

    baseline: float = 0.05
    noise: float = 0.015
    noise_size: float = 4.0
    step: float = 1 / 16
    edge_loss: float = 0.5
    nearest: float = 0.4
    farthest: float = 8.0


def measure(depth: Depth, camera: Camera, sensor: DepthSensor, rng: np.random.Generator) -> Depth:
    """True depth (H, W) in meters, 0 for nothing -> measured depth, 0 for no reading."""
    known = depth > 0
    disparity = camera.fx * sensor.baseline / np.where(known, depth, 1).astype(np.float64)
    disparity += sensor.noise * _correlated(depth.shape, sensor.noise_size, rng)
    disparity = np.rint(disparity / sensor.step) * sensor.step
    measured = camera.fx * sensor.baseline / np.maximum(disparity, sensor.step)
    lost = ~known | hidden_from(depth, camera, sensor.baseline) | _lost_at_edges(depth, sensor, rng)
    lost |= (measured < sensor.nearest) | (measured > sensor.farthest)
    return np.where(lost, 0, measured).astype(np.float32)


def _correlated(shape: tuple[int, ...], size: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Gaussian noise of unit variance, smooth over ``size`` pixels."""
    smooth = cv2.GaussianBlur(rng.normal(size=shape), (0, 0), size)
    return np.asarray(smooth / smooth.std())


def _lost_at_edges(depth: Depth, sensor: DepthSensor, rng: np.random.Generator) -> NDArray[np.bool_]:
    kernel = np.ones((3, 3), np.uint8)
    jump = cv2.dilate(depth, kernel) - cv2.erode(depth, kernel) > 0.06 * np.maximum(depth, 0.5)
    return np.asarray(jump & (_correlated(depth.shape, 1.0, rng) < ndtri(sensor.edge_loss)))


CAMERA = Camera(fx=525.0, fy=525.0, cx=319.5, cy=239.5, width=640, height=480)
VIEW = look_at((0.0, -0.35, 1.35), (0.0, 3.4, 0.92))
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
        stamp_ns=FIRST_STAMP_NS + age,
        frame_id=FRAME_ID,
        camera=CAMERA,
        depth=measure(ideal, CAMERA, settings.sensor, rng),
        color=render_color(scene, CAMERA, VIEW, settings.lighting, rng),
    )
    joints = VIEW.to_camera(np.stack([person.joints[number] for person in people]))
    ids = [walker.id for walker in walkers]
    ground_truth = true_skeletons(frame.stamp_ns, FRAME_ID, joints, ids, CAMERA, ideal, owners, age_ns=age)
    return SyntheticFrame(frame, ground_truth, ideal, owners)
