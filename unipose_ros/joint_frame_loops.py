"""What :mod:`unipose_ros.joint_frames` computes of each person, as loops to be compiled; there it is said in NumPy.

Constants of other modules are arguments.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from unipose_ros.compiled import compiled_part

FloatArray = NDArray[np.float64]
Indices = NDArray[np.intp]
Vector = tuple[float, float, float]
#: Body frames that are known, their origins and rotations, joints, and centers, rotations and sizes of boxes.
Frames = tuple[NDArray[np.bool_], FloatArray, FloatArray, NDArray[np.float32], FloatArray, FloatArray, FloatArray]


@compiled_part()
def _norm(a: Vector) -> float:
    return math.sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2])


@compiled_part()
def _dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@compiled_part()
def _cross(a: Vector, b: Vector) -> Vector:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@compiled_part()
def _mixed(a: Vector, share: float, b: Vector, other: float) -> Vector:
    return share * a[0] + other * b[0], share * a[1] + other * b[1], share * a[2] + other * b[2]


@compiled_part()
def _scaled(a: Vector, factor: float) -> Vector:
    return factor * a[0], factor * a[1], factor * a[2]


@compiled_part()
def _row(array: FloatArray, row: int) -> Vector:
    return array[row, 0], array[row, 1], array[row, 2]


@compiled_part()
def _fill_columns(x: Vector, y: Vector, z: Vector, axes: FloatArray) -> None:
    for row in range(3):
        axes[row, 0], axes[row, 1], axes[row, 2] = x[row], y[row], z[row]


@compiled_part()
def _first(ways: FloatArray, first: int, second: int, third: int) -> Vector:
    """The first row that is known; none is where all are not."""
    for way in (first, second, third):
        found = _row(ways, way)
        if math.isfinite(found[0]):
            return found
    return math.nan, math.nan, math.nan


@compiled_part()
def _body(
    there: FloatArray, sources: Indices, weights: FloatArray, ways: FloatArray, lengths: Vector, axes: FloatArray
) -> Vector:
    """Origin and, written into ``axes``, rotation of the body frame; NaN and the identity where it is not known."""
    for way in range(8):
        first, second = _row(there, sources[way, 0]), _row(there, sources[way, 1])
        mixed = _mixed(first, weights[way, 0], second, weights[way, 1])
        ways[way, 0], ways[way, 1], ways[way, 2] = mixed
    for axis in range(3):
        ways[8, axis] = ways[6, axis] + ways[7, axis]
    origin = _first(ways, 0, 1, 2)
    up = _mixed(_first(ways, 3, 4, 5), 1.0, origin, -1.0)
    left = _first(ways, 8, 6, 7)
    height = _norm(up)
    z = _scaled(up, 1 / height)
    sideways = _mixed(left, 1.0, z, -_dot(left, z))
    width = _norm(sideways)
    if not (height >= lengths[0] and width >= lengths[1]):
        _fill_columns((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), axes)
        return math.nan, math.nan, math.nan
    y = _scaled(sideways, 1 / width)
    _fill_columns(_cross(y, z), y, z, axes)
    return origin


@compiled_part()
def _bone(up: Vector, left: Vector, share: float, axes: FloatArray) -> None:
    length = _norm(up)
    if not length > 0:
        _fill_columns((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), axes)
        return
    z = _scaled(up, 1 / length)
    y = (-z[0] * z[1], (1 + z[2]) - z[1] * z[1], -z[1] * (1 + z[2]))
    if z[2] <= -1 + 1e-6:
        y = (0.0, 1.0, 0.0)
    y = _scaled(y, 1 / _norm(y))
    if share > 0:
        between = _mixed(left, share / _norm(left), y, 1 - share)
        y = between if _norm(between) > 1e-3 else left
    y = _mixed(y, 1.0, z, -_dot(y, z))
    y = _scaled(y, 1 / _norm(y))
    _fill_columns(_cross(y, z), y, z, axes)


@compiled_part()
def _quaternion(m: FloatArray, quaternion: FloatArray) -> None:
    trace = m[0, 0] + m[1, 1] + m[2, 2]
    largest, most = 3, trace
    for axis in range(2, -1, -1):
        if m[axis, axis] >= most:
            largest, most = axis, m[axis, axis]
    if largest == 3:
        quaternion[3] = 1 + trace
        for axis in range(3):
            after, last = (axis + 1) % 3, (axis + 2) % 3
            quaternion[axis] = m[last, after] - m[after, last]
    else:
        after, last = (largest + 1) % 3, (largest + 2) % 3
        quaternion[largest] = 1 - trace + 2 * m[largest, largest]
        quaternion[after] = m[after, largest] + m[largest, after]
        quaternion[last] = m[last, largest] + m[largest, last]
        quaternion[3] = m[last, after] - m[after, last]
    square = 0.0
    for number in range(4):
        square += quaternion[number] * quaternion[number]
    for number in range(4):
        quaternion[number] /= math.sqrt(square)


@compiled_part()
def _turned(rotation: FloatArray, axes: FloatArray, scratch: FloatArray, quaternion: FloatArray) -> None:
    """The quaternion of axes in a body that is turned."""
    for row in range(3):
        for column in range(3):
            scratch[row, column] = (
                rotation[row, 0] * axes[0, column]
                + rotation[row, 1] * axes[1, column]
                + rotation[row, 2] * axes[2, column]
            )
    _quaternion(scratch, quaternion)


@compiled_part()
def _limb(inside: FloatArray, joints: Indices, bend: float, bent: tuple[float, float], axes: FloatArray) -> None:
    """Written into ``axes`` (2, 3, 3), those of the near and the far bone."""
    near = _mixed(_row(inside, joints[0]), 1.0, _row(inside, joints[1]), -1.0)
    far = _mixed(_row(inside, joints[1]), 1.0, _row(inside, joints[2]), -1.0)
    if math.isnan(far[0]):
        far = near
    hinge = _scaled(_cross(far, near), bend)
    share = (_norm(hinge) / (_norm(near) * _norm(far)) - bent[0]) / (bent[1] - bent[0])
    share = min(share, 1.0) if share > 0 else 0.0
    for bone in range(2):
        _bone(far if bone else near, hinge, share, axes[bone])


@compiled_part()
def _box(
    inside: FloatArray, rotation: FloatArray, flesh: float, middle: FloatArray, center: FloatArray, size: FloatArray
) -> None:
    for axis in range(3):
        low, high = math.inf, -math.inf
        for joint in range(len(inside)):
            place = inside[joint, axis]
            if place < low:  # NaN is not
                low = place
            if place > high:
                high = place
        known = low <= high
        middle[0, axis] = (low + high) / 2 if known else math.nan
        size[axis] = high - low + 2 * flesh if known else math.nan
    for axis in range(3):
        center[axis] = _dot(_row(rotation, axis), _row(middle, 0))


@compiled_part()
def _place(positions: NDArray[np.float32], there: FloatArray) -> None:
    """Joints that are known; NaN for the others, and for what a joint set does not have in the row behind them."""
    for joint in range(len(there)):
        known = joint < len(positions)
        for axis in range(3):
            known = known and math.isfinite(positions[joint, axis])
        for axis in range(3):
            there[joint, axis] = positions[joint, axis] if known else math.nan


def frames(
    positions: NDArray[np.float32],
    body: tuple[Indices, FloatArray],
    limbs: tuple[Indices, FloatArray, Indices],
    lengths: tuple[float, float, float],
    bent: tuple[float, float],
) -> Frames:
    """As :func:`~unipose_ros.joint_frames.frames_by_numpy`."""
    sources, weights = body
    joints_of, bends, turned_as = limbs
    people, joints, trunk = positions.shape[0], positions.shape[1], 2 * len(bends)
    known, origins, rotations = np.empty(people, np.bool_), np.empty((people, 3)), np.empty((people, 3, 3))
    turned, box_turns = np.empty((people, joints, 4), np.float32), np.empty((people, 4))
    centers, sizes = np.empty((people, 3)), np.empty((people, 3))
    there, inside, ways = np.empty((joints + 1, 3)), np.empty((joints + 1, 3)), np.empty((9, 3))
    axes, bones, scratch = np.empty((trunk + 1, 3, 3)), np.empty((trunk + 1, 4)), np.empty((3, 3))
    _fill_columns((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), axes[trunk])
    for person in range(people):
        _place(positions[person], there)
        rotation = rotations[person]
        origin = _body(there, sources, weights, ways, lengths, rotation)
        origins[person, 0], origins[person, 1], origins[person, 2] = origin
        known[person] = math.isfinite(origin[0])
        for joint in range(joints + 1):
            for axis in range(3):
                inside[joint, axis] = (
                    there[joint, 0] * rotation[0, axis]
                    + there[joint, 1] * rotation[1, axis]
                    + there[joint, 2] * rotation[2, axis]
                )
        _box(inside, rotation, lengths[2], scratch, centers[person], sizes[person])
        for limb in range(len(bends)):
            _limb(inside, joints_of[limb], bends[limb, 0], bent, axes[2 * limb : 2 * limb + 2])
        for bone in range(len(bones)):
            _turned(rotation, axes[bone], scratch, bones[bone])
        for number in range(4):
            box_turns[person, number] = bones[trunk, number]
            for joint in range(joints):
                has_one = known[person] and not math.isnan(there[joint, 0])
                turned[person, joint, number] = bones[turned_as[joint], number] if has_one else math.nan
    return known, origins, rotations, turned, centers, box_turns, sizes
