"""A person of capsules who walks before a wall, as clips with labels; small enough to build stores in tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from unipose_ros.camera import Camera, points_to_depth, project
from unipose_ros.codecs.points import PointCloudConfig
from unipose_ros.codecs.windows import ColorImageConfig, DepthImageConfig
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons
from unipose_ros.joint_sets import COCO17, COCO23
from unipose_ros.keypoints import Keypoints2D
from unipose_training.datasets.keypoint_files import KeypointLabels, LabelerId, keypoint_path, write_keypoints
from unipose_training.datasets.shards import LabeledFrame, ShardClip, write_shard
from unipose_training.samples.build import LabelFiles, build_store
from unipose_training.samples.rows import SampleSettings

CAMERA = Camera(fx=180, fy=175, cx=99.5, cy=79.5, width=200, height=160)
BENT = replace(CAMERA, distortion=(-0.45, 0.15, 0.002, -0.001, 0.0))
TEACHER = LabelerId("projections", {"noise": 0}, "abc")
SETTINGS = SampleSettings(
    points=PointCloudConfig(points=256, centers=32, cell=0.03),
    depth=DepthImageConfig(size=48),
    color=ColorImageConfig(size=32),
)
#: Meters from the middle of the trunk, x right, y down, z away from the camera.
_STANDING = {
    "nose": (0.0, -0.47, -0.108), "left_eye": (0.03, -0.5, -0.09), "right_eye": (-0.03, -0.5, -0.09),
    "left_ear": (0.075, -0.47, 0.0), "right_ear": (-0.075, -0.47, 0.0),
    "left_shoulder": (0.172, -0.25, 0.0), "right_shoulder": (-0.172, -0.25, 0.0),
    "left_elbow": (0.27, 0.02, 0.0), "right_elbow": (-0.27, 0.02, 0.0),
    "left_wrist": (0.3, 0.27, -0.05), "right_wrist": (-0.3, 0.27, -0.05),
    "left_hip": (0.1, 0.25, 0.0), "right_hip": (-0.1, 0.25, 0.0),
    "left_knee": (0.11, 0.68, -0.02), "right_knee": (-0.11, 0.68, -0.02),
    "left_ankle": (0.12, 1.1, 0.03), "right_ankle": (-0.12, 1.1, 0.03),
}  # fmt: skip
_CAPSULES = [
    (f"{side}_{a}", f"{side}_{b}")
    for side in ("left", "right")
    for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"), ("shoulder", "hip"))
] + [("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"), ("left_ear", "right_ear"), ("nose", "left_ear")]


def joints(clip: int, frame: int) -> np.ndarray:
    """(17, 3) meters; all people walks to the right, each clip elsewhere."""
    body = np.array([_STANDING[name] for name in COCO17.joints])
    return body + [-0.2 + 0.04 * frame, -0.3, 2.6 + 0.1 * clip]


def depth(camera: Camera, person: np.ndarray) -> np.ndarray:
    """Capsules 6 cm thick before a wall."""
    random = np.random.default_rng(0)
    directions = random.normal(size=(4000, 3))
    directions *= 0.06 / np.linalg.norm(directions, axis=1, keepdims=True)
    along = random.uniform(size=(4000, 1))
    ends = [(COCO17.index(a), COCO17.index(b)) for a, b in _CAPSULES]
    surface = [person[a] + along * (person[b] - person[a]) + directions for a, b in ends]
    seen = points_to_depth(camera, np.concatenate(surface).astype(np.float32))
    return np.where(seen > 0, seen, 4.5).astype(np.float32)


def frame(clip: int, number: int, camera: Camera = CAMERA) -> RgbdFrame:
    """What the camera sees."""
    color = np.full((camera.height, camera.width, 3), 40 + 10 * clip + number, np.uint8)
    stamp = 1_000_000_000 + clip * 10_000_000_000 + number * 100_000_000
    return RgbdFrame(stamp, "camera", camera, depth(camera, joints(clip, number)), color)


def ground_truth(of: RgbdFrame, person: np.ndarray) -> Skeletons:
    """COCO-23 without feet."""
    positions = np.full((1, len(COCO23), 3), np.nan, np.float32)
    positions[0, :17] = person
    status = np.full((1, len(COCO23)), JointStatus.MISSING, np.uint8)
    status[0, :17] = JointStatus.MEASURED
    confidences, scores = np.ones((1, len(COCO23)), np.float32), np.ones(1, np.float32)
    return Skeletons(
        of.stamp_ns, of.frame_id, "ground_truth", positions, confidences, status, scores, ids=("1",), joint_set=COCO23
    )


def keypoints(camera: Camera, person: np.ndarray) -> Keypoints2D:
    """What a faultless 2D network predicts."""
    pixels = project(camera, person)[None].astype(np.float32)
    box = np.concatenate([pixels[0].min(axis=0), pixels[0].max(axis=0)])[None]
    return Keypoints2D(pixels, np.full((1, 17), 0.9, np.float32), np.full(1, 0.8, np.float32), box)


def write_clips(folder: Path, clips: int = 3, frames: int = 4, camera: Camera = CAMERA) -> list[ShardClip]:
    """Shards in ``clips/`` and their labels in ``labels/``."""
    return [_write_clip(folder, clip, frames, camera) for clip in range(clips)]


def write_store(folder: Path) -> Path:
    """Clips, their labels, and the samples of both in ``store/``; returns the folder of all three."""
    clips = write_clips(folder)
    labels = LabelFiles.of_clips(folder / "labels", clips)
    build_store(clips, labels, folder / "store", SETTINGS, progress=False, teacher=labels.teacher)
    return folder


def _write_clip(folder: Path, clip: int, frames: int, camera: Camera) -> ShardClip:
    people = [joints(clip, number) for number in range(frames)]
    seen = [frame(clip, number, camera) for number in range(frames)]
    boxes, nowhere = np.zeros((1, 4), np.float32), np.zeros(3)
    labeled = [
        LabeledFrame(f, ground_truth(f, p), boxes, nowhere, np.eye(3)) for f, p in zip(seen, people, strict=True)
    ]
    path = folder / "clips" / f"walk{clip}.npz"
    write_shard(path, f"walk{clip}", "walks", labeled)
    labels = KeypointLabels.of_frames(
        f"walk{clip}", TEACHER, [f.stamp_ns for f in seen], [keypoints(camera, person) for person in people]
    )
    write_keypoints(keypoint_path(folder / "labels", f"walk{clip}"), labels)
    return ShardClip(path)
