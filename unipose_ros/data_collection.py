"""What is worth training on: which clips are kept, and what a recording for adaptation has shown."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unipose_ros.files import remove_files
from unipose_ros.frame import JointStatus, Skeletons, TrackState

# When to record a clip on the robot: while people are seen confidently, now and then an empty scene.

#: Folders of clips, and files in them; one that is still being written has a hidden name.
_CLIP = re.compile(r"clip_[0-9]+(_[0-9]+)*")
_CLIP_FILE = re.compile(r"metadata\.yaml|clip_[0-9_]+\.(mcap|db3)")


@dataclass(frozen=True)
class ClipRules:
    """What is collected.

    Attributes:
        seconds: length of a clip.
        pause: seconds between two clips at least: successive clips look alike.
        steady: seconds for which people must be seen confidently before a clip begins.
        min_score, min_measured: least score of a person, and least fraction of joints that are measured.
        empty_every: after so many clips with people one of an empty scene is taken when there is one, for false people
            show there; people are kept meanwhile.

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
        wanted = kind == "people" or (kind == "empty" and self._with_people >= rules.empty_every)
        if not wanted or now < self._free_at or now - self._since[kind] < rules.steady:
            return False
        self._with_people = self._with_people + 1 if kind == "people" else 0
        self._ends = now + rules.seconds
        return True

    def _kind(self, people: Skeletons) -> str:
        if not len(people):
            return "empty"
        measured = (people.status == JointStatus.MEASURED).mean(axis=1)
        sure = (people.scores >= self._rules.min_score) & (measured >= self._rules.min_measured)
        return "people" if sure.any() else ""


def clip_name(seconds: float) -> str:
    """What a clip that begins at this time (of the epoch) is called."""
    return time.strftime("clip_%Y%m%d_%H%M%S", time.gmtime(seconds))


def finished_clips(folder: Path) -> list[Path]:
    """Clips in the order of their names, which begin with their time; other folders are somebody else's."""
    named = (each for each in folder.iterdir() if _CLIP.fullmatch(each.name) and not each.is_symlink())
    return sorted(each for each in named if each.is_dir() and _files_of(each))


def folder_bytes(folder: Path) -> int:
    """Size of all files below a folder."""
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())


def make_room(folder: Path, most_bytes: int, in_use: Collection[Path] = ()) -> list[Path]:
    """Remove the oldest clips until all together are within their bound.

    Only what a clip is made of is removed: a file that somebody has put beside it stays, and its folder with it.

    Args:
        in_use: clips that stay, and count.

    Returns:
        The clips that were removed.
    """
    removed = []
    sizes = {clip: sum(file.stat().st_size for file in _files_of(clip)) for clip in finished_clips(folder)}
    for clip in sorted(set(sizes) - set(in_use)):
        if sum(sizes.values()) <= most_bytes:
            break
        del sizes[clip]
        # With the folder, where nothing else lies in it.
        remove_files(folder, [f"{clip.name}/{file.name}" for file in _files_of(clip)])
        removed.append(clip)
    return removed


def _files_of(clip: Path) -> list[Path]:
    """Files of a recording."""
    return [file for file in clip.iterdir() if _CLIP_FILE.fullmatch(file.name) and file.is_file()]


# What a recording of people should show before networks are adapted to it, as a checklist that is ticked live.
#
# Everything is told from skeletons in the optical frame (x right, y down, z forward): no image is used.

FloatArray = NDArray[np.float64]

#: Meters, of the middle of the body: near, middle and far.
_NEAR, _FAR = 2.0, 3.5
#: Degrees: thighs of a person who sits are turned away from the trunk by at least this.
_SITS = 50.0
#: Fewer joints measured than this fraction are a person who is partly occluded.
_OCCLUDED = 0.7
#: Seconds for which one frame counts at most: gaps in the stream are not coverage.
_MOST_S = 1.0

#: Item -> seconds that it is to be seen.
DEFAULT_GOALS: dict[str, float] = {
    "people near (below 2 m)": 10.0,
    "people at 2 to 3.5 m": 20.0,
    "people far (beyond 3.5 m)": 10.0,
    "facing the camera": 15.0,
    "from the side": 15.0,
    "from behind": 15.0,
    "arms raised": 8.0,
    "sitting": 8.0,
    "partly occluded": 8.0,
    "several people": 15.0,
    "empty scene": 10.0,
}


