"""What a modality is: one way from a camera frame to skeletons."""

from __future__ import annotations

from typing import Protocol

from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.timing import StageClock


class EstimatorError(ValueError):
    """A frame or a setting cannot be used; the text names it and the remedy."""


class Modality(Protocol):
    """One way from a camera frame to skeletons."""

    @property
    def last_keypoints(self) -> Keypoints2D | None:
        """What the 2D network saw in the last frame; ``None`` when there is no such network."""
        ...

    @property
    def runtime(self) -> str:
        """What runs the networks, and where; for logs and diagnostics."""
        ...

    def estimate(self, frame: RgbdFrame, clock: StageClock) -> Skeletons:
        """Everybody in the frame, without ids; the stages ``network`` and ``lift`` are timed.

        Raises:
            EstimatorError: the frame lacks an image that this modality needs.
        """
        ...

    def close(self) -> None:
        """Free the network; ``estimate`` is not called afterwards."""
        ...
