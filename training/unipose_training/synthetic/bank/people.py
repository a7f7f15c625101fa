"""Who is in the bank: shapes and outfits drawn by seed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unipose_training.synthetic.body import Shape
from unipose_training.synthetic.materials import Color, Material
from unipose_training.synthetic.wardrobe import Outfit

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
