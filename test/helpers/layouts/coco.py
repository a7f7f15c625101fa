"""COCO's keypoint annotations with three images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from unipose_ros.joint_sets import COCO17

SKELETON = [[16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 12], [7, 13], [6, 7], [6, 8], [7, 9], [8, 10],
            [9, 11], [2, 3], [1, 2], [1, 3], [2, 4], [3, 5], [4, 6], [5, 7]]  # fmt: skip


def keypoints(shift: float) -> list[float]:
    """51 numbers; keypoint k has v = k % 3."""
    return [value for k in range(17) for value in ((10 + k + shift, 20 + k, k % 3) if k % 3 else (0, 0, 0))]


def record() -> dict[str, Any]:
    """What the annotation file holds: images not in order, one without people, one with a crowd."""
    images = [
        {"id": n, "file_name": f"{n:012d}.jpg", "height": 48, "width": 64, "license": 1, "date_captured": "",
         "coco_url": "", "flickr_url": ""}
        for n in (42, 7, 99)
    ]  # fmt: skip
    person = {"category_id": 1, "iscrowd": 0, "area": 200.5, "bbox": [10, 20, 30, 25.5], "segmentation": []}
    annotations = [
        person | {"id": 1, "image_id": 7, "keypoints": keypoints(0), "num_keypoints": 11},
        person | {"id": 2, "image_id": 42, "keypoints": keypoints(5), "num_keypoints": 11},
        person | {"id": 3, "image_id": 42, "keypoints": [0] * 51, "num_keypoints": 0, "iscrowd": 1},
    ]
    category = {"supercategory": "person", "id": 1, "name": "person", "skeleton": SKELETON}
    return {
        "info": {}, "licenses": [], "images": images, "annotations": annotations,
        "categories": [category | {"keypoints": list(COCO17.joints)}],
    }  # fmt: skip


def write(root: Path, split: str = "val2017") -> Path:
    """Annotations and images; returns the annotation file."""
    (root / "annotations").mkdir(parents=True)
    (root / split).mkdir()
    for entry in record()["images"]:
        image = np.full((48, 64, 3), entry["id"], np.uint8)
        cv2.imwrite(str(root / split / entry["file_name"]), image)
    path = root / "annotations" / f"person_keypoints_{split}.json"
    path.write_text(json.dumps(record()))
    return path
