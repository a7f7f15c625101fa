"""Where a sample store's 2D labels come from: files that a teacher left, or a teacher at work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from unipose_ros.frame import RgbdFrame
from unipose_ros.keypoints import KeypointDetector, Keypoints2D
from unipose_training.data.clips import Clip
from unipose_training.data.errors import DataError
from unipose_training.data.keypoint_files import Teacher, keypoint_path, read_about, read_keypoints
from unipose_training.samples.build import Labels
from unipose_training.teachers.labelling import TeacherPlan


@dataclass(frozen=True)
class LabelFiles:
    """Labels that ``unipose label`` wrote.

    Attributes:
        folder: of the files.
        teacher: who wrote them; labels of another are refused.
    """

    folder: Path
    teacher: Teacher

    @classmethod
    def of_clips(cls, folder: Path, clips: Sequence[Clip]) -> LabelFiles:
        """The labels in a folder; the first clip that has some says whose they are.

        Raises:
            DataError: no clip has any, or the file is damaged.
        """
        paths = (keypoint_path(folder, clip.name) for clip in clips)
        first = next((path for path in paths if path.is_file()), None)
        if first is None:
            raise DataError(f"{folder}: no labels of these clips; make them: unipose label ... --output {folder}")
        return cls(folder, read_about(first).teacher)

    def __call__(self, clip: Clip) -> Labels:
        """Read those of a clip."""
        path = keypoint_path(self.folder, clip.name)
        labels = read_keypoints(path)
        if labels.teacher != self.teacher:
            raise DataError(f"{path}: labels of {labels.teacher.name} with other weights or settings; label it again")
        return lambda frame: labels.keypoints_of(frame.stamp_ns)


@dataclass(frozen=True)
class LiveLabels:
    """A teacher looks at each frame's colour as the store is built.

    Attributes:
        plan: how to make it; hashable.
    """

    plan: TeacherPlan

    def __call__(self, clip: Clip) -> Labels:
        """The network is built once in each process."""
        detector = _built(self.plan)  # type: ignore[arg-type]  # plans are frozen dataclasses, which protocols cannot say

        def look(frame: RgbdFrame) -> Keypoints2D | None:
            return None if frame.colour is None else detector(frame.colour)

        return look


@lru_cache(maxsize=1)
def _built(plan: TeacherPlan) -> KeypointDetector:
    return plan.build()
