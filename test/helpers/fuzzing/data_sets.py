"""Data sets in their publishers' files, each with one or two files made wrong."""

from __future__ import annotations

import importlib
import json
import random
from abc import abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import h5py
import numpy as np
import scipy.io
import walkers

from fuzzing.files import spoil
from fuzzing.mutation import pack, unpack
from fuzzing.surface import Surface
from unipose_ros.recordings import RecordingError
from unipose_training.datasets import coco, human36m, mpi_inf_3dhp
from unipose_training.datasets.base import Clip, open_clips
from unipose_training.datasets.itop import ItopFile
from unipose_training.datasets.keypoint_files import read_keypoints
from unipose_training.datasets.predictions import align_predictions, read_predictions
from unipose_training.datasets.real_frames import read_frame_folder, write_frame_folder
from unipose_training.datasets.registry import open_data_set
from unipose_training.errors import DataError
from unipose_training.samples.build import LabelFiles, build_store
from unipose_training.samples.store import SampleStore


def read_clips(clips: Iterable[Clip], frames: int = 2) -> None:
    """Some frames, truth and labels of each clip."""
    for clip in clips:
        for number, _ in enumerate(clip.frames()):
            if number + 1 >= frames:
                break
        for number, _ in enumerate(clip.ground_truth()):
            if number + 1 >= frames:
                break
        labels_at = getattr(clip, "labels_at", None)
        if labels_at is not None and len(clip):
            labels_at(0)


class DataSet(Surface):
    """A folder of files that belong together.

    Attributes:
        patterns: of the files that are made wrong.
    """

    refusals = (DataError, RecordingError)
    patterns: ClassVar[tuple[str, ...]]

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.root = folder / "root"
        self.write(self.root)
        found = sorted({path for pattern in self.patterns for path in self.root.rglob(pattern) if path.is_file()})
        self.files = {path.relative_to(self.root).as_posix(): path.read_bytes() for path in found}
        assert self.files, f"{self.name}: nothing to make wrong"
        self.read_files()

    @abstractmethod
    def write(self, root: Path) -> None:
        """Write a sound one."""

    @abstractmethod
    def read_files(self) -> None:
        """Read what a command would."""

    def generate(self, rng: random.Random) -> bytes:
        names = rng.sample(sorted(self.files), min(rng.choice((1, 1, 1, 2)), len(self.files)))
        return pack([(name, spoil(rng, name, self.files[name])) for name in names])

    def read(self, case: bytes) -> None:
        parts = [(name, data) for name, data in unpack(case) if name in self.files]
        try:
            for name, data in parts:
                self._replace(name, data)
            self.read_files()
        finally:
            for name, _ in parts:
                self._replace(name, self.files[name])

    def _replace(self, name: str, data: bytes) -> None:
        path = self.root / name
        path.unlink(missing_ok=True)  # a file that is still open somewhere stays what it was
        path.write_bytes(data)


class _Published(DataSet):
    """A data set that commands know by its name."""

    layout: ClassVar[str]
    known_as: ClassVar[str]
    subset: ClassVar[str] = ""

    def write(self, root: Path) -> None:
        importlib.import_module(f"layouts.{self.layout}").write(root)

    def read_files(self) -> None:
        read_clips(open_data_set(self.known_as, self.root, self.subset))


class Itop(_Published):
    """HDF5 of labels and depth."""

    name, about, layout, known_as = "itop", "ITOP: HDF5 of labels and depth", "itop", "itop"
    patterns = ("*.h5",)

    def write(self, root: Path) -> None:
        super().write(root)
        for path in root.glob("*.h5"):
            _compress(path)


def _compress(path: Path) -> None:
    """Otherwise hardly a changed byte would meet anything but pixels."""
    with h5py.File(path, "r") as file:
        arrays = {key: file[key][()] for key in file}
    with h5py.File(path, "w") as file:
        for key, array in arrays.items():
            file.create_dataset(key, data=array, compression="gzip", chunks=True)


class Panoptic(_Published):
    """JSON of calibrations and bodies, binary depth."""

    name, about, layout = "panoptic", "CMU Panoptic: JSON of calibrations and bodies, raw depth", "panoptic"
    known_as, subset = "panoptic", "170101_tiny"
    patterns = ("*.json", "*.dat")


class Ntu(_Published):
    """Text of skeletons, PNG of depth."""

    name, about, layout, known_as = "ntu", "NTU RGB+D: text of skeletons, PNG of depth", "ntu", "ntu"
    patterns = ("*.skeleton", "*.png", "*.txt")


class ThreeDpw(_Published):
    """Pickles and images."""

    name, about, layout, known_as = "3dpw", "3DPW: pickles, bombs among them, and images", "threedpw", "3dpw"
    patterns = ("*.pkl", "*.pkl", "*.jpg")


class RealFrames(_Published):
    """JSON, PNG, NPZ, PCD and text of several sets."""

    name, about, layout, known_as = (
        "real_frames",
        "sets of real frames: JSON, PNG, NPZ, PCD, text",
        "real_sets",
        "real-frames",
    )
    patterns = ("*.json", "*.npz", "*.png", "*.pcd", "*.txt", "*.csv", "*.npy", "*.jpg")

    def read(self, case: bytes) -> None:
        self.subset = ",".join(sorted({name.partition("/")[0] for name, _ in unpack(case)}))  # type: ignore[misc]
        super().read(case)


