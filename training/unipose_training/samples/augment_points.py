"""Clouds of people seen otherwise: turned, mirrored, larger, thinner, with holes; and joints back again.

Labels stay where they are: what a network predicts about the changed cloud is carried back into the
camera's frame, where rays, depth and ground truth belong to it. So no label has to be changed along.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from unipose_ros.codecs.points import PointCloudConfig
from unipose_ros.joint_sets import ITOP15
from unipose_training.errors import DataError
from unipose_training.losses.projection import project
from unipose_training.samples.dataset import PersonBatch

# Points painted with what a 2D network predicts, as ``codecs.points`` paints them.


#: A keypoint shines so far, in meters at the person's distance.
_PAINT_STD = PointCloudConfig().paint_std


def paint_points(points: Tensor, batch: PersonBatch, shown: Tensor) -> Tensor:
    """Confidence of each keypoint at each point.

    Args:
        points: (B, T, N, 3) meters about ``batch.centers``, as the camera saw them.
        shown: (B,) bool: whose keypoints are painted; the others get 0, as a person without any.

    Returns:
        (B, T, N, 17) in [0, 1].
    """
    points_in_camera = points + batch.centers[:, None, None]
    pixels = project(points_in_camera, batch.camera)
    std = _PAINT_STD * batch.camera[..., 1] / batch.distances
    painted = batch.keypoints
    apart = (pixels[..., None, :] - painted[:, :, None, :, :2]).square().sum(-1)
    shine = torch.exp(-0.5 * apart / std[..., None, None] ** 2) * painted[:, :, None, :, 2]
    return torch.where(shown[:, None, None, None], shine.nan_to_num(0.0), 0.0)


# Stored clouds have more points than small networks take.


def subsample_points(
    points: Tensor, stored_centers: int, count: int, centers: int, generator: torch.Generator
) -> Tensor:
    """A part of each cloud's points.

    Farthest-point sampling chooses one after the other, so the first of its points are spread evenly too.

    Args:
        points: (B, T, N, 3); the first ``stored_centers`` of each frame are spread evenly.
        stored_centers: of the points as stored.
        count, centers: of the network.
        generator: draws the other points.

    Returns:
        (B, T, count, 3).

    Raises:
        ValueError: there are fewer points, or fewer evenly spread ones, than the network takes.
    """
    stored = points.shape[2]
    if count > stored or centers > stored_centers:
        raise DataError(
            f"the samples have {stored} points with {stored_centers} centers, the network takes {count} with "
            f"{centers}; build the samples with as many"
        )
    if count == stored and centers == stored_centers:
        return points
    rest = torch.randperm(stored - centers, generator=generator)[: count - centers] + centers
    return torch.cat([points[:, :, :centers], points[:, :, rest.to(points.device)]], dim=2)


@dataclass(frozen=True)
class PointAugmentation:
    """How much is changed; everything is drawn evenly, and once for all frames of a clip.

    Attributes:
        yaw: degrees about the camera's vertical, at most, either way.
        tilt: degrees about the other two axes, at most.
        mirror: probability of left and right being exchanged.
        scale: part by which a person is larger or smaller, at most.
        shift: meters by which the origin is off, at most, along each axis.
        drop: part of the points that are missing, at most.
        noise: meters of normal noise on every point.
        holes: balls whose points are missing, at most: what something hides.
        hole_radius: meters of the largest.
        cut: probability that one side of a plane through the person is missing, the lower one mostly.
        follow: probability that the origin is the middle of what is left, as where a box is drawn around it.
        unpainted: probability that nothing is painted on the points, of a network that sees paint.

    Raises:
        ValueError: a value is out of range.
    """

    yaw: float = 20.0
    tilt: float = 5.0
    mirror: float = 0.5
    scale: float = 0.1
    shift: float = 0.05
    drop: float = 0.3
    noise: float = 0.005
    holes: int = 1
    hole_radius: float = 0.3
    cut: float = 0.1
    follow: float = 0.5
    unpainted: float = 0.3

    def __post_init__(self) -> None:
        for name in ("yaw", "tilt", "shift", "noise", "holes", "hole_radius"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"augmentation.{name} = {getattr(self, name)}: must be at least 0")
        for name in ("mirror", "scale", "drop", "cut", "follow", "unpainted"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"augmentation.{name} = {getattr(self, name)}: must be within [0, 1]")


#: Nothing is changed.
NO_AUGMENTATION = PointAugmentation(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


class PointTransform(NamedTuple):
    """``x' = s M R x - t`` with a rotation R and M exchanging left and right, for each of B people.

    Attributes:
        turned: (B, 3, 3) ``s M R``.
        shifts: (B, 3) meters.
        mirrored: (B,) bool.
    """

    turned: Tensor
    shifts: Tensor
    mirrored: Tensor

    def apply(self, points: Tensor) -> Tensor:
        """(B, ..., 3) meters -> as changed."""
        shape = points.shape
        flat = points.reshape(shape[0], -1, 3) @ self.turned.transpose(1, 2) - self.shifts[:, None]
        return flat.reshape(shape)

    def undo(self, joints: Tensor) -> Tensor:
        """(B, ..., J, 3) joints of the changed person -> joints of the person as it was."""
        shape = joints.shape
        back = torch.linalg.inv(self.turned)
        flat = ((joints.reshape(shape[0], -1, 3) + self.shifts[:, None]) @ back.transpose(1, 2)).reshape(shape)
        return self.swap(flat)

    def swap(self, values: Tensor) -> Tensor:
        """(B, ..., J, D): left and right swapped for those who were mirrored."""
        order = torch.tensor(ITOP15.mirror, device=values.device)
        chosen = self.mirrored.reshape(-1, *[1] * (values.dim() - 1))
        return torch.where(chosen, values.index_select(-2, order), values)

    def follow(self, before: Tensor, after: Tensor, chosen: Tensor) -> PointTransform:
        """The change with its origin where a box around the points that are left would have it.

        Args:
            before, after: (B, T, N, 3) meters about the center.
            chosen: (B,) bool, whose origin moves.
        """
        moved = _middle(after) - _middle(before)
        moved = torch.where(chosen[:, None], moved, 0.0)
        return self._replace(shifts=self.shifts + (self.turned @ moved[..., None])[..., 0])

    @property
    def scales(self) -> Tensor:
        """(B,) how much larger everything became."""
        determinant: Tensor = torch.linalg.det(self.turned).abs()
        return determinant ** (1 / 3)


def sample_transform(
    people: int, settings: PointAugmentation, generator: torch.Generator, device: torch.device | str = "cpu"
) -> PointTransform:
    """Changes for a batch; they are drawn on the CPU, so that every device gets the same."""

    def even(*shape: int) -> Tensor:
        return torch.rand(people, *shape, generator=generator) * 2 - 1

    yaw, pitch, roll = (even() * torch.tensor(most).deg2rad() for most in (settings.yaw, settings.tilt, settings.tilt))
    turned = _turn(1, yaw) @ _turn(0, pitch) @ _turn(2, roll) * (1 + settings.scale * even())[:, None, None]
    mirrored = torch.rand(people, generator=generator) < settings.mirror
    sign = torch.ones(people, 3)
    sign[mirrored, 0] = -1
    change = PointTransform(sign[:, :, None] * turned, settings.shift * even(3), mirrored)
    return PointTransform(*(part.to(device) for part in change))


def augment_points(points: Tensor, centers: int, settings: PointAugmentation, generator: torch.Generator) -> Tensor:
    """Noise, thinning and holes.

    Args:
        points: (B, T, N, 3) meters about a center near the body; the first ``centers`` of each frame
            are the network's anchors.
        centers: how many.

    Returns:
        (B, T, N, 3): missing points are replaced by points that are left, anchors by spare anchors.
    """
    device = points.device
    points = points.cpu()  # the random numbers are drawn there
    points = points + settings.noise * torch.randn(points.shape, generator=generator)
    kept = _kept(points, settings, generator)
    parts = [
        _refilled(points[:, :, part], kept[:, :, part], generator) for part in (slice(centers), slice(centers, None))
    ]
    return torch.cat(parts, dim=2).to(device)


def _kept(points: Tensor, settings: PointAugmentation, generator: torch.Generator) -> Tensor:
    """(B, T, N) bool: which points are left."""
    people, frames, count, _ = points.shape
    thin = settings.drop * torch.rand(people, 1, 1, generator=generator)
    kept = torch.rand(people, frames, count, generator=generator) >= thin
    for _ in range(settings.holes):
        # A hole is about a point of the person in the last frame, and stays there.
        chosen = torch.randint(count, (people,), generator=generator)
        middle = points[torch.arange(people), -1, chosen][:, None, None]
        radius = settings.hole_radius * torch.rand(people, 1, 1, generator=generator)
        kept &= (points - middle).norm(dim=-1) > radius
    return kept & ~_cut_off(points, settings.cut, generator)


def _cut_off(points: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """(B, T, N) bool: beyond a plane that hides the legs, one side, or whatever it meets."""
    people = len(points)
    # The image's lower border and tables hide more people than what stands beside them.
    directions = torch.randn(people, 1, 1, 3, generator=generator) * torch.tensor([1, 1, 0.3])
    normal = torch.nn.functional.normalize(directions + torch.tensor([0.0, 1.0, 0.0]), dim=-1)
    offset = 0.6 * torch.rand(people, 1, 1, generator=generator)
    happens = torch.rand(people, 1, 1, generator=generator) < probability
    return happens & ((points * normal).sum(-1) > offset)


def _refilled(points: Tensor, kept: Tensor, generator: torch.Generator) -> Tensor:
    """(B, T, M, 3): the places of lost points are taken by others, drawn from what is left."""
    kept = kept.clone()
    kept[..., 0] |= ~kept.any(-1)  # at least one
    chance = torch.rand(kept.shape, generator=generator) + kept.to(points.dtype)
    order = chance.argsort(dim=-1, descending=True)  # those who are left come first, in any order
    left = kept.sum(-1, keepdim=True)
    again = torch.arange(kept.shape[-1]).expand_as(order) % left
    source = torch.where(kept, torch.arange(kept.shape[-1]).expand_as(order), order.gather(-1, again))
    return points.gather(2, source[..., None].expand_as(points))


def _middle(points: Tensor) -> Tensor:
    """(B, T, N, 3) -> (B, 3) the middle of the last frame's extent across the view; no change along it."""
    last = points[:, -1]
    middle = (last.amin(1) + last.amax(1)) / 2
    return middle * torch.tensor([1.0, 1.0, 0.0], device=points.device)


def _turn(axis: int, angles: Tensor) -> Tensor:
    """(B,) radians -> (B, 3, 3) rotations about a coordinate axis."""
    first, second = (other for other in range(3) if other != axis)
    result = torch.eye(3).repeat(len(angles), 1, 1)
    result[:, first, first] = result[:, second, second] = angles.cos()
    result[:, first, second], result[:, second, first] = -angles.sin(), angles.sin()
    return result
