"""The pose node with modalities that need no network: one sees what is near, the other what is red."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from unipose_ros.camera import unproject
from unipose_ros.estimator import MODALITIES
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons
from unipose_ros.modalities.auto import Auto
from unipose_ros.modalities.base import RequiredInputs, StageClock
from unipose_ros.nodes.pose_node import PoseNode
from unipose_ros.ros.lifecycle import run

#: Meters: what is nearer is a person.
NEAR = 2.5


class Seer:
    """One person, all joints in one place: in the middle of the pixels that count."""

    last_keypoints, runtime, notice = None, "no network", ""
    counters: ClassVar[dict[str, int]] = {}

    def __init__(self, name: str, needs: RequiredInputs) -> None:
        self._name, self._needs = name, needs

    def warm_up(self, frame: RgbdFrame) -> None:
        """Nothing to warm."""

    def estimate(self, frame: RgbdFrame, clock: StageClock) -> Skeletons:
        """One person at most."""
        self._needs.check(frame, self._name)
        with clock.stage("network"):
            image = frame.depth if self._needs.depth else frame.color
            assert image is not None
            seen = (image > 0) & (image < NEAR) if self._needs.depth else (image[..., 0] > 200) & (image[..., 1] < 60)
        if not seen.any():
            return Skeletons.empty(frame.stamp_ns, frame.frame_id, self._name)
        middle = np.argwhere(seen).mean(axis=0)[::-1]
        place = unproject(frame.camera, middle, 2.0).astype(np.float32)
        return Skeletons(
            frame.stamp_ns, frame.frame_id, self._name, np.tile(place, (1, 15, 1)), np.full((1, 15), 0.9, np.float32),
            np.full((1, 15), JointStatus.MEASURED, np.uint8), np.ones(1, np.float32),
        )  # fmt: skip

    def reset(self) -> None:
        """There is no state."""

    def close(self) -> None:
        """Nothing to release."""


def points(*_: Any) -> Seer:
    """Sees what is near."""
    return Seer("points", RequiredInputs(color=False, depth=True))


def rgb(*_: Any) -> Seer:
    """Sees what is red."""
    return Seer("rgb", RequiredInputs(color=True, depth=False))


BUILDERS = {"points": points, "rgb": rgb, "auto": lambda *_: Auto(points(), rgb())}

if __name__ == "__main__":
    for name, build in BUILDERS.items():
        MODALITIES[name] = replace(MODALITIES[name], builder=build)
    sys.exit(run(PoseNode))
