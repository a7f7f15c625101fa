"""CMU Panoptic Studio (Joo et al., ICCV 2015): groups of people seen by ten Kinects.

ROOT/SEQ/ holds ``calibration_SEQ.json``, ``kcalibration_SEQ.json``, ``ksynctables_SEQ.json``,
``hdPose3d_stage1_coco19/body3DScene_%08d.json``, ``kinect_shared_depth/KINECTNODE%d/depthdata.dat``
and, for color, ``kinectImgs/50_%02d/50_%02d_%08d.jpg``, from 1, or the ``kinectVideos/kinect_50_%02d.mp4``
that they are extracted from. Layout, synchronization and geometry are those of the panoptic-toolbox.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, depth_to_points, project
from unipose_ros.frame import RgbdFrame, Skeletons, seen_in_depth
from unipose_ros.images import to_meters
from unipose_ros.joint_sets import PANOPTIC19
from unipose_training.datasets.base import FIRST_STAMP_NS, IndexedClip, true_skeletons
from unipose_training.datasets.cameras import registered_color
from unipose_training.datasets.data_set import Count, DataSet, Inventory, sample_clips
from unipose_training.datasets.io import array_of, read_color_file, read_json, read_video_frame, value_of
from unipose_training.errors import DataError

# How a Kinect of the CMU Panoptic Studio stands in the studio, as in the panoptic-toolbox.
#
# Color pixel: project ``M_color p_local`` with ``K_color``. Point of the depth camera:
# ``p_depth = M_depth p_local``, meters. The Panoptic world, centimeters, is reached through the
# extrinsics R, t of the color camera ``50_xx``: ``X = inv([R|t]) diag(100) inv(M_color) p_local``.
#
# The toolbox thus applies M_color as local-to-color in the first line and as color-to-local in the
# last. Both hold where it is the identity. Where it is not, only one can be right, so the reading
# can be chosen: ``toolbox`` is the world chain as written, ``local_to_color`` reads M_color in it as
# the coloring does.


CONVENTIONS = ("toolbox", "local_to_color")
#: A true joint lies this far behind the surface that the camera sees there, meters.
_BEHIND = (0.0, 0.20)
_CENTIMETERS = 100.0
#: Distortion coefficients of OpenCV's plumb_bob. The files hold more; later entries are no coefficients.
_COEFFICIENTS = 5


@dataclass(frozen=True, eq=False)
class KinectCalibration:
    """One Kinect.

    Attributes:
        depth, color: intrinsics of the two cameras.
        m_depth, m_color: (4, 4) from the Kinect's local frame, meters.
        world: (4, 4) Panoptic world to color camera ``50_xx``, centimeters.
    """

    depth: Camera
    color: Camera
    m_depth: NDArray[np.float64]
    m_color: NDArray[np.float64]
    world: NDArray[np.float64]

    def world_to_depth(self, points: NDArray[np.float64], convention: str = "toolbox") -> NDArray[np.float64]:
        """Panoptic world (..., 3) in centimeters -> optical frame of the depth camera in meters."""
        if convention not in CONVENTIONS:
            raise DataError(f"m_color_convention = '{convention}': use auto, {' or '.join(CONVENTIONS)}")
        in_color = _moved(self.world, points) / _CENTIMETERS
        m_color = self.m_color if convention == "toolbox" else np.linalg.inv(self.m_color)
        return _moved(self.m_depth @ m_color, in_color)

    def depth_to_color_pixels(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (..., 3) of the depth camera, meters -> pixels (..., 2) of the color image."""
        return project(self.color, _moved(self.m_color @ np.linalg.inv(self.m_depth), points))

    def likelier_convention(self, samples: Iterable[tuple[NDArray[np.float32], NDArray[np.float64]]]) -> str:
        """The reading of M_color that puts joints behind the surface that the camera sees.

        Args:
            samples: depth images with (N, 3) joints of the world, centimeters.
        """
        votes = dict.fromkeys(CONVENTIONS, 0)
        for depth, joints in samples:
            for convention in CONVENTIONS:
                votes[convention] += self._joints_behind(depth, self.world_to_depth(joints, convention))
        return max(CONVENTIONS, key=lambda convention: votes[convention])  # the first, toolbox, when equal

    def _joints_behind(self, depth: NDArray[np.float32], joints: NDArray[np.float64]) -> int:
        pixels = np.rint(np.nan_to_num(project(self.depth, joints), nan=-1)).astype(np.int64)
        inside = (pixels >= 0).all(axis=-1) & (pixels < [self.depth.width, self.depth.height]).all(axis=-1)
        surface = depth[pixels[inside, 1], pixels[inside, 0]]
        behind = joints[inside, 2] - surface
        return int(((surface > 0) & (behind >= _BEHIND[0]) & (behind <= _BEHIND[1])).sum())


