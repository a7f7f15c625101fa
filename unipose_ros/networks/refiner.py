"""The refiner: what a detector says of one person's keypoints -> where they more likely are.

The place of CameraPose's refinement network (Yang et al., WACV 2023): in front of any lifter. It
knows what bodies look like in pictures, and so which keypoints do not fit the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unipose_ros.codecs.keypoints import KEYPOINTS, REFINER_INPUT
from unipose_ros.networks.residual import ResidualMlp, check_trunk


@dataclass(frozen=True)
class RefinerConfig:
    """Sizes of a :class:`RefinerNetwork`.

    Attributes:
        width, blocks: of the trunk.
        dropout: share of activations that training switches off.

    Raises:
        ValueError: a size is not positive, or the dropout not within [0, 1).
    """

    width: int = 512
    blocks: int = 2
    dropout: float = 0.05

    def __post_init__(self) -> None:
        check_trunk("refiner", self.width, self.blocks, self.dropout)


SIZES = {"s": RefinerConfig()}


class RefinerNetwork(nn.Module):
    """Reads what :func:`unipose_ros.codecs.keypoints.refiner_input` makes."""

    def __init__(self, config: RefinerConfig) -> None:
        super().__init__()
        self.trunk = ResidualMlp(REFINER_INPUT, config.width, config.blocks, config.dropout)
        self.moves = nn.Linear(config.width, 2 * KEYPOINTS)
        with torch.no_grad():
            self.moves.weight.mul_(0.1)
            self.moves.bias.zero_()

    def forward(self, values: Tensor) -> Tensor:
        """(B, REFINER_INPUT) -> (B, 17, 2) keypoints on the scaled plane."""
        given = values.reshape(-1, KEYPOINTS, 3)[..., :2]
        moves: Tensor = self.moves(self.trunk(values))
        return given + moves.reshape(-1, KEYPOINTS, 2)
