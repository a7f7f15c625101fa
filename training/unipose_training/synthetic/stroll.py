"""A walk along a path, made from one stride."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_training.synthetic.errors import SyntheticError
from unipose_training.synthetic.motion import Motion, sample, turn

Array = NDArray[np.float64]
_FINE = 2000


@dataclass(frozen=True)
class Oval:
    """A round on an ellipse, from above against the clock.

    Attributes:
        center: x and y in meters.
        radii: along x and y in meters.
        start: radians, where on the ellipse the walk begins.
        laps: how often round; negative is clockwise.
    """

    center: tuple[float, float]
    radii: tuple[float, float]
    start: float = 0.0
    laps: float = 1.0

    def points(self) -> Array:
        """Finely spaced (n, 2) places along the way."""
        angle = self.start + np.linspace(0, 2 * np.pi * self.laps, _FINE)
        circle = np.column_stack([np.cos(angle), np.sin(angle)])
        return np.asarray(self.center + circle * self.radii)


def stroll(stride: Motion, path: Array, times_s: Array, scale: float, phase: float = 0.0) -> Motion:
    """Walk along a path at even speed, arriving with the last time.

    The steps keep the length they have in the motion, so the feet do not slide on a straight path.

    Args:
        stride: one cycle of a walk that rests facing -y.
        path: (n, 2) meters.
        times_s: (F,) when poses are wanted, evenly spaced.
        scale: size of the walker relative to the motion's performer.
        phase: share of the cycle to begin with.

    Raises:
        SyntheticError: the motion is not a cycle that goes anywhere.
    """
    if not stride.cyclic or stride.stride < 0.1:
        raise SyntheticError(f"motion '{stride.name}' is not a walking cycle; use a clip like DeepMimic's walk")
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    share = (times_s - times_s[0]) / (times_s[-1] - times_s[0])
    gone = share * along[-1]
    cycles = phase + gone / (stride.stride * scale)
    poses = sample(stride, cycles * stride.duration_s)
    places = np.column_stack([np.interp(gone, along, path[:, axis]) for axis in range(2)])
    forward = np.gradient(path, axis=0)
    directions = np.column_stack([np.interp(gone, along, forward[:, axis]) for axis in range(2)])
    # At rest the walker faces -y, which is the direction -90 degrees.
    headings = np.unwrap(np.arctan2(directions[:, 1], directions[:, 0])) + np.pi / 2
    period = float(times_s[1] - times_s[0])
    placed = turn(poses, headings, places)
    root = placed.root * [1, 1, scale]
    return Motion(placed.name, placed.bones, placed.rotations, placed.rest_directions, root, period)