@dataclass
class Coverage:
    """Counts seconds of each item.

    Attributes:
        goals: seconds by item.
        seconds: seen so far by item.
    """

    goals: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_GOALS))
    seconds: Counter[str] = field(default_factory=Counter)
    _last_ns: int = 0

    def add(self, people: Skeletons) -> None:
        """Count the people of one frame; stamps that go back begin anew."""
        step = (people.stamp_ns - self._last_ns) * 1e-9 if self._last_ns else 0.0
        self._last_ns = people.stamp_ns
        if not step > 0:
            return
        for item in items_of(people):
            if item in self.goals:
                self.seconds[item] += min(step, _MOST_S)  # type: ignore[assignment]  # a counter of seconds

    @property
    def complete(self) -> bool:
        """Whether all goals are reached."""
        return all(self.seconds[item] >= goal for item, goal in self.goals.items())

    @property
    def missing(self) -> list[str]:
        """Items whose goal is not reached."""
        return [item for item, goal in self.goals.items() if self.seconds[item] < goal]

    def checklist(self) -> str:
        """A line for each item: ticked, seconds of how many."""
        width = max(len(item) for item in self.goals)
        return "\n".join(
            f"[{'x' if self.seconds[item] >= goal else ' '}] {item:<{width}} {min(self.seconds[item], goal):5.0f} "
            f"of {goal:.0f} s"
            for item, goal in self.goals.items()
        )


def items_of(people: Skeletons) -> set[str]:
    """Items of :data:`DEFAULT_GOALS` that a frame shows."""
    shown = people.select(np.asarray(people.states != TrackState.OCCLUDED))
    if not len(shown):
        return {"empty scene"} if not len(people) else set()
    found = {"several people"} if len(shown) > 1 else set()
    for person in shown:
        found |= _items_of_person(shown, person)
    return found


def _items_of_person(people: Skeletons, person: int) -> set[str]:
    joints = np.asarray(people.positions[person], np.float64)
    names = people.joint_set.landmarks
    place = {name: joints[number] for number, name in enumerate(names)}
    found = {_distance(joints)}
    found |= _facing(place)
    if _arms_raised(place):
        found.add("arms raised")
    if _sits(place):
        found.add("sitting")
    if (people.status[person] == JointStatus.MEASURED).mean() < _OCCLUDED:
        found.add("partly occluded")
    return found - {""}


def _distance(joints: FloatArray) -> str:
    depth = np.nanmedian(joints[:, 2]) if np.isfinite(joints[:, 2]).any() else np.nan
    if not np.isfinite(depth):
        return ""
    if depth < _NEAR:
        return "people near (below 2 m)"
    return "people at 2 to 3.5 m" if depth < _FAR else "people far (beyond 3.5 m)"


def _facing(place: Mapping[str, FloatArray]) -> set[str]:
    """By the line of the shoulders: of a person who faces the camera the left one is on the right."""
    ends = [place.get(f"{side}_shoulder", np.full(3, np.nan)) for side in ("left", "right")]
    across = ends[0] - ends[1]
    if not np.isfinite(across).all() or not np.any(across[[0, 2]]):
        return set()
    turned = np.degrees(np.arctan2(across[2], across[0]))
    if abs(turned) < 50:
        return {"facing the camera"}
    return {"from behind"} if abs(turned) > 130 else {"from the side"}


def _arms_raised(place: Mapping[str, FloatArray]) -> bool:
    """A hand is farther along the trunk than the neck."""
    trunk = _trunk(place)
    if trunk is None:
        return False
    hips, up = trunk
    neck = np.mean([place[f"{side}_shoulder"] for side in ("left", "right")], axis=0)
    hands = [place.get(name) for side in ("left", "right") for name in (f"{side}_wrist", f"{side}_hand")]
    return any(hand is not None and float((hand - hips) @ up) > float((neck - hips) @ up) + 0.1 for hand in hands)


def _sits(place: Mapping[str, FloatArray]) -> bool:
    trunk = _trunk(place)
    if trunk is None:
        return False
    _, up = trunk
    thighs = [place[f"{side}_knee"] - place[f"{side}_hip"] for side in ("left", "right") if f"{side}_knee" in place]
    angles = [
        np.degrees(np.arccos(np.clip(-(thigh @ up) / max(float(np.linalg.norm(thigh)), 1e-6), -1, 1)))
        for thigh in thighs
        if np.isfinite(thigh).all()
    ]
    return len(angles) == 2 and bool(min(angles) > _SITS)


def _trunk(place: Mapping[str, FloatArray]) -> tuple[FloatArray, FloatArray] | None:
    """Middle of the hips, and the direction from there to the shoulders."""
    needed = [f"{side}_{part}" for part in ("hip", "shoulder") for side in ("left", "right")]
    if not all(name in place and np.isfinite(place[name]).all() for name in needed):
        return None
    hips, shoulders = ((place[needed[k]] + place[needed[k + 1]]) / 2 for k in (0, 2))
    up = shoulders - hips
    length = float(np.linalg.norm(up))
    return None if length < 1e-6 else (hips, up / length)
