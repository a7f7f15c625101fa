"""NTU RGB+D 60 (Shahroudy et al., CVPR 2016): one or two people acting, Kinect v2 depth.

ROOT/nturgb+d_depth_masked/NAME/MDepth-%08d.png (or nturgb+d_depth/NAME/Depth-%08d.png), from 1,
uint16 millimeters, ROOT/nturgb+d_skeletons/NAME.skeleton and, for color, ROOT/nturgb+d_rgb/NAME_rgb.avi,
frame for frame; NAME is SsssCcccPpppRrrrAaaa.

The skeletons are the Kinect's estimates, not ground truth: a clip's ``ground_truth()`` is empty, and they are to
be had under their own name. No calibration is published; intrinsics are fitted to the skeletons'
own projections, for each depth and color camera of each setup.

Kinect camera space is right-handed with z forward and y up, so x points to the sensor's left. Where
depthX grows with x the images are stored as in a mirror; they are then turned back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, depth_to_points
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.images import to_meters
from unipose_ros.joint_sets import NTU25
from unipose_training.datasets.base import FIRST_STAMP_NS, IndexedClip, Labels2D, true_skeletons
from unipose_training.datasets.cameras import FittedNeighbor, FittedPinhole, fit_neighbor, fit_pinhole, registered_color
from unipose_training.datasets.data_set import Count, DataSet, Inventory, Panel, clip_panel, evenly_spaced, labels_panel
from unipose_training.datasets.io import read_depth_file, read_video_frame
from unipose_training.errors import DataError, reading

# NTU RGB+D's text files of Kinect v2 skeletons (shahroudy/NTURGB-D).
#
# frames
#   bodies                                              per frame
#     id clippedEdges ... leanY trackingState           per body, 10 values
#     25
#     x y z depthX depthY colorX colorY qw qx qy qz trackingState


_JOINTS = 25
_BODY_VALUES, _JOINT_VALUES = 10, 12
#: Kinect's trackingState of a joint that was seen; 1 is inferred, 0 not tracked.
TRACKED = 2
#: Setup, camera, performer, replication, action.
SAMPLE_NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})")
_MISSING = "NTU_RGBD_samples_with_missing_skeletons.txt"


@dataclass(frozen=True, eq=False)
class KinectBodies:
    """The N bodies that the Kinect found in a frame.

    Attributes:
        ids: of the bodies.
        joints: (N, 25, 12) the values of each joint, in the order of the file.
    """

    ids: tuple[str, ...]
    joints: NDArray[np.float64]

    @property
    def positions(self) -> NDArray[np.float64]:
        """(N, 25, 3) meters in Kinect camera space: x to the sensor's left, y up, z forward."""
        return self.joints[..., :3]

    @property
    def depth_pixels(self) -> NDArray[np.float64]:
        """(N, 25, 2) in the stored depth image."""
        return self.joints[..., 3:5]

    @property
    def tracking(self) -> NDArray[np.int64]:
        """(N, 25) trackingState."""
        return self.joints[..., 11].astype(np.int64)


def read_skeleton_file(path: Path) -> list[KinectBodies]:
    """All frames of a ``.skeleton`` file.

    Raises:
        DataError: it is missing, ends early, or does not have the layout above.
    """
    with reading(path, "unpack nturgb+d_skeletons again", "no readable skeleton file"):
        return _Lines(path, path.read_text(encoding="ascii").split("\n")).frames()


