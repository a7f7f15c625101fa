"""The pose node with an estimator that needs no network: every red blob is a person."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, ClassVar

import cv2
import numpy as np
from rclpy.parameter import Parameter

from unipose_ros.camera import Camera, unproject
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons
from unipose_ros.joint_sets import ITOP15
from unipose_ros.modalities.base import StageClock
from unipose_ros.nodes.pose_node import PoseNode
from unipose_ros.ros.lifecycle import run

#: Meters from the middle of the hips, in the optical frame (y down), of a person who faces the camera.
STANDING = {
    "head": (0.0, -0.75, 0.0), "neck": (0.0, -0.5, 0.0), "torso": (0.0, -0.25, 0.0),
    "right_shoulder": (-0.18, -0.5, 0.0), "left_shoulder": (0.18, -0.5, 0.0),
    "right_elbow": (-0.2, -0.2, 0.0), "left_elbow": (0.2, -0.2, 0.0),
    "right_hand": (-0.2, 0.05, 0.0), "left_hand": (0.2, 0.05, 0.0),
    "right_hip": (-0.1, 0.0, 0.0), "left_hip": (0.1, 0.0, 0.0),
    "right_knee": (-0.1, 0.45, 0.0), "left_knee": (0.1, 0.45, 0.0),
    "right_foot": (-0.1, 0.9, 0.0), "left_foot": (0.1, 0.9, 0.0),
}  # fmt: skip
OFFSETS = np.array([STANDING[joint] for joint in ITOP15.joints], np.float32)
#: This joint is never found, so that a missing one travels all the way.
MISSING = ITOP15.index("left_hand")
#: This one is only guessed.
INFERRED = ITOP15.index("right_hand")


#: The first so many estimators cannot be made.
failures = int(os.environ.get("BLOB_FAILS_TO_LOAD", "0"))


class BlobEstimator:
    """Puts a standing figure where the image is pure red; its hips are the blob's center."""

    modality = "lookup"
    last_keypoints = None
    runtime = "blobs on cpu"
    notice = ""
    counters: ClassVar[dict[str, int]] = {}

    def __init__(self, config: Any) -> None:
        self._delay = float(os.environ.get("BLOB_DELAY", "0"))
        time.sleep(float(os.environ.get("BLOB_LOADS_FOR", "0")))
        global failures
        failures -= 1
        if failures >= 0:
            raise RuntimeError("the weights are absent; run 'unipose download movenet'")

    def warm_up(self, camera: Camera) -> None:
        """Nothing to warm."""

    def estimate(self, frame: RgbdFrame, clock: StageClock | None = None) -> Skeletons:
        """Find all people."""
        with (clock or StageClock()).stage("network"):
            time.sleep(self._delay)
            centers = blobs(frame)
        people = len(centers)
        if people == 0:
            return Skeletons.empty(frame.stamp_ns, frame.frame_id, self.modality)
        positions = np.stack([center + OFFSETS for center in centers]).astype(np.float32)
        positions[:, MISSING] = np.nan
        status = np.full(positions.shape[:2], JointStatus.MEASURED, np.uint8)
        status[:, MISSING], status[:, INFERRED] = JointStatus.MISSING, JointStatus.INFERRED
        confidences = np.where(status == JointStatus.MISSING, 0, 0.9).astype(np.float32)
        scores = np.full(people, 0.9, np.float32)
        return Skeletons(frame.stamp_ns, frame.frame_id, self.modality, positions, confidences, status, scores)

    def reset(self) -> None:
        """There is no state."""

    def close(self) -> None:
        """Nothing to release."""


def blobs(frame: RgbdFrame) -> list[np.ndarray]:
    """Centers of the red blobs in meters, from left to right."""
    assert frame.color is not None
    assert frame.depth is not None
    red = (frame.color[..., 0] > 200) & (frame.color[..., 1] < 60) & (frame.color[..., 2] < 60)
    count, labels, stats, centroids = cv2.connectedComponentsWithStats(red.astype(np.uint8))
    found = []
    for label in sorted(range(1, count), key=lambda k: centroids[k][0]):
        depth = frame.depth[(labels == label) & (frame.depth > 0)]
        if depth.size and stats[label, cv2.CC_STAT_AREA] > 20:
            found.append(unproject(frame.camera, centroids[label], np.median(depth)))
    return found


if __name__ == "__main__":
    # Blobs are red and have a distance: the node is to bring color and depth.
    modality = Parameter("model.modality", value=BlobEstimator.modality)
    sys.exit(run(lambda: PoseNode(estimator_factory=BlobEstimator, parameter_overrides=[modality])))
