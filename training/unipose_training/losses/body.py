"""What is known of bones: left is as long as right, and no person's change."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, normalize, softplus

from unipose_ros.geometry import body_model as body
from unipose_ros.joint_sets import ITOP15, JointSet
from unipose_training.losses.robust import bone_lengths, huber, length, weighted_mean

# Bodies told from what merely fits an image: the kinematic chain space, and a critic in it.
#
# Reprojection leaves every joint free along its ray. What keeps depth right without 3D labels is what
# bodies are like: how long bones are to each other, which angles they form, and which way they point where
# down is known.


def kinematic_chain(joints: Tensor, bones: Tensor) -> Tensor:
    """(..., J, 3) and (K, 2) -> (..., K (K + 1) / 2) products of all pairs of bones over the mean squared length.

    The diagonal says how long bones are, the rest which angles they form; turns of the whole body and
    its size have no influence. Source: the kinematic chain space of Wandt et al. (RepNet, CVPR 2019).
    """
    vectors = joints[..., bones[:, 1], :] - joints[..., bones[:, 0], :]
    products = vectors @ vectors.transpose(-1, -2)
    rows, columns = torch.triu_indices(len(bones), len(bones), device=joints.device)
    mean = products.diagonal(dim1=-2, dim2=-1).mean(-1, keepdim=True)
    return products[..., rows, columns] / mean.clamp_min(1e-6)


def bone_ratio_loss(joints: Tensor, bones: Tensor, means: Tensor, stds: Tensor, weights: Tensor) -> Tensor:
    """``mean_b rho((r_b - mean_b) / std_b)``, r_b being a bone's part of the length of all bones.

    Args:
        joints: (B, J, 3).
        bones: (K, 2) pairs of joint indices.
        means, stds: (K,) of the ratio over the population.
        weights: (B,).
    """
    lengths = bone_lengths(joints, bones)
    ratios = lengths / lengths.sum(-1, keepdim=True).clamp_min(1e-6)
    apart = ((ratios - means) / stds).abs()
    # A parabola up to three standard deviations, then a line: one impossible bone must not drown the others.
    terms = torch.where(apart < 3, apart**2 / 2, 3 * apart - 4.5)
    return weighted_mean(terms, weights[:, None])


class PoseCritic(nn.Module):
    """Says how much a pose looks like one from motion capture: large for real ones.

    It evaluates the kinematic chain space, and the bones as they stand in the upright frame: a camera that
    looks down is told from a person who leans back by what people seldom do.

    Args:
        bones: (K, 2) pairs of joint indices.
        width: of the two hidden layers.
    """

    def __init__(self, bones: Tensor, width: int = 128) -> None:
        super().__init__()
        self.register_buffer("bones", bones, persistent=False)
        count = len(bones) * (len(bones) + 1) // 2
        count += 3 * len(bones)
        self.first, self.second, self.last = nn.Linear(count, width), nn.Linear(width, width), nn.Linear(width, 1)

    def forward(self, upright: Tensor) -> Tensor:
        """(B, J, 3) -> (B,) logits."""
        bones = cast(Tensor, self.bones)
        directions = normalize(upright[:, bones[:, 1]] - upright[:, bones[:, 0]], dim=-1)
        features = torch.cat([kinematic_chain(upright, bones), directions.flatten(1)], dim=-1)
        hidden = leaky_relu(self.second(leaky_relu(self.first(features), 0.2)), 0.2)
        logits: Tensor = self.last(hidden)
        return logits[:, 0]


def adversarial_loss(critic: PoseCritic, predicted: Tensor, real: Tensor, strength: float) -> Tensor:
    """Trains the critic to tell predicted from real poses, and at the same time the lifter to deceive it.

    One loss for both: the gradient is reversed on its way to the predictions (Ganin and Lempitsky,
    ICML 2015). The classifier's loss is the logistic one.

    Args:
        predicted, real: (B, J, 3), (C, J, 3) in the upright frame.
        strength: of the gradient that reaches ``predicted``.
    """
    reverse: Callable[[Tensor, float], Tensor] = _Reverse.apply
    scores = critic(reverse(predicted, strength))
    return softplus(scores).mean() + softplus(-critic(real)).mean()


class _Reverse(torch.autograd.Function):
    """The identity; its gradient is turned round."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradients[0], None


# Joints do not jump: the second difference over time is small.


