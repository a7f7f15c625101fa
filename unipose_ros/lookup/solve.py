"""The most plausible depth of every joint, all joints of a person together.

Every joint has candidates on its viewing ray. A choice costs what its own evidence says plus, for
every bone, how far its length is from what is normal for a person of that size. Limbs are chains,
so their best continuation for every depth of the shoulder or hip comes from dynamic programming;
the trunk closes a loop, so its best pairs of shoulders and of hips are tried in all combinations.
Because lengths left and right are measured against the same size, this is also the symmetry check.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.config import LookupConfig
from unipose_ros.geometry import body_model as body
from unipose_ros.geometry.body_model import SURFACE_OFFSETS
from unipose_ros.geometry.surfaces import SURFACES, Surfaces

FloatArray = NDArray[np.float64]


IndexArray = NDArray[np.intp]

#: A bone's length varies between people of one size, and the keypoints at its ends are noisy.
_LENGTH_STD = 0.1
_KEYPOINT_STD = 0.025
#: No bone costs more than this: one wrong keypoint must not bend the rest of the body.
_BROKEN = 8.0
#: No cue about the trunk costs more than this: a bag may cover it, and heads turn.
_CUE_LIMIT = 2.0
#: Shoulders and hips turn with the face, within this part of their width.
_FACING_STD = 0.4
#: So many of the best pairs of shoulders and of hips are combined.
_PAIRS = 40


@dataclass(frozen=True, eq=False)
class TrunkCues:
    """What else is known about shoulders and hips together.

    Attributes:
        middle_depths: (N, 2) where depth was read between the shoulders and between the hips,
            moved to the joint's depth; meters along z, NaN unread.
        facing: (N,) how far the person is turned, as the sine of the angle: 0 towards the camera
            or away from it, 1 towards the right of the image, so that the left shoulder is behind
            the right one; NaN unknown.
    """

    middle_depths: FloatArray
    facing: FloatArray


@dataclass(frozen=True, eq=False)
class Choice:
    """One candidate per joint.

    Attributes:
        index: (N, J) chosen candidate.
        weights: (N, J, K) probability of each candidate given the choice of the neighbors that
            are nearer to the trunk.
        broken: (N, J) the bone from the joint towards the trunk has an impossible length.
    """

    index: IndexArray
    weights: FloatArray
    broken: NDArray[np.bool_]


def solve(candidates: Candidates, sizes: FloatArray, cues: TrunkCues) -> Choice:
    """Choose a candidate for every joint of N people.

    Args:
        sizes: (N,) size of each person as a part of an average adult.
        cues: what is known about shoulders and hips together.
    """
    limbs = _Limbs(candidates, sizes)
    shoulders = _Girdle(candidates, limbs.cost[:, 0:2], _SHOULDERS, sizes, cues)
    hips = _Girdle(candidates, limbs.cost[:, 2:4], _HIPS, sizes, cues)
    head, head_table = _head_costs(candidates, shoulders, sizes)
    trunk = shoulders.cost[:, :, None] + head[:, :, None] + hips.cost[:, None] + _flank_costs(shoulders, hips, sizes)
    return _decode(candidates, trunk, shoulders, hips, head_table, limbs)


def bone_costs(distance: FloatArray, length: FloatArray) -> FloatArray:
    """Half the squared deviation of ``distance`` from ``length`` in standard deviations, capped."""
    variance = (_LENGTH_STD * length) ** 2 + _KEYPOINT_STD**2
    return np.minimum(0.5 * (distance - length) ** 2 / variance, _BROKEN)


def distances(a: FloatArray, b: FloatArray) -> FloatArray:
    """(..., A, 3) and (..., B, 3) points -> (..., A, B) distances."""
    squares = (a**2).sum(axis=-1)[..., :, None] + (b**2).sum(axis=-1)[..., None, :] - 2 * a @ np.swapaxes(b, -1, -2)
    result: FloatArray = np.sqrt(np.maximum(squares, 0))
    return result


def _cue_costs(values: FloatArray, expected: FloatArray, std: float, usable: NDArray[np.bool_]) -> FloatArray:
    """(N, K, K) values against (N,) expectations; nothing where those are NaN or not usable."""
    known = usable & np.isfinite(expected)
    off = (values - np.where(known, expected, 0)[:, None, None]) / std
    return np.where(known[:, None, None], np.minimum(0.5 * off**2, _CUE_LIMIT), 0)


class _Limbs:
    """Costs of the four limbs for every candidate of shoulder or hip, from the ends inwards."""

    def __init__(self, candidates: Candidates, sizes: FloatArray) -> None:
        root, middle, end = body.LIMBS.T
        lengths = body.LIMB_LENGTHS * sizes[:, None, None]
        self.lower = _link(candidates, middle, end, lengths[..., 1])
        lower_total = self.lower + candidates.costs[:, end][:, :, None]
        self.middle_cost = candidates.costs[:, middle] + lower_total.min(axis=-1)
        self.upper = _link(candidates, root, middle, lengths[..., 0])
        upper_total = self.upper + self.middle_cost[:, :, None]
        #: (N, 4, K) cost of everything from the root outwards, the root itself included.
        self.cost = candidates.costs[:, root] + upper_total.min(axis=-1)


def _link(candidates: Candidates, parents: IndexArray, children: IndexArray, lengths: FloatArray) -> FloatArray:
    """(N, B, K, K) bone costs; a bone with an unseen end costs nothing."""
    apart = distances(candidates.points[:, parents], candidates.points[:, children])
    both = candidates.seen[:, parents] & candidates.seen[:, children]
    return np.where(both[..., None, None], bone_costs(apart, lengths[..., None, None]), 0)


@dataclass(frozen=True, eq=False)
class _Pair:
    """Which two joints, how far apart on an average adult, and which of the middles is theirs."""

    joints: IndexArray
    width: float
    middle: int


_SHOULDERS = _Pair(body.SHOULDERS, body.SHOULDER_WIDTH, 0)
_HIPS = _Pair(body.HIPS, body.HIP_WIDTH, 1)


class _Girdle:
    """The best pairs of candidates for the two shoulders, or for the two hips."""

    def __init__(
        self, candidates: Candidates, side_costs: FloatArray, pair: _Pair, sizes: FloatArray, cues: TrunkCues
    ) -> None:
        joints, widths = pair.joints, pair.width * sizes
        count = candidates.costs.shape[-1]
        link = _link(candidates, joints[:1], joints[1:], widths[:, None])[:, 0]
        both = candidates.seen[:, joints[0]] & candidates.seen[:, joints[1]]
        depths = candidates.points[:, joints][..., 2]
        total = side_costs[:, 0, :, None] + side_costs[:, 1, None, :] + link
        middle = (depths[:, 0, :, None] + depths[:, 1, None, :]) / 2
        total += _cue_costs(middle, cues.middle_depths[:, pair.middle], body.MIDDLE_STDS[pair.middle], both)
        turned = depths[:, 0, :, None] - depths[:, 1, None, :]
        total += _cue_costs(turned, widths * cues.facing, _FACING_STD * pair.width, both)
        flat = total.reshape(len(total), -1)
        best = np.argpartition(flat, min(_PAIRS, flat.shape[1] - 1), axis=1)[:, :_PAIRS]
        #: (N, P) cost of each pair kept, limbs included, and (N, P, 2) its candidates.
        self.cost = np.take_along_axis(flat, best, axis=1)
        self.pairs = np.stack(np.divmod(best, count), axis=-1)
        people = np.arange(len(total))[:, None]
        #: (N, 2, P, 3) left and right points, and (N, 2) whether they are seen.
        self.points = np.stack(
            [candidates.points[people, joint, self.pairs[..., side]] for side, joint in enumerate(joints)], axis=1
        )
        self.seen = candidates.seen[:, joints]

    def std(self, pair_costs: FloatArray, candidates: Candidates) -> FloatArray:
        """(N, P) least cost with each pair -> (N, 2, K) least cost with each candidate; inf if in no pair."""
        costs = np.full((len(pair_costs), 2, candidates.costs.shape[-1]), np.inf)
        people = np.arange(len(pair_costs))[:, None]
        for side in range(2):
            np.minimum.at(costs[:, side], (people, self.pairs[..., side]), pair_costs)
        return costs


def _head_costs(candidates: Candidates, shoulders: _Girdle, sizes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(N, P) cost of the best head for each pair of shoulders and the (N, P, K) table it is from."""
    apart = distances(shoulders.points.mean(axis=1), candidates.points[:, body.HEAD])
    linked = shoulders.seen.all(axis=1) & candidates.seen[:, body.HEAD]
    bone = np.where(linked[:, None, None], bone_costs(apart, (body.NECK_LENGTH * sizes)[:, None, None]), 0)
    table = bone + candidates.costs[:, None, body.HEAD]
    return table.min(axis=-1), table


