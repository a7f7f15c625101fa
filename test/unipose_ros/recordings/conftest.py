from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from unipose_ros.camera import Camera
from unipose_ros.recordings import BagWriter
from unipose_ros.recordings import messages as make

CAMERA = Camera(fx=50.0, fy=51.0, cx=15.5, cy=11.5, width=32, height=24)
PERIOD_NS = 33_333_333
START_NS = 5_000_000_000


@pytest.fixture
def camera() -> Camera:
    return CAMERA


@pytest.fixture
def depth() -> np.ndarray:
    """Millimeter-exact depth with one hole."""
    values = np.random.default_rng(3).integers(500, 4000, (24, 32)).astype(np.float32) / 1000
    values[5, 7] = 0
    return values


@pytest.fixture
def color() -> np.ndarray:
    return np.random.default_rng(4).integers(0, 255, (24, 32, 3)).astype(np.uint8)


@pytest.fixture
def rgbd_bag(tmp_path: Path, color: np.ndarray, depth: np.ndarray) -> Callable[..., Path]:
    """Writes a recording of color and depth with given stamps (as frame numbers, maybe fractional)."""

    def write(color_at: list[float], depth_at: list[float], name: str = "bag", storage: str = "mcap") -> Path:
        path = tmp_path / name
        stamp = [[START_NS + round(at * PERIOD_NS) for at in stream] for stream in (color_at, depth_at)]
        events = [(at, "color") for at in stamp[0]] + [(at, "depth") for at in stamp[1]]
        with BagWriter(path, storage) as writer:
            for at, stream in sorted(events):
                if stream == "color":
                    writer.write("/color/camera_info", make.camera_info(at, "optical", CAMERA), at)
                    writer.write("/color/image", make.image(at, "optical", color, "rgb8"), at)
                else:
                    writer.write("/depth/camera_info", make.camera_info(at, "optical", CAMERA), at)
                    writer.write("/depth/image", make.depth_image(at, "optical", depth), at)
        return path

    return write
