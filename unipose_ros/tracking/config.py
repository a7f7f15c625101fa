"""What can be tuned about tracking."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields


class TrackerConfigError(ValueError):
    """A setting is out of range; the message names field, value and remedy."""


#: Lower bounds; ``True`` where the bound itself is allowed.
_BOUNDS: dict[str, tuple[float, bool]] = {
    "max_age": (0.0, False),
    "confirm_hits": (1, True),
    "gate": (0.0, False),
    "gate_growth": (0.0, True),
    "duplicate_distance": (0.0, True),
    "joint_max_age": (0.0, True),
    "side_hold": (0.0, True),
    "smoothing": (0.0, True),
    "fast_motion_threshold": (0.0, False),
    "velocity_decay": (0.0, False),
    "max_speed": (0.0, False),
    "process_noise_std": (0.0, True),
    "confidence_decay": (0.0, False),
}


@dataclass(frozen=True)
class TrackerConfig:
    """Settings of :class:`~unipose_ros.tracking.NearestTracker`. Times are differences of stamps.

    ``smoothing`` and ``fast_motion_threshold`` were chosen on CMU motion capture (walking, running, climbing) with 15
    to 30 mm of noise at 10 and 30 Hz and on modality ``lookup``, whose errors are mostly not noise:
    more smoothing (0.11 s is the mean with 0.6 of the new value at 10 Hz that is best for A2J on
    ITOP) takes little more of the trembling there and lags behind walkers.

    Attributes:
        max_age: seconds for which a person who is not seen is predicted, then dropped.
        confirm_hits: frames in which a person must be seen before the state leaves NEW.
        gate: meters between prediction and detection up to which they may be the same person.
        gate_growth: meters by which the gate widens for every second the person was not seen.
        duplicate_distance: meters; two detections of one frame closer than this are one person. 0 keeps all.
        joint_max_age: seconds for which a joint that a visible person lacks is predicted, then MISSING.
        side_hold: seconds for which measurements must contradict a track's left and right until they are believed;
            until then they are exchanged. 0 takes every measurement as it is.
        smoothing: time constant in seconds for a joint that moves with its body; 0 switches smoothing off.
        fast_motion_threshold: meters off its prediction at which a joint takes its new position unsmoothed.
        velocity_decay: seconds in which the velocity of an unseen person falls to 1/e.
        max_speed: meters per second; no body is predicted to move faster.
        process_noise_std: standard deviation in meters that a predicted joint gains in the first second
            (it grows with the square root of time).
        confidence_decay: seconds in which the confidence of a predicted joint falls to 1/e.
        seed: makes the ids the same in every run; ``None`` draws others each time.

    Raises:
        TrackerConfigError: a value is not finite or out of range.
    """

    max_age: float = 0.7
    confirm_hits: int = 3
    gate: float = 0.5
    gate_growth: float = 1.0
    duplicate_distance: float = 0.2
    joint_max_age: float = 0.2
    side_hold: float = 0.5
    smoothing: float = 0.075
    fast_motion_threshold: float = 0.2
    velocity_decay: float = 0.5
    max_speed: float = 4.0
    process_noise_std: float = 0.5
    confidence_decay: float = 0.5
    seed: int | None = None

    def __post_init__(self) -> None:
        for item in fields(self):
            if item.name in _BOUNDS:
                _check(item.name, getattr(self, item.name), *_BOUNDS[item.name])
        if int(self.confirm_hits) != self.confirm_hits:
            raise TrackerConfigError(f"confirm_hits = {self.confirm_hits}: give a whole number of frames")


def _check(name: str, value: float, bound: float, inclusive: bool) -> None:
    if not math.isfinite(value) or value < bound or (value == bound and not inclusive):
        relation = "at least" if inclusive else "more than"
        raise TrackerConfigError(f"{name} = {value}: give a finite number, {relation} {bound:g}")
