"""Sample stores of a capsule person, and tiny networks to teach with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from unipose_ros.networks.points import SIZES, PointNetworkConfig

TESTS = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def walkers(load_module: Callable[[Path], ModuleType]) -> ModuleType:
    """Clips of somebody who walks."""
    return load_module(TESTS / "training" / "samples" / "walkers.py")


@pytest.fixture(scope="session")
def itop_layout(load_module: Callable[[Path], ModuleType]) -> ModuleType:
    """Writes ITOP's files."""
    return load_module(TESTS / "training" / "datasets" / "layouts" / "itop.py")


@pytest.fixture(scope="session")
def walks(walkers: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with ``clips/``, ``labels/`` and, built of them, ``store/``: three clips of four frames."""
    return walkers.write_store(tmp_path_factory.mktemp("walks"))


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a size of point network that tests have the time for."""
    config = PointNetworkConfig(
        points=128, centers=16, neighbors=8, edge=(16,), width=32, layers=1, heads=2, head_width=16, hidden=64
    )
    monkeypatch.setitem(SIZES, "tiny", config)
    return "tiny"
