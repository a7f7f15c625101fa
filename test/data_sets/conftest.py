"""Writers of tiny data sets, exactly as they are published."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def layout() -> Callable[[str], ModuleType]:
    """The writer of a data set's files, by the name of its module in layouts/."""

    def load(name: str) -> ModuleType:
        path = Path(__file__).parent / "layouts" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"layout_{name}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
