"""The order of people: who appears larger is nearer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unipose_training.relative_depth.pairs import DepthPairs
from unipose_training.relative_depth.segments import keypoint
from unipose_training.relative_depth.settings import PerspectiveSettings

FloatArray = NDArray[np.float64]

#: The scale is that of the person; arms and legs may reach far out of it.
TRUNK = np.array([keypoint(f"{side}_{part}") for part in ("shoulder", "hip") for side in ("left", "right")])


def order_of_people(scales: FloatArray, settings: PerspectiveSettings) -> FloatArray:
    """Which of two people is nearer.

    Args:
        scales: (N,) pixels per metre; NaN unknown. Only their ratios count, so the focal length does not.

    Returns:
        (N, N): 1 where the person of the row is nearer, -1 farther, 0 equally far, NaN not known.
    """
    ratios = scales[:, None] / scales[None]
    larger = np.maximum(ratios, 1 / ratios)
    result = np.full(ratios.shape, np.nan)
    result[larger > 1 + settings.nearer] = 1.0
    if settings.alike:
        result[larger < 1 + settings.alike] = 0.0
    return np.asarray(np.where(ratios < 1, -result, result) + 0.0)  # -0.0 is 0


def pairs_across(orders: FloatArray, trust: NDArray[np.floating], settings: PerspectiveSettings) -> DepthPairs:
    """The same trunk keypoint of every two people.

    Args:
        orders: from :func:`order_of_people`.
        trust: (N, 17) in the keypoints; 0 without one.
    """
    first, second = np.triu_indices(len(orders), k=1)
    weights = trust[first][:, TRUNK] * trust[second][:, TRUNK]
    couple, joint = np.nonzero(np.isfinite(orders[first, second])[:, None] & (weights > 0))
    order = orders[first[couple], second[couple]]
    share = np.where(order == 0, settings.alike_weight, 1.0)
    return DepthPairs(
        first=np.stack([first[couple], TRUNK[joint]], axis=1).astype(np.int32),
        second=np.stack([second[couple], TRUNK[joint]], axis=1).astype(np.int32),
        order=order.astype(np.int8),
        weights=(weights[couple, joint] * share).astype(np.float32),
    )
