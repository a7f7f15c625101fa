"""The people of the demo: who they are, what they wear and where they walk."""

from __future__ import annotations

from dataclasses import dataclass

from unipose_training.synthetic.body import Shape
from unipose_training.synthetic.materials import Material
from unipose_training.synthetic.stroll import Oval
from unipose_training.synthetic.wardrobe import Outfit


@dataclass(frozen=True)
class Walker:
    """A person, with clothes and a way.

    Attributes:
        id: as in the true skeletons.
        path: where to walk.
        phase: of the walking cycle at the beginning.
    """

    id: str
    shape: Shape
    outfit: Outfit
    path: Oval
    phase: float


WALKERS = (
    Walker(
        id="annab",
        shape=Shape(gender=1.0, height=0.43, weight=0.45),
        outfit=Outfit(
            suit="female_casualsuit01", shoes="shoes04", hair="ponytail01",
            skin=Material((0.86, 0.67, 0.56), grain=0.03),
            top=Material((0.80, 0.28, 0.24), (0.93, 0.90, 0.86), "stripes", 0.07, grain=0.06),
            bottom=Material((0.18, 0.24, 0.38), grain=0.1),
            footwear=Material((0.90, 0.89, 0.87)),
            hair_look=Material((0.33, 0.20, 0.11), grain=0.4, grain_size=0.012),
        ),
        path=Oval((0.0, 3.35), (1.15, 0.80), start=-2.2, laps=1.0),
        phase=0.0,
    ),
    Walker(
        id="berto",
        shape=Shape(gender=0.0, height=0.41, weight=0.5, muscle=0.55),
        outfit=Outfit(
            suit="male_casualsuit04", shoes="shoes01", hair="short02",
            skin=Material((0.66, 0.46, 0.34), grain=0.03),
            top=Material((0.24, 0.47, 0.42), grain=0.08),
            bottom=Material((0.62, 0.56, 0.45), grain=0.08),
            footwear=Material((0.22, 0.14, 0.10)),
            hair_look=Material((0.08, 0.06, 0.05), grain=0.4, grain_size=0.012),
        ),
        path=Oval((0.0, 3.35), (1.20, 0.85), start=0.95, laps=1.0),
        phase=0.35,
    ),
)  # fmt: skip
