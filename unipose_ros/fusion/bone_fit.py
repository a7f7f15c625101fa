"""Joints that agree with a network's Gaussians and with how long people's bones are.

A network that weighs votes predicts the mean of where a joint may be: limbs come out short, the more so the less
certain they are. Here the joints move, each as far as its covariance lets it, until bones have lengths that people's
have in proportion to each other; how large the person is, is unknown, too. Maximum a posteriori, by iteratively
re-weighted Gauss-Newton steps; it is the fusion (:mod:`unipose_ros.fusion.solve`) of one source.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unipose_ros.fusion.evidence import (
    BLOCK_COLUMNS,
    BLOCK_ROWS,
    FREEDOM,
    IDENTITY_EQUATIONS,
    Body,
    annealed_width,
    bone_equations,
    student_weight,
    whitening,
)
from unipose_ros.joint_sets import ITOP15

FloatArray = NDArray[np.float64]

_J = len(ITOP15)
_SIZE, _UNKNOWNS = 3 * _J, 3 * _J + 1
#: Standard deviation of the log size: children and adults.
_SIZE_STD = 0.2
#: Standard deviation in meters that is added to every joint's: what the network calls its joints, and bones theirs.
_DEFINITION = 0.02
#: Iterations; more move 95 % of the joints by less than 2 mm.
_ITERATIONS = 5
#: (45, 45) what ITOP's identities add to the normal equations.
_IDENTITIES = IDENTITY_EQUATIONS.T @ IDENTITY_EQUATIONS
#: Standard deviation in meters about the start of a joint of which the network says nothing.
_SOMEWHERE = 1.5
#: (3, 3) what that adds to a joint's precision.
_ANYWHERE = _SOMEWHERE**-2 * np.eye(3)


def fit_bones(joints: FloatArray, covariances: FloatArray) -> tuple[FloatArray, FloatArray]:
    """N people's joints and covariances, bones considered.

    Args:
        joints: (N, 15, 3) meters, ITOP; NaN where there is none.
        covariances: (N, 15, 3, 3) square meters of ``joints``.

    Returns:
        The same shapes; NaN where ``joints`` are.
    """
    people = len(joints)
    if not people:
        return joints, covariances
    there = np.asarray(np.isfinite(joints).all(axis=-1), np.bool_)
    white, sound = whitening(covariances + _DEFINITION**2 * np.eye(3))
    known = np.asarray(there & sound, np.bool_)
    precision = np.where(known[..., None, None], np.swapaxes(white, -1, -2) @ white, 0.0)
    middle = np.where(there[..., None], joints, 0.0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)[:, None]
    means = np.where(there[..., None], joints, middle[:, None])
    body = Body.of_population(people, size_std=_SIZE_STD)
    x, sizes = means.copy(), body.sizes.copy()
    for iteration in range(_ITERATIONS):
        width = annealed_width(iteration / (_ITERATIONS - 1))
        weights = _weights(x - means, white, known) / width**2
        hessian, right = _normal_equations(x, sizes, means, weights[..., None, None] * precision, body)
        found = np.linalg.solve(hessian, right[..., None])[..., 0]
        x = np.asarray(found[:, :_SIZE].reshape(people, _J, 3), np.float64)
        sizes = np.asarray(found[:, _SIZE], np.float64)
    # At its mode Student's t is narrower than the Gaussian of the same scale, see the fusion.
    weights = _weights(x - means, white, known) * (FREEDOM / (FREEDOM + 3))
    hessian, _ = _normal_equations(x, sizes, means, weights[..., None, None] * precision, body)
    blocks = np.linalg.inv(hessian)[:, BLOCK_ROWS, BLOCK_COLUMNS]
    return np.where(there[..., None], x, np.nan), np.where(known[..., None, None], blocks, np.nan)


def _weights(off: FloatArray, white: FloatArray, known: NDArray[np.bool_]) -> FloatArray:
    squares = ((white @ off[..., None])[..., 0] ** 2).sum(axis=-1)
    return student_weight(np.where(known, squares, 0.0), 3)


def _normal_equations(
    x: FloatArray, sizes: FloatArray, means: FloatArray, precision: FloatArray, body: Body
) -> tuple[FloatArray, FloatArray]:
    people = len(x)
    rows, target = bone_equations(x, sizes, body, _UNKNOWNS)
    transposed = rows.transpose(0, 2, 1)
    hessian = transposed @ rows
    right = (transposed @ target[..., None])[..., 0]
    hessian[:, :_SIZE, :_SIZE] += _IDENTITIES
    hessian[:, _SIZE, _SIZE] += body.size_stds**-2
    right[:, _SIZE] += body.sizes * body.size_stds**-2
    precision = precision + _ANYWHERE
    hessian[:, BLOCK_ROWS, BLOCK_COLUMNS] += precision
    right[:, :_SIZE] += (precision @ means[..., None]).reshape(people, _SIZE)
    return hessian, right
