"""2D keypoints + depth image -> skeletons: modality ``lookup`` from end to end."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, rays
from unipose_ros.config import LookupConfig
from unipose_ros.frame import JointStatus, Skeletons
from unipose_ros.geometry import body_model as body
from unipose_ros.geometry.body_model import BODY13
from unipose_ros.geometry.covariance import lateral_std, ray_covariances
from unipose_ros.geometry.surfaces import SURFACES, Surfaces, find_surfaces, reference_depths
from unipose_ros.joint_sets import ITOP15, conversion_weights
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.lookup.solve import Candidates, Choice, TrunkCues, joint_depths, make_candidates, solve

# How large a person is, from a first look at its bones.


FloatArray = NDArray[np.float64]

#: (B,) ends and usual lengths of the bones used. Widths are left out: seen from the side,
#: both shoulders show the same surface.
_STARTS = np.concatenate([body.LIMBS[:, 0], body.LIMBS[:, 1], body.SHOULDERS])
_ENDS = np.concatenate([body.LIMBS[:, 1], body.LIMBS[:, 2], body.HIPS])
_LENGTHS = np.concatenate([body.LIMB_LENGTHS[:, 0], body.LIMB_LENGTHS[:, 1], [body.FLANK_LENGTH] * 2])
#: The average adult counts as much as bones of this total length in meters: few seen bones say little.
_PRIOR = 0.8


def person_sizes(candidates: Candidates) -> FloatArray:
    """(N,) size as a part of an average adult: the median of bone lengths over usual lengths.

    Long bones count more, as their relative error is smaller.
    """
    first = candidates.costs.argmin(axis=-1)
    people, joints = np.ogrid[: first.shape[0], : first.shape[1]]
    points = candidates.points[people, joints, first]
    ratios = np.linalg.norm(points[:, _ENDS] - points[:, _STARTS], axis=-1) / _LENGTHS
    weights = np.where(candidates.seen[:, _STARTS] & candidates.seen[:, _ENDS], _LENGTHS, 0)
    ratios = np.concatenate([ratios, np.ones((len(ratios), 1))], axis=1)
    weights = np.concatenate([weights, np.full((len(weights), 1), _PRIOR)], axis=1)
    return _weighted_medians(ratios, weights)


def _weighted_medians(values: FloatArray, weights: FloatArray) -> FloatArray:
    order = values.argsort(axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    below = np.take_along_axis(weights, order, axis=1).cumsum(axis=1)
    middle = (below < 0.5 * below[:, -1:]).sum(axis=1)
    result: FloatArray = ordered[np.arange(len(values)), middle]
    return result


#: A joint counts as found when it lies within this of its stated depth, in meters.
_CLOSE = 0.10
#: What the confidence of a joint at the end of an impossible bone is multiplied with.
_BROKEN_WEIGHT = 0.5


@dataclass(frozen=True, eq=False)
class LiftedPeople:
    """N people with the 13 joints of :data:`~unipose_ros.geometry.body_model.BODY13`.

    Attributes:
        positions: (N, 13, 3) meters in the optical frame; NaN where MISSING.
        confidences: (N, 13) in [0, 1]: the keypoint's, times the probability that the joint lies
            within 10 cm of the stated depth; 0 where MISSING.
        status: (N, 13) uint8 of :class:`~unipose_ros.frame.JointStatus`.
        covariances: (N, 13, 6) square meters; NaN where MISSING.
        sizes: (N,) as a part of an average adult.
        scores: (N,) in [0, 1], the 2D network's.
    """

    positions: FloatArray
    confidences: FloatArray
    status: NDArray[np.uint8]
    covariances: FloatArray
    sizes: FloatArray
    scores: FloatArray

    def select(self, people: NDArray[np.bool_]) -> LiftedPeople:
        """The people marked by an (N,) mask."""
        return LiftedPeople(**{name: value[people] for name, value in vars(self).items()})


def lift_people(
    camera: Camera, depth: NDArray[np.float32], keypoints: Keypoints2D, seen: NDArray[np.bool_], config: LookupConfig
) -> LiftedPeople:
    """Lift all people, and drop who has too few joints on a surface or an impossible size.

    Args:
        depth: (H, W) meters; 0, NaN, infinite and negative values are "no reading".
        keypoints: COCO-17 people in the pixels of ``depth``.
        seen: (N, 17) keypoints to use; a joint without any is MISSING.
    """
    face = np.where(seen[..., None], keypoints.pixels, np.nan)[:, body.FACE]
    pixels, confidences, seen = body.body_pixels(keypoints.pixels, keypoints.confidences, seen)
    if len(keypoints) == 0:
        return _empty()
    references = reference_depths(depth, pixels[:, [*body.SHOULDERS, *body.HIPS]], pixels)
    there = np.isfinite(references)
    if not there.any():
        return _empty()
    pixels, confidences, seen, references = pixels[there], confidences[there], seen[there], references[there]
    joint_rays, middle_rays, surfaces, middles = _look(camera, depth, pixels, references, config)
    candidates = make_candidates(joint_rays, confidences, seen, surfaces, references, config)
    sizes = person_sizes(candidates)
    cues = TrunkCues(
        middle_depths=joint_depths(middle_rays, middles.depths, body.MIDDLE_OFFSETS)[..., 0],
        facing=body.facing(rays(camera, face[there]), references, sizes),
    )
    choice = solve(candidates, sizes, cues)
    people = _finish(candidates, choice, confidences, sizes, keypoints.scores[there], camera, config)
    return people.select(_plausible(people, config))


def _empty() -> LiftedPeople:
    joints = len(body.BODY13)
    return LiftedPeople(
        positions=np.zeros((0, joints, 3)),
        confidences=np.zeros((0, joints)),
        status=np.zeros((0, joints), np.uint8),
        covariances=np.zeros((0, joints, 6)),
        sizes=np.zeros(0),
        scores=np.zeros(0),
    )


def _look(
    camera: Camera, depth: NDArray[np.float32], pixels: FloatArray, references: FloatArray, config: LookupConfig
) -> tuple[FloatArray, FloatArray, Surfaces, Surfaces]:
    """Rays and surfaces of the 13 joints, and of the middles of shoulders and hips."""
    middle = np.stack([pixels[:, body.SHOULDERS].mean(axis=1), pixels[:, body.HIPS].mean(axis=1)], axis=1)
    pixels_and_middle = np.concatenate([pixels, middle], axis=1)
    radii = config.patch_radius * np.array([camera.fx, camera.fy]) / references[:, None]
    surfaces = find_surfaces(
        depth, pixels_and_middle, np.maximum(radii, config.min_patch_pixels),
        references - config.reach, references + config.reach, config.surface_gap,
    )  # fmt: skip
    all_rays = rays(camera, pixels_and_middle)
    joints = len(body.BODY13)
    return all_rays[:, :joints], all_rays[:, joints:], surfaces[:joints], surfaces[joints:]


def _finish(
    candidates: Candidates,
    choice: Choice,
    confidences: FloatArray,
    sizes: FloatArray,
    scores: NDArray[np.float32],
    camera: Camera,
    config: LookupConfig,
) -> LiftedPeople:
    """What was chosen, with status, confidence and covariance."""
    seen, chosen = candidates.seen, (*np.ogrid[: len(sizes), : len(body.BODY13)], choice.index)
    depths = _between_grid(candidates, choice, config.grid_step)
    points = candidates.rays * depths[..., None]
    apart = candidates.points[..., 2] - depths[..., None]
    variance = (choice.weights * apart**2).sum(axis=-1)
    along = np.sqrt(variance + body.SURFACE_STDS**2 + candidates.stds[chosen] ** 2)
    across = lateral_std(confidences, depths, sizes, config.keypoint_noise, camera.fx)
    certainty = (choice.weights * (np.abs(apart) <= _CLOSE)).sum(axis=-1) * np.where(choice.broken, _BROKEN_WEIGHT, 1)
    status = np.where((choice.index < SURFACES) & ~choice.broken, JointStatus.MEASURED, JointStatus.INFERRED)
    points = np.where(seen[..., None], points, np.nan)
    return LiftedPeople(
        positions=points,
        confidences=np.where(seen, confidences * certainty, 0),
        status=np.where(seen, status, JointStatus.MISSING).astype(np.uint8),
        covariances=ray_covariances(points, along, across),
        sizes=sizes,
        scores=np.asarray(scores, np.float64),
    )


def _between_grid(candidates: Candidates, choice: Choice, step: float) -> FloatArray:
    """(N, J) depths: a surface's own, or the mean of the likeliest grid depth and its neighbors."""
    depths = candidates.points[..., 2]
    chosen = np.take_along_axis(depths, choice.index[..., None], axis=-1)
    close = (np.abs(depths - chosen) < 1.5 * step) & (np.arange(depths.shape[-1]) >= SURFACES)
    weights = np.where(close, choice.weights, 0)
    total = weights.sum(axis=-1)
    mean = (weights * depths).sum(axis=-1) / np.where(total > 0, total, 1)
    return np.where(choice.index < SURFACES, chosen[..., 0], mean)


