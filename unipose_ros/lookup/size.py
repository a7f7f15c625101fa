"""How large a person is, from a first look at its bones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unipose_ros.lookup import body
from unipose_ros.lookup.candidates import Candidates

FloatArray = NDArray[np.float64]

#: (B,) ends and usual lengths of the bones looked at. Widths are left out: seen from the side,
#: both shoulders show the same surface.
_STARTS = np.concatenate([body.LIMBS[:, 0], body.LIMBS[:, 1], body.SHOULDERS])
_ENDS = np.concatenate([body.LIMBS[:, 1], body.LIMBS[:, 2], body.HIPS])
_LENGTHS = np.concatenate([body.LIMB_LENGTHS[:, 0], body.LIMB_LENGTHS[:, 1], [body.FLANK_LENGTH] * 2])
#: The average adult counts as much as bones of this total length in metres: few seen bones say little.
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
