"""The point network: tokens on the cloud talk to each other, then vote for the joints.

As SPiKE (Ballester et al., ICPR 2024) makes them, a token stands for the points around a center. As
in A2J (Xiong et al., ICCV 2019), and unlike SPiKE, joints are weighted sums of places near observed
points, in 3D here.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from unipose_ros.networks.export import Axes, any_batch
from unipose_ros.networks.layers import TransformerLayer, Votes, aggregate_votes

#: A joint's scale before anything is learned: 10 cm.
_FIRST_LOG_SCALE = -2.3


@dataclass(frozen=True)
class PointNetworkConfig:
    """Sizes of a :class:`PointNetwork`; the defaults are size ``s``.

    Attributes:
        joints: number of joints.
        points: points per frame.
        paint: features of a point beside its place.
        frames: most frames of a clip.
        centers: tokens per frame; they stand on the first points (see ``codecs.points``).
        neighbors: points of a token.
        radius: meters that a token sees; nearer than that there may be fewer points.
        edge: widths of the layers between a neighbor's offset and its token.
        width: of a token.
        layers: of the transformer.
        heads, head_width: of its attention.
        hidden: width between the two linear layers of a transformer layer.

    Raises:
        ValueError: a size is not positive, or there are more centers or neighbors than points.
    """

    joints: int = 15
    points: int = 1024
    paint: int = 0
    frames: int = 1
    centers: int = 64
    neighbors: int = 24
    radius: float = 0.22
    edge: tuple[int, ...] = (64,)
    width: int = 256
    layers: int = 4
    heads: int = 4
    head_width: int = 64
    hidden: int = 512

    def __post_init__(self) -> None:
        object.__setattr__(self, "edge", tuple(self.edge))  # JSON knows lists only
        for name in ("joints", "points", "frames", "centers", "neighbors", "radius", "width", "heads", "head_width"):
            if not getattr(self, name) > 0:
                raise ValueError(f"point network: {name} = {getattr(self, name)} must be positive")
        for name in ("centers", "neighbors"):
            if getattr(self, name) > self.points:
                raise ValueError(f"point network: {name} = {getattr(self, name)}, but there are {self.points} points")


#: ``nano`` for trials, ``xs`` for robots without a GPU and for training without one, ``s`` for robots,
#: ``l`` to train.
SIZES = {
    "nano": PointNetworkConfig(
        points=512, centers=32, neighbors=16, radius=0.3, edge=(32,), width=128, layers=2, heads=2, hidden=256
    ),
    "xs": PointNetworkConfig(width=192, layers=3, heads=3, hidden=384),
    "s": PointNetworkConfig(),
    "l": PointNetworkConfig(
        points=4096,
        frames=3,
        centers=128,
        neighbors=32,
        radius=0.2,
        edge=(256,),
        width=512,
        layers=5,
        heads=8,
        hidden=1024,
    ),
}


class PointNetwork(nn.Module):
    """Clips of a person's points -> joints of every frame.

    Args:
        config: sizes.
    """

    def __init__(self, config: PointNetworkConfig) -> None:
        super().__init__()
        self.config = config
        widths = (3 + config.paint, *config.edge, config.width)
        self.edge = nn.ModuleList([nn.Linear(a, b) for a, b in pairwise(widths)])
        self.place = nn.Linear(4, config.width)
        self.layers = nn.ModuleList(
            TransformerLayer(config.width, config.heads, config.head_width, config.hidden) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)
        self.vote = nn.Linear(config.width, 5 * config.joints)
        with torch.no_grad():
            # Untrained, every joint is the mean of the centers: a start inside of the body.
            self.vote.weight.mul_(0.1)
            self.vote.bias.copy_(torch.tensor([0.0, 0, 0, 0, _FIRST_LOG_SCALE]).repeat(config.joints))

    @property
    def onnx_axes(self) -> Axes:
        """One frame of any number of people."""
        return any_batch(Votes._fields)

    def example_input(self, batch: int) -> Tensor:
        """Clouds of people's size."""
        return 0.3 * torch.randn(batch, 1, self.config.points, 3 + self.config.paint)

    def forward(self, clips: Tensor) -> Votes:
        """Every frame's joints; its tokens have seen all frames of the clip.

        Args:
            clips: (B, T, N, 3 + paint) meters about a center near the body, then painted features; the
                first points of each frame are its centers. T is at most ``config.frames``.

        Returns:
            Votes with (B, T, J) joints, in meters about the same center.
        """
        batch, frames = clips.shape[:2]
        centers = clips[:, :, : self.config.centers, :3]
        tokens = self._embed(clips.flatten(0, 1)).reshape(*centers.shape[:3], -1) + self._locate(centers)
        tokens = tokens.flatten(1, 2)
        for layer in self.layers:
            tokens = layer(tokens)
        outputs = self.vote(self.norm(tokens)).reshape(batch, frames, self.config.centers, self.config.joints, 5)
        voted = centers[:, :, :, None] + outputs[..., :3]
        return aggregate_votes(voted, outputs[..., 3], outputs[..., 4])

    def _locate(self, centers: Tensor) -> Tensor:
        """(B, T, M, 3) -> (B, T, M, width): where and when a token is; the last frame is at time 0."""
        frames = centers.shape[1]
        times = torch.arange(frames, device=centers.device, dtype=centers.dtype) - (frames - 1)
        times = times[None, :, None, None].expand(*centers.shape[:3], 1)
        result: Tensor = self.place(torch.cat([centers, times], dim=-1))
        return result

    def _embed(self, points: Tensor) -> Tensor:
        """(F, N, 3 + paint) -> (F, M, width): the largest response to any neighbor, per channel."""
        centers = points[:, : self.config.centers, :3]
        near = _gather(points, nearest_within(points[..., :3], centers, self.config.neighbors, self.config.radius))
        offsets = (near[..., :3] - centers[:, :, None]) / self.config.radius
        features = torch.cat([offsets, near[..., 3:]], dim=-1)
        for linear in self.edge[:-1]:
            features = relu(linear(features))
        # Not amax: its gradient goes through all neighbors, that of max through the largest alone.
        result: Tensor = self.edge[-1](features).max(2).values
        return result


def nearest_within(points: Tensor, centers: Tensor, count: int, radius: float) -> Tensor:
    """Each center's nearest points; those beyond the radius are replaced by the nearest one.

    Args:
        points: (F, N, 3).
        centers: (F, M, 3).

    Returns:
        (F, M, count) indices.
    """
    # Axis by axis it takes half of the time, and unlike a matrix product no precision is lost in float16.
    x, y, z = (centers[:, :, None, axis] - points[:, None, :, axis] for axis in range(3))
    squared = x * x + y * y + z * z
    distances, indices = squared.topk(count, dim=-1, largest=False)
    return torch.where(distances <= radius**2, indices, indices[..., :1])


def _gather(values: Tensor, indices: Tensor) -> Tensor:
    """(F, N, C) values and (F, M, K) indices -> (F, M, K, C)."""
    flat = indices.flatten(1)[..., None].expand(-1, -1, values.shape[-1])
    return values.gather(1, flat).reshape(*indices.shape, -1)