def _flank_costs(shoulders: _Girdle, hips: _Girdle, sizes: FloatArray) -> FloatArray:
    """(N, P, P) cost of the two lengths from shoulder to hip."""
    apart = distances(shoulders.points, hips.points)
    both = (shoulders.seen & hips.seen)[..., None, None]
    costs = bone_costs(apart, (body.FLANK_LENGTH * sizes)[:, None, None, None])
    result: FloatArray = np.where(both, costs, 0).sum(axis=1)
    return result


def _decode(
    candidates: Candidates, trunk: FloatArray, shoulders: _Girdle, hips: _Girdle, head_table: FloatArray, limbs: _Limbs
) -> Choice:
    """From the trunk outwards: the best candidate, and the weights of all given the choice so far."""
    people = np.arange(len(trunk))
    costs = np.zeros_like(candidates.costs)
    index = np.zeros(candidates.seen.shape, np.intp)
    broken = np.zeros_like(candidates.seen)
    pairs = np.divmod(trunk.reshape(len(trunk), -1).argmin(axis=1), trunk.shape[2])
    for girdle, joints, pair, other in ((shoulders, body.SHOULDERS, pairs[0], 2), (hips, body.HIPS, pairs[1], 1)):
        index[:, joints] = girdle.pairs[people, pair]
        costs[:, joints] = girdle.std(trunk.min(axis=other), candidates)
    costs[:, body.HEAD] = head_table[people, pairs[0]]
    index[:, body.HEAD] = costs[:, body.HEAD].argmin(axis=1)
    for limb, (root, middle, end) in enumerate(body.LIMBS):
        upper = limbs.upper[people, limb, index[:, root]]
        costs[:, middle] = upper + limbs.middle_cost[:, limb]
        index[:, middle] = costs[:, middle].argmin(axis=1)
        lower = limbs.lower[people, limb, index[:, middle]]
        costs[:, end] = lower + candidates.costs[:, end]
        index[:, end] = costs[:, end].argmin(axis=1)
        broken[:, middle] = upper[people, index[:, middle]] >= _BROKEN
        broken[:, end] = lower[people, index[:, end]] >= _BROKEN
    return Choice(index, probabilities(costs), broken)


