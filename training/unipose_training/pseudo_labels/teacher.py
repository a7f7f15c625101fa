"""What a point network predicts about every row of a store: asked once, kept beside the rows."""

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
from unipose_training.pseudo_labels.filtering import (
    LabelQuality,
    bone_deviations,
    leg_asymmetry,
    ray_residuals,
    unsupported_joints,
)
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
