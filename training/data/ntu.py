"""NTU RGB+D 60 (Shahroudy et al., CVPR 2016): one or two people acting, Kinect v2 depth.

ROOT/nturgb+d_depth_masked/NAME/MDepth-%08d.png (or nturgb+d_depth/NAME/Depth-%08d.png), from 1,
uint16 millimetres, and ROOT/nturgb+d_skeletons/NAME.skeleton; NAME is SsssCcccPpppRrrrAaaa.

The skeletons are the Kinect's estimates, not truth: a clip's ``truth()`` is empty, and they are to
be had under their own name. No calibration is published; intrinsics are fitted to the skeletons'
own projections, for each camera of each setup.

Kinect camera space is right-handed with z forward and y up, so x points to the sensor's left. Where
depthX grows with x the pictures are stored as in a mirror; they are then turned back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.images import to_metres
from unipose_ros.skeletons import NTU25
from unipose_training.data.errors import DataError
from unipose_training.data.fitted_camera import FittedPinhole, fit_pinhole
from unipose_training.data.labels import FIRST_STAMP_NS, IndexedClip, Labels2D, true_skeletons
from unipose_training.data.ntu_skeleton import TRACKED, KinectBodies, read_skeleton_file
from unipose_training.data.pictures import read_depth_file

WIDTH, HEIGHT = 512, 424
PERIOD_NS = 33_333_333
#: Samples of NTU RGB+D 60, and how many of them have no skeletons.
PUBLISHED_SAMPLES, PUBLISHED_MISSING = 56_880, 302
#: Performers of the cross-subject training set, and cameras of the cross-view training set.
TRAIN_PERFORMERS = (1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38)
TRAIN_CAMERAS = (2, 3)
SPLITS = ("xsub_train", "xsub_test", "xview_train", "xview_test", "all")

#: Kinect camera space into the optical frame.
_AXES = np.array([-1.0, -1.0, 1.0])
#: Clips whose skeletons decide a camera.
_FIT_CLIPS = 20
_MISSING = "NTU_RGBD_samples_with_missing_skeletons.txt"
_NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})")


@dataclass(frozen=True)
class SampleName:
    """What a sample's name says."""

    setup: int
    camera: int
    performer: int
    replication: int
    action: int

    @classmethod
    def parse(cls, name: str) -> SampleName:
        """Read ``SsssCcccPpppRrrrAaaa``.

        Raises:
            DataError: it is no such name.
        """
        match = _NAME.fullmatch(name)
        if match is None:
            raise DataError(f"'{name}' is no sample of NTU RGB+D; names are like S001C002P003R002A013")
        return cls(*(int(part) for part in match.groups()))

    def is_in(self, split: str) -> bool:
        """Whether the sample belongs to one of :data:`SPLITS`."""
        trains = {"xsub": self.performer in TRAIN_PERFORMERS, "xview": self.camera in TRAIN_CAMERAS}
        protocol, _, part = split.partition("_")
        return split == "all" or trains[protocol] == (part == "train")


@dataclass(frozen=True)
class NtuCamera:
    """A depth camera, and whether its pictures are stored as in a mirror."""

    camera: Camera
    mirrored: bool
    residual_px: float


class NtuClip(IndexedClip):
    """One sample.

    Args:
        root: of the data set.
        folder: of its depth pictures.
        has_skeletons: it is not on the list of those without.
    """

    def __init__(self, root: Path, folder: Path, has_skeletons: bool) -> None:
        self._pictures = sorted(folder.glob("*Depth-*.png"))
        if not self._pictures:
            raise DataError(f"{folder}: no MDepth-*.png or Depth-*.png; unpack the sample again")
        sample = SampleName.parse(folder.name)
        super().__init__(folder.name, f"S{sample.setup:03d}C{sample.camera:03d}", len(self._pictures))
        self._root, self._has_skeletons = root, has_skeletons
        self._frame_id = f"ntu_{self.subset.lower()}_depth_optical_frame"

    @property
    def camera(self) -> NtuCamera:
        """Fitted when first asked for."""
        return fitted_camera(self._root, self.subset)

    def frame_at(self, index: int) -> RgbdFrame:
        """Depth; masked depth is 0 outside people."""
        path = self._pictures[index]
        stored = read_depth_file(path)
        if stored.shape != (HEIGHT, WIDTH):
            raise DataError(f"{path}: {stored.shape[1]}x{stored.shape[0]} pixels, expected {WIDTH}x{HEIGHT}")
        camera = self.camera
        picture = np.ascontiguousarray(stored[:, ::-1]) if camera.mirrored else stored
        return RgbdFrame(self._stamp(index), self._frame_id, camera.camera, to_metres(picture))

    def kinect_skeletons_at(self, index: int) -> Skeletons | None:
        """The Kinect's own estimate in the optical frame, joint set ntu25; ``None`` without one."""
        bodies = self._bodies(index)
        if bodies is None:
            return None
        positions = np.where((bodies.tracking > 0)[..., None], bodies.positions * _AXES, np.nan)
        tracked = bodies.tracking == TRACKED
        return true_skeletons(self._stamp(index), self._frame_id, positions, tracked, bodies.ids, NTU25)

    def kinect_labels_at(self, index: int) -> Labels2D | None:
        """Where the Kinect says its joints are in the picture of :meth:`frame_at`."""
        bodies, skeletons = self._bodies(index), self.kinect_skeletons_at(index)
        if bodies is None or skeletons is None:
            return None
        pixels = bodies.depth_pixels.copy()
        if self.camera.mirrored:
            pixels[..., 0] = WIDTH - 1 - pixels[..., 0]
        return Labels2D(pixels.astype(np.float32), skeletons.status, bodies.ids, NTU25)

    def _bodies(self, index: int) -> KinectBodies | None:
        if not self._has_skeletons:
            return None
        frames = _skeletons_of(_skeleton_path(self._root, self.name))
        # The two streams may differ by a frame at the end.
        return frames[index] if index < len(frames) else None

    def _stamp(self, index: int) -> int:
        number = int(self._pictures[index].stem.rpartition("-")[2])
        return FIRST_STAMP_NS + (number - 1) * PERIOD_NS


