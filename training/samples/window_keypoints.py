"""2D keypoints as the lifting variant of a window network reads them; some of them wrong on purpose."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from unipose_training.samples.batch import PersonBatch
from unipose_training.samples.window_warp import Warp, warp_joints
from unipose_training.samples.windows import Windows, to_window


@dataclass(frozen=True)
class KeypointNoise:
    """How keypoints are made worse than the 2D network's own.

    Attributes:
        jitter: pixels of the window, normal, of every keypoint.
        wrong: probability that a keypoint is displaced.
        reach: how far, at most, as a part of the window.
        swapped: probability that left and right are taken for each other.
        lost: probability that a keypoint is not found.

    Raises:
        ValueError: a value is out of range.
    """

    jitter: float = 1.0
    wrong: float = 0.1
    reach: float = 0.4
    swapped: float = 0.05
    lost: float = 0.1

    def __post_init__(self) -> None:
        for each in fields(self):
            most = float("inf") if each.name == "jitter" else 1.0
            if not 0 <= getattr(self, each.name) <= most:
                raise ValueError(f"keypoints.{each.name} = {getattr(self, each.name)}: must be within [0, {most:g}]")


#: Keypoints as they are.
NO_NOISE = KeypointNoise(0, 0, 0, 0, 0)


def window_keypoints(batch: PersonBatch, windows: Windows, warp: Warp, mirror: Tensor) -> Tensor:
    """(B, J, 3) u, v in the warped window and confidence of the last frames' keypoints; 0 where there is none.

    Args:
        windows: after the warp.
        mirror: (J,) permutation that exchanges left and right.
    """
    camera = batch.camera[:, -1, None]
    rays = (batch.pixels[:, -1] - camera[..., 2:]) / camera[..., :2]
    places = torch.cat([rays, torch.ones_like(rays[..., :1])], dim=-1)
    pixels, _ = to_window(warp_joints(places, warp, mirror), windows)
    # Confidences go with their joints: as places on the axis they are mirrored, but not moved.
    trust = batch.trust[:, -1]
    swapped = (torch.linalg.det(warp.across) < 0)[:, None]
    trust = torch.where(swapped, trust[:, mirror], trust) * pixels.isfinite().all(-1)
    return torch.cat([pixels.nan_to_num(), trust[..., None]], dim=-1)


def worsened(keypoints: Tensor, noise: KeypointNoise, size: int, mirror: Tensor) -> Tensor:
    """Draw errors of a 2D network; confidences say nothing of them.

    Args:
        keypoints: (B, J, 3).
        size: pixels of the window's side.
        mirror: (J,) permutation that exchanges left and right.
    """
    people, joints, device = *keypoints.shape[:2], keypoints.device
    swapped = torch.rand(people, 1, 1, device=device) < noise.swapped
    keypoints = torch.where(swapped, keypoints[:, mirror], keypoints)
    angle = 2 * torch.pi * torch.rand(people, joints, device=device)
    far = noise.reach * size * torch.rand(people, joints, device=device)
    far = far * (torch.rand(people, joints, device=device) < noise.wrong)
    shift = far[..., None] * torch.stack([angle.cos(), angle.sin()], dim=-1)
    places = keypoints[..., :2] + shift + noise.jitter * torch.randn(people, joints, 2, device=device)
    found = torch.rand(people, joints, device=device) >= noise.lost
    return torch.cat([places, (keypoints[..., 2] * found)[..., None]], dim=-1)
