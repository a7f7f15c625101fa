"""What files are written and read with: calls that lose, delete or believe too much are made in one place each."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Call -> the modules that may make it, and what the others use instead.
CALLS = {
    "imwrite": ((), "unipose_ros.images.write_image"),
    "rmtree": ((), "unipose_ros.files.remove_files"),
    "write_text": ((), "unipose_ros.files.write_atomic"),
    "write_bytes": (("networks/export.py",), "unipose_ros.files.write_atomic"),
    "np.load": ((), "unipose_training.datasets.io.read_npz"),
    "pickle.load": ((), "unipose_training.datasets.safe_pickle.load_pickle"),
    "torch.load": (("engine/run_folder.py",), "weights_only=True there"),
    "ProcessPoolExecutor": ((), "unipose_ros.termination.WorkerPool"),
    "eval": ((), "nothing"),
    "exec": ((), "nothing"),
}


def modules() -> list[Path]:
    return sorted([*(ROOT / "unipose_ros").rglob("*.py"), *(ROOT / "training").rglob("*.py")])


def calls(path: Path) -> Iterator[tuple[str, int]]:
    """Name and line of every call, with the module where there is one: ``np.load`` and ``load``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr, node.lineno
            if isinstance(node.func.value, ast.Name):
                yield f"{node.func.value.id}.{node.func.attr}", node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id, node.lineno


@pytest.mark.parametrize("name", CALLS)
def test_calls_are_made_where_they_belong(name: str) -> None:
    allowed, instead = CALLS[name]
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}, use {instead}"
        for path in modules()
        if not path.as_posix().endswith(allowed or ("\0",))
        for called, line in calls(path)
        # A module that trains or compiles may have methods of these names.
        if called == name and not (name in ("eval", "exec") and f".{name}(" in path.read_text().splitlines()[line - 1])
    ]
    assert not found


def test_nothing_runs_a_shell() -> None:
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                assert not any(word.arg == "shell" for word in node.keywords), f"{path}:{node.lineno}"