def motion_loss(joints: Tensor, weights: Tensor, consecutive: Tensor, knee: float = 0.05) -> Tensor:
    """``mean w_j rho(|P_{t+1} - 2 P_t + P_{t-1}|)``, each coordinate by itself.

    Zero for any constant velocity. Source: the usual acceleration penalty; the joints' weights are
    from the second differences of ITOP's labels.

    Args:
        joints: (B, T, J, 3) in steps of equal time; fewer than 3 frames give 0.
        weights: (J,) how still a joint is, 1 on average.
        consecutive: (B, T - 2) bool: the three frames really follow each other.
        knee: meters.
    """
    second = joints[:, 2:] - 2 * joints[:, 1:-1] + joints[:, :-2]
    return weighted_mean(huber(second, knee), weights[:, None] * consecutive[..., None, None])


_NECK, _TORSO = ITOP15.index("neck"), ITOP15.index("torso")
_SHOULDERS = [ITOP15.index("left_shoulder"), ITOP15.index("right_shoulder")]
_HIPS = [ITOP15.index("left_hip"), ITOP15.index("right_hip")]


def symmetry_loss(joints: Tensor, pairs: Tensor, dead_zone: float = 0.02, weights: Tensor | None = None) -> Tensor:
    """``mean_p w_p max(0, |len_left - len_right| - dead_zone)^2`` in square meters.

    The plain difference is that of RefiNet (D'Eusanio et al., ICPR 2020). The dead zone is ours:
    the labels of ITOP differ by more than 2 cm between left and right themselves.

    Args:
        joints: (..., J, 3).
        pairs: (P, 2, 2) joint indices: the bone of one side and that of the other.
        dead_zone: meters.
        weights: (..., P), or None for 1.
    """
    apart = (bone_lengths(joints, pairs[:, 0]) - bone_lengths(joints, pairs[:, 1])).abs()
    return weighted_mean((apart - dead_zone).clamp_min(0) ** 2, weights)


def bone_constancy_loss(joints: Tensor, bones: Tensor, given: Tensor, knee: float = 0.05) -> Tensor:
    """``mean_{t,b} rho(len_{t,b} - mean_t len_b)``: bones keep their length over a clip.

    Args:
        joints: (B, T, J, 3).
        bones: (K, 2) pairs of joint indices.
        given: (B, T) bool, frames that count.
        knee: meters.
    """
    counted = given[..., None].to(joints.dtype)
    measured = bone_lengths(joints, bones)
    mean = (measured * counted).sum(1, keepdim=True) / counted.sum(1, keepdim=True).clamp_min(1)
    return weighted_mean(huber(measured - mean, knee), counted)


def bone_prior_loss(
    joints: Tensor, bones: Tensor, means: Tensor, stds: Tensor, size: Tensor, tolerance: float = 3.0
) -> Tensor:
    """``mean_b max(0, |len_b - size mean_b| - tolerance size std_b)``: no bone unlike all people's.

    Args:
        joints: (..., J, 3).
        bones: (K, 2) pairs of joint indices.
        means, stds: (K,) meters over the population.
        size: (...,) the person's size as a part of an average adult.
        tolerance: in standard deviations.
    """
    scale = size[..., None]
    beyond = (bone_lengths(joints, bones) - scale * means).abs() - tolerance * scale * stds
    return weighted_mean(torch.clamp_min(beyond, 0))


def middle_loss(joints: Tensor, knee: float = 0.02) -> Tensor:
    """``rho(|neck - middle of shoulders|) + rho(|torso - middle of neck and hips|)``, averaged.

    That is what these two joints of ITOP are, within a millimeter of its labels; no 2D network
    points at them.

    Args:
        joints: (..., 15, 3) in ITOP's order, meters.
        knee: meters.
    """
    neck = joints[..., _SHOULDERS, :].mean(-2)
    torso = (neck + joints[..., _HIPS, :].mean(-2)) / 2
    apart = torch.stack([joints[..., _NECK, :] - neck, joints[..., _TORSO, :] - torso], dim=-2)
    return weighted_mean(huber(length(apart), knee))


# What the losses know about the body of ITOP's 15 joints before they see any person.


