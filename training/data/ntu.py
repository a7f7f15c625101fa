"""NTU RGB+D 60 (Shahroudy et al., CVPR 2016): one or two people acting, Kinect v2 depth.

ROOT/nturgb+d_depth_masked/NAME/MDepth-%08d.png (or nturgb+d_depth/NAME/Depth-%08d.png), from 1,
uint16 millimetres, ROOT/nturgb+d_skeletons/NAME.skeleton and, for colour, ROOT/nturgb+d_rgb/NAME_rgb.avi,
frame for frame; NAME is SsssCcccPpppRrrrAaaa.

The skeletons are the Kinect's estimates, not truth: a clip's ``truth()`` is empty, and they are to
be had under their own name. No calibration is published; intrinsics are fitted to the skeletons'
own projections, for each depth and colour camera of each setup.

Kinect camera space is right-handed with z forward and y up, so x points to the sensor's left. Where
depthX grows with x the pictures are stored as in a mirror; they are then turned back.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import depth_to_points
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.images import to_metres
from unipose_ros.skeletons import NTU25
from unipose_training.data.errors import DataError
from unipose_training.data.labels import FIRST_STAMP_NS, IndexedClip, Labels2D, true_skeletons
from unipose_training.data.ntu_cameras import AXES, HEIGHT, WIDTH, NtuCamera, fitted_camera, fitted_colour_camera
from unipose_training.data.ntu_skeleton import (
    SAMPLE_NAME,
    TRACKED,
    KinectBodies,
    missing_skeletons,
    read_skeleton_file,
)
from unipose_training.data.pictures import read_depth_file
from unipose_training.data.registration import registered_colour
from unipose_training.data.videos import read_video_frame

PERIOD_NS = 33_333_333
#: Samples of NTU RGB+D 60, and how many of them have no skeletons.
PUBLISHED_SAMPLES, PUBLISHED_MISSING = 56_880, 302
#: Performers of the cross-subject training set, and cameras of the cross-view training set.
TRAIN_PERFORMERS = (1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38)
TRAIN_CAMERAS = (2, 3)
SPLITS = ("xsub_train", "xsub_test", "xview_train", "xview_test", "all")


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
        match = SAMPLE_NAME.fullmatch(name)
        if match is None:
            raise DataError(f"'{name}' is no sample of NTU RGB+D; names are like S001C002P003R002A013")
        return cls(*(int(part) for part in match.groups()))

    def is_in(self, split: str) -> bool:
        """Whether the sample belongs to one of :data:`SPLITS`."""
        trains = {"xsub": self.performer in TRAIN_PERFORMERS, "xview": self.camera in TRAIN_CAMERAS}
        protocol, _, part = split.partition("_")
        return split == "all" or trains[protocol] == (part == "train")


class NtuClip(IndexedClip):
    """One sample.

    Args:
        root: of the data set.
        folder: of its depth pictures.
        has_skeletons: it is not on the list of those without.
        colour: its video; ``None`` leaves colour out.
    """

    def __init__(self, root: Path, folder: Path, has_skeletons: bool, colour: Path | None = None) -> None:
        self._pictures = sorted(folder.glob("*Depth-*.png"))
        if not self._pictures:
            raise DataError(f"{folder}: no MDepth-*.png or Depth-*.png; unpack the sample again")
        sample = SampleName.parse(folder.name)
        super().__init__(folder.name, f"S{sample.setup:03d}C{sample.camera:03d}", len(self._pictures))
        self._root, self._has_skeletons, self._video = root, has_skeletons, colour
        self._frame_id = f"ntu_{self.subset.lower()}_depth_optical_frame"

    @property
    def camera(self) -> NtuCamera:
        """Fitted when first asked for."""
        return fitted_camera(self._root, self.subset)

    @property
    def has_colour(self) -> bool:
        """Whether frames have colour."""
        return self._video is not None

    def frame_at(self, index: int) -> RgbdFrame:
        """Depth, and colour registered to it where there is a video; masked depth is 0 outside people."""
        path = self._pictures[index]
        stored = read_depth_file(path)
        if stored.shape != (HEIGHT, WIDTH):
            raise DataError(f"{path}: {stored.shape[1]}x{stored.shape[0]} pixels, expected {WIDTH}x{HEIGHT}")
        camera = self.camera
        picture = np.ascontiguousarray(stored[:, ::-1]) if camera.mirrored else stored
        depth = to_metres(picture)
        return RgbdFrame(self._stamp(index), self._frame_id, camera.camera, depth, self._colour(index, depth))

    def kinect_skeletons_at(self, index: int) -> Skeletons | None:
        """The Kinect's own estimate in the optical frame, joint set ntu25; ``None`` without one."""
        bodies = self._bodies(index)
        if bodies is None:
            return None
        positions = np.where((bodies.tracking > 0)[..., None], bodies.positions * AXES, np.nan)
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

    def _colour(self, index: int, depth: NDArray[np.float32]) -> NDArray[np.uint8] | None:
        if self._video is None:
            return None
        picture = read_video_frame(self._video, index)
        if picture is None:  # the two streams may differ by a frame at the end
            return None
        points = depth_to_points(self.camera.camera, _without_holes(depth)) * AXES
        return registered_colour(picture, fitted_colour_camera(self._root, self.subset).project(points))

    def _bodies(self, index: int) -> KinectBodies | None:
        if not self._has_skeletons:
            return None
        frames = _skeletons_of(_skeleton_path(self._root, self.name))
        # The two streams may differ by a frame at the end.
        return frames[index] if index < len(frames) else None

    def _stamp(self, index: int) -> int:
        number = int(self._pictures[index].stem.rpartition("-")[2])
        return FIRST_STAMP_NS + (number - 1) * PERIOD_NS


def open_ntu(root: Path, split: str = "all", masked: bool = True, colour: bool | None = False) -> list[NtuClip]:
    """All samples of a split.

    Args:
        masked: ``nturgb+d_depth_masked``, else the full ``nturgb+d_depth``.
        colour: read the videos; ``None``: those that are there.

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
    return [NtuClip(root, folder, folder.name not in missing, _video(root, folder.name, colour)) for folder in folders]


def _video(root: Path, name: str, wanted: bool | None) -> Path | None:
    path = root / "nturgb+d_rgb" / f"{name}_rgb.avi"
    there = path.exists() if wanted is None else wanted
    return path if there else None


def _without_holes(depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Where depth is masked or has no reading, colour is looked up as at the people's distance."""
    seen = depth > 0
    return np.where(seen, depth, np.median(depth[seen]) if seen.any() else 1.0).astype(np.float32)


def _skeleton_path(root: Path, name: str) -> Path:
    return root / "nturgb+d_skeletons" / f"{name}.skeleton"


@lru_cache(maxsize=4)
def _skeletons_of(path: Path) -> list[KinectBodies]:
    return read_skeleton_file(path)
