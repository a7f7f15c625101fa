"""A teacher's pseudo-labels: its predictions for every row of a store, how good they are, and what each counts.

It is asked once; the predictions are kept beside the rows.
"""

from __future__ import annotations

import hashlib
import io
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from unipose_ros.files import write_atomic
from unipose_ros.joint_sets import ITOP15
from unipose_ros.networks.points import PointNetwork
from unipose_ros.networks.registry import load_network
from unipose_training.datasets.io import read_npz
from unipose_training.errors import DataError
from unipose_training.losses.body import itop_priors
from unipose_training.losses.projection import project
from unipose_training.losses.robust import bone_lengths, distances, length, split_valid
from unipose_training.samples.augment_points import NO_AUGMENTATION
from unipose_training.samples.dataset import PersonBatch, PersonDataset
from unipose_training.samples.store import SampleStore
from unipose_training.tasks.points import NAME, predict

_log = logging.getLogger(__name__)
_BATCH = 64
#: Points that support is looked for among; all of them would take longer than the network.
_SUPPORT_POINTS = 512


class TeacherPredictions(NamedTuple):
    """What a teacher predicts about the N rows of a store, on the CPU.

    Attributes:
        joints: (N, J, 3) meters in the camera's frame; NaN where it says nothing.
        log_scales: (N, J) log of Laplace's scale of a coordinate, in meters.
    """

    joints: Tensor
    log_scales: Tensor


@dataclass(frozen=True, eq=False)
class TeacherNetwork:
    """Who is asked.

    Attributes:
        network: of points; None for the joints that modality ``lookup`` lifted.
        sha256: of its weights.
    """

    network: PointNetwork | None = None
    sha256: str = "lookup"


def load_teacher(weights: str) -> TeacherNetwork:
    """A trained point network; "" for the lifted joints instead of one.

    Raises:
        WeightsError: the file cannot be used.
    """
    if not weights:
        return TeacherNetwork()
    network, record = load_network(Path(weights), NAME)
    assert isinstance(network, PointNetwork)
    return TeacherNetwork(network, record.sha256)


def teacher_predictions(
    store: SampleStore, teacher: TeacherNetwork, device: torch.device, progress: bool = True
) -> TeacherPredictions:
    """Predict all rows, or read earlier predictions.

    They are kept in ``predictions_<key>.npz`` in the store's folder; the key is that of the weights and the rows.
    """
    path = store.folder / f"predictions_{_key(store, teacher)}.npz"
    kept = _kept(path, len(store))
    if kept is None:
        kept = _predict_all(store, teacher, device, progress)
        _write(path, kept)
    return TeacherPredictions(*(torch.from_numpy(kept[name]) for name in TeacherPredictions._fields))


def _kept(path: Path, rows: int) -> dict[str, NDArray[np.float32]] | None:
    """What was asked before; ``None`` where it was not, or the file is damaged and is to be made again."""
    if not path.is_file():
        return None
    try:
        found = read_npz(path, TeacherPredictions._fields, "it is made again")
    except DataError as error:
        _log.warning("%s", error)
        return None
    if any(value.dtype.kind != "f" or len(value) != rows for value in found.values()):
        _log.warning("%s: it is not of these %d rows; it is made again", path, rows)
        return None
    return found


def measure_quality(store: SampleStore, predictions: TeacherPredictions) -> LabelQuality:
    """For and against each row's joints."""
    joints, priors = predictions.joints, itop_priors()
    legs = {ITOP15.index(f"{side}_{end}") for side in ("left", "right") for end in ("knee", "foot")}
    pairs = torch.stack([pair for pair in priors.pairs if int(pair[0, 1]) in legs])
    names = ("pixels", "confidence", "camera", "size")
    pixels, confidences, camera, size = (torch.from_numpy(np.array(store[name])) for name in names)
    return LabelQuality(
        ray_pixels=ray_residuals(joints, pixels, confidences, camera),
        unsupported=_unsupported(store, joints),
        leg_asymmetry=leg_asymmetry(joints, pairs),
        bone_deviation=bone_deviations(joints, priors.bones, size),
        scale=predictions.log_scales.nanmean(-1).nan_to_num(torch.inf),
    )


