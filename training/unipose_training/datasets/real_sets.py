"""Data set ``real-frames``: RGB-D frames of real people in the layouts in which small sets are published.

A folder holds any of the sets of :data:`FOLDERS`, each in a folder of its own; whatever frames lie there are read.
They are for evaluation and calibration: nothing is to be trained on them. What is known of a frame differs: joints of a
motion capture system (``human4d``), masks of the people (``uc3m_kinect``, ``uva_person``), a number of people, nothing.

| folder | files |
|---|---|
| ``human4d`` | ``NAME_depth.png`` (uint16 mm), ``NAME_colour.jpg``, ``NAME.json`` with both cameras, the pose between them and ``people`` (``itop15_in_depth_frame``, ``itop15_in_colour_frame``, meters) |
| ``uc3m_kinect`` | ``NAME_depth.png``, ``NAME.jpg``, ``NAME_mask.png`` (a number for each person, or 255 for all people) |
| ``tue_robot`` | ``NAME_depth.png``, ``NAME.jpg``, one ``camera.json`` |
| ``lmb_rgbd_pose3d`` | ``color.png``, ``depth.png`` |
| ``uva_person`` | a sequence: ``N_depth.png``, ``N.jpg``, ``N_mask.jpg`` |
| ``depth_frames`` | ``*.npy`` (uint16 mm, 540x960) and ``*.mat`` (``depth``, meters, 424x512) |
| ``pcl`` | ``*.pcd``, organized 640x480 |
"""  # noqa: E501 - a table

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, CameraError, depth_to_points, points_to_depth, project
from unipose_ros.frame import RgbdFrame, Skeletons, in_image, seen_in_depth
from unipose_ros.images import to_meters
from unipose_ros.joint_sets import ITOP15
from unipose_training.datasets.base import FIRST_STAMP_NS, IndexedClip, true_skeletons
from unipose_training.datasets.data_set import DataSet
from unipose_training.datasets.io import read_color_file, read_depth_file
from unipose_training.datasets.matlab import read_mat
from unipose_training.datasets.real_frames import FRAME_ID, KINECT1_CAMERA, UVA_CAMERA, read_dih, read_lmb, read_pcd
from unipose_training.errors import DataError

_log = logging.getLogger(__name__)

NAME = "real-frames"
#: Frames per second of a sequence; its publishers give no times.
_RATE_HZ = 15.0
#: human4d's color image is read at half its size: one pixel of it is then about half a pixel of the depth image.
_COLOR_SHRINK = 2
#: Kinect v2's depth camera as its drivers assume.
_KINECT2_DEPTH_CAMERA = Camera(fx=365.5, fy=365.5, cx=254.9, cy=205.4, width=512, height=424)
#: A mask that says only where people are has this value.
_FOREGROUND = 255
#: With fewer visible joints than this a person would not be evaluated (:mod:`unipose_training.evaluation.matching`).
_MIN_VISIBLE = 3


@dataclass(frozen=True, eq=False)
class RealFrame:
    """One frame, and what is known of it.

    Attributes:
        frame: registered images.
        ground_truth: ground truth; ``None`` without.
        mask: (H, W) uint8, 0 for no person, else the person's number; ``None`` where it is not known who is where.
        people: how many there are; ``None`` where it is unknown.
    """

    frame: RgbdFrame
    ground_truth: Skeletons | None = None
    mask: NDArray[np.uint8] | None = None
    people: int | None = None


#: A frame's depth file, its stamp, and whether the images are registered on the color camera (where there are two).
Load = Callable[[Path, int, bool], RealFrame]


class RealClip(IndexedClip):
    """Frames of one set: a single one, or a sequence.

    Args:
        subset: the set's folder.
        files: one of each frame, from which ``load`` finds the others.
        on_color: register on the color camera where the two cameras differ, instead of on the depth camera.
        with_depth: whether frames with color keep their depth.
    """

    def __init__(
        self,
        name: str,
        subset: str,
        files: Sequence[Path],
        load: Load,
        on_color: bool = True,
        with_depth: bool = True,
    ) -> None:
        super().__init__(name, subset, len(files))
        self._files = tuple(files)
        self._load = load
        self._on_color = on_color
        self._with_depth = with_depth

    def seen_by(self, color: bool, depth: bool = True) -> RealClip:
        """The same frames as an estimator gets them.

        Depth that is registered on another camera is interpolated, and what only one of them sees is lost:
        estimators without color are given the depth camera's own image.

        Args:
            color: whether the estimator uses color.
            depth: whether it is given depth where there is color.
        """
        return RealClip(self.name, self.subset, self._files, self._load, color, depth)

    def real_frame(self, index: int) -> RealFrame:
        """Frame number ``index`` from 0 with all that is known of it.

        Raises:
            DataError: a file cannot be read; the text names it.
        """
        found = self._load(self._files[index], FIRST_STAMP_NS + round(index * 1e9 / _RATE_HZ), self._on_color)
        if self._with_depth or found.frame.color is None:
            return found
        return replace(found, frame=replace(found.frame, depth=None))

    def frame_at(self, index: int) -> RgbdFrame:
        """See :meth:`IndexedClip.frame_at`."""
        return self.real_frame(index).frame

    def ground_truth_at(self, index: int) -> Skeletons | None:
        """See :meth:`IndexedClip.ground_truth_at`."""
        return self.real_frame(index).ground_truth


