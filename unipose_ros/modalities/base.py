"""What a modality is: one way from a camera frame to skeletons."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from unipose_ros.errors import EstimatorError
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.gaps import breathe
from unipose_ros.keypoints import Keypoints2D


@dataclass(frozen=True)
class RequiredInputs:
    """Which images a modality is given.

    Attributes:
        color, depth: it is to be given this image.
        any_of: one of the two will do for a frame.
    """

    color: bool
    depth: bool
    any_of: bool = False

    def check(self, frame: RgbdFrame, name: str) -> None:
        """Refuse a frame that lacks an image.

        Raises:
            EstimatorError: names what is absent.
        """
        wanted = [image for image in ("color", "depth") if getattr(self, image)]
        for image in wanted:
            if getattr(frame, image) is None and not self.any_of:
                raise EstimatorError(f"the frame has no {image}; modality '{name}' needs {' and '.join(wanted)}")


class Modality(Protocol):
    """One way from a camera frame to skeletons."""

    @property
    def last_keypoints(self) -> Keypoints2D | None:
        """What the 2D network detected in the last frame; ``None`` when there is no such network."""
        ...

    @property
    def runtime(self) -> str:
        """What runs the networks, and where; for logs and diagnostics."""
        ...

    @property
    def notice(self) -> str:
        """What keeps it from doing its best at present; empty when all is well."""
        ...

    @property
    def counters(self) -> Mapping[str, int]:
        """How often something was left out, by reason."""
        ...

    def warm_up(self, frame: RgbdFrame) -> None:
        """Run everything once on an empty frame: first runs are slow."""
        ...

    def estimate(self, frame: RgbdFrame, clock: StageClock) -> Skeletons:
        """All people in the frame, without ids; its stages are timed.

        Raises:
            EstimatorError: the frame lacks an image that this modality needs.
        """
        ...

    def reset(self) -> None:
        """Forget earlier frames."""
        ...

    def close(self) -> None:
        """Free the network; ``estimate`` is not called afterwards."""
        ...


@runtime_checkable
class Follower(Protocol):
    """A modality that knows people better once it hears who is who."""

    def follow(self, people: Skeletons) -> None:
        """Hear from the tracker who is who in the last frame: people with ids, smoothed or predicted."""
        ...


# How long each stage of a frame takes.


class StageClock:
    """Collects the durations of one frame's stages, in the order they ran.

    >>> clock = StageClock()
    >>> with clock.stage("network"):
    ...     pass
    >>> list(clock.milliseconds)
    ['network']
    """

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block; a stage entered twice adds up. A thread beside the frames takes breath before it."""
        breathe()
        start = time.perf_counter()
        try:
            yield
        finally:
            elapsed = (time.perf_counter() - start) * 1e3
            self.milliseconds[name] = self.milliseconds.get(name, 0.0) + elapsed
