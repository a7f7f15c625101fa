"""Who is in the bank: shapes and outfits drawn by seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unipose_training.synthetic.bank.outfits import Cut, Tube
from unipose_training.synthetic.body import Shape
from unipose_training.synthetic.materials import Color, Material
from unipose_training.synthetic.wardrobe import TOP_LOOK, Outfit

_SKINS: tuple[Color, ...] = (
    (0.91, 0.74, 0.64), (0.86, 0.67, 0.56), (0.78, 0.58, 0.45), (0.66, 0.46, 0.34), (0.48, 0.32, 0.23),
    (0.33, 0.22, 0.16),
)  # fmt: skip
_HAIR: tuple[Color, ...] = (
    (0.07, 0.06, 0.05), (0.20, 0.13, 0.08), (0.36, 0.23, 0.12), (0.62, 0.47, 0.27), (0.55, 0.53, 0.51),
)  # fmt: skip
_LEATHER: tuple[Color, ...] = ((0.90, 0.89, 0.87), (0.10, 0.10, 0.10), (0.30, 0.19, 0.12), (0.45, 0.15, 0.14))
_PATTERNS = ("plain", "plain", "plain", "stripes", "checks")


@dataclass(frozen=True)
class PersonPlan:
    """What a person is like and wears."""

    shape: Shape
    outfit: Outfit


@dataclass(frozen=True)
class Wardrobe:
    """Names of garments that are there; empty for painted clothes."""

    suits: tuple[str, ...] = ()
    shoes: tuple[str, ...] = ()
    hair: tuple[str, ...] = ()

    @classmethod
    def in_folder(cls, folder: Path | None) -> Wardrobe:
        """Sort the MakeHuman garments of a folder by their names."""
        names = sorted(file.stem for file in folder.glob("*.mhclo")) if folder else []
        hair = ("afro", "bob", "braid", "long", "ponytail", "short")
        return cls(
            suits=tuple(name for name in names if "suit" in name),
            shoes=tuple(name for name in names if name.startswith("shoes")),
            hair=tuple(name for name in names if name.startswith(hair)),
        )

    def within(self, other: Wardrobe) -> Wardrobe:
        """What both have."""
        both = [tuple(n for n in getattr(self, k) if n in getattr(other, k)) for k in ("suits", "shoes", "hair")]
        return Wardrobe(*both)


def draw_person(number: int, seed: int, wardrobe: Wardrobe) -> PersonPlan:
    """Person ``number`` of the bank with that seed; women and men take turns."""
    rng = np.random.default_rng((seed, number))
    woman = number % 2 == 1
    return PersonPlan(_draw_shape(rng, woman), _draw_outfit(rng, woman, wardrobe))


def _draw_shape(rng: np.random.Generator, woman: bool) -> Shape:
    def around(middle: float, std: float) -> float:
        return float(np.clip(rng.normal(middle, std), middle - 2.5 * std, middle + 2.5 * std))

    return Shape(
        gender=float(np.clip(woman + (-1 if woman else 1) * abs(rng.normal(0, 0.1)), 0, 1)),
        age=float(rng.uniform(0.5, 0.9)),
        muscle=around(0.5, 0.12),
        weight=around(0.5, 0.13),
        height=around(0.44, 0.09),
        proportions=float(rng.uniform(0.3, 0.8)),
    )


def _draw_outfit(rng: np.random.Generator, woman: bool, wardrobe: Wardrobe) -> Outfit:
    suits = [name for name in wardrobe.suits if name.startswith("female" if woman else "male")]
    hair = [name for name in wardrobe.hair if woman or name.startswith(("short", "afro"))]
    return Outfit(
        suit=_one_of(rng, suits),
        shoes=_one_of(rng, wardrobe.shoes),
        hair=_one_of(rng, hair),
        skin=Material(_SKINS[rng.integers(len(_SKINS))], grain=0.03),
        top=_cloth(rng, _PATTERNS[rng.integers(len(_PATTERNS))]),
        bottom=_cloth(rng, "plain"),
        footwear=Material(_LEATHER[rng.integers(len(_LEATHER))]),
        hair_look=Material(_HAIR[rng.integers(len(_HAIR))], grain=0.4, grain_size=0.012),
    )


def _one_of(rng: np.random.Generator, names: list[str] | tuple[str, ...]) -> str:
    return names[rng.integers(len(names))] if names else ""


def _cloth(rng: np.random.Generator, pattern: str) -> Material:
    first, second = (_dye(rng) for _ in range(2))
    size, grain = float(rng.uniform(0.04, 0.12)), float(rng.uniform(0.04, 0.12))
    return Material(first, second, pattern, size, grain)


def _dye(rng: np.random.Generator) -> Color:
    """Any color, mostly muted: gray of any brightness, moved towards a hue."""
    gray = rng.uniform(0.08, 0.9)
    r, g, b = np.clip(gray + rng.normal(0, 0.13, 3), 0.03, 0.97)
    return float(r), float(g), float(b)


# Who the many bodies are: children from 0.8 m on, adults of all builds and ages, and what they wear.

Rng = np.random.Generator


@dataclass(frozen=True)
class Group:
    """Some of the population.

    Attributes:
        fraction: of all people.
        stature: meters, from and to.
        age: the body model's, from and to; 1/3 is a child, 2/3 an adult, 1 an elder.
        weight, muscle: the body model's sliders, from and to.
    """

    name: str
    fraction: float
    stature: tuple[float, float]
    age: tuple[float, float]
    weight: tuple[float, float]
    muscle: tuple[float, float] = (0.3, 0.7)


#: Statures of children follow the WHO growth standards loosely: 0.8 m at 1.5 years, 1.1 m at 5, 1.4 m at 10.
#: Adults: 2nd to 98th percentile of both sexes of NCD-RisC's countries, and a few beyond.
GROUPS = (
    Group("toddler", 0.08, (0.80, 1.05), (0.06, 0.17), (0.3, 0.75)),
    Group("child", 0.12, (1.05, 1.50), (0.17, 0.40), (0.15, 0.85)),
    Group("adult", 0.38, (1.50, 1.92), (0.52, 0.85), (0.3, 0.65)),
    Group("tall", 0.07, (1.88, 2.08), (0.55, 0.80), (0.25, 0.7)),
    Group("heavy", 0.14, (1.48, 1.95), (0.52, 0.95), (0.68, 1.0)),
    Group("thin", 0.08, (1.50, 1.95), (0.50, 0.90), (0.0, 0.25), (0.1, 0.5)),
    Group("old", 0.10, (1.42, 1.80), (0.88, 1.0), (0.2, 0.8), (0.05, 0.5)),
    Group("strong", 0.03, (1.60, 1.98), (0.55, 0.75), (0.4, 0.75), (0.75, 1.0)),
)


def draw_shape(rng: Rng, group: Group, woman: bool, stature: Callable[[Shape], float]) -> Shape:
    """A body of a group, with the slider of height that gives it the stature drawn for it.

    Args:
        stature: meters of a shape.
    """
    low, high = group.stature
    # Adult women are 0.13 m shorter than men on average; children and the slider's ends know no difference.
    shift = 0.0 if group.stature[1] <= 1.5 else -0.05 if woman else 0.05
    wanted = float(np.clip(rng.uniform(low, high) + shift, max(low, 0.8), high))
    # The older of a group of children are the taller ones.
    along = (wanted - low) / (high - low)
    fraction = np.clip(along + rng.normal(0, 0.12), 0, 1) if high <= 1.5 else rng.uniform(0, 1)
    shape = Shape(
        gender=float(np.clip((1 if woman else 0) + (-1 if woman else 1) * abs(rng.normal(0, 0.12)), 0, 1)),
        age=float(group.age[0] + fraction * (group.age[1] - group.age[0])),
        muscle=float(rng.uniform(*group.muscle)),
        weight=float(rng.uniform(*group.weight)),
        height=0.0,
        proportions=float(rng.uniform(0.2, 0.9)),
    )
    # Stature grows evenly with the slider, nearly.
    for start, end in ((0.0, 1.0), (-0.1, 0.1)):
        a = float(np.clip(shape.height + start, 0, 1))
        b = float(np.clip(shape.height + end, 0, 1))
        near, far = (stature(replace(shape, height=h)) for h in (a, b))
        shape = replace(shape, height=float(np.clip(a + (wanted - near) / (far - near) * (b - a), 0, 1)))
    return shape


def draw_group(rng: Rng) -> Group:
    """A group, as often as its fraction says."""
    fractions = np.array([group.fraction for group in GROUPS])
    return GROUPS[int(rng.choice(len(GROUPS), p=fractions / fractions.sum()))]


def draw_cut(rng: Rng, number: int, wardrobe: Wardrobe) -> Cut:
    """Outfit ``number``: women's and men's take turns, as do garments, loose painted clothes, skirts and coats."""
    woman = number % 2 == 1
    suits = [name for name in wardrobe.suits if name.startswith("female" if woman else "male")]
    hair = [name for name in wardrobe.hair if woman or name.startswith(("short", "afro"))]
    kind = (number // 2) % 5
    suit = suits[(number // 10) % len(suits)] if suits and kind < 2 else ""
    shoes = _pick(rng, wardrobe.shoes) if suit or rng.random() < 0.5 else ""
    long_hair = [name for name in hair if name.startswith("long")]
    chosen = _pick(rng, long_hair) if woman and rng.random() < 0.5 else _pick(rng, hair) if rng.random() < 0.75 else ""
    thickness = _thickness(rng, loose=kind in (1, 2), suit=bool(suit))
    return Cut(woman, suit, shoes, chosen, thickness, _tube(rng, kind, woman))


def _pick(rng: Rng, names: list[str] | tuple[str, ...]) -> str:
    return names[int(rng.integers(len(names)))] if names else ""


def _thickness(rng: Rng, loose: bool, suit: bool) -> tuple[tuple[str, float], ...]:
    """Meters of cloth over the bones; a suit has its own and is only widened."""
    most = 0.035 if loose else 0.012
    legs, arms, chest = (float(rng.uniform(0.3, 1.0)) * most * (0.6 if suit else 1.0) for _ in range(3))
    flare = float(rng.uniform(0.5, 1.6))
    cloth = [
        ("Hips", 0.5 * (legs + chest)), ("HipJoint", legs), ("UpLeg", legs), ("Leg", legs * flare),
        ("LowerBack", chest), ("Spine", chest), ("Spine1", 0.8 * chest), ("Shoulder", 0.6 * chest),
        ("Arm", arms), ("ForeArm", arms * float(rng.uniform(0.5, 1.3))),
    ]  # fmt: skip
    feet = [] if suit else [("Foot", float(rng.uniform(0.004, 0.014))), ("ToeBase", float(rng.uniform(0.004, 0.012)))]
    return tuple((name, round(value, 4)) for name, value in cloth + feet)


def _tube(rng: Rng, kind: int, woman: bool) -> Tube | None:
    """Skirts and dresses for women, coats for all people."""
    if kind == 3 and woman:
        hem = float(rng.choice([0.62, 0.42, 0.12]))
        return Tube(float(rng.uniform(1.05, 1.18)), hem, float(rng.uniform(0.03, 0.16)))
    if kind in (3, 4):
        return Tube(
            float(rng.uniform(1.2, 1.35)), float(rng.uniform(0.3, 0.75)), float(rng.uniform(0.01, 0.07)), TOP_LOOK
        )
    return None