def _plausible(people: LiftedPeople, config: LookupConfig) -> NDArray[np.bool_]:
    measured = (people.status == JointStatus.MEASURED).sum(axis=1)
    in_range = (people.sizes >= config.min_size) & (people.sizes <= config.max_size)
    return np.asarray(in_range & (measured >= config.min_measured), np.bool_)


# The 13 lifted joints -> the canonical 15, with what is known about them.


@cache
def _recipes() -> tuple[FloatArray, ...]:
    """(15, 13) weights of the best recipes of all joints, of the second best, ...; 0 where none is left."""
    table = conversion_weights(BODY13, ITOP15)
    depth = max(len(recipes) for recipes in table)
    none = np.zeros(len(BODY13))
    return tuple(
        np.stack([recipes[rank][1] if rank < len(recipes) else none for recipes in table]) for rank in range(depth)
    )


def to_skeletons(people: LiftedPeople, stamp_ns: int, frame_id: str, modality: str) -> Skeletons:
    """Lifted people as untracked :class:`~unipose_ros.frame.Skeletons` in ITOP order.

    A joint mixed from others is as confident as the least confident of them and MEASURED only if
    all of them are; one that is extrapolated (the head from the trunk) is INFERRED. Its covariance
    is the mixture of theirs: their errors go together, so no credit is taken for averaging.
    """
    count, joints = len(people.scores), len(ITOP15)
    positions = np.full((count, joints, 3), np.nan, np.float32)
    confidences = np.zeros((count, joints), np.float32)
    status = np.full((count, joints), JointStatus.MISSING, np.uint8)
    covariances = np.full((count, joints, 6), np.nan, np.float32)
    present = people.status != JointStatus.MISSING
    for weights in _recipes():
        used = weights != 0
        usable = used.any(axis=1) & ~(~present @ used.T)
        fill = usable & (status == JointStatus.MISSING)
        if not fill.any():
            continue
        positions[fill] = (weights @ np.nan_to_num(people.positions))[fill]
        confidences[fill] = _least(people.confidences, used)[fill]
        grade = np.where((weights < 0).any(axis=1), JointStatus.INFERRED, _least(people.status, used))
        status[fill] = grade[fill].astype(np.uint8)
        covariances[fill] = (np.abs(weights) @ np.nan_to_num(people.covariances))[fill]
    return Skeletons(
        stamp_ns=stamp_ns,
        frame_id=frame_id,
        modality=modality,
        positions=positions,
        confidences=confidences,
        status=status,
        scores=people.scores.astype(np.float32),
        covariances=covariances,
    )


def _least(values: NDArray[Any], used: NDArray[np.bool_]) -> FloatArray:
    """(N, 13) values -> (N, 15) least of those that each target joint uses."""
    result: FloatArray = np.where(used, values[:, None], np.inf).min(axis=-1)
    return result
