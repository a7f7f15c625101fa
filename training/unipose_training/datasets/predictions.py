"""Anyone's joints for ITOP from a file, so that published results can be scored again.

=======  ==========================================================  ==========
suffix   content                                                     axes
=======  ==========================================================  ==========
.txt     one line a frame, 45 numbers; as A2J writes its results     ``pixels``
.mat     a (n, 15, 3) array; as A2J publishes its ITOP results       ``pixels``
.npy     (n, 15, 3) or (n, 45)                                       ``itop``
.json    a list of n poses of 15 points, or a table by frame name    ``itop``
=======  ==========================================================  ==========

The axes can be named: ``pixels`` is u, v and meters along z; ``itop`` is ITOP's own meters, y up;
``optical`` is meters in the optical frame, y down. Frames are those with valid labels in the order
of the labels, or all frames, or by name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import unproject
from unipose_ros.joint_sets import ITOP15
from unipose_training.datasets.io import read_npy
from unipose_training.datasets.itop import AXES, CAMERA, ItopFile
from unipose_training.datasets.matlab import read_mat
from unipose_training.errors import DataError, reading

COORDINATES = ("pixels", "itop", "optical")
_DEFAULTS = {".txt": "pixels", ".mat": "pixels", ".npy": "itop", ".json": "itop"}
_POSE = (len(ITOP15), 3)
_WHAT = "no poses of 15 joints with 3 numbers each"


@dataclass(frozen=True, eq=False)
class Predictions:
    """Poses of n frames.

    Attributes:
        joints: (n, 15, 3) as in the file; NaN where there is none.
        names: of the frames, where the file has them.
        coordinates: one of :data:`COORDINATES`.
    """

    joints: NDArray[np.float64]
    names: tuple[str, ...] | None
    coordinates: str

    def optical(self) -> NDArray[np.float64]:
        """(n, 15, 3) meters in the optical frame."""
        if self.coordinates == "pixels":
            return unproject(CAMERA, self.joints[..., :2], self.joints[..., 2])
        return self.joints * AXES if self.coordinates == "itop" else self.joints


def read_predictions(path: Path, coordinates: str = "") -> Predictions:
    """Read a file of the kinds above.

    Args:
        coordinates: axes; "" takes those that the kind of file has by default.

    Raises:
        DataError: the file is of no such kind, or damaged.
    """
    if path.suffix not in _DEFAULTS:
        raise DataError(f"{path}: predictions are read from {', '.join(_DEFAULTS)}")
    chosen = coordinates or _DEFAULTS[path.suffix]
    if chosen not in COORDINATES:
        raise DataError(f"coordinates = '{chosen}': use one of {', '.join(COORDINATES)}")
    with reading(path, "check --predictions", _WHAT, missing="check --predictions"):
        names, values = _LOADERS[path.suffix](path)
        joints = np.asarray(values, np.float64).reshape(-1, *_POSE)
        if names is not None and len(names) != len(joints):
            raise ValueError(f"{len(names)} names of frames, {len(joints)} poses")
    return Predictions(joints, names, chosen)


def align_predictions(predictions: Predictions, file: ItopFile) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Predictions beside the ground truth, for the frames with valid labels.

    Returns:
        Two (N, 15, 3) in meters in the optical frame; a frame that is not in a file by name is NaN.

    Raises:
        DataError: the number of frames fits neither the valid nor all labels, or a name is unknown.
    """
    valid = np.flatnonzero(file.valid)
    ground_truth = (file.positions(slice(None)) * AXES)[valid]
    found = predictions.optical()
    if predictions.names is not None:
        return _by_name(predictions.names, found, file, valid), ground_truth
    if len(found) == len(valid):
        return found, ground_truth
    if len(found) == len(file.ids):
        return found[valid], ground_truth
    raise DataError(
        f"the predictions have {len(found)} frames; {file.labels_path.name} has {len(valid)} with valid labels "
        f"and {len(file.ids)} in all. Predict one of these, or name the frames in a .json"
    )


def _by_name(
    names: tuple[str, ...], found: NDArray[np.float64], file: ItopFile, valid: NDArray[np.intp]
) -> NDArray[np.float64]:
    unknown = sorted(set(names) - set(file.ids))
    if unknown:
        raise DataError(f"the predictions name frame '{unknown[0]}', which {file.labels_path.name} does not have")
    rows = {name: row for row, name in enumerate(names)}
    nothing = np.full(_POSE, np.nan)
    return np.stack([found[rows[file.ids[v]]] if file.ids[v] in rows else nothing for v in valid])


Loaded = tuple[tuple[str, ...] | None, Any]


def _load_text(path: Path) -> Loaded:
    values = np.loadtxt(path, ndmin=2)
    if values.shape[1] != _POSE[0] * _POSE[1]:
        raise ValueError(f"{values.shape[1]} numbers a line, expected 45")
    return None, values


def _load_matlab(path: Path) -> Loaded:
    found = read_mat(path, None, "check --predictions", _WHAT, "check --predictions")
    arrays = [array for array in found.values() if array.shape[1:] == _POSE]
    if len(arrays) != 1:
        raise ValueError(f"{len(arrays)} arrays of shape (n, 15, 3), expected one")
    return None, arrays[0]


def _load_numpy(path: Path) -> Loaded:
    values = read_npy(path, "check --predictions", _WHAT, "check --predictions")
    if values.shape[1:] not in (_POSE, (_POSE[0] * _POSE[1],)):
        raise ValueError(f"shape {values.shape}, expected (n, 15, 3)")
    return None, values


def _load_json(path: Path) -> Loaded:
    """JSON has no NaN: null stands for a number that is not there."""
    record = json.loads(path.read_text(encoding="utf-8"))
    names = tuple(record) if isinstance(record, dict) else None
    poses = list(record.values()) if isinstance(record, dict) else record
    values = np.array(poses, np.float64)
    if values.shape[1:] not in (_POSE, (_POSE[0] * _POSE[1],)):
        raise ValueError(f"shape {values.shape}, expected (n, 15, 3)")
    return names, values


_LOADERS = {".txt": _load_text, ".mat": _load_matlab, ".npy": _load_numpy, ".json": _load_json}