def open_real_frames(root: Path, subset: str = "") -> Sequence[RealClip]:
    """Every frame of every set that lies in ``root``; a set that is absent is logged in one line.

    Args:
        subset: sets to read, by their folders' names with commas between; "" for all.

    Raises:
        DataError: a set is unknown, or there is none of them.
    """
    wanted = [name for name in subset.split(",") if name] or list(FOLDERS)
    unknown = [name for name in wanted if name not in FOLDERS]
    if unknown:
        raise DataError(f"subset = '{','.join(unknown)}': of {NAME} there is {', '.join(FOLDERS)}")
    clips = [clip for name in wanted for clip in _open_folder(root, name)]
    if not clips:
        raise DataError(
            f"{root} has no frame of {', '.join(wanted)}; give the folder that holds these folders as --root"
        )
    return clips


def _open_folder(root: Path, name: str) -> list[RealClip]:
    folder, kind = root / name, FOLDERS[name]
    files = sorted(file for pattern in kind.patterns for file in folder.glob(pattern))
    if not files:
        why = "no such folder" if not folder.is_dir() else f"no {' or '.join(kind.patterns)} in it"
        _log.warning("%s: left out, %s", folder, why)
        return []
    if kind.sequence:
        return [RealClip(name, name, files, kind.load)]
    return [RealClip(f"{name}/{_stem(file)}", name, [file], kind.load) for file in files]


def _stem(file: Path) -> str:
    return file.stem.removesuffix("_depth")


def _beside(file: Path, ending: str) -> Path:
    """``NAME_depth.png`` -> ``NAME`` with another ending."""
    return file.with_name(_stem(file) + ending)


