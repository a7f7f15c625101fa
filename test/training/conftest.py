"""Sample stores of a capsule person, shared by all tests of training."""

from __future__ import annotations

from pathlib import Path

import pytest
import walkers

from unipose_training.samples.store import SampleStore


@pytest.fixture(scope="session")
def walks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with ``clips/``, ``labels/`` and, built of them, ``store/``: three clips of four frames."""
    return walkers.write_store(tmp_path_factory.mktemp("walks"))


@pytest.fixture
def store(walks: Path) -> SampleStore:
    """Twelve rows, one person in each frame."""
    return SampleStore(walks / "store")
