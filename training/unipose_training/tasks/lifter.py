"""What the lifter is to learn: from pairs with 3D ground truth, and from keypoints alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unipose_ros.codecs.keypoints import REFINER_INPUT
from unipose_ros.joint_sets import COCO17, ITOP15, conversion_weights
from unipose_ros.networks.lifter import Lifted, LifterConfig, LifterNetwork, RefinerConfig, RefinerNetwork
from unipose_training.engine.step import Task
from unipose_training.losses.body import PoseCritic, adversarial_loss, bone_ratio_loss, itop_priors
from unipose_training.losses.projection import confidence_guided_loss, project_to_plane, reprojection_loss, tilt_loss
from unipose_training.losses.robust import bone_lengths, huber, laplace_loss, length, weighted_mean
from unipose_training.mocap.pairs import PairBatch

# What the refiner is to learn: true keypoints from a detector's.


class RefinerTask(Task):
    """Confidence-guided repair.

    Args:
        ground_truth_weight: of the plain distance to the true keypoint, beside the confidence-guided loss.
    """

    def __init__(self, config: RefinerConfig, ground_truth_weight: float = 1.0) -> None:
        super().__init__()
        self.network = RefinerNetwork(config)
        self._ground_truth_weight = ground_truth_weight

    def trained(self) -> nn.Module:
        """The network."""
        return self.network

    def training_loss(self, batch: PairBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The confidence-guided loss, and how far from the ground truth keypoints are afterwards."""
        given, refined = self._refine(batch)
        terms = {
            "guided": confidence_guided_loss(refined, given, batch.keypoints, batch.confidences, batch.labeled),
            "ground_truth": weighted_mean(
                huber(length(refined - batch.keypoints), 0.05), batch.labeled.to(refined.dtype)
            ),
        }
        return terms["guided"] + self._ground_truth_weight * terms["ground_truth"], terms

    def validation_metrics(self, batch: PairBatch) -> dict[str, Tensor]:
        """Mean error of visible keypoints in sizes of the person, before and after."""
        given, refined = self._refine(batch)
        counted = torch.where(batch.seen & batch.labeled, 1.0, torch.nan)
        errors = {"given": given, "refined": refined}
        return {name: (length(value - batch.keypoints) * counted).nanmean(-1) for name, value in errors.items()}

    def _refine(self, batch: PairBatch) -> tuple[Tensor, Tensor]:
        values = batch.inputs[:, :REFINER_INPUT]
        return values.reshape(len(values), -1, 3)[..., :2], self.network(values)


#: (K, 2) parent and child in ITOP15.
BONES = itop_priors().bones


@dataclass(frozen=True)
class LifterWeights:
    """How much each term counts.

    Attributes:
        joints: distance to the true joints.
        scales: likelihood of that distance; trains only the scales.
        tilt: angle of the camera.
        paired_reprojection, reprojection: of people with 3D ground truth, and of those without.
        bones: parts of the body's length, of people without 3D ground truth.
        critic: gradient of the critic, of people without 3D ground truth.
        symmetry: difference of left and right bones in meters, of all people.

    Raises:
        ValueError: one is negative.
    """

    joints: float = 1.0
    scales: float = 0.02
    tilt: float = 0.1
    paired_reprojection: float = 0.1
    reprojection: float = 1.0
    bones: float = 0.02
    critic: float = 0.05
    symmetry: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0:
                raise ValueError(f"{name} = {value}: a weight must be at least 0")


