"""Furniture and things in rooms, off what people and cameras need; walls close behind people."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unipose_training.synthetic.batch.objects import LIKE_PEOPLE, OBJECTS, draw_object, footprint, placed_boxes
from unipose_training.synthetic.batch.placing import Placed
from unipose_training.synthetic.batch.standpoints import Standpoints

Array = NDArray[np.float64]
Group = tuple[Array, Array, Array]
_NAMES = tuple(OBJECTS)
#: Meters that things leave free around people, and around the camera.
_CLEAR, _CLEAR_CAMERA = 0.03, 0.3
#: Meters from the camera to the middle of the nearest thing.
_NEAREST_THING = 0.6
_TRIES = 4
#: Fraction of things that may stand in front of the first person.
_IN_FRONT = 0.2


def draw_rooms(
    rng: np.random.Generator, stand: Standpoints, kinds: NDArray[np.str_], people: Placed
) -> tuple[Array, Array]:
    """(F, 3) low and high corners of the rooms: round all people, and close behind those who stand at a wall."""
    frames = len(kinds)
    low = np.column_stack([-rng.uniform(2.2, 7.0, (frames, 2)), np.zeros(frames)])
    high = np.column_stack([rng.uniform(2.2, 7.0, (frames, 2)), rng.uniform(2.3, 3.6, frames)])
    for frame, kind in enumerate(kinds):
        rows = np.flatnonzero(people.frames == frame)
        if not len(rows):
            continue
        outer = people.middles[rows] + people.radii[rows][..., None]
        inner = people.middles[rows] - people.radii[rows][..., None]
        far, near = outer.max(axis=(0, 1)), inner.min(axis=(0, 1))
        if kind == "wall" or rng.random() < 0.12:
            # The wall that the camera looks at most squarely.
            look = np.array([np.cos(stand.yaw[frame]), np.sin(stand.yaw[frame])])
            axis = int(np.argmax(np.abs(look)))
            hips = people.places[rows, axis]
            gap = float(rng.uniform(0.2, 0.6))
            if look[axis] > 0:
                high[frame, axis] = max(float(hips.max()) + gap, float(far[axis]) + 0.01)
            else:
                low[frame, axis] = min(float(hips.min()) - gap, float(near[axis]) - 0.01)
        high[frame, :2] = np.maximum(high[frame, :2], far[:2] + 0.01)
        low[frame, :2] = np.minimum(low[frame, :2], near[:2] - 0.01)
        high[frame, 2] = max(high[frame, 2], float(far[2]) + 0.02)
    high[:, 2] = np.maximum(high[:, 2], stand.height + 0.1)
    return low, high


def furnish(
    rng: np.random.Generator, stand: Standpoints, kinds: NDArray[np.str_], rooms: tuple[Array, Array], people: Placed,
    most: int, like_people: float, reach: float,
) -> list[tuple[int, Group]]:  # fmt: skip
    """Things on the floor of all rooms, with the number of the frame; more of them where there is no person.

    Args:
        most: largest number of things in a frame.
        like_people: fraction of things that are easily taken for people.
        reach: meters, most distance of things.
    """
    things: list[tuple[int, Group]] = []
    for frame, kind in enumerate(kinds):
        empty = kind == "empty"
        count = int(rng.integers(min(2, most), most + 1)) if empty else int(rng.integers(most + 1))
        rows = np.flatnonzero(people.frames == frame)
        spheres = np.concatenate([people.middles[rows].reshape(-1, 3), people.radii[rows].reshape(-1, 1)], axis=1)
        taken: list[tuple[float, float, float]] = []
        seen = people.places[rows[0]] if len(rows) else None
        for _ in range(count):
            alike = rng.random() < max(like_people, 0.7 if empty else 0.0)
            name = LIKE_PEOPLE[int(rng.integers(len(LIKE_PEOPLE)))] if alike else _NAMES[int(rng.integers(len(_NAMES)))]
            boxes = draw_object(rng, name)
            kept_clear = None if rng.random() < _IN_FRONT else seen
            room = (rooms[0][frame], rooms[1][frame])
            found = _placed(rng, stand, frame, room, boxes, spheres, taken, reach, kept_clear)
            if found is not None:
                things.append((frame, found))
    return things


def _placed(
    rng: np.random.Generator, stand: Standpoints, frame: int, room: tuple[Array, Array], boxes: Array, spheres: Array,
    taken: list[tuple[float, float, float]], reach: float, seen: Array | None,
) -> Group | None:  # fmt: skip
    size = footprint(boxes)
    for _ in range(_TRIES):
        bearing = stand.yaw[frame] + stand.half_view[frame] * float(rng.uniform(-1.15, 1.15))
        direction = np.array([np.cos(bearing), np.sin(bearing)])
        wall = np.where(direction > 0, room[1][:2], room[0][:2]) / np.where(direction == 0, 1e-12, direction)
        # A camera that nearly touches the wall it looks at leaves no room in that direction.
        distance = float(rng.uniform(_NEAREST_THING, max(min(float(wall.min()), reach), _NEAREST_THING)))
        x, y = distance * direction
        # Against a wall things turn their back to it.
        yaw = float(rng.uniform(-np.pi, np.pi))
        inside = room[0][0] + size < x < room[1][0] - size and room[0][1] + size < y < room[1][1] - size
        if not inside:
            x, y = (float(np.clip(v, room[0][a] + size, room[1][a] - size)) for a, v in ((0, x), (1, y)))
            if room[1][0] - room[0][0] < 2 * size or room[1][1] - room[0][1] < 2 * size:
                continue
            yaw = float(rng.integers(4)) * np.pi / 2
        if np.hypot(x, y) < size + _CLEAR_CAMERA:
            continue
        if seen is not None and _hides(x, y, size, seen):
            continue
        if any(np.hypot(a - x, b - y) < 0.75 * (size + r) for a, b, r in taken):
            continue
        group = placed_boxes(boxes, x, y, yaw)
        if len(spheres) and _in_people(group, spheres):
            continue
        taken.append((x, y, size))
        return group
    return None


def _hides(x: float, y: float, size: float, seen: Array) -> bool:
    """Whether a thing of a radius stands between the camera and a place."""
    far, near = float(np.hypot(*seen)), float(np.hypot(x, y))
    if near > far:
        return False
    apart = abs((np.arctan2(y, x) - np.arctan2(seen[1], seen[0]) + np.pi) % (2 * np.pi) - np.pi)
    return bool(apart < np.arctan2(0.6 * size, near) + np.arctan2(0.3, far))


def _in_people(group: Group, spheres: Array) -> bool:
    """Whether any box reaches into any sphere."""
    middles, sizes, yaws = group
    off = spheres[:, None, :3] - middles[None]
    c, s = np.cos(yaws), np.sin(yaws)
    local = np.stack([c * off[..., 0] + s * off[..., 1], c * off[..., 1] - s * off[..., 0], off[..., 2]], axis=-1)
    outside = np.maximum(np.abs(local) - sizes / 2, 0.0)
    return bool((np.linalg.norm(outside, axis=-1) < spheres[:, None, 3] + _CLEAR).any())
