"""Fixtures of this folder, and the way to its helper module."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unipose_ros.estimator import EstimatorConfig, WeightsConfig


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., EstimatorConfig]:
    """A configuration of a modality with tiny untrained networks, run by torch on the CPU unless told otherwise."""

    pytest.importorskip("torch")
    from tiny_networks import write_weights

    def configure(modality: str, **changes: Any) -> EstimatorConfig:
        wanted = ("points", "rgb") if modality == "auto" else (modality,)
        files = WeightsConfig(**{name: str(write_weights(tmp_path, name)) for name in wanted})
        given = {"backend": "torch", "device": "cpu", "threads": 1, "weights": files}
        return EstimatorConfig(modality=modality, **{**given, **changes})

    return configure