def read_calibration(sequence: Path, node: int) -> KinectCalibration:
    """Kinect ``node`` (1 to 10) from ``kcalibration_SEQ.json`` and ``calibration_SEQ.json``.

    Raises:
        DataError: a file or a value in it is missing.
    """
    kinects_path = sequence / f"kcalibration_{sequence.name}.json"
    sensors = value_of(kinects_path, read_json(kinects_path), "sensors")
    if not 1 <= node <= len(sensors):
        raise DataError(f"{kinects_path}: there is no Kinect {node}, there are 1 to {len(sensors)}")
    sensor = sensors[node - 1]
    return KinectCalibration(
        depth=_camera(kinects_path, sensor, "depth"),
        color=_camera(kinects_path, sensor, "color"),
        m_depth=array_of(kinects_path, sensor, "M_depth", (4, 4)),
        m_color=array_of(kinects_path, sensor, "M_color", (4, 4)),
        world=_extrinsics(sequence / f"calibration_{sequence.name}.json", f"50_{node:02d}"),
    )


def _camera(path: Path, sensor: object, kind: str) -> Camera:
    k = array_of(path, sensor, f"K_{kind}", (3, 3))
    distortion = array_of(path, sensor, f"distCoeffs_{kind}", (-1,))
    if len(distortion) < _COEFFICIENTS:
        raise DataError(f"{path}: key 'distCoeffs_{kind}' has {len(distortion)} numbers, expected at least 5")
    return Camera(
        fx=float(k[0, 0]),
        fy=float(k[1, 1]),
        cx=float(k[0, 2]),
        cy=float(k[1, 2]),
        width=int(value_of(path, sensor, f"{kind}_width")),
        height=int(value_of(path, sensor, f"{kind}_height")),
        distortion=tuple(distortion[:_COEFFICIENTS].tolist()),
    )


def _extrinsics(path: Path, name: str) -> NDArray[np.float64]:
    for camera in value_of(path, read_json(path), "cameras"):
        if camera.get("name") == name:
            matrix = np.eye(4)
            matrix[:3, :3] = array_of(path, camera, "R", (3, 3))
            matrix[:3, 3] = array_of(path, camera, "t", (3,))
            return matrix
    raise DataError(f"{path}: key 'cameras' has no '{name}'; take the calibration of this sequence")


