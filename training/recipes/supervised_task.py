"""Networks and the true joints: what recipe ``supervised`` minimises."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unipose_ros.codecs.depth_image import DepthImageConfig
from unipose_ros.networks.anchor_to_joint import DEPTH_UNIT, AnchorNetwork, AnchorVotes
from unipose_ros.networks.point_cloud import PointNetwork
from unipose_ros.skeletons import ITOP15
from unipose_training.engine.task import Task
from unipose_training.losses.agreement import follow
from unipose_training.losses.anchors import anchor_regression_loss, informative_anchor_loss
from unipose_training.losses.likelihood import laplace_loss
from unipose_training.losses.reduction import known, length, robust, weighted_mean
from unipose_training.recipes.point_task import Said, ask, truth_figures
from unipose_training.samples.augment import NO_AUGMENTATION as SAME_POINTS
from unipose_training.samples.augment import PointAugmentation
from unipose_training.samples.batch import PersonBatch
from unipose_training.samples.window_augment import WindowAugmentation, disturb_colour, disturb_depth, draw_warp
from unipose_training.samples.window_warp import Warp, no_warp, unwarp_joints, warp_joints, warp_windows
from unipose_training.samples.windows import (
    Windows,
    colour_input,
    colour_windows,
    depth_input,
    depth_windows,
    to_camera,
    to_window,
)


@dataclass(frozen=True)
class SupervisedWeights:
    """How much each term counts.

    Attributes:
        joints: distance to the true joints (points).
        surround: the anchors alone surround the joint (depth, rgb).
        regression: the votes meet in the joint (depth, rgb).
        pixel_share: of the pixels in ``regression``, beside the depths.
        scale: likelihood of the distance that is left; teaches nothing but the scale.

    Raises:
        ValueError: one is negative.
    """

    joints: float = 1.0
    # Those of A2J's code for ITOP (Xiong et al., ICCV 2019).
    surround: float = 1.0
    regression: float = 3.0
    pixel_share: float = 0.5
    scale: float = 0.02

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0:
                raise ValueError(f"{name} = {value}: a weight must be at least 0")


class _Averaged(Task):
    """A network and its moving average, which is what is judged and saved.

    Args:
        average: part of the average that a step keeps.
    """

    def __init__(self, network: nn.Module, average: float) -> None:
        super().__init__()
        self.network = network
        self.averaged = copy.deepcopy(network).requires_grad_(False)
        self._average = average

    def after_step(self, step: int) -> None:
        """The average follows; at first quickly, for it begins with nothing learned."""
        follow(self.averaged, self.network, min(self._average, (1 + step) / (10 + step)))

    def trained(self) -> nn.Module:
        """The average."""
        return self.averaged


class SupervisedPoints(_Averaged):
    """A point network and the true joints of every frame.

    Args:
        stored_centres: so many of each stored cloud's first points are spread evenly.
    """

    network: PointNetwork
    averaged: PointNetwork

    def __init__(
        self,
        network: PointNetwork,
        weights: SupervisedWeights,
        augmentation: PointAugmentation,
        stored_centres: int,
        average: float,
    ) -> None:
        super().__init__(network, average)
        self._weights, self._augmentation, self._centres = weights, augmentation, stored_centres

    def training_loss(self, batch: PersonBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See :class:`SupervisedWeights`."""
        said = ask(self.network, batch, self._augmentation, self._centres)
        given = batch.given[..., None].to(said.joints.dtype)
        terms = {
            "joints": self._weights.joints * joint_loss(said.joints, batch.truth, given),
            "scale": self._weights.scale * scale_loss(said, batch.truth, given),
        }
        return terms["joints"] + terms["scale"], terms

    def validation_figures(self, batch: PersonBatch) -> dict[str, Tensor]:
        """See :func:`unipose_training.recipes.point_task.truth_figures`."""
        return truth_figures(ask(self.averaged, batch, SAME_POINTS, self._centres), batch)