@dataclass(frozen=True, eq=False)
class BodyPriors:
    """Numbers per joint and per bone.

    Attributes:
        surface_offsets: (J,) meters from the surface seen at a joint's pixel back to the joint.
        support_radii: (J,) meters that a joint may lie from the nearest point of the cloud.
        acceleration_std: (J,) meters by which a joint's motion changes between two frames.
        stillness: (J,) weight of the motion term, 1 on average.
        bones: (K, 2) parent and child.
        bone_means, bone_stds: (K,) meters over the population.
        bone_radii: (K,) meters from the bone to the skin, at most.
        pairs: (P, 2, 2) bones that are each other's mirror images.
    """

    surface_offsets: Tensor
    support_radii: Tensor
    acceleration_std: Tensor
    stillness: Tensor
    bones: Tensor
    bone_means: Tensor
    bone_stds: Tensor
    bone_radii: Tensor
    pairs: Tensor

    def to(self, device: torch.device | str) -> BodyPriors:
        """The same numbers on another device."""
        return BodyPriors(**{name: value.to(device) for name, value in vars(self).items()})


#: Four numbers in meters by part of the body. How far the joint lies behind its surface: the
#: statistics of Residual Pose (Martinez-Gonzalez et al., IROS 2020), and the part's thickness where
#: background hits spoil their mean (hands). How far the nearest point may be. How much its motion
#: changes between two frames: 90th percentile in ITOP's labels. How far the skin is at most from the
#: bone that ends here.
_PARTS = {
    "head": (0.09, 0.15, 0.038, 0.18),
    "neck": (0.05, 0.15, 0.036, 0.22),
    "shoulder": (0.05, 0.15, 0.050, 0.22),
    "elbow": (0.03, 0.10, 0.108, 0.12),
    "hand": (0.02, 0.10, 0.177, 0.10),
    "torso": (0.10, 0.15, 0.036, 0.22),
    "hip": (0.10, 0.15, 0.036, 0.22),
    "knee": (0.06, 0.10, 0.066, 0.15),
    "foot": (0.04, 0.10, 0.074, 0.12),
}


def itop_priors(device: torch.device | str = "cpu") -> BodyPriors:
    """The priors of :data:`unipose_ros.joint_sets.ITOP15`."""
    offsets, support, acceleration_std, thickness = _per_joint().unbind(1)
    stillness = 1 / acceleration_std
    priors = BodyPriors(
        surface_offsets=offsets,
        support_radii=support,
        acceleration_std=acceleration_std,
        stillness=stillness / stillness.mean(),
        bones=torch.tensor([(bone.parent, bone.child) for bone in ITOP15.bones]),
        bone_means=torch.tensor([bone.length for bone in ITOP15.bones]),
        bone_stds=torch.tensor([bone.std for bone in ITOP15.bones]),
        bone_radii=thickness[[bone.child for bone in ITOP15.bones]],
        pairs=mirror_pairs(ITOP15),
    )
    return priors.to(device)


def keypoint_priors(device: torch.device | str = "cpu") -> BodyPriors:
    """The priors of ITOP's joints where a 2D network of COCO keypoints says what a joint is.

    Its hips lie lower and closer together than ITOP's, its ankles higher. Lengths are those that
    modality ``lookup`` knows (:mod:`unipose_ros.geometry.body_model`), with a twentieth as standard deviation.
    """
    trunk = math.hypot(body.FLANK_LENGTH, (body.SHOULDER_WIDTH - body.HIP_WIDTH) / 2) / 2
    lengths = {
        "head": body.NECK_LENGTH,
        "torso": trunk,
        "shoulder": body.SHOULDER_WIDTH / 2,
        "hip": math.hypot(trunk, body.HIP_WIDTH / 2),
        "elbow": body.LIMB_LENGTHS[0, 0],
        "hand": body.LIMB_LENGTHS[0, 1],
        "knee": body.LIMB_LENGTHS[2, 0],
        "foot": body.LIMB_LENGTHS[2, 1],
    }
    ends = [ITOP15.joints[bone.child].rpartition("_")[2] for bone in ITOP15.bones]
    # ITOP's tree hangs on the torso: the bone between torso and neck ends in the neck.
    means = torch.tensor([lengths["torso" if end == "neck" else end] for end in ends], dtype=torch.float32)
    priors = replace(itop_priors(), bone_means=means, bone_stds=0.05 * means)
    return priors.to(device)


def mirror_pairs(joint_set: JointSet) -> Tensor:
    """(P, 2, 2) bones of one side and their mirror images, each pair once."""
    mirror = joint_set.mirror
    return torch.tensor(
        [
            [(bone.parent, bone.child), (mirror[bone.parent], mirror[bone.child])]
            for bone in joint_set.bones
            if joint_set.sides[bone.child] == "left"
        ]
    )


def _per_joint() -> Tensor:
    return torch.tensor([_PARTS[joint.rpartition("_")[2]] for joint in ITOP15.joints])
