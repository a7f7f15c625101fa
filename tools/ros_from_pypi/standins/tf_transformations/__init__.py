"""Stand-in for ``tf_transformations``: matrices and quaternions (x, y, z, w) over ``transforms3d``.

``transforms3d`` has w first and rotations as 3x3; this has w last and homogeneous 4x4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import transforms3d
from numpy.typing import ArrayLike, NDArray

Matrix = NDArray[np.float64]
Quaternion = tuple[float, float, float, float]
Axes = str | tuple[int, int, int, int]

_EPSILON = np.finfo(float).eps * 4.0
_NO_TRANSLATION = (0.0, 0.0, 0.0)
_NO_SCALE = (1.0, 1.0, 1.0)


def identity_matrix() -> Matrix:
    """(4, 4)."""
    return np.identity(4)


def translation_matrix(direction: ArrayLike) -> Matrix:
    """(4, 4) that moves by ``direction``."""
    return _compose(direction, np.identity(3))


def translation_from_matrix(matrix: ArrayLike) -> Matrix:
    """(3,) by which the matrix moves."""
    return np.array(matrix, np.float64)[:3, 3]


def rotation_matrix(angle: float, direction: ArrayLike, point: ArrayLike | None = None) -> Matrix:
    """(4, 4) that turns by ``angle`` about an axis through ``point``."""
    return np.asarray(transforms3d.axangles.axangle2aff(direction, angle, point=point))


def euler_matrix(ai: float, aj: float, ak: float, axes: Axes = "sxyz") -> Matrix:
    """(4, 4) from Euler angles."""
    return _compose(_NO_TRANSLATION, transforms3d.euler.euler2mat(ai, aj, ak, axes=axes))


def euler_from_matrix(matrix: ArrayLike, axes: Axes = "sxyz") -> tuple[float, float, float]:
    """Euler angles of the rotation in a (3, 3) or (4, 4) matrix."""
    roll, pitch, yaw = transforms3d.euler.mat2euler(np.asarray(matrix), axes=axes)
    return roll, pitch, yaw


def euler_from_quaternion(quaternion: Sequence[float], axes: Axes = "sxyz") -> tuple[float, float, float]:
    """Euler angles of a quaternion."""
    return euler_from_matrix(quaternion_matrix(quaternion), axes)


def quaternion_from_euler(ai: float, aj: float, ak: float, axes: Axes = "sxyz") -> Quaternion:
    """Quaternion from Euler angles."""
    return _w_last(transforms3d.euler.euler2quat(ai, aj, ak, axes=axes))


def quaternion_about_axis(angle: float, axis: ArrayLike) -> Quaternion:
    """Quaternion that turns by ``angle`` about ``axis``."""
    return _w_last(transforms3d.quaternions.axangle2quat(axis, angle))


def quaternion_matrix(quaternion: Sequence[float]) -> Matrix:
    """(4, 4) rotation of a quaternion of any length but 0."""
    return _compose(_NO_TRANSLATION, transforms3d.quaternions.quat2mat(_w_first(quaternion)))


def quaternion_from_matrix(matrix: ArrayLike) -> Quaternion:
    """Quaternion of the rotation in a (4, 4) affine matrix, whose scale is divided out."""
    _, rotation, _, _ = transforms3d.affines.decompose(np.asarray(matrix))
    return _w_last(transforms3d.quaternions.mat2quat(rotation))


def quaternion_multiply(quaternion1: Sequence[float], quaternion0: Sequence[float]) -> Quaternion:
    """The rotation ``quaternion0`` followed by ``quaternion1``."""
    return _w_last(transforms3d.quaternions.qmult(_w_first(quaternion1), _w_first(quaternion0)))


def quaternion_conjugate(quaternion: Sequence[float]) -> Matrix:
    """(4,) with the vector part turned round."""
    x, y, z, w = quaternion
    return np.array([-x, -y, -z, w], np.float64)


def quaternion_inverse(quaternion: Sequence[float]) -> Matrix:
    """(4,) whose product with the quaternion is the identity."""
    return quaternion_conjugate(quaternion) / float(np.dot(quaternion, quaternion))


def quaternion_slerp(
    quat0: ArrayLike, quat1: ArrayLike, fraction: float, spin: int = 0, shortestpath: bool = True
) -> Matrix:
    """(4,) on the great circle from ``quat0`` (fraction 0) to ``quat1`` (1).

    Args:
        spin: extra half turns on the way.
        shortestpath: take the nearer one of ``quat1`` and ``-quat1``, which are the same rotation.
    """
    start, end = unit_vector(quat0), unit_vector(quat1)
    cosine = float(np.dot(start, end))
    if fraction == 0.0 or (fraction != 1.0 and abs(abs(cosine) - 1.0) < _EPSILON):
        return start
    if fraction == 1.0:
        return end
    if shortestpath and cosine < 0.0:
        cosine, end = -cosine, -end
    angle = math.acos(cosine) + spin * math.pi
    if abs(angle) < _EPSILON:
        return start
    weights = math.sin((1.0 - fraction) * angle), math.sin(fraction * angle)
    return (weights[0] * start + weights[1] * end) / math.sin(angle)


def inverse_matrix(matrix: ArrayLike) -> Matrix:
    """The matrix that undoes this one."""
    return np.linalg.inv(np.asarray(matrix, np.float64))


def concatenate_matrices(*matrices: ArrayLike) -> Matrix:
    """Product of (4, 4) matrices; the last one acts first."""
    product = np.identity(4)
    for matrix in matrices:
        product = product @ np.asarray(matrix, np.float64)
    return product


def vector_norm(data: ArrayLike, axis: int | None = None) -> Any:
    """Euclidean length along an axis, or of the whole array."""
    return np.linalg.norm(np.asarray(data, np.float64), axis=axis)


def unit_vector(data: ArrayLike, axis: int | None = None) -> Matrix:
    """The array divided by its length along an axis."""
    values = np.asarray(data, np.float64)
    return np.asarray(values / np.linalg.norm(values, axis=axis, keepdims=axis is not None))


def _compose(translation: ArrayLike, rotation: ArrayLike) -> Matrix:
    return np.asarray(transforms3d.affines.compose(translation, rotation, _NO_SCALE), np.float64)


def _w_first(quaternion: Sequence[float]) -> Quaternion:
    x, y, z, w = quaternion
    return w, x, y, z


def _w_last(quaternion: Sequence[float]) -> Quaternion:
    w, x, y, z = quaternion
    return x, y, z, w
