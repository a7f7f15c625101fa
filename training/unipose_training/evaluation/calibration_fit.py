"""Fits what :mod:`unipose_ros.modalities.calibration` applies, and evaluates it on sets that were left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import gammaln
from scipy.stats import chi2

from unipose_ros.camera import Camera
from unipose_ros.frame import JointStatus, Skeletons
from unipose_ros.geometry.covariance import expand, lateral_std, pack
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.modalities.calibration import NEAR, Calibration, StatusCalibration, probability_near, scale_covariances
from unipose_training.evaluation.keypoint_checks import pair_with_keypoints
from unipose_training.evaluation.matching import match_people
from unipose_training.evaluation.metrics.uncertainty import confidence_reliability

FloatArray = NDArray[np.float64]


#: Standard deviation of ground truth and of what data sets mean by a joint, meters: less is never claimed.
_MIN_FLOOR, _MAX_FLOOR = 0.010, 0.030
_DOF = (3.0, 30.0)
#: A set counts as much as so many joints at most: a large set must not drown the others.
_MOST = 150
#: Sets with fewer joints of a status do not say how large its ellipsoids have to be.
_LEAST = 20
#: Joints farther off than this belong to another person, meters.
_GROSS = 1.0
#: What the published ellipsoid is to hold of all sets together, and what at least of the hardest one.
LEVEL, _HARDEST = 0.95, 0.90
#: Pulls towards no change and moderate tails where joints are few.
_PRIOR = 0.02


def fit(residuals: Residuals) -> Calibration:
    """The calibration of one modality, from the joints of one or several sets."""
    known = plausible(residuals)
    return Calibration(*(fit_status(known.select(known.measured == measured)) for measured in (True, False)))


def plausible(residuals: Residuals) -> Residuals:
    """Without the joints that belong to another person."""
    return residuals.select(np.linalg.norm(residuals.errors, axis=1) < _GROSS)


def fit_status(residuals: Residuals) -> StatusCalibration:
    """Scale, floor and tails of the greatest likelihood, every set counting alike; then the inflation.

    How much too sure a network is differs between scenes more than within, and a robot's are not among them. So the
    inflation is such that the 95 % ellipsoids hold 95 % of all sets together, and 90 % of the hardest: more would make
    them far too large on all others. With fewer than 20 joints everything stays as it is, but for the floor.
    """
    if len(residuals) < _LEAST:
        return StatusCalibration(floor=_MIN_FLOOR)
    weights = _weights(residuals.sets)

    def cost(values: FloatArray) -> float:
        return _negative_log_likelihood(residuals, weights, _numbers(values)) + _PRIOR * float((values**2).sum())

    # The default simplex would be next to nothing around zeros.
    options = {
        "maxiter": 150,
        "xatol": 0.02,
        "fatol": 1e-4,
        "initial_simplex": np.vstack([np.zeros(3), 0.7 * np.eye(3)]),
    }
    found = minimize(cost, np.zeros(3), method="Nelder-Mead", options=options)
    numbers = _numbers(found.x)
    sets = [residuals.select(residuals.sets == name) for name in np.unique(residuals.sets)]
    needed = [needed_inflation(each, numbers, level=_HARDEST) for each in sets if len(each) >= _LEAST]
    together = needed_inflation(residuals, numbers, weights)
    return replace(numbers, inflation=max([together, *needed]))


def holds(residuals: Residuals, numbers: StatusCalibration) -> bool:
    """Whether numbers keep the rule of :func:`fit_status` on other joints of one status: their 95 % ellipsoids hold
    95 % of all sets together and 90 % of the hardest. With fewer than 20 joints nothing says that they do not."""
    if len(residuals) < _LEAST:
        return True
    sets = [residuals.select(residuals.sets == name) for name in np.unique(residuals.sets)]
    hardest = min((coverage(each, numbers) for each in sets if len(each) >= _LEAST), default=1.0)
    return hardest >= _HARDEST and coverage(residuals, numbers, weights=_weights(residuals.sets)) >= LEVEL


def _numbers(values: FloatArray) -> StatusCalibration:
    """Unbounded values -> numbers within their bounds; zeros are no change of the scale, and the middles."""
    part = 1 / (1 + np.exp(-values[1:]))
    low, high = np.log(_DOF)
    floor = _MIN_FLOOR + part[0] * (_MAX_FLOOR - _MIN_FLOOR)
    return StatusCalibration(float(np.exp(values[0])), float(floor), float(np.exp(low + part[1] * (high - low))))


def _weights(sets: NDArray[np.str_]) -> FloatArray:
    _, numbers, counts = np.unique(sets, return_inverse=True, return_counts=True)
    weights = (np.minimum(counts, _MOST) / counts)[numbers]
    return np.asarray(weights / weights.sum(), np.float64)


def _negative_log_likelihood(residuals: Residuals, weights: FloatArray, numbers: StatusCalibration) -> float:
    """Of Student's t, per joint (Kotz and Nadarajah 2004, Multivariate t Distributions, equation 1.1)."""
    matrices = _matrices(residuals, numbers, 1.0)
    squared, k, dof = _squared(residuals, matrices), residuals.dimensions, numbers.dof
    likelihoods = gammaln((dof + k) / 2) - gammaln(dof / 2) - k / 2 * np.log(dof * np.pi)
    likelihoods = likelihoods - np.linalg.slogdet(matrices)[1] / 2 - (dof + k) / 2 * np.log1p(squared / dof)
    return -float((weights * likelihoods).sum())