def _unsupported(store: SampleStore, joints: Tensor) -> Tensor:
    """(N,) joints without a point near them."""
    radii, stored = itop_priors().support_radii, store["points"]
    step = max(1, stored.shape[1] // _SUPPORT_POINTS)
    parts = []
    for start in range(0, len(store), _BATCH):
        rows = slice(start, start + _BATCH)
        points = stored[rows, ::step].astype(np.float32) + store["center"][rows, None]
        parts.append(unsupported_joints(joints[rows], torch.from_numpy(points), radii))
    return torch.cat(parts)


def _key(store: SampleStore, teacher: TeacherNetwork) -> str:
    """Rows are told by their number and by when they were taken: a store that is built anew may differ."""
    rows = hashlib.sha256(
        np.ascontiguousarray(store["stamp_ns"]).tobytes() + np.ascontiguousarray(store["box"]).tobytes()
    )
    return hashlib.sha256(f"{teacher.sha256} {len(store)} {rows.hexdigest()}".encode()).hexdigest()[:16]


def _write(path: Path, arrays: dict[str, NDArray[np.float32]]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # its keywords are arrays and one switch
    write_atomic(path, buffer.getvalue())


@torch.inference_mode()
def _predict_all(
    store: SampleStore, teacher: TeacherNetwork, device: torch.device, progress: bool
) -> dict[str, NDArray[np.float32]]:
    frames = teacher.network.config.frames if teacher.network else 1
    people = PersonDataset(store, inputs=("points",), frames=frames)
    if teacher.network:
        teacher.network.to(device)
    parts = []
    for start in tqdm(range(0, len(people), _BATCH), unit="batch", desc="teacher", disable=not progress):
        rows = range(start, min(start + _BATCH, len(people)))
        batch = PersonBatch(*(value.to(device) for value in people.__getitems__(rows)))
        parts.append([value.cpu().numpy() for value in _prediction(teacher, batch, store.centers)])
    columns = zip(*parts, strict=True)
    return {name: np.concatenate(values) for name, values in zip(TeacherPredictions._fields, columns, strict=True)}


def _prediction(teacher: TeacherNetwork, batch: PersonBatch, stored_centers: int) -> tuple[Tensor, Tensor]:
    if teacher.network:
        prediction = predict(teacher.network, batch, NO_AUGMENTATION, stored_centers)
        return prediction.joints[:, -1], prediction.log_scales[:, -1]
    # Of Laplace's distribution the variance is 2 s^2.
    return batch.lifted[:, -1], 0.5 * (batch.lifted_variance[:, -1] / 2).log()


# Filtering of pseudo-labels: rules that need no label, and the weights that follow.
#
# The rules and their limits are ours. They say how good the pseudo-labels are; by default they change no
# weight, for hard people would then never be learned: with a fifth of the weight for pseudo-labels that
# break a rule a student was 166 mm off where all alike gave 144, and with joints weighted by their scales 176
# (1,200 steps of size ``nano``, validation clips).


#: Focal length of ITOP's camera in pixels: residuals are told as they would be in its images.
ITOP_FOCAL = 285.7
#: Bones of a population differ by at least this (meters), whatever a few rows say.
_MIN_STD = 0.005
#: A joint that is far surer than others counts at most so many times as much.
_MAX_WEIGHT = 4.0


@dataclass(frozen=True)
class FilterConfig:
    """What a pseudo-label has to fulfil to count in full.

    Attributes:
        ray_pixels: mean distance to the keypoints, in pixels of ITOP's camera, below this.
        unsupported: joints without a point near them, fewer than this.
        leg_asymmetry: difference of left and right thigh or shin, below this, in meters.
        bone_deviation: of any bone from the usual one, below this, in standard deviations of the population.
        scale_quantile: the learned scale is below that of this part of all pseudo-labels.
        rejected_weight: weight of a pseudo-label that breaks a rule, in [0, 1].
        confidence_exponent: joints count as how sure the teacher is of them, to this power; 0: all alike.

    Raises:
        ValueError: a value is out of range.
    """

    ray_pixels: float = 4.0
    unsupported: int = 2
    leg_asymmetry: float = 0.08
    bone_deviation: float = 3.0
    scale_quantile: float = 0.8
    rejected_weight: float = 1.0
    confidence_exponent: float = 0.0

    def __post_init__(self) -> None:
        for name in ("ray_pixels", "unsupported", "leg_asymmetry", "bone_deviation"):
            if not getattr(self, name) > 0:
                raise ValueError(f"filter.{name} = {getattr(self, name)}: must be positive")
        for name in ("scale_quantile", "rejected_weight"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"filter.{name} = {getattr(self, name)}: must be within [0, 1]")
        if not self.confidence_exponent >= 0:
            raise ValueError(f"filter.confidence_exponent = {self.confidence_exponent}: must be at least 0")


class LabelQuality(NamedTuple):
    """What speaks for or against N pseudo-labels.

    Attributes:
        ray_pixels, leg_asymmetry, bone_deviation, scale: (N,); see :class:`FilterConfig`. The scale is a log.
        unsupported: (N,) number of joints.
    """

    ray_pixels: Tensor
    unsupported: Tensor
    leg_asymmetry: Tensor
    bone_deviation: Tensor
    scale: Tensor


def ray_residuals(joints: Tensor, pixels: Tensor, confidences: Tensor, camera: Tensor) -> Tensor:
    """Mean distance between joints and keypoints, weighted by confidence, as in an image of ITOP's camera.

    Args:
        joints: (N, J, 3) meters.
        pixels: (N, J, 2); NaN without a keypoint.
        confidences: (N, J).
        camera: (N, 4) fx, fy, cx, cy.

    Returns:
        (N,); infinite where there is nothing to compare.
    """
    joints, valid = split_valid(joints)
    pixels, visible = split_valid(pixels)
    apart = length((project(joints, camera) - pixels) / camera[:, None, :2]) * ITOP_FOCAL
    weights = confidences * valid.all(-1) * visible.all(-1)
    total = weights.sum(-1)
    return torch.where(total > 0, (weights * apart).sum(-1) / total.clamp_min(1e-9), torch.inf)


def unsupported_joints(joints: Tensor, points: Tensor, radii: Tensor) -> Tensor:
    """How many joints have no point within their radius.

    Args:
        joints: (N, J, 3); NaN joints are not counted.
        points: (N, P, 3) meters.
        radii: (J,) meters.

    Returns:
        (N,) whole numbers.
    """
    joints, valid = split_valid(joints)
    return ((distances(joints, points).amin(-1) > radii) & valid.all(-1)).sum(-1)


def leg_asymmetry(joints: Tensor, pairs: Tensor) -> Tensor:
    """(N,) meters: the largest difference between a bone and its mirror image; unknown bones do not differ.

    Args:
        joints: (N, J, 3).
        pairs: (P, 2, 2) the bones of both legs; see ``losses.body_priors.mirror_pairs``.
    """
    apart = bone_lengths(joints, pairs[:, 0]) - bone_lengths(joints, pairs[:, 1])
    return apart.abs().nan_to_num().amax(-1)


def bone_deviations(joints: Tensor, bones: Tensor, size: Tensor) -> Tensor:
    """(N,) the largest deviation of a bone from the usual one, in standard deviations of these N pseudo-labels.

    Median and median deviation of the population (Rousseeuw and Croux, JASA 1993) are those of bones
    relative to the person's size: a teacher that makes all arms long is consistent, one long arm is not.

    Args:
        joints: (N, J, 3).
        bones: (K, 2) pairs of joint indices.
        size: (N,) of the person as a part of an average adult.
    """
    relative = bone_lengths(joints, bones) / size[:, None]
    usual = relative.nanmedian(0).values
    apart = (relative - usual).abs()
    std = 1.4826 * apart.nanmedian(0).values
    return (apart / std.clamp_min(_MIN_STD)).nan_to_num().amax(-1)


def passed_by_rule(quality: LabelQuality, config: FilterConfig) -> dict[str, Tensor]:
    """(N,) bool for every rule: the pseudo-label fulfils it."""
    limit = quality.scale.quantile(config.scale_quantile)
    return {
        "ray_pixels": quality.ray_pixels < config.ray_pixels,
        "unsupported": quality.unsupported < config.unsupported,
        "leg_asymmetry": quality.leg_asymmetry < config.leg_asymmetry,
        "bone_deviation": quality.bone_deviation < config.bone_deviation,
        "scale_quantile": quality.scale <= limit,
    }


def label_weights(kept: dict[str, Tensor], log_scales: Tensor, config: FilterConfig) -> Tensor:
    """What each joint of each pseudo-label counts.

    Args:
        kept: (N,) bool by rule.
        log_scales: (N, J) of the teacher.

    Returns:
        (N, J): ``(s / s_j)^confidence_exponent`` with the median scale s, times
        ``rejected_weight`` where a rule is broken.
    """
    passed = torch.stack(list(kept.values())).all(0)
    relative = (config.confidence_exponent * (log_scales.nanmedian() - log_scales)).exp().clamp_max(_MAX_WEIGHT)
    return relative.nan_to_num() * torch.where(passed, 1.0, config.rejected_weight)[:, None]
