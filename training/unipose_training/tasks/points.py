"""What every recipe for point networks shares: clouds changed on the way in, joints carried back on the way out."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from unipose_ros.codecs.points import PointCloudConfig
from unipose_ros.joint_sets import COCO17
from unipose_ros.networks.points import SIZES, PointNetwork, PointNetworkConfig
from unipose_ros.networks.registry import save_network
from unipose_training.losses.robust import split_valid
from unipose_training.samples.augment_points import (
    NO_AUGMENTATION,
    PointAugmentation,
    PointTransform,
    augment_points,
    paint_points,
    sample_transform,
    subsample_points,
)
from unipose_training.samples.dataset import PersonBatch
from unipose_training.samples.rows import SampleSettings
from unipose_training.tasks.base import model_card

#: Of the network, and of the file of its weights.
NAME = "points"


class Prediction(NamedTuple):
    """What a network predicts of a batch.

    Attributes:
        joints: (B, T, J, 3) meters in the camera's frame.
        log_scales: (B, T, J) log of Laplace's scale of a coordinate, in meters.
    """

    joints: Tensor
    log_scales: Tensor


def predict(
    network: PointNetwork, batch: PersonBatch, augmentation: PointAugmentation, stored_centers: int
) -> Prediction:
    """Joints of a batch, from clouds that were changed at random.

    A network of single frames is asked about each frame by itself.

    Args:
        augmentation: ``NO_AUGMENTATION`` asks the same every time.
        stored_centers: so many of each cloud's first points are spread evenly.
    """
    config = network.config
    generator = _generator() if augmentation != NO_AUGMENTATION else torch.Generator().manual_seed(0)
    points = subsample_points(batch.points, stored_centers, config.points, config.centers, generator)
    change = sample_transform(len(points), augmentation, generator, points.device)
    if augmentation != NO_AUGMENTATION:
        whole, points = points, augment_points(points, config.centers, augmentation, generator)
        following = torch.rand(len(points), generator=generator) < augmentation.follow
        change = change.follow(whole, points, following.to(points.device))
    seen = points
    points = change.apply(points)
    if config.paint:
        shown = torch.rand(len(points), generator=generator) >= augmentation.unpainted
        points = torch.cat([points, swap_paint(paint_points(seen, batch, shown.to(points.device)), change)], dim=-1)
    single = config.frames == 1
    with _attention_on(points.device):
        votes = network(points.flatten(0, 1)[:, None] if single else points)
    shape = points.shape[:2]
    joints = change.undo(votes.joints.float().reshape(*shape, *votes.joints.shape[-2:]))
    scales = change.swap(votes.log_scales.float().reshape(*shape, -1, 1))[..., 0]
    return Prediction(joints + batch.centers[:, None, None], scales - change.scales.log()[:, None, None])


def swap_paint(paint: Tensor, change: PointTransform) -> Tensor:
    """(B, T, N, 17) paint, left and right swapped for those who were mirrored."""
    order = torch.tensor(COCO17.mirror, device=paint.device)
    return torch.where(change.mirrored[:, None, None, None], paint[..., order], paint)


def _attention_on(device: torch.device) -> AbstractContextManager[None]:
    """On a CPU, the fused attention's gradient takes three times as long as plain matrix products."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


def _generator() -> torch.Generator:
    """Random numbers that follow from torch's own, which the engine seeds for every step."""
    return torch.Generator().manual_seed(int(torch.randint(2**62, ())))


def ground_truth_metrics(prediction: Prediction, batch: PersonBatch) -> dict[str, Tensor]:
    """Errors of the last frame in millimeters, (B,) each; NaN without ground truth.

    ``mpjpe_mm``, that of visible joints and of those that are not, ``pck_10cm``, and
    ``lookup_mpjpe_mm``: the error of modality ``lookup`` on the joints that it has.
    """
    true, known = split_valid(batch.ground_truth[:, -1])  # gradients of what is not known would be NaN
    error = torch.where(known.all(-1), 1000 * (prediction.joints[:, -1] - true).norm(dim=-1), torch.nan)
    lifted = 1000 * (batch.lifted[:, -1] - batch.ground_truth[:, -1]).norm(dim=-1)
    seen = batch.visible[:, -1]
    close = torch.where(error.isfinite(), 100 * (error < 100).float(), torch.nan)
    return {
        "mpjpe_mm": error.nanmean(-1),
        "visible_mpjpe_mm": torch.where(seen, error, torch.nan).nanmean(-1),
        "occluded_mpjpe_mm": torch.where(seen, torch.nan, error).nanmean(-1),
        "pck_10cm": close.nanmean(-1),
        "lookup_mpjpe_mm": lifted.nanmean(-1),
    }


def point_samples(size: str, with_depth: bool) -> SampleSettings:
    """How people are cut out for a network of that size, where a recipe builds its samples itself."""
    config = SIZES[size]
    points = PointCloudConfig(points=config.points, centers=config.centers)
    return SampleSettings(points=points, with_depth=with_depth, with_color=False)


def describe_input(config: PointNetworkConfig) -> str:
    """A points network's input in words, for the model card."""
    return f"({config.frames}, {config.points}, {3 + config.paint}) meters about the person; see codecs.points"


def save_points(output: Path, network: nn.Module, training_data: str, metrics: dict[str, float]) -> None:
    """Write ``points.safetensors`` with its record."""
    assert isinstance(network, PointNetwork)
    record = model_card(NAME, describe_input(network.config), training_data, metrics)
    save_network(output / f"{NAME}.safetensors", network, network.config, record)
