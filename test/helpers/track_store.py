"""Sample stores of standing people whose places, poses and sizes are given, for the data checks of an adaptation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from standing_body import STANDING

from unipose_ros.camera import Camera, project
from unipose_ros.joint_sets import COCO17, ITOP15, convert_joints
from unipose_training.samples.store import SampleStore, StoredClip, StoreWriter

CAMERA = Camera(fx=525.0, fy=525.0, cx=319.5, cy=239.5, width=640, height=480)
ROWS = 30


def standing() -> NDArray[np.float64]:
    """(15, 3) about the middle of the hips."""
    return np.array([STANDING[name] for name in ITOP15.joints])


def walking(tracks: int, seed: int = 0) -> NDArray[np.float64]:
    """(tracks * ROWS, 15, 3) people who walk 2 to 4 m away and move all limbs."""
    rng = np.random.default_rng(seed)
    poses = []
    for _ in range(tracks):
        start, way = rng.uniform((-1, 0.2, 2), (0, 0.2, 3.5)), rng.uniform(0.01, 0.04, 3) * (1, 0, 1)
        swing = rng.normal(0, 0.15, (15, 3))
        for row in range(ROWS):
            poses.append(standing() + start + row * way + np.sin(0.5 * row) * swing)
    return np.stack(poses)


def write_tracks(
    folder: Path, joints: NDArray[np.float64], size: float = 1.0, exchanged: bool = False, face: float = 1.0
) -> SampleStore:
    """A store of one clip in which every ROWS rows are one person's.

    Args:
        joints: (N, 15, 3) meters.
        size: of all people relative to average adults.
        exchanged: the 2D network calls left right.
        face: its confidence in nose and eyes.
    """
    count = len(joints)
    people, _ = convert_joints(joints, ITOP15, COCO17)
    keypoints = np.ones((count, 17, 3), np.float32)
    keypoints[..., :2] = project(CAMERA, people)
    names = COCO17.joints
    head = project(CAMERA, joints[:, ITOP15.index("head")])
    for name, across in (("nose", 0), ("left_eye", 4), ("right_eye", -4), ("left_ear", 9), ("right_ear", -9)):
        keypoints[:, names.index(name), :2] = head + [across, 0]
    keypoints[:, [names.index(name) for name in ("nose", "left_eye", "right_eye")], 2] = face
    pixels = project(CAMERA, joints).astype(np.float32)
    if exchanged:
        keypoints, pixels = keypoints[:, list(COCO17.mirror)], pixels[:, list(ITOP15.mirror)]
    frame = np.arange(count, dtype=np.int32) % ROWS
    previous = np.where(frame == 0, -1, np.arange(count) - 1).astype(np.int64)
    low, high = np.nanmin(pixels, axis=1), np.nanmax(pixels, axis=1)
    arrays = {
        "lifted": joints.astype(np.float32),
        "keypoints": keypoints,
        "pixels": pixels,
        "confidence": np.ones((count, 15), np.float32),
        "box": np.concatenate([low, high], axis=1).astype(np.float32),
        "score": np.full(count, 0.8, np.float32),
        "size": np.full(count, size, np.float32),
        "frame": frame,
        "previous": previous,
        "stamp_ns": (1 + frame.astype(np.int64)) * 200_000_000,
    }
    with StoreWriter(folder, {"points": {"centers": 0}}) as writer:
        writer.append(StoredClip("clip", "", count, ROWS, 0), arrays)
    return SampleStore(folder)
