"""Fully connected residual blocks, for networks that read a handful of numbers."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn


class ResidualMlp(nn.Module):
    """Linear, then residual blocks of two linear layers (Martinez et al., ICCV 2017).

    Args:
        inputs: numbers read.
        width: of the layers.
        blocks: how many.
        dropout: share of activations that training switches off.
    """

    def __init__(self, inputs: int, width: int, blocks: int, dropout: float) -> None:
        super().__init__()
        self.first = _layer(inputs, width, dropout)
        self.blocks = nn.ModuleList(
            nn.Sequential(_layer(width, width, dropout), _layer(width, width, dropout)) for _ in range(blocks)
        )

    def forward(self, values: Tensor) -> Tensor:
        """(B, inputs) -> (B, width)."""
        hidden = cast(Tensor, self.first(values))
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return hidden


def _layer(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU(), nn.Dropout(dropout))


def check_trunk(network: str, width: int, blocks: int, dropout: float) -> None:
    """Refuse sizes that make no trunk.

    Raises:
        ValueError: a size is not positive, or the dropout not within [0, 1); ``network`` names whose.
    """
    for name, value in (("width", width), ("blocks", blocks)):
        if value < 1:
            raise ValueError(f"{network}: {name} = {value} must be positive")
    if not 0 <= dropout < 1:
        raise ValueError(f"{network}: dropout = {dropout} must be within [0, 1)")
