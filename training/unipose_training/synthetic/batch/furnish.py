"""Furniture and things in rooms, off what people and cameras need; walls close behind people."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from unipose_training.synthetic.bank.posing import BankTensors, PosedPeople, pose_by_turns
from unipose_training.synthetic.batch.objects import (
    LIKE_PEOPLE,
    OBJECTS,
    chair,
    draw_object,
    footprint,
    placed_boxes,
    stool,
)
from unipose_training.synthetic.batch.placing import Placed, Standpoints
from unipose_training.synthetic.poses.bodies import SEATED
from unipose_training.synthetic.poses.kinematics import BONES
from unipose_training.synthetic.poses.skeletons import Skeletons

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


# Things that belong to people: seats under them, boxes before them, bags in their hands and on their backs.

_BONE = {name: number for number, name in enumerate(BONES)}
_SIDES = ("Left", "Right")
#: Meters by which a seat is pressed in.
_PRESSED = 0.015
#: Groups of boxes: middles, sizes, yaws.


def props_of(
    rng: np.random.Generator, tensors: BankTensors, skeletons: Skeletons, people: Placed
) -> list[tuple[int, Group]]:
    """Boxes of all people who need some, with the row of the person."""
    seated = np.isin(people.drawn.families, SEATED)
    needed = np.flatnonzero(seated | np.array([bool(slot.carries) for slot in people.slots], bool))
    if not len(needed):
        return []
    posed = _posed(tensors, people, needed)
    joints = _joints(skeletons, people, needed, posed)
    props: list[tuple[int, Group]] = []
    for number, row in enumerate(needed):
        bones = joints[number]
        if seated[row]:
            height = _seat_height(tensors, int(people.body[row]), posed.vertices[number].double().numpy())
            props.append((int(row), _seat(rng, people, int(row), height, bones)))
        carried = _carried(rng, skeletons, people, int(row), bones)
        if carried is not None:
            props.append((int(row), carried))
    return props


def _posed(tensors: BankTensors, people: Placed, rows: NDArray[np.intp]) -> PosedPeople:
    """Vertices in the world, as the renderer has them."""
    device = tensors.device
    turns = torch.from_numpy(people.drawn.turns[rows].astype(np.float32)).to(device)
    poses = torch.from_numpy(people.drawn.poses[rows]).to(device)
    places = torch.from_numpy(np.column_stack([people.places[rows], np.zeros(len(rows))]).astype(np.float32))
    headings = torch.from_numpy(people.headings[rows].astype(np.float32))
    body = torch.from_numpy(people.body[rows]).to(device)
    with torch.no_grad():
        posed = pose_by_turns(tensors, body, turns, tensors.airborne[poses], places.to(device), headings.to(device))
    return PosedPeople(posed.vertices.cpu(), posed.joints.cpu(), posed.hips.cpu())


def _joints(skeletons: Skeletons, people: Placed, rows: NDArray[np.intp], posed: PosedPeople) -> Array:
    """(K, B, 3) where bones begin, in the world."""
    joints = skeletons.joints(people.body[rows], people.drawn.turns[rows])
    c, s = np.cos(people.headings[rows])[:, None], np.sin(people.headings[rows])[:, None]
    x, y, z = np.moveaxis(joints, -1, 0)
    root = np.column_stack([people.places[rows], posed.hips.double().numpy()])
    return np.asarray(np.stack([c * x - s * y, s * x + c * y, z], axis=-1) + root[:, None])


def _seat_height(tensors: BankTensors, body: int, vertices: Array) -> float:
    """Meters: the lowest place of pelvis and upper thighs."""
    skin = tensors.skin[body]
    strongest = skin.argmax(dim=1).cpu().numpy()
    around = np.isin(strongest, [_BONE[name] for name in ("Hips", "LHipJoint", "RHipJoint")])
    return float(vertices[around, 2].min()) + _PRESSED if around.any() else 0.4


def _seat(rng: np.random.Generator, people: Placed, row: int, height: float, bones: Array) -> Group:
    """A chair where the back has room for it, else a stool or a block."""
    heading = float(people.headings[row])
    ahead = np.array([np.sin(heading), -np.cos(heading)])
    hips = bones[_BONE["Hips"], :2]
    back = float(((bones[_BONE["Spine1"], :2] - hips) * -ahead).sum())
    high = max(height, 0.1)
    if high < 0.3:
        side = float(rng.uniform(0.3, 0.5))
        boxes = np.array([(0.0, 0.0, high / 2, side, side, high)])
    elif back < 0.08 and rng.random() < 0.65:
        boxes = np.array(chair(rng, high))
    elif rng.random() < 0.5:
        boxes = np.array(stool(rng, high))
    else:
        # The edge of a bed, a bench, a table.
        wide, deep = float(rng.uniform(0.8, 2.0)), float(rng.uniform(0.4, 0.9))
        boxes = np.array(
            [
                (0.0, deep / 2 - 0.2, high - 0.06, wide, deep, 0.12),
                (0.0, deep / 2 - 0.15, high / 2, wide * 0.9, deep * 0.7, high),
            ]
        )
    x, y = hips + 0.06 * ahead
    return placed_boxes(boxes, float(x), float(y), heading)


def _carried(rng: np.random.Generator, skeletons: Skeletons, people: Placed, row: int, bones: Array) -> Group | None:
    kind, size = people.slots[row].carries, float(skeletons.size[people.body[row]])
    gestures = people.drawn.gestures[row]
    if kind == "box" and tuple(gestures) == ("carrying", "carrying"):
        return _box(rng, float(skeletons.girth[people.body[row], 1]), size, bones)
    if kind == "backpack":
        return _backpack(rng, float(skeletons.girth[people.body[row], 1]), size, people, row, bones)
    hanging = [side for side, gesture in zip(_SIDES, gestures, strict=True) if gesture in ("hanging", "")]
    if kind in ("bag", "stick") and hanging:
        return _in_hand(rng, kind, size, bones, hanging[int(rng.integers(len(hanging)))])
    return None


def _box(rng: np.random.Generator, depth: float, size: float, bones: Array) -> Group | None:
    wrists = bones[[_BONE["LeftHand"], _BONE["RightHand"]]]
    across = wrists[0] - wrists[1]
    wide = float(np.linalg.norm(across[:2])) - 0.06 * size
    middle = wrists.mean(axis=0)
    trunk = bones[_BONE["Spine"]]
    room = float(np.linalg.norm(middle[:2] - trunk[:2])) - depth
    if wide < 0.1 or room < 0.03:
        return None
    ahead = (middle - trunk)[:2] / max(float(np.linalg.norm((middle - trunk)[:2])), 1e-6)
    # From the belly to beyond the fingers.
    near, far = -0.9 * room, float(rng.uniform(0.1, 0.35)) * size / 0.5
    place = middle[:2] + ahead * (near + far) / 2
    high = float(rng.uniform(0.08, 0.45)) * size / 0.5
    box = np.array([[*place, max(middle[2] + float(rng.uniform(-0.3, 0.3)) * high, high / 2 + 0.02)]])
    return box, np.array([[wide, far - near, high]]), np.array([float(np.arctan2(across[1], across[0]))])


def _backpack(
    rng: np.random.Generator, depth: float, size: float, people: Placed, row: int, bones: Array
) -> Group | None:
    turn = people.drawn.turns[row, _BONE["Spine1"]]
    if turn[2, 2] < 0.85:
        # Boxes stay upright, backs do not.
        return None
    heading = float(people.headings[row]) + float(np.arctan2(turn[1, 0], turn[0, 0]))
    back = np.array([-np.sin(heading), np.cos(heading)])
    thick = float(rng.uniform(0.12, 0.26)) * size / 0.55
    place = bones[_BONE["Spine1"], :2] + (depth + thick / 2 - 0.02) * back
    high = float(rng.uniform(0.35, 0.55)) * size / 0.55
    level = float(bones[_BONE["Spine1"], 2]) + float(rng.uniform(-0.08, 0.06))
    return np.array([[*place, level]]), np.array([[0.3 * size / 0.55, thick, high]]), np.array([heading])


def _in_hand(rng: np.random.Generator, kind: str, size: float, bones: Array, side: str) -> Group | None:
    wrist = bones[_BONE[f"{side}Hand"]]
    hand = wrist + 0.8 * (bones[_BONE[f"{side}FingerBase"]] - wrist)
    if hand[2] < 0.3:
        return None
    if kind == "stick":
        return np.array([[*hand[:2], hand[2] / 2 + 0.03]]), np.array([[0.03, 0.03, hand[2] + 0.06]]), np.zeros(1)
    high = min(float(rng.uniform(0.25, 0.5)) * size / 0.5, float(hand[2]) - 0.1)
    body = [*hand[:2], hand[2] - 0.05 - high / 2]
    handle = [*hand[:2], hand[2] - 0.03]
    sizes = [[float(rng.uniform(0.25, 0.45)), float(rng.uniform(0.1, 0.2)), high], [0.1, 0.03, 0.06]]
    return np.array([body, handle]), np.array(sizes), np.full(2, float(rng.uniform(0, np.pi)))
