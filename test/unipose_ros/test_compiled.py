"""Loops compiled by Numba, and what takes their place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import unipose_ros.compiled as module
from unipose_ros.compiled import ENABLED, compiled

numba_needed = pytest.mark.skipif(not ENABLED, reason="needs Numba")
SOURCE = """
import numpy as np
from unipose_ros.compiled import compiled
@compiled(lambda numbers: -1.0, "f8(f4[::1])")
def total(numbers):
    result = 0.0
    for number in numbers:
        result += number
    return result
print(total(np.ones(4, np.float32)), sum(getattr(total, "stats").cache_hits.values()) if hasattr(total, "stats") else 0)
"""


def run(path: Path, **environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, check=True, timeout=120,
        env={**os.environ, **environment},
    )  # fmt: skip
    return done.stdout.split()


def by_numpy(numbers: np.ndarray) -> float:
    return float(numbers.sum())


@numba_needed
def test_the_next_process_loads_what_one_has_compiled(tmp_path: Path) -> None:
    source = tmp_path / "loops.py"
    source.write_text(SOURCE)
    assert run(source, UNIPOSE_CACHE=str(tmp_path)) == ["4.0", "0"]
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    assert run(link / "loops.py", UNIPOSE_CACHE=str(tmp_path)) == ["4.0", "1"]
    assert [path.name for path in tmp_path.iterdir() if path.name == "__pycache__"] == []


@numba_needed
def test_other_sources_are_not_taken_for_those_that_were_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNIPOSE_CACHE", str(tmp_path))
    package = tmp_path / "package"
    package.mkdir()
    monkeypatch.setattr(module, "__file__", str(package / "compiled.py"))
    part, other = package / "part.py", package / "other.py"
    part.write_text("from unipose_ros.compiled import compiled_part\nNUMBER = 1\n")
    folders = []
    for change in ("NUMBER = 2\n", "", "NUMBER = 3\n"):
        module._kept_in.cache_clear()
        folders.append(module._kept_in())
        part.write_text(part.read_text() + change)
        other.write_text(f"# compiles nothing {change}")
    assert folders[0] != folders[1]
    assert folders[1] == folders[2]
    for number in range(4, 10):
        part.write_text(f"from unipose_ros.compiled import compiled_part\nNUMBER = {number}\n")
        module._kept_in.cache_clear()
        newest = module._kept_in()
    module._kept_in.cache_clear()
    kept = list((tmp_path / "numba").iterdir())
    assert newest in kept
    assert len(kept) == 4


@numba_needed
def test_other_types_are_refused_rather_than_compiled_in_the_middle_of_a_frame() -> None:
    @compiled(by_numpy, "f8(f4[::1])")
    def total(numbers: np.ndarray) -> float:
        result = 0.0
        for number in numbers:
            result += number
        return result

    numbers = np.ones(3, np.float32)
    assert total(numbers) == 3
    numbers.setflags(write=False)
    assert total(numbers) == 3
    with pytest.raises(TypeError):
        total(np.ones(3, np.float64))


@numba_needed
def test_where_nothing_can_be_kept_it_is_compiled_all_the_same(tmp_path: Path) -> None:
    source, blocked = tmp_path / "loops.py", tmp_path / "file"
    source.write_text(SOURCE)
    blocked.write_text("no folder")
    assert run(source, UNIPOSE_CACHE=str(blocked)) == ["4.0", "0"]
    assert run(source, UNIPOSE_CACHE=str(blocked)) == ["4.0", "0"]


def test_the_reference_takes_the_place_of_what_is_not_to_be_compiled(tmp_path: Path) -> None:
    source = tmp_path / "loops.py"
    source.write_text(SOURCE)
    assert run(source, UNIPOSE_COMPILED="0") == ["-1.0", "0"]


@numba_needed
def test_everything_can_be_compiled_beforehand() -> None:
    code = "import sys; from unipose_ros import compiled; compiled.compile_all(); print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600)
    assert {"unipose_ros.fusion.loops", "unipose_ros.detection.planes"} <= set(done.stdout.split())
