"""A sequence of 3DPW with two actors and four frames."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np

SEQUENCE = "downtown_tiny_00"
FRAMES = 4
#: The clock runs at 60 Hz, the camera at 30.
CLOCK = np.array([0, 2, 4, 7])
VALID = np.array([[1, 1, 0, 0], [1, 0, 0, 1]])
K = np.array([[1961.0, 0, 540.0], [0, 1969.0, 960.0], [0, 0, 1]]) * [[0.1], [0.1], [1]]


def camera_pose(frame: int) -> np.ndarray:
    """World to camera; the phone is turned and moves."""
    turn, _ = cv2.Rodrigues(np.array([0.1 * frame, 2.0, 0.3]))
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, (0.1 * frame, -0.2, 4.0)
    return matrix


def joints_in_camera(actor: int, frame: int) -> np.ndarray:
    """(24, 3) meters."""
    rng = np.random.default_rng(10 * actor + frame)
    return rng.uniform([-1.3, -1.5, 3.5], [1.3, 1.5, 4.5], (24, 3))


def record() -> dict[str, Any]:
    """What the pickle holds."""
    world = np.empty((2, FRAMES, 24, 3))
    for actor in range(2):
        for frame in range(FRAMES):
            back = np.linalg.inv(camera_pose(frame))
            world[actor, frame] = joints_in_camera(actor, frame) @ back[:3, :3].T + back[:3, 3]
    keypoints = np.random.default_rng(5).uniform(1, 90, (2, FRAMES, 3, 18))
    keypoints[:, :, 2] = 0.9
    keypoints[0, :, :, 4] = 0  # OpenPose did not find it
    return {
        "sequence": SEQUENCE, "betas": [np.zeros(10)] * 2, "poses": [np.zeros((FRAMES, 72))] * 2,
        "trans": [np.zeros((FRAMES, 3))] * 2, "poses_60Hz": [np.zeros((8, 72))] * 2,
        "trans_60Hz": [np.zeros((8, 3))] * 2, "betas_clothed": [np.zeros(10)] * 2,
        "v_template_clothed": [np.zeros((6890, 3))] * 2, "genders": ["m", "f"],
        "texture_maps": [np.zeros((4, 4, 3), np.uint8)] * 2, "poses2d": list(keypoints),
        "jointPositions": [actor.reshape(FRAMES, 72) for actor in world], "img_frame_ids": CLOCK,
        "cam_poses": np.stack([camera_pose(n) for n in range(FRAMES)]), "campose_valid": list(VALID),
        "cam_intrinsics": K,
    }  # fmt: skip


def write(root: Path, split: str = "test", content: Any = None) -> Path:
    """Pickle and images; returns the pickle. Written as Python 2 did: protocol 2, old module names."""
    (root / "sequenceFiles" / split).mkdir(parents=True)
    images = root / "imageFiles" / SEQUENCE
    images.mkdir(parents=True)
    for n in range(FRAMES):
        cv2.imwrite(str(images / f"image_{n:05d}.jpg"), np.full((192, 108, 3), 50 * n, np.uint8))
    path = root / "sequenceFiles" / split / f"{SEQUENCE}.pkl"
    data = pickle.dumps(record() if content is None else content, 2)
    path.write_bytes(data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    return path
