"""Joints that agree with a network's Gaussians and with how long people's bones are.

A network that weighs votes predicts the mean of where a joint may be: limbs come out short, the more so the less
certain they are. Here the joints move, each as far as its covariance lets it, until bones have lengths that people's
have in proportion to each other; how large the person is, is unknown, too. Maximum a posteriori, by iteratively
re-weighted Gauss-Newton steps; it is the fusion (:mod:`unipose_ros.fusion.solve`) of one source.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from unipose_ros.compiled import ENABLED, compiled, compiled_part
from unipose_ros.fusion import equations
from unipose_ros.fusion.evidence import (
    BLOCK_COLUMNS,
    BLOCK_ROWS,
    BONES,
    FREEDOM,
    IDENTITY_EQUATIONS,
    LENGTH_STDS,
    MEAN_LENGTHS,
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
#: Factors on standard deviations, one an iteration.
_WIDTHS = np.array([annealed_width(iteration / (_ITERATIONS - 1)) for iteration in range(_ITERATIONS)])
#: Standard deviation in meters about the start of a joint of which the network says nothing.
_SOMEWHERE = 1.5
#: (3, 3) what that adds to a joint's precision.
_ANYWHERE = _SOMEWHERE**-2 * np.eye(3)
#: (46, 46) what identities and the size's prior add to the normal equations.
_CONSTANT = np.zeros((_UNKNOWNS, _UNKNOWNS))
_CONSTANT[:_SIZE, :_SIZE] = IDENTITY_EQUATIONS.T @ IDENTITY_EQUATIONS
_CONSTANT[_SIZE, _SIZE] = _SIZE_STD**-2


def fit_bones(joints: FloatArray, covariances: FloatArray) -> tuple[FloatArray, FloatArray]:
    """N people's joints and covariances, bones considered.

    Args:
        joints: (N, 15, 3) meters, ITOP; NaN where there is none.
        covariances: (N, 15, 3, 3) square meters of ``joints``.

    Returns:
        The same shapes; NaN where ``joints`` are.
    """
    if not len(joints):
        return joints, covariances
    if not ENABLED:
        return fit_by_numpy(joints, covariances)
    joints, covariances = np.ascontiguousarray(joints), np.ascontiguousarray(covariances)
    numbers = (_DEFINITION, _SOMEWHERE**-2, FREEDOM)
    return _fit_compiled(joints, covariances, BONES, MEAN_LENGTHS, LENGTH_STDS, _CONSTANT, _WIDTHS, numbers)


def fit_by_numpy(joints: FloatArray, covariances: FloatArray) -> tuple[FloatArray, FloatArray]:
    """:func:`fit_bones` of one or more people where nothing is compiled."""
    people = len(joints)
    there = np.asarray(np.isfinite(joints).all(axis=-1), np.bool_)
    white, sound = whitening(covariances + _DEFINITION**2 * np.eye(3))
    known = np.asarray(there & sound, np.bool_)
    precision = np.where(known[..., None, None], np.swapaxes(white, -1, -2) @ white, 0.0)
    middle = np.where(there[..., None], joints, 0.0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)[:, None]
    means = np.where(there[..., None], joints, middle[:, None])
    body = Body.of_population(people, size_std=_SIZE_STD)
    x, sizes = means.copy(), body.sizes.copy()
    for width in _WIDTHS:
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
    hessian += _CONSTANT
    precision = precision + _ANYWHERE
    hessian[:, BLOCK_ROWS, BLOCK_COLUMNS] += precision
    right[:, :_SIZE] += (precision @ means[..., None]).reshape(people, _SIZE)
    return hessian, right


# The same, one person after the other.


@compiled_part()
def _middle_of_rest(joints: FloatArray, places: FloatArray, there: NDArray[np.bool_]) -> None:
    """Joints one after the other, the middle of the others in the place of one that is not finite."""
    count = 0
    for joint in range(len(joints)):
        there[joint] = equations.known(joints[joint])
        count += there[joint]
    for a in range(3):
        total = 0.0
        for joint in range(len(joints)):
            total += joints[joint, a] if there[joint] else 0.0
        for joint in range(len(joints)):
            places[3 * joint + a] = joints[joint, a] if there[joint] else total / max(count, 1)


def _fit_by_loops(
    joints: FloatArray,
    covariances: FloatArray,
    bones: equations.Indices,
    lengths: FloatArray,
    stds: FloatArray,
    constant: FloatArray,
    widths: FloatArray,
    numbers: tuple[float, float, float],
) -> tuple[FloatArray, FloatArray]:
    """As :func:`fit_by_numpy`, whose constants come after joints and covariances."""
    definition, anywhere, freedom = numbers
    n, size = joints.shape[1], 3 * joints.shape[1]
    found, blocks = np.empty(joints.shape), np.empty(covariances.shape)
    hessian, factor = np.zeros((size + 1, size + 1)), np.zeros((size + 1, size + 1))
    right, x, means = np.zeros(size + 1), np.zeros(size + 1), np.zeros(size)
    covariance, precision, rows = np.zeros((3, 3)), np.zeros((n, 3, 3)), np.zeros((len(bones), 5))
    there, known = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    for person in range(len(joints)):
        _middle_of_rest(joints[person], means, there)
        for joint in range(n):
            for a in range(3):
                for b in range(3):
                    covariance[a, b] = covariances[person, joint, a, b] + (definition * definition if a == b else 0.0)
            known[joint] = equations.precision(covariance, precision[joint]) and there[joint]
        for k in range(size):
            x[k] = means[k]
        x[size] = 0.0
        for iteration in range(len(widths) + 1):
            last = iteration == len(widths)
            for i in range(size + 1):
                right[i] = 0.0
                for j in range(size + 1):
                    hessian[i, j] = constant[i, j]
            equations.bone_rows(x, bones, lengths, stds, 1.0, rows)
            equations.add_bones(hessian, right, rows, bones)
            for joint in range(n):
                at, weight = 3 * joint, 0.0
                if known[joint]:
                    square = equations.squared_distance(
                        precision[joint], x[at] - means[at], x[at + 1] - means[at + 1], x[at + 2] - means[at + 2]
                    )
                    weight = (freedom + 3) / (freedom + square)
                    # At its mode Student's t is narrower than the Gaussian of the same scale, see the fusion.
                    weight *= freedom / (freedom + 3) if last else 1 / (widths[iteration] * widths[iteration])
                for a in range(3):
                    for b in range(3):
                        added = weight * precision[joint, a, b] + (anywhere if a == b else 0.0)
                        hessian[at + a, at + b] += added
                        right[at + a] += added * means[at + b]
            equations.factorize(hessian)
            if not last:
                equations.solve(hessian, right, x)
        equations.invert(hessian, factor)
        equations.diagonal_blocks(factor, blocks[person])
        for joint in range(n):
            for a in range(3):
                found[person, joint, a] = x[3 * joint + a] if there[joint] else math.nan
                for b in range(3):
                    if not known[joint]:
                        blocks[person, joint, a, b] = math.nan
    return found, blocks


# Where nothing is compiled, NumPy is called instead.
_fit_compiled = compiled(
    _fit_by_loops,
    "Tuple((f8[:,:,::1],f8[:,:,:,::1]))"
    "(f8[:,:,::1],f8[:,:,:,::1],i8[:,::1],f8[::1],f8[::1],f8[:,::1],f8[::1],UniTuple(f8,3))",
)(_fit_by_loops)
