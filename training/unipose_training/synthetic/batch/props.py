"""Things that belong to people: seats under them, boxes before them, bags in their hands and on their backs."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from unipose_training.synthetic.bank.posing import BankTensors, PosedPeople, pose_by_turns
from unipose_training.synthetic.batch.objects import chair, placed_boxes, stool
from unipose_training.synthetic.batch.placing import Placed
from unipose_training.synthetic.poses.bodies import SEATED
from unipose_training.synthetic.poses.skeletons import Skeletons
from unipose_training.synthetic.rig import BONES

Array = NDArray[np.float64]
_BONE = {name: number for number, name in enumerate(BONES)}
_SIDES = ("Left", "Right")
#: Meters by which a seat is pressed in.
_PRESSED = 0.015
#: Groups of boxes: middles, sizes, yaws.
Group = tuple[Array, Array, Array]


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
