"""Rows of people whom nobody looked for: where the truth says they are. For data sets without colour.

Keypoints are projected truth then, so that whatever claims to learn without 3D labels must not read
them; the store says so (:data:`unipose_training.samples.store.TRUTH`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons
from unipose_ros.skeletons import COCO17, ITOP15
from unipose_training.evaluation.joint_sets import in_joint_set
from unipose_training.evaluation.matching import MIN_VISIBLE_JOINTS
from unipose_training.samples.rectify import rectified
from unipose_training.samples.rows import POINTED, Found, Row, cut_out, trunk_distance
from unipose_training.samples.settings import SampleSettings

_BONES = np.array([(bone.parent, bone.child) for bone in ITOP15.bones])
_LENGTHS = np.array([bone.length for bone in ITOP15.bones])


def truth_rows(raw: RgbdFrame, truth: Skeletons, settings: SampleSettings) -> Found:
    """The people of whom at least three joints are visible and who have points, as rows.

    Args:
        raw: with depth, as the camera's lens shows it.
        truth: in any joint set.
    """
    frame = rectified(raw)
    people, keypoints = in_joint_set(truth, ITOP15), in_joint_set(truth, COCO17)
    found = [(person, _row(frame, people, keypoints, person, settings)) for person in range(len(people))]
    rows = [row for _, row in found if row is not None]
    kept = np.array([person for person, row in found if row is not None], np.intp)
    return Found(rows, _selected(people, kept), len(people) - len(rows))


def _row(
    frame: RgbdFrame, people: Skeletons, keypoints: Skeletons, person: int, settings: SampleSettings
) -> Row | None:
    joints, status = people.positions[person], people.status[person]
    visible = status == JointStatus.MEASURED
    pixels = project(frame.camera, joints).astype(np.float32)
    box = _box(frame.camera, pixels)
    if visible.sum() < MIN_VISIBLE_JOINTS or box is None:
        return None
    inputs = cut_out(frame, box, trunk_distance(joints, status), settings)
    if inputs is None:
        return None
    return {
        **inputs,
        **_nothing_lifted(),
        **_projected(pixels, visible),
        "keypoints": _all_keypoints(frame.camera, keypoints, person),
        "score": np.array(1, np.float32),
        "size": np.array(_size(joints), np.float32),
        "truth": joints,
        "visible": visible.astype(np.uint8),
    }


def _box(camera: Camera, pixels: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """(4,) around the joints, cut at the picture's border; ``None`` when nothing of it is left."""
    there = pixels[np.isfinite(pixels).all(axis=-1)]
    if not len(there):
        return None
    size = np.array([camera.width - 1, camera.height - 1])
    low, high = np.clip(there.min(axis=0), 0, size), np.clip(there.max(axis=0), 0, size)
    return np.concatenate([low, high]).astype(np.float32) if (high > low).all() else None


def _projected(pixels: NDArray[np.float32], visible: NDArray[np.bool_]) -> Row:
    targets, trust = np.full((len(ITOP15), 2), np.nan, np.float32), np.zeros(len(ITOP15), np.float32)
    targets[POINTED], trust[POINTED] = pixels[POINTED], visible[POINTED]
    return {"pixels": targets, "trust": trust}


def _all_keypoints(camera: Camera, keypoints: Skeletons, person: int) -> NDArray[np.float32]:
    """(17, 3) u, v and 1 where it is seen, else 0; NaN for what the truth does not have."""
    seen = keypoints.status[person] == JointStatus.MEASURED
    pixels = project(camera, keypoints.positions[person])
    return np.concatenate([pixels, seen[:, None]], axis=1).astype(np.float32)


def _nothing_lifted() -> Row:
    joints = len(ITOP15)
    return {
        "lifted": np.full((joints, 3), np.nan, np.float32),
        "lifted_variance": np.full(joints, np.nan, np.float32),
        "lifted_status": np.full(joints, JointStatus.MISSING, np.uint8),
        "lifted_confidence": np.zeros(joints, np.float32),
    }


def _size(joints: NDArray[np.floating]) -> float:
    """As a part of an average adult, by the bones that are known; 1 where none is."""
    lengths = np.linalg.norm(joints[_BONES[:, 1]] - joints[_BONES[:, 0]], axis=-1) / _LENGTHS
    lengths = lengths[np.isfinite(lengths)]
    return float(np.median(lengths)) if len(lengths) else 1.0


def _selected(people: Skeletons, kept: NDArray[np.intp]) -> Skeletons:
    return Skeletons(
        stamp_ns=people.stamp_ns,
        frame_id=people.frame_id,
        modality=people.modality,
        positions=people.positions[kept],
        confidences=people.confidences[kept],
        status=people.status[kept],
        scores=people.scores[kept],
    )
