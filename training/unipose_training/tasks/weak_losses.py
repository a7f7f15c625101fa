"""The terms that train a point network from 2D keypoints and depth, put together for a batch."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import torch
from torch import Tensor

from unipose_ros.frame import JointStatus
from unipose_training.losses.body import (
    BodyPriors,
    bone_constancy_loss,
    bone_prior_loss,
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
from unipose_training.samples.dataset import PersonBatch

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
