"""What the losses know about the body of ITOP's 15 joints before they see any person."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unipose_ros.geometry import body_model as body
from unipose_ros.joint_sets import ITOP15, JointSet


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
    modality ``lookup`` knows (:mod:`unipose_ros.geometry.body_model`), with a twentieth as spread.
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
