"""Loops compiled by Numba, and what takes their place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from unipose_ros import compiled as module
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
    assert run(source) == ["4.0", "0"]
    assert run(source) == ["4.0", "1"]


@numba_needed
def test_other_types_are_refused_rather_than_compiled_in_the_middle_of_a_frame() -> None:
    @compiled(by_numpy, "f8(f4[::1])")
    def total(numbers: np.ndarray) -> float:
        result = 0.0
        for number in numbers:
            result += number
        return result

    assert total(np.ones(3, np.float32)) == 3
    with pytest.raises(TypeError):
        total(np.ones(3, np.float64))


@numba_needed
def test_where_nothing_can_be_kept_it_is_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[bool] = []
    made = module.numba.njit

    def refusing(*arguments: object, cache: bool = False, **options: object) -> object:
        kept.append(cache)
        if cache:
            raise RuntimeError("cannot cache function 'total': no locator available")
        return made(*arguments, **options)

    monkeypatch.setattr(module.numba, "njit", refusing)

    @compiled(by_numpy, "f8(f8)")
    def half(number: float) -> float:
        return number / 2

    assert half(3.0) == 1.5
    assert kept == [True, False]


def test_the_reference_takes_the_place_of_what_is_not_to_be_compiled(tmp_path: Path) -> None:
    source = tmp_path / "loops.py"
    source.write_text(SOURCE)
    assert run(source, UNIPOSE_COMPILED="0") == ["-1.0", "0"]
