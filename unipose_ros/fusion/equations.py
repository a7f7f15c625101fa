"""What the equations of one person are made of and solved by, in loops to be compiled.

They are parts of what :mod:`unipose_ros.fusion.bone_fit` and :mod:`unipose_ros.fusion.loops` compile.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from unipose_ros.compiled import compiled_part

FloatArray = NDArray[np.float64]
Indices = NDArray[np.int64]

# Small symmetric matrices, of which only the upper triangle is read.

#: A matrix whose least eigenvalue is not more than this fraction of its trace is no covariance.
_SINGULAR = 1e-9


@compiled_part()
def factorize(a: FloatArray) -> None:
    """Cholesky: U with ``U^T U = a`` takes the place of the upper triangle of ``a``; NaN where there is none."""
    n = len(a)
    for k in range(n):
        root = math.sqrt(a[k, k]) if a[k, k] > 0 else math.nan
        for j in range(k, n):
            a[k, j] /= root
        for i in range(k + 1, n):
            factor = a[k, i]
            if factor != 0:
                for j in range(i, n):
                    a[i, j] -= factor * a[k, j]


@compiled_part()
def solve(u: FloatArray, right: FloatArray, x: FloatArray) -> None:
    """``U^T U x = right``."""
    n = len(u)
    for k in range(n):
        x[k] = right[k]
    for k in range(n):
        x[k] /= u[k, k]
        for j in range(k + 1, n):
            x[j] -= u[k, j] * x[k]
    for k in range(n - 1, -1, -1):
        for j in range(k + 1, n):
            x[k] -= u[k, j] * x[j]
        x[k] /= u[k, k]


@compiled_part()
def invert(u: FloatArray, v: FloatArray) -> None:
    """The inverse of an upper triangular matrix, with zeros below, takes the place of ``v``."""
    n = len(u)
    for i in range(n - 1, -1, -1):
        for j in range(n):
            v[i, j] = 0.0
        for k in range(i + 1, n):
            factor = u[i, k]
            if factor != 0:
                for j in range(k, n):
                    v[i, j] -= factor * v[k, j]
        for j in range(i + 1, n):
            v[i, j] /= u[i, i]
        v[i, i] = 1 / u[i, i]


@compiled_part()
def diagonal_blocks(v: FloatArray, blocks: FloatArray) -> None:
    """The joints' (3, 3) blocks of ``V V^T`` on its diagonal."""
    n = len(v)
    for joint in range(len(blocks)):
        for a in range(3):
            for b in range(a, 3):
                total = 0.0
                for k in range(3 * joint + b, n):
                    total += v[3 * joint + a, k] * v[3 * joint + b, k]
                blocks[joint, a, b] = blocks[joint, b, a] = total


@compiled_part()
def precision(covariance: FloatArray, inverse: FloatArray) -> bool:
    """The inverse of a covariance (3, 3), zeros where it is none; returns whether it is one."""
    for a in range(3):
        for b in range(3):
            inverse[a, b] = 0.0
    trace = covariance[0, 0] + covariance[1, 1] + covariance[2, 2]
    if not 0 < trace < math.inf:
        return False
    u, v = np.zeros((3, 3)), np.zeros((3, 3))
    for least in (_SINGULAR * trace, 0.0):  # no eigenvalue is smaller if what remains without it has a factor
        for a in range(3):
            for b in range(3):
                u[a, b] = (covariance[a, b] + covariance[b, a]) / 2
            u[a, a] -= least
        factorize(u)
        if not math.isfinite(u[0, 0] + u[0, 1] + u[0, 2] + u[1, 1] + u[1, 2] + u[2, 2]):
            return False
    invert(u, v)
    for a in range(3):
        for b in range(3):
            for k in range(max(a, b), 3):
                inverse[a, b] += v[a, k] * v[b, k]
    return True


@compiled_part()
def squared_distance(p: FloatArray, x: float, y: float, z: float) -> float:
    """``r^T P r`` of a symmetric matrix."""
    mixed = p[0, 1] * x * y + p[0, 2] * x * z + p[1, 2] * y * z
    return float(p[0, 0] * x * x + p[1, 1] * y * y + p[2, 2] * z * z + 2 * mixed)


@compiled_part()
def known(values: FloatArray) -> bool:
    """Whether all are finite."""
    count = 0
    for value in values:
        count += math.isfinite(value)
    return count == len(values)


# Bones: ``|x_a - x_b| = length exp(size)``, to first order; the size is the last unknown.


@compiled_part()
def bone_rows(
    x: FloatArray, bones: Indices, lengths: FloatArray, stds: FloatArray, follows: float, rows: FloatArray
) -> None:
    """(B, 5) factors of the start's coordinates, that of the size, and the right side; the end's are the negative."""
    size = x[len(x) - 1]
    growth = math.exp(follows * size)
    for bone in range(len(bones)):
        start, end = 3 * bones[bone, 0], 3 * bones[bone, 1]
        dx, dy, dz = x[start] - x[end], x[start + 1] - x[end + 1], x[start + 2] - x[end + 2]
        norm = max(math.sqrt(dx * dx + dy * dy + dz * dz), 1e-6)
        length = lengths[bone] * growth
        scale = 1 / (stds[bone] * length)
        rows[bone, 0], rows[bone, 1], rows[bone, 2] = scale * dx / norm, scale * dy / norm, scale * dz / norm
        grown = follows * length * scale
        rows[bone, 3], rows[bone, 4] = -grown, scale * length - grown * size


@compiled_part()
def add_bones(hessian: FloatArray, right: FloatArray, rows: FloatArray, bones: Indices) -> None:
    """Add the bones' equations to the normal equations."""
    size = len(right) - 1
    for bone in range(len(bones)):
        start, end = 3 * bones[bone, 0], 3 * bones[bone, 1]
        low, high = min(start, end), max(start, end)
        grown, target = rows[bone, 3], rows[bone, 4]
        for a in range(3):
            factor = rows[bone, a]
            for b in range(3):
                product = factor * rows[bone, b]
                hessian[start + a, start + b] += product
                hessian[end + a, end + b] += product
                hessian[low + a, high + b] -= product
            hessian[start + a, size] += factor * grown
            hessian[end + a, size] -= factor * grown
            right[start + a] += factor * target
            right[end + a] -= factor * target
        hessian[size, size] += grown * grown
        right[size] += grown * target
