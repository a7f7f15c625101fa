"""What must not be is found from outside, whatever it does to the process that reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzzing.runner import FINDINGS, run

pytestmark = pytest.mark.slow


def test_tracebacks_crashes_hangs_and_greed_are_found_and_the_rest_is_read(tmp_path: Path) -> None:
    result = run("faulty_surface:Faulty", 8, 17, tmp_path / "found", limit_s=1.0)
    assert result.inputs == 8
    assert set(result.counts) == {"accepted", "refused", *FINDINGS}
    places = sorted(result.found)
    assert len(places) == len(FINDINGS)
    assert any(place.startswith("traceback KeyError") for place in places)
    for what in result.found.values():
        assert (tmp_path / "found" / what["file"]).stat().st_size == what["size"] == 1


def test_a_surface_that_makes_no_inputs_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"worker\.log"):
        run("faulty_surface:Silent", 2, 0, tmp_path / "found")


def test_what_there_is_no_time_for_is_left_out(tmp_path: Path) -> None:
    result = run("faulty_surface:Faulty", 1000, 17, tmp_path / "found", limit_s=1.0, budget_s=2.0)
    assert 0 < result.inputs < 1000
