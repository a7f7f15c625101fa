"""People of a batch with poses and places: no two stand in one place, groups touch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_training.errors import SyntheticError
from unipose_training.synthetic.batch.layout import Slot, arms_of
from unipose_training.synthetic.poses.sampler import Drawn, PoseSampler
from unipose_training.synthetic.poses.skeletons import body_spheres, overlap, turned
from unipose_training.synthetic.variety.cameras import KINDS

Array = NDArray[np.float64]


Integers = NDArray[np.int64]
#: Meters that people who touch may be in each other: clothes give way. Embracing arms lie close.
_SOFT = {"beside": 0.03, "behind": 0.0, "embrace": 0.08, "": 0.0}
#: Meters between people who have nothing to do with each other.
_APART = 0.05
_PUSHES = 6


@dataclass(frozen=True, eq=False)
class Placed:
    """N people in the world.

    Attributes:
        slots: what they were drawn for.
        frames, body: (N,).
        drawn: their poses.
        places: (N, 2) meters, hips.
        headings: (N,) radians.
        middles: (N, S, 3) spheres of the bodies in the world, above the floor; good to some centimeters.
        radii: (N, S).
    """

    slots: list[Slot]
    frames: Integers
    body: Integers
    drawn: Drawn
    places: Array
    headings: Array
    middles: Array
    radii: Array

    def __len__(self) -> int:
        return len(self.slots)


def place_people(
    rng: np.random.Generator, sampler: PoseSampler, slots: Sequence[Slot], yaws: Array, heights: Array, arms: float
) -> Placed:
    """Draw bodies and poses for all people and put them where they are to be; who fits nowhere is left out.

    Args:
        yaws, heights: (F,) of the cameras.
        arms: see :meth:`~unipose_training.synthetic.poses.sampler.PoseSampler.draw`.
    """
    count = len(slots)
    frames = np.array([slot.frame for slot in slots], np.int64)
    body = rng.integers(len(sampler.skeletons.heads), size=count)
    bearing = np.array([slot.bearing for slot in slots]) + (yaws[frames] if count else 0.0)
    distance = np.array([slot.distance for slot in slots])
    facing = np.array([slot.facing for slot in slots])
    # The camera as each person sees it; hips are about 0.9 m high.
    towards = np.stack([distance * np.sin(facing), -distance * np.cos(facing), _levels(heights, frames)], axis=-1)
    drawn = sampler.draw(rng, body, towards.reshape(count, 3), [slot.mix for slot in slots], arms_of(slots), arms)
    headings = bearing - np.pi / 2 - facing
    places = distance[:, None] * np.stack([np.cos(bearing), np.sin(bearing)], axis=-1).reshape(count, 2)
    middles, radii = body_spheres(sampler.skeletons, body, drawn.turns)
    middles = turned(middles, headings) - np.array([0.0, 0.0, 1.0]) * drawn.floor[:, None, None]
    kept = _separated(rng, slots, frames, places, headings, middles, radii, sampler.skeletons.girth[body])
    middles[..., :2] += places[:, None]
    rows = np.flatnonzero(kept).tolist()
    some = Drawn(drawn.poses[rows], drawn.families[rows], drawn.turns[rows], drawn.gestures[rows], drawn.floor[rows])
    return Placed(
        [slots[row] for row in rows], frames[rows], body[rows], some, places[rows], headings[rows], middles[rows],
        radii[rows],
    )  # fmt: skip


def _levels(heights: Array, frames: Integers) -> Array:
    return heights[frames] - 0.9 if len(frames) else np.zeros(0)


def _separated(
    rng: np.random.Generator, slots: Sequence[Slot], frames: Integers, places: Array, headings: Array, middles: Array,
    radii: Array, girth: Array,
) -> NDArray[np.bool_]:  # fmt: skip
    """(N,) who can stay; moves places in place."""
    kept = np.ones(len(slots), bool)
    for row, slot in enumerate(slots):
        if slot.anchor >= 0 and kept[slot.anchor]:
            places[row] = _beside(rng, slot, places[slot.anchor], headings[slot.anchor], girth[[slot.anchor, row]])
        others = [other for other in range(row) if frames[other] == frames[row] and kept[other]]
        kept[row] = _pushed(slots, row, others, places, middles, radii)
    return kept


def _beside(rng: np.random.Generator, slot: Slot, anchor: Array, heading: float, girth: Array) -> Array:
    """(2,) a first guess of where the second person stands: closer than two bodies fit, to be pushed apart."""
    ahead = np.array([np.sin(heading), -np.cos(heading)])
    if slot.relation == "embrace":
        return np.asarray(anchor + (girth[:, 1].sum() + 0.02) * ahead)
    if slot.relation == "behind":
        away = anchor / max(float(np.linalg.norm(anchor)), 1e-6)
        aside = float(rng.choice([-1.0, 1.0])) * float(rng.uniform(0.08, 0.4))
        return np.asarray(anchor + float(rng.uniform(0.25, 0.9)) * away + aside * np.array([-away[1], away[0]]))
    side = float(rng.choice([-1.0, 1.0])) * np.array([-ahead[1], ahead[0]])
    return np.asarray(anchor + float(rng.uniform(0.26, 0.5)) * side + float(rng.normal(0, 0.06)) * ahead)


def _pushed(
    slots: Sequence[Slot], row: int, others: Sequence[int], places: Array, middles: Array, radii: Array
) -> bool:
    """Push a person away from those who are in the way, in place; whether that was enough."""
    slot = slots[row]
    for _ in range(_PUSHES):
        worst = 0.0
        for other in others:
            close = slot.anchor == other
            if np.linalg.norm(places[row] - places[other]) > 2.6:
                continue
            allowed = _SOFT[slot.relation] if close else -_APART
            here = (middles[row] + [*places[row], 0.0], radii[row])
            there = (middles[other] + [*places[other], 0.0], radii[other])
            into = overlap(here, there) - allowed
            if into > 0.01:
                worst = max(worst, into)
                way = places[row] - places[other]
                if not close:
                    # Strangers make way along the camera's view, not across it.
                    way = way + 0.5 * places[row] / max(float(np.linalg.norm(places[row])), 1e-6)
                places[row] += (into + 0.005) * way / max(float(np.linalg.norm(way)), 1e-6)
        if worst <= 0.02:
            return True
    return worst <= 0.06


# Cameras of robots: how high, which way, how tilted.

#: Meters between which most robots' cameras are, and the fraction of those that are anywhere in the range.
_USUAL, _UNUSUAL = (0.3, 1.8), 0.25
#: Radians: no camera is tilted further.
_STEEPEST = np.radians(45)
_ROLL = np.radians(30)


#: How far copies of a mounting differ: meters, degrees, fraction of the focal length.
_HEIGHT_STD, _ANGLE_STD, _FOCAL_STD = 0.06, 2.5, 0.02


@dataclass(frozen=True)
class Mounting:
    """One robot's camera, among those of all others.

    Attributes:
        fraction: of the frames that it has; 0 for none.
        height: above the floor, meters.
        pitch, roll: degrees; pitch is down.
        focal: focal length as a fraction of the image's width.

    Raises:
        SyntheticError: a number is out of range.
    """

    fraction: float = 0.0
    height: float = 1.0
    pitch: float = 0.0
    roll: float = 0.0
    focal: float = 0.9

    def __post_init__(self) -> None:
        if not (0 <= self.fraction <= 1 and self.height > 0 and self.focal > 0 and abs(self.pitch) < 90):
            raise SyntheticError(
                f"stream.draw.mounting = {self}: fraction within [0, 1], height and focal above 0, pitch within 90"
            )


@dataclass(frozen=True, eq=False)
class Standpoints:
    """F cameras: (F,) each.

    Attributes:
        focal: pixels.
        half_view, half_height: radians, half of the field of view.
        height: meters.
        yaw, pitch, roll: radians; pitch is down.
        tilted: which of them are tilted or rolled far.
    """

    focal: Array
    half_view: Array
    half_height: Array
    height: Array
    yaw: Array
    pitch: Array
    roll: Array
    tilted: NDArray[np.bool_]


def draw_standpoints(
    rng: np.random.Generator, size: tuple[int, int], cameras: tuple[str, ...], levels: tuple[float, float],
    tilted: float, frames: int,
) -> Standpoints:  # fmt: skip
    """Cameras before it is known what they look at.

    Args:
        size: width and height in pixels.
        cameras: kinds, see :data:`unipose_training.synthetic.variety.cameras.KINDS`.
        levels: meters, lowest and highest.
        tilted: fraction of frames.
    """
    kinds = [KINDS[cameras[number]] for number in rng.integers(len(cameras), size=frames)]
    # Images of another shape than the sensor's are cut from its middle; one held upright is turned.
    wide, high = size
    sizes = [(kind.width, kind.height) if wide >= high else (kind.height, kind.width) for kind in kinds]
    scale = np.array([max(wide / w, high / h) for w, h in sizes])
    focal = np.array([kind.focal for kind in kinds]) * scale * rng.uniform(0.98, 1.02, frames)
    low, top = (float(np.clip(limit, *levels)) for limit in _USUAL)
    height = np.where(rng.random(frames) < _UNUSUAL, rng.uniform(*levels, frames), rng.uniform(low, top, frames))
    tilts = rng.random(frames) < tilted
    extreme = np.where(
        rng.random(frames) < 0.5, rng.uniform(levels[0], low + 0.4, frames), rng.uniform(top, levels[1], frames)
    )
    height = np.where(tilts & (rng.random(frames) < 0.6), np.clip(extreme, *levels), height)
    roll = np.where(tilts & (rng.random(frames) < 0.7), rng.uniform(-_ROLL, _ROLL, frames), rng.normal(0, 0.03, frames))
    # Robots' cameras are tilted towards people's middles, about 1 m above the floor.
    pitch = np.arctan2(height - 1.0, 3.0) + rng.normal(0, 0.08, frames)
    return Standpoints(
        focal, np.arctan(wide / 2 / focal), np.arctan(high / 2 / focal), height, rng.uniform(-np.pi, np.pi, frames),
        pitch, roll, tilts,
    )  # fmt: skip


def aimed(rng: np.random.Generator, stand: Standpoints, kinds: NDArray[np.str_], people: Placed) -> Standpoints:
    """Turn cameras to the first person of their scene; so far past it that it is cut where that is asked for."""
    height, yaw, pitch = stand.height.copy(), stand.yaw.copy(), stand.pitch.copy()
    for frame, kind in enumerate(kinds):
        rows = np.flatnonzero(people.frames == frame)
        if not len(rows):
            continue
        first = int(rows[0])
        points, place = people.middles[first], people.places[first]
        distance = max(float(np.linalg.norm(place)), 0.3)
        top = float(points[:, 2].max())
        if kind == "close" and rng.random() < 0.75:
            # Robots that come this close have their camera between chest and eyes.
            height[frame] = max(top + float(rng.uniform(-0.75, 0.1)), 0.2)
        goal = float(points[int(rng.integers(len(points))), 2])
        if kind == "close":
            goal = top - float(rng.uniform(0.1, 0.6))
        look = np.arctan2(height[frame] - goal, distance)
        if kind == "border":
            turn = float(rng.uniform(0.75, 1.12))
            side = int(rng.integers(4))
            if side < 2:
                yaw[frame] += (1 - 2 * side) * turn * stand.half_view[frame]
                pitch[frame] = look + float(rng.normal(0, 0.1)) * stand.half_height[frame]
            else:
                middle = np.arctan2(height[frame] - top / 2, distance)
                pitch[frame] = middle + (5 - 2 * side) * float(rng.uniform(0.5, 1.0)) * stand.half_height[frame]
        elif kind == "close" or stand.tilted[frame] or rng.random() < 0.5:
            pitch[frame] = look + float(rng.normal(0, 0.22)) * stand.half_height[frame]
        pitch[frame] = np.clip(pitch[frame], -_STEEPEST, _STEEPEST)
    return Standpoints(stand.focal, stand.half_view, stand.half_height, height, yaw, pitch, stand.roll, stand.tilted)


def mounted(rng: np.random.Generator, stand: Standpoints, mounting: Mounting, width: int, height: int) -> Standpoints:
    """The same, with a part of the cameras as one robot has them; these are not turned to people.

    Args:
        stand: cameras as they are turned to people.
        width, height: of the images, pixels.
    """
    frames = len(stand.yaw)
    chosen = rng.random(frames) < mounting.fraction
    focal = np.where(chosen, mounting.focal * width * (1 + rng.normal(0, _FOCAL_STD, frames)), stand.focal)
    angles = np.radians(_ANGLE_STD * rng.normal(0, 1, (2, frames)) + [[mounting.pitch], [mounting.roll]])
    level = np.maximum(mounting.height + rng.normal(0, _HEIGHT_STD, frames), 0.1)
    return Standpoints(
        focal,
        np.arctan(width / 2 / focal),
        np.arctan(height / 2 / focal),
        np.where(chosen, level, stand.height),
        stand.yaw,
        np.where(chosen, angles[0], stand.pitch),
        np.where(chosen, angles[1], stand.roll),
        stand.tilted & ~chosen,
    )


def rotations(yaw: Array, pitch: Array, roll: Array) -> Array:
    """(F, 3, 3) world -> optical; pitch is down."""
    zero = np.zeros_like(yaw)
    forward = np.stack([np.cos(pitch) * np.cos(yaw), np.cos(pitch) * np.sin(yaw), -np.sin(pitch)], axis=1)
    level = np.stack([np.sin(yaw), -np.cos(yaw), zero], axis=1)
    down = np.cross(forward, level)
    c, s = np.cos(roll)[:, None], np.sin(roll)[:, None]
    return np.stack([c * level + s * down, c * down - s * level, forward], axis=1)