def load_human4d(file: Path, stamp_ns: int, on_color: bool) -> RealFrame:
    """A view of HUMAN4D: two cameras, and all people's joints in both.

    Raises:
        DataError: a file cannot be read or lacks something.
    """
    record_file = _beside(file, ".json")
    record = _read_json(record_file)
    try:
        depth_camera, color_camera = _camera(record["depth"]), _camera(record["colour"])
        rotation = np.array(record["depth_from_colour"]["R"], np.float64).reshape(3, 3)
        translation = np.array(record["depth_from_colour"]["t"], np.float64).reshape(3)
        key = "itop15_in_colour_frame" if on_color else "itop15_in_depth_frame"
        joints = np.array([person[key] for person in record["people"]], np.float64).reshape(-1, len(ITOP15), 3)
    except (KeyError, TypeError, ValueError, CameraError) as error:
        raise DataError(f"{record_file}: {error!r}; it must have depth, color, depth_from_colour, people") from error
    depth, color = to_meters(read_depth_file(file)), read_color_file(_beside(file, "_colour.jpg"))
    _check_size(file, depth, depth_camera)
    _check_size(_beside(file, "_colour.jpg"), color, color_camera)
    if on_color:
        camera = color_camera.scaled(color_camera.width // _COLOR_SHRINK, color_camera.height // _COLOR_SHRINK)
        color = np.asarray(cv2.resize(color, (camera.width, camera.height), interpolation=cv2.INTER_AREA), np.uint8)
        depth = depth_on_color(depth, depth_camera, camera, rotation, translation)
    else:
        camera = depth_camera
        color = color_on_depth(color, color_camera, depth, camera, rotation, translation)
    frame = RgbdFrame(stamp_ns, FRAME_ID, camera, depth, color)
    names = [f"person{number}" for number in range(len(joints))]
    ground_truth = true_skeletons(stamp_ns, FRAME_ID, joints, _visible(camera, depth, joints), names, ITOP15)
    return RealFrame(frame, ground_truth, people=len(joints))


def _visible(camera: Camera, depth: NDArray[np.float32], joints: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N, J) joints that the camera sees. Of a person of whom depth shows next to nothing all joints in the image
    count as such: a person in the motion capture is to be found."""
    seen = seen_in_depth(camera, depth, joints)
    enough = seen.sum(axis=1, keepdims=True) >= _MIN_VISIBLE
    return np.asarray(np.where(enough, seen, in_image(camera, joints)), np.bool_)


def depth_on_color(
    depth: NDArray[np.float32],
    depth_camera: Camera,
    camera: Camera,
    rotation: NDArray[np.float64],
    translation: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Depth as another camera sees it: (H, W) meters, 0 where nothing falls.

    Every pixel is drawn as a square of finer ones, so that a finer image has no gaps; the nearest surface wins.

    Args:
        camera: that of the result.
        rotation, translation: (3, 3) and (3,), ``x_depth = R x_color + t``.
    """
    finer = max(1, int(np.ceil(2 * camera.fx / depth_camera.fx)))
    fine = depth_camera.scaled(depth_camera.width * finer, depth_camera.height * finer)
    points = depth_to_points(fine, depth.repeat(finer, axis=0).repeat(finer, axis=1))
    return points_to_depth(camera, ((points - translation) @ rotation).astype(np.float32))


def color_on_depth(
    color: NDArray[np.uint8],
    color_camera: Camera,
    depth: NDArray[np.float32],
    camera: Camera,
    rotation: NDArray[np.float64],
    translation: NDArray[np.float64],
) -> NDArray[np.uint8]:
    """Color of every pixel of a depth image (H, W, 3); without a reading that at the middle of the readings there are.

    Args:
        camera: of the depth image.
        rotation, translation: as in :func:`depth_on_color`.
    """
    known = depth[depth > 0]
    middle = np.float32(np.median(known) if known.size else 2.0)
    points = depth_to_points(camera, np.where(depth > 0, depth, middle))
    pixels = project(color_camera, (points - translation) @ rotation).astype(np.float32)
    # A pixel of the result covers several of the source: without blur it would pick one of them.
    blurred = cv2.GaussianBlur(color, (0, 0), max(0.3, color_camera.fx / camera.fx / 2.5))
    return np.asarray(cv2.remap(blurred, pixels[..., 0], pixels[..., 1], cv2.INTER_LINEAR), np.uint8)


def load_uc3m(file: Path, stamp_ns: int, on_color: bool) -> RealFrame:
    """A Kinect v1's frame with the masks of its user tracker.

    An empty mask means that the tracker saw no person, not that there is none.

    Raises:
        DataError: a file cannot be read or has another size.
    """
    del on_color
    frame = _registered(file, _beside(file, ".jpg"), KINECT1_CAMERA, stamp_ns)
    mask = read_mask(_beside(file, "_mask.png")) if _beside(file, "_mask.png").exists() else None
    if mask is None or not mask.any():
        return RealFrame(frame)
    _check_size(_beside(file, "_mask.png"), mask, KINECT1_CAMERA)
    return RealFrame(frame, mask=mask, people=len(np.unique(mask[mask > 0])))


def load_uva(file: Path, stamp_ns: int, on_color: bool) -> RealFrame:
    """A frame of the UvA's turning person, whose mask is a JPEG.

    Raises:
        DataError: a file cannot be read or has another size.
    """
    del on_color
    frame = _registered(file, _beside(file, ".jpg"), UVA_CAMERA, stamp_ns)
    if not _beside(file, "_mask.jpg").exists():
        return RealFrame(frame, people=1)
    mask = np.where(read_mask(_beside(file, "_mask.jpg")) > _FOREGROUND // 2, 1, 0).astype(np.uint8)
    _check_size(_beside(file, "_mask.jpg"), mask, UVA_CAMERA)
    return RealFrame(frame, mask=mask if mask.any() else None, people=1)


def load_tue(file: Path, stamp_ns: int, on_color: bool) -> RealFrame:
    """A frame of a robot's head camera with lens distortion; ``camera.json`` lies beside it.

    Raises:
        DataError: a file cannot be read, or has another size than the camera.
    """
    del on_color
    place = file.with_name("camera.json")
    try:
        record = _read_json(place)
        camera = replace(_camera(record), distortion=tuple(float(value) for value in record.get("plumb_bob", ())))
    except (KeyError, TypeError, ValueError, CameraError) as error:
        raise DataError(f"{place}: {error!r}; it must have width, height, fx, fy, cx, cy, plumb_bob") from error
    return RealFrame(_registered(file, _beside(file, ".jpg"), camera, stamp_ns))


def load_lmb(file: Path, stamp_ns: int, on_color: bool) -> RealFrame:
    """The pair of rgbd-pose3d: four people outdoors."""
    del on_color
    (frame,) = read_lmb(file.parent, _RATE_HZ, 1)
    return RealFrame(replace(frame, stamp_ns=stamp_ns), people=4)


def load_depth_frame(file: Path, stamp_ns: int, on_color: bool) -> RealFrame:
    """A depth frame of idiap/fast_pose_machines (``.npy``; three people) or of CMU Panoptic (``.mat``; three).

    Raises:
        DataError: the file cannot be read, or holds something else.
    """
    del on_color
    if file.suffix == ".npy":
        (frame,) = read_dih(file, _RATE_HZ, 1)
        return RealFrame(replace(frame, stamp_ns=stamp_ns), people=3)
    what = "no MATLAB file (version 7 or earlier) with `depth` in meters"
    found = read_mat(file, {"depth"}, what=what)
    if "depth" not in found or found["depth"].dtype.kind not in "fiu":
        raise DataError(f"{file}: {what}; it has {sorted(found)}")
    depth = np.asarray(found["depth"], np.float32)
    _check_size(file, depth, _KINECT2_DEPTH_CAMERA)
    frame = RgbdFrame(stamp_ns, FRAME_ID, _KINECT2_DEPTH_CAMERA, np.nan_to_num(depth, posinf=0, neginf=0))
    return RealFrame(frame, people=3)


def load_pcl(file: Path, stamp_ns: int, on_color: bool) -> RealFrame:
    """An organized Kinect cloud of one person."""
    del on_color
    (frame,) = read_pcd(file, _RATE_HZ, 1)
    return RealFrame(replace(frame, stamp_ns=stamp_ns), people=1)


def read_mask(path: Path) -> NDArray[np.uint8]:
    """(H, W) numbers of people, 0 for none; a color mask has one person where any channel is set.

    Raises:
        DataError: the file is no readable 8-bit image.
    """
    mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if mask is None or mask.dtype != np.uint8:
        raise DataError(f"{path}: no readable mask; it must be an 8-bit image")
    return np.asarray(mask if mask.ndim == 2 else mask.max(axis=2), np.uint8)


def _registered(file: Path, color_file: Path, camera: Camera, stamp_ns: int) -> RgbdFrame:
    depth, color = to_meters(read_depth_file(file)), read_color_file(color_file)
    _check_size(file, depth, camera)
    _check_size(color_file, color, camera)
    return RgbdFrame(stamp_ns, FRAME_ID, camera, depth, color)


def _check_size(path: Path, image: NDArray[Any], camera: Camera) -> None:
    if image.shape[:2] != (camera.height, camera.width):
        raise DataError(
            f"{path}: {image.shape[1]}x{image.shape[0]}, expected {camera.width}x{camera.height} of its camera"
        )


def _camera(record: dict[str, Any]) -> Camera:
    fx, fy, cx, cy = (float(record[name]) for name in ("fx", "fy", "cx", "cy"))
    return Camera(fx, fy, cx, cy, int(record["width"]), int(record["height"]))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error}); the frame's cameras are in it") from error
    if not isinstance(record, dict):
        raise DataError(f"{path}: no JSON object; the frame's cameras are in it")
    return record


@dataclass(frozen=True)
class Folder:
    """A set.

    Attributes:
        patterns: of the one file of each frame from which the others are found.
        load: reads a frame.
        sequence: whether the files are successive frames of one camera.
    """

    patterns: tuple[str, ...]
    load: Load
    sequence: bool = False


#: By the folder's name, in the order of reports: the sets that say most come first.
FOLDERS: dict[str, Folder] = {
    "human4d": Folder(("*_depth.png",), load_human4d),
    "uc3m_kinect": Folder(("*_depth.png",), load_uc3m),
    "tue_robot": Folder(("*_depth.png",), load_tue),
    "lmb_rgbd_pose3d": Folder(("depth.png",), load_lmb),
    "uva_person": Folder(("[0-9]*_depth.png",), load_uva, sequence=True),
    "depth_frames": Folder(("*.npy", "*.mat"), load_depth_frame),
    "pcl": Folder(("*.pcd",), load_pcl),
}


DATA_SET = DataSet("real-frames", open_real_frames, {"test": ""})
