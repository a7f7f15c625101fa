"""Rendered frames -> rosbag2 recordings."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from unipose_ros.files import write_atomic
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.joint_sets import ITOP15
from unipose_ros.recordings import BagWriter
from unipose_ros.recordings.messages import camera_info, compressed_depth, compressed_image, skeleton_array
from unipose_training.datasets.joint_sets import in_joint_set
from unipose_training.datasets.shards import LabeledFrame

LABELS = "labels.json"
_QUALITY = 82
#: Much effort on depth would take as long as rendering it.
_LITTLE = 1


def write_recording(
    output: Path, frames: Iterable[LabeledFrame], storage: str = "mcap", becomes: Path | None = None
) -> None:
    """Frames with ground truth as a recording; boxes and camera poses go into ``labels.json`` beside it.

    Args:
        becomes: see :class:`unipose_ros.recordings.BagWriter`.

    Raises:
        RecordingError: the folder exists.
    """
    labels = []
    with BagWriter(output, storage, becomes) as writer:
        for labeled in frames:
            write_frame(writer, labeled.frame, labeled.ground_truth, _LITTLE)
            labels.append(_label(labeled))
    write_atomic(output / LABELS, json.dumps(labels))


def write_frame(writer: BagWriter, frame: RgbdFrame, ground_truth: Skeletons, effort: int = 9) -> None:
    """All messages of a frame: images, calibrations, ground truth as ITOP-15 and COCO-23.

    Args:
        effort: to compress depth, see :func:`unipose_ros.images.encode_compressed_depth`.
    """
    assert frame.color is not None
    assert frame.depth is not None
    stamp, name = frame.stamp_ns, frame.frame_id
    info = camera_info(stamp, name, frame.camera)
    for topic, message in (
        ("/color/camera_info", info),
        ("/color/image/compressed", compressed_image(stamp, name, frame.color, _QUALITY)),
        ("/depth/camera_info", info),
        ("/depth/image/compressedDepth", compressed_depth(stamp, name, frame.depth, effort)),
        ("/truth/keypoints", skeleton_array(ground_truth)),
        ("/truth/skeletons", skeleton_array(in_joint_set(ground_truth, ITOP15))),
    ):
        writer.write(topic, message, stamp)


def _label(labeled: LabeledFrame) -> dict[str, Any]:
    boxes = labeled.boxes.astype(float).round(1).tolist()
    return {
        "stamp_ns": labeled.frame.stamp_ns,
        "boxes": dict(zip(labeled.ground_truth.ids, boxes, strict=True)),
        "camera_position": labeled.camera_position.round(6).tolist(),
        "world_to_camera": labeled.camera_rotation.round(9).tolist(),
    }
