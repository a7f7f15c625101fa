"""When to record a clip on the robot: while people are seen confidently, now and then an empty scene."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unipose_ros.files import remove_made_folder
from unipose_ros.frame import JointStatus, Skeletons

#: A recording that is still being written.
_HIDDEN = "."


@dataclass(frozen=True)
class ClipRules:
    """What is collected.

    Attributes:
        seconds: length of a clip.
        pause: seconds between two clips at least: successive clips look alike.
        steady: seconds for which people must be seen confidently before a clip begins.
        min_score, min_measured: least score of a person, and least fraction of joints that are measured.
        empty_every: after so many clips with people one of an empty scene is taken, where false people would show.

    Raises:
        ValueError: a value is not positive.
    """

    seconds: float = 20.0
    pause: float = 60.0
    steady: float = 2.0
    min_score: float = 0.6
    min_measured: float = 0.6
    empty_every: int = 4

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"clips.{name} = {value}: must be positive")


class ClipChooser:
    """Says from frame to frame whether a clip is to be recorded."""

    def __init__(self, rules: ClipRules) -> None:
        self._rules = rules
        self._since: dict[str, float] = {}
        self._ends: float | None = None
        self._free_at = -np.inf
        self._with_people = 0

    def recording(self, people: Skeletons) -> bool:
        """Whether the frame belongs to a clip; stamps that go back end it."""
        now, rules = people.stamp_ns * 1e-9, self._rules
        if self._ends is not None:
            if 0 <= self._ends - now <= rules.seconds:
                return True
            self._ends, self._free_at = None, now + rules.pause
            self._since = {}
        kind = self._kind(people)
        self._since = {kind: min(self._since.get(kind, now), now)} if kind else {}
        wanted = "empty" if self._with_people and self._with_people % rules.empty_every == 0 else "people"
        if kind != wanted or now < self._free_at or now - self._since[kind] < rules.steady:
            return False
        self._with_people += 1  # an empty clip counts as one, too, so that the next one shows people again
        self._ends = now + rules.seconds
        return True

    def _kind(self, people: Skeletons) -> str:
        if not len(people):
            return "empty"
        measured = (people.status == JointStatus.MEASURED).mean(axis=1)
        sure = (people.scores >= self._rules.min_score) & (measured >= self._rules.min_measured)
        return "people" if sure.any() else ""


def finished_clips(folder: Path) -> list[Path]:
    """Clips in the order of their names, which begin with their time."""
    return sorted(each for each in folder.iterdir() if each.is_dir() and not each.name.startswith(_HIDDEN))


def folder_bytes(folder: Path) -> int:
    """Size of all files below a folder."""
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())


def make_room(folder: Path, most_bytes: int) -> list[Path]:
    """Remove the oldest clips until the folder is within its bound.

    Returns:
        The clips that were removed.
    """
    clips, removed = finished_clips(folder), []
    while clips and folder_bytes(folder) > most_bytes:
        oldest = clips.pop(0)
        remove_made_folder(oldest)
        removed.append(oldest)
    return removed
