"""ITOP (Haque et al., ECCV 2016; Zenodo 3932973): one person, depth from the side and from the top.

ROOT/ITOP_{side,top}_{train,test}_{depth_map,labels}.h5, unpacked. Depth is taken from
``..._point_cloud.h5`` where there is no depth map. Layout and conventions as read by RefiNet,
SPiKE and A2J; axes are x right, y up, z forward in meters and are turned to the optical frame here.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.images import to_meters
from unipose_ros.joint_sets import ITOP15
from unipose_training.datasets.base import FIRST_STAMP_NS, IndexedClip, Labels2D, joint_status, true_skeletons
from unipose_training.datasets.data_set import Count, DataSet, Inventory, Panel, clip_panel, evenly_spaced
from unipose_training.datasets.io import dataset, read
from unipose_training.errors import DataError

VIEWS = ("side", "top")
SPLITS = ("train", "test")
#: X = (u - 160) Z 0.0035, Y = (120 - v) Z 0.0035.
CAMERA = Camera(fx=1 / 0.0035, fy=1 / 0.0035, cx=160.0, cy=120.0, width=320, height=240)
#: The data set has no clock; its frames are numbered at the nominal rate of the recording.
PERIOD_NS = 100_000_000
#: Frames and frames with valid labels of each split, of either view.
PUBLISHED = {"train": (39_795, 17_991), "test": (10_501, 4_863)}
#: Persons that RefiNet holds out of ``train`` for validation.
VALIDATION_PERSONS = ("04", "05")
#: Multiplies ITOP's axes into the optical frame's, and back.
AXES = np.array([1.0, -1.0, 1.0])

_log = logging.getLogger(__name__)
_JOINTS = len(ITOP15)
_SIZE = (CAMERA.height, CAMERA.width)


@dataclass(frozen=True, eq=False)
class ItopFile:
    """One view of one split: where it lies, and the small tables that are kept.

    Attributes:
        ids: M frame names ``PP_FFFFF`` in the order of the labels.
        valid: (M,) the joints of this frame may be used.
        depth_path, depth_rows: the file of depths, and the row of each frame in it by name.
    """

    view: str
    split: str
    labels_path: Path
    ids: tuple[str, ...]
    valid: NDArray[np.bool_]
    depth_path: Path
    depth_rows: dict[str, int]

    @classmethod
    def open(cls, root: Path, view: str, split: str, labels_alone: bool = False) -> ItopFile:
        """Read the names and validity; images and joints stay in their files.

        Args:
            labels_alone: there need be no file of depths, and no depth can be read.

        Raises:
            DataError: a file is missing, damaged or not ITOP's.
        """
        _require_choice("view", view, VIEWS)
        _require_choice("split", split, SPLITS)
        stem = f"ITOP_{view}_{split}"
        labels, depth = root / f"{stem}_labels.h5", root / f"{stem}_depth_map.h5"
        if not depth.exists() and (root / f"{stem}_point_cloud.h5").exists():
            depth = root / f"{stem}_point_cloud.h5"
        ids, stored = _ids(labels), () if labels_alone else _ids(depth)
        valid = read(dataset(labels, "is_valid", (len(ids),), "iub"), slice(None)) == 1
        return cls(view, split, labels, ids, valid, depth, {name: row for row, name in enumerate(stored)})

    def depth(self, name: str) -> NDArray[np.float32]:
        """(240, 320) meters, 0 for no reading."""
        row = self.depth_rows[name]
        if self.depth_path.name.endswith("_point_cloud.h5"):
            cloud = dataset(self.depth_path, "data", (None, _SIZE[0] * _SIZE[1], 3), "f")
            stored = read(cloud, row)[:, 2].reshape(_SIZE)
        else:
            stored = read(dataset(self.depth_path, "data", (None, *_SIZE), "f"), row)
        depth = stored.astype(np.float32)
        # Looking takes a fifth of the time of cleaning, and the files are mostly clean; NaN compares false.
        clean = depth.min() >= 0 and depth.max() < np.inf
        return depth if clean else to_meters(depth)

    def positions(self, rows: int | slice) -> NDArray[np.float64]:
        """(..., 15, 3) meters in ITOP's own axes, y up."""
        key = "real_world_coordinates"
        return read(dataset(self.labels_path, key, (None, _JOINTS, 3), "f"), rows).astype(np.float64)

    def visible(self, rows: int | slice) -> NDArray[np.bool_]:
        """(..., 15) the joint is not hidden."""
        return np.asarray(read(dataset(self.labels_path, "visible_joints", (None, _JOINTS), "iub"), rows) == 1)

    def pixels(self, rows: int | slice) -> NDArray[np.float32]:
        """(..., 15, 2) labeled (u, v)."""
        key = "image_coordinates"
        return read(dataset(self.labels_path, key, (None, _JOINTS, 2), "iuf"), rows).astype(np.float32)


