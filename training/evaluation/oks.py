"""COCO's object keypoint similarity between annotations and predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unipose_ros.keypoint_similarity import keypoint_similarity


def oks_matrix(annotated: NDArray[Any], areas: ArrayLike, predicted: NDArray[Any]) -> NDArray[np.float64]:
    """Similarity of every annotated person to every predicted one.

    Args:
        annotated: (A, 17, 3) u, v in pixels and COCO's visibility; joints of visibility 0 do not count.
        areas: (A,) segment area of each annotated person, square pixels.
        predicted: (P, 17, 2) u, v in pixels.

    Returns:
        (A, P) in [0, 1].

    Raises:
        ValueError: shapes disagree.
    """
    areas = np.asarray(areas, np.float64)
    if annotated.shape != (len(areas), 17, 3) or predicted.shape[1:] != (17, 2):
        raise ValueError(
            f"annotated {annotated.shape}, areas {areas.shape}, predicted {predicted.shape}: "
            "expected (A, 17, 3), (A,) and (P, 17, 2)"
        )
    counted = annotated[:, None, :, 2] > 0
    return keypoint_similarity(annotated[:, None, :, :2], predicted[None], areas[:, None], counted)


def best_oks(annotated: NDArray[Any], areas: ArrayLike, predicted: NDArray[Any]) -> NDArray[np.float64]:
    """(A,) similarity of each annotated person to the prediction nearest to it; 0 when nobody was predicted."""
    matrix = oks_matrix(annotated, areas, predicted)
    return np.asarray(matrix.max(axis=1, initial=0.0))
