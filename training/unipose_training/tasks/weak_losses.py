"""The terms that teach a point network from 2D keypoints and depth, put together for a batch."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import torch
from torch import Tensor

from unipose_ros.frame import JointStatus
from unipose_training.losses.body import bone_constancy_loss, bone_prior_loss, middle_loss, motion_loss, symmetry_loss
from unipose_training.losses.body_priors import BodyPriors
from unipose_training.losses.depth import cloud_support_loss, free_space_loss, limb_cover_loss, surface_loss
from unipose_training.losses.projection import pixel_loss, ray_loss, view_rays
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
        scale: the network's own doubt.

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
        power: keypoints count their confidence to this power: more of it believes the sure ones only.
        noise: meters by which keypoints are displaced across their rays, normally distributed: what a worse 2D
            network would have taught. A row's are always the same; the depths that were lifted stay.
    """

    inferred: float = 0.2
    power: float = 1.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.inferred <= 1 and self.power >= 0 and self.noise >= 0):
            raise ValueError(
                f"trust: inferred = {self.inferred} must be within [0, 1], "
                f"power = {self.power} and noise = {self.noise} at least 0"
            )


@dataclass(frozen=True)
class WeakLossSettings:
    """See the two parts."""

    terms: LossWeights = field(default_factory=LossWeights)
    trust: LabelWeights = field(default_factory=LabelWeights)


def weak_losses(
    joints: Tensor, log_scales: Tensor, batch: PersonBatch, priors: BodyPriors, settings: WeakLossSettings
) -> dict[str, Tensor]:
    """Weighted terms by name; their sum is the loss.

    Args:
        joints: (B, T, J, 3) meters in the camera's frame.
        log_scales: (B, T, J) of a coordinate in meters.
    """
    weights = settings.terms
    if settings.trust.noise:
        batch = with_noise(batch, settings.trust.noise)
    said = {
        **_projection_terms(joints, batch, weights, settings.trust),
        **_depth_terms(joints, batch, priors, weights, settings.trust),
        **_body_terms(joints, batch, priors, weights),
    }
    if weights.scale:
        said["scale"] = _scale_term(joints, log_scales, batch, settings.trust)
    return {name: getattr(weights, name) * value for name, value in said.items() if getattr(weights, name)}


def with_noise(batch: PersonBatch, noise: float) -> PersonBatch:
    """The batch with its keypoints displaced by so many meters; see :class:`LabelWeights`."""
    drawn = [torch.randn(batch.pixels.shape[1:], generator=torch.Generator().manual_seed(int(r))) for r in batch.rows]
    away = torch.stack(drawn).to(batch.pixels.device) * noise / batch.distances[..., None, None]
    return batch._replace(pixels=batch.pixels + away * batch.camera[..., None, :2])


def _projection_terms(
    joints: Tensor, batch: PersonBatch, weights: LossWeights, trust: LabelWeights
) -> dict[str, Tensor]:
    sure = batch.trust**trust.power * batch.given[..., None]
    said = {}
    if weights.ray:
        said["ray"] = ray_loss(joints, view_rays(batch.pixels, batch.camera), sure)
    if weights.pixel:
        said["pixel"] = pixel_loss(joints, batch.pixels, batch.camera, sure)
    return said


def _depth_terms(
    joints: Tensor, batch: PersonBatch, priors: BodyPriors, weights: LossWeights, trust: LabelWeights
) -> dict[str, Tensor]:
    said = {}
    if weights.surface:
        # The lifted depth is already as far behind the surface as the joint should be.
        none_behind = torch.zeros(joints.shape[-2], device=joints.device)
        said["surface"] = surface_loss(
            joints, batch.lifted[..., 2], none_behind, depth_weights(batch, trust), batch.distances, reach=1.5
        )
    if weights.free_space:
        said["free_space"] = free_space_loss(
            joints.flatten(0, 1), batch.depth.flatten(0, 1), batch.depth_camera.flatten(0, 1)
        )
    if weights.support or weights.cover:
        points = batch.points + batch.centers[:, None, None]
        step = max(1, points.shape[2] // _SUPPORT_POINTS)
        points, flat = points[:, :, ::step].flatten(0, 1), joints.flatten(0, 1)
        there = torch.ones(points.shape[:2], dtype=torch.bool, device=points.device)
        said["support"] = cloud_support_loss(flat, points, there, priors.support_radii)
        said["cover"] = limb_cover_loss(flat, points, there, priors.bones, priors.bone_radii)
    return said


def depth_weights(batch: PersonBatch, trust: LabelWeights) -> Tensor:
    """(B, T, J) how much the lifted depth of a joint is believed."""
    read = batch.lifted_status == JointStatus.MEASURED
    return batch.lifted_confidence * torch.where(read, 1.0, trust.inferred) * batch.given[..., None]


def _body_terms(joints: Tensor, batch: PersonBatch, priors: BodyPriors, weights: LossWeights) -> dict[str, Tensor]:
    said = {
        "symmetry": symmetry_loss(joints, priors.pairs),
        "middle": middle_loss(joints),
        "bones": bone_prior_loss(joints, priors.bones, priors.bone_means, priors.bone_spreads, batch.size),
    }
    if joints.shape[1] > 1:
        said["constancy"] = bone_constancy_loss(joints, priors.bones, batch.given)
        said["motion"] = motion_loss(joints, priors.stillness, batch.given[:, :-2] & batch.given[:, 1:-1])
    return {name: value for name, value in said.items() if getattr(weights, name)}


def _scale_term(joints: Tensor, log_scales: Tensor, batch: PersonBatch, trust: LabelWeights) -> Tensor:
    """The scale follows the distance from what was lifted; it does not move the joints."""
    apart = (joints.detach() - batch.lifted).norm(dim=-1) / 3**0.5
    return laplace_loss(apart, log_scales, depth_weights(batch, trust))
