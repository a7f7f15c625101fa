"""Means of what happened since the last entry in the logs."""

from __future__ import annotations

import time

from unipose_training.engine.step import StepResult


class Tally:
    """Collects the results of steps."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._steps = 0
        self._began = time.monotonic()

    def add(self, result: StepResult) -> None:
        """Add a step; one that changed nothing counts for the speed only."""
        self._steps += 1
        if result.good:
            for name, value in {**result.terms, "gradient_norm": result.gradient_norm}.items():
                self._sums[name] = self._sums.get(name, 0.0) + value
                self._counts[name] = self._counts.get(name, 0) + 1

    def take(self) -> tuple[dict[str, float], float]:
        """Mean of each term, and steps per second; then begin anew."""
        means = {name: total / self._counts[name] for name, total in self._sums.items()}
        speed = self._steps / max(time.monotonic() - self._began, 1e-9)
        self._begin()
        return means, speed
