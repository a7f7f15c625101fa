"""From all sources' evidence about people to skeletons: modality ``rgbd``'s way into the fusion and out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project, rays, unproject
from unipose_ros.config import DetectionConfig
from unipose_ros.detection import Proposals, visible_keypoints
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons, seen_in_depth
from unipose_ros.fusion.evidence import BONES, Evidence, Surfaces, along_rays
from unipose_ros.fusion.solve import Fused, fuse
from unipose_ros.geometry import body_model as body
from unipose_ros.geometry.covariance import VARIANCES, expand, lateral_std, pack
from unipose_ros.geometry.surfaces import SURFACES, find_surfaces
from unipose_ros.joint_sets import ITOP15
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.lifting.localization import BODY_POSITIONS
from unipose_ros.lookup.solve import joint_depths, surface_costs
from unipose_ros.modalities.bodies import Bodies
from unipose_ros.modalities.convert import probability_within
from unipose_ros.modalities.sides import Swap, permuted, swap_probability, swaps, widened

if TYPE_CHECKING:
    from unipose_ros.lifting import Lifter

FloatArray = NDArray[np.float64]


#: A bone is measured when the surfaces of both its ends are the joints' own with at least this probability, and
#: their keypoints count at least this much.
_OWNED, _HEARD = 0.5, 0.5
#: Standard deviations of the fusion are larger by this factor, and beyond this many meters the more so; chosen on
#: rendered people with MoveNet's keypoints such that the 95 % ellipsoid holds 93 % of all joints.
_TOO_SURE, _WELL_KNOWN = 2.0, 0.02
#: Errors within the ellipsoid are mostly nearer than a Gaussian has them: of the standard deviation this much makes
#: confidences true.
_CONFIDENCE = 0.8


@dataclass(frozen=True, eq=False)
class PointPredictions:
    """What is measured of N people of one frame.

    Attributes:
        people: with keypoints, NaN for those whom color does not show.
        joints: (N, 15, 3) meters, the point network's; NaN for whom depth shows too little of.
        scales: (N, 15) Laplace's scale of a coordinate in meters.
        covariances: (N, 15, 6) of ``joints``, square meters.
    """

    people: Proposals
    joints: FloatArray
    scales: FloatArray
    covariances: FloatArray


def fused_people(
    frame: RgbdFrame, predictions: PointPredictions, lifter: Lifter | None, bodies: Bodies, config: DetectionConfig
) -> tuple[Skeletons, Fused]:
    """All people's joints.

    Args:
        lifter: of keypoints; ``None`` to do without.
        bodies: known bone lengths; takes note of those that are measured.
        config: which keypoints count as seen.
    """
    evidence = _evidence(frame, predictions, lifter, bodies, config)
    start = _start(evidence, predictions)
    tried = swaps(evidence)
    if tried:
        # Of some people the sides may be named otherwise. Both ways are fused at once: most of the time does not depend
        # on the number of people.
        other = _swapped(predictions, tried)
        their_evidence = _evidence(frame, other, lifter, bodies, config)
        evidence = evidence.joined(their_evidence)
        start = np.concatenate([start, _start(their_evidence, other)])
    both = fuse(evidence, start)
    people = len(predictions.people)
    fused = both.select(slice(people))
    if tried:
        fused = _likelier(fused, both.select(slice(people, None)), tried)
    _measure(fused, bodies, frame.stamp_ns)
    return _skeletons(frame, predictions.people, fused), fused


def _swapped(predictions: PointPredictions, tried: Sequence[Swap]) -> PointPredictions:
    """One person for every swap, with the keypoints permuted."""
    rows = np.array([swap.person for swap in tried])
    people = predictions.people.select(rows)
    assert people.keypoints is not None
    order = np.array([swap.keypoints for swap in tried])
    people = replace(people, keypoints=permuted(people.keypoints, order))
    return PointPredictions(people, predictions.joints[rows], predictions.scales[rows], predictions.covariances[rows])


def _likelier(fused: Fused, theirs: Fused, tried: Sequence[Swap]) -> Fused:
    """With the likelier naming of the sides. How sure it is enters the covariances."""
    arrays = {name: value.copy() for name, value in vars(fused).items()}
    for person in sorted({swap.person for swap in tried}):
        rows = [row for row, swap in enumerate(tried) if swap.person == person]
        costs = [theirs.costs[row] + tried[row].prior for row in rows]
        best = rows[int(np.argmin(costs))]
        straight, crossed = float(fused.costs[person]), float(min(costs))
        probability = swap_probability(straight, crossed)
        if crossed < straight:
            for name, value in arrays.items():
                value[person] = getattr(theirs, name)[best]
            arrays["covariances"][person] = widened(theirs, best, fused.joints[person], probability)
        else:
            arrays["covariances"][person] = widened(fused, person, theirs.joints[best], probability)
    return Fused(**arrays)


def _evidence(
    frame: RgbdFrame, predictions: PointPredictions, lifter: Lifter | None, bodies: Bodies, config: DetectionConfig
) -> Evidence:
    assert frame.depth is not None
    assert predictions.people.keypoints is not None
    camera, keypoints = frame.camera, predictions.people.keypoints
    seen = visible_keypoints(keypoints, camera.width, camera.height, config)
    pixels, confidences, _ = body.body_pixels(keypoints.pixels, keypoints.confidences, seen)
    middles = _middles(frame.camera, predictions)
    distances = middles[:, 2]
    slopes, slope_stds = keypoint_slopes(camera, pixels, confidences, distances)
    pixels_to_read = sample_pixels(camera, pixels, predictions.joints)
    pose, pose_covariances = lifted_poses(lifter, keypoints, camera)
    return Evidence(
        joints=predictions.joints,
        covariances=expand(predictions.covariances),
        slopes=slopes,
        slope_stds=slope_stds,
        surfaces=seen_surfaces(camera, frame.depth, pixels_to_read, confidences, distances),
        pose=pose,
        pose_covariances=pose_covariances,
        body=bodies.of(middles),
    )


def _middles(camera: Camera, predictions: PointPredictions) -> FloatArray:
    """(N, 3) meters: about the middle of each person, by the network, else by the box."""
    there = np.isfinite(predictions.joints).all(axis=-1, keepdims=True)
    count = there.sum(axis=1)
    mean = np.asarray(np.where(there, predictions.joints, 0.0).sum(axis=1) / np.maximum(count, 1))
    if (count > 0).all():
        return mean
    boxes = predictions.people.boxes.astype(np.float64)
    return np.where(count > 0, mean, unproject(camera, (boxes[:, :2] + boxes[:, 2:]) / 2, predictions.people.distances))


def _start(evidence: Evidence, predictions: PointPredictions) -> FloatArray:
    """(N, 15, 3) where to begin: the network's joints, else those on the keypoints' rays, else the person's middle."""
    distances = predictions.people.distances.astype(np.float64)[:, None, None]
    on_rays = np.concatenate([evidence.slopes, np.ones_like(evidence.slopes[..., :1])], axis=-1) * distances
    start = np.where(np.isfinite(evidence.joints), evidence.joints, on_rays)
    there = np.isfinite(start).all(axis=-1, keepdims=True)
    middle = np.where(there, start, 0.0).sum(axis=1, keepdims=True) / np.maximum(there.sum(axis=1, keepdims=True), 1)
    return np.where(there, start, middle)


