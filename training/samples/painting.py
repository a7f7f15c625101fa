"""Points painted with what a 2D network says, as ``codecs.point_cloud`` paints them."""

from __future__ import annotations

import torch
from torch import Tensor

from unipose_ros.codecs.point_cloud import PointCloudConfig
from unipose_training.losses.ray import project
from unipose_training.samples.batch import PersonBatch

#: A keypoint shines so far, in metres at the person's distance.
_SPREAD = PointCloudConfig().paint_spread


def painted(points: Tensor, batch: PersonBatch, shown: Tensor) -> Tensor:
    """Confidence of each keypoint at each point.

    Args:
        points: (B, T, N, 3) metres about ``batch.centres``, as the camera saw them.
        shown: (B,) bool: whose keypoints are painted; the others get 0, as somebody without any.

    Returns:
        (B, T, N, 17) in [0, 1].
    """
    places = points + batch.centres[:, None, None]
    pixels = project(places, batch.camera)
    spread = _SPREAD * batch.camera[..., 1] / batch.distances
    said = batch.keypoints
    apart = (pixels[..., None, :] - said[:, :, None, :, :2]).square().sum(-1)
    shine = torch.exp(-0.5 * apart / spread[..., None, None] ** 2) * said[:, :, None, :, 2]
    return torch.where(shown[:, None, None, None], shine.nan_to_num(0.0), 0.0)
