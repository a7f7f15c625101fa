"""What keeps an adaptation from going on."""

from __future__ import annotations


class AdaptationError(RuntimeError):
    """An adaptation cannot be run; the text names the cause and the remedy."""


class DataRefusedError(AdaptationError):
    """A recording must not be trained on.

    Attributes:
        reason: identifier of the check that failed; see :mod:`unipose_training.adaptation.checks`.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason
