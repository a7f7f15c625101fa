"""What ``from unipose_ros import ...`` offers, and that it costs nothing before it is used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import unipose_ros


@pytest.mark.parametrize("name", unipose_ros.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(unipose_ros, name).__name__ == name
    assert name in dir(unipose_ros)


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(unipose_ros.__file__).read_text(encoding="utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in guarded.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.name: str(node.module) for node in imports for alias in node.names}
    assert seen == {name: f"unipose_ros.{module}" for name, module in unipose_ros._MODULES.items()}
    assert sorted(seen) == sorted(unipose_ros.__all__)


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="PoseEstimater"):
        unipose_ros.PoseEstimater  # noqa: B018


def test_importing_the_package_loads_nothing_else() -> None:
    code = "import sys, unipose_ros; print([m for m in ('numpy', 'cv2', 'torch', 'rclpy') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
