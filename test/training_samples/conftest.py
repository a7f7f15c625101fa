"""Clips of a capsule person, and a sample store of them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from unipose_training.samples.build import build_store
from unipose_training.samples.labels import LabelFiles
from unipose_training.samples.store import SampleStore


@pytest.fixture(scope="session")
def walkers() -> ModuleType:
    """The module beside this file."""
    path = Path(__file__).with_name("walkers.py")
    spec = importlib.util.spec_from_file_location("walkers", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def walks(walkers: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with ``clips/``, ``labels/`` and, built of them, ``store/``: three clips of four frames."""
    folder = tmp_path_factory.mktemp("walks")
    clips = walkers.write_clips(folder)
    labels = LabelFiles.of_clips(folder / "labels", clips)
    build_store(clips, labels, folder / "store", walkers.SETTINGS, progress=False, teacher=labels.teacher)
    return folder


@pytest.fixture
def store(walks: Path) -> SampleStore:
    """Twelve rows, one person in each frame."""
    return SampleStore(walks / "store")