class ItopClip(IndexedClip):
    """Consecutive frames of one person. Frames without valid labels are there, without ground truth.

    Args:
        rows: of the frames in the labels.
    """

    def __init__(self, file: ItopFile, rows: tuple[int, ...]) -> None:
        first = file.ids[rows[0]]
        name = f"{file.view}/{file.split}"
        super().__init__(f"{name}/{first}", name, len(rows), file.labels_path)
        self._file, self._rows = file, rows
        self._frame_id = f"itop_{file.view}_optical_frame"

    def frame_at(self, index: int) -> RgbdFrame:
        """Depth only."""
        depth = self._file.depth(self.id_at(index))
        return RgbdFrame(self._stamp(index), self._frame_id, CAMERA, depth)

    def ground_truth_at(self, index: int) -> Skeletons | None:
        """``None`` unless the labels are valid."""
        row, name = self._rows[index], self.id_at(index)
        if not self.is_valid(index):
            return None
        positions, visible = self._file.positions(row) * AXES, self._file.visible(row)
        return true_skeletons(self._stamp(index), self._frame_id, positions[None], visible[None], (name[:2],), ITOP15)

    def labels_at(self, index: int) -> Labels2D | None:
        """``None`` unless the labels are valid."""
        row, name = self._rows[index], self.id_at(index)
        if not self.is_valid(index):
            return None
        visible = self._file.visible(row)[None]
        status = joint_status(np.ones_like(visible), visible)
        return Labels2D(self._file.pixels(row)[None], status, (name[:2],), ITOP15)

    def is_valid(self, index: int) -> bool:
        """Whether the labels of this frame may be used."""
        return bool(self._file.valid[self._rows[index]])

    def id_at(self, index: int) -> str:
        """ITOP's name of a frame, ``PP_FFFFF``."""
        return self._file.ids[self._rows[index]]

    def _stamp(self, index: int) -> int:
        name = self.id_at(index)
        # Frame numbers have five digits: no two frames of the data set have the same stamp.
        return FIRST_STAMP_NS + (int(name[:2]) * 100_000 + _number(name)) * PERIOD_NS


def open_itop(root: Path, view: str = "side", split: str = "test") -> list[ItopClip]:
    """Clips of successive frames by (person, frame number); a gap in the numbers begins another clip.

    ``split`` may also be ``val``: the persons of ``train`` that RefiNet validates on.

    Raises:
        DataError: a file is missing, damaged or not ITOP's.
    """
    file = ItopFile.open(root, view, "train" if split == "val" else split)
    there = [row for row, name in enumerate(file.ids) if name in file.depth_rows]
    if len(there) < len(file.ids):
        _log.warning("%s: %d labeled frames have no depth; left out", file.depth_path, len(file.ids) - len(there))
    if split == "val":
        there = [row for row in there if file.ids[row][:2] in VALIDATION_PERSONS]
    there.sort(key=lambda row: (file.ids[row][:2], _number(file.ids[row])))
    clips: list[list[int]] = []
    for row in there:
        if clips and _follows(file.ids[clips[-1][-1]], file.ids[row]):
            clips[-1].append(row)
        else:
            clips.append([row])
    return [ItopClip(file, tuple(rows)) for rows in clips]


def _follows(before: str, after: str) -> bool:
    return before[:2] == after[:2] and _number(after) == _number(before) + 1


def _number(name: str) -> int:
    return int(name[3:])


def _ids(path: Path) -> tuple[str, ...]:
    raw: list[Any] = read(dataset(path, "id", (None,), "SO"), slice(None)).tolist()
    names = tuple(name.decode("ascii", "replace") if isinstance(name, bytes) else str(name) for name in raw)
    for name in names:
        if not (len(name) > 3 and name[:2].isdigit() and name[2] == "_" and name[3:].isdigit()):
            raise DataError(f"{path}: key 'id' holds '{name}', expected PP_FFFFF; take the data set's own file")
    if len(set(names)) != len(names):
        raise DataError(f"{path}: key 'id' names a frame twice; download the file again")
    return names


def _require_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise DataError(f"{name} = '{value}': ITOP has {', '.join(choices)}")


def _open(root: Path, subset: str) -> Sequence[IndexedClip]:
    view, _, split = (subset or "side/test").partition("/")
    return open_itop(root, view, split)


def _inventory(root: Path, samples: int) -> Inventory:
    """Every view and split that is there."""
    counts: list[Count] = []
    panels: list[Panel] = []
    found = [(v, s) for v in VIEWS for s in SPLITS if list(root.glob(f"ITOP_{v}_{s}_labels.h5*"))]
    if not found:
        raise DataError(f"{root}: no ITOP_side_test_labels.h5 or its like; give the folder that holds the files")
    for view, split in found:
        clips = open_itop(root, view, split)
        file = ItopFile.open(root, view, split)
        frames, valid = PUBLISHED[split]
        with_depth = sum(len(clip) for clip in clips)
        counts += [Count(f"{view} {split} frames", len(file.ids), frames)]
        counts += [Count(f"{view} {split} frames with depth", with_depth, frames)]
        counts += [Count(f"{view} {split} valid frames", int(file.valid.sum()), valid)]
        counts += [Count(f"{view} {split} clips", len(clips))]
        panels += _valid_itop(clips, max(1, samples // len(found)))
    return Inventory(tuple(counts), panels=tuple(panels))


def _valid_itop(clips: list[ItopClip], samples: int) -> list[Panel]:
    labeled = [(clip, n) for clip in clips for n in range(len(clip)) if clip.is_valid(n)]
    return [clip_panel(*labeled[k]) for k in evenly_spaced(len(labeled), samples)]


#: ``side/val`` is a part of its training split.
DATA_SET = DataSet("itop", _open, {"train": "side/train", "test": "side/test"}, _inventory)
