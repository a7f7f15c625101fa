"""What unipose_ros expects of tf_transformations: true of the real package and of the stand-in."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

tf = pytest.importorskip("tf_transformations")

Floats = list[float]
angles = st.floats(-3.1, 3.1)
vectors = st.lists(st.floats(-5, 5), min_size=3, max_size=3)


@st.composite
def quaternions(draw: Any) -> Floats:
    values = np.array(draw(st.lists(st.floats(-1, 1), min_size=4, max_size=4)))
    length = float(np.linalg.norm(values))
    assume(length > 0.1)
    return [float(v) for v in values / length]


def same_rotation(first: Any, second: Any) -> None:
    """q and -q are the same."""
    assert abs(float(np.dot(first, second))) == pytest.approx(1.0, abs=1e-7)


def turned(quaternion: Any, vector: Any) -> NDArray[np.float64]:
    return np.asarray(tf.quaternion_matrix(quaternion)[:3, :3] @ np.asarray(vector, float))


def test_quaternions_have_w_last() -> None:
    np.testing.assert_allclose(tf.quaternion_from_euler(0, 0, 0), [0, 0, 0, 1])
    np.testing.assert_allclose(tf.quaternion_from_euler(0, 0, math.pi / 2), [0, 0, math.sqrt(0.5), math.sqrt(0.5)])
    np.testing.assert_allclose(tf.quaternion_about_axis(math.pi, (1, 0, 0)), [1, 0, 0, 0], atol=1e-12)


def test_a_quarter_turn_about_z_takes_x_to_y() -> None:
    quaternion = tf.quaternion_from_euler(0, 0, math.pi / 2)
    np.testing.assert_allclose(turned(quaternion, [1, 0, 0]), [0, 1, 0], atol=1e-12)


def test_roll_pitch_yaw_are_about_fixed_axes() -> None:
    roll, pitch, yaw = 0.3, -0.4, 1.1
    parts = [
        tf.rotation_matrix(angle, axis) for angle, axis in ((yaw, (0, 0, 1)), (pitch, (0, 1, 0)), (roll, (1, 0, 0)))
    ]
    np.testing.assert_allclose(tf.euler_matrix(roll, pitch, yaw), tf.concatenate_matrices(*parts), atol=1e-12)


@given(quaternions())
def test_matrix_there_and_back(quaternion: Floats) -> None:
    matrix = tf.quaternion_matrix(quaternion)
    assert matrix.shape == (4, 4)
    np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.identity(3), atol=1e-9)
    same_rotation(tf.quaternion_from_matrix(matrix), quaternion)


@given(angles, st.floats(-1.5, 1.5), angles)
def test_euler_there_and_back(roll: float, pitch: float, yaw: float) -> None:
    quaternion = tf.quaternion_from_euler(roll, pitch, yaw)
    np.testing.assert_allclose(tf.euler_from_quaternion(quaternion), [roll, pitch, yaw], atol=1e-6)
    np.testing.assert_allclose(tf.euler_from_matrix(tf.euler_matrix(roll, pitch, yaw)), [roll, pitch, yaw], atol=1e-6)


@given(quaternions(), quaternions(), vectors)
def test_the_right_factor_turns_first(first: Floats, second: Floats, vector: Floats) -> None:
    both = tf.quaternion_multiply(second, first)
    np.testing.assert_allclose(turned(both, vector), turned(second, turned(first, vector)), atol=1e-8)


@given(quaternions())
def test_a_quaternion_times_its_inverse_is_nothing(quaternion: Floats) -> None:
    doubled = [2 * v for v in quaternion]
    product = tf.quaternion_multiply(doubled, tf.quaternion_inverse(doubled))
    np.testing.assert_allclose(product, [0, 0, 0, 1], atol=1e-9)
    np.testing.assert_allclose(tf.quaternion_conjugate(quaternion), [*(-np.array(quaternion[:3])), quaternion[3]])


def test_slerp_goes_the_shorter_way_at_even_speed() -> None:
    start, end = tf.quaternion_about_axis(0.2, (0, 0, 1)), tf.quaternion_about_axis(1.0, (0, 0, 1))
    for fraction in (0.0, 0.25, 0.5, 1.0):
        expected = tf.quaternion_about_axis(0.2 + 0.8 * fraction, (0, 0, 1))
        same_rotation(tf.quaternion_slerp(start, end, fraction), expected)
        same_rotation(tf.quaternion_slerp(start, [-v for v in end], fraction), expected)


def test_slerp_between_equal_ones_stays() -> None:
    quaternion = tf.quaternion_from_euler(0.1, 0.2, 0.3)
    np.testing.assert_allclose(tf.quaternion_slerp(quaternion, quaternion, 0.4), quaternion, atol=1e-9)


def test_slerp_can_take_the_longer_way() -> None:
    start, end = [0.0, 0, 0, 1], [0.0, 0, math.sin(2.0), math.cos(2.0)]
    middle = tf.quaternion_slerp(start, end, 0.5, shortestpath=False)
    same_rotation(middle, [0, 0, math.sin(1.0), math.cos(1.0)])


@given(quaternions(), vectors)
def test_an_inverse_matrix_undoes(quaternion: Floats, offset: Floats) -> None:
    matrix = tf.concatenate_matrices(tf.translation_matrix(offset), tf.quaternion_matrix(quaternion))
    np.testing.assert_allclose(tf.translation_from_matrix(matrix), offset, atol=1e-9)
    undone = tf.concatenate_matrices(tf.inverse_matrix(matrix), matrix)
    np.testing.assert_allclose(undone, tf.identity_matrix(), atol=1e-7)


def test_scale_is_no_part_of_a_rotation() -> None:
    quaternion = tf.quaternion_from_euler(0.1, 0.2, 0.3)
    scaled = tf.quaternion_matrix(quaternion)
    scaled[:3, :3] *= 3.0
    same_rotation(tf.quaternion_from_matrix(scaled), quaternion)


def test_lengths() -> None:
    assert tf.vector_norm([3.0, 4.0]) == pytest.approx(5.0)
    np.testing.assert_allclose(tf.vector_norm(np.array([[3.0, 4.0], [6.0, 8.0]]), axis=1), [5, 10])
    np.testing.assert_allclose(tf.unit_vector([3.0, 4.0]), [0.6, 0.8])
    np.testing.assert_allclose(tf.unit_vector(np.array([[3.0, 4.0], [0.0, 2.0]]), axis=1), [[0.6, 0.8], [0, 1]])