def _moved(matrix: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(points @ matrix[:3, :3].T + matrix[:3, 3])


#: A joint counts when its confidence is above this.
MIN_CONFIDENCE = 0.1
#: The color clock is ahead by this, milliseconds.
COLOR_OFFSET_MS = 6.25
#: M_color farther than this from the identity makes its reading matter.
IDENTITY_TOLERANCE = 1e-3
#: Farthest apart that a label and its images may be, and the images from each other, milliseconds.
MAX_DEPTH_MS, MAX_COLOR_MS, MAX_BETWEEN_MS = 17.0, 30.0, 6.5

#: Sequences that multi-person papers test on since VoxelPose (Tu et al., ECCV 2020); the others are to be trained on.
TEST_SEQUENCES = ("160422_haggling1", "160906_band4", "160906_ian5", "160906_pizza1")
SPLITS = ("train", "test")

_POSES = "hdPose3d_stage1_coco19"
#: Frames that decide the reading of M_color.
_SAMPLES = 10


@dataclass(frozen=True)
class Moment:
    """A labeled time and the Kinect images that belong to it, by their number from 0."""

    labels: Path
    time_ms: float
    depth: int
    color: int


@dataclass(frozen=True, eq=False)
class KinectTimes:
    """Times of a Kinect's images in milliseconds; image i is the i-th that was stored."""

    depth: NDArray[np.float64]
    color: NDArray[np.float64]


class PanopticClip(IndexedClip):
    """One Kinect of one sequence.

    Args:
        sequence: its folder.
        node: number of the Kinect, 1 to 10.
        labels: label files with their times.
        color: read color too, registered to depth; moments whose color is too far off are left out.
        convention: see :mod:`unipose_training.datasets.panoptic`; or ``auto``.

    Raises:
        DataError: a file is missing, damaged, or too short for the labels.
    """

    def __init__(
        self,
        sequence: Path,
        node: int,
        labels: Sequence[tuple[Path, float]],
        color: bool = False,
        convention: str = "auto",
    ) -> None:
        self._moments, self._losses = match_times(labels, _read_times(sequence, node), color)
        super().__init__(f"{sequence.name}/50_{node:02d}", sequence.name, len(self._moments), sequence)
        self._sequence, self._node, self._with_color = sequence, node, color
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
        """Labeled moments without images, by reason."""
        return self._losses

    def frame_at(self, index: int) -> RgbdFrame:
        """Depth, and color registered to it when asked for."""
        depth = self._depth(index)
        color = self._color(index, depth) if self._with_color else None
        return RgbdFrame(self._stamp(index), self._frame_id, self._calibration.depth, depth, color)

    def ground_truth_at(self, index: int) -> Skeletons:
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
        return to_meters(np.ascontiguousarray(stored[:, ::-1], np.uint16))  # stored as in a mirror

    def _color(self, index: int, depth: NDArray[np.float32]) -> NDArray[np.uint8]:
        image = _read_image(self._sequence, self._node, self._moments[index].color)
        points = depth_to_points(self._calibration.depth, depth).astype(np.float64)
        return registered_color(image, self._calibration.depth_to_color_pixels(points))

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
    root: Path, sequence: str = "", node: int = 0, color: bool | None = False, convention: str = "auto"
) -> list[PanopticClip]:
    """Clips of all sequences and Kinects there are, or of the one sequence or Kinect named.

    Args:
        sequence: its name, ``train`` or ``test`` for those of a split, or "" for all.
        color: read it; ``None``: of those Kinects whose images or videos are there.

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
            with_color = _has_images(folder, number) if color is None else color
            clips.append(PanopticClip(folder, number, labels, with_color, convention))
    return clips


def _is_chosen(name: str, wanted: str) -> bool:
    if wanted in SPLITS:
        return (name in TEST_SEQUENCES) == (wanted == "test")
    return wanted in ("", name)


def read_bodies(path: Path) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """``body3DScene_*.json`` -> (N, 19, 3) centimeters in the world, NaN where there is no joint, and N ids.

    Raises:
        DataError: it is no such file.
    """
    bodies = value_of(path, read_json(path), "bodies")
    joints = np.array([array_of(path, body, "joints19", (19, 4)) for body in bodies]).reshape(-1, 19, 4)
    positions = np.where(joints[..., 3:] > MIN_CONFIDENCE, joints[..., :3], np.nan)
    return positions, tuple(str(value_of(path, body, "id")) for body in bodies)


def match_times(
    labels: Sequence[tuple[Path, float]], times: KinectTimes, color: bool
) -> tuple[list[Moment], dict[str, int]]:
    """Images nearest to each labeled time, and how many labels have none, by reason.

    Args:
        labels: files with their ``univTime``.
        color: the color image must suit too.
    """
    kept: list[Moment] = []
    lost: Counter[str] = Counter()
    for path, time in labels:
        in_depth = int(np.argmin(np.abs(times.depth - time)))
        in_color = int(np.argmin(np.abs(times.color - COLOR_OFFSET_MS - time)))
        depth_ms, color_ms = float(times.depth[in_depth]), float(times.color[in_color])
        if abs(depth_ms - time) > MAX_DEPTH_MS:
            lost[f"labels without depth within {MAX_DEPTH_MS} ms"] += 1
        elif color and abs(color_ms - COLOR_OFFSET_MS - time) > MAX_COLOR_MS:
            lost[f"labels without color within {MAX_COLOR_MS} ms"] += 1
        elif color and abs(depth_ms - color_ms) > MAX_BETWEEN_MS:
            lost[f"labels with color and depth over {MAX_BETWEEN_MS} ms apart"] += 1
        else:
            kept.append(Moment(path, time, in_depth, in_color))
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


def _image_folder(sequence: Path, node: int) -> Path:
    return sequence / "kinectImgs" / f"50_{node:02d}"


def _video(sequence: Path, node: int) -> Path:
    return sequence / "kinectVideos" / f"kinect_50_{node:02d}.mp4"


def _has_images(sequence: Path, node: int) -> bool:
    return any(_image_folder(sequence, node).glob("*.jpg")) or _video(sequence, node).exists()


def _read_image(sequence: Path, node: int, number: int) -> NDArray[np.uint8]:
    """Color image ``number`` from 0: where it was extracted to, else out of the video."""
    path, video = _image_folder(sequence, node) / f"50_{node:02d}_{number + 1:08d}.jpg", _video(sequence, node)
    if path.exists() or not video.exists():
        return read_color_file(path)
    image = read_video_frame(video, number)
    if image is None:
        raise DataError(f"{video}: ends before frame {number}; download it again")
    return image


def _read_times(sequence: Path, node: int) -> KinectTimes:
    path = sequence / f"ksynctables_{sequence.name}.json"
    record = read_json(path)
    keys = [f"kinect.{kind}.KINECTNODE{node}.univ_time" for kind in ("depth", "color")]
    depth, color = (array_of(path, record, key, (-1,)) for key in keys)
    if not (len(depth) and len(color)):
        raise DataError(f"{path}: key '{keys[0]}' or its color is empty; download it again")
    return KinectTimes(depth, color)


def _open(root: Path, subset: str) -> Sequence[IndexedClip]:
    sequence, _, node = subset.partition("/50_")
    if node and not node.isdigit():
        raise DataError(f"subset = '{subset}': name a sequence, or a sequence and Kinect as SEQ/50_01")
    return open_panoptic(root, sequence, int(node or 0), color=None)


def _inventory(root: Path, samples: int) -> Inventory:
    """Every sequence and Kinect that is there. The studio publishes no totals for a choice of sequences."""
    clips = open_panoptic(root, color=None)
    counts = [Count("sequences", len({clip.subset for clip in clips})), Count("Kinects", len(clips))]
    counts += [Count("labeled moments with images", sum(len(clip) for clip in clips))]
    remarks = [f"{clip.name}: {number} {why}" for clip in clips for why, number in clip.losses().items()]
    for clip in clips:
        off = float(np.abs(clip.calibration.m_color - np.eye(4)).max())
        if off > IDENTITY_TOLERANCE:
            remarks.append(f"{clip.name}: M_color is {off:.3f} off the identity; read as '{clip.convention}'")
    return Inventory(tuple(counts), tuple(remarks), tuple(sample_clips(clips, samples)))


DATA_SET = DataSet("panoptic", _open, {"train": "train", "test": "test"}, _inventory)
