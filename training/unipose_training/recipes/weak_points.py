"""Recipe ``weak_points``: 2D keypoints and depth train a network on points. No 3D label is read.

Stage A of UniPose (arXiv 2509.23376), re-implemented from its abstract: the terms are those of
:func:`weak_losses`, the numbers are ours. Where the samples have ground truth, validation reports the distance to it;
nothing is learned or chosen from it here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from unipose_ros.frame import JointStatus
from unipose_ros.networks.points import SIZES, PointNetwork
from unipose_training.engine.data_loading import seed_everything, training_loader, validation_loader
from unipose_training.engine.loop import Outcome, train
from unipose_training.engine.step import AveragedTask
from unipose_training.losses.body import (
    BodyPriors,
    bone_constancy_loss,
    bone_prior_loss,
    itop_priors,
    keypoint_priors,
    middle_loss,
    motion_loss,
    symmetry_loss,
)
from unipose_training.losses.projection import (
    cloud_support_loss,
    free_space_loss,
    limb_cover_loss,
    pixel_loss,
    ray_loss,
    surface_loss,
    view_rays,
)
from unipose_training.losses.robust import laplace_loss
from unipose_training.samples.augment_points import NO_AUGMENTATION, PointAugmentation
from unipose_training.samples.build import SampleSource, open_labeled
from unipose_training.samples.dataset import PersonBatch, PersonDataset, identity_collate, split_rows
from unipose_training.tasks.base import RecipeConfig, init_point_network, validation_metrics
from unipose_training.tasks.points import (
    Prediction,
    ground_truth_metrics,
    point_samples,
    predict,
    save_points,
)

# The terms that train a point network from 2D keypoints and depth, put together for a batch.


#: Points of a cloud that the support terms look at; all of them would cost more than the network.
_SUPPORT_POINTS = 256


@dataclass(frozen=True)
class LossWeights:
    """What each term counts; 0 leaves it out.

    Attributes:
        ray: distance to the keypoint's viewing ray, in meters.
        pixel: reprojection error in pixels, the usual way, instead of ``ray``.
        surface: depth behind the surface under a keypoint.
        free_space: no joint where the camera saw through.
        support: joints near points.
        cover: points near bones.
        symmetry: left as long as right.
        bones: lengths like people's.
        constancy: lengths alike over a clip.
        motion: joints do not jump.
        middle: neck between the shoulders, torso between neck and hips.
        scale: the network's own uncertainty.

    Raises:
        ValueError: a weight is negative, or neither ``ray`` nor ``pixel`` counts.
    """

    ray: float = 1.0
    pixel: float = 0.0
    surface: float = 1.5
    free_space: float = 0.5
    support: float = 0.1
    cover: float = 0.1
    symmetry: float = 1.0
    bones: float = 0.3
    constancy: float = 0.1
    motion: float = 0.05
    middle: float = 0.5
    scale: float = 0.02

    def __post_init__(self) -> None:
        for each in fields(self):
            if not getattr(self, each.name) >= 0:
                raise ValueError(f"terms.{each.name} = {getattr(self, each.name)}: must be at least 0")
        if not (self.ray or self.pixel):
            raise ValueError("terms: ray and pixel are both 0; one of them has to place the joints in the image")


@dataclass(frozen=True)
class LabelWeights:
    """Which 2D keypoints and lifted depths are believed, and how much.

    Attributes:
        inferred: what a depth counts that was not read on a surface but follows from bones, in [0, 1].
        confidence_exponent: keypoints count their confidence to this power: more of it believes the sure ones only.
        noise_std: meters by which keypoints are displaced across their rays, normally distributed: what a worse 2D
            network would have trained. A row's are always the same; the depths that were lifted stay.
    """

    inferred: float = 0.2
    confidence_exponent: float = 1.0
    noise_std: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.inferred <= 1 and self.confidence_exponent >= 0 and self.noise_std >= 0):
            raise ValueError(
                f"label_weights: inferred = {self.inferred} must be within [0, 1], "
                f"confidence_exponent = {self.confidence_exponent} and noise_std = {self.noise_std} at least 0"
            )


@dataclass(frozen=True)
class WeakLossSettings:
    """See the two parts."""

    terms: LossWeights = field(default_factory=LossWeights)
    label_weights: LabelWeights = field(default_factory=LabelWeights)


def weak_losses(
    joints: Tensor, log_scales: Tensor, batch: PersonBatch, priors: BodyPriors, settings: WeakLossSettings
) -> dict[str, Tensor]:
    """Weighted terms by name; their sum is the loss.

    Args:
        joints: (B, T, J, 3) meters in the camera's frame.
        log_scales: (B, T, J) of a coordinate in meters.
    """
    weights = settings.terms
    if settings.label_weights.noise_std:
        batch = with_noise(batch, settings.label_weights.noise_std)
    losses = {
        **_projection_terms(joints, batch, weights, settings.label_weights),
        **_depth_terms(joints, batch, priors, weights, settings.label_weights),
        **_body_terms(joints, batch, priors, weights),
    }
    if weights.scale:
        losses["scale"] = _scale_term(joints, log_scales, batch, settings.label_weights)
    return {name: getattr(weights, name) * value for name, value in losses.items() if getattr(weights, name)}


def with_noise(batch: PersonBatch, noise: float) -> PersonBatch:
    """The batch with its keypoints displaced by so many meters; see :class:`LabelWeights`."""
    drawn = [torch.randn(batch.pixels.shape[1:], generator=torch.Generator().manual_seed(int(r))) for r in batch.rows]
    away = torch.stack(drawn).to(batch.pixels.device) * noise / batch.distances[..., None, None]
    return batch._replace(pixels=batch.pixels + away * batch.camera[..., None, :2])


def _projection_terms(
    joints: Tensor, batch: PersonBatch, weights: LossWeights, label_weights: LabelWeights
) -> dict[str, Tensor]:
    confidences = batch.confidence**label_weights.confidence_exponent * batch.valid[..., None]
    losses = {}
    if weights.ray:
        losses["ray"] = ray_loss(joints, view_rays(batch.pixels, batch.camera), confidences)
    if weights.pixel:
        losses["pixel"] = pixel_loss(joints, batch.pixels, batch.camera, confidences)
    return losses


def _depth_terms(
    joints: Tensor, batch: PersonBatch, priors: BodyPriors, weights: LossWeights, label_weights: LabelWeights
) -> dict[str, Tensor]:
    losses = {}
    if weights.surface:
        # The lifted depth is already as far behind the surface as the joint should be.
        none_behind = torch.zeros(joints.shape[-2], device=joints.device)
        losses["surface"] = surface_loss(
            joints, batch.lifted[..., 2], none_behind, depth_weights(batch, label_weights), batch.distances, reach=1.5
        )
    if weights.free_space:
        losses["free_space"] = free_space_loss(
            joints.flatten(0, 1), batch.depth.flatten(0, 1), batch.depth_camera.flatten(0, 1)
        )
    if weights.support or weights.cover:
        points = batch.points + batch.centers[:, None, None]
        step = max(1, points.shape[2] // _SUPPORT_POINTS)
        points, flat = points[:, :, ::step].flatten(0, 1), joints.flatten(0, 1)
        there = torch.ones(points.shape[:2], dtype=torch.bool, device=points.device)
        losses["support"] = cloud_support_loss(flat, points, there, priors.support_radii)
        losses["cover"] = limb_cover_loss(flat, points, there, priors.bones, priors.bone_radii)
    return losses


def depth_weights(batch: PersonBatch, label_weights: LabelWeights) -> Tensor:
    """(B, T, J) how much the lifted depth of a joint is believed."""
    read = batch.lifted_status == JointStatus.MEASURED
    return batch.lifted_confidence * torch.where(read, 1.0, label_weights.inferred) * batch.valid[..., None]


def _body_terms(joints: Tensor, batch: PersonBatch, priors: BodyPriors, weights: LossWeights) -> dict[str, Tensor]:
    losses = {
        "symmetry": symmetry_loss(joints, priors.pairs),
        "middle": middle_loss(joints),
        "bones": bone_prior_loss(joints, priors.bones, priors.bone_means, priors.bone_stds, batch.size),
    }
    if joints.shape[1] > 1:
        losses["constancy"] = bone_constancy_loss(joints, priors.bones, batch.valid)
        losses["motion"] = motion_loss(joints, priors.stillness, batch.valid[:, :-2] & batch.valid[:, 1:-1])
    return {name: value for name, value in losses.items() if getattr(weights, name)}


def _scale_term(joints: Tensor, log_scales: Tensor, batch: PersonBatch, label_weights: LabelWeights) -> Tensor:
    """The scale follows the distance from what was lifted; it does not move the joints."""
    apart = (joints.detach() - batch.lifted).norm(dim=-1) / 3**0.5
    return laplace_loss(apart, log_scales, depth_weights(batch, label_weights))


@dataclass(frozen=True, kw_only=True)
class WeakPointsConfig(RecipeConfig, SampleSource):
    """What stage A is trained on, and how. The samples have points and depth, and labels of a 2D network.

    Attributes:
        size: of the network, one of ``networks.point_cloud.SIZES``.
        frames: of a clip; 3 or more for the terms over time.
        joints: what the 2D network's joints mean: ``keypoints`` for COCO's, ``itop`` for ITOP's.
        paint: the network sees the 2D network's keypoints on the points (cross-modality).
        min_confidence: people whom the 2D network is less sure of do not count in the loss.
        loss: terms, and which labels are believed.
        augmentation: how clouds are changed.

    Raises:
        ValueError: a value is out of range.
    """

    size: str = "xs"
    frames: int = 1
    joints: Literal["keypoints", "itop"] = "keypoints"
    paint: bool = False
    min_confidence: float = 0.2
    loss: WeakLossSettings = field(default_factory=WeakLossSettings)
    augmentation: PointAugmentation = field(default_factory=PointAugmentation)

    def __post_init__(self) -> None:
        RecipeConfig.__post_init__(self)
        SampleSource.__post_init__(self)
        if self.size not in SIZES:
            raise ValueError(f"size = {self.size}: use one of {', '.join(SIZES)}")
        if self.frames < 1:
            raise ValueError(f"frames = {self.frames}: give at least 1")
        if not 0 <= self.min_confidence <= 1:
            raise ValueError(f"min_confidence = {self.min_confidence}: must be within [0, 1]")


class WeakPointsTask(AveragedTask):
    """A point network, its moving average, and the terms that train it.

    Args:
        stored_centers: so many of each stored cloud's first points are spread evenly.
    """

    network: PointNetwork
    averaged: PointNetwork

    def __init__(self, network: PointNetwork, config: WeakPointsConfig, stored_centers: int) -> None:
        super().__init__(network, config.ema_decay)
        self._config = config
        self._centers = stored_centers
        self._priors = keypoint_priors() if config.joints == "keypoints" else itop_priors()

    def training_loss(self, batch: PersonBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See :class:`Task`."""
        prediction = predict(self.network, batch, self._config.augmentation, self._centers)
        terms = weak_losses(
            prediction.joints, prediction.log_scales, batch, self._priors.to(batch.confidence.device), self._config.loss
        )
        return sum(terms.values(), prediction.joints.new_zeros(())), terms

    def validation_metrics(self, batch: PersonBatch) -> dict[str, Tensor]:
        """Distance to the ground truth where it is known, and to what was lifted from the labels."""
        prediction = self._ask_average(batch)
        lifted = (prediction.joints - batch.lifted)[:, -1].norm(dim=-1)
        return {**ground_truth_metrics(prediction, batch), "from_lifted_mm": 1000 * lifted.nanmedian(-1).values}

    def _ask_average(self, batch: PersonBatch) -> Prediction:
        return predict(self.averaged, batch, NO_AUGMENTATION, self._centers)


