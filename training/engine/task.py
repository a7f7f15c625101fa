"""What a recipe hands to the engine."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class Task(nn.Module):
    """Networks together with what they are to learn.

    The engine trains every parameter that requires a gradient, and keeps all parameters and buffers
    in its checkpoints. An average of a network is a submodule with ``requires_grad_(False)``.
    """

    def training_loss(self, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one batch; gradients flow from it.

        Random numbers may be drawn from torch's own generators: the engine seeds them anew for
        every step, so that a run which was broken off goes on with the same numbers.

        Args:
            batch: on the device already.
            step: batches seen before this one.

        Returns:
            A scalar, and named scalars for the logs.
        """
        raise NotImplementedError

    def validation_figures(self, batch: Any) -> dict[str, Tensor]:
        """Named figures of each sample, (B,) each; NaN where a sample has none.

        Called without gradients and in evaluation mode; the engine averages over all samples.
        """
        raise NotImplementedError

    def after_step(self, step: int) -> None:
        """Called when the weights have changed, without gradients; for moving averages and the like."""

    def trained(self) -> nn.Module:
        """What the run is for, and what is saved in the end."""
        raise NotImplementedError
