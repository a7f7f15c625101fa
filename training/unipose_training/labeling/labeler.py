"""A teacher labels clips, one after the other; what it predicts is kept in a file for each.

A clip whose file is there has been labeled, so that work resumes where it was stopped. A clip that
cannot be read is reported, and the others go on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.backends import choose_backend
from unipose_ros.camera import Camera
from unipose_ros.detection.movenet import LONG_SIDE, load_movenet
from unipose_ros.files import file_sha256
from unipose_ros.frame import RgbdFrame
from unipose_ros.keypoints import KeypointDetector
from unipose_ros.networks.movenet.decode import ONNX, SAFETENSORS, DecodeConfig, verified_file
from unipose_ros.recordings import RecordingError
from unipose_training.datasets.base import Clip, IndexedClip
from unipose_training.datasets.keypoint_files import (
    KeypointLabels,
    LabelerId,
    keypoint_path,
    read_about,
    write_keypoints,
)
from unipose_training.errors import DataError

# Depth as an image that networks for photographs understand, where there is no color.
#
# Surfaces are lit from the camera, so that folds and limbs stand out as in a photograph, and fade with
# distance, so that a person stands out from what is behind. What a depth camera does not see is black.


#: Shares of the readings that count as nearest and farthest; the few beyond them may be errors.
_NEAREST, _FARTHEST = 2, 95
#: Brightness that is left of the farthest surface, and of one seen edge on.
_FAR_LIGHT, _EDGE_LIGHT = 0.25, 0.2
#: Side of the window, pixels, and differences, meters, over which depth is smoothed before it is lit.
_SMOOTHING, _STEP = 7, 0.06


def shade_depth(camera: Camera, depth: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A gray image of depth.

    Args:
        depth: (H, W) meters; 0 and NaN are no reading.

    Returns:
        (H, W, 3) uint8, three times the same; near is bright, no reading is black.
    """
    finite = np.nan_to_num(depth, posinf=0, neginf=0)
    known = np.asarray(cv2.medianBlur(finite, 5), np.float32)  # fills single holes, drops flying pixels
    seen = known > 0
    if not seen.any():
        return np.zeros((*depth.shape, 3), np.uint8)
    light = _nearness(known, seen) * (_EDGE_LIGHT + (1 - _EDGE_LIGHT) * _facing(camera, known))
    gray = np.where(seen, np.rint(255 * light), 0).astype(np.uint8)
    return np.repeat(gray[..., None], 3, axis=2)


def _nearness(depth: NDArray[np.float32], seen: NDArray[np.bool_]) -> NDArray[np.float32]:
    """1 for the nearest, down to what is left of the farthest; linear in 1 / depth, as light falls off."""
    near, far = np.percentile(depth[seen], [_NEAREST, _FARTHEST])
    inverse = 1 / np.maximum(depth, 1e-3)
    share = np.clip((inverse - 1 / far) / max(1 / near - 1 / far, 1e-6), 0, 1)
    return np.asarray(_FAR_LIGHT + (1 - _FAR_LIGHT) * share, np.float32)


