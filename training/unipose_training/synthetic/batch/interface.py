"""What every batch renderer offers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from unipose_training.synthetic.bank.posing import PosedPeople
from unipose_training.synthetic.batch.scenes import SceneBatch

#: Owner of a pixel that shows nothing; ``surfaces.ROOM`` and 1, 2, ... are the others.
NOTHING = -1


@dataclass(frozen=True, eq=False)
class Rendered:
    """Images of F scenes without a sensor's faults.

    Attributes:
        depth: (F, H, W) float32 meters along the optical axis, 0 where there is nothing.
        owner: (F, H, W) int16: :data:`NOTHING`, ``surfaces.ROOM`` or the owner number of a person.
        color: (F, H, W, 3) uint8 RGB, or None.
        people: vertices and joints of all people in the world.
        things: (F, H, W) int32: -1 for nothing; then the materials of all people, as many of each as the bank's
            bodies have, the blocks, and three (floor, ceiling, walls) of each room. None where a renderer
            cannot tell.
    """

    depth: Tensor
    owner: Tensor
    color: Tensor | None
    people: PosedPeople
    things: Tensor | None = None


class Renderer(Protocol):
    """Makes images of scenes; the same scenes give the same images."""

    def render(self, scenes: SceneBatch, color: bool = False) -> Rendered:
        """Render a batch.

        Raises:
            SyntheticError: a person or a pose is not in the renderer's bank.
        """
        ...
