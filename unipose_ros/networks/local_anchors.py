"""Anchors that stand on 2D keypoints, for the lifting variant of the image network.

Each joint's keypoint gets a few anchors that only vote for that joint. A keypoint that is sure counts
more from the start; what the picture shows around it then decides how much it is believed, so a wrong
keypoint can be outvoted by the anchors all over the window. PandaPose (arXiv 2602.01095) names local
anchors on 2D joints; their number, the bias and the layers are ours.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample

#: Numbers that an anchor says: offset (2), depth, weight, log scale.
_NUMBERS = 5
#: A keypoint of no confidence has no say.
_SILENT = -1e4
_LEAST_CONFIDENCE = 1e-4


class AnchorAnswers(NamedTuple):
    """What A anchors say about J joints.

    Attributes:
        anchors: (B, A, J, 2) pixels, or (A, 1, 2) where they are alike for all.
        offsets: (B, A, J, 2) pixels.
        depths, logits, log_scales: (B, A, J); depths in the units of the network.
    """

    anchors: Tensor
    offsets: Tensor
    depths: Tensor
    logits: Tensor
    log_scales: Tensor


class LocalAnchors(nn.Module):
    """Votes of ``count`` anchors on each keypoint.

    Args:
        joints: number of joints.
        count: anchors of a joint.
        width: channels of the feature map.
        hidden: width of the layer between features and votes.
        others: number of anchors that stand elsewhere; untrained, a sure keypoint counts as much as they all.
    """

    def __init__(self, joints: int, count: int, width: int, hidden: int, others: int) -> None:
        super().__init__()
        self._joints, self._count = joints, count
        self.look = nn.Linear(width + 1, hidden)
        self.joint = nn.Parameter(torch.zeros(joints, hidden))
        self.between = nn.Linear(hidden, hidden)
        self.say = nn.Linear(hidden, count * _NUMBERS)
        self.gain = nn.Parameter(torch.ones(joints))
        self.start = nn.Parameter(torch.full((joints,), math.log(others / count)))
        nn.init.normal_(self.joint, std=0.1)
        for parameter in self.say.parameters():
            nn.init.normal_(parameter, std=1e-3)

    def forward(self, features: Tensor, keypoints: Tensor, size: int) -> AnchorAnswers:
        """See :class:`AnchorAnswers`.

        Args:
            features: (B, width, H, W) of the window.
            keypoints: (B, J, 3) u, v in pixels of the window, and confidence; 0 for what was not found.
            size: pixels of the window's side.
        """
        confidence = keypoints[..., 2]
        there = confidence > 0
        places = torch.where(there[..., None], keypoints[..., :2], size / 2)
        seen = torch.cat([_read(features, places, size), confidence[..., None]], dim=-1)
        hidden = torch.relu(self.look(seen) + self.joint)
        said = self.say(torch.relu(self.between(hidden)))
        said = said.reshape(*said.shape[:2], self._count, _NUMBERS).transpose(1, 2)
        sure = self.gain * confidence.clamp_min(_LEAST_CONFIDENCE).log() + self.start
        bias = torch.where(there, sure, _SILENT)[:, None]
        anchors = places[:, None].expand(-1, self._count, -1, -1)
        return AnchorAnswers(anchors, said[..., :2], said[..., 2], said[..., 3] + bias, said[..., 4])


def _read(features: Tensor, places: Tensor, size: int) -> Tensor:
    """(B, C, H, W) features at (B, J, 2) pixels of the window -> (B, J, C); those of its edge beyond it."""
    grid = (2 * places + 1) / size - 1
    read = grid_sample(features, grid[:, None], "bilinear", padding_mode="border", align_corners=False)
    return read[:, :, 0].transpose(1, 2)
