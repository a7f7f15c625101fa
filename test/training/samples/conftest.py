"""Clips of a capsule person, and a sample store of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from unipose_training.samples.store import SampleStore


@pytest.fixture(scope="session")
def walkers(load_module: Callable[[Path], ModuleType]) -> ModuleType:
    """The module beside this file."""
    return load_module(Path(__file__).with_name("walkers.py"))


@pytest.fixture(scope="session")
def walks(walkers: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with ``clips/``, ``labels/`` and, built of them, ``store/``: three clips of four frames."""
    return walkers.write_store(tmp_path_factory.mktemp("walks"))


@pytest.fixture
def store(walks: Path) -> SampleStore:
    """Twelve rows, one person in each frame."""
    return SampleStore(walks / "store")
