"""People made of numbers, seen by a tracker: shared by the tests of this folder."""

from __future__ import annotations

import numpy as np
import pytest

from unipose_ros.frame import JointStatus, Skeletons
from unipose_ros.joint_sets import ITOP15
from unipose_ros.tracking import NearestTracker, TrackerConfig

HZ = 10
FRAME_NS = 1_000_000_000 // HZ
START_NS = 1_700_000_000_000_000_000

# Head to feet, facing the camera; good enough to be told from noise.
STANDING = np.array(
    [
        [0, -0.75, 0], [0, -0.5, 0], [-0.18, -0.5, 0], [0.18, -0.5, 0], [-0.3, -0.25, 0], [0.3, -0.25, 0],
        [-0.35, 0.05, -0.1], [0.35, 0.05, -0.1], [0, -0.25, 0], [-0.11, 0, 0], [0.11, 0, 0], [-0.12, 0.45, 0],
        [0.12, 0.45, 0], [-0.13, 0.9, 0.05], [0.13, 0.9, 0.05],
    ]
)  # fmt: skip


class World:
    """What happens in front of the camera."""

    HZ = HZ
    FRAME_NS = FRAME_NS
    START_NS = START_NS

    @staticmethod
    def at(x: float, z: float = 2.5) -> np.ndarray:
        return STANDING + np.array([x, 0.0, z])

    @staticmethod
    def seen(frame: float, *people: np.ndarray, covariance: float | None = 0.01) -> Skeletons:
        """The detections of a frame, counted from 0 at 10 Hz; a NaN joint is MISSING."""
        positions = np.array(people, np.float32).reshape(len(people), len(ITOP15), 3)
        given = np.isfinite(positions).all(axis=-1)
        covariances = np.zeros((*given.shape, 6), np.float32)
        covariances[..., [0, 3, 5]] = covariance or 0.0
        return Skeletons(
            stamp_ns=START_NS + round(frame * FRAME_NS),
            frame_id="camera",
            modality="lookup",
            positions=positions,
            confidences=np.where(given, 0.8, 0).astype(np.float32),
            status=np.where(given, JointStatus.MEASURED, JointStatus.MISSING).astype(np.uint8),
            scores=np.full(len(people), 0.9, np.float32),
            covariances=None if covariance is None else covariances,
        )

    @staticmethod
    def tracker(**settings: float) -> NearestTracker:
        return NearestTracker(TrackerConfig(seed=1, **settings))

    @staticmethod
    def stand(follower: NearestTracker, frames: int) -> Skeletons:
        """One person who stands still; the last frame's answer."""
        return [follower.update(World.seen(k, World.at(0.0))) for k in range(frames)][-1]

    @staticmethod
    def without(person: np.ndarray, *joints: int) -> np.ndarray:
        person = person.copy()
        person[list(joints)] = np.nan
        return person


@pytest.fixture(scope="session")
def world() -> World:
    return World()
