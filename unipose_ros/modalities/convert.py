"""A network's joints -> skeletons, with what is known about them."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from unipose_ros.codecs.base import JointPredictions
from unipose_ros.config import DetectionConfig
from unipose_ros.detection import Proposals, visible_keypoints
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons, in_image, seen_in_depth
from unipose_ros.joint_sets import COCO17, JointSet, convert_joints

# How sure a network's joint is: the probability that it is near enough, from the scale it has learned.


FloatArray = NDArray[np.float64]

#: Meters: a joint nearer than this to where it truly is counts as found.
CONFIDENCE_RADIUS = 0.10
#: Of joints that are not there, not seen, and seen.
_STATUSES = np.array([JointStatus.MISSING, JointStatus.INFERRED, JointStatus.MEASURED], np.uint8)
#: Of the table: beyond this many scales, all but one in 10^7 of the errors lie within.
_LAST = 20.0


def probability_within(scales: NDArray[np.floating]) -> FloatArray:
    """Probability that the error is shorter than 10 cm.

    Args:
        scales: (...) meters; its coordinates' errors follow Laplace's distribution with this scale.
            NaN gives 0.
    """
    distances, probabilities = _table()
    with np.errstate(divide="ignore", invalid="ignore"):
        within = np.interp(CONFIDENCE_RADIUS / np.asarray(scales, np.float64), distances, probabilities)
    return np.where(np.isnan(within), 0.0, within)


@cache
def _table() -> tuple[FloatArray, FloatArray]:
    """Distances r in scales, and the probability that three Laplace coordinates are shorter than r together.

    ``P(r) = int_0^r e^-x Q(sqrt(r^2 - x^2)) dx`` with
    ``Q(s) = int_0^s e^-y (1 - e^-sqrt(s^2 - y^2)) dy``, by Gauss and Legendre's rule; the
    substitutions x = r sin(a) and y = s sin(b) take the roots' steep ends away.
    """
    nodes, weights = np.polynomial.legendre.leggauss(64)
    angles, weights = (nodes + 1) * np.pi / 4, weights * np.pi / 4
    sines, cosines = np.sin(angles), np.cos(angles)

    def two(radii: FloatArray) -> FloatArray:
        s = radii[..., None]
        return np.asarray((np.exp(-s * sines) * -np.expm1(-s * cosines) * s * cosines * weights).sum(axis=-1))

    distances = np.linspace(0, _LAST, 401)
    r = distances[:, None]
    probabilities = (np.exp(-r * sines) * two(r * cosines) * r * cosines * weights).sum(axis=-1)
    return distances, probabilities


def to_skeletons(
    frame: RgbdFrame,
    people: Proposals,
    predictions: JointPredictions,
    joint_set: JointSet,
    modality: str,
    config: DetectionConfig,
) -> Skeletons:
    """People as untracked :class:`~unipose_ros.frame.Skeletons`.

    A joint is MEASURED where the camera sees it, INFERRED where it is hidden or out of the image,
    and MISSING only where the network gave no number.

    Args:
        people: those who were processed.
        predictions: the same people in the same order.
        config: which 2D keypoints count as seen.
    """
    there = np.isfinite(predictions.positions).all(axis=-1) & np.isfinite(predictions.scales)
    seen = _seen(frame, people, predictions.positions, joint_set, config)
    sound = there & np.isfinite(predictions.covariances).all(axis=-1)
    return Skeletons(
        stamp_ns=frame.stamp_ns,
        frame_id=frame.frame_id,
        modality=modality,
        positions=np.where(there[..., None], predictions.positions, np.nan).astype(np.float32),
        confidences=np.where(there, probability_within(predictions.scales), 0).astype(np.float32),
        status=_STATUSES[np.where(there, 1 + seen, 0)],
        scores=people.scores,
        covariances=np.where(sound[..., None], predictions.covariances, np.nan).astype(np.float32),
        joint_set=joint_set,
    )


def _seen(
    frame: RgbdFrame, people: Proposals, positions: NDArray[np.float32], joint_set: JointSet, config: DetectionConfig
) -> NDArray[np.bool_]:
    """(N, J) joints that the camera sees: by depth, else by the 2D network, else all in the image."""
    if frame.depth is not None:
        return seen_in_depth(frame.camera, frame.depth, positions)
    inside = in_image(frame.camera, positions)
    if people.keypoints is None:
        return inside
    visible = visible_keypoints(people.keypoints, frame.camera.width, frame.camera.height, config)
    pixels = np.where(visible[..., None], people.keypoints.pixels, np.nan)
    pointed_at, _ = convert_joints(pixels, COCO17, joint_set)
    return np.asarray(inside & np.isfinite(pointed_at).all(axis=-1))