def probabilities(costs: FloatArray) -> FloatArray:
    """Costs (..., K) -> weights that sum to 1 over K."""
    weights = np.exp(costs.min(axis=-1, keepdims=True) - costs)
    result: FloatArray = weights / weights.sum(axis=-1, keepdims=True)
    return result


# The depths each joint may have, and what each costs by the joint's own evidence.
#
# A joint lies behind a surface seen at its pixel (MEASURED), or its own surface is not seen and it
# may be anywhere within the body's reach (INFERRED): hidden behind what is seen, in a hole of the
# depth image, or, if the keypoint misses a thin limb, even in front of the background that was hit.
# Costs are negative log probabilities up to a constant.

#: Joints are searched this far in front of and behind the trunk when their surface is not seen.
_GRID_REACH = 0.65
#: A surface that covers less of the patch than this is noise.
_LEAST_SHARE = 0.05
#: Cost of a joint that hides behind the surface seen at its pixel: the more confident the 2D
#: network is, the less likely it is hidden.
_HIDDEN = 0.5
_HIDDEN_BY_CONFIDENCE = 2.0
#: Cost of a joint in front of the surface seen at its pixel: against the free-space rule, so only
#: a keypoint beside its limb explains it.
_IN_FRONT = 5.0
#: Cost of a joint at whose pixel no depth was read.
_UNREAD = 1.0
#: Depth and offsets are not exact: this little in front of the expected joint is not "in front".
_TOLERANCE = 0.03


