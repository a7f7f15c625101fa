"""CMU Panoptic Studio (Joo et al., ICCV 2015): groups of people seen by ten Kinects.

ROOT/SEQ/ holds ``calibration_SEQ.json``, ``kcalibration_SEQ.json``, ``ksynctables_SEQ.json``,
``hdPose3d_stage1_coco19/body3DScene_%08d.json``, ``kinect_shared_depth/KINECTNODE%d/depthdata.dat``
and, for colour, ``kinectImgs/50_%02d/50_%02d_%08d.jpg``, from 1, or the ``kinectVideos/kinect_50_%02d.mp4``
that they are extracted from. Layout, synchronisation and geometry are those of the panoptic-toolbox.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import depth_to_points
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.images import to_metres
from unipose_ros.skeletons import PANOPTIC19
from unipose_ros.visibility import seen_in_depth
from unipose_training.data.errors import DataError
from unipose_training.data.json_files import array_of, read_json, value_of
from unipose_training.data.labels import FIRST_STAMP_NS, IndexedClip, true_skeletons
from unipose_training.data.panoptic_calibration import KinectCalibration, read_calibration
from unipose_training.data.pictures import read_colour_file
from unipose_training.data.registration import registered_colour
from unipose_training.data.videos import read_video_frame

#: A joint counts when its confidence is above this.
MIN_CONFIDENCE = 0.1
#: The colour clock is ahead by this, milliseconds.
COLOUR_OFFSET_MS = 6.25
#: M_color farther than this from the identity makes its reading matter.
IDENTITY_TOLERANCE = 1e-3
#: Farthest apart that a label and its images may be, and the images from each other, milliseconds.
MAX_DEPTH_MS, MAX_COLOUR_MS, MAX_BETWEEN_MS = 17.0, 30.0, 6.5

#: Sequences that multi-person papers test on since VoxelPose (Tu et al., ECCV 2020); the others are to be trained on.
TEST_SEQUENCES = ("160422_haggling1", "160906_band4", "160906_ian5", "160906_pizza1")
SPLITS = ("train", "test")

_POSES = "hdPose3d_stage1_coco19"
#: Frames that decide the reading of M_color.
_SAMPLES = 10


@dataclass(frozen=True)
class Moment:
    """A labelled time and the Kinect images that belong to it, by their number from 0."""

    labels: Path
    time_ms: float
    depth: int
    colour: int


@dataclass(frozen=True, eq=False)
class KinectTimes:
    """Times of a Kinect's images in milliseconds; image i is the i-th that was stored."""

    depth: NDArray[np.float64]
    colour: NDArray[np.float64]


