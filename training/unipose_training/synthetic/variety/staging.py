"""Draw whole clips: who does what where, in which room, before which camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from unipose_training.synthetic.bank.people import PersonPlan, draw_person
from unipose_training.synthetic.lighting import Lamp, Lighting
from unipose_training.synthetic.materials import Material
from unipose_training.synthetic.motion import Oval
from unipose_training.synthetic.variety.cameras import KINDS, CameraPlan, draw_camera
from unipose_training.synthetic.variety.furniture import OCCLUDERS, STYLES, Place, RoomPlan
from unipose_training.synthetic.variety.plans import Act, Captured, ClipPlan, Posed, Role, Stroll
from unipose_training.synthetic.variety.postures import Posture, draw_posture, with_arms
from unipose_training.synthetic.variety.split import Split

Rng = np.random.Generator


#: Share of robots that move; such clips cost three times as much.
_MOVING = 0.1
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Wish:
    """What a subset asks for.

    Attributes:
        people: fewest and most.
        distance: meters, nearest and farthest.
        seated: probability that a person sits.
        occluders: fewest and most things in front of people.
        dark: dim light and dark clothes.
    """

    people: tuple[int, int]
    distance: tuple[float, float] = (1.6, 4.2)
    seated: float = 0.05
    occluders: tuple[int, int] = (0, 0)
    dark: bool = False


WISHES: dict[str, Wish] = {
    "single": Wish((1, 1)),
    "crowd": Wish((3, 5), (1.8, 5.0)),
    "occluded": Wish((1, 2), (2.5, 4.2), occluders=(1, 2)),
    "sitting": Wish((1, 2), (1.5, 4.0), seated=1.0),
    "far": Wish((1, 3), (4.2, 6.5)),
    "dark": Wish((1, 2), (1.6, 4.0), dark=True),
}


def draw_clip(split: Split, seed: int, number: int, subset: str, frames: int, rate_hz: float) -> ClipPlan:
    """Clip ``number`` of a set; the same arguments give the same plan."""
    rng = np.random.default_rng((seed, number))
    wish = WISHES[subset]
    camera = draw_camera(rng, split.cameras[number % len(split.cameras)], float(np.mean(wish.distance)), _MOVING)
    roles = _roles(rng, _Cast(split, wish, frames / rate_hz, seed, number), camera)
    blocked = _circles(roles)
    occluders = draw_occluders(rng, wish.occluders, [(role.x, role.y) for role in roles], blocked)
    room = draw_room(rng, split.styles, [*blocked, *((p.x, p.y, 0.5) for p in occluders)], occluders)
    return ClipPlan(
        name=f"clip_{number:04d}",
        seed=int(rng.integers(2**31)),
        subset=subset,
        camera=camera,
        room=room,
        lighting=draw_lighting(rng, room, wish.dark),
        brightness=float(rng.uniform(0.12, 0.22) if wish.dark else rng.uniform(0.35, 0.6)),
        roles=roles,
        frames=frames,
        rate_hz=rate_hz,
    )


@dataclass(frozen=True)
class _Cast:
    """What all roles of a clip share."""

    split: Split
    wish: Wish
    seconds: float
    seed: int
    number: int


def draw_people(
    rng: Rng, split: Split, wish: Wish, seconds: float, seed: int, number: int, camera: CameraPlan
) -> tuple[Role, ...]:
    """Who is in clip ``number`` of a set before a camera that is given, and what they do for so long."""
    return _roles(rng, _Cast(split, wish, seconds, seed, number), camera)


def floor_circles(roles: Sequence[Role]) -> list[Circle]:
    """The floor that people need."""
    return _circles(roles)


def _roles(rng: Rng, cast: _Cast, camera: CameraPlan) -> tuple[Role, ...]:
    roles: list[Role] = []
    wanted = int(rng.integers(cast.wish.people[0], cast.wish.people[1] + 1))
    for attempt in range(60):
        if len(roles) == wanted:
            break
        # People of a clip are numbered apart from those of all others.
        person = draw_person(100 * cast.number + attempt, cast.seed, cast.split.wardrobe)
        role = _role(rng, cast, camera, _dark(person) if cast.wish.dark else person)
        if not collide(_circles([role]), _circles(roles)):
            roles.append(role)
    return tuple(roles)


def _role(rng: Rng, cast: _Cast, camera: CameraPlan, person: PersonPlan) -> Role:
    x, y = _place(rng, cast.wish, camera)
    name = "".join(_LETTERS[i] for i in rng.integers(26, size=5))
    # Most people look somewhere else than at the robot.
    heading = float(rng.uniform(-np.pi, np.pi))
    return Role(name, person, _act(rng, cast, (x, y)), x, y, heading)


def _place(rng: Rng, wish: Wish, camera: CameraPlan) -> tuple[float, float]:
    half = np.arctan(KINDS[camera.kind].width / 2 / camera.intrinsics[0])
    bearing = camera.yaw + float(rng.uniform(-0.72, 0.72)) * half
    distance = float(rng.uniform(*wish.distance))
    return float(distance * np.tan(bearing)), distance


def _act(rng: Rng, cast: _Cast, place: tuple[float, float]) -> Act:
    split = cast.split
    if rng.random() < cast.wish.seated:
        return _seated(rng)
    kind = rng.random()
    if kind < 0.3:
        return _stroll(rng, cast, place)
    if kind < 0.5:
        arms = _keys(rng, split.gestures) if rng.random() < 0.25 else ()
        clip = one_of(rng, split.clips)
        return Captured(clip, float(rng.random()), bool(rng.random() < 0.5), arms)
    return Posed(_keys(rng, split.gestures))


def _keys(rng: Rng, families: Sequence[str]) -> tuple[Posture, ...]:
    """Two to four postures; half of the time only the arms change between them."""
    count = int(rng.integers(2, 5))
    first = draw_posture(rng, one_of(rng, families))
    if rng.random() < 0.5:
        return (first, *(with_arms(first, rng, one_of(rng, families)) for _ in range(count - 1)))
    return (first, *(draw_posture(rng, one_of(rng, families)) for _ in range(count - 1)))


def _seated(rng: Rng) -> Posed:
    first = draw_posture(rng, "sitting")
    others = [with_arms(first, rng, ("sitting", "gesturing", "reaching", "pointing")[rng.integers(4)]) for _ in "ab"]
    # The legs stay, or the body would slide about on its seat.
    keys = [replace(other, left_leg=first.left_leg, right_leg=first.right_leg) for other in others]
    return Posed((first, *keys), seat=("chair", "stool", "chair")[rng.integers(3)])


def _stroll(rng: Rng, cast: _Cast, place: tuple[float, float]) -> Stroll:
    radii = (float(rng.uniform(0.35, 0.7)), float(rng.uniform(0.35, 0.7)))
    # Meters a second over meters a lap.
    laps = float(rng.uniform(0.6, 1.3)) * cast.seconds / (np.pi * sum(radii))
    way = laps if rng.random() < 0.5 else -laps
    arms = _keys(rng, cast.split.gestures) if rng.random() < 0.4 else ()
    return Stroll(Oval(place, radii, float(rng.uniform(0, 2 * np.pi)), way), float(rng.random()), arms)


def _circles(roles: Sequence[Role]) -> list[Circle]:
    """Floor that people need: x, y, radius."""
    circles = []
    for role in roles:
        act = role.act
        reach = max(act.path.radii) + 0.4 if isinstance(act, Stroll) else 0.8 if isinstance(act, Captured) else 0.5
        circles.append((role.x, role.y, reach))
    return circles


def _dark(person: PersonPlan) -> PersonPlan:
    """The same person in dark clothes."""

    def dim(material: Material) -> Material:
        (r, g, b), (p, q, s) = material.color, material.second
        return replace(material, color=(0.2 * r, 0.2 * g, 0.22 * b), second=(0.3 * p, 0.3 * q, 0.3 * s))

    outfit = replace(person.outfit, top=dim(person.outfit.top), bottom=dim(person.outfit.bottom))
    return replace(person, outfit=outfit)


def draw_lighting(rng: Rng, room: RoomPlan, dark: bool) -> Lighting:
    """Lamps of a room."""
    lamps = []
    for _ in range(int(rng.integers(1, 3 if dark else 4))):
        x, y = float(rng.uniform(-room.left, room.right)) * 0.8, float(rng.uniform(-0.5, room.back - 0.5))
        height = float(rng.uniform(1.4, room.height - 0.1)) if rng.random() < 0.25 else room.height - 0.12
        lamps.append(Lamp((x, y, height), 0.3, float(rng.uniform(1.0, 4.0))))
    return Lighting(
        lamps=tuple(lamps),
        ambient=float(rng.uniform(0.12, 0.25) if dark else rng.uniform(0.25, 0.5)),
        noise=float(rng.uniform(4, 9) if dark else rng.uniform(1, 4)),
        samples=1,
    )


# Draw rooms and what stands in them, off the floor that people need.

#: Floor that a person or something takes: x, y and radius in meters.
Circle = tuple[float, float, float]
_T = TypeVar("_T")


def one_of(rng: Rng, things: Sequence[_T]) -> _T:
    """One of them at random."""
    return things[int(rng.integers(len(things)))]


def collide(ones: Sequence[Circle], others: Sequence[Circle]) -> bool:
    """Whether any circle of the one kind cuts any of the other."""
    return any(np.hypot(a - x, b - y) < r + s for a, b, r in ones for x, y, s in others)


def draw_occluders(
    rng: Rng, count: tuple[int, int], people: Sequence[tuple[float, float]], blocked: Sequence[Circle]
) -> tuple[Place, ...]:
    """Things on the way from the camera to people.

    Args:
        count: fewest and most.
        people: x and y, meters.
        blocked: floor that is taken.
    """
    places: list[Place] = []
    for _ in range(int(rng.integers(count[0], count[1] + 1))):
        for _attempt in range(20):
            (across, ahead), share = one_of(rng, people), float(rng.uniform(0.45, 0.85))
            x, y = across * share + float(rng.normal(0, 0.2)), ahead * share
            if not collide([(x, y, 0.25)], [*blocked, *((p.x, p.y, 0.4) for p in places)]):
                kind = one_of(rng, OCCLUDERS)
                places.append(Place(kind, x, y, float(rng.normal(0, 0.5)), int(rng.integers(2**31))))
                break
    return tuple(places)


def draw_room(rng: Rng, styles: Sequence[str], blocked: Sequence[Circle], occluders: tuple[Place, ...]) -> RoomPlan:
    """A room of one of the styles round people and occluders.

    Args:
        blocked: floor that is taken.
    """
    style = one_of(rng, styles)
    spare = (0.2, 0.5) if style == "corridor" else (0.3, 2.2)
    far = max((y + r for _, y, r in blocked), default=3.0)
    left = max((r - x for x, _, r in blocked), default=1.0)
    right = max((x + r for x, _, r in blocked), default=1.0)
    plan = RoomPlan(
        style=style,
        left=max(left, 1.0) + float(rng.uniform(*spare)),
        right=max(right, 1.0) + float(rng.uniform(*spare)),
        back=far + float(rng.uniform(0.5, 2.5)),
        height=float(rng.uniform(2.35, 3.4)),
        seed=int(rng.integers(2**31)),
    )
    furniture = [*occluders, *_along_walls(rng, plan, blocked), *_clutter(rng, plan, blocked)]
    return replace(plan, furniture=tuple(furniture))


def _along_walls(rng: Rng, plan: RoomPlan, blocked: Sequence[Circle]) -> list[Place]:
    kinds, places, x = STYLES[plan.style][0], [], -plan.left + 0.6
    while x < plan.right - 0.6:
        step = float(rng.uniform(1.0, 2.6))
        if rng.random() < 0.75 and not collide([(x, plan.back - 0.4, 0.5)], blocked):
            kind = one_of(rng, kinds)
            places.append(Place(kind, x, plan.back - 0.48, 0.0, int(rng.integers(2**31))))
        x += step
    for side, wall, yaw in ((-1.0, plan.left, np.pi / 2), (1.0, plan.right, -np.pi / 2)):
        y = float(rng.uniform(1.5, plan.back - 0.8))
        at = side * (wall - 0.5)
        if rng.random() < 0.6 and not collide([(at, y, 0.6)], blocked):
            places.append(Place(one_of(rng, kinds), at, y, float(yaw), int(rng.integers(2**31))))
    return places


def _clutter(rng: Rng, plan: RoomPlan, blocked: Sequence[Circle]) -> list[Place]:
    kinds, places = STYLES[plan.style][1], []
    for _ in range(int(rng.integers(0, 5))):
        x, y = float(rng.uniform(0.4 - plan.left, plan.right - 0.4)), float(rng.uniform(1.2, plan.back - 0.4))
        if not collide([(x, y, 0.35)], blocked):
            yaw = float(rng.uniform(-np.pi, np.pi))
            places.append(Place(one_of(rng, kinds), x, y, yaw, int(rng.integers(2**31))))
    return places