def _matrices(residuals: Residuals, numbers: StatusCalibration, inflation: float) -> FloatArray:
    """(N, 3, 3) covariances of what is observed; 1 for the dimension that a two-dimensional one lacks."""
    scales = numbers.scale**2 * residuals.covariances + numbers.floor**2 * residuals.units
    flat = (residuals.dimensions == 2).astype(np.float64)
    noise = np.stack([residuals.noise**2, residuals.noise**2, np.where(flat > 0, 1.0, residuals.noise**2)], axis=1)
    return np.asarray(inflation * scales + noise[:, :, None] * np.eye(3), np.float64)


def _squared(residuals: Residuals, matrices: FloatArray) -> FloatArray:
    solved = np.linalg.solve(matrices, residuals.errors[..., None])[..., 0]
    return np.asarray((residuals.errors * solved).sum(axis=1), np.float64)


def coverage(
    residuals: Residuals, numbers: StatusCalibration, inflation: float | None = None, weights: FloatArray | None = None
) -> float:
    """Fraction of the joints that the 95 % ellipsoids hold.

    Args:
        inflation: instead of that of the numbers.
        weights: (N,) of the joints; all alike by default.
    """
    matrices = _matrices(residuals, numbers, numbers.inflation if inflation is None else inflation)
    held = _squared(residuals, matrices) <= chi2.ppf(LEVEL, residuals.dimensions)
    return float(np.average(held, weights=weights))


def needed_inflation(
    residuals: Residuals, numbers: StatusCalibration, weights: FloatArray | None = None, level: float = LEVEL
) -> float:
    """The least factor at which the 95 % ellipsoids hold this fraction of the joints, between 0.1 and 100."""
    low, high = np.log(0.1), np.log(100.0)
    for _ in range(24):
        middle = (low + high) / 2
        if coverage(residuals, numbers, float(np.exp(middle)), weights) >= level:
            high = middle
        else:
            low = middle
    return float(np.exp(high))


