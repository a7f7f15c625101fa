"""2D keypoints + depth image -> skeletons: modality ``lookup`` from end to end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, rays
from unipose_ros.frame import JointStatus
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.lookup import body
from unipose_ros.lookup.candidates import Candidates, joint_depths, make_candidates
from unipose_ros.lookup.config import LookupConfig
from unipose_ros.lookup.patches import SURFACES, Surfaces, find_surfaces, reference_depths
from unipose_ros.lookup.size import person_sizes
from unipose_ros.lookup.solve import Choice, TrunkCues, solve
from unipose_ros.lookup.uncertainty import lateral_spreads, ray_covariances

FloatArray = NDArray[np.float64]

#: A joint counts as found when it lies within this of its stated depth, in metres.
_CLOSE = 0.10
#: What the confidence of a joint at the end of an impossible bone is multiplied with.
_BROKEN_TRUST = 0.5


@dataclass(frozen=True, eq=False)
class LiftedPeople:
    """N people with the 13 joints of :data:`~unipose_ros.lookup.body.BODY13`.

    Attributes:
        positions: (N, 13, 3) metres in the optical frame; NaN where MISSING.
        confidences: (N, 13) in [0, 1]: the keypoint's, times the probability that the joint lies
            within 10 cm of the stated depth; 0 where MISSING.
        status: (N, 13) uint8 of :class:`~unipose_ros.frame.JointStatus`.
        covariances: (N, 13, 6) square metres; NaN where MISSING.
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
    """Lift everybody, and drop who has too few joints on a surface or an impossible size.

    Args:
        depth: (H, W) metres; 0, NaN, infinite and negative values are "no reading".
        keypoints: COCO-17 people in the pixels of ``depth``.
        seen: (N, 17) keypoints to use; a joint without any is MISSING.
    """
    face = np.where(seen[..., None], keypoints.pixels, np.nan)[:, body.FACE]
    pixels, confidences, seen = body.body_pixels(keypoints.pixels, keypoints.confidences, seen)
    if len(keypoints) == 0:
        return _nobody()
    references = reference_depths(depth, pixels[:, [*body.SHOULDERS, *body.HIPS]], pixels)
    there = np.isfinite(references)
    if not there.any():
        return _nobody()
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


def _nobody() -> LiftedPeople:
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
    places = np.concatenate([pixels, middle], axis=1)
    radii = config.patch_radius * np.array([camera.fx, camera.fy]) / references[:, None]
    surfaces = find_surfaces(
        depth, places, np.maximum(radii, config.min_patch_pixels),
        references - config.reach, references + config.reach, config.surface_gap,
    )  # fmt: skip
    all_rays = rays(camera, places)
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
    doubt = (choice.weights * apart**2).sum(axis=-1)
    along = np.sqrt(doubt + body.SURFACE_SPREADS**2 + candidates.spreads[chosen] ** 2)
    across = lateral_spreads(confidences, depths, sizes, config.keypoint_noise, camera.fx)
    sure = (choice.weights * (np.abs(apart) <= _CLOSE)).sum(axis=-1) * np.where(choice.broken, _BROKEN_TRUST, 1)
    status = np.where((choice.index < SURFACES) & ~choice.broken, JointStatus.MEASURED, JointStatus.INFERRED)
    points = np.where(seen[..., None], points, np.nan)
    return LiftedPeople(
        positions=points,
        confidences=np.where(seen, confidences * sure, 0),
        status=np.where(seen, status, JointStatus.MISSING).astype(np.uint8),
        covariances=ray_covariances(points, along, across),
        sizes=sizes,
        scores=np.asarray(scores, np.float64),
    )


def _between_grid(candidates: Candidates, choice: Choice, step: float) -> FloatArray:
    """(N, J) depths: a surface's own, or the mean of the likeliest grid depth and its neighbours."""
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