class PanopticClip(IndexedClip):
    """One Kinect of one sequence.

    Args:
        sequence: its folder.
        node: number of the Kinect, 1 to 10.
        labels: label files with their times.
        colour: read colour too, registered to depth; moments whose colour is too far off are left out.
        convention: see :mod:`unipose_training.data.panoptic_calibration`; or ``auto``.

    Raises:
        DataError: a file is missing, damaged, or too short for the labels.
    """

    def __init__(
        self,
        sequence: Path,
        node: int,
        labels: Sequence[tuple[Path, float]],
        colour: bool = False,
        convention: str = "auto",
    ) -> None:
        self._moments, self._losses = match_times(labels, _read_times(sequence, node), colour)
        super().__init__(f"{sequence.name}/50_{node:02d}", sequence.name, len(self._moments))
        self._sequence, self._node, self._with_colour = sequence, node, colour
        self._calibration = read_calibration(sequence, node)
        self._depth_path = sequence / "kinect_shared_depth" / f"KINECTNODE{node}" / "depthdata.dat"
        self._frame_id = f"kinect_{node:02d}_depth_optical_frame"
        self._require_depth()
        self._convention = self._likelier_convention() if convention == "auto" else convention

    @property
    def calibration(self) -> KinectCalibration:
        """Of this Kinect."""
        return self._calibration

    @property
    def convention(self) -> str:
        """The reading of M_color that is used."""
        return self._convention

    def losses(self) -> Mapping[str, int]:
        """Labelled moments without images, by reason."""
        return self._losses

    def frame_at(self, index: int) -> RgbdFrame:
        """Depth, and colour registered to it when asked for."""
        depth = self._depth(index)
        colour = self._colour(index, depth) if self._with_colour else None
        return RgbdFrame(self._stamp(index), self._frame_id, self._calibration.depth, depth, colour)

    def truth_at(self, index: int) -> Skeletons:
        """Joints above the confidence limit; seen where no nearer surface hides them."""
        joints, ids = read_bodies(self._moments[index].labels)
        positions = self._calibration.world_to_depth(joints, self._convention)
        visible = seen_in_depth(self._calibration.depth, self._depth(index), positions)
        return true_skeletons(self._stamp(index), self._frame_id, positions, visible, ids, PANOPTIC19)

    def _stamp(self, index: int) -> int:
        return FIRST_STAMP_NS + round(self._moments[index].time_ms * 1e6)

    def _depth(self, index: int) -> NDArray[np.float32]:
        size = (self._calibration.depth.height, self._calibration.depth.width)
        offset = self._moments[index].depth * size[0] * size[1] * 2
        stored = np.memmap(self._depth_path, "<u2", "r", offset, size)
        return to_metres(np.ascontiguousarray(stored[:, ::-1], np.uint16))  # stored as in a mirror

    def _colour(self, index: int, depth: NDArray[np.float32]) -> NDArray[np.uint8]:
        picture = _read_picture(self._sequence, self._node, self._moments[index].colour)
        points = depth_to_points(self._calibration.depth, depth).astype(np.float64)
        return registered_colour(picture, self._calibration.depth_to_colour_pixels(points))

    def _require_depth(self) -> None:
        camera = self._calibration.depth
        if not self._depth_path.exists():
            raise DataError(f"{self._depth_path}: not found; download the depth of Kinect {self._node}")
        stored = self._depth_path.stat().st_size // (camera.width * camera.height * 2)
        needed = max((moment.depth for moment in self._moments), default=-1) + 1
        if stored < needed:
            raise DataError(f"{self._depth_path}: holds {stored} frames, the labels need {needed}; download it again")

    def _likelier_convention(self) -> str:
        step = max(1, len(self) // _SAMPLES)
        chosen = range(0, len(self), step)
        joints = ((n, read_bodies(self._moments[n].labels)[0].reshape(-1, 3)) for n in chosen)
        return self._calibration.likelier_convention(
            (self._depth(n), found[np.isfinite(found).all(axis=1)]) for n, found in joints
        )


def open_panoptic(
    root: Path, sequence: str = "", node: int = 0, colour: bool | None = False, convention: str = "auto"
) -> list[PanopticClip]:
    """Clips of all sequences and Kinects there are, or of the one sequence or Kinect named.

    Args:
        sequence: its name, ``train`` or ``test`` for those of a split, or "" for all.
        colour: read it; ``None``: of those Kinects whose pictures or videos are there.

    Raises:
        DataError: there is nothing, or something is missing or damaged.
    """
    folders = sorted(path.parent for path in root.glob(f"*/{_POSES}") if _is_chosen(path.parent.name, sequence))
    if not folders:
        raise DataError(f"{root}: no folder {sequence or 'SEQ'}/{_POSES}; give the folder that holds the sequences")
    clips = []
    for folder in folders:
        labels = _label_files(folder)
        for number in [node] if node else _nodes(folder):
            with_colour = _has_pictures(folder, number) if colour is None else colour
            clips.append(PanopticClip(folder, number, labels, with_colour, convention))
    return clips


def _is_chosen(name: str, wanted: str) -> bool:
    if wanted in SPLITS:
        return (name in TEST_SEQUENCES) == (wanted == "test")
    return wanted in ("", name)


def read_bodies(path: Path) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """``body3DScene_*.json`` -> (N, 19, 3) centimetres in the world, NaN where there is no joint, and N ids.

    Raises:
        DataError: it is no such file.
    """
    bodies = value_of(path, read_json(path), "bodies")
    joints = np.array([array_of(path, body, "joints19", (19, 4)) for body in bodies]).reshape(-1, 19, 4)
    positions = np.where(joints[..., 3:] > MIN_CONFIDENCE, joints[..., :3], np.nan)
    return positions, tuple(str(value_of(path, body, "id")) for body in bodies)


def match_times(
    labels: Sequence[tuple[Path, float]], times: KinectTimes, colour: bool
) -> tuple[list[Moment], dict[str, int]]:
    """Images nearest to each labelled time, and how many labels have none, by reason.

    Args:
        labels: files with their ``univTime``.
        colour: the colour picture must suit too.
    """
    kept: list[Moment] = []
    lost: Counter[str] = Counter()
    for path, time in labels:
        in_depth = int(np.argmin(np.abs(times.depth - time)))
        in_colour = int(np.argmin(np.abs(times.colour - COLOUR_OFFSET_MS - time)))
        depth_ms, colour_ms = float(times.depth[in_depth]), float(times.colour[in_colour])
        if abs(depth_ms - time) > MAX_DEPTH_MS:
            lost[f"labels without depth within {MAX_DEPTH_MS} ms"] += 1
        elif colour and abs(colour_ms - COLOUR_OFFSET_MS - time) > MAX_COLOUR_MS:
            lost[f"labels without colour within {MAX_COLOUR_MS} ms"] += 1
        elif colour and abs(depth_ms - colour_ms) > MAX_BETWEEN_MS:
            lost[f"labels with colour and depth over {MAX_BETWEEN_MS} ms apart"] += 1
        else:
            kept.append(Moment(path, time, in_depth, in_colour))
    return kept, dict(lost)


def _label_files(sequence: Path) -> list[tuple[Path, float]]:
    """In the order of time. The frames' numbers are no help: the toolbox counts them in two ways."""
    files = sorted((sequence / _POSES).rglob("body3DScene_*.json"))
    if not files:
        raise DataError(f"{sequence / _POSES}: no body3DScene_*.json; unpack {_POSES}.tar there")
    timed = [(path, float(value_of(path, read_json(path), "univTime"))) for path in files]
    return sorted(timed, key=lambda pair: pair[1])


def _nodes(sequence: Path) -> list[int]:
    folders = (sequence / "kinect_shared_depth").glob("KINECTNODE*/depthdata.dat")
    found = sorted(int(path.parent.name.removeprefix("KINECTNODE")) for path in folders)
    if not found:
        raise DataError(f"{sequence}: no kinect_shared_depth/KINECTNODE*/depthdata.dat; download the depth")
    return found


def _picture_folder(sequence: Path, node: int) -> Path:
    return sequence / "kinectImgs" / f"50_{node:02d}"


def _video(sequence: Path, node: int) -> Path:
    return sequence / "kinectVideos" / f"kinect_50_{node:02d}.mp4"


def _has_pictures(sequence: Path, node: int) -> bool:
    return any(_picture_folder(sequence, node).glob("*.jpg")) or _video(sequence, node).exists()


def _read_picture(sequence: Path, node: int, number: int) -> NDArray[np.uint8]:
    """Colour picture ``number`` from 0: where it was extracted to, else out of the video."""
    path, video = _picture_folder(sequence, node) / f"50_{node:02d}_{number + 1:08d}.jpg", _video(sequence, node)
    if path.exists() or not video.exists():
        return read_colour_file(path)
    picture = read_video_frame(video, number)
    if picture is None:
        raise DataError(f"{video}: ends before frame {number}; download it again")
    return picture


def _read_times(sequence: Path, node: int) -> KinectTimes:
    path = sequence / f"ksynctables_{sequence.name}.json"
    record = read_json(path)
    keys = [f"kinect.{kind}.KINECTNODE{node}.univ_time" for kind in ("depth", "color")]
    depth, colour = (array_of(path, record, key, (-1,)) for key in keys)
    if not (len(depth) and len(colour)):
        raise DataError(f"{path}: key '{keys[0]}' or its colour is empty; download it again")
    return KinectTimes(depth, colour)
