"""Where a person stands, from K, keypoints and a pose whose place is unknown, in closed form.

Each keypoint says that its joint lies on a viewing ray: two linear equations in the person's place t.
A meter may be larger or smaller than the lifter believes, as people are, so the pose is scaled by s,
of which a prior says about 1. Each depth reading is one more equation. All are weighted with the
inverse of their variances, which fuses them as a Kalman filter would, and gives the covariance.
Without depth, distance and size cannot be told apart; the covariance then shows how far the distance
is off when the person is not of the usual size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera
from unipose_ros.geometry import body_model as body
from unipose_ros.geometry.surfaces import find_surfaces
from unipose_ros.joint_sets import ITOP15

# What the depth image says about people whose pose is known already but for its place.


FloatArray = NDArray[np.float64]

#: Places in ITOP15 of the 13 joints that depth is read at.
BODY_POSITIONS = np.array([ITOP15.landmarks.index(name) for name in body.BODY13.landmarks])
#: Meters: readings of one person agree so well on where it is, or are of something else.
_AGREE = 0.25
#: The same surface within a patch; how far around a joint depth is read; and the least radius in pixels.
_GAP, _RADIUS, _LEAST_PIXELS = 0.03, 0.05, 2.0
#: Readings more than so many standard deviations from where the image puts the person are of something else.
_GATE = 3.0
#: However little the image says, no person is nearer or farther than it says by more than this part: furniture is.
_FARTHEST = 0.3


def depth_measurements(
    camera: Camera,
    depth: NDArray[np.float32],
    pixels: FloatArray,
    expected: FloatArray,
    stds: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Where joints are along z by the surfaces in front of them.

    A surface is read at each joint near where the image alone puts it. Those that disagree with most
    of the person's others about where the whole person is are dropped: furniture, other people.

    Args:
        depth: (H, W) meters.
        pixels: (N, 13, 2) of BODY13; NaN not seen.
        expected: (N, 13) meters along z, from the image alone.
        stds: (N,) standard deviation in meters of the whole person's distance.

    Returns:
        (N, 15) depths of ITOP's joints in meters, NaN without a reading, and their standard deviations.
    """
    people = len(pixels)
    depths, errors = np.full((people, len(ITOP15)), np.nan), np.ones((people, len(ITOP15)))
    middle = np.nanmedian(np.where(np.isfinite(pixels[..., 0]), expected, np.nan), axis=1)
    gate = np.minimum(_GATE * stds, _FARTHEST * middle) + _AGREE
    near, far = middle - gate, middle + gate
    radii = np.maximum(_RADIUS * np.array([camera.fx, camera.fy]) / middle[:, None], _LEAST_PIXELS)
    surfaces = find_surfaces(depth, pixels, radii, np.maximum(near, 0.05), far, _GAP)
    read = surfaces.depths[..., 0] + body.SURFACE_OFFSETS
    off = read - expected
    good = np.abs(off - _consensus(off, gate)) <= _AGREE
    depths[:, BODY_POSITIONS] = np.where(good, read, np.nan)
    errors[:, BODY_POSITIONS] = np.hypot(body.SURFACE_STDS, np.nan_to_num(surfaces.stds[..., 0]))
    return depths, errors


def _consensus(off: FloatArray, gate: FloatArray) -> FloatArray:
    """(N, 1) the shift of a person that most readings agree on; NaN where none is believable."""
    close = np.abs(off) <= gate[:, None]
    agree = np.abs(off[:, :, None] - off[:, None]) <= _AGREE
    votes = np.where(close, (agree & close[:, None]).sum(axis=-1), -1)
    best = votes.argmax(axis=1)
    there = votes.max(axis=1) > 0
    # The mean of those that agree with the best; one that nothing supports counts alone.
    mates = agree[np.arange(len(off)), best] & close
    mean = np.where(mates, off, 0.0).sum(axis=1) / np.maximum(mates.sum(axis=1), 1)
    return np.where(there, mean, np.nan)[:, None]


#: A linear solve weighs rays in meters at an unknown distance; so often is the distance put back in.
_ROUNDS = 4
#: A first guess of the distance in meters, of which only the weights of the first round depend.
_FIRST_DISTANCE = 3.0
#: Meters: no person is nearer, and a keypoint's error of nothing still has this standard deviation.
_NEAREST, _LEAST_STD = 0.2, 1e-4


@dataclass(frozen=True, eq=False)
class Observations:
    """What is known of N people with J joints each.

    Attributes:
        pose: (N, J, 3) meters, joints relative to the person's place, in the optical frame.
        rays: (N, J, 3) viewing rays with z = 1; NaN where there is no keypoint.
        ray_stds: (N, J) standard deviation of the keypoint as an angle in radians.
        pose_stds: (N, J, 2) standard deviations in meters of ``pose``, across the ray and along it.
        depths: (N, J) meters along z, where the joint is by the depth image; NaN where it says nothing.
        depth_stds: (N, J) their standard deviations in meters.
    """

    pose: FloatArray
    rays: FloatArray
    ray_stds: FloatArray
    pose_stds: FloatArray
    depths: FloatArray
    depth_stds: FloatArray


