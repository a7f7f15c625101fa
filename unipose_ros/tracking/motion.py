"""How bodies move: a Kalman filter of each person's place and velocity, and how joints follow it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from unipose_ros.tracking.assignment import MIN_COMMON_JOINTS, nan_median

FloatArray = NDArray[np.float64]

#: Meters: standard deviation of where a body is measured, the median over its joints.
_BODY_STD = 0.04
#: Meters a second: standard deviation of the speed of a new track.
_SPEED_STD = 0.8
#: m^2/s^3: power of the accelerations of people who are seen, and of those who are not and may have turned.
_SEEN_POWER, _UNSEEN_POWER = 1.0, 2.0


@dataclass(frozen=True, eq=False)
class Motion:
    """Places and velocities of T bodies, and how well they are known; alike in all directions.

    Attributes:
        velocities: (T, 3) meters per second.
        offsets: (T, 3) meters from where the smoothed joints are to where the filter has the body.
        variances: (T, 3) of place, of place with velocity, of velocity.
    """

    velocities: FloatArray
    offsets: FloatArray
    variances: FloatArray

    @classmethod
    def unknown(cls, count: int) -> Motion:
        """People seen for the first time."""
        variances = np.array([_BODY_STD**2, 0.0, _SPEED_STD**2])
        return cls(np.zeros((count, 3)), np.zeros((count, 3)), np.tile(variances, (count, 1)))

    @property
    def place_std(self) -> FloatArray:
        """(T,) meters: standard deviation of where the bodies are measured next."""
        return np.sqrt(self.variances[:, 0] + _BODY_STD**2)

    def turned(self, rotation: FloatArray) -> Motion:
        """In a frame that is turned by (3, 3)."""
        return replace(self, velocities=self.velocities @ rotation.T, offsets=self.offsets @ rotation.T)

    def predicted(self, dt: float, coasting: NDArray[np.bool_], decay: float) -> tuple[Motion, FloatArray]:
        """The motion after a time, and by how many meters (T, 3) each person has moved.

        White noise acceleration (Bar-Shalom and Li, Estimation and Tracking, 1993, section 6.2). The velocity dies
        away with the time constant ``decay`` while a person is ``coasting``, (T,) not seen in the last frame either;
        slowing down those who are seen would make them lag.
        """
        kept = np.where(coasting, math.exp(-dt / decay), 1.0)
        seconds = np.where(coasting, decay * (1 - kept), dt)
        power = np.where(coasting, _UNSEEN_POWER, _SEEN_POWER)
        place, mixed, speed = self.variances.T
        variances = np.column_stack(
            [
                place + 2 * seconds * mixed + seconds**2 * speed + power * dt**3 / 3,
                kept * (mixed + seconds * speed) + power * dt**2 / 2,
                kept**2 * speed + power * dt,
            ]
        )
        moved = self.velocities * seconds[:, None]
        return Motion(self.velocities * kept[:, None], self.offsets, variances), moved

    def corrected(self, residuals: FloatArray, followed: FloatArray, max_speed: float) -> Motion:
        """The motion after a measurement.

        Args:
            residuals: (T, J, 3) meters from the predicted joints to the measured ones, NaN where unknown. Their median
                counts, so limbs and outliers do not; a body with too few joints to tell stays as predicted.
            followed: (T, J, 3) meters by which the smoothed joints went after them.
            max_speed: meters per second; a faster result is shortened to it.
        """
        by_axis = np.moveaxis(residuals, 1, -1)
        known = (np.isfinite(by_axis).sum(axis=-1) >= MIN_COMMON_JOINTS).all(axis=-1)
        innovation = np.where(known[:, None], nan_median(by_axis) - self.offsets, 0.0)
        went = np.where(known[:, None], nan_median(np.moveaxis(followed, 1, -1)), 0.0)
        place, mixed, speed = self.variances.T
        scale = np.where(known, 1 / (place + _BODY_STD**2), 0.0)
        velocities = self.velocities + (mixed * scale)[:, None] * innovation
        pace = np.linalg.norm(velocities, axis=-1, keepdims=True)
        return Motion(
            velocities=velocities * np.minimum(1.0, max_speed / np.maximum(pace, 1e-9)),
            offsets=self.offsets + (place * scale)[:, None] * innovation - went,
            variances=np.column_stack(
                [place - place**2 * scale, mixed - place * mixed * scale, speed - mixed**2 * scale]
            ),
        )


def blend_factor(dt: float, time_constant: float) -> float:
    """Share of the new value in an exponential mean: ``1 - exp(-dt / tau)``, 1 for tau = 0.

    The same time constant filters alike at any frame rate.
    """
    return 1.0 if time_constant <= 0 else -math.expm1(-dt / time_constant)


def smooth(predicted: FloatArray, measured: FloatArray, factor: float, threshold: float) -> FloatArray:
    """Gated exponential mean that lets fast motion through.

    The share of the measurement grows from ``factor`` for a joint where it was expected to 1 for
    a joint that is ``threshold`` or more away. A fixed share lags: on CMU motion capture at 30 Hz it
    puts the limbs of a runner 12 cm off, this one 4 cm.

    Args:
        predicted: (..., J, 3) meters, NaN where nothing is known.
        measured: (..., J, 3) meters, NaN where nothing was seen.
        factor: in (0, 1], see :func:`blend_factor`.
        threshold: meters.

    Returns:
        (..., J, 3); the measurement without a prediction, the prediction without a measurement.
    """
    residual = measured - predicted
    surprise = np.linalg.norm(residual, axis=-1, keepdims=True) / threshold
    share = np.minimum(factor + (1 - factor) * surprise, 1.0)
    mixed = predicted + share * residual
    return np.where(np.isnan(predicted), measured, np.where(np.isnan(measured), predicted, mixed))