class LifterTask(Task):
    """See the module.

    Args:
        ratios: (K, 2) mean and standard deviation of each bone's part of the length of all bones.
    """

    bones: Tensor
    pairs: Tensor
    ratios: Tensor
    points: Tensor

    def __init__(self, config: LifterConfig, weights: LifterWeights, ratios: Tensor) -> None:
        super().__init__()
        self.network = LifterNetwork(config)
        self.critic = PoseCritic(BONES)
        self._weights = weights
        tables = {"bones": BONES, "pairs": itop_priors().pairs, "ratios": ratios, "points": landmarks_of_joints()}
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)

    def trained(self) -> nn.Module:
        """The network."""
        return self.network

    def training_loss(self, batch: PairBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See :class:`LifterWeights`."""
        lifted: Lifted = self.network(batch.inputs)
        terms = self._paired_terms(lifted, batch) | self._unpaired_terms(lifted, batch)
        if self._weights.symmetry:
            left, right = (bone_lengths(lifted.joints, self.pairs[:, side]) for side in (0, 1))
            terms["symmetry"] = (left - right).abs().mean()
        weights = vars(self._weights) | {"critic": 1.0 if self._weights.critic else 0.0}
        total = torch.stack([weights[name] * value for name, value in terms.items() if weights[name]]).sum()
        return total, terms

    def _paired_terms(self, lifted: Lifted, batch: PairBatch) -> dict[str, Tensor]:
        paired = batch.paired.to(lifted.joints.dtype)
        apart, there = _apart(lifted, batch)
        told = paired[:, None] * there
        return {
            "joints": weighted_mean(length(apart), told),
            "scales": laplace_loss(_across_and_along(apart.detach()), lifted.log_scales, told[..., None]),
            "tilt": tilt_loss(lifted.rotation, batch.rotation, paired),
            "paired_reprojection": self._reprojection(lifted, batch, batch.paired),
        }

    def _unpaired_terms(self, lifted: Lifted, batch: PairBatch) -> dict[str, Tensor]:
        alone = ~batch.paired
        if not alone.any():
            return {}
        mean, std = self.ratios.unbind(1)
        terms = {
            "reprojection": self._reprojection(lifted, batch, alone),
            "bones": bone_ratio_loss(lifted.joints, self.bones, mean, std, alone.to(lifted.joints.dtype)),
        }
        # Real poses are those with 3D ground truth; without any there is nothing to tell predictions from.
        if self._weights.critic and batch.paired.any():
            real = (batch.joints @ batch.rotation)[batch.paired]
            real = real[real.isfinite().flatten(1).all(-1)]
            if len(real):
                terms["critic"] = adversarial_loss(self.critic, lifted.upright[alone], real, self._weights.critic)
        return terms

    def _reprojection(self, lifted: Lifted, batch: PairBatch, people: Tensor) -> Tensor:
        seen = project_to_plane(lifted.joints, lifted.zoom, lifted.shift, batch.sizes, batch.known)
        labels = torch.einsum("jk,bkc->bjc", self.points, batch.keypoints)
        used = self.points[None] != 0
        there = (batch.labeled[:, None] | ~used).all(-1) & used.any(-1)
        return reprojection_loss(seen, labels, (there & people[:, None]).to(seen.dtype))

    def validation_metrics(self, batch: PairBatch) -> dict[str, Tensor]:
        """Root-aligned error in millimeters, at the middle of the hips, and the tilt's in degrees."""
        lifted: Lifted = self.network(batch.inputs)
        apart, there = _apart(lifted, batch)
        known = there.sum(-1)
        error = torch.where(known > 0, length(apart).sum(-1) / known.clamp_min(1), torch.nan)
        cosine = (lifted.rotation[..., 1] * batch.rotation[..., 1]).sum(-1).clamp(-1, 1)
        return {"mpjpe_mm": 1e3 * error, "tilt_deg": torch.rad2deg(torch.acos(cosine))}


def _apart(lifted: Lifted, batch: PairBatch) -> tuple[Tensor, Tensor]:
    """(B, J, 3) meters from the true joints, 0 where these are unknown, and (B, J) which are known."""
    there = torch.isfinite(batch.joints).all(-1)
    return torch.where(there[..., None], lifted.joints - batch.joints, 0.0), there


def _across_and_along(apart: Tensor) -> Tensor:
    """(B, J, 3) -> (B, J, 2) mean of |x| and |y|, and |z|: the turned camera looks along z."""
    size = apart.abs()
    return torch.stack([size[..., :2].mean(-1), size[..., 2]], dim=-1)


def landmarks_of_joints() -> Tensor:
    """(15, 17) how the joints are mixed from COCO keypoints; zeros for those that keypoints do not show.

    A middle of two pixels is the pixel of the middle only nearly: neck and torso, whose keypoints are
    far apart, are left out, and the head (between the ears) is kept.
    """
    table = conversion_weights(COCO17, ITOP15)
    mixed = torch.stack([torch.from_numpy(recipes[0][1]).float() for recipes in table])
    mixed[[ITOP15.index("neck"), ITOP15.index("torso")]] = 0
    return mixed
