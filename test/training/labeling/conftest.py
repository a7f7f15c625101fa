"""Clips with a spot that moves, for the labeler in helpers/blob_labeler.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from unipose_ros.camera import Camera
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.joint_sets import COCO23
from unipose_training.datasets.shards import LabeledFrame, write_shard

CAMERA = Camera(fx=50, fy=50, cx=31.5, cy=23.5, width=64, height=48)


def frame(number: int, stamp: int) -> LabeledFrame:
    """A white spot of four pixels about (8 + 4 number, 20) on black; number -1 is all black."""
    color = np.zeros((48, 64, 3), np.uint8)
    if number >= 0:
        color[18:22, 6 + 4 * number : 10 + 4 * number] = 255
    depth = np.full((48, 64), 2.0, np.float32)
    image = RgbdFrame(stamp, "camera", CAMERA, depth, color)
    return LabeledFrame(
        image, Skeletons.empty(stamp, "camera", "ground_truth", COCO23), np.zeros((0, 4), np.float32),
        np.zeros(3), np.eye(3),
    )  # fmt: skip


@pytest.fixture
def shards() -> Callable[[Path, int, int], list[Path]]:
    """Writes a number of clips with a number of frames below a folder; in the last frame no person is seen."""

    def write(folder: Path, clips: int, frames: int) -> list[Path]:
        paths = [folder / f"clip_{n}.npz" for n in range(clips)]
        for n, path in enumerate(paths):
            numbers = [*(min(n + k, 12) for k in range(frames - 1)), -1]
            write_shard(path, f"set/clip_{n}", "set", [frame(m, 1000 + 10 * k) for k, m in enumerate(numbers)])
        return paths

    return write
