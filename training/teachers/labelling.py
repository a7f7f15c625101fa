"""A teacher looks at clips, one after the other; what it saw is kept in a file for each.

A clip whose file is there has been labelled, so that work goes on where it was stopped. A clip that
cannot be read is reported, and the others go on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from unipose_ros.frame import RgbdFrame
from unipose_ros.keypoints import KeypointDetector
from unipose_ros.recordings import RecordingError
from unipose_training.data.clips import Clip
from unipose_training.data.errors import DataError
from unipose_training.data.keypoint_files import (
    KeypointLabels,
    Teacher,
    keypoint_path,
    read_about,
    write_keypoints,
)
from unipose_training.data.labels import IndexedClip
from unipose_training.teachers.depth_picture import depth_picture


class TeacherPlan(Protocol):
    """How to make a teacher; small, and sent to other processes."""

    def identity(self) -> Teacher:
        """What its labels say of it."""
        ...

    def build(self) -> KeypointDetector:
        """The network itself."""
        ...


@dataclass(frozen=True)
class Plan:
    """How clips are labelled.

    Attributes:
        teacher: who looks.
        every: frame 0 and each ``every``-th after it are looked at.
        render_depth: show depth as a picture instead of colour.

    Raises:
        DataError: ``every`` is less than 1.
    """

    teacher: TeacherPlan
    every: int = 1
    render_depth: bool = False

    def __post_init__(self) -> None:
        if self.every < 1:
            raise DataError(f"every is {self.every}; look at each frame with 1, at each second with 2")

    @property
    def picture(self) -> str:
        """What the teacher is shown."""
        return "depth" if self.render_depth else "colour"

    def identity(self) -> Teacher:
        """The teacher, and what it is shown."""
        teacher = self.teacher.identity()
        shown = {"every": self.every, "picture": self.picture}
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
        frames, people: that were looked at, and found.
        losses: frames that could not be looked at, by reason.
        problem: why there are no labels; "" when there are.
    """

    clip: str
    frames: int = 0
    people: int = 0
    losses: Mapping[str, int] = field(default_factory=dict)
    problem: str = ""


class Labeller:
    """A teacher at work; every worker has one."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._teacher = plan, plan.identity()
        self._detector = plan.teacher.build()

    def __call__(self, job: Job) -> Outcome:
        """Label a clip and write the file. Never raises: a clip can be damaged in ways nobody foresaw."""
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
            picture = _picture(frame, self._plan.render_depth)
            if picture is None:
                lost[f"frames without {self._plan.picture}"] += 1
                continue
            stamps.append(frame.stamp_ns)
            found.append(self._detector(picture))
        if not stamps and lost:
            raise DataError(f"nothing to look at: {_listed(lost)}{self._remedy(lost)}")
        losses = {**clip.losses(), **lost}
        return KeypointLabels.of_frames(clip.name, self._teacher, stamps, found, losses)

    def _remedy(self, lost: Mapping[str, int]) -> str:
        if f"frames without {self._plan.picture}" not in lost:
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


def _picture(frame: RgbdFrame, render_depth: bool) -> NDArray[np.uint8] | None:
    if not render_depth:
        return frame.colour
    return None if frame.depth is None else depth_picture(frame.camera, frame.depth)


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


def unfinished(jobs: Sequence[Job], teacher: Teacher) -> list[Job]:
    """The jobs that have no file yet, or a damaged one.

    Raises:
        DataError: a file is of another teacher, or of other settings.
    """
    return [job for job in jobs if not _is_done(job, teacher)]


def _is_done(job: Job, teacher: Teacher) -> bool:
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


def _described(found: Teacher, wanted: Teacher) -> str:
    if found.name != wanted.name or found.weights_sha256 != wanted.weights_sha256:
        return f"{found.name} with weights {found.weights_sha256[:8]}, not {wanted.weights_sha256[:8]}"
    keys = sorted(
        key for key in {*found.settings, *wanted.settings} if found.settings.get(key) != wanted.settings.get(key)
    )
    return ", ".join(f"{key} = {found.settings.get(key)}, not {wanted.settings.get(key)}" for key in keys)
