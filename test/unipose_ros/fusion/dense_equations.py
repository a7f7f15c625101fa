"""The fusion with all sources' equations as rows of one matrix, as they are written in papers.

The run time adds up what the rows of each joint contribute instead, and must get the same numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unipose_ros.fusion.evidence import (
    BONES,
    FREEDOM,
    IDENTITY_EQUATIONS,
    Evidence,
    annealed_width,
    bone_equations,
    student_cost,
    student_weight,
    whitening,
)
from unipose_ros.fusion.solve import (
    _ANYWHERE,
    _FAR,
    _IN_FRONT,
    _ITERATIONS,
    _J,
    _NEAREST,
    _PLACE,
    _REACH,
    _SIZE,
    _SOMEWHERE,
    _TOLERANCE,
    _UNKNOWNS,
    Fused,
)

FloatArray = NDArray[np.float64]

#: Rows of the equations: network, rays, surfaces, lifter, bones, identities, priors of place and size.
_NETWORK = slice(0, 3 * _J)
_RAYS = slice(_NETWORK.stop, _NETWORK.stop + 2 * _J)
_SURFACES = slice(_RAYS.stop, _RAYS.stop + _J)
_LIFTER = slice(_SURFACES.stop, _SURFACES.stop + 3 * _J)
_BONES = slice(_LIFTER.stop, _LIFTER.stop + len(BONES))
_IDENTITIES = slice(_BONES.stop, _BONES.stop + 6)
_PRIORS = slice(_IDENTITIES.stop, _IDENTITIES.stop + 4)
_ROWS = _PRIORS.stop


class DenseProblem:
    """Whitened linear equations ``A x = b`` of N people, of which some rows are made anew in every iteration."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        people = len(evidence)
        self._a = np.zeros((people, _ROWS, _UNKNOWNS))
        self._b = np.zeros((people, _ROWS))
        self._weights = np.ones((people, _ROWS))
        self._has_ray = np.isfinite(evidence.slopes).all(axis=-1) & np.isfinite(evidence.slope_stds)
        self._slopes = np.where(self._has_ray[..., None], evidence.slopes, 0.0)
        self._network_rows()
        self._lifter_constants()
        self._fixed_rows()
        self._owned = np.zeros((people, _J))
        self._surface_cost = np.zeros(people)

    def _network_rows(self) -> None:
        """``W (x - mean) = 0``."""
        evidence = self._evidence
        there = np.isfinite(evidence.joints).all(axis=-1)
        white, sound = whitening(evidence.covariances)
        self._has_network = there & sound
        white = np.where(self._has_network[..., None, None], white, 0.0)
        for joint in range(_J):
            rows = slice(_NETWORK.start + 3 * joint, _NETWORK.start + 3 * joint + 3)
            self._a[:, rows, 3 * joint : 3 * joint + 3] = white[:, joint]
        means = np.where(self._has_network[..., None], evidence.joints, 0.0)
        self._b[:, _NETWORK] = (white @ means[..., None]).reshape(len(evidence), _PLACE)

    def _lifter_constants(self) -> None:
        """``W (x - place - exp(size) pose) = 0``, of which the last two depend on the size."""
        evidence = self._evidence
        there = np.isfinite(evidence.pose).all(axis=-1)
        white, sound = whitening(evidence.pose_covariances)
        self._has_pose = there & sound
        white = np.where(self._has_pose[..., None, None], white, 0.0)
        pose = np.where(self._has_pose[..., None], evidence.pose, 0.0)
        for joint in range(_J):
            rows = slice(_LIFTER.start + 3 * joint, _LIFTER.start + 3 * joint + 3)
            self._a[:, rows, 3 * joint : 3 * joint + 3] = white[:, joint]
            self._a[:, rows, _PLACE : _PLACE + 3] = -white[:, joint]
        self._white_pose = (white @ pose[..., None]).reshape(len(evidence), _PLACE)

    def _fixed_rows(self) -> None:
        """Identities of the joints, and priors of place and size."""
        self._a[:, _IDENTITIES, :_PLACE] = IDENTITY_EQUATIONS
        for axis in range(3):
            self._a[:, _PRIORS.start + axis, _PLACE + axis] = 1 / _ANYWHERE
        body = self._evidence.body
        self._a[:, _PRIORS.start + 3, _SIZE] = 1 / body.size_stds
        self._b[:, _PRIORS.start + 3] = body.sizes / body.size_stds

    def run(self, start: FloatArray) -> Fused:
        """Iterate."""
        people = len(self._evidence)
        x = np.zeros((people, _UNKNOWNS))
        x[:, :_PLACE] = start.reshape(people, _PLACE)
        x[:, _PLACE:_SIZE] = self._first_places(start)
        x[:, _SIZE] = self._evidence.body.sizes
        self._start = x.copy()
        for iteration in range(_ITERATIONS):
            width = annealed_width(iteration / (_ITERATIONS - 1))
            self._linearize(x, width)
            hessian, right = self._normal_equations()
            x = np.asarray(np.linalg.solve(hessian, right[..., None])[..., 0], np.float64)
        # Before anything is made anew: a solution of these very equations.
        lengths = self._lengths(x, np.asarray(np.linalg.inv(hessian), np.float64))
        self._linearize(x, 1.0)
        self._reweight()
        hessian, _ = self._normal_equations()
        return self._finish(x, np.asarray(np.linalg.inv(hessian), np.float64), lengths)

    def _first_places(self, start: FloatArray) -> FloatArray:
        apart = np.where(self._has_pose[..., None], start - self._evidence.pose, np.nan)
        middle = np.sort(apart, axis=1)  # NaN sorts to the end
        count = self._has_pose.sum(axis=1)
        chosen = middle[np.arange(len(start)), np.maximum(count - 1, 0) // 2]
        return np.asarray(np.where(count[:, None] > 0, chosen, start.mean(axis=1)), np.float64)

    def _normal_equations(self) -> tuple[FloatArray, FloatArray]:
        weighted = self._a * self._weights[..., None]
        transposed = weighted.transpose(0, 2, 1)
        hessian, right = transposed @ self._a, (transposed @ self._b[..., None])[..., 0]
        # Without any evidence about a joint the equations would have no solution.
        index = np.arange(_PLACE)
        hessian[:, index, index] += _SOMEWHERE**-2
        right[:, index] += _SOMEWHERE**-2 * self._start[:, index]
        return hessian, right

    def _linearize(self, x: FloatArray, width: float) -> None:
        """Make the rows that depend on the joints, then weigh all by how far each is off."""
        joints = x[:, :_PLACE].reshape(-1, _J, 3)
        self._ray_rows(joints)
        self._surface_rows(joints, width)
        self._size_rows(x)
        self._bone_rows(joints, x[:, _SIZE])
        off = (self._a @ x[..., None])[..., 0] - self._b
        for rows, dimensions in ((_NETWORK, 3), (_RAYS, 2), (_LIFTER, 3)):
            squares = (off[:, rows].reshape(len(x), _J, dimensions) ** 2).sum(axis=-1) / width**2
            weight = student_weight(squares, dimensions) / width**2
            self._weights[:, rows] = np.repeat(weight, dimensions, axis=1)
        self._off = off

    def _reweight(self) -> None:
        """Weights for the covariance: a source that agrees counts as its covariance says, not more.

        At its mode Student's t is narrower than the Gaussian of the same scale; what its tails hold is missing from
        the curvature there.
        """
        for rows, dimensions in ((_NETWORK, 3), (_RAYS, 2), (_LIFTER, 3)):
            self._weights[:, rows] *= FREEDOM / (FREEDOM + dimensions)

    def _ray_rows(self, joints: FloatArray) -> None:
        """``x - a z = 0`` and ``y - b z = 0``; a slope's error in meters grows with the depth."""
        depth = np.maximum(joints[..., 2], _NEAREST)
        scale = np.where(self._has_ray, 1 / np.where(self._has_ray, self._evidence.slope_stds * depth, 1.0), 0.0)
        index = np.arange(_J)
        for axis in range(2):
            rows = _RAYS.start + 2 * index + axis
            self._a[:, rows, 3 * index + axis] = scale
            self._a[:, rows, 3 * index + 2] = -scale * self._slopes[..., axis]

    def _surface_rows(self, joints: FloatArray, width: float) -> None:
        """``z = depth`` of the surfaces that the joint may belong to, weighed by how likely each is its own."""
        surfaces = self._evidence.surfaces
        stds = surfaces.stds * width
        z = joints[..., 2:]
        off = (z - surfaces.depths) / stds
        squares = off**2
        # Densities per meter. Gaussian: what is far from all surfaces is elsewhere, and no outlier of one of them.
        density = np.exp(-surfaces.costs - np.minimum(squares, _FAR) / 2) / (np.sqrt(2 * np.pi) * stds)
        there = np.isfinite(surfaces.costs)
        nearest = np.where(there, surfaces.depths, np.inf).min(axis=-1)
        front = joints[..., 2] < nearest - _TOLERANCE * width
        elsewhere = np.exp(-surfaces.hidden - np.where(front, _IN_FRONT, 0.0)) / _REACH
        total = density.sum(axis=-1) + elsewhere
        own = density / total[..., None]
        weight = own / stds**2
        strength = weight.sum(axis=-1)
        target = (weight * np.where(there, surfaces.depths, 0.0)).sum(axis=-1) / np.maximum(strength, 1e-12)
        index = np.arange(_J)
        rows = _SURFACES.start + index
        root = np.sqrt(strength)
        self._a[:, rows, 3 * index + 2] = root
        self._b[:, rows] = root * target
        self._owned = own.sum(axis=-1)
        self._surface_cost = -np.log(total).sum(axis=-1)

    def _size_rows(self, x: FloatArray) -> None:
        """The lifter's pose grows with the person: to first order about the present size."""
        factor = np.exp(x[:, _SIZE, None])
        self._a[:, _LIFTER, _SIZE] = -factor * self._white_pose
        self._b[:, _LIFTER] = factor * self._white_pose * (1 - x[:, _SIZE, None])

    def _bone_rows(self, joints: FloatArray, sizes: FloatArray) -> None:
        """``|x_a - x_b| = length``, to first order about the present joints."""
        self._a[:, _BONES], self._b[:, _BONES] = bone_equations(joints, sizes, self._evidence.body, _UNKNOWNS)

    def _lengths(self, x: FloatArray, covariance: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Each bone's length, and its standard deviation, as they are without the equation of that bone.

        Taking an equation ``a x = b`` out is an update of rank one (Sherman and Morrison 1950), as for the cavity
        distributions of expectation propagation (Minka, UAI 2001).
        """
        rows = self._a[:, _BONES]
        left_out = rows @ covariance
        leverage = np.minimum((left_out * rows).sum(axis=-1), 1 - 1e-9)
        off = (rows @ x[..., None])[..., 0] - self._b[:, _BONES]
        along = np.where(np.arange(_UNKNOWNS) < _PLACE, rows, 0.0)
        along /= np.maximum(np.sqrt((along**2).sum(axis=-1, keepdims=True) / 2), 1e-12)
        gain = (along * left_out).sum(axis=-1)
        variance = ((along @ covariance) * along).sum(axis=-1) + gain**2 / (1 - leverage)
        now = (along @ x[..., None])[..., 0]
        # The weights are those of modes, see :meth:`_weights`.
        return now + gain * off / (1 - leverage), np.sqrt(np.maximum(variance, 0.0) * (FREEDOM + 2) / FREEDOM)

    def _finish(self, x: FloatArray, covariance: FloatArray, lengths: tuple[FloatArray, FloatArray]) -> Fused:
        people = len(x)
        costs = self._surface_cost + 0.5 * (self._off[:, _BONES.start : _ROWS] ** 2).sum(axis=-1)
        weights = []
        for rows, dimensions, there in (
            (_NETWORK, 3, self._has_network), (_RAYS, 2, self._has_ray), (_LIFTER, 3, self._has_pose),
        ):  # fmt: skip
            squares = (self._off[:, rows].reshape(people, _J, dimensions) ** 2).sum(axis=-1)
            costs = costs + np.where(there, student_cost(squares, dimensions), 0.0).sum(axis=-1)
            weights.append(np.where(there, student_weight(squares, dimensions), 0.0))
        index = 3 * np.arange(_J)[:, None] + np.arange(3)
        blocks = covariance[:, index[:, :, None], index[:, None, :]]
        return Fused(
            joints=x[:, :_PLACE].reshape(people, _J, 3),
            covariances=blocks,
            costs=costs,
            sizes=np.exp(x[:, _SIZE]),
            lengths=lengths[0],
            length_stds=lengths[1],
            networks=weights[0],
            rays=weights[1],
            owned=self._owned,
        )
