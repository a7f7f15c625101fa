"""Covariances and confidences as large as errors are on data that did not train the networks.

How far a modality's joints are off on real people is measured by :mod:`unipose_training.evaluation.calibrate`; what is
applied here at run time are four numbers for each status of a joint. They lie in the weights' model card, as
``calibration.<status>.<number>`` among its metrics, or, by modality, in ``config/calibration.yaml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtr

from unipose_ros.deployment import weights_path
from unipose_ros.documents import DocumentError, read_yaml
from unipose_ros.frame import JointStatus, Skeletons
from unipose_ros.geometry.covariance import VARIANCES
from unipose_ros.networks.weights import WeightsError, read_model_card
from unipose_ros.resources import ResourceError, resource_path

if TYPE_CHECKING:
    from unipose_ros.estimator import EstimatorConfig

#: Meters: a joint nearer than this to where it truly is counts as found.
NEAR = 0.10
#: Confidences are those of S times this power of the inflation: between scenes like most and the hardest. Chosen on
#: rendered walks and human4d, where 0 is too sure on the second and 1 far too modest on both.
_CONFIDENCE_POWER = 0.25
_PREFIX = "calibration."
_FILE = "calibration.yaml"
#: How often each of xx, xy, xz, yy, yz, zz is in the matrix.
_TIMES = np.array([1, 2, 2, 1, 2, 1])


@dataclass(frozen=True)
class StatusCalibration:
    """Of the joints of one status.

    With C the covariance that the modality gives, errors follow Student's t distribution of three dimensions with the
    scale matrix ``S = scale^2 C + floor^2 I``.

    Attributes:
        scale: factor on standard deviations.
        floor: standard deviation in meters that is added in every direction: of the ground truth, and of what two
            data sets mean by a joint.
        dof: degrees of freedom of the distribution; few give it heavy tails.
        inflation: factor on S that gives the covariance which is published, so that its 95 % ellipsoid
            (chi-square, three degrees of freedom) holds 95 %, and 90 % of people who are harder than most.

    Raises:
        ValueError: a number is not finite or not positive; ``floor`` may be 0.
    """

    scale: float = 1.0
    floor: float = 0.0
    dof: float = 30.0
    inflation: float = 1.0

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if not (np.isfinite(value) and value >= 0 and (value > 0 or each.name == "floor")):
                raise ValueError(f"calibration: {each.name} = {value}: must be positive and finite")


@dataclass(frozen=True)
class Calibration:
    """Of one modality.

    Attributes:
        measured, inferred: of the joints of each status.
    """

    measured: StatusCalibration = field(default_factory=StatusCalibration)
    inferred: StatusCalibration = field(default_factory=StatusCalibration)

    def metrics(self) -> dict[str, float]:
        """As a model card keeps them."""
        return {
            f"{_PREFIX}{status}.{name}": value
            for status, numbers in self.to_dict().items()
            for name, value in numbers.items()
        }

    def to_dict(self) -> dict[str, dict[str, float]]:
        """As ``config/calibration.yaml`` keeps them."""
        return {each.name: dict(vars(getattr(self, each.name))) for each in fields(self)}


def calibrated(skeletons: Skeletons, calibration: Calibration | None) -> Skeletons:
    """Skeletons with calibrated covariances and confidences.

    A confidence becomes the probability that the joint lies within 10 cm of the ground truth. What has no covariance
    stays as it is, confidence included.

    Args:
        calibration: of the modality; ``None`` leaves everything as it is.
    """
    if calibration is None or skeletons.covariances is None or not len(skeletons):
        return skeletons
    covariances, confidences = skeletons.covariances.copy(), skeletons.confidences.copy()
    known = np.isfinite(skeletons.covariances).all(axis=-1)
    statuses = {JointStatus.MEASURED: calibration.measured, JointStatus.INFERRED: calibration.inferred}
    for status, numbers in statuses.items():
        joints = known & (skeletons.status == status)
        scales = scale_covariances(skeletons.covariances[joints], numbers)
        covariances[joints] = numbers.inflation * scales
        confidences[joints] = probability_near(scales, numbers)
    return replace(skeletons, covariances=covariances, confidences=confidences)


def scale_covariances(covariances: NDArray[np.floating], numbers: StatusCalibration) -> NDArray[np.float64]:
    """(..., 6) covariances -> (..., 6) S of :class:`StatusCalibration`."""
    scaled = numbers.scale**2 * np.asarray(covariances, np.float64)
    scaled[..., VARIANCES] += numbers.floor**2
    return scaled


def probability_near(scales: NDArray[np.floating], numbers: StatusCalibration) -> NDArray[np.float64]:
    """Probability that a joint lies within 10 cm of the ground truth, from its S (..., 6)."""
    return probability_within(np.asarray(scales, np.float64) * numbers.inflation**_CONFIDENCE_POWER, numbers.dof)


def probability_within(scales: NDArray[np.floating], dof: float, distance: float = NEAR) -> NDArray[np.float64]:
    """Probability that an error of Student's t distribution in three dimensions is shorter than a distance.

    With the sum of squares of unequal Gaussians approximated by one of equal ones that has its mean and variance
    (Satterthwaite 1946), ``|e|^2 / tr S`` follows F with ``(tr S)^2 / tr S^2`` and ``dof`` degrees of freedom.

    Args:
        scales: (..., 6) the distribution's scale matrix S, square meters.
        distance: meters.
    """
    matrices = np.asarray(scales, np.float64)
    trace = matrices[..., VARIANCES].sum(axis=-1)
    squares = (_TIMES * matrices**2).sum(axis=-1)
    return np.asarray(fdtr(trace**2 / squares, dof, distance**2 / trace), np.float64)


def load_calibrations(config: EstimatorConfig) -> dict[str, Calibration]:
    """Calibrations by modality: what a model card says comes before ``config/calibration.yaml``.

    Raises:
        WeightsError: one of them cannot be used; the text names it.
    """
    known = shipped_calibrations()
    # Skeletons of `auto` carry the name of the modality that was used.
    names = vars(config.weights) if config.modality == "auto" else [config.modality]
    for name in names:
        path = weights_path(name, str(getattr(config.weights, name, "")))
        recorded = recorded_calibration(path) if path is not None and path.is_file() else None
        if recorded is not None:
            known[name] = recorded
    return known


def shipped_calibrations() -> dict[str, Calibration]:
    """What ``config/calibration.yaml`` says; nothing where it is absent.

    Raises:
        WeightsError: it cannot be used.
    """
    try:
        path = resource_path("config", _FILE)
    except ResourceError:
        return {}
    return read_calibrations(path)


def read_calibrations(path: Path) -> dict[str, Calibration]:
    """Calibrations by modality from a YAML file.

    Raises:
        WeightsError: it cannot be used; the text names file and entry.
    """
    try:
        content = read_yaml(path) or {}
    except DocumentError as error:
        raise WeightsError(f"{path}: cannot be read as YAML ({error}); fit it again: unipose calibrate") from error
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path}: it must map modalities to calibrations; fit it again: unipose calibrate")
    return {str(name): _from_entry(entry, f"{path}: {name}") for name, entry in content.items()}


def recorded_calibration(path: Path) -> Calibration | None:
    """The calibration in the model card of a weights file; ``None`` where there is none.

    Raises:
        WeightsError: the file cannot be read, or the calibration cannot be used.
    """
    metrics = read_model_card(path).metrics
    entry: dict[str, dict[str, Any]] = {}
    for key, value in metrics.items():
        if key.startswith(_PREFIX):
            status, _, name = key.removeprefix(_PREFIX).partition(".")
            entry.setdefault(status, {})[name] = value
    return _from_entry(entry, str(path)) if entry else None


def _from_entry(entry: Any, where: str) -> Calibration:
    try:
        return Calibration(
            **{
                status: StatusCalibration(**{name: float(value) for name, value in numbers.items()})
                for status, numbers in entry.items()
            }
        )
    except (AttributeError, OverflowError, TypeError, ValueError) as error:
        raise WeightsError(f"{where}: {error}; fit the calibration again: unipose calibrate") from error
