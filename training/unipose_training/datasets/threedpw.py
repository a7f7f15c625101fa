"""3DPW (von Marcard et al., ECCV 2018): people outdoors, seen by a hand-held phone.

ROOT/sequenceFiles/{train,validation,test}/SEQ.pkl and ROOT/imageFiles/SEQ/image_%05d.jpg from 0.
The pickles are of Python 2; they are read without running what is in them. The joints are SMPL's,
in the world, and are moved to the camera's optical frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera
from unipose_ros.frame import RgbdFrame, Skeletons, in_image
from unipose_training.datasets.base import FIRST_STAMP_NS, IndexedClip, Labels2D, joint_status, true_skeletons
from unipose_training.datasets.data_set import Count, DataSet, Inventory, sample_clips
from unipose_training.datasets.io import read_color_file
from unipose_training.datasets.joint_sets import OPENPOSE18, SMPL24
from unipose_training.datasets.safe_pickle import load_pickle
from unipose_training.errors import DataError

#: Sequences of each split.
PUBLISHED = {"train": 24, "validation": 12, "test": 24}
#: Rate of the clock that ``img_frame_ids`` counts.
CLOCK_HZ = 60

_REMEDY = "the file is of another version or another data set"


class ThreeDpwClip(IndexedClip):
    """One sequence with one or two actors.

    An actor counts in a frame only where the camera's pose was aligned to the image
    (``campose_valid``). What is hidden is not known: all in the image is MEASURED.

    Args:
        path: of the pickle.
        images: the folder of the images.
    """

    def __init__(self, path: Path, images: Path) -> None:
        record = load_pickle(path)
        if not isinstance(record, dict):
            raise DataError(f"{path}: holds no table; {_REMEDY}")
        self._cameras = _array(path, record, "cam_poses", (-1, 4, 4))
        frames = len(self._cameras)
        super().__init__(path.stem, path.parent.name, frames, path)
        self._joints = _actors(path, record, "jointPositions", (frames, len(SMPL24), 3))
        self._valid = _actors(path, record, "campose_valid", (frames,)) != 0
        self._keypoints = _actors(path, record, "poses2d", (frames, 3, len(OPENPOSE18)))
        self._clock = _array(path, record, "img_frame_ids", (frames,)).astype(np.int64)
        self._intrinsics = _array(path, record, "cam_intrinsics", (3, 3))
        if not len(self._joints) == len(self._valid) == len(self._keypoints):
            raise DataError(f"{path}: jointPositions, campose_valid and poses2d name different numbers of actors")
        self._images = images
        self._frame_id = "threedpw_optical_frame"

    @property
    def camera(self) -> Camera:
        """Of the sequence; its size is that of the first image."""
        height, width = _image_size(self._image(0))
        k = self._intrinsics
        return Camera(float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2]), width, height)

    def frame_at(self, index: int) -> RgbdFrame:
        """Color only."""
        image = read_color_file(self._image(index))
        camera = self.camera
        if image.shape[:2] != (camera.height, camera.width):
            raise DataError(f"{self._image(index)}: another size than the first image; download it again")
        return RgbdFrame(self._stamp(index), self._frame_id, camera, None, image)

    def ground_truth_at(self, index: int) -> Skeletons | None:
        """The actors that count; ``None`` where none does."""
        actors = np.flatnonzero(self._valid[:, index])
        if not len(actors):
            return None
        world = self._cameras[index]
        positions = self._joints[actors, index] @ world[:3, :3].T + world[:3, 3]
        ids = tuple(str(actor) for actor in actors)
        visible = in_image(self.camera, positions)
        return true_skeletons(self._stamp(index), self._frame_id, positions, visible, ids, SMPL24)

    def labels_at(self, index: int) -> Labels2D:
        """What OpenPose found of all actors; not corrected by hand."""
        found = np.moveaxis(self._keypoints[:, index], 1, 2)
        labeled = found[..., 2] > 0
        pixels = np.where(labeled[..., None], found[..., :2], np.nan).astype(np.float32)
        ids = tuple(str(actor) for actor in range(len(found)))
        return Labels2D(pixels, joint_status(labeled, labeled), ids, OPENPOSE18)

    def _image(self, index: int) -> Path:
        # By the number of the frame. img_frame_ids counts the 60 Hz clock, not the images.
        return self._images / f"image_{index:05d}.jpg"

    def _stamp(self, index: int) -> int:
        return FIRST_STAMP_NS + int(self._clock[index]) * 1_000_000_000 // CLOCK_HZ


def open_3dpw(root: Path, split: str = "test") -> list[ThreeDpwClip]:
    """All sequences of a split.

    Raises:
        DataError: there are none, or a file is missing, damaged or of another version.
    """
    if split not in PUBLISHED:
        raise DataError(f"split = '{split}': 3DPW has {', '.join(PUBLISHED)}")
    files = sorted((root / "sequenceFiles" / split).glob("*.pkl"))
    if not files:
        raise DataError(f"{root / 'sequenceFiles' / split}: no *.pkl; unpack sequenceFiles there")
    return [ThreeDpwClip(path, root / "imageFiles" / path.stem) for path in files]


def _value(path: Path, record: dict[str, Any], key: str) -> Any:
    if key not in record:
        raise DataError(f"{path}: key '{key}' is missing, there are {sorted(record)}; {_REMEDY}")
    return record[key]


def _array(path: Path, record: dict[str, Any], key: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    try:
        return np.asarray(_value(path, record, key), np.float64).reshape(shape)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: key '{key}' is not numbers of shape {list(shape)} ({error}); {_REMEDY}") from error


def _actors(path: Path, record: dict[str, Any], key: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """(A, *shape) from a list with an entry for each of A actors."""
    entries = _value(path, record, key)
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{path}: key '{key}' is no list of actors; {_REMEDY}")
    return np.stack([_array(path, {key: entry}, key, shape) for entry in entries])


@lru_cache(maxsize=256)
def _image_size(path: Path) -> tuple[int, int]:
    height, width = read_color_file(path).shape[:2]
    return height, width


def _open(root: Path, subset: str) -> Sequence[IndexedClip]:
    return open_3dpw(root, subset or "test")


def _inventory(root: Path, samples: int) -> Inventory:
    """Every split that is there."""
    splits = [split for split in PUBLISHED if list((root / "sequenceFiles" / split).glob("*.pkl"))]
    if not splits:
        raise DataError(
            f"{root / 'sequenceFiles'}: no train, validation or test with *.pkl; unpack sequenceFiles there"
        )
    counts: list[Count] = []
    clips: list[ThreeDpwClip] = []
    for split in splits:
        opened = open_3dpw(root, split)
        counts.append(Count(f"{split} sequences", len(opened), PUBLISHED[split]))
        counts.append(Count(f"{split} frames", sum(len(clip) for clip in opened)))
        clips += opened
    return Inventory(tuple(counts), panels=tuple(sample_clips(clips, samples)))


DATA_SET = DataSet("3dpw", _open, {"train": "train", "validation": "validation", "test": "test"}, _inventory)
