"""The lifter: 2D keypoints of one person -> 3D joints, and the camera that sees them so.

As in CameraPose (Yang et al., WACV 2023), one branch says the pose in a frame of its own and another
one the camera, so that keypoints without any 3D label can train both by reprojection. The frame is
upright here: its y axis is gravity, and it looks where the camera looks. The camera branch then says
the tilt (two columns of the rotation, Zhou et al., CVPR 2019), how large a meter is in the image and
the shift. With K known this is the whole camera; without K it is a weak perspective. The trunk is the
residual network of Martinez et al. (ICCV 2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from unipose_ros.codecs.keypoints import KEYPOINTS, LIFTER_INPUT, REFINER_INPUT
from unipose_ros.joint_sets import ITOP15
from unipose_ros.networks.export import Axes, any_batch
from unipose_ros.networks.layers import ResidualMlp, check_trunk

# The refiner: what a detector predicts of one person's keypoints -> where they more likely are.
#
# The place of CameraPose's refinement network (Yang et al., WACV 2023): in front of any lifter. It
# knows what bodies look like in images, and so which keypoints do not fit the others.


@dataclass(frozen=True)
class RefinerConfig:
    """Sizes of a :class:`RefinerNetwork`.

    Attributes:
        width, blocks: of the trunk.
        dropout: share of activations that training switches off.

    Raises:
        ValueError: a size is not positive, or the dropout not within [0, 1).
    """

    width: int = 512
    blocks: int = 2
    dropout: float = 0.05

    def __post_init__(self) -> None:
        check_trunk("refiner", self.width, self.blocks, self.dropout)


REFINER_SIZES = {"s": RefinerConfig()}


class RefinerNetwork(nn.Module):
    """Reads what :func:`unipose_ros.codecs.keypoints.refiner_input` makes."""

    def __init__(self, config: RefinerConfig) -> None:
        super().__init__()
        self.trunk = ResidualMlp(REFINER_INPUT, config.width, config.blocks, config.dropout)
        self.moves = nn.Linear(config.width, 2 * KEYPOINTS)
        with torch.no_grad():
            self.moves.weight.mul_(0.1)
            self.moves.bias.zero_()

    @property
    def onnx_axes(self) -> Axes:
        """Any number of people."""
        return any_batch(("keypoints",))

    def example_input(self, batch: int) -> Tensor:
        """Keypoints about the middle."""
        return torch.randn(batch, REFINER_INPUT)

    def forward(self, values: Tensor) -> Tensor:
        """(B, REFINER_INPUT) -> (B, 17, 2) keypoints on the scaled plane."""
        given = values.reshape(-1, KEYPOINTS, 3)[..., :2]
        moves: Tensor = self.moves(self.trunk(values))
        return given + moves.reshape(-1, KEYPOINTS, 2)


#: Rotation (6), log of the scale, shift (2).
_CAMERA = 9
#: Before anything is learned: scales of 10 cm; a meter is 1.6 of the person's sizes in the image.
_FIRST_LOG_SCALE = -2.3
_FIRST_LOG_ZOOM = 0.5
_HIPS = (ITOP15.index("left_hip"), ITOP15.index("right_hip"))


@dataclass(frozen=True)
class LifterConfig:
    """Sizes of a :class:`LifterNetwork`.

    Attributes:
        joints: 15, those of ITOP.
        width, blocks: of the trunk.
        dropout: share of activations that training switches off.

    Raises:
        ValueError: a size is not positive, or the dropout not within [0, 1).
    """

    joints: int = 15
    width: int = 768
    blocks: int = 2
    dropout: float = 0.1

    def __post_init__(self) -> None:
        check_trunk("lifter", self.width, self.blocks, self.dropout)
        if self.joints != len(ITOP15):
            raise ValueError(f"lifter: joints = {self.joints}; it puts out the {len(ITOP15)} of '{ITOP15.name}'")


SIZES = {"s": LifterConfig(width=512), "m": LifterConfig()}


class Lifted(NamedTuple):
    """B people.

    Attributes:
        joints: (B, 15, 3) meters in the frame of the camera turned to the person, from the middle of the hips.
        upright: (B, 15, 3) the same in the upright frame.
        rotation: (B, 3, 3) upright frame -> turned camera's frame.
        zoom: (B,) units of the scaled plane per meter, at the middle of the hips.
        shift: (B, 2) meters from the axis of the turned camera to the middle of the hips.
        log_scales: (B, 15, 2) log of Laplace's scale in meters across and along the viewing ray.
    """

    joints: Tensor
    upright: Tensor
    rotation: Tensor
    zoom: Tensor
    shift: Tensor
    log_scales: Tensor


class LifterNetwork(nn.Module):
    """See the module; reads what :func:`unipose_ros.codecs.keypoints.lifter_input` makes."""

    def __init__(self, config: LifterConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = ResidualMlp(LIFTER_INPUT, config.width, config.blocks, config.dropout)
        self.pose = nn.Linear(config.width, 3 * config.joints)
        self.scales = nn.Linear(config.width, 2 * config.joints)
        self.camera = nn.Linear(config.width, _CAMERA)
        self._start()

    def _start(self) -> None:
        """A level camera, and the scales above."""
        with torch.no_grad():
            self.camera.weight.mul_(0.1)
            self.camera.bias.copy_(torch.tensor([1.0, 0, 0, 0, 1.0, 0, _FIRST_LOG_ZOOM, 0, 0]))
            self.scales.bias.fill_(_FIRST_LOG_SCALE)

    @property
    def onnx_axes(self) -> Axes:
        """Any number of people."""
        return any_batch(Lifted._fields)

    def example_input(self, batch: int) -> Tensor:
        """Keypoints about the middle."""
        return torch.randn(batch, LIFTER_INPUT)

    def forward(self, values: Tensor) -> Lifted:
        """(B, LIFTER_INPUT) -> B people."""
        hidden = self.trunk(values)
        upright = self.pose(hidden).unflatten(-1, (self.config.joints, 3))
        upright = upright - upright[:, list(_HIPS)].mean(1, keepdim=True)
        camera = self.camera(hidden)
        rotation = rotation_of_columns(camera[:, :6])
        return Lifted(
            joints=upright @ rotation.transpose(-1, -2),
            upright=upright,
            rotation=rotation,
            zoom=camera[:, 6].clamp(-3, 3).exp(),
            shift=camera[:, 7:],
            log_scales=self.scales(hidden).unflatten(-1, (self.config.joints, 2)),
        )


def rotation_of_columns(columns: Tensor) -> Tensor:
    """(..., 6) two vectors -> (..., 3, 3) the rotation whose first two columns they come nearest to.

    Gram-Schmidt, continuous over all rotations. Source: Zhou et al., On the Continuity of Rotation
    Representations in Neural Networks, CVPR 2019.
    """
    first = normalize(columns[..., :3], dim=-1)
    second = columns[..., 3:] - (first * columns[..., 3:]).sum(-1, keepdim=True) * first
    second = normalize(second, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second, dim=-1)], dim=-1)