def _measure(fused: Fused, bodies: Bodies, stamp_ns: int) -> None:
    """Tell how long bones are whose ends were both seen."""
    seen = (fused.owned > _OWNED) & (fused.rays > _HEARD)
    both = seen[:, BONES].all(axis=-1)
    bodies.measured(fused.joints, fused.lengths, np.where(both, fused.length_stds, np.inf), stamp_ns)


def calibrated(covariances: FloatArray) -> FloatArray:
    """Covariances (..., 3, 3) of the fusion -> such as hold the true joint as often as they say.

    Sources are not independent: their errors have causes in common, so the fusion is too sure, the more so the less
    is known about a joint.
    """
    std = np.sqrt(np.trace(covariances, axis1=-2, axis2=-1) / 3)
    factor = _TOO_SURE**2 * np.maximum(std / _WELL_KNOWN, 1.0)
    return np.asarray(factor[..., None, None] * covariances)


def _skeletons(frame: RgbdFrame, people: Proposals, fused: Fused) -> Skeletons:
    """A joint is MEASURED where the camera sees it, else INFERRED."""
    assert frame.depth is not None
    covariances = pack(calibrated(fused.covariances))
    # Laplace's variance is 2 s^2 in each of three coordinates.
    scales = _CONFIDENCE * np.sqrt(covariances[..., VARIANCES].sum(axis=-1) / 6)
    seen = seen_in_depth(frame.camera, frame.depth, fused.joints)
    return Skeletons(
        stamp_ns=frame.stamp_ns,
        frame_id=frame.frame_id,
        modality="rgbd",
        positions=fused.joints.astype(np.float32),
        confidences=probability_within(scales).astype(np.float32),
        status=np.where(seen, JointStatus.MEASURED, JointStatus.INFERRED).astype(np.uint8),
        scores=people.scores,
        covariances=covariances.astype(np.float32),
    )


# What color and depth say about people's joints, as the fusion takes it.

Mask = NDArray[np.bool_]

