"""A short form of ``make fuzz``: the first inputs of every surface, and all that ever failed."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzzing.runner import FINDINGS
from fuzzing.surface import Surface
from fuzzing.worker import CORPUS, cases, judge, make_surface, surfaces

INPUTS = 60
#: More than there ever are of one surface.
MOST_KEPT = 1000


@pytest.fixture(params=sorted(surfaces()))
def surface(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Surface]:
    if request.param == "node_parameters":
        pytest.importorskip("rclpy", reason="rclpy is not installed: run 'make setup'")
    made = make_surface(request.param, tmp_path)
    yield made
    made.close()


def test_inputs_are_read_or_refused(surface: Surface) -> None:
    for number, case in cases(surface, 0, range(-MOST_KEPT, INPUTS)):
        outcome = judge(surface, case)
        assert outcome["kind"] not in FINDINGS, f"{surface.name} {number}: {outcome}"


def test_inputs_follow_from_the_seed(surface: Surface) -> None:
    first, again = ([case for _, case in cases(surface, 1, range(5))] for _ in range(2))
    assert first == again
    assert first != [case for _, case in cases(surface, 2, range(5))]


def test_the_corpus_is_small_and_of_surfaces_that_there_are() -> None:
    kept = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in kept} <= set(surfaces())
    assert sum(path.stat().st_size for path in kept) < 200_000


def test_every_surface_is_named_once() -> None:
    modules = [sys.modules[kind.__module__] for kind in surfaces().values()]
    named = [kind.name for kind in itertools.chain(*(module.SURFACES for module in set(modules)))]
    assert sorted(named) == sorted(surfaces())
