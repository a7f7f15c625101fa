"""From all sources' evidence about people to skeletons: modality ``rgbd``'s way into the fusion and out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, unproject
from unipose_ros.detection import DetectionConfig, Proposals, visible_keypoints
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons
from unipose_ros.fusion.bones import BONES
from unipose_ros.fusion.evidence import Evidence
from unipose_ros.fusion.gaussians import pack, unpack
from unipose_ros.fusion.solve import Fused, fuse
from unipose_ros.geometry import body_model as body
from unipose_ros.modalities.bodies import Bodies
from unipose_ros.modalities.convert import probability_within
from unipose_ros.modalities.rgbd_evidence import keypoint_slopes, lifted_poses, sample_pixels, seen_surfaces
from unipose_ros.modalities.sides import Exchange, exchange_probability, exchanges, widened
from unipose_ros.visibility import seen_in_depth

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
    """What is said of N people of one frame.

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
    fused = fuse(evidence, _start(evidence, predictions))
    fused = _with_sides(frame, predictions, evidence, fused, lifter, bodies, config)
    _measure(fused, bodies, frame.stamp_ns)
    return _skeletons(frame, predictions.people, fused), fused


def _with_sides(
    frame: RgbdFrame,
    predictions: PointPredictions,
    evidence: Evidence,
    fused: Fused,
    lifter: Lifter | None,
    bodies: Bodies,
    config: DetectionConfig,
) -> Fused:
    """With the likelier naming of the sides. How sure it is enters the covariances."""
    tried = exchanges(evidence)
    if not tried:
        return fused
    other = _exchanged(predictions, tried)
    their_evidence = _evidence(frame, other, lifter, bodies, config)
    theirs = fuse(their_evidence, _start(their_evidence, other))
    return _likelier(fused, theirs, tried)


def _exchanged(predictions: PointPredictions, tried: Sequence[Exchange]) -> PointPredictions:
    """One person for every exchange, with the keypoints permuted."""
    rows = np.array([exchange.person for exchange in tried])
    people = predictions.people.select(rows)
    assert people.keypoints is not None
    order = np.array([exchange.keypoints for exchange in tried])
    keypoints = replace(
        people.keypoints,
        pixels=np.take_along_axis(people.keypoints.pixels, order[..., None], axis=1),
        confidences=np.take_along_axis(people.keypoints.confidences, order, axis=1),
    )
    people = replace(people, keypoints=keypoints)
    return PointPredictions(people, predictions.joints[rows], predictions.scales[rows], predictions.covariances[rows])


def _likelier(fused: Fused, theirs: Fused, tried: Sequence[Exchange]) -> Fused:
    arrays = {name: value.copy() for name, value in vars(fused).items()}
    for person in sorted({exchange.person for exchange in tried}):
        rows = [row for row, exchange in enumerate(tried) if exchange.person == person]
        costs = [theirs.costs[row] + tried[row].prior for row in rows]
        best = rows[int(np.argmin(costs))]
        straight, crossed = float(fused.costs[person]), float(min(costs))
        probability = exchange_probability(straight, crossed)
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
        covariances=unpack(predictions.covariances),
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
    mean = np.where(there, predictions.joints, 0.0).sum(axis=1) / np.maximum(count, 1)
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
    scales = _CONFIDENCE * np.sqrt(covariances[..., [0, 3, 5]].sum(axis=-1) / 6)
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
