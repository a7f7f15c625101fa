"""Postures as joint angles, drawn within the range of a healthy body.

Arms use the globe convention of the International Society of Biomechanics (Wu et al. 2005): the
plane in which the upper arm is raised, how far, and its turn about itself. Ranges follow the
American Academy of Orthopaedic Surgeons' normal ranges of motion (elbow 0-150, knee 0-135, hip
flexion 0-120 degrees and so on). All angles are in degrees.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, field

import numpy as np
from numpy.typing import NDArray

from unipose_training.synthetic.errors import SyntheticError

Array = NDArray[np.float64]
Range = tuple[float, float]


def _check(part: object, ranges: dict[str, Range]) -> None:
    for name, (low, high) in ranges.items():
        value = getattr(part, name)
        if not low <= value <= high:
            kind = type(part).__name__.lower()
            raise SyntheticError(f"{kind}.{name} = {value:g} degrees: a body bends from {low:g} to {high:g}")


@dataclass(frozen=True)
class Arm:
    """One arm; all zero hangs straight down.

    Attributes:
        elevation: 0 hangs, 90 is level, 180 points up.
        plane: in which it is raised: 0 forward, 90 sideways, negative across the chest.
        rotation: about its own length, positive inwards.
        elbow: 0 is straight.

    Raises:
        SyntheticError: an angle is out of range.
    """

    elevation: float = 6.0
    plane: float = 60.0
    rotation: float = 0.0
    elbow: float = 12.0

    def __post_init__(self) -> None:
        _check(self, {"elevation": (-60, 180), "plane": (-50, 120), "rotation": (-90, 90), "elbow": (0, 150)})


@dataclass(frozen=True)
class Leg:
    """One leg; all zero stands straight.

    Attributes:
        flexion: of the hip, forwards.
        abduction: sideways in the frontal plane.
        spread: turn about the vertical, outwards; opens the legs of a person who sits.
        knee: 0 is straight.

    Raises:
        SyntheticError: an angle is out of range.
    """

    flexion: float = 0.0
    abduction: float = 4.0
    spread: float = 4.0
    knee: float = 3.0

    def __post_init__(self) -> None:
        _check(self, {"flexion": (-30, 125), "abduction": (-25, 50), "spread": (-30, 50), "knee": (0, 140)})


@dataclass(frozen=True)
class Posture:
    """A whole body, before it is turned anywhere.

    Attributes:
        pitch: of the pelvis, forwards.
        lean, bend, twist: of the trunk: forwards, to its left, turned to its left.
        nod, look: of the head: forwards, turned to its left.

    Raises:
        SyntheticError: an angle is out of range.
    """

    pitch: float = 0.0
    lean: float = 0.0
    bend: float = 0.0
    twist: float = 0.0
    nod: float = 0.0
    look: float = 0.0
    left_arm: Arm = field(default_factory=Arm)
    right_arm: Arm = field(default_factory=Arm)
    left_leg: Leg = field(default_factory=Leg)
    right_leg: Leg = field(default_factory=Leg)

    def __post_init__(self) -> None:
        ranges = {
            "pitch": (-30, 75), "lean": (-25, 80), "bend": (-35, 35), "twist": (-45, 45), "nod": (-45, 45),
            "look": (-80, 80),
        }  # fmt: skip
        _check(self, {name: (float(low), float(high)) for name, (low, high) in ranges.items()})

    def angles(self) -> Array:
        """(22,) degrees: the trunk's six, then four of each limb in the order of the fields."""
        return np.concatenate([np.atleast_1d(np.asarray(value, np.float64)) for value in astuple(self)])


def blend(first: Posture, second: Posture, share: float) -> Posture:
    """Between two postures; every angle goes its way evenly, so the ranges hold in between."""
    mixed = ((1 - share) * first.angles() + share * second.angles()).tolist()
    pitch, lean, bend, twist, nod, look = mixed[:6]
    left_arm, right_arm, left_leg, right_leg = (mixed[start : start + 4] for start in (6, 10, 14, 18))
    return Posture(
        pitch, lean, bend, twist, nod, look, Arm(*left_arm), Arm(*right_arm), Leg(*left_leg), Leg(*right_leg)
    )
