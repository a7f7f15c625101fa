"""MPI-INF-3DHP (Mehta et al., 3DV 2017): poses in a green studio to train on, images to test on.

Training: ROOT/S{1..8}/Seq{1,2}/annot.mat (MATLAB 5) with ``annot2``, ``annot3``, ``univ_annot3``, a
cell for each of 14 cameras, 28 joints in millimeters; and ``camera.calibration``. The images are
videos and are not read. Test: ROOT/mpi_inf_3dhp_test_set/TS{1..6}/annot_data.mat (MATLAB 7.3, HDF5)
and ``imageSequence/img_%06d.jpg`` from 1. All positions are in the camera's optical frame.

The test set has no calibration: intrinsics are fitted to its own projections; where that is not
possible they are those of the lenses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera
from unipose_ros.frame import RgbdFrame, Skeletons, in_image
from unipose_training.datasets.base import FIRST_STAMP_NS, IndexedClip, Labels2D, joint_status, true_skeletons
from unipose_training.datasets.cameras import PoseSequence, fit_pinhole
from unipose_training.datasets.data_set import Count, DataSet, Inventory, Panel, evenly_spaced, pose_panel, sample_clips
from unipose_training.datasets.io import dataset, read, read_color_file
from unipose_training.datasets.joint_sets import MPI17
from unipose_training.datasets.matlab import read_mat
from unipose_training.errors import DataError, reading

#: Of the 28 training joints, those of the test set in its order.
KEPT = (7, 5, 14, 15, 16, 9, 10, 11, 23, 24, 25, 18, 19, 20, 4, 3, 6)
#: Frames and rate of the training sequences (subject, sequence); labels run on after the video ends.
TRAIN_FRAMES = {
    (1, 1): (6416, 25), (1, 2): (12430, 50), (2, 1): (6502, 25), (2, 2): (6081, 25), (3, 1): (12488, 50),
    (3, 2): (12283, 50), (4, 1): (6171, 25), (4, 2): (6675, 25), (5, 1): (12820, 50), (5, 2): (12312, 50),
    (6, 1): (6188, 25), (6, 2): (6145, 25), (7, 1): (6239, 25), (7, 2): (6320, 25), (8, 1): (6468, 25),
    (8, 2): (6054, 25),
}  # fmt: skip
#: Frames of all six test sequences that count.
PUBLISHED_TEST_FRAMES = 2_929
#: Image sizes and focal lengths (mm, on a sensor 10 mm wide) of the test sequences.
TEST_LENSES = {number: (2048, 2048, 7.32) if number <= 4 else (1920, 1080, 8.77) for number in range(1, 7)}
_SENSOR_MM = 10.0
_CAMERAS = 14
_RAW_JOINTS = 28
#: Nominal; the test set has no clock.
_TEST_PERIOD_NS = 40_000_000
#: A fit worse than this, pixels, is not used.
_MAX_RESIDUAL_PX = 3.0


@dataclass(frozen=True, eq=False)
class _Labels:
    """What is kept of ``annot_data.mat``: (N, 17, 3) meters, (N, 17, 2) pixels, (N,) flags."""

    positions: NDArray[np.float64]
    pixels: NDArray[np.float32]
    valid: NDArray[np.bool_]


class TestClip(IndexedClip):
    """One test sequence ``TS{number}``. Frames that do not count are there, without ground truth.

    Args:
        universal: joints of the skeleton scaled to one height, which the published figures are of.
    """

    __test__ = False  # not one of pytest's

    def __init__(self, folder: Path, universal: bool = False) -> None:
        self._number = _test_number(folder)
        path = folder / "annot_data.mat"
        self._labels = _read_labels(path, "univ_annot3" if universal else "annot3")
        self._camera = _test_camera(self._number, _read_labels(path, "annot3"))
        self._folder = folder / "imageSequence"
        self._frame_id = f"mpi_inf_3dhp_ts{self._number}_optical_frame"
        super().__init__(folder.name, "test", len(self._labels.valid), folder)

    @property
    def camera(self) -> Camera:
        """Fitted, or of the lens."""
        return self._camera

    def frame_at(self, index: int) -> RgbdFrame:
        """Color only."""
        path = self._folder / f"img_{index + 1:06d}.jpg"
        image = read_color_file(path)
        if image.shape[:2] != (self._camera.height, self._camera.width):
            size = f"{image.shape[1]}x{image.shape[0]}"
            raise DataError(f"{path}: {size} pixels, expected {self._camera.width}x{self._camera.height}")
        return RgbdFrame(self._stamp(index), self._frame_id, self._camera, None, image)

    def ground_truth_at(self, index: int) -> Skeletons | None:
        """``None`` where the frame does not count. What is hidden is not known: all in the image is MEASURED."""
        if not self._labels.valid[index]:
            return None
        positions = self._labels.positions[index : index + 1]
        visible = in_image(self._camera, positions)
        return true_skeletons(self._stamp(index), self._frame_id, positions, visible, ("0",), MPI17)

    def labels_at(self, index: int) -> Labels2D | None:
        """``None`` where the frame does not count."""
        if not self._labels.valid[index]:
            return None
        pixels = self._labels.pixels[index : index + 1]
        labeled = np.asarray(np.isfinite(pixels).all(axis=-1))
        return Labels2D(pixels, joint_status(labeled, labeled), ("0",), MPI17)

    def _stamp(self, index: int) -> int:
        return FIRST_STAMP_NS + index * _TEST_PERIOD_NS


def open_test(root: Path, universal: bool = False) -> list[TestClip]:
    """The test sequences that are there.

    Raises:
        DataError: there is none, or a file is damaged or of another version.
    """
    folders = sorted((root / "mpi_inf_3dhp_test_set").glob("TS*"))
    if not folders:
        raise DataError(f"{root / 'mpi_inf_3dhp_test_set'}: no TS1 to TS6; unpack the test set there")
    with reading(root, "check that it is a complete copy of mpi-inf-3dhp"):
        return [TestClip(folder, universal) for folder in folders]


def open_train(root: Path, universal: bool = False) -> Iterator[PoseSequence]:
    """Every camera of every training sequence that is there.

    Raises:
        DataError: there is none, or a file is missing, damaged or of another version.
    """
    folders = sorted(path.parent for path in root.glob("S[1-8]/Seq[12]/annot.mat"))
    if not folders:
        raise DataError(f"{root}: no S1/Seq1/annot.mat and so on; give the folder that holds S1 to S8")
    for folder in folders:
        yield from _train_sequences(folder, "univ_annot3" if universal else "annot3")


def read_calibration(path: Path) -> list[Camera]:
    """A "Skeletool Camera Calibration File V1.0": intrinsics in the order of the file.

    Raises:
        DataError: it is missing or has another layout.
    """
    what, remedy = "no readable camera calibration", "take the publishers' own file"
    if not path.exists():
        raise DataError(f"{path}: {what}; {remedy}")
    with reading(path, remedy, what):
        lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
        sizes = [(int(line[1]), int(line[2])) for line in lines if line[:1] == ["size"]]
        matrices = [[float(v) for v in line[1:17]] for line in lines if line[:1] == ["intrinsic"]]
        return [
            Camera(fx=m[0], fy=m[5], cx=m[2], cy=m[6], width=w, height=h)
            for m, (w, h) in zip(matrices, sizes, strict=True)
        ]


def _train_sequences(folder: Path, key: str) -> Iterator[PoseSequence]:
    path = folder / "annot.mat"
    record = read_mat(path, {key, "annot2"})
    cameras = read_calibration(folder / "camera.calibration")
    with reading(path):
        frames, rate = TRAIN_FRAMES[int(folder.parent.name[1:]), int(folder.name[3:])]
        solid, flat = _cells(path, record, key, 3), _cells(path, record, "annot2", 2)
    for number, (positions, pixels) in enumerate(zip(solid, flat, strict=True)):
        if number >= len(cameras):
            raise DataError(
                f"{folder / 'camera.calibration'}: holds {len(cameras)} cameras, the labels need {_CAMERAS}"
            )
        yield PoseSequence(
            name=f"{folder.parent.name}/{folder.name}/{number}",
            subset="train",
            joint_set=MPI17,
            camera=cameras[number],
            rate_hz=float(rate),
            positions=positions[:frames] * np.float32(0.001),
            pixels=pixels[:frames],
            valid=np.ones(len(positions[:frames]), np.bool_),
        )


def _cells(path: Path, record: Mapping[str, NDArray[Any]], key: str, axes: int) -> list[NDArray[np.float32]]:
    """A cell array with (N, 28 * axes) for each camera -> (N, 17, axes) each."""
    if key not in record:
        raise DataError(f"{path}: key '{key}' is missing, there are {sorted(record)}; take the publishers' own file")
    found = [np.asarray(cell) for cell in np.asarray(record[key], object).ravel()]
    if len(found) != _CAMERAS or any(cell.ndim != 2 or cell.shape[1] != _RAW_JOINTS * axes for cell in found):
        shapes = [list(cell.shape) for cell in found[:2]]
        wanted = f"{_CAMERAS} of [n, {_RAW_JOINTS * axes}]"
        raise DataError(f"{path}: key '{key}' has {len(found)} cells like {shapes}, expected {wanted}")
    return [cell.reshape(-1, _RAW_JOINTS, axes)[:, list(KEPT)].astype(np.float32) for cell in found]


def _read_labels(path: Path, key: str) -> _Labels:
    joints = len(MPI17)
    positions = read(dataset(path, key, (None, 1, joints, 3), "f"), slice(None))[:, 0] / 1000
    pixels = read(dataset(path, "annot2", (None, 1, joints, 2), "f"), slice(None))[:, 0]
    # A column in MATLAB, which HDF5 turns into a row in some files.
    valid = read(dataset(path, "valid_frame", (None, None), "fiub"), slice(None)).ravel() != 0
    if not len(positions) == len(pixels) == len(valid):
        counts = {key: len(positions), "annot2": len(pixels), "valid_frame": len(valid)}
        raise DataError(f"{path}: keys {counts} differ in length; download it again")
    return _Labels(positions.astype(np.float64), pixels.astype(np.float32), valid)


def _test_camera(number: int, labels: _Labels) -> Camera:
    width, height, focal_mm = TEST_LENSES[number]
    valid = labels.valid
    try:
        fit = fit_pinhole(labels.positions[valid].reshape(-1, 3), labels.pixels[valid].reshape(-1, 2))
        if fit.residual_px <= _MAX_RESIDUAL_PX and fit.fx > 0 and fit.fy > 0:
            return Camera(fit.fx, fit.fy, fit.cx, fit.cy, width, height)
    except DataError:
        pass  # too few frames to fit: the lens is known
    focal = focal_mm / _SENSOR_MM * width
    return Camera(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)


def _test_number(folder: Path) -> int:
    text = folder.name.removeprefix("TS")
    if not text.isdigit() or int(text) not in TEST_LENSES:
        raise DataError(f"{folder}: the test sequences are TS1 to TS6")
    return int(text)


def _open(root: Path, subset: str) -> Sequence[IndexedClip]:
    if subset not in ("", "test"):
        raise DataError(f"subset = '{subset}': of MPI-INF-3DHP only 'test' has images")
    return open_test(root)


def _inventory(root: Path, samples: int) -> Inventory:
    """Training and test set, whichever is there."""
    counts: list[Count] = []
    panels: list[Panel] = []
    if list(root.glob("S[1-8]/Seq[12]/annot.mat")):
        sequences = list(open_train(root))
        names = {sequence.name.rpartition("/")[0] for sequence in sequences}
        counts.append(Count("training sequences", len(names), len(TRAIN_FRAMES)))
        panels += [pose_panel(sequences[n]) for n in evenly_spaced(len(sequences), max(1, samples // 2))]
    if not counts or (root / "mpi_inf_3dhp_test_set").is_dir():
        clips = open_test(root)
        valid = sum(len(list(clip.ground_truth())) for clip in clips)
        counts.append(Count("test sequences", len(clips), len(TEST_LENSES)))
        counts.append(Count("test frames that count", valid, PUBLISHED_TEST_FRAMES))
        panels += sample_clips(clips, max(1, samples // 2))
    return Inventory(tuple(counts), panels=tuple(panels))


DATA_SET = DataSet("mpi-inf-3dhp", _open, {"test": "test"}, _inventory)