_J = len(ITOP15)
#: Radius in meters of the patch in which depth is read, least radius in pixels, and the thickness of one surface.
_RADIUS, _LEAST_PIXELS, _GAP = 0.05, 2.0, 0.03
#: Surfaces farther than this many meters from the person are scenery.
_SCENERY = 0.9
#: Cost of a joint that hides behind the surface seen at its pixel, and how it grows with the keypoint's confidence.
_HIDDEN, _HIDDEN_BY_CONFIDENCE = 0.5, 2.0
#: Meters across the ray between a keypoint as people annotate it and the joint, for an average adult.
_KEYPOINT_STD = 0.021


def keypoint_slopes(
    camera: Camera, pixels: FloatArray, confidences: FloatArray, distances: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Viewing rays of ITOP's joints as slopes, and their standard deviations; NaN without a keypoint.

    Args:
        pixels: (N, 13, 2) of :data:`~unipose_ros.geometry.body_model.BODY13`; NaN not seen.
        confidences: (N, 13) in [0, 1].
        distances: (N,) meters.
    """
    people = len(pixels)
    slopes, stds = np.full((people, _J, 2), np.nan), np.full((people, _J), np.nan)
    slopes[:, BODY_POSITIONS] = rays(camera, pixels)[..., :2]
    depth = np.broadcast_to(distances[:, None], confidences.shape)
    across = lateral_std(confidences, depth, np.ones(people), _KEYPOINT_STD, camera.fx)
    stds[:, BODY_POSITIONS] = across / depth
    return slopes, stds


def seen_surfaces(
    camera: Camera,
    depth: NDArray[np.float32],
    pixels: FloatArray,
    confidences: FloatArray,
    distances: FloatArray,
) -> Surfaces:
    """Depth under the 13 joints' pixels; the neck and the torso follow from others.

    Args:
        depth: (H, W) meters; 0 and NaN are no readings.
        pixels: (N, 13, 2) where each joint is looked for; NaN nowhere.
        confidences: (N, 13) of the joint's keypoint, 0 without one.
        distances: (N,) meters.
    """
    people = len(pixels)
    radii = np.maximum(_RADIUS * np.array([camera.fx, camera.fy]) / distances[:, None], _LEAST_PIXELS)
    found = find_surfaces(depth, pixels, radii, np.maximum(distances - _SCENERY, 0.05), distances + _SCENERY, _GAP)
    directions = rays(camera, np.where(np.isfinite(pixels), pixels, 0.0))
    there = np.isfinite(found.depths)
    depths, stds = np.zeros((people, _J, SURFACES)), np.ones((people, _J, SURFACES))
    costs, hidden = np.full((people, _J, SURFACES), np.inf), np.full((people, _J), _HIDDEN)
    depths[:, BODY_POSITIONS] = np.where(there, joint_depths(directions, found.depths, body.SURFACE_OFFSETS), 0.0)
    stds[:, BODY_POSITIONS] = np.hypot(body.SURFACE_STDS[:, None], np.where(there, found.stds, 0.0))
    costs[:, BODY_POSITIONS] = surface_costs(found)
    hidden[:, BODY_POSITIONS] += _HIDDEN_BY_CONFIDENCE * confidences
    return Surfaces(depths, stds, costs, hidden)


def sample_pixels(camera: Camera, pixels: FloatArray, joints: FloatArray) -> FloatArray:
    """(N, 13, 2) pixels of the keypoints, or where there are none of the network's joints (N, 15, 3)."""
    there = np.isfinite(pixels).all(axis=-1, keepdims=True)
    return np.where(there, pixels, project(camera, joints[:, BODY_POSITIONS]))


def lifted_poses(lifter: Lifter | None, keypoints: Keypoints2D, camera: Camera) -> tuple[FloatArray, FloatArray]:
    """The lifter's poses (N, 15, 3) and their covariances (N, 15, 3, 3); NaN for people who show too little."""
    people = len(keypoints)
    poses, covariances = np.full((people, _J, 3), np.nan), np.full((people, _J, 3, 3), np.nan)
    if lifter is None or not people:
        return poses, covariances
    enough = lifter.liftable(keypoints, camera)
    if enough.any():
        chosen = keypoints.select(enough)
        seen = lifter.seen(chosen, camera)
        lifted = lifter.relative(chosen, camera, seen)
        poses[enough] = lifted.joints
        middle = np.where(seen[..., None], rays(camera, np.where(seen[..., None], chosen.pixels, 0)), 0).sum(axis=1)
        towards = np.broadcast_to(middle[:, None], lifted.joints.shape)
        covariances[enough] = along_rays(towards, lifted.stds[..., 1], lifted.stds[..., 0])
    return poses, covariances
