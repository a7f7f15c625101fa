"""Clips of what fails on real people: arms, floors, people who touch, borders, tilted cameras, empty rooms."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from unipose_training.synthetic.bank.people import PersonPlan, draw_person
from unipose_training.synthetic.batch.objects import LIKE_PEOPLE
from unipose_training.synthetic.lighting import Lighting
from unipose_training.synthetic.poses.gestures import LOW_PAIRS, PAIRS
from unipose_training.synthetic.variety.cameras import KINDS, CameraPlan
from unipose_training.synthetic.variety.furniture import Place, RoomPlan
from unipose_training.synthetic.variety.plans import ClipPlan, Role, Struck
from unipose_training.synthetic.variety.split import Split
from unipose_training.synthetic.variety.staging import Circle, collide, draw_lighting, draw_room, one_of

Rng = np.random.Generator
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_FLOOR = ("floor_sitting", "lying", "kneeling", "half_kneeling", "crouching", "reclining")
_ACTIVE = ("kick", "lunge", "step_over", "bending")
#: Fraction of children.
_CHILDREN = 0.2
#: Meters that a person needs: standing, and on the floor.
_STANDING, _LYING = 0.5, 1.0
#: Meters to where rooms begin to end.
_BEHIND = 2.6


@dataclass(frozen=True)
class _Cast:
    split: Split
    seed: int
    number: int


def draw_hard_clip(split: Split, seed: int, number: int, subset: str, frames: int, rate_hz: float) -> ClipPlan:
    """Clip ``number`` of a set, of one of :data:`~unipose_training.synthetic.variety.plans.HARD_SUBSETS`."""
    rng = np.random.default_rng((seed, number))
    cast = _Cast(split, seed, number)
    distance = float(rng.uniform(0.75, 1.1) if subset == "close" else rng.uniform(1.7, 3.6))
    camera = _camera(rng, split.cameras[number % len(split.cameras)], subset, distance)
    roles = _roles(rng, cast, subset, distance, camera)
    blocked = [(role.x, role.y, _reach(role)) for role in roles]
    # Close to the camera there still is a room behind.
    room = draw_room(rng, split.styles, [*blocked, (0.0, _BEHIND, 0.0)], ())
    room = replace(room, furniture=(*room.furniture, *_like_people(rng, room, blocked, subset)))
    return ClipPlan(
        name=f"clip_{number:04d}",
        seed=int(rng.integers(2**31)),
        subset=subset,
        camera=camera,
        room=replace(room, height=max(room.height, camera.height + 0.2)),
        lighting=_lighting(rng, room),
        brightness=float(rng.uniform(0.35, 0.6)),
        roles=roles,
        frames=frames,
        rate_hz=rate_hz,
    )


def _lighting(rng: Rng, room: RoomPlan) -> Lighting:
    return draw_lighting(rng, room, False)


def _camera(rng: Rng, kind: str, subset: str, distance: float) -> CameraPlan:
    make = KINDS[kind]
    fx = make.focal * float(rng.uniform(0.98, 1.02))
    upright = subset == "portrait"
    size = (make.height, make.width) if upright else (make.width, make.height)
    cx, cy = ((pixels - 1) / 2 + float(rng.uniform(-8, 8)) for pixels in size)
    height = float(rng.uniform(0.4, 1.6))
    aim, roll, yaw = float(rng.uniform(0.7, 1.1)), float(rng.normal(0, 0.015)), float(rng.normal(0, 0.05))
    if subset == "close":
        height, aim = float(rng.uniform(0.9, 1.6)), float(rng.uniform(1.1, 1.5))
    if subset == "floor":
        aim = float(rng.uniform(0.2, 0.7))
    if subset == "tilted":
        height = float(rng.uniform(0.2, 0.5) if rng.random() < 0.5 else rng.uniform(1.9, 2.7))
        roll = float(rng.choice([-1, 1]) * rng.uniform(0.15, np.radians(30)))
    tilt = float(np.clip(np.arctan2(height - aim, distance) + rng.normal(0, 0.04), -np.radians(45), np.radians(45)))
    if subset == "border":
        half = np.arctan(np.array(size) / 2 / fx)
        if rng.random() < 0.6:
            yaw += float(rng.choice([-1, 1]) * rng.uniform(0.75, 1.0) * half[0])
        else:
            tilt += float(rng.choice([-1, 1]) * rng.uniform(0.5, 0.9) * half[1])
    return CameraPlan(
        kind, (fx, fx * float(rng.uniform(0.997, 1.003)), cx, cy), height, yaw, tilt, roll, upright=upright
    )


def _person(rng: Rng, cast: _Cast, attempt: int) -> PersonPlan:
    person = draw_person(100 * cast.number + attempt, cast.seed, cast.split.wardrobe)
    if rng.random() >= _CHILDREN:
        return person
    shape = replace(person.shape, age=float(rng.uniform(0.10, 0.36)), height=float(rng.uniform(0.4, 0.6)))
    return replace(person, shape=shape)


def _roles(rng: Rng, cast: _Cast, subset: str, distance: float, camera: CameraPlan) -> tuple[Role, ...]:
    if subset == "empty":
        return ()
    first = _role(rng, cast, subset, 0, (float(rng.normal(0, 0.15)) if subset != "close" else 0.0, distance), None)
    if subset == "touching":
        return (first, *_group(rng, cast, first))
    roles = [first]
    wanted = 1 if subset in ("close", "border") else int(rng.integers(1, 3))
    half = np.arctan(KINDS[camera.kind].width / 2 / camera.intrinsics[0]) * (0.6 if camera.upright else 0.75)
    for attempt in range(1, 40):
        if len(roles) == wanted:
            break
        far = float(rng.uniform(1.7, 4.2))
        place = (float(far * np.tan(rng.uniform(-half, half))), far)
        role = _role(rng, cast, subset, attempt, place, None)
        if not collide([(role.x, role.y, _reach(role))], [(r.x, r.y, _reach(r)) for r in roles]):
            roles.append(role)
    return tuple(roles)


def _role(rng: Rng, cast: _Cast, subset: str, attempt: int, place: tuple[float, float], heading: float | None) -> Role:
    turned = (
        float(rng.uniform(-np.pi, np.pi) if rng.random() < 0.5 else rng.normal(0, 0.7)) if heading is None else heading
    )
    family = _family(rng, subset)
    pairs = LOW_PAIRS if family in _FLOOR else PAIRS
    if subset == "arms":
        # Arms that hang are what all other clips have.
        pairs = tuple(
            pair
            for pair in pairs
            if set(pair[:2]).isdisjoint({"pocket", "clasped_front"}) and pair[:2] != ("hanging", "hanging")
        )
    weights = np.array([weight for *_, weight in pairs])
    keys = [pairs[int(k)][:2] for k in rng.choice(len(pairs), int(rng.integers(2, 5)), p=weights / weights.sum())]
    gestures = tuple((b, a) if rng.random() < 0.5 else (a, b) for a, b in keys)
    return _struck(rng, cast, attempt, place, turned, family, gestures)


def _struck(
    rng: Rng, cast: _Cast, attempt: int, place: tuple[float, float], heading: float, family: str,
    gestures: tuple[tuple[str, str], ...],
) -> Role:  # fmt: skip
    name = "".join(_LETTERS[i] for i in rng.integers(26, size=5))
    x, y = place
    c, s = np.cos(heading), np.sin(heading)
    # The camera is at the origin of the floor; the person faces -y before being turned.
    towards = (float(-c * x - s * y), float(s * x - c * y), 0.2)
    return Role(
        name, _person(rng, cast, attempt), Struck(family, gestures, int(rng.integers(2**31)), towards), x, y, heading
    )


def _family(rng: Rng, subset: str) -> str:
    if subset == "floor":
        return one_of(rng, _FLOOR)
    if subset in ("close", "touching"):
        return "standing"
    if subset == "arms":
        return ("standing", "standing", "gait", "anyhow")[int(rng.integers(4))]
    kind = rng.random()
    return one_of(rng, _ACTIVE) if kind < 0.3 else one_of(rng, _FLOOR) if kind < 0.45 else "standing"


def _group(rng: Rng, cast: _Cast, first: Role) -> list[Role]:
    """A person beside the first person, embracing, or half behind."""
    relation = ("beside", "embrace", "behind")[int(rng.integers(3))]
    ahead = np.array([np.sin(first.heading), -np.cos(first.heading)])
    place = np.array([first.x, first.y])
    gestures: tuple[tuple[str, str], ...] = (("embrace", "embrace"),) * 2
    if relation == "embrace":
        apart, heading = 0.34 * ahead, first.heading + np.pi
    elif relation == "beside":
        side = float(rng.choice([-1.0, 1.0])) * np.array([-ahead[1], ahead[0]])
        apart, heading = float(rng.uniform(0.42, 0.55)) * side, first.heading + float(rng.normal(0, 0.3))
        gestures = (("hanging", "hanging"), ("hanging", "face"), ("hanging", "clasped_front"))
    else:
        away = place / np.linalg.norm(place)
        aside = float(rng.choice([-1.0, 1.0]) * rng.uniform(0.15, 0.3)) * np.array([-away[1], away[0]])
        apart, heading = float(rng.uniform(0.45, 0.8)) * away + aside, float(rng.normal(0, 0.7))
        gestures = (("hanging", "free"), ("hanging", "hanging"))
    at = place + apart
    return [_struck(rng, cast, 1, (float(at[0]), float(at[1])), float(heading), "standing", gestures)]


def _reach(role: Role) -> float:
    return _LYING if isinstance(role.act, Struck) and role.act.family in _FLOOR else _STANDING


def _like_people(rng: Rng, room: RoomPlan, blocked: list[Circle], subset: str) -> list[Place]:
    """Things that are mistaken for people; most of them in empty rooms."""
    taken, places = list(blocked), []
    for _ in range(int(rng.integers(3, 7)) if subset == "empty" else int(rng.integers(0, 3))):
        x, y = float(rng.uniform(0.5 - room.left, room.right - 0.5)), float(rng.uniform(1.3, max(room.back - 0.5, 1.6)))
        if not collide([(x, y, 0.45)], taken):
            kind = f"boxes:{one_of(rng, LIKE_PEOPLE)}"
            places.append(Place(kind, x, y, float(rng.uniform(-np.pi, np.pi)), int(rng.integers(2**31))))
            taken.append((x, y, 0.45))
    return places
