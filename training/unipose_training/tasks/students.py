"""Students: networks of several modalities that are trained on the same joints, each with an EMA of its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from unipose_ros.codecs.windows import DepthImageConfig
from unipose_ros.joint_sets import ITOP15
from unipose_ros.networks.anchors import DEPTH_UNIT, AnchorNetwork, AnchorVotes
from unipose_ros.networks.points import PointNetwork
from unipose_training.engine.step import Averaged
from unipose_training.losses.robust import (
    anchor_regression_loss,
    informative_anchor_loss,
    joint_loss,
    laplace_loss,
    split_valid,
)
from unipose_training.samples.augment_points import NO_AUGMENTATION as SAME_POINTS
from unipose_training.samples.augment_points import PointAugmentation
from unipose_training.samples.augment_windows import (
    NO_NOISE,
    KeypointNoise,
    Warp,
    WindowAugmentation,
    Windows,
    color_input,
    color_windows,
    corrupt_keypoints,
    depth_input,
    depth_windows,
    disturb_color,
    disturb_depth,
    no_warp,
    sample_warp,
    to_camera,
    to_window,
    unwarp_joints,
    warp_joints,
    warp_windows,
    window_keypoints,
)
from unipose_training.samples.dataset import PersonBatch
from unipose_training.tasks.points import Prediction, predict


class Target(NamedTuple):
    """What B people's joints are taken to be.

    Attributes:
        joints: (B, J, 3) meters in the camera's frame; NaN unknown. Of clips, (B, T, J, 3), and so on.
        log_scales: (B, J) log of how far that may be wrong, in meters; minus infinity for the ground truth.
        weights: (B, J).
    """

    joints: Tensor
    log_scales: Tensor
    weights: Tensor


def ground_truth_target(ground_truth: Tensor, weights: Tensor) -> Target:
    """True joints (B, J, 3), with nothing wrong about them.

    Args:
        weights: of a shape that fits (B, J).
    """
    ones = torch.ones_like(ground_truth[..., 0])
    return Target(ground_truth, -torch.inf * ones, weights * ones)


@dataclass(frozen=True)
class StudentLossWeights:
    """How much each term counts: A2J's as in its code for ITOP (Xiong et al., ICCV 2019).

    Attributes:
        anchor: the anchors alone surround the joint.
        regression: the votes meet in the joint.
        uv_weight: of the pixels in ``regression``, beside the depths.
        scale: likelihood of the distance that is left; trains only the scale.

    Raises:
        ValueError: one is negative.
    """

    anchor: float = 1.0
    regression: float = 3.0
    uv_weight: float = 0.5
    scale: float = 0.02

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0:
                raise ValueError(f"{name} = {value}: a weight must be at least 0")


class Student(Averaged):
    """A network and its moving average, which is what is evaluated and saved."""

    def __init__(self, network: nn.Module, loss_weights: StudentLossWeights) -> None:
        super().__init__(network)
        self._loss_weights = loss_weights

    def _scale(self, prediction: Prediction, target: Target) -> Tensor:
        return self._loss_weights.scale * scale_term(prediction.joints[:, 0], prediction.log_scales[:, 0], target)

    def forward_train(self, batch: PersonBatch, target: Target) -> tuple[Prediction, dict[str, Tensor]]:
        """What the network predicts of a batch that was changed at random, and the terms that train it."""
        raise NotImplementedError

    def predict_ema(self, batch: PersonBatch) -> Prediction:
        """What the average predicts of the batch as it is, without gradients."""
        raise NotImplementedError


class PointStudent(Student):
    """A network of points.

    Args:
        stored_centers: so many of each stored cloud's first points are spread evenly.
    """

    network: PointNetwork
    averaged: PointNetwork

    def __init__(
        self,
        network: PointNetwork,
        augmentation: PointAugmentation,
        stored_centers: int,
        loss_weights: StudentLossWeights,
    ) -> None:
        super().__init__(network, loss_weights)
        self._augmentation, self._centers = augmentation, stored_centers

    def forward_train(self, batch: PersonBatch, target: Target) -> tuple[Prediction, dict[str, Tensor]]:
        """See :class:`Student`."""
        prediction = _last(predict(self.network, batch, self._augmentation, self._centers))
        near = joint_loss(prediction.joints[:, 0], target.joints, target.weights)
        return prediction, {"joints": near, "scale": self._scale(prediction, target)}

    @torch.no_grad()
    def predict_ema(self, batch: PersonBatch) -> Prediction:
        """See :class:`Student`."""
        return _last(predict(self.averaged, batch, SAME_POINTS, self._centers))


class WindowStudent(Student):
    """A network on windows of depth or color; in the lifting variant, at keypoints as well.

    Args:
        depth: how depth windows are encoded; None for color.
        noise: what keypoints are trained with.
    """

    network: AnchorNetwork
    averaged: AnchorNetwork
    mirror: Tensor

    def __init__(
        self,
        network: AnchorNetwork,
        augmentation: WindowAugmentation,
        depth: DepthImageConfig | None,
        noise: KeypointNoise,
        loss_weights: StudentLossWeights,
    ) -> None:
        # Convolutions on the CPU are faster so, and no slower elsewhere.
        super().__init__(network.to(memory_format=torch.channels_last), loss_weights)  # type: ignore[call-overload]  # torch's stubs
        self._augmentation, self._depth, self._noise = augmentation, depth, noise
        self.register_buffer("mirror", torch.tensor(ITOP15.mirror), persistent=False)

    def forward_train(self, batch: PersonBatch, target: Target) -> tuple[Prediction, dict[str, Tensor]]:
        """See :class:`Student`."""
        before = self._windows(batch)
        warp = sample_warp(before, self._augmentation, by_distance=self._depth is not None)
        windows = warp_windows(before, warp, smooth=self._depth is None)
        disturb = disturb_color if self._depth is None else disturb_depth
        votes = self._forward(self.network, batch, disturb(windows, self._augmentation), warp, self._noise)
        prediction = self._prediction(votes, windows, warp)
        return prediction, {
            **self._anchor_terms(votes, windows, warp, target),
            "scale": self._scale(prediction, target),
        }

    def predict_ema(self, batch: PersonBatch) -> Prediction:
        """See :class:`Student`; nothing that the average is made of requires a gradient, unless someone asks for it."""
        windows = self._windows(batch)
        warp = no_warp(windows)
        return self._prediction(self._forward(self.averaged, batch, windows, warp, NO_NOISE), windows, warp)

    def _windows(self, batch: PersonBatch) -> Windows:
        return color_windows(batch) if self._depth is None else depth_windows(batch)

    def _forward(
        self, network: AnchorNetwork, batch: PersonBatch, windows: Windows, warp: Warp, noise: KeypointNoise
    ) -> AnchorVotes:
        image = color_input(windows) if self._depth is None else depth_input(windows, self._depth)
        keypoints = None
        if network.config.local:
            keypoints = window_keypoints(batch, windows, warp, self.mirror)
            if noise != NO_NOISE:
                keypoints = corrupt_keypoints(keypoints, noise, network.config.size, self.mirror)
        votes: AnchorVotes = network(image.contiguous(memory_format=torch.channels_last), keypoints)
        return AnchorVotes(*(value.float() for value in votes))

    def _anchor_terms(self, votes: AnchorVotes, windows: Windows, warp: Warp, target: Target) -> dict[str, Tensor]:
        pixels, depths = to_window(warp_joints(target.joints, warp, self.mirror), windows)
        weights = swapped(target.weights, warp, self.mirror)
        loss_weights, units = self._loss_weights, depths / DEPTH_UNIT
        # Anchors surround nothing beyond the window; their offsets may well point there.
        inside = pixels.clamp(0, windows.image.shape[-1])
        regression = anchor_regression_loss(
            votes.pixels, votes.depths / DEPTH_UNIT, pixels, units, weights, loss_weights.uv_weight
        )
        return {
            "anchor": loss_weights.anchor * informative_anchor_loss(votes.anchor, inside, weights),
            "regression": loss_weights.regression * regression,
        }

    def _prediction(self, votes: AnchorVotes, windows: Windows, warp: Warp) -> Prediction:
        """(B, 1, J, 3) joints of the person as it was, and the scales."""
        joints = unwarp_joints(to_camera(votes.pixels, votes.depths, windows), warp, self.mirror)
        scales = unwarp_scales(votes.log_scales, warp, self.mirror)
        return Prediction(joints[:, None], scales[:, None])


def scale_term(joints: Tensor, log_scales: Tensor, target: Target) -> Tensor:
    """Laplace's likelihood of what is left to the target, and of what the target itself may be wrong.

    It moves the scales, not the joints. A student that repeats its teacher is no surer than the teacher.

    Args:
        joints: (..., J, 3) meters.
        log_scales: (..., J) of a coordinate in meters.
        target: with the same sides.
    """
    places, there = split_valid(target.joints)
    apart = torch.hypot((joints.detach() - places).abs(), target.log_scales.exp()[..., None])
    return laplace_loss(apart, log_scales[..., None], (target.weights * there.all(-1))[..., None])


def unwarp_scales(log_scales: Tensor, warp: Warp, mirror: Tensor) -> Tensor:
    """(B, J) log scales of the changed person -> those of the person as it was."""
    return swapped(log_scales, warp, mirror) - warp.zoom.log()[:, None]


def swapped(values: Tensor, warp: Warp, mirror: Tensor) -> Tensor:
    """(B, J) values of joints, left and right swapped for those whom the warp mirrors."""
    reflected = torch.linalg.det(warp.across)[:, None] < 0
    return torch.where(reflected, values[:, mirror], values)


def _last(prediction: Prediction) -> Prediction:
    """Only the last frame: windows have no other."""
    return Prediction(prediction.joints[:, -1:], prediction.log_scales[:, -1:])