class _Lines:
    """A place in the file."""

    def __init__(self, path: Path, lines: list[str]) -> None:
        self._path, self._lines, self._next = path, lines, 0

    def frames(self) -> list[KinectBodies]:
        return [self._bodies() for _ in range(self._whole_number("frame count"))]

    def _bodies(self) -> KinectBodies:
        bodies = [self._body() for _ in range(self._whole_number("body count"))]
        joints = np.array([joints for _, joints in bodies], np.float64).reshape(-1, _JOINTS, _JOINT_VALUES)
        return KinectBodies(tuple(name for name, _ in bodies), joints)

    def _body(self) -> tuple[str, list[list[float]]]:
        name = self._values(_BODY_VALUES, "body")[0]
        count = self._whole_number("joint count")
        if count != _JOINTS:
            raise self._wrong(f"{count} joints, a Kinect v2 has {_JOINTS}")
        return name, [self._joint() for _ in range(_JOINTS)]

    def _joint(self) -> list[float]:
        values = self._values(_JOINT_VALUES, "joint")
        try:
            return [float(value) for value in values]
        except ValueError as error:
            raise self._wrong(str(error)) from error

    def _whole_number(self, what: str) -> int:
        (text,) = self._values(1, what)
        if not text.isdigit():
            raise self._wrong(f"{what} is '{text}'")
        return int(text)

    def _values(self, count: int, what: str) -> list[str]:
        line = self._lines[self._next] if self._next < len(self._lines) else ""
        self._next += 1
        values = line.split()
        if len(values) != count:
            raise self._wrong(f"{what} has {len(values)} values, expected {count}; the file ends early or is damaged")
        return values

    def _wrong(self, text: str) -> DataError:
        return DataError(f"{self._path}, line {self._next}: {text}; unpack nturgb+d_skeletons again")


def missing_skeletons(root: Path) -> frozenset[str]:
    """Names of the samples without skeletons.

    Raises:
        DataError: the list is not there; it is published beside the data set.
    """
    path = root / _MISSING
    if not path.exists():
        raise DataError(f"{path}: not found; take it from the repository shahroudy/NTURGB-D")
    words = path.read_text(encoding="utf-8", errors="replace").split()
    return frozenset(word for word in words if SAMPLE_NAME.fullmatch(word))


# NTU RGB+D's cameras. None are published; skeletons say where their joints are in space and in both images.
#
# Kinect camera space is that of the depth camera: right-handed, z forward, y up, x to the sensor's left.


#: Of depth.
WIDTH, HEIGHT = 512, 424
#: Kinect camera space into the optical frame, and back.
AXES = np.array([-1.0, -1.0, 1.0])
#: Clips whose skeletons decide a camera.
_FIT_CLIPS = 20


@dataclass(frozen=True)
class NtuCamera:
    """A depth camera, and whether its images are stored as in a mirror."""

    camera: Camera
    mirrored: bool
    residual_px: float


@lru_cache(maxsize=64)
def fitted_camera(root: Path, setup_and_camera: str) -> NtuCamera:
    """The camera ``SsssCccc``, from the skeletons of its first clips by name.

    Raises:
        DataError: there are too few skeletons of it.
    """
    joints = _joints_to_fit(root, setup_and_camera)
    try:
        return _camera(fit_pinhole(joints[:, :3], joints[:, 3:5]))
    except DataError as error:
        raise DataError(f"{root}/nturgb+d_skeletons/{setup_and_camera}*.skeleton: {error}") from error


@lru_cache(maxsize=64)
def fitted_color_camera(root: Path, setup_and_camera: str) -> FittedNeighbor:
    """Kinect camera space -> pixels of the color camera ``SsssCccc``, as :func:`fitted_camera`."""
    joints = _joints_to_fit(root, setup_and_camera)
    try:
        return fit_neighbor(joints[:, :3], joints[:, 5:7])
    except DataError as error:
        raise DataError(f"{root}/nturgb+d_skeletons/{setup_and_camera}*.skeleton: color {error}") from error


@lru_cache(maxsize=4)
def _joints_to_fit(root: Path, setup_and_camera: str) -> NDArray[np.float64]:
    """(N, 12) tracked joints of the camera's first clips by name."""
    missing = missing_skeletons(root)
    files = sorted((root / "nturgb+d_skeletons").glob(f"{setup_and_camera}*.skeleton"))
    chosen = [path for path in files if path.stem not in missing][:_FIT_CLIPS]
    bodies = [frame for path in chosen for frame in read_skeleton_file(path)]
    tracked = [b.joints[b.tracking == TRACKED] for b in bodies]
    return np.concatenate(tracked) if tracked else np.zeros((0, 12))


