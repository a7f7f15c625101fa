"""Rooms of many sizes and kinds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unipose_training.synthetic.errors import SyntheticError
from unipose_training.synthetic.materials import Material
from unipose_training.synthetic.surfaces import Surface, box
from unipose_training.synthetic.variety.furniture import any_color, build, pale
from unipose_training.synthetic.variety.solids import placed

#: What stands along the walls of each kind of room, and what lies about.
STYLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "living": (("sofa", "shelf", "cabinet", "lamp", "plant", "table"), ("ball", "chair", "plant", "boxes")),
    "office": (("table", "shelf", "cabinet", "partition", "plant"), ("chair", "bin", "boxes", "stool")),
    "corridor": (("cabinet", "plant", "bin"), ("boxes", "bin")),
    "store": (("shelf", "shelf", "boxes", "cabinet"), ("boxes", "boxes", "stool", "bin")),
    "kitchen": (("counter", "counter", "cabinet", "table"), ("chair", "stool", "bin", "plant")),
    "workshop": (("bench", "shelf", "cabinet", "boxes"), ("stool", "bin", "boxes", "ball")),
}
#: What people are seen behind.
OCCLUDERS = ("table", "boxes", "cabinet", "plant", "partition", "chair", "bench", "counter")


@dataclass(frozen=True)
class Place:
    """A piece of furniture and where it stands: meters and radians."""

    kind: str
    x: float
    y: float
    yaw: float
    seed: int


@dataclass(frozen=True)
class RoomPlan:
    """A room around a camera at the origin of the floor that looks along +y.

    Attributes:
        style: one of :data:`STYLES`.
        left, right, back: meters from the camera to the walls.
        height: of the ceiling, meters.
        seed: of colors.

    Raises:
        SyntheticError: the style is unknown.
    """

    style: str
    left: float
    right: float
    back: float
    height: float
    seed: int
    furniture: tuple[Place, ...] = ()

    def __post_init__(self) -> None:
        if self.style not in STYLES:
            raise SyntheticError(f"room style '{self.style}': use one of {', '.join(STYLES)}")


def build_room(plan: RoomPlan) -> list[Surface]:
    """Floor, walls, ceiling, what hangs there and what stands there."""
    rng = np.random.default_rng(plan.seed)
    surfaces = _shell(plan, rng) + _hangings(plan, rng)
    for place in plan.furniture:
        piece = build(place.kind, np.random.default_rng(place.seed))
        surfaces += placed(piece, place.x, place.y, place.yaw)
    return surfaces


def _floor(rng: np.random.Generator) -> Material:
    pattern = ("planks", "tiles", "plain", "planks")[rng.integers(4)]
    size = {"planks": 0.12, "tiles": float(rng.uniform(0.25, 0.6)), "plain": 0.1}[pattern]
    color = pale(rng, 0.2, 0.75)
    r, g, b = (float(0.75 * c) for c in color)
    return Material(color, (r, g, b), pattern, size, grain=float(rng.uniform(0.04, 0.15)))


def _shell(plan: RoomPlan, rng: np.random.Generator) -> list[Surface]:
    wall = Material(pale(rng, 0.5, 0.93), grain=0.03, grain_size=0.3)
    # The walls go on behind the camera, so that light does not come in from there.
    front, middle = -2.0, (plan.right - plan.left) / 2
    long, wide, high = plan.back - front, plan.left + plan.right, plan.height
    center = (plan.back + front) / 2
    return [
        box((middle, center, -0.05), (wide, long, 0.1), _floor(rng)),
        box((middle, center, high + 0.05), (wide, long, 0.1), Material((0.93, 0.92, 0.89), grain=0.02)),
        box((middle, plan.back + 0.05, high / 2), (wide, 0.1, high), wall),
        box((-plan.left - 0.05, center, high / 2), (0.1, long, high), wall),
        box((plan.right + 0.05, center, high / 2), (0.1, long, high), wall),
        box((middle, plan.back - 0.01, 0.05), (wide, 0.02, 0.1), Material((0.9, 0.9, 0.88))),
    ]


def _hangings(plan: RoomPlan, rng: np.random.Generator) -> list[Surface]:
    """Images and a door on the back wall."""
    things: list[Surface] = []
    frame = Material(any_color(rng), grain=0.05)
    for x in rng.uniform(-plan.left + 0.6, plan.right - 0.6, rng.integers(0, 4)):
        wide, high = (float(v) for v in rng.uniform(0.3, 1.0, 2))
        pattern = ("stripes", "checks", "plain")[rng.integers(3)]
        canvas = Material(any_color(rng), any_color(rng), pattern, float(rng.uniform(0.1, 0.4)), grain=0.2)
        middle = (float(x), plan.back - 0.02, 1.6)
        things += [box(middle, (wide, 0.03, high), frame)]
        things += [box((middle[0], plan.back - 0.035, 1.6), (wide - 0.08, 0.02, high - 0.08), canvas)]
    if rng.random() < 0.5:
        x = float(rng.uniform(-plan.left + 0.6, plan.right - 0.6))
        things.append(
            box((x, plan.back - 0.03, 1.0), (0.85, 0.06, 2.0), Material(any_color(rng, 0.3, 0.9), grain=0.05))
        )
    return things
