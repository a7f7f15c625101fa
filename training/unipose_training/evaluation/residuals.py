"""Errors of predicted joints beside the covariances that were published with them: what calibration is fitted to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera
from unipose_ros.frame import JointStatus, Skeletons
from unipose_ros.geometry.covariance import expand, lateral_std
from unipose_ros.keypoints import Keypoints2D
from unipose_training.evaluation.keypoint_checks import pair_with_keypoints
from unipose_training.evaluation.matching import match_people

FloatArray = NDArray[np.float64]

#: Standard deviation of a confident keypoint of the 2D network across the ray on an average adult, meters: its own
#: error, and that it marks another place of the joint than ours.
_KEYPOINT_NOISE = 0.03


@dataclass(frozen=True, eq=False)
class Residuals:
    """N joints of one set, of which an error is known in three or in two dimensions.

    In two dimensions the error is that across the ray, in meters at the joint's distance; its third component is 0.

    Attributes:
        errors: (N, 3) meters, observed less predicted.
        covariances: (N, 3, 3) published, in the dimensions of the error; (2, 2) of a two-dimensional one is 0.
        units: (N, 3, 3) the unit matrix in the same dimensions.
        noise: (N,) standard deviation of the observation in meters.
        dimensions: (N,) 3 or 2.
        measured: (N,) whether the joint is MEASURED; else it is INFERRED.
        confidences: (N,) published.
        sets: (N,) names.
    """

    errors: FloatArray
    covariances: FloatArray
    units: FloatArray
    noise: FloatArray
    dimensions: NDArray[np.intp]
    measured: NDArray[np.bool_]
    confidences: FloatArray
    sets: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.errors)

    def select(self, chosen: NDArray[np.bool_]) -> Residuals:
        """The joints of a mask."""
        return Residuals(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})

    @classmethod
    def together(cls, parts: Iterable[Residuals]) -> Residuals:
        """All of them."""
        known = [_none(), *parts]
        return cls(**{field.name: np.concatenate([getattr(p, field.name) for p in known]) for field in fields(cls)})


def _none() -> Residuals:
    cube = np.zeros((0, 3, 3))
    flat = np.zeros(0)
    return Residuals(
        np.zeros((0, 3)), cube, cube, flat, np.zeros(0, np.intp), np.zeros(0, np.bool_), flat, np.zeros(0, np.str_)
    )


def residuals_in_3d(name: str, predicted: Skeletons, ground_truth: Skeletons) -> Residuals:
    """Of all people who are found, the joints that both sides have."""
    matches = match_people(predicted, ground_truth)
    if predicted.covariances is None:
        return _none()
    people, true = matches.predicted, matches.true
    errors = ground_truth.positions[true].astype(np.float64) - predicted.positions[people]
    matrices = expand(predicted.covariances[people])
    known = np.isfinite(errors).all(axis=-1) & np.isfinite(matrices).all(axis=(-2, -1))
    count = int(known.sum())
    return Residuals(
        errors=errors[known],
        covariances=matrices[known],
        units=np.broadcast_to(np.eye(3), (count, 3, 3)),
        noise=np.zeros(count),
        dimensions=np.full(count, 3, np.intp),
        measured=(predicted.status[people] == JointStatus.MEASURED)[known],
        confidences=predicted.confidences[people][known].astype(np.float64),
        sets=np.full(count, name),
    )


def residuals_in_2d(name: str, camera: Camera, predicted: Skeletons, keypoints: Keypoints2D) -> Residuals:
    """Of all people whom a 2D network detects, the joints of whose keypoints it is certain.

    Joints with a keypoint of their own only: what is a mixture of keypoints is no observation.
    """
    if predicted.covariances is None or not len(predicted) or not len(keypoints):
        return _none()
    own = np.array([place in keypoints.joint_set.landmarks for place in predicted.joint_set.landmarks])
    pairs = pair_with_keypoints(camera, predicted, keypoints)
    positions = predicted.positions[pairs.predicted].astype(np.float64)
    matrices = expand(predicted.covariances[pairs.predicted])
    known = own & np.isfinite(pairs.seen).all(axis=-1) & np.isfinite(matrices).all(axis=(-2, -1))
    known &= np.isfinite(pairs.projected).all(axis=-1)
    points, depth = positions[known], positions[known][:, 2]
    across = np.zeros((len(points), 3, 3))
    across[:, 0, 0] = across[:, 1, 1] = 1
    across[:, :2, 2] = -points[:, :2] / depth[:, None]
    errors = np.zeros((len(points), 3))
    focal = np.array([camera.fx, camera.fy])
    errors[:, :2] = (pairs.seen[known] - pairs.projected[known]) / focal * depth[:, None]
    keypoint_confidences = pairs.confidences[known][:, None]
    noise = lateral_std(keypoint_confidences, depth[:, None], np.ones(len(points)), _KEYPOINT_NOISE, camera.fx)
    return Residuals(
        errors=errors,
        covariances=across @ matrices[known] @ across.transpose(0, 2, 1),
        units=across @ across.transpose(0, 2, 1),
        noise=noise[:, 0],
        dimensions=np.full(len(points), 2, np.intp),
        measured=(predicted.status[pairs.predicted] == JointStatus.MEASURED)[known],
        confidences=predicted.confidences[pairs.predicted][known].astype(np.float64),
        sets=np.full(len(points), name),
    )
