"""Things that stand in rooms, each round the origin of the floor with its front to -y."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from unipose_training.errors import SyntheticError
from unipose_training.synthetic.batch.objects import OBJECTS, draw_object
from unipose_training.synthetic.materials import Color, Material, Surface, box

# Round solids, and moving surfaces about.


def turned_profile(profile: Sequence[tuple[float, float]], material: Material, sides: int = 16) -> Surface:
    """What a profile of (radius, height) pairs, from below to above, sweeps round the vertical, e.g. a vase."""
    angles = np.arange(sides) * 2 * np.pi / sides
    rings = [np.column_stack([r * np.cos(angles), r * np.sin(angles), np.full(sides, z)]) for r, z in profile]
    faces = []
    for ring in range(len(profile) - 1):
        a, b = ring * sides + np.arange(sides), ring * sides + (np.arange(sides) + 1) % sides
        faces += [np.stack([a, b, b + sides], axis=1), np.stack([a, b + sides, a + sides], axis=1)]
    vertices = np.concatenate(rings)
    triangles = np.concatenate(faces)
    return Surface(vertices, triangles, vertices, (material,), np.zeros(len(triangles), np.int64))


def cylinder(radius: float, bottom: float, top: float, material: Material) -> Surface:
    """A closed cylinder on the vertical through the origin."""
    # Rings are doubled at the rims, so that the edges stay sharp in shading.
    profile = [(0.0, bottom), (radius, bottom), (radius, bottom), (radius, top), (radius, top), (0.0, top)]
    return turned_profile(profile, material)


def ball(radius: float, height: float, material: Material) -> Surface:
    """A ball whose middle is ``height`` above the origin."""
    angles = np.linspace(-np.pi / 2, np.pi / 2, 9)
    return turned_profile([(radius * np.cos(a), height + radius * np.sin(a)) for a in angles], material)


def placed(surfaces: Sequence[Surface], x: float, y: float, yaw: float = 0.0, up: float = 0.0) -> list[Surface]:
    """The same things turned about the vertical and moved."""
    c, s = np.cos(yaw), np.sin(yaw)
    turn = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    return [replace(surface, vertices=surface.vertices @ turn + [x, y, up]) for surface in surfaces]


Rng = np.random.Generator
#: Before the name of a thing of boxes.
_BOXES = "boxes:"
_WOODS: tuple[Color, ...] = ((0.55, 0.40, 0.26), (0.33, 0.23, 0.16), (0.76, 0.63, 0.46), (0.88, 0.87, 0.84))
_CLOTHS: tuple[Color, ...] = (
    (0.33, 0.40, 0.46), (0.42, 0.38, 0.34), (0.30, 0.42, 0.36), (0.55, 0.20, 0.18), (0.16, 0.17, 0.20),
    (0.72, 0.66, 0.55),
)  # fmt: skip
_METAL = Material((0.25, 0.26, 0.27), grain=0.02)


def build(kind: str, rng: Rng) -> list[Surface]:
    """A piece of furniture; the generator decides sizes and colors.

    Raises:
        SyntheticError: the kind is unknown.
    """
    if kind.startswith(_BOXES) and kind[len(_BOXES) :] in OBJECTS:
        looks = [Material(any_color(rng), grain=0.08) for _ in range(2)]
        rows = draw_object(rng, kind[len(_BOXES) :]).tolist()
        return [box(row[:3], row[3:], looks[int(rng.random() < 0.3)]) for row in rows]
    if kind not in PIECES:
        raise SyntheticError(f"furniture '{kind}': use one of {', '.join(PIECES)}")
    return PIECES[kind](rng)


def any_color(rng: Rng, low: float = 0.08, high: float = 0.92) -> Color:
    """Any color, mostly muted."""
    r, g, b = np.clip(rng.uniform(low, high) + rng.normal(0, 0.12, 3), 0.03, 0.97)
    return float(r), float(g), float(b)


def pale(rng: Rng, low: float, high: float) -> Color:
    """A gray with a warm or cold cast, as walls and floors have."""
    gray, warm = float(rng.uniform(low, high)), float(rng.normal(0, 0.05))
    return gray * (1 + warm), gray, gray * (1 - 1.3 * warm)


def _wood(rng: Rng) -> Material:
    return Material(_WOODS[rng.integers(len(_WOODS))], grain=0.08, grain_size=0.05)


def _cloth(rng: Rng) -> Material:
    return Material(_CLOTHS[rng.integers(len(_CLOTHS))], grain=0.1)


def _sofa(rng: Rng) -> list[Surface]:
    cloth, wide = _cloth(rng), float(rng.uniform(1.4, 2.2))
    arms = [box((side * (wide / 2 - 0.09), 0, 0.31), (0.18, 0.85, 0.56), cloth) for side in (-1, 1)]
    return [box((0, 0, 0.22), (wide, 0.85, 0.36), cloth), box((0, 0.33, 0.55), (wide, 0.2, 0.6), cloth), *arms]


def _table(rng: Rng) -> list[Surface]:
    wood = _wood(rng)
    wide, deep, high = (float(rng.uniform(*span)) for span in ((0.9, 1.8), (0.6, 0.9), (0.68, 0.78)))
    legs = [
        box((x * (wide / 2 - 0.05), y * (deep / 2 - 0.05), high / 2), (0.05, 0.05, high), wood)
        for x in (-1, 1)
        for y in (-1, 1)
    ]
    things = [
        box((float(rng.uniform(-0.4, 0.4)) * wide, float(rng.uniform(-0.3, 0.3)) * deep, high + 0.06),
            (0.18, 0.13, float(rng.uniform(0.05, 0.25))), Material(any_color(rng)), float(rng.uniform(0, 3)))
        for _ in range(rng.integers(0, 4))
    ]  # fmt: skip
    return [box((0, 0, high), (wide, deep, 0.03), wood), *legs, *things]


def chair(rng: Rng, seat: float = 0.45) -> list[Surface]:
    """A chair with a back, for a person who looks to -y."""
    look = _wood(rng) if rng.random() < 0.5 else _cloth(rng)
    legs = [box((x * 0.19, y * 0.19, seat / 2), (0.035, 0.035, seat), _METAL) for x in (-1, 1) for y in (-1, 1)]
    back = box((0, 0.23, seat + 0.27), (0.42, 0.04, 0.5), look)
    return [box((0, 0, seat - 0.03), (0.44, 0.44, 0.06), look), *legs, back]


def stool(rng: Rng, seat: float = 0.45) -> list[Surface]:
    """A round stool or a crate to sit on."""
    look = Material(any_color(rng), grain=0.08)
    if rng.random() < 0.5:
        return [box((0, 0, seat / 2), (0.42, 0.38, seat), look)]
    return [cylinder(0.19, seat - 0.06, seat, look), cylinder(0.03, 0.0, seat - 0.06, _METAL)]


def _cabinet(rng: Rng) -> list[Surface]:
    wood = _wood(rng)
    wide, deep, high = (float(rng.uniform(*span)) for span in ((0.5, 1.3), (0.35, 0.55), (0.75, 2.0)))
    doors = [box((x * wide / 4, -deep / 2, high / 2), (wide / 2 - 0.02, 0.02, high - 0.06), wood) for x in (-1, 1)]
    return [box((0, 0, high / 2), (wide, deep, high), wood), *doors]


def _shelf(rng: Rng) -> list[Surface]:
    wood, wide, high = _wood(rng), float(rng.uniform(0.7, 1.3)), float(rng.uniform(1.2, 2.0))
    parts = [box((side * wide / 2, 0, high / 2), (0.03, 0.32, high), wood) for side in (-1, 1)]
    parts += [box((0, 0.15, high / 2), (wide, 0.02, high), wood)]
    for level in np.linspace(0.06, high, 5):
        parts.append(box((0, 0, float(level)), (wide, 0.32, 0.03), wood))
        blocks = int(rng.integers(0, 5)) if level < high else 0
        for at in np.sort(rng.uniform(-0.42, 0.42, blocks)):
            size = float(rng.uniform(0.03, 0.14)), 0.2, float(rng.uniform(0.12, 0.26))
            parts.append(box((float(at) * wide, 0, float(level) + size[2] / 2 + 0.015), size, Material(any_color(rng))))
    return parts


def _plant(rng: Rng) -> list[Surface]:
    pot = Material(any_color(rng), grain=0.05)
    high = float(rng.uniform(0.25, 0.5))
    parts = [turned_profile([(0.0, 0.0), (0.12, 0.0), (0.18, high), (0.0, high)], pot)]
    for _ in range(14):
        leaf = Material((0.16, float(rng.uniform(0.28, 0.5)), 0.15), grain=0.2)
        x, y = rng.normal(0, 0.16, 2)
        z = high + float(rng.uniform(0.1, 0.75))
        parts.append(box((float(x), float(y), z), (0.26, 0.015, 0.12), leaf, float(rng.uniform(0, 3.1))))
    return [*parts, cylinder(0.015, high, high + 0.6, Material((0.3, 0.22, 0.13)))]


def _boxes(rng: Rng) -> list[Surface]:
    card, parts, level = Material((0.66, 0.52, 0.36), grain=0.06), [], 0.0
    for _ in range(rng.integers(1, 4)):
        size = (float(rng.uniform(0.3, 0.6)), float(rng.uniform(0.3, 0.5)), float(rng.uniform(0.2, 0.45)))
        parts.append(box((float(rng.normal(0, 0.03)), 0, level + size[2] / 2), size, card, float(rng.normal(0, 0.2))))
        level += size[2]
    return parts


def _lamp(rng: Rng) -> list[Surface]:
    shade = turned_profile([(0.2, 1.4), (0.12, 1.7)], Material((0.93, 0.86, 0.70), grain=0.03))
    return [cylinder(0.15, 0.0, 0.03, _METAL), cylinder(0.013, 0.03, 1.45, _METAL), shade]


def _bin(rng: Rng) -> list[Surface]:
    look, high = Material(any_color(rng), grain=0.03), float(rng.uniform(0.3, 0.9))
    return [turned_profile([(0.0, 0.0), (0.14, 0.0), (0.2, high), (0.17, high), (0.12, 0.05)], look)]


def _ball(rng: Rng) -> list[Surface]:
    radius = float(rng.uniform(0.1, 0.33))
    return [ball(radius, radius, Material(any_color(rng), any_color(rng), "stripes", 0.15))]


def _counter(rng: Rng) -> list[Surface]:
    front, wide = Material(any_color(rng), grain=0.03), float(rng.uniform(1.2, 2.4))
    top = Material((0.30, 0.30, 0.31), grain=0.15, grain_size=0.01)
    doors = [box((float(x), -0.3, 0.44), (0.54, 0.02, 0.74), front) for x in np.arange(-wide / 2 + 0.3, wide / 2, 0.6)]
    return [box((0, 0, 0.44), (wide, 0.58, 0.86), front), box((0, -0.01, 0.89), (wide, 0.64, 0.04), top), *doors]


def _partition(rng: Rng) -> list[Surface]:
    wide, high = float(rng.uniform(0.6, 1.2)), float(rng.uniform(0.9, 1.3))
    return [box((0, 0, high / 2), (wide, 0.05, high), _cloth(rng))]


def _bench(rng: Rng) -> list[Surface]:
    wood = _wood(rng)
    return [box((0, 0, 0.86), (1.6, 0.6, 0.06), wood)] + [
        box((x * 0.7, 0, 0.42), (0.08, 0.5, 0.84), _METAL) for x in (-1, 1)
    ]


PIECES: dict[str, Callable[[Rng], list[Surface]]] = {
    "sofa": _sofa, "table": _table, "chair": chair, "stool": stool, "cabinet": _cabinet, "shelf": _shelf,
    "plant": _plant, "boxes": _boxes, "lamp": _lamp, "bin": _bin, "ball": _ball, "counter": _counter,
    "partition": _partition, "bench": _bench,
}  # fmt: skip


# Rooms of many sizes and kinds.

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
