"""What became of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

EndedBy = Literal["steps", "time", "signal"]


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Attributes:
        step: steps done, those of earlier pieces included.
        steps: steps of the whole run.
        skipped: batches without a finite loss and gradient.
        seconds: of training, those of earlier pieces included.
        figures: of the last validation; empty without one.
        ended_by: ``steps``: it is finished; ``time``: ``max_minutes`` are over; ``signal``: it was asked to stop.
        first: this is the first of the run's processes, which is the one that writes.
    """

    step: int
    steps: int
    skipped: int
    seconds: float
    figures: Mapping[str, float]
    ended_by: EndedBy
    first: bool = True

    @property
    def finished(self) -> bool:
        """Nothing is left to be done."""
        return self.step >= self.steps

    @property
    def to_be_saved(self) -> bool:
        """The run is finished, and this process writes what it taught."""
        return self.finished and self.first
