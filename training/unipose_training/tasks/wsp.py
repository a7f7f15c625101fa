"""What WSP trains the color network: where joints are in the image, and which of two points is nearer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import grid_sample, interpolate, pixel_shuffle

from unipose_ros.joint_sets import ITOP15
from unipose_ros.networks.anchors import DEPTH_UNIT, PER_SIDE, STRIDE, AnchorNetwork, AnchorVotes
from unipose_training.engine.step import Task
from unipose_training.losses.robust import informative_anchor_loss, ordinal_loss
from unipose_training.ordinal_depth.windows import OrderBatch
from unipose_training.samples.augment_windows import (
    Warp,
    WindowAugmentation,
    Windows,
    color_input,
    disturb_color,
    sample_warp,
    warp_windows,
)


@dataclass(frozen=True)
class OrderLoss:
    """What the terms count.

    Attributes:
        anchors: the anchors, and their votes, meet in the joint; in parts of the window's side, as pixels
            would drown the other term.
        order: points are in order.
        unit: meters that the depth branch's difference is counted in; two units are a clear order.
        margin: in units.

    Raises:
        ValueError: a weight is negative, or the unit is not positive.
    """

    anchors: float = 1.0
    order: float = 0.1
    unit: float = 0.1
    margin: float = 0.05

    def __post_init__(self) -> None:
        for each in fields(self):
            if not getattr(self, each.name) >= 0:
                raise ValueError(f"{each.name} = {getattr(self, each.name)}: must be at least 0")
        if self.unit == 0:
            raise ValueError("unit = 0: must be positive")


class OrdinalPrediction(NamedTuple):
    """What the network predicts of a batch.

    Attributes:
        votes: where the joints are.
        depths: (B, J, A, A) meters: its depth branch as one map per joint, a pixel for every anchor.
    """

    votes: AnchorVotes
    depths: Tensor


class WspTask(Task):
    """The color network and its two terms.

    Depth is learned as a map: at a labeled keypoint it says how far that joint is, of whichever person,
    so that several people in a window can be ordered. Votes are counted from the same map later.
    """

    _mirror: Tensor

    def __init__(self, network: AnchorNetwork, loss: OrderLoss, augmentation: WindowAugmentation) -> None:
        super().__init__()
        self.network, self._loss, self._augmentation = network, loss, augmentation
        self.register_buffer("_mirror", torch.tensor(ITOP15.mirror), persistent=False)

    def training_loss(self, batch: OrderBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See :class:`Task`."""
        changed = augmented(resized(batch, self.network.config.size), self._augmentation, self._mirror)
        prediction = predict_ordinal(self.network, changed)
        depths = depths_at(prediction.depths, changed) / self._loss.unit
        apart = informative_anchor_loss(prediction.votes.anchor, changed.pixels, changed.confidence)
        apart = apart + informative_anchor_loss(prediction.votes.pixels, changed.pixels, changed.confidence)
        terms = {
            "anchors": apart / self.network.config.size,
            "order": ordinal_loss(depths[:, 0], depths[:, 1], changed.order, changed.weights, self._loss.margin),
        }
        return self._loss.anchors * terms["anchors"] + self._loss.order * terms["order"], terms

    def validation_metrics(self, batch: OrderBatch) -> dict[str, Tensor]:
        """Part of each window's pairs that are in order, by their true distance in depth where it is known; and pixels.

        ``order`` is of the map at the given points, ``order_votes`` of the joints as they are voted.
        """
        batch = resized(batch, self.network.config.size)
        prediction = predict_ordinal(self.network, batch)
        depths = depths_at(prediction.depths, batch)
        right = in_order(depths, batch)
        figures = {"order": mean_by_window(right, batch)}
        figures |= {
            f"order_{name}": mean_by_window(torch.where(inside, right, torch.nan), batch)
            for name, inside in distance_bins(batch.farther).items()
        }
        voted = prediction.votes.depths[batch.window[:, None], batch.joints]
        own = torch.where(batch.own, in_order(voted, batch), torch.nan)
        apart = (prediction.votes.pixels - batch.pixels).norm(dim=-1)
        return {**figures, "order_votes": mean_by_window(own, batch), "pixels": apart.nanmean(-1)}

    def trained(self) -> nn.Module:
        """The network."""
        return self.network


def predict_ordinal(network: AnchorNetwork, batch: OrderBatch) -> OrdinalPrediction:
    """Votes and depth maps of one pass through the network."""
    kept: list[Tensor] = []
    # The votes keep only a mean of what the depth branch says; here all of it is trained.
    handle = network.depth_head.register_forward_hook(lambda module, given, prediction: kept.append(prediction))
    try:
        votes = network(color_input(_windows(batch)))
    finally:
        handle.remove()
    votes = AnchorVotes(*(part.float() for part in votes))
    return OrdinalPrediction(votes, depth_maps(kept[0].float(), network.config.joints))


def depth_maps(outputs: Tensor, joints: int) -> Tensor:
    """(B, 16 J, H, W) of the depth branch, anchors of a cell first -> (B, J, 4 H, 4 W) meters."""
    batch, _, rows, columns = outputs.shape
    by_joint = outputs.reshape(batch, PER_SIDE**2, joints, rows, columns).transpose(1, 2)
    return pixel_shuffle(by_joint.flatten(1, 2), PER_SIDE) * DEPTH_UNIT