@dataclass(frozen=True)
class SetReport:
    """How true the uncertainty is on one set.

    Attributes:
        name: of the set, and ``status`` of the joints: all, measured, inferred.
        count: joints.
        cover_before, cover_left_out, cover_all: fraction that the 95 % ellipsoids hold: uncalibrated, calibrated on
            the other sets alone, and on all.
        confidence_before, confidence_left_out: mean confidences.
        within_10cm: what they should be; NaN of errors in two dimensions.
        error_before, error_left_out: expected calibration errors of the confidences.
    """

    name: str
    status: str
    count: int
    cover_before: float
    cover_left_out: float
    cover_all: float
    confidence_before: float
    confidence_left_out: float
    within_10cm: float
    error_before: float
    error_left_out: float


def leave_one_out(residuals: Residuals, group: Callable[[str], str] = str) -> list[SetReport]:
    """Each group of sets evaluated by a calibration that has not seen it.

    Args:
        group: name of a set -> that of the group which is left out together.
    """
    groups = np.array([group(str(name)) for name in residuals.sets])
    together = fit(residuals)
    reports: list[SetReport] = []
    for name in dict.fromkeys(groups.tolist()):
        inside = groups == name
        if inside.all():
            continue
        reports += evaluate(name, residuals.select(inside), fit(residuals.select(~inside)), together)
    return reports


def evaluate(name: str, residuals: Residuals, left_out: Calibration, together: Calibration) -> list[SetReport]:
    """Of all joints, and of those of each status."""
    every = np.ones(len(residuals), np.bool_)
    masks = {"all": every, "measured": residuals.measured, "inferred": ~residuals.measured}
    parts = {status: residuals.select(mask) for status, mask in masks.items() if mask.any()}
    return [_report(name, status, joints, left_out, together) for status, joints in parts.items()]


def _report(name: str, status: str, joints: Residuals, left_out: Calibration, together: Calibration) -> SetReport:
    solid = joints.select(joints.dimensions == 3)
    lengths = np.linalg.norm(solid.errors, axis=1)
    before = confidence_reliability(solid.confidences, lengths)
    after = confidence_reliability(confidences(solid, left_out), lengths)
    return SetReport(
        name=name,
        status=status,
        count=len(joints),
        cover_before=_cover(joints, Calibration()),
        cover_left_out=_cover(joints, left_out),
        cover_all=_cover(joints, together),
        confidence_before=before.mean,
        confidence_left_out=after.mean,
        within_10cm=float((lengths < NEAR).mean()) if len(solid) else float("nan"),
        error_before=before.calibration_error,
        error_left_out=after.calibration_error,
    )


def _cover(joints: Residuals, calibration: Calibration) -> float:
    statuses = ((calibration.measured, joints.measured), (calibration.inferred, ~joints.measured))
    parts = [(joints.select(mask), numbers) for numbers, mask in statuses]
    return float(sum(len(part) * coverage(part, numbers) for part, numbers in parts if len(part)) / len(joints))


def confidences(joints: Residuals, calibration: Calibration) -> FloatArray:
    """(N,) probabilities that joints of which the error is known in three dimensions are within 10 cm."""
    result = np.zeros(len(joints))
    for numbers, mask in ((calibration.measured, joints.measured), (calibration.inferred, ~joints.measured)):
        triangles = pack(joints.covariances[mask])
        result[mask] = probability_near(scale_covariances(triangles, numbers), numbers)
    return result


def report_table(reports: Sequence[SetReport]) -> str:
    """In Markdown."""
    lines = [
        "| left out | joints | count | 95 % ellipsoid holds: before | calibrated on the other sets | on all | "
        "confidence before | calibrated on the others | true | error before | after |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for each in reports:
        means = (each.confidence_before, each.confidence_left_out, each.within_10cm)
        texts = [
            "-" if np.isnan(value) else f"{value:.2f}" for value in (*means, each.error_before, each.error_left_out)
        ]
        covers = [f"{100 * value:.0f} %" for value in (each.cover_before, each.cover_left_out, each.cover_all)]
        lines.append("| " + " | ".join([each.name, each.status, str(each.count), *covers, *texts]) + " |")
    return "\n".join(lines)


# Errors of predicted joints beside the covariances that were published with them: what calibration is fitted to.

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