def _facing(camera: Camera, depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosine between each surface and the ray that sees it: how bright a lamp at the camera lights it."""
    smooth = cv2.bilateralFilter(depth, _SMOOTHING, _STEP, _SMOOTHING / 2)
    v, u = np.mgrid[: depth.shape[0], : depth.shape[1]].astype(np.float32)
    # The lens's distortion hardly turns a surface.
    rays = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones_like(u)], axis=2)
    points = np.asarray(rays * smooth[..., None], np.float32)
    across, down = (cv2.Scharr(points, cv2.CV_32F, *step) for step in ((1, 0), (0, 1)))
    normals = np.cross(across, down)
    lengths = np.linalg.norm(normals, axis=2) * np.linalg.norm(rays, axis=2)
    cosine = np.abs((normals * rays).sum(axis=2)) / np.maximum(lengths, 1e-12)
    return np.asarray(cosine, np.float32)


# MoveNet MultiPose as a teacher.


@dataclass(frozen=True)
class MoveNetLabeler:
    """The network with the settings that the node uses, on one CPU thread or a GPU.

    Attributes:
        device: ``cpu``, ``cuda`` or ``auto``.
    """

    device: str = "cpu"

    def identity(self) -> LabelerId:
        """What labels say of it.

        Raises:
            WeightsError: its weights are absent or damaged.
            BackendError: the device is not there.
        """
        backend = choose_backend("auto", self.device).backend
        weights = verified_file(ONNX if backend == "onnx" else SAFETENSORS)
        settings = {"long_side": LONG_SIDE, **asdict(DecodeConfig())}
        return LabelerId("movenet_multipose", settings, file_sha256(weights))

    def build(self) -> KeypointDetector:
        """The network, ready to run; the same errors as :meth:`identity`."""
        return load_movenet(device=self.device, threads=1)


class LabelerPlan(Protocol):
    """How to make a teacher; small, and sent to other processes."""

    def identity(self) -> LabelerId:
        """What its labels say of it."""
        ...

    def build(self) -> KeypointDetector:
        """The network itself."""
        ...


@dataclass(frozen=True)
class Plan:
    """How clips are labeled.

    Attributes:
        teacher: who looks.
        every: frame 0 and each ``every``-th after it are processed.
        render_depth: show depth as an image instead of color.

    Raises:
        DataError: ``every`` is less than 1.
    """

    teacher: LabelerPlan
    every: int = 1
    render_depth: bool = False

    def __post_init__(self) -> None:
        if self.every < 1:
            raise DataError(f"every is {self.every}; look at each frame with 1, at each second with 2")

    @property
    def image(self) -> str:
        """What the teacher is shown."""
        return "depth" if self.render_depth else "color"

    def identity(self) -> LabelerId:
        """The teacher, and what it is shown."""
        teacher = self.teacher.identity()
        shown = {"every": self.every, "image": self.image}
        return replace(teacher, settings={**teacher.settings, **shown})


@dataclass(frozen=True)
class Job:
    """A clip to label, and the file for its labels."""

    clip: Clip
    path: Path


@dataclass(frozen=True)
class Outcome:
    """What became of a clip.

    Attributes:
        clip: its name.
        frames, people: that were processed, and found.
        losses: frames that could not be processed, by reason.
        problem: why there are no labels; "" when there are.
    """

    clip: str
    frames: int = 0
    people: int = 0
    losses: Mapping[str, int] = field(default_factory=dict)
    problem: str = ""


class Labeler:
    """A teacher at work; every worker has one."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._teacher = plan, plan.identity()
        self._detector = plan.teacher.build()

    def __call__(self, job: Job) -> Outcome:
        """Label a clip and write the file. Never raises: a clip can be damaged in ways no one foresaw."""
        try:
            labels = self._labels(job.clip)
            write_keypoints(job.path, labels)
        except Exception as error:
            known = isinstance(error, (DataError, RecordingError))
            return Outcome(job.clip.name, problem=str(error) if known else repr(error))
        return Outcome(job.clip.name, len(labels), len(labels.people), labels.losses)

    def _labels(self, clip: Clip) -> KeypointLabels:
        lost: Counter[str] = Counter()
        stamps, found = [], []
        for frame in _chosen_frames(clip, self._plan.every, lost):
            image = _image(frame, self._plan.render_depth)
            if image is None:
                lost[f"frames without {self._plan.image}"] += 1
                continue
            stamps.append(frame.stamp_ns)
            found.append(self._detector(image))
        if not stamps and lost:
            raise DataError(f"nothing to look at: {_listed(lost)}{self._remedy(lost)}")
        losses = {**clip.losses(), **lost}
        return KeypointLabels.of_frames(clip.name, self._teacher, stamps, found, losses)

    def _remedy(self, lost: Mapping[str, int]) -> str:
        if f"frames without {self._plan.image}" not in lost:
            return ""
        return "; label without --render-depth" if self._plan.render_depth else "; show depth with --render-depth"


def _chosen_frames(clip: Clip, every: int, lost: Counter[str]) -> Iterator[RgbdFrame]:
    """Each ``every``-th frame. Of clips in any order the others are not read, and damaged ones are passed over."""
    if not isinstance(clip, IndexedClip):
        yield from islice(clip.frames(), 0, None, every)
        return
    first = ""
    for index in range(0, len(clip), every):
        try:
            frame = clip.frame_at(index)
        except DataError as error:
            first = first or f"unreadable frames, the first: {error}"
            lost[first] += 1
            continue
        yield frame


def _image(frame: RgbdFrame, render_depth: bool) -> NDArray[np.uint8] | None:
    if not render_depth:
        return frame.color
    return None if frame.depth is None else shade_depth(frame.camera, frame.depth)


def _listed(lost: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {why}" for why, count in lost.items())


def jobs_for(clips: Iterable[Clip], folder: Path) -> list[Job]:
    """A job for each clip, with the file that its name gives.

    Raises:
        DataError: two clips have the same name.
    """
    jobs: dict[Path, Job] = {}
    for clip in clips:
        path = keypoint_path(folder, clip.name)
        if path in jobs:
            raise DataError(f"two clips are called '{clip.name}'; label them into two --output folders")
        jobs[path] = Job(clip, path)
    return list(jobs.values())


def unfinished(jobs: Sequence[Job], teacher: LabelerId) -> list[Job]:
    """The jobs that have no file yet, or a damaged one.

    Raises:
        DataError: a file is of another teacher, or of other settings.
    """
    return [job for job in jobs if not _is_done(job, teacher)]


def _is_done(job: Job, teacher: LabelerId) -> bool:
    if not job.path.exists():
        return False
    try:
        found = read_about(job.path)
    except DataError:
        return False
    if found.teacher != teacher:
        raise DataError(
            f"{job.path}: these are labels of {_described(found.teacher, teacher)}; name another --output, "
            "or delete them"
        )
    return True


def _described(found: LabelerId, wanted: LabelerId) -> str:
    if found.name != wanted.name or found.weights_sha256 != wanted.weights_sha256:
        return f"{found.name} with weights {found.weights_sha256[:8]}, not {wanted.weights_sha256[:8]}"
    keys = sorted(
        key for key in {*found.settings, *wanted.settings} if found.settings.get(key) != wanted.settings.get(key)
    )
    return ", ".join(f"{key} = {found.settings.get(key)}, not {wanted.settings.get(key)}" for key in keys)
