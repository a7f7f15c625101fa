"""Untrained networks in weights files, a person made of depth, and a person detector that says what it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from unipose_ros.camera import Camera
from unipose_ros.detection import Proposals
from unipose_ros.detection.verification import POSE_FEATURES, PoseVerifier
from unipose_ros.frame import RgbdFrame
from unipose_ros.networks.anchors import AnchorNetwork, AnchorNetworkConfig
from unipose_ros.networks.points import PointNetwork, PointNetworkConfig
from unipose_ros.networks.registry import save_network
from unipose_ros.networks.weights import ModelCard

CAMERA = Camera(120.0, 120.0, 79.5, 59.5, 160, 120)
# Of fewer than 8 channels the gradients of convolutions corrupt memory on CPUs with AVX2 alone (oneDNN in torch 2.13).
_ANCHORS = {"widths": (8, 8, 8, 8), "blocks": (1, 1, 1), "head_width": 8}
TINY: dict[str, Any] = {
    "points": PointNetworkConfig(
        points=96, centers=16, neighbors=8, edge=(8,), width=16, layers=1, heads=2, head_width=8, hidden=16
    ),
    "depth": AnchorNetworkConfig(channels=1, size=32, **_ANCHORS),
    "rgb": AnchorNetworkConfig(channels=3, size=32, **_ANCHORS),
}
#: What an untrained network predicts is no person's pose.
BELIEVES_ALL = PoseVerifier(dict.fromkeys(POSE_FEATURES, 0.0), 9.0).metrics()


class FixedDetector:
    """Says what it was told to, and counts how often it was asked."""

    runtime = "a list"

    def __init__(self, *boxes: tuple[float, float, float, float], distance: float = 3.0) -> None:
        count = len(boxes)
        self.proposals = Proposals(
            np.array(boxes, np.float32).reshape(count, 4), np.full(count, distance, np.float32),
            np.linspace(0.9, 0.5, count, dtype=np.float32),
        )  # fmt: skip
        self.asked = self.resets = 0
        self.closed = False

    def __call__(self, frame: RgbdFrame) -> Proposals:
        self.asked += 1
        return self.proposals

    def reset(self) -> None:
        self.resets += 1

    def close(self) -> None:
        self.closed = True


def record(name: str, **changes: Any) -> ModelCard:
    given = {"network": name, "config": {}, "joint_set": "itop15", "input": "", "training_data": "", "license": ""}
    return ModelCard(**{**given, **changes})


def standing(*columns: int, stamp_ns: int = 1_000_000_000, distance: float = 3.0, color: bool = True) -> RgbdFrame:
    """Upright slabs of 0.5 m x 1.5 m in front of a wall, with their middles at the given columns."""
    depth = np.full((120, 160), 5.0, np.float32)
    for column in columns:
        depth[30:90, column - 10 : column + 10] = distance
    image = np.full((120, 160, 3), 90, np.uint8) if color else None
    return RgbdFrame(stamp_ns=stamp_ns, frame_id="camera", camera=CAMERA, depth=depth, color=image)


def box(column: int) -> tuple[float, float, float, float]:
    """The slab's box."""
    return (column - 10.0, 30.0, column + 9.0, 89.0)


def write_weights(folder: Path, name: str, config: Any = None, **changes: Any) -> Path:
    """A tiny untrained network of a kind in a file, whose poses are believed; changes go to its record."""
    metrics = {**BELIEVES_ALL, **changes.pop("metrics", {})}
    torch.manual_seed(0)
    config = config or TINY[name]
    network = (PointNetwork if name == "points" else AnchorNetwork)(config)
    path = folder / f"{name}.safetensors"
    save_network(path, network, config, record(name, metrics=metrics, **changes))
    return path
