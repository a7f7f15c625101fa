"""How alike two sets of COCO keypoints are, on the scale of human labelling error."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Standard deviation of human labels per COCO keypoint, relative to the square root of the
#: person's area (cocodataset.org, "Keypoint evaluation").
COCO_SIGMAS: NDArray[np.float32] = np.array(
    [26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89], np.float32
) / np.float32(1000)


def keypoint_similarity(
    first: NDArray[Any], second: NDArray[Any], area: ArrayLike, counted: ArrayLike = True
) -> NDArray[np.float64]:
    """Object keypoint similarity (OKS): mean over joints of exp(-d^2 / (2 area (2 sigma)^2)).

    The formula is COCO's, which sets k = 2 sigma (cocodataset.org, "Keypoint evaluation").

    Args:
        first, second: (..., 17, 2) pixels; leading dimensions broadcast.
        area: (...) area of the person in square pixels.
        counted: (..., 17) bool, the joints that count; all by default.

    Returns:
        (...) in [0, 1]; 0 where no joint counts.
    """
    distance = ((np.asarray(first, np.float64) - second) ** 2).sum(axis=-1)
    spread = 2.0 * np.maximum(np.asarray(area, np.float64), 1e-6)[..., None] * (2.0 * COCO_SIGMAS) ** 2
    each = np.exp(-distance / spread)
    counts = np.broadcast_to(np.asarray(counted, bool), each.shape)
    total = (each * counts).sum(axis=-1)
    return np.asarray(total / np.maximum(counts.sum(axis=-1), 1), np.float64)