class SupervisedWindows(_Averaged):
    """A network that looks at windows of depth or colour, and the true joints of the last frame.

    Args:
        depth: how depth windows are encoded; None for colour.
    """

    mirror: Tensor

    def __init__(
        self,
        network: AnchorNetwork,
        weights: SupervisedWeights,
        augmentation: WindowAugmentation,
        depth: DepthImageConfig | None,
        average: float,
    ) -> None:
        super().__init__(network, average)
        self._weights, self._augmentation, self._depth = weights, augmentation, depth
        self.register_buffer("mirror", torch.tensor(ITOP15.mirror), persistent=False)

    def training_loss(self, batch: PersonBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See :class:`SupervisedWeights`."""
        before = self._windows(batch)
        warp = draw_warp(before, self._augmentation, by_distance=self._depth is not None)
        windows = warp_windows(before, warp, smooth=self._depth is None)
        disturb = disturb_colour if self._depth is None else disturb_depth
        votes: AnchorVotes = self.network(self._encoded(disturb(windows, self._augmentation)))
        truth = batch.truth[:, -1]
        said = self._said(votes, windows, warp)
        weights = truth.new_ones(truth.shape[:2])
        terms = self._anchor_terms(votes, windows, warp_joints(truth, warp, self.mirror), weights)
        terms["scale"] = self._weights.scale * scale_loss(said, truth[:, None], weights[:, None])
        return torch.stack(list(terms.values())).sum(), terms

    def validation_figures(self, batch: PersonBatch) -> dict[str, Tensor]:
        """See :func:`unipose_training.recipes.point_task.truth_figures`."""
        windows = self._windows(batch)
        votes: AnchorVotes = self.averaged(self._encoded(windows))
        return truth_figures(self._said(votes, windows, no_warp(windows)), batch)

    def _windows(self, batch: PersonBatch) -> Windows:
        return colour_windows(batch) if self._depth is None else depth_windows(batch)

    def _encoded(self, windows: Windows) -> Tensor:
        return colour_input(windows) if self._depth is None else depth_input(windows, self._depth)

    def _anchor_terms(self, votes: AnchorVotes, windows: Windows, truth: Tensor, weights: Tensor) -> dict[str, Tensor]:
        pixels, depths = to_window(truth, windows)
        shares = self._weights
        return {
            "surround": shares.surround * informative_anchor_loss(votes.surround.float(), pixels, weights),
            "regression": shares.regression
            * anchor_regression_loss(
                votes.pixels.float(), votes.depths.float() / DEPTH_UNIT, pixels, depths / DEPTH_UNIT, weights,
                shares.pixel_share,
            ),
        }  # fmt: skip

    def _said(self, votes: AnchorVotes, windows: Windows, warp: Warp) -> Said:
        """(B, 1, J, 3) joints of the person as it was, and the scales."""
        changed = to_camera(votes.pixels.float(), votes.depths.float(), windows)
        joints = unwarp_joints(changed, warp, self.mirror)
        scales = unwarp_scales(votes.log_scales.float(), warp, self.mirror)
        return Said(joints[:, None], scales[:, None])


def joint_loss(joints: Tensor, truth: Tensor, weights: Tensor, knee: float = 0.05) -> Tensor:
    """``mean w rho(|P - P*|)`` with Huber's function; joints without truth (NaN) add nothing.

    Args:
        joints, truth: (..., J, 3) metres.
        weights: of a shape that fits (..., J).
        knee: metres.
    """
    truth, there = known(truth)
    return weighted_mean(robust(length(joints - truth), knee), weights * there.all(-1))


def scale_loss(said: Said, truth: Tensor, weights: Tensor) -> Tensor:
    """Laplace's likelihood of what is left of each coordinate; it moves the scales, not the joints.

    Args:
        truth: (B, T, J, 3) metres; NaN without.
        weights: of a shape that fits (B, T, J).
    """
    apart = said.joints.detach() - truth
    return laplace_loss(apart, said.log_scales[..., None], weights[..., None])


def unwarp_scales(log_scales: Tensor, warp: Warp, mirror: Tensor) -> Tensor:
    """(B, J) log scales of the changed person -> those of the person as it was."""
    # A scale is a length without a direction: the joint's own place in the order is all that matters.
    reflected = torch.linalg.det(warp.across)[:, None] < 0
    return torch.where(reflected, log_scales[:, mirror], log_scales) - warp.growth.log()[:, None]
