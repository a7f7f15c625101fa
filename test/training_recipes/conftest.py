"""Sample stores of a capsule person, and tiny networks to teach with them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from unipose_ros.networks.point_cloud import SIZES, PointNetworkConfig
from unipose_training.samples.build import build_store
from unipose_training.samples.labels import LabelFiles

TESTS = Path(__file__).resolve().parents[1]


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def walkers() -> ModuleType:
    """Clips of somebody who walks."""
    return _load(TESTS / "training_samples" / "walkers.py")


@pytest.fixture(scope="session")
def itop_layout() -> ModuleType:
    """Writes ITOP's files."""
    return _load(TESTS / "data_sets" / "layouts" / "itop.py")


@pytest.fixture(scope="session")
def walks(walkers: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with ``clips/``, ``labels/`` and, built of them, ``store/``: three clips of four frames."""
    folder = tmp_path_factory.mktemp("walks")
    clips = walkers.write_clips(folder)
    labels = LabelFiles.of_clips(folder / "labels", clips)
    build_store(clips, labels, folder / "store", walkers.SETTINGS, progress=False, teacher=labels.teacher)
    return folder


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a size of point network that tests have the time for."""
    config = PointNetworkConfig(
        points=128, centres=16, neighbours=8, edge=(16,), width=32, layers=1, heads=2, head_width=16, hidden=64
    )
    monkeypatch.setitem(SIZES, "tiny", config)
    return "tiny"
