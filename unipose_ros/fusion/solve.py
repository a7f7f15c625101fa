"""The joints that agree best with everything that is known about them: one frame, any number of people at once.

Maximum a posteriori, by iteratively re-weighted Gauss-Newton steps. Unknown are a person's 15 joints, the place of
the lifter's pose, and how much larger than an average adult the person is. Each source counts by Student's t joint
by joint, so that one that is far from all others is not heard; bones and the identities of ITOP's joints (neck
between the shoulders, torso between neck and hips) are Gaussian. The surface that a joint belongs to is a mixture,
whose responsibilities are found anew in every step (expectation maximization). The covariance is that of Laplace's
approximation, the inverse of the Hessian at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.compiled import ENABLED
from unipose_ros.fusion import loops
from unipose_ros.fusion.evidence import (
    BLOCK_COLUMNS,
    BLOCK_ROWS,
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
from unipose_ros.joint_sets import ITOP15

FloatArray = NDArray[np.float64]

_J = len(ITOP15)
#: Unknowns: coordinates of the joints, place of the lifter's pose, log of the size.
_PLACE, _SIZE, _UNKNOWNS = 3 * _J, 3 * _J + 3, 3 * _J + 4
#: What moves a person as a whole are the last four.
_JOINTS, _PLACES, _BODY = slice(0, _PLACE), slice(_PLACE, _SIZE), slice(_PLACE, _UNKNOWNS)
#: Standard deviation in meters of a place of which nothing is known, and of a joint of which nothing is known but where
#: the person is.
_ANYWHERE, _SOMEWHERE = 100.0, 1.5
#: An occluded joint may be anywhere within this many meters behind what hides it, and this little in front, for depths
#: are not exact. A joint in front of the surface at its pixel costs this much: its keypoint missed the limb.
_REACH, _TOLERANCE, _IN_FRONT = 0.65, 0.03, 5.0
#: Squared deviations beyond this are all alike: no density is 0.
_FAR = 200.0
#: No person is nearer, in meters.
_NEAREST = 0.1
#: Iterations; more move the joints by less than a millimeter.
_ITERATIONS = 8
#: Factors on standard deviations, one an iteration.
_WIDTHS = np.array([annealed_width(iteration / (_ITERATIONS - 1)) for iteration in range(_ITERATIONS)])
#: (49, 49) what identities, the place's prior, and that no joint is anywhere add to the normal equations.
_CONSTANT = np.diag([*[_SOMEWHERE**-2] * _PLACE, *[_ANYWHERE**-2] * 3, 0.0])
_CONSTANT[_JOINTS, _JOINTS] += IDENTITY_EQUATIONS.T @ IDENTITY_EQUATIONS


@dataclass(frozen=True, eq=False)
class Fused:
    """N people.

    Attributes:
        joints: (N, 15, 3) meters.
        covariances: (N, 15, 3, 3) square meters.
        costs: (N,) negative log likelihood, up to a constant that does not depend on how joints are named.
        sizes: (N,) relative to an average adult.
        lengths: (N, B) meters, bones by all but what was known of that bone before.
        length_stds: (N, B) their standard deviations.
        rays: (N, 15) weight of the keypoint, 1 or more where it agrees, near 0 for an outlier and where there is none.
        networks: (N, 15) that of the network.
        owned: (N, 15) probability that a surface seen at the joint's pixel is the joint's own.
    """

    joints: FloatArray
    covariances: FloatArray
    costs: FloatArray
    sizes: FloatArray
    lengths: FloatArray
    length_stds: FloatArray
    rays: FloatArray
    networks: FloatArray
    owned: FloatArray

    def select(self, people: slice) -> Fused:
        """Some of the people, one after the other."""
        return Fused(**{name: value[people] for name, value in vars(self).items()})


def fuse(evidence: Evidence, start: FloatArray) -> Fused:
    """Find all people's joints.

    Args:
        evidence: what is known.
        start: (N, 15, 3) meters, finite: where to begin.
    """
    if not ENABLED:
        return fuse_by_numpy(evidence, start)
    surfaces, body = evidence.surfaces, evidence.body
    joints, covariances, costs, sizes, lengths, stds, weights = loops.fuse(
        _contiguous(evidence.joints, evidence.covariances),
        _contiguous(evidence.pose, evidence.pose_covariances),
        _contiguous(evidence.slopes, evidence.slope_stds),
        _contiguous(surfaces.depths, surfaces.stds, surfaces.costs, surfaces.hidden),
        _contiguous(body.lengths, body.stds, body.follows, body.sizes, body.size_stds),
        np.ascontiguousarray(start),
        BONES,
        IDENTITY_EQUATIONS,
        _CONSTANT,
        _WIDTHS,
        (_ANYWHERE, _SOMEWHERE**-2, _NEAREST, FREEDOM, _REACH, _TOLERANCE, _IN_FRONT, _FAR),
    )
    heard = {"rays": weights[:, 2], "networks": weights[:, 0], "owned": weights[:, 3]}
    return Fused(joints, covariances, costs, sizes, lengths, stds, **heard)


def _contiguous(*arrays: FloatArray) -> tuple[FloatArray, ...]:
    return tuple(np.ascontiguousarray(array, np.float64) for array in arrays)


def fuse_by_numpy(evidence: Evidence, start: FloatArray) -> Fused:
    """:func:`fuse` where nothing is compiled."""
    return _Problem(evidence).run(start)


class _Problem:
    """Normal equations ``H x = r`` of N people.

    The sum over all sources of ``A^T A`` and ``A^T b``, ``A x = b`` being a source's whitened equations, weighed by how
    far it is off. Only bones have such equations here. Of all others each joint's part is known beforehand but for its
    weight, so that the product of some hundred mostly empty rows is not taken.
    """

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        people = len(evidence)
        network, self._has_network = whitening(evidence.covariances)
        self._has_network &= np.isfinite(evidence.joints).all(axis=-1)
        lifter, self._has_pose = whitening(evidence.pose_covariances)
        self._has_pose &= np.isfinite(evidence.pose).all(axis=-1)
        there = np.stack([self._has_network, self._has_pose], axis=1)
        # (N, 2, 15, 3, 3) of network and lifter; zeros where they say nothing.
        self._white = np.where(there[..., None, None], np.stack([network, lifter], axis=1), 0.0)
        precisions = np.swapaxes(self._white, -1, -2) @ self._white
        self._means = np.where(self._has_network[..., None], evidence.joints, 0.0)
        self._pose = np.where(self._has_pose[..., None], evidence.pose, 0.0)
        #: (N, 15, 3, 3) P of the network, and (N, 15, 3) ``P mean``.
        self._network = precisions[:, 0]
        self._pulls = (self._network @ self._means[..., None])[..., 0]
        #: (N, 15, 4, 4) of the lifter: ``[I pose]^T P [I pose]``.
        aside = np.concatenate([np.broadcast_to(np.eye(3), precisions[:, 1].shape), self._pose[..., None]], axis=-1)
        self._lifter = np.swapaxes(aside, -1, -2) @ precisions[:, 1] @ aside
        self._ray_constants()
        self._surface_constants()
        #: (49, 49) and (N, 49): identities, priors, and that no joint is anywhere.
        self._constant = np.tile(_CONSTANT, (people, 1, 1))
        self._constant[:, _SIZE, _SIZE] += evidence.body.size_stds**-2
        self._constant_right = np.zeros((people, _UNKNOWNS))
        self._constant_right[:, _SIZE] = evidence.body.sizes * evidence.body.size_stds**-2

    def _ray_constants(self) -> None:
        """``x - a z = 0`` and ``y - b z = 0``: their sum of products, not whitened."""
        evidence = self._evidence
        self._has_ray = np.isfinite(evidence.slopes).all(axis=-1) & np.isfinite(evidence.slope_stds)
        self._slopes = np.where(self._has_ray[..., None], evidence.slopes, 0.0)
        # A slope's error in meters grows with the depth.
        self._ray_scales = np.where(self._has_ray, 1 / np.where(self._has_ray, evidence.slope_stds, 1.0), 0.0)
        self._rays = np.zeros((len(evidence), _J, 3, 3))
        self._rays[..., :2, :2] = np.eye(2)
        self._rays[..., :2, 2] = self._rays[..., 2, :2] = -self._slopes
        self._rays[..., 2, 2] = (self._slopes**2).sum(axis=-1)

    def _surface_constants(self) -> None:
        surfaces = self._evidence.surfaces
        there = np.isfinite(surfaces.costs)
        self._depths = np.where(there, surfaces.depths, 0.0)
        self._nearest = np.where(there, surfaces.depths, np.inf).min(axis=-1)
        # Densities per meter. Gaussian: what is far from all surfaces is elsewhere, and no outlier of one of them.
        self._peaks = np.exp(-surfaces.costs) / (np.sqrt(2 * np.pi) * surfaces.stds)
        self._elsewhere = np.exp(-surfaces.hidden) / _REACH

    def run(self, start: FloatArray) -> Fused:
        """Iterate."""
        people = len(self._evidence)
        x = np.zeros((people, _UNKNOWNS))
        x[:, _JOINTS] = start.reshape(people, _PLACE)
        x[:, _PLACES] = self._first_places(start)
        x[:, _SIZE] = self._evidence.body.sizes
        self._constant_right[:, _JOINTS] = _SOMEWHERE**-2 * x[:, _JOINTS]
        for width in _WIDTHS:
            self._weigh(x, width)
            hessian, right = self._normal_equations(x)
            x = np.asarray(np.linalg.solve(hessian, right[..., None])[..., 0], np.float64)
        # Before anything is made anew: a solution of these very equations.
        lengths = self._lengths(x, np.asarray(np.linalg.inv(hessian), np.float64))
        self._weigh(x, 1.0)
        self._reweight()
        hessian, _ = self._normal_equations(x)
        return self._finish(x, np.asarray(np.linalg.inv(hessian), np.float64), lengths)

    def _first_places(self, start: FloatArray) -> FloatArray:
        apart = np.where(self._has_pose[..., None], start - self._evidence.pose, np.nan)
        middle = np.sort(apart, axis=1)  # NaN sorts to the end
        count = self._has_pose.sum(axis=1)
        chosen = middle[np.arange(len(start)), np.maximum(count - 1, 0) // 2]
        return np.asarray(np.where(count[:, None] > 0, chosen, start.mean(axis=1)), np.float64)

    def _normal_equations(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(N, 49, 49) and (N, 49), to first order about the present unknowns."""
        people = len(x)
        self._bones, self._bone_targets = bone_equations(
            x[:, _JOINTS].reshape(people, _J, 3), x[:, _SIZE], self._evidence.body, _UNKNOWNS
        )
        transposed = self._bones.transpose(0, 2, 1)
        hessian = transposed @ self._bones
        hessian += self._constant
        right = (transposed @ self._bone_targets[..., None])[..., 0]
        right += self._constant_right
        # ``W (x - place - exp(size) pose) = 0``: by the place and, to first order, the size, the lifter's joints move.
        grown = np.ones((people, 4))
        grown[:, 3] = np.exp(x[:, _SIZE])
        lifter = self._weights[:, 1, :, None, None] * self._lifter
        lifter *= (grown[:, :, None] * grown[:, None])[:, None]
        network = self._weights[:, 0, :, None, None] * self._network
        blocks = network + lifter[..., :3, :3] + self._ray_weights[..., None, None] * self._rays
        blocks[..., 2, 2] += self._strengths
        hessian[:, BLOCK_ROWS, BLOCK_COLUMNS] += blocks
        to_body = lifter[..., :3, :].reshape(people, _PLACE, 4)
        hessian[:, _JOINTS, _BODY] -= to_body
        hessian[:, _BODY, _JOINTS] -= to_body.transpose(0, 2, 1)
        of_body = lifter.sum(axis=1)
        hessian[:, _BODY, _BODY] += of_body
        here = 1 - x[:, _SIZE, None]
        right[:, _BODY] -= here * of_body[..., 3]
        pulled = self._weights[:, 0, :, None] * self._pulls
        pulled[..., 2] += self._surface_pulls
        right[:, _JOINTS] += pulled.reshape(people, _PLACE) + here * to_body[..., 3]
        return hessian, right

    def _weigh(self, x: FloatArray, width: float) -> None:
        """Each source's weight joint by joint, by how far it is off."""
        joints = x[:, _JOINTS].reshape(-1, _J, 3)
        self._weigh_surfaces(joints, width)
        placed = x[:, None, _PLACES] + np.exp(x[:, _SIZE])[:, None, None] * self._pose
        off = np.stack([joints - self._means, joints - placed], axis=1)
        #: (N, 2, 15) of network and lifter, (N, 15) of the rays.
        self._squares = ((self._white @ off[..., None])[..., 0] ** 2).sum(axis=-1)
        self._weights = student_weight(self._squares / width**2, 3) / width**2
        scales = self._ray_scales / np.maximum(joints[..., 2], _NEAREST)
        beside = scales[..., None] * (joints[..., :2] - self._slopes * joints[..., 2:])
        self._ray_squares = (beside**2).sum(axis=-1)
        self._ray_weights = scales**2 * (student_weight(self._ray_squares / width**2, 2) / width**2)

    def _reweight(self) -> None:
        """Weights for the covariance: a source that agrees counts as its covariance says, not more.

        At its mode Student's t is narrower than the Gaussian of the same scale; what its tails hold is missing from
        the curvature there.
        """
        self._weights *= FREEDOM / (FREEDOM + 3)
        self._ray_weights *= FREEDOM / (FREEDOM + 2)

    def _weigh_surfaces(self, joints: FloatArray, width: float) -> None:
        """``z = depth`` of the surfaces that the joint may belong to, weighed by how likely each is its own."""
        stds = self._evidence.surfaces.stds * width
        squares = ((joints[..., 2:] - self._evidence.surfaces.depths) / stds) ** 2
        density = self._peaks * (np.exp(np.minimum(squares, _FAR) / -2) / width)
        front = joints[..., 2] < self._nearest - _TOLERANCE * width
        total = density.sum(axis=-1) + np.where(front, np.exp(-_IN_FRONT) * self._elsewhere, self._elsewhere)
        own = density / total[..., None]
        weight = own / stds**2
        self._strengths = weight.sum(axis=-1)
        self._surface_pulls = (weight * self._depths).sum(axis=-1)
        self._owned, self._totals = own.sum(axis=-1), total

    def _lengths(self, x: FloatArray, covariance: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Each bone's length, and its standard deviation, as they are without the equation of that bone.

        Taking an equation ``a x = b`` out is an update of rank one (Sherman and Morrison 1950), as for the cavity
        distributions of expectation propagation (Minka, UAI 2001).
        """
        rows = self._bones
        left_out = rows @ covariance
        leverage = np.minimum((left_out * rows).sum(axis=-1), 1 - 1e-9)
        off = (rows @ x[..., None])[..., 0] - self._bone_targets
        along = np.where(np.arange(_UNKNOWNS) < _PLACE, rows, 0.0)
        along /= np.maximum(np.sqrt((along**2).sum(axis=-1, keepdims=True) / 2), 1e-12)
        gain = (along * left_out).sum(axis=-1)
        variance = ((along @ covariance) * along).sum(axis=-1) + gain**2 / (1 - leverage)
        now = (along @ x[..., None])[..., 0]
        # The weights are those of modes, see :meth:`_reweight`.
        return now + gain * off / (1 - leverage), np.sqrt(np.maximum(variance, 0.0) * (FREEDOM + 2) / FREEDOM)

    def _finish(self, x: FloatArray, covariance: FloatArray, lengths: tuple[FloatArray, FloatArray]) -> Fused:
        people = len(x)
        body = self._evidence.body
        off = np.concatenate(
            [
                (self._bones @ x[..., None])[..., 0] - self._bone_targets,
                x[:, _JOINTS] @ IDENTITY_EQUATIONS.T,
                x[:, _PLACES] / _ANYWHERE,
                ((x[:, _SIZE] - body.sizes) / body.size_stds)[:, None],
            ],
            axis=1,
        )
        costs = 0.5 * (off**2).sum(axis=-1) - np.log(self._totals).sum(axis=-1)
        weights = []
        for squares, dimensions, there in (
            (self._squares[:, 0], 3, self._has_network),
            (self._ray_squares, 2, self._has_ray),
            (self._squares[:, 1], 3, self._has_pose),
        ):
            costs = costs + np.where(there, student_cost(squares, dimensions), 0.0).sum(axis=-1)
            weights.append(np.where(there, student_weight(squares, dimensions), 0.0))
        return Fused(
            joints=x[:, _JOINTS].reshape(people, _J, 3),
            covariances=covariance[:, BLOCK_ROWS, BLOCK_COLUMNS],
            costs=costs,
            sizes=np.exp(x[:, _SIZE]),
            lengths=lengths[0],
            length_stds=lengths[1],
            networks=weights[0],
            rays=weights[1],
            owned=self._owned,
        )