def run(config: WeakPointsConfig, output: Path) -> Outcome:
    """Train; ``output`` gets the engine's files and, when the run is finished, ``points.safetensors``.

    Raises:
        DataError: the samples cannot be read, or their keypoints are projected ground truth.
        TrainingError: see :func:`unipose_training.engine.train.train`.
    """
    with_depth = config.loss.terms.free_space > 0
    settings = point_samples(config.size, with_depth)
    store = open_labeled(config, output, settings, max(1, config.run.workers))
    training, validation = split_rows(store, config.val_every_nth_clip, config.min_confidence)
    seed_everything(config.run.seed)
    network = init_point_network(config.size, config.frames, config.init_weights, config.paint)
    task = WeakPointsTask(network, config, store.centers)
    inputs = ("points", "depth") if with_depth else ("points",)
    outcome = train(
        task,
        training_loader(PersonDataset(store, training, inputs, config.frames), config.run, identity_collate),
        validation_loader(PersonDataset(store, validation, ("points",), config.frames), config.run, identity_collate),
        config.run,
        output,
    )
    if outcome.to_be_saved:
        origin = config.data or store.folder.name
        about = f"{len(training)} people in frames of {origin}, labeled by a 2D network; no 3D labels"
        save_points(output, task.trained(), about, validation_metrics(outcome))
    return outcome
