"""Where a person stands, from K, keypoints and a pose whose place is unknown, in closed form.

Each keypoint says that its joint lies on a viewing ray: two linear equations in the person's place t.
A metre may be larger or smaller than the lifter believes, as people are, so the pose is scaled by s,
of which a prior says about 1. Each depth reading is one more equation. All are weighted with the
inverse of their variances, which fuses them as a Kalman filter would, and gives the covariance.
Without depth, distance and size cannot be told apart; the covariance then shows how far the distance
is off when the person is not of the usual size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: A linear solve weighs rays in metres at an unknown distance; so often is the distance put back in.
_ROUNDS = 4
#: A first guess of the distance in metres, of which only the weights of the first round depend.
_FIRST_DISTANCE = 3.0
#: Metres: nobody is nearer, and a keypoint's error of nothing still has this spread.
_NEAREST, _LEAST_SPREAD = 0.2, 1e-4


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of N people with J joints each.

    Attributes:
        pose: (N, J, 3) metres, joints relative to the person's place, in the optical frame.
        rays: (N, J, 3) viewing rays with z = 1; NaN where there is no keypoint.
        ray_spreads: (N, J) standard deviation of the keypoint as an angle in radians.
        pose_spreads: (N, J, 2) standard deviations in metres of ``pose``, across the ray and along it.
        depths: (N, J) metres along z, where the joint is by the depth image; NaN where it says nothing.
        depth_spreads: (N, J) their standard deviations in metres.
    """

    pose: FloatArray
    rays: FloatArray
    ray_spreads: FloatArray
    pose_spreads: FloatArray
    depths: FloatArray
    depth_spreads: FloatArray


@dataclass(frozen=True, eq=False)
class Placement:
    """Where N people are.

    Attributes:
        translations: (N, 3) metres, place of the pose's origin.
        scales: (N,) what the pose is multiplied with.
        covariances: (N, 4, 4) of x, y, z in metres and the scale.
    """

    translations: FloatArray
    scales: FloatArray
    covariances: FloatArray

    def joints(self, pose: FloatArray) -> FloatArray:
        """(N, J, 3) the placed joints."""
        return self.scales[:, None, None] * pose + self.translations[:, None]

    def joint_covariances(self, pose: FloatArray) -> FloatArray:
        """(N, J, 3, 3) what the doubt about place and scale means for each joint."""
        eye = np.broadcast_to(np.eye(3), (*pose.shape[:2], 3, 3))
        jacobian = np.concatenate([eye, pose[..., None]], axis=-1)
        result: FloatArray = jacobian @ self.covariances[:, None] @ jacobian.transpose(0, 1, 3, 2)
        return result


def place_people(evidence: Evidence, size_spread: float) -> Placement:
    """The place and scale that are most likely.

    Args:
        evidence: at least two keypoints of each person.
        size_spread: standard deviation of the scale; 0 takes the lifter's metres as they are.
    """
    distance = np.full(len(evidence.pose), _FIRST_DISTANCE)
    for _ in range(_ROUNDS):
        matrix, right = _normal_equations(evidence, distance, size_spread)
        solution = np.linalg.solve(matrix, right[..., None])[..., 0]
        distance = np.maximum(solution[:, 2], _NEAREST)
    covariances = np.asarray(np.linalg.inv(matrix), np.float64)
    return Placement(np.asarray(solution[:, :3], np.float64), np.asarray(solution[:, 3], np.float64), covariances)


def _normal_equations(evidence: Evidence, distance: FloatArray, size_spread: float) -> tuple[FloatArray, FloatArray]:
    """(N, 4, 4) and (N, 4): weighted sums over all equations in x, y, z and the scale."""
    rows, right, weights = (
        np.concatenate(part, axis=1) for part in zip(_ray_rows(evidence, distance), _depth_rows(evidence), strict=True)
    )
    weighted = rows * weights[..., None]
    matrix = weighted.transpose(0, 2, 1) @ rows
    values = (weighted * right[..., None]).sum(axis=1)
    prior = 1.0 / max(size_spread, _LEAST_SPREAD) ** 2
    matrix[:, 3, 3] += prior
    values[:, 3] += prior
    return matrix, values


def _ray_rows(evidence: Evidence, distance: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """``x - a z = 0`` and ``y - b z = 0`` of the joint at ``s p + t`` on the ray (a, b, 1): (N, 2J, 4)."""
    people, joints = evidence.pose.shape[:2]
    there = np.asarray(np.isfinite(evidence.rays).all(axis=-1))
    slope = np.where(there[..., None], evidence.rays[..., :2], 0.0)
    pose = np.where(there[..., None], evidence.pose, 0.0)
    rows = np.zeros((people, joints, 2, 4))
    rows[..., 0, 0] = rows[..., 1, 1] = 1.0
    rows[..., 2] = -slope
    rows[..., 3] = pose[..., :2] - slope * pose[..., 2:]
    # On the plane z = 1 an angle grows with the square of the ray's length; in metres with the depth.
    depth = np.maximum(distance[:, None] + pose[..., 2], _NEAREST)
    across = depth * evidence.ray_spreads * (1 + (slope**2).sum(axis=-1))
    variance = np.maximum(across, _LEAST_SPREAD) ** 2 + evidence.pose_spreads[..., 0] ** 2
    weights = np.where(there, 1 / variance, 0.0)
    flat = rows.reshape(people, 2 * joints, 4)
    return flat, np.zeros((people, 2 * joints)), np.repeat(weights, 2, axis=1)


def _depth_rows(evidence: Evidence) -> tuple[FloatArray, FloatArray, FloatArray]:
    """``s p_z + t_z = depth``: (N, J, 4)."""
    there = np.isfinite(evidence.depths)
    rows = np.zeros((*there.shape, 4))
    rows[..., 2] = 1.0
    rows[..., 3] = evidence.pose[..., 2]
    variance = evidence.depth_spreads**2 + evidence.pose_spreads[..., 1] ** 2
    weights = np.where(there, 1 / np.maximum(np.where(there, variance, 1.0), _LEAST_SPREAD**2), 0.0)
    return rows, np.where(there, evidence.depths, 0.0), weights
