"""What a tracker is to the rest of the package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from unipose_ros.frame import Skeletons
from unipose_ros.tracking.config import TrackerConfig


class Tracker(Protocol):
    """Gives the people of successive frames their identities."""

    @property
    def counters(self) -> Mapping[str, int]:
        """How often something unusual happened, by name; only ever grows. For diagnostics."""
        ...

    def update(self, skeletons: Skeletons) -> Skeletons:
        """People as found in one frame -> the same people with ids, states and ages, smoothed.

        Frames are to come in the order of their stamps, empty ones included.
        """
        ...

    def configure(self, config: TrackerConfig) -> None:
        """Use other settings from the next frame on; everybody keeps the id."""
        ...

    def reset(self) -> None:
        """Forget everybody. Ids given out so far stay used."""
        ...
