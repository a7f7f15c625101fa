from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unipose_ros.tracking.tracks import blend_factor, corrected_velocity, smooth

NAN = np.nan
JUMP = 0.3


def test_blend_factor_of_the_itop_filter() -> None:
    assert blend_factor(0.1, -0.1 / np.log(0.4)) == pytest.approx(0.6)


@given(st.floats(0.01, 1.0), st.floats(0.01, 1.0))
def test_blend_factor_does_not_depend_on_the_frame_rate(dt: float, time_constant: float) -> None:
    two_steps = 1 - (1 - blend_factor(dt / 2, time_constant)) ** 2
    assert two_steps == pytest.approx(blend_factor(dt, time_constant))


def test_blend_factor_without_smoothing() -> None:
    assert blend_factor(0.1, 0.0) == 1.0


def joint(x: float) -> np.ndarray:
    return np.array([[x, 1.0, 2.0]])


def test_smooth_mixes_a_small_surprise() -> None:
    # The share is 0.5 + 0.5 * (0.03 / 0.3) = 0.55.
    assert smooth(joint(0.0), joint(0.03), 0.5, JUMP)[0] == pytest.approx([0.03 * 0.55, 1.0, 2.0])


@pytest.mark.parametrize("distance", [0.3, 0.31, 4.0])
def test_smooth_lets_a_jump_through(distance: float) -> None:
    assert smooth(joint(0.0), joint(distance), 0.2, JUMP)[0, 0] == pytest.approx(distance)


@given(st.floats(0.0, 0.6), st.floats(0.05, 1.0))
def test_smooth_stays_between_prediction_and_measurement(distance: float, factor: float) -> None:
    mixed = smooth(joint(0.0), joint(distance), factor, JUMP)[0, 0]
    assert factor * distance <= mixed + 1e-12 <= distance + 2e-12


def test_smooth_takes_what_there_is() -> None:
    predicted = np.array([[NAN] * 3, [1.0, 2.0, 3.0], [NAN] * 3])
    measured = np.array([[4.0, 5.0, 6.0], [NAN] * 3, [NAN] * 3])
    np.testing.assert_array_equal(smooth(predicted, measured, 0.5, JUMP), [[4, 5, 6], [1, 2, 3], [NAN] * 3])


def velocity_after(residual: np.ndarray, velocity: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    predicted = np.zeros((1, *residual.shape))
    return corrected_velocity(np.array([velocity], float), predicted, residual[None], 0.1, 1.0, 4.0)[0]


def test_velocity_follows_most_joints() -> None:
    residual = np.tile([0.1, 0.0, 0.0], (5, 1))
    residual[:2] = [-3.0, 3.0, 0.0]  # two hands wave
    assert velocity_after(residual) == pytest.approx([1.0, 0.0, 0.0])


def test_velocity_stays_when_too_few_joints_tell() -> None:
    residual = np.full((5, 3), NAN)
    residual[:2] = 0.1
    assert velocity_after(residual, (0.5, 0, 0)) == pytest.approx([0.5, 0, 0])


def test_velocity_is_limited() -> None:
    assert velocity_after(np.tile([3.0, 4.0, 0.0], (5, 1))) == pytest.approx([2.4, 3.2, 0.0])
