"""Predictions in units or axes that cannot be right: refused, with the ones that would fit.

A file in millimeters scores 0.00 % without a word otherwise, and a mirrored one like a poor method.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

from unipose_ros.joint_sets import ITOP15
from unipose_training.datasets.data_set import evenly_spaced
from unipose_training.datasets.ground_truth import LENGTH_UNITS
from unipose_training.datasets.itop import CAMERA, ItopFile
from unipose_training.datasets.predictions import COORDINATES, Predictions, align_predictions
from unipose_training.errors import DataError

_log = logging.getLogger(__name__)

#: Meters. Median errors of methods are below the first; those of frames in no order at all below the second, and in
#: the room of the recordings none can be above the third.
_USUAL, _POOR, _IMPOSSIBLE = 0.25, 1.0, 10.0
#: Another reading must be so much better, and as good as a method.
_BETTER = 3.0
#: Where the right side lies opposite to the true one (mean cosine), a mirrored reading need only be so much better.
_OPPOSITE, _MIRRORED_BETTER = -0.3, 1.3
#: Frames that every reading is tried on.
_TRIED = 300
_PAIRS = [(ITOP15.index(f"right_{part}"), ITOP15.index(f"left_{part}")) for part in ("shoulder", "hip")]


@dataclass(frozen=True, eq=False)
class Reading:
    """What a file might mean.

    Attributes:
        what: it holds then.
        remedy: what to do about it.
        joints: (n, 15, 3) meters in the optical frame, as they would be.
    """

    what: str
    remedy: str
    joints: NDArray[np.float64]


def require_units(predictions: Predictions, file: ItopFile) -> None:
    """Refuse predictions of ITOP that fit well in another unit, in other axes, or with the sides exchanged.

    Raises:
        DataError: they do, or cannot be of this data set at all.
    """
    # As they stand in the file: 'optical' is read without any change.
    stored, ground_truth = align_predictions(replace(predictions, coordinates="optical"), file)
    read = replace(predictions, joints=stored, names=None).optical()
    error = _median_error(read, ground_truth)
    if np.isnan(error):
        return
    given = f"read as '{predictions.coordinates}', the predictions are {error:.3g} m off (median)"
    rows = evenly_spaced(len(stored), _TRIED)
    opposite = _sideways(read, ground_truth) < _OPPOSITE
    tried, truth = replace(predictions, joints=stored[rows], names=None), ground_truth[rows]
    best = np.inf
    for group, better in ((_named(tried), _BETTER), (_turned(tried), _MIRRORED_BETTER if opposite else _BETTER)):
        errors = [(float(np.nan_to_num(_median_error(r.joints, truth), nan=np.inf)), r) for r in group]
        found, reading = min(errors, key=lambda pair: pair[0])
        if found < min(_USUAL, error / better):
            raise DataError(f"{given}; as {reading.what} they would be {found:.3g} m off: {reading.remedy}")
        best = min(best, found)
    if opposite:
        raise DataError(
            f"{given}, and their right side lies where the true left one is: they are mirrored, or name left and "
            "right the other way round (ITOP means the person's own)"
        )
    relative = _median_error(read, ground_truth, relative=True)
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


def _median_error(found: NDArray[np.float64], ground_truth: NDArray[np.float64], relative: bool = False) -> float:
    """Meters, over all joints that are predicted; NaN for none."""
    with np.errstate(all="ignore"):
        apart = found - ground_truth
        if relative:
            apart = apart - np.nanmean(apart, axis=1, keepdims=True)
        errors = np.linalg.norm(apart, axis=-1)
    errors = errors[np.isfinite(errors)]
    return float(np.median(errors)) if errors.size else float("nan")


def _sideways(found: NDArray[np.float64], ground_truth: NDArray[np.float64]) -> float:
    """Mean cosine between the predicted and the true way from the left to the right; 0 for none."""
    cosines = []
    for right, left in _PAIRS:
        ours, theirs = found[:, right] - found[:, left], ground_truth[:, right] - ground_truth[:, left]
        with np.errstate(all="ignore"):
            cosine = (ours * theirs).sum(-1) / (np.linalg.norm(ours, axis=-1) * np.linalg.norm(theirs, axis=-1))
        cosines.append(cosine[np.isfinite(cosine)])
    every = np.concatenate(cosines)
    return float(every.mean()) if every.size else 0.0


def _named(given: Predictions) -> Iterator[Reading]:
    """Other coordinates that can be named, other units, fractions of the image."""
    for coordinates in COORDINATES:
        for unit, scale in LENGTH_UNITS.items():
            if (coordinates, unit) == (given.coordinates, "meters"):
                continue
            scales = np.array([1.0, 1.0, scale]) if coordinates == "pixels" else np.full(3, scale)
            axes = "" if coordinates == given.coordinates else f"name --coordinates {coordinates}"
            read = replace(given, joints=given.joints * scales, coordinates=coordinates)
            yield Reading(f"'{coordinates}' in {unit}", _and(axes, _unit_remedy(unit)), read.optical())
    size = np.array([CAMERA.width, CAMERA.height, 1.0])
    fractions = replace(given, joints=given.joints * size, coordinates="pixels")
    yield Reading(
        "fractions of the image and meters",
        f"name --coordinates pixels, and multiply u by {CAMERA.width} and v by {CAMERA.height}",
        fractions.optical(),
    )


def _turned(given: Predictions) -> Iterator[Reading]:
    """Axes that are exchanged or point the other way, and sides that are exchanged."""
    for unit, scale in LENGTH_UNITS.items():
        what = "" if unit == "meters" else f", in {unit}"
        scales = np.array([1.0, 1.0, scale]) if given.coordinates == "pixels" else np.full(3, scale)
        scaled = replace(given, joints=given.joints * scales)
        exchange = "exchange the joints of left and right (ITOP means the person's own)"
        yield Reading(
            f"poses with left and right exchanged{what}",
            _and(exchange, _unit_remedy(unit)),
            scaled.optical()[:, list(ITOP15.mirror)],
        )
        for axes, joints in _axes(scaled):
            yield Reading(
                f"({axes}) of what is stored{what}",
                _and(f"store ({axes}) instead", _unit_remedy(unit)),
                replace(scaled, joints=joints).optical(),
            )


def _axes(given: Predictions) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Every order and sign of the axes, with a name; pixels stay pixels, and run from the other edge instead."""
    pixels = given.coordinates == "pixels"
    names = ("u", "v", "z") if pixels else ("x", "y", "z")
    edges = np.array([CAMERA.width - 1, CAMERA.height - 1, 0]) if pixels else np.zeros(3)
    for order in permutations(range(3)):
        if pixels and order[2] != 2:
            continue
        for signs in product((1.0, -1.0), repeat=3):
            turned = given.joints[..., list(order)] * signs + np.where(np.array(signs) < 0, edges, 0)
            parts = [
                (f"{edge:g}" if edge else "") + "-" + names[k] if sign < 0 else names[k]
                for k, sign, edge in zip(order, signs, edges, strict=True)
            ]
            yield ", ".join(parts), turned


def _unit_remedy(unit: str) -> str:
    return "" if unit == "meters" else f"give meters (multiply by {LENGTH_UNITS[unit]:g})"


def _and(*parts: str) -> str:
    return " and ".join(part for part in parts if part)
