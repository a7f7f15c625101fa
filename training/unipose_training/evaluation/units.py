"""Predictions in units or axes that cannot be right: refused, with the ones that would fit.

A file in millimeters scores 0.00 % without a word otherwise.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from unipose_training.datasets.itop import CAMERA, ItopFile
from unipose_training.datasets.predictions import COORDINATES, Predictions, align_predictions
from unipose_training.errors import DataError

_log = logging.getLogger(__name__)

#: Meters. Median errors of methods are below the first; those of frames in no order at all below the second, and in
#: the room of the recordings none can be above the third.
_USUAL, _POOR, _IMPOSSIBLE = 0.25, 1.0, 10.0
#: Another reading must be so much better, and as good as a method.
_BETTER = 3.0
_SCALES = {"millimeters": 1e-3, "centimeters": 1e-2}


@dataclass(frozen=True, eq=False)
class Reading:
    """What a file might mean.

    Attributes:
        what: it holds then.
        remedy: what to do about it.
        predictions: as they would be.
    """

    what: str
    remedy: str
    predictions: Predictions


def require_units(predictions: Predictions, file: ItopFile) -> None:
    """Refuse predictions of ITOP that fit well in another unit or other axes.

    Raises:
        DataError: they do, or cannot be of this data set at all.
    """
    error = _median_error(predictions, file)
    if not error > _USUAL:
        return
    errors = [(float(np.nan_to_num(_median_error(r.predictions, file), nan=np.inf)), r) for r in _readings(predictions)]
    best, reading = min(errors, key=lambda pair: pair[0])
    given = f"read as '{predictions.coordinates}', the predictions are {error:.3g} m off (median)"
    if best < min(_USUAL, error / _BETTER):
        raise DataError(f"{given}; as {reading.what} they would be {best:.3g} m off: {reading.remedy}")
    relative = _median_error(predictions, file, relative=True)
    if _POOR < error < _IMPOSSIBLE and relative < _USUAL:
        raise DataError(
            f"{given}, but {relative:.3g} m when each pose is moved onto the true one: they are relative to the body; "
            "add the place of the joint that they begin at"
        )
    if error > _IMPOSSIBLE:
        raise DataError(
            f"{given}, and in no unit or axes less than {best:.3g} m; check that they belong to this data set"
        )
    if error > _POOR:
        _log.warning("%s; check the order of their frames, their axes and units", given)


def _median_error(predictions: Predictions, file: ItopFile, relative: bool = False) -> float:
    """Meters, over all joints that are predicted; NaN for none."""
    found, ground_truth = align_predictions(predictions, file)
    with np.errstate(all="ignore"):
        apart = found - ground_truth
        if relative:
            apart = apart - np.nanmean(apart, axis=1, keepdims=True)
        errors = np.linalg.norm(apart, axis=-1)
    errors = errors[np.isfinite(errors)]
    return float(np.median(errors)) if errors.size else float("nan")


def _readings(given: Predictions) -> Iterator[Reading]:
    for coordinates in COORDINATES:
        for unit, scale in {"meters": 1.0, **_SCALES}.items():
            if (coordinates, unit) == (given.coordinates, "meters"):
                continue
            scales = np.array([1.0, 1.0, scale]) if coordinates == "pixels" else np.full(3, scale)
            axes = "" if coordinates == given.coordinates else f"name --coordinates {coordinates}"
            unit_remedy = "" if unit == "meters" else f"give meters (multiply by {scale:g})"
            remedy = " and ".join(text for text in (axes, unit_remedy) if text)
            read = replace(given, joints=given.joints * scales, coordinates=coordinates)
            yield Reading(f"'{coordinates}' in {unit}", remedy, read)
    size = np.array([CAMERA.width, CAMERA.height, 1.0])
    fractions = replace(given, joints=given.joints * size, coordinates="pixels")
    yield Reading(
        "fractions of the image and meters",
        f"name --coordinates pixels, and multiply u by {CAMERA.width} and v by {CAMERA.height}",
        fractions,
    )
