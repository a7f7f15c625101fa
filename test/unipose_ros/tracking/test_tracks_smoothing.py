from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unipose_ros.tracking.tracks import Motion, blend_factor, smooth

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


# Places and velocities of bodies


def after(residual: np.ndarray, motion: Motion | None = None, dt: float = 0.1) -> Motion:
    """One person, a time later, measured at residuals from the prediction, whose joints all went there."""
    predicted, _ = (motion or Motion.unknown(1)).predicted(dt, np.zeros(1, bool), 0.5)
    return predicted.corrected(residual[None], residual[None], 4.0)


def everywhere(*offset: float) -> np.ndarray:
    return np.tile(offset, (5, 1))


def test_velocity_follows_most_joints() -> None:
    residual = everywhere(0.1, 0.0, 0.0)
    residual[:2] = [-3.0, 3.0, 0.0]  # two hands wave
    velocity = after(residual).velocities[0]
    # A prior of 0.8 m/s says that most of the 0.1 m in 0.1 s is motion.
    assert 0.5 < velocity[0] < 1.0
    assert velocity[1:] == pytest.approx([0, 0])


def test_velocity_stays_when_too_few_joints_tell() -> None:
    residual = np.full((5, 3), NAN)
    residual[:2] = 0.1
    before, _ = Motion.unknown(1).predicted(0.1, np.zeros(1, bool), 0.5)
    motion = before.corrected(residual[None], residual[None], 4.0)
    np.testing.assert_array_equal(motion.velocities, before.velocities)
    np.testing.assert_array_equal(motion.variances, before.variances)


def test_velocity_is_limited() -> None:
    assert np.linalg.norm(after(everywhere(3.0, 4.0, 0.0)).velocities) == pytest.approx(4.0)


@pytest.mark.parametrize("rate", [5, 30])
def test_velocity_of_a_walker_is_found_within_a_second(rate: int) -> None:
    rng = np.random.default_rng(0)
    motion, place = Motion.unknown(1), 0.0
    for k in range(1, rate + 1):
        predicted, moved = motion.predicted(1 / rate, np.zeros(1, bool), 0.5)
        measured = 1.2 * k / rate + rng.normal(0, 0.02)
        residual = everywhere(measured - place - moved[0, 0], 0.0, 0.0)
        motion = predicted.corrected(residual[None], residual[None], 4.0)
        place = measured
    assert motion.velocities[0, 0] == pytest.approx(1.2, abs=0.2)


def test_a_place_is_known_less_the_longer_no_people_looks() -> None:
    motion, stds = after(everywhere(0.0, 0.0, 0.0)), []
    for _ in range(10):
        motion, _ = motion.predicted(0.1, np.ones(1, bool), 0.5)
        stds.append(float(motion.place_std[0]))
    assert stds == sorted(stds)
    assert 0.3 < stds[-1] < 1.0


def test_what_coasts_slows_down() -> None:
    motion, moved = Motion(np.array([[1.0, 0, 0]]), np.zeros((1, 3)), np.zeros((1, 3))), 0.0
    for _ in range(60):
        motion, step = motion.predicted(0.1, np.ones(1, bool), 0.2)
        moved += step[0, 0]
    assert moved == pytest.approx(0.2, abs=1e-6)