def _camera(fit: FittedPinhole) -> NtuCamera:
    # fy < 0: y points up, rows count down. fx > 0: the image's right is the sensor's left, a mirror.
    if fit.fy >= 0:
        raise DataError(f"camera fit: depthY grows with y (fy = {fit.fy:.1f}); these are not Kinect skeletons")
    mirrored = fit.fx > 0
    cx = WIDTH - 1 - fit.cx if mirrored else fit.cx
    camera = Camera(fx=abs(fit.fx), fy=abs(fit.fy), cx=cx, cy=fit.cy, width=WIDTH, height=HEIGHT)
    return NtuCamera(camera, mirrored, fit.residual_px)


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
        folder: of its depth images.
        has_skeletons: it is not on the list of those without.
        color: its video; ``None`` leaves color out.
    """

    def __init__(self, root: Path, folder: Path, has_skeletons: bool, color: Path | None = None) -> None:
        self._images = sorted(folder.glob("*Depth-*.png"))
        if not self._images:
            raise DataError(f"{folder}: no MDepth-*.png or Depth-*.png; unpack the sample again")
        sample = SampleName.parse(folder.name)
        super().__init__(folder.name, f"S{sample.setup:03d}C{sample.camera:03d}", len(self._images), folder)
        self._root, self._has_skeletons, self._video = root, has_skeletons, color
        self._frame_id = f"ntu_{self.subset.lower()}_depth_optical_frame"

    @property
    def camera(self) -> NtuCamera:
        """Fitted when first asked for."""
        return fitted_camera(self._root, self.subset)

    @property
    def has_color(self) -> bool:
        """Whether frames have color."""
        return self._video is not None

    def frame_at(self, index: int) -> RgbdFrame:
        """Depth, and color registered to it where there is a video; masked depth is 0 outside people."""
        path = self._images[index]
        stored = read_depth_file(path)
        if stored.shape != (HEIGHT, WIDTH):
            raise DataError(f"{path}: {stored.shape[1]}x{stored.shape[0]} pixels, expected {WIDTH}x{HEIGHT}")
        camera = self.camera
        image = np.ascontiguousarray(stored[:, ::-1]) if camera.mirrored else stored
        depth = to_meters(image)
        return RgbdFrame(self._stamp(index), self._frame_id, camera.camera, depth, self._color(index, depth))

    def kinect_skeletons_at(self, index: int) -> Skeletons | None:
        """The Kinect's own estimate in the optical frame, joint set ntu25; ``None`` without one."""
        bodies = self._bodies(index)
        if bodies is None:
            return None
        positions = np.where((bodies.tracking > 0)[..., None], bodies.positions * AXES, np.nan)
        tracked = bodies.tracking == TRACKED
        return true_skeletons(self._stamp(index), self._frame_id, positions, tracked, bodies.ids, NTU25)

    def kinect_labels_at(self, index: int) -> Labels2D | None:
        """Where the Kinect says its joints are in the image of :meth:`frame_at`."""
        bodies, skeletons = self._bodies(index), self.kinect_skeletons_at(index)
        if bodies is None or skeletons is None:
            return None
        pixels = bodies.depth_pixels.copy()
        if self.camera.mirrored:
            pixels[..., 0] = WIDTH - 1 - pixels[..., 0]
        return Labels2D(pixels.astype(np.float32), skeletons.status, bodies.ids, NTU25)

    def _color(self, index: int, depth: NDArray[np.float32]) -> NDArray[np.uint8] | None:
        if self._video is None:
            return None
        image = read_video_frame(self._video, index)
        if image is None:  # the two streams may differ by a frame at the end
            return None
        points = depth_to_points(self.camera.camera, _without_holes(depth)) * AXES
        return registered_color(image, fitted_color_camera(self._root, self.subset).project(points))

    def _bodies(self, index: int) -> KinectBodies | None:
        if not self._has_skeletons:
            return None
        frames = _skeletons_of(_skeleton_path(self._root, self.name))
        # The two streams may differ by a frame at the end.
        return frames[index] if index < len(frames) else None

    def _stamp(self, index: int) -> int:
        number = int(self._images[index].stem.rpartition("-")[2])
        return FIRST_STAMP_NS + (number - 1) * PERIOD_NS


