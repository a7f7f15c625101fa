"""Writers of tiny data sets, exactly as they are published."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def layout() -> Callable[[str], ModuleType]:
    """The writer of a data set's files, by the name of its module in helpers/layouts."""
    return lambda name: importlib.import_module(f"layouts.{name}")