def open_ntu(root: Path, split: str = "all", masked: bool = True) -> list[NtuClip]:
    """All samples of a split.

    Args:
        masked: ``nturgb+d_depth_masked``, else the full ``nturgb+d_depth``.

    Raises:
        DataError: there are none, or something is missing.
    """
    if split not in SPLITS:
        raise DataError(f"split = '{split}': NTU RGB+D has {', '.join(SPLITS)}")
    depth = root / ("nturgb+d_depth_masked" if masked else "nturgb+d_depth")
    missing = missing_skeletons(root)
    folders = sorted(path for path in depth.glob("S*") if path.is_dir() and SampleName.parse(path.name).is_in(split))
    if not folders:
        raise DataError(f"{depth}: no samples of '{split}'; unpack the depth there")
    return [NtuClip(root, folder, folder.name not in missing) for folder in folders]


def missing_skeletons(root: Path) -> frozenset[str]:
    """Names of the samples without skeletons.

    Raises:
        DataError: the list is not there; it is published beside the data set.
    """
    path = root / _MISSING
    if not path.exists():
        raise DataError(f"{path}: not found; take it from the repository shahroudy/NTURGB-D")
    words = path.read_text(encoding="utf-8", errors="replace").split()
    return frozenset(word for word in words if _NAME.fullmatch(word))


@lru_cache(maxsize=64)
def fitted_camera(root: Path, setup_and_camera: str) -> NtuCamera:
    """The camera ``SsssCccc``, from the skeletons of its first clips by name.

    Raises:
        DataError: there are too few skeletons of it.
    """
    missing = missing_skeletons(root)
    files = sorted((root / "nturgb+d_skeletons").glob(f"{setup_and_camera}*.skeleton"))
    chosen = [path for path in files if path.stem not in missing][:_FIT_CLIPS]
    bodies = [frame for path in chosen for frame in read_skeleton_file(path)]
    tracked = [b.joints[b.tracking == TRACKED] for b in bodies]
    joints = np.concatenate(tracked) if tracked else np.zeros((0, 12))
    try:
        return _camera(fit_pinhole(joints[:, :3], joints[:, 3:5]))
    except DataError as error:
        raise DataError(f"{root}/nturgb+d_skeletons/{setup_and_camera}*.skeleton: {error}") from error


def _camera(fit: FittedPinhole) -> NtuCamera:
    # fy < 0: y points up, rows count down. fx > 0: the picture's right is the sensor's left, a mirror.
    if fit.fy >= 0:
        raise DataError(f"camera fit: depthY grows with y (fy = {fit.fy:.1f}); these are not Kinect skeletons")
    mirrored = fit.fx > 0
    cx = WIDTH - 1 - fit.cx if mirrored else fit.cx
    camera = Camera(fx=abs(fit.fx), fy=abs(fit.fy), cx=cx, cy=fit.cy, width=WIDTH, height=HEIGHT)
    return NtuCamera(camera, mirrored, fit.residual_px)


def _skeleton_path(root: Path, name: str) -> Path:
    return root / "nturgb+d_skeletons" / f"{name}.skeleton"


@lru_cache(maxsize=4)
def _skeletons_of(path: Path) -> list[KinectBodies]:
    return read_skeleton_file(path)


def depth_to_colour_homography(bodies: list[KinectBodies]) -> NDArray[np.float64]:
    """(3, 3) stored depth pixels -> stored colour pixels, by RANSAC over the skeletons' projections.

    Approximate: it holds for the distance at which the people stood.

    Raises:
        DataError: there are too few joints.
    """
    import cv2

    joints = np.concatenate([b.joints[b.tracking == TRACKED] for b in bodies]) if bodies else np.zeros((0, 12))
    pairs = joints[np.isfinite(joints[:, 3:7]).all(axis=1), 3:7]
    matrix = None
    if len(pairs) >= 4:
        matrix, _ = cv2.findHomography(pairs[:, :2], pairs[:, 2:], cv2.RANSAC, 5.0)
    if matrix is None:
        raise DataError(f"homography: {len(pairs)} joints do not determine it; use more clips")
    return np.asarray(matrix, np.float64)
