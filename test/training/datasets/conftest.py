"""Writers of tiny data sets, exactly as they are published."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def layout(load_module: Callable[[Path], ModuleType]) -> Callable[[str], ModuleType]:
    """The writer of a data set's files, by the name of its module in layouts/."""
    return lambda name: load_module(Path(__file__).parent / "layouts" / f"{name}.py")
