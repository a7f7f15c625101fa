"""Modality ``auto``: color and depth together where both come, else the one that is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from unipose_ros.detection.color_support import is_dark
from unipose_ros.errors import EstimatorError, twin_of
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.modalities.base import Follower, Modality, StageClock

#: Depth dies when fewer pixels than the first part have a reading, and lives again above the second.
_DEAD, _ALIVE = 0.02, 0.04
#: Every so nth pixel along both sides tells enough.
_STEP = 4


class Auto:
    """Switches between modalities from frame to frame; the skeletons say which one was used.

    Args:
        points: uses depth; ``None`` where it cannot be had.
        rgb: uses color; ``None`` where it cannot be had or is not wanted.
        absent: why one of them cannot be had.
        rgbd: uses both; ``None`` where it cannot be had.
        without: what is done instead of ``rgbd``, and why.

    Raises:
        ValueError: there is none.
    """

    def __init__(
        self,
        points: Modality | None,
        rgb: Modality | None,
        absent: str = "",
        rgbd: Modality | None = None,
        without: str = "",
    ) -> None:
        self._points, self._rgb, self._rgbd = points, rgb, rgbd
        self._absent, self._without = absent, without
        self._members = [member for member in (rgbd, points, rgb) if member is not None]
        if not self._members:
            raise ValueError("modality 'auto' needs at least one of points, rgb and rgbd")
        self._used = self._members[0]
        self._alive = True
        self._notice = ""

    @property
    def last_keypoints(self) -> Keypoints2D | None:
        """Those of the modality that was used last."""
        return self._used.last_keypoints

    @property
    def runtime(self) -> str:
        """What runs them, and what is absent."""
        known = (("rgbd", self._rgbd), ("points", self._points), ("rgb", self._rgb))
        parts = [f"{name}: {member.runtime}" for name, member in known if member is not None]
        return "; ".join([*parts, *([self._absent] if self._absent else [])])

    @property
    def notice(self) -> str:
        """Which image is absent, and what is done about it."""
        return self._notice

    @property
    def counters(self) -> Mapping[str, int]:
        """Those of all together."""
        return sum((Counter(member.counters) for member in self._members), Counter())

    def twin(self) -> Auto | None:
        """For another thread, without memory; ``None`` where one of them does not allow it."""
        members = [
            (member, None if member is None else twin_of(member)) for member in (self._points, self._rgb, self._rgbd)
        ]
        if any(member is not None and twin is None for member, twin in members):
            return None
        points, rgb, rgbd = (twin for _, twin in members)
        return Auto(points, rgb, self._absent, rgbd, self._without)

    def warm_up(self, frame: RgbdFrame) -> None:
        """All."""
        for member in self._members:
            member.warm_up(frame)

    def estimate(self, frame: RgbdFrame, clock: StageClock) -> Skeletons:
        """All people in the frame, by the best modality that its images allow.

        Raises:
            EstimatorError: there is no modality for the images that the frame has.
        """
        self._used, frame = self._choose(frame)
        return self._used.estimate(frame, clock)

    def follow(self, people: Skeletons) -> None:
        """Take the tracker's ids."""
        for member in self._members:
            if isinstance(member, Follower):
                member.follow(people)

    def reset(self) -> None:
        """Forget earlier frames."""
        for member in self._members:
            member.reset()

    def close(self) -> None:
        """Free all."""
        for member in self._members:
            member.close()

    def _choose(self, frame: RgbdFrame) -> tuple[Modality, RgbdFrame]:
        self._alive = self._has_depth(frame)
        if self._alive and frame.color is not None and self._rgbd is not None and not is_dark(frame.color):
            self._notice = ""
            return self._rgbd, frame
        if self._points is not None and (self._alive or self._rgb is None or frame.color is None):
            return self._with_depth(self._points, frame)
        return self._with_color(frame)

    def _with_depth(self, points: Modality, frame: RgbdFrame) -> tuple[Modality, RgbdFrame]:
        if frame.depth is None:
            raise EstimatorError(f"the frame has no depth, and modality 'rgb' is not there: {self._absent}")
        if not self._alive:
            self._notice = f"{_lacking(frame)}: no person can be seen"
        elif frame.color is None:
            self._notice = "no color image: points go on with depth alone"
        elif self._rgbd is not None:
            self._notice = "the color image is dark: points go on with depth alone"
        else:
            self._notice = self._without
        return points, frame

    def _with_color(self, frame: RgbdFrame) -> tuple[Modality, RgbdFrame]:
        if self._rgb is None or frame.color is None:
            raise EstimatorError(f"the frame has no color, and modality 'points' is not there: {self._absent}")
        if self._alive:
            self._notice = "modality 'points' is not there: rgb is used"
            return self._rgb, frame
        self._notice = f"{_lacking(frame)}: rgb takes over, distances are less exact"
        # The few readings that are left may still say how far away a person is.
        left = frame.depth is not None and bool((np.nan_to_num(frame.depth) > 0).any())
        return self._rgb, frame if left else replace(frame, depth=None)

    def _has_depth(self, frame: RgbdFrame) -> bool:
        if frame.depth is None:
            return False
        return float(np.mean(frame.depth[::_STEP, ::_STEP] > 0)) > (_DEAD if self._alive else _ALIVE)


def _lacking(frame: RgbdFrame) -> str:
    return "no depth image" if frame.depth is None else "hardly any reading in depth"