@dataclass(frozen=True, eq=False)
class Placement:
    """Where N people are.

    Attributes:
        translations: (N, 3) meters, place of the pose's origin.
        scales: (N,) what the pose is multiplied with.
        covariances: (N, 4, 4) of x, y, z in meters and the scale.
    """

    translations: FloatArray
    scales: FloatArray
    covariances: FloatArray

    def joints(self, pose: FloatArray) -> FloatArray:
        """(N, J, 3) the placed joints."""
        return self.scales[:, None, None] * pose + self.translations[:, None]

    def joint_covariances(self, pose: FloatArray) -> FloatArray:
        """(N, J, 3, 3) what the uncertainty about place and scale means for each joint."""
        eye = np.broadcast_to(np.eye(3), (*pose.shape[:2], 3, 3))
        jacobian = np.concatenate([eye, pose[..., None]], axis=-1)
        result: FloatArray = jacobian @ self.covariances[:, None] @ jacobian.transpose(0, 1, 3, 2)
        return result


def solve_root_translation(
    evidence: Observations, size_std: float | FloatArray, size: float | FloatArray = 1.0
) -> Placement:
    """The place and scale that are most likely.

    Args:
        evidence: at least two keypoints of each person.
        size_std: standard deviation of the scale, of all or (N,) of each; 0 takes the lifter's meters as they are.
        size: what the scale is without any evidence, of all or (N,) of each.
    """
    people = len(evidence.pose)
    size, size_std = np.broadcast_to(size, people), np.broadcast_to(size_std, people)
    distance = np.full(len(evidence.pose), _FIRST_DISTANCE)
    for _ in range(_ROUNDS):
        matrix, right = _normal_equations(evidence, distance, size, size_std)
        solution = np.linalg.solve(matrix, right[..., None])[..., 0]
        distance = np.maximum(solution[:, 2], _NEAREST)
    covariances = np.asarray(np.linalg.inv(matrix), np.float64)
    return Placement(np.asarray(solution[:, :3], np.float64), np.asarray(solution[:, 3], np.float64), covariances)


def _normal_equations(
    evidence: Observations, distance: FloatArray, size: FloatArray, size_std: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """(N, 4, 4) and (N, 4): weighted sums over all equations in x, y, z and the scale."""
    rows, right, weights = (
        np.concatenate(part, axis=1) for part in zip(_ray_rows(evidence, distance), _depth_rows(evidence), strict=True)
    )
    weighted = rows * weights[..., None]
    matrix = weighted.transpose(0, 2, 1) @ rows
    values = (weighted * right[..., None]).sum(axis=1)
    prior = 1.0 / np.maximum(size_std, _LEAST_STD) ** 2
    matrix[:, 3, 3] += prior
    values[:, 3] += prior * size
    return matrix, values


def _ray_rows(evidence: Observations, distance: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """``x - a z = 0`` and ``y - b z = 0`` of the joint at ``s p + t`` on the ray (a, b, 1): (N, 2J, 4)."""
    people, joints = evidence.pose.shape[:2]
    there = np.asarray(np.isfinite(evidence.rays).all(axis=-1))
    slope = np.where(there[..., None], evidence.rays[..., :2], 0.0)
    pose = np.where(there[..., None], evidence.pose, 0.0)
    rows = np.zeros((people, joints, 2, 4))
    rows[..., 0, 0] = rows[..., 1, 1] = 1.0
    rows[..., 2] = -slope
    rows[..., 3] = pose[..., :2] - slope * pose[..., 2:]
    # On the plane z = 1 an angle grows with the square of the ray's length; in meters with the depth.
    depth = np.maximum(distance[:, None] + pose[..., 2], _NEAREST)
    across = depth * evidence.ray_stds * (1 + (slope**2).sum(axis=-1))
    variance = np.maximum(across, _LEAST_STD) ** 2 + evidence.pose_stds[..., 0] ** 2
    weights = np.where(there, 1 / variance, 0.0)
    flat = rows.reshape(people, 2 * joints, 4)
    return flat, np.zeros((people, 2 * joints)), np.repeat(weights, 2, axis=1)


def _depth_rows(evidence: Observations) -> tuple[FloatArray, FloatArray, FloatArray]:
    """``s p_z + t_z = depth``: (N, J, 4)."""
    there = np.isfinite(evidence.depths)
    rows = np.zeros((*there.shape, 4))
    rows[..., 2] = 1.0
    rows[..., 3] = evidence.pose[..., 2]
    variance = evidence.depth_stds**2 + evidence.pose_stds[..., 1] ** 2
    weights = np.where(there, 1 / np.maximum(np.where(there, variance, 1.0), _LEAST_STD**2), 0.0)
    return rows, np.where(there, evidence.depths, 0.0), weights