def open_ntu(root: Path, split: str = "all", masked: bool = True, color: bool | None = False) -> list[NtuClip]:
    """All samples of a split.

    Args:
        masked: ``nturgb+d_depth_masked``, else the full ``nturgb+d_depth``.
        color: read the videos; ``None``: those that are there.

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
    return [NtuClip(root, folder, folder.name not in missing, _video(root, folder.name, color)) for folder in folders]


def _video(root: Path, name: str, wanted: bool | None) -> Path | None:
    path = root / "nturgb+d_rgb" / f"{name}_rgb.avi"
    there = path.exists() if wanted is None else wanted
    return path if there else None


def _without_holes(depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Where depth is masked or has no reading, color is looked up as at the people's distance."""
    seen = depth > 0
    return np.where(seen, depth, np.median(depth[seen]) if seen.any() else 1.0).astype(np.float32)


def _skeleton_path(root: Path, name: str) -> Path:
    return root / "nturgb+d_skeletons" / f"{name}.skeleton"


@lru_cache(maxsize=4)
def _skeletons_of(path: Path) -> list[KinectBodies]:
    return read_skeleton_file(path)


def _open(root: Path, subset: str) -> Sequence[IndexedClip]:
    return open_ntu(root, subset or "all", masked=(root / "nturgb+d_depth_masked").is_dir(), color=None)


def _inventory(root: Path, samples: int) -> Inventory:
    """Samples, skeletons, and how well each camera could be fitted."""
    masked = (root / "nturgb+d_depth_masked").is_dir()
    clips = open_ntu(root, masked=masked, color=None)
    skeletons = len(list((root / "nturgb+d_skeletons").glob("*.skeleton")))
    missing = missing_skeletons(root)
    counts = (
        Count("samples with depth", len(clips), PUBLISHED_SAMPLES),
        Count("of these with color", sum(clip.has_color for clip in clips)),
        Count("skeleton files", skeletons),
        Count("samples listed as without skeletons", len(missing), PUBLISHED_MISSING),
    )
    chosen = [clips[n] for n in evenly_spaced(len(clips), samples)]
    cameras = {clip.subset: clip.camera for clip in chosen}
    remarks = tuple(
        f"{name}: fitted f {c.camera.fx:.1f}, {c.camera.fy:.1f}, c {c.camera.cx:.1f}, {c.camera.cy:.1f} px, "
        f"{c.residual_px:.2f} px off{', stored as in a mirror' if c.mirrored else ''}"
        for name, c in sorted(cameras.items())
    )
    beside = {clip.subset: fitted_color_camera(root, clip.subset) for clip in chosen if clip.has_color}
    remarks += tuple(f"{name}: color camera fitted, {c.residual_px:.2f} px off" for name, c in sorted(beside.items()))
    return Inventory(counts, remarks, tuple(_ntu_panel(clip) for clip in chosen))


def _ntu_panel(clip: NtuClip) -> Panel:
    index = len(clip) // 2
    panel, labels = clip_panel(clip, index), clip.kinect_labels_at(index)
    return panel if labels is None else labels_panel(panel.caption, panel.image, labels)


DATA_SET = DataSet("ntu", _open, {"train": "xsub_train", "test": "xsub_test"}, _inventory)
