"""What is said about people in successive frames, by those who never saw a 3D label of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unipose_training.samples.store import SampleStore

#: Standard deviation (metres) of a sure keypoint across its ray.
_ACROSS = 0.03
#: The least confidence that is divided by.
_LEAST = 0.05


class Shapes(NamedTuple):
    """Poses without places, as a lifter makes them of keypoints.

    Attributes:
        joints: (N, J, 3) metres, axes of the camera, from any origin; NaN where nothing could be lifted.
        spreads: (N, J) standard deviation of a coordinate in metres.
    """

    joints: Tensor
    spreads: Tensor


class Claims(NamedTuple):
    """What is said about N rows; spreads are standard deviations of a coordinate in metres.

    Attributes:
        joints, spreads: (N, J, 3) and (N, J), a network's; NaN where it says nothing.
        lifted, lifted_spreads: (N, J, 3) and (N, J), what modality ``lookup`` has; NaN where that is nothing.
        shapes: a lifter's.
        size: (N,) of the person as a part of an average adult.
        before: (N,) the row of the same person one frame before, or -1.
        seconds: (N,) since then.
    """

    joints: Tensor
    spreads: Tensor
    lifted: Tensor
    lifted_spreads: Tensor
    shapes: Shapes
    size: Tensor
    before: Tensor
    seconds: Tensor


def claims_of_store(store: SampleStore, joints: Tensor, log_scales: Tensor, shapes: Shapes) -> Claims:
    """Everything that is said about the rows of a store.

    Args:
        joints, log_scales: (N, J, 3) and (N, J) of a network; Laplace's log scales of a coordinate.
    """
    before = np.array(store["previous"])
    stamps = np.array(store["stamp_ns"])
    seconds = np.where(before >= 0, stamps - stamps[before], 0) * 1e-9
    return Claims(
        joints=joints,
        # Laplace's variance is 2 s^2.
        spreads=2**0.5 * log_scales.exp(),
        lifted=_tensor(store, "lifted"),
        lifted_spreads=lifted_spreads(_tensor(store, "lifted_variance"), _tensor(store, "lifted_confidence")),
        shapes=shapes,
        size=_tensor(store, "size"),
        before=torch.from_numpy(before.astype(np.int64)),
        seconds=torch.from_numpy(seconds.astype(np.float32)),
    )


def lifted_spreads(variance: Tensor, confidence: Tensor) -> Tensor:
    """(...) metres, from the variance along z and the keypoint's confidence. A doubtful keypoint may be anywhere."""
    return (variance + _ACROSS**2).sqrt() / confidence.clamp(_LEAST, 1)


def part(claims: Claims, first: int, end: int) -> Claims:
    """Rows ``first`` to ``end``, whose earlier rows are among them."""
    cut = {name: value[first:end] for name, value in claims._asdict().items() if name != "shapes"}
    before = torch.where(cut["before"] >= 0, cut["before"] - first, -1)
    return Claims(**cut | {"before": before}, shapes=Shapes(*(value[first:end] for value in claims.shapes)))


def _tensor(store: SampleStore, name: str) -> Tensor:
    values: NDArray[np.float32] = np.array(store[name], np.float32)
    return torch.from_numpy(values)
