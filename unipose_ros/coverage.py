"""What a recording of people should show before networks are adapted to it, as a checklist that is ticked live.

Everything is told from skeletons in the optical frame (x right, y down, z forward): no image is used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from unipose_ros.frame import JointStatus, Skeletons, TrackState

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
