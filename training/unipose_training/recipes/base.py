"""The fields that the configurations of recipes share."""

from __future__ import annotations

from dataclasses import dataclass, field

from unipose_training.engine.config import RunSettings


@dataclass(frozen=True, kw_only=True)
class RecipeConfig:
    """Initial weights, moving average, validation and run of a recipe.

    Attributes:
        init_weights: weights to start from; "" starts at random.
        ema_decay: fraction of the moving average (EMA) of the weights that a step keeps; the average is what is saved.
        val_every_nth_clip: every so many clips, one is kept for validation.
        run: how the run is driven.

    Raises:
        ValueError: a value is out of range.
    """

    init_weights: str = ""
    ema_decay: float = 0.998
    val_every_nth_clip: int = 20
    run: RunSettings = field(default_factory=RunSettings)

    def __post_init__(self) -> None:
        if self.val_every_nth_clip < 2:
            raise ValueError(f"val_every_nth_clip = {self.val_every_nth_clip}: keep one in at least 2")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay = {self.ema_decay}: must be within [0, 1)")