@dataclass(frozen=True, eq=False)
class Candidates:
    """K depths for each of N people's J joints.

    The first :data:`~unipose_ros.geometry.surfaces.SURFACES` of them lie behind a seen surface.

    Attributes:
        points: (N, J, K, 3) meters in the optical frame; anything finite where ``costs`` is inf.
        costs: (N, J, K); inf where there is no such candidate, 0 throughout for an unseen joint.
        rays: (N, J, 3) viewing rays with z = 1.
        seen: (N, J) the 2D network detects the joint.
        stds: (N, J, K) standard deviation along z in meters that the surface itself shows.
    """

    points: FloatArray
    costs: FloatArray
    rays: FloatArray
    seen: NDArray[np.bool_]
    stds: FloatArray


def make_candidates(
    rays: FloatArray,
    confidences: FloatArray,
    seen: NDArray[np.bool_],
    surfaces: Surfaces,
    references: FloatArray,
    config: LookupConfig,
) -> Candidates:
    """Candidates of all joints.

    Args:
        rays: (N, J, 3) viewing rays with z = 1, anything where not seen.
        confidences, seen: (N, J) of the keypoints.
        surfaces: (N, J, SURFACES) what the patches show.
        references: (N,) depth of the trunks in meters.
    """
    on_surface = joint_depths(rays, surfaces.depths, SURFACE_OFFSETS)
    grid = np.arange(-_GRID_REACH, _GRID_REACH + config.grid_step, config.grid_step)
    hidden = np.broadcast_to(references[:, None, None] + grid, (*seen.shape, len(grid)))
    hidden = np.maximum(hidden, 0.1)
    costs = np.concatenate([surface_costs(surfaces), _hidden_costs(hidden, on_surface, surfaces, confidences)], axis=-1)
    depths = np.concatenate([np.nan_to_num(on_surface), hidden], axis=-1)
    stds = np.zeros_like(depths)
    stds[..., :SURFACES] = np.nan_to_num(surfaces.stds)
    rays = np.where(seen[..., None], rays, 0)
    return Candidates(
        points=rays[:, :, None] * depths[..., None],
        costs=np.where(seen[..., None], costs, 0),
        rays=rays,
        seen=seen,
        stds=stds,
    )


def joint_depths(rays: FloatArray, surface_depths: FloatArray, offsets: FloatArray) -> FloatArray:
    """Depth of joints that lie ``offsets`` meters behind surfaces.

    The offset is the flesh between surface and joint, which the ray crosses: it is laid along the
    ray, not along z, so that it does not grow towards the image's border. Near the optical axis,
    where the offsets were measured, both are the same.

    Args:
        rays: (N, J, 3); surface_depths: (N, J, M) along z; offsets: (J,).
    """
    along_z = offsets / np.linalg.norm(rays, axis=-1)
    result: FloatArray = surface_depths + along_z[..., None]
    return result


def surface_costs(surfaces: Surfaces) -> FloatArray:
    """(N, J, M): surfaces that fill more of the patch are likelier; inf where there is none."""
    fractions = np.where(surfaces.fractions >= _LEAST_SHARE, surfaces.fractions, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        costs: FloatArray = -np.log(fractions / fractions.sum(axis=-1, keepdims=True))
    return np.where(fractions > 0, costs, np.inf)


def _hidden_costs(
    hidden: FloatArray, on_surface: FloatArray, surfaces: Surfaces, confidences: FloatArray
) -> FloatArray:
    real = surfaces.fractions >= _LEAST_SHARE
    nearest = np.where(real, on_surface, np.inf).min(axis=-1)[..., None]
    behind = (_HIDDEN + _HIDDEN_BY_CONFIDENCE * confidences)[..., None]
    costs = np.where(hidden >= nearest - _TOLERANCE, behind, _IN_FRONT)
    return np.where(np.isinf(nearest), _UNREAD, costs)