class Coco(DataSet):
    """Annotations and results."""

    name, about, patterns = "coco", "COCO: annotations, images and results files", ("*.json", "*.jpg")

    def write(self, root: Path) -> None:
        importlib.import_module("layouts.coco").write(root)
        rows = [{"image_id": 7, "category_id": 1, "keypoints": [1.0, 2.0, 0.5] * 17, "score": 0.5}]
        (root / "results.json").write_text(json.dumps(rows))

    def read_files(self) -> None:
        images = coco.CocoImages(self.root, "val2017")
        for image in images:
            image.read()
        coco.read_results(self.root / "results.json")


class Human36m(DataSet):
    """Archives of Python objects."""

    name, about, patterns = "human36m", "Human3.6M: archives of Python objects", ("*_3d_*.npz", "*_gt.npz")

    def write(self, root: Path) -> None:
        importlib.import_module("layouts.human36m").write(root)

    def read_files(self) -> None:
        solid = human36m._subjects(self.root / "data_3d_h36m.npz", "positions_3d")
        flat = human36m._subjects(self.root / "data_2d_h36m_gt.npz", "positions_2d")
        for subject in ("S9", "S11"):
            for action in human36m._of(self.root, solid, subject):
                human36m._kept(self.root, subject, action, solid[subject][action])
            human36m._of(self.root, flat, subject)


class MpiInf3dhp(DataSet):
    """MATLAB 7.3 and text."""

    name, about = "mpi_inf_3dhp", "MPI-INF-3DHP: MATLAB 7.3 of the test set, text of calibrations"
    patterns = ("*.mat", "camera.calibration")

    def write(self, root: Path) -> None:
        layout = importlib.import_module("layouts.mpi_inf_3dhp")
        layout.write_test(root, 5)
        layout.write_train(root)
        (root / "S1" / "Seq1" / "annot.mat").unlink()  # a gigabyte of numbers takes a while

    def read_files(self) -> None:
        for clip in mpi_inf_3dhp.open_test(self.root):
            sum(1 for _ in clip.ground_truth())
            clip.labels_at(0)
        mpi_inf_3dhp.read_calibration(self.root / "S1" / "Seq1" / "camera.calibration")


class Samples(DataSet):
    """Shards, pseudo-labels and the sample store made of them."""

    name, about = "samples", "shards, pseudo-labels and sample stores: NPZ, JSON, raw arrays"
    patterns = ("*.npz", "*.json", "*.bin")

    def write(self, root: Path) -> None:
        clips = walkers.write_clips(root, clips=1, frames=2)
        labels = LabelFiles.of_clips(root / "labels", clips)
        build_store(clips, labels, root / "store", walkers.SETTINGS, progress=False, teacher=labels.teacher)

    def read_files(self) -> None:
        read_clips(open_clips(self.root / "clips"))
        for path in sorted((self.root / "labels").rglob("*.npz")):
            read_keypoints(path)
        store = SampleStore(self.root / "store")
        for name in store.about["arrays"]:
            store[name][:1]
        _ = store.teacher, store.centers


class FrameFolders(DataSet):
    """Images, JSON of a camera, table of stamps."""

    name, about = "frame_folders", "folders of frames: camera_info.json, stamps.csv, PNG, JPEG"
    patterns = ("*.json", "*.csv", "*.png", "*.jpg")

    def write(self, root: Path) -> None:
        write_frame_folder(root, (walkers.frame(0, number) for number in range(2)))

    def read_files(self) -> None:
        from unipose_training.datasets.real_frames import _guarded

        sum(1 for _ in _guarded(self.root, read_frame_folder(self.root)))


class Predictions(DataSet):
    """Poses for ITOP as text, NumPy, MATLAB and JSON."""

    name, about = "predictions", "predictions for ITOP: text, NPY, MATLAB, JSON"
    patterns = ("p.*",)

    def write(self, root: Path) -> None:
        layout = importlib.import_module("layouts.itop")
        layout.write(root)
        poses = layout.joints(len(layout.IDS)).astype(np.float64)
        np.savetxt(root / "p.txt", poses.reshape(len(poses), -1))
        np.save(root / "p.npy", poses)
        scipy.io.savemat(root / "p.mat", {"poses": poses})
        (root / "p.json").write_text(json.dumps(dict(zip(layout.IDS, poses.tolist(), strict=True))))

    def generate(self, rng: random.Random) -> bytes:
        name = rng.choice(sorted(self.files))
        return pack([(name, spoil(rng, name, self.files[name]))])

    def read(self, case: bytes) -> None:
        self.spoiled = [self.root / name for name, _ in unpack(case) if name in self.files]
        super().read(case)

    def read_files(self) -> None:
        truth = ItopFile.open(self.root, "side", "test", labels_alone=True)
        for path in getattr(self, "spoiled", [self.root / name for name in self.files]):
            align_predictions(read_predictions(path), truth)


SURFACES = (
    Itop, Panoptic, Ntu, ThreeDpw, RealFrames, Coco, Human36m, MpiInf3dhp, Samples, FrameFolders, Predictions,
)  # fmt: skip