def depths_at(maps: Tensor, batch: OrderBatch) -> Tensor:
    """(M, 2) meters that the maps of the pairs' joints say at their places, between anchors in proportion."""
    side = maps.shape[2]
    spacing = STRIDE / PER_SIDE
    # Anchors are in the middle of their squares: the first at half a spacing.
    points = (batch.points / spacing - 0.5) * 2 / (side - 1) - 1
    chosen = maps[batch.window[:, None], batch.joints].flatten(0, 1)[:, None]
    if not len(chosen):
        return maps.sum() * torch.zeros_like(batch.points[..., 0])
    found = grid_sample(chosen, points.reshape(-1, 1, 1, 2), padding_mode="border", align_corners=True)
    return found.reshape(-1, 2)


def in_order(depths: Tensor, batch: OrderBatch) -> Tensor:
    """(M,) 1 where (M, 2) depths are in the order of the pair, 0 where not, NaN for pairs without an order."""
    right = (depths[:, 1] - depths[:, 0]).sign() == batch.order
    return torch.where(batch.order != 0, right.float(), torch.nan)


def distance_bins(farther: Tensor) -> dict[str, Tensor]:
    """(M,) meters between the two points of pairs -> named masks, by :data:`EDGES`."""
    apart = farther.abs()
    ends = (*EDGES[1:], float("inf"))
    return {
        f"from_{round(100 * low)}cm": (apart >= low) & (apart < high) for low, high in zip(EDGES, ends, strict=True)
    }


def mean_by_window(values: Tensor, batch: OrderBatch) -> Tensor:
    """(M,) -> (B,) means of what is not NaN; NaN of nothing."""
    known = values.isfinite()
    count = torch.zeros(len(batch.image), device=values.device).index_add_(
        0, batch.window[known], values[known] * 0 + 1
    )
    total = torch.zeros_like(count).index_add_(0, batch.window[known], values[known])
    return total / count


def resized(batch: OrderBatch, size: int) -> OrderBatch:
    """Windows of the network's size."""
    scale = size / batch.image.shape[-1]
    if scale == 1:
        return batch
    image = interpolate(batch.image.float(), size=(size, size), mode="bilinear", antialias=True)
    # Pixels have (0, 0) in the center of the first one.
    pixels, points = ((points + 0.5) * scale - 0.5 for points in (batch.pixels, batch.points))
    return batch._replace(image=image, pixels=pixels, points=points)


def augmented(batch: OrderBatch, settings: WindowAugmentation, mirror: Tensor) -> OrderBatch:
    """Windows seen otherwise, with their points; orders stay, for nothing moves in depth."""
    windows = _windows(batch)
    warp = sample_warp(windows, settings, by_distance=False)
    image = disturb_color(warp_windows(windows, warp, smooth=True), settings).image
    reflected = torch.linalg.det(warp.across) < 0
    pixels = _moved(batch.pixels, windows, warp, torch.arange(len(batch.image), device=batch.image.device))
    swapped = reflected[:, None]
    return batch._replace(
        image=image,
        pixels=torch.where(swapped[..., None], pixels[:, mirror], pixels),
        confidence=torch.where(swapped, batch.confidence[:, mirror], batch.confidence),
        joints=torch.where(reflected[batch.window, None], mirror[batch.joints], batch.joints),
        points=_moved(batch.points, windows, warp, batch.window),
    )


def _moved(points: Tensor, windows: Windows, warp: Warp, window: Tensor) -> Tensor:
    """(N, P, 2) pixels of N windows -> where they are after the warp."""
    before, after = windows.camera[window][:, None], warp.camera[window][:, None]
    rays = (points - before[..., 2:]) / before[..., :2]
    return (rays @ warp.across[window].transpose(1, 2)) * after[..., :2] + after[..., 2:]


def _windows(batch: OrderBatch) -> Windows:
    """The windows with a camera of any focal length: order does not depend on it."""
    count, size = len(batch.image), batch.image.shape[-1]
    middle = (size - 1) / 2
    camera = batch.confidence.new_tensor([size, size, middle, middle]).expand(count, 4)
    return Windows(batch.image.float(), camera, batch.confidence.new_ones(count))


# How right orders are, by how far the two points are apart in depth.

#: Meters: edges of the bins of |dz|.
EDGES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)
#: Two points are equally far when they differ by less, meters.
EQUAL = 0.1


@dataclass(frozen=True)
class OrderAccuracy:
    """What became of labeled pairs whose true depths are known.

    Attributes:
        pairs: that have an order.
        right: part of them with the right sign; NaN of none.
        bins: (pairs, right) for |dz| between two successive :data:`EDGES`, and beyond the last.
        level: pairs that are labeled equally far.
        level_right: part of them that differ by less than :data:`EQUAL`; NaN of none.
    """

    pairs: int
    right: float
    bins: tuple[tuple[int, float], ...]
    level: int
    level_right: float


def evaluate_orders(
    orders: NDArray[np.integer], farther: NDArray[np.floating], edges: Sequence[float] = EDGES
) -> OrderAccuracy:
    """Compare with the ground truth.

    Args:
        orders: (M,) 1, -1 or 0.
        farther: (M,) meters by which the second truly is farther; pairs with NaN are left out.
    """
    known = np.isfinite(farther)
    orders, farther = orders[known], farther[known]
    signed = orders != 0
    right, apart = np.sign(farther[signed]) == orders[signed], np.abs(farther[signed])
    numbers = np.digitize(apart, edges) - 1
    bins = tuple((int((numbers == k).sum()), _mean(right[numbers == k])) for k in range(len(edges)))
    level = np.abs(farther[~signed]) < EQUAL
    return OrderAccuracy(len(right), _mean(right), bins, len(level), _mean(level))


def _mean(values: NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else float("nan")
