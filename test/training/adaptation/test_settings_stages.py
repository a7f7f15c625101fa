"""Stages are complete or absent, taken as they are while nothing changes, and gone on with after a kill."""

from __future__ import annotations

from pathlib import Path

import pytest

from unipose_training.adaptation.settings import MANIFEST, read_stage, run_stage
from unipose_training.errors import AdaptationError


class Work:
    """Counts its runs; can be killed after its first file."""

    def __init__(self, killed: bool = False) -> None:
        self.runs, self.killed, self.found = 0, killed, False

    def __call__(self, folder: Path) -> dict[str, int]:
        self.runs += 1
        self.found = (folder / "half").exists()
        (folder / "half").write_text("1")
        if self.killed:
            raise KeyboardInterrupt
        (folder / "whole").write_text("2")
        return {"value": 7}


def test_a_finished_stage_is_taken_as_it_is(tmp_path: Path) -> None:
    work = Work()
    first = run_stage(tmp_path, "a", {"x": 1}, work)
    again = run_stage(tmp_path, "a", {"x": 1}, work)
    assert work.runs == 1
    assert again.key == first.key
    assert again.result == {"value": 7}
    assert (tmp_path / "a" / "whole").read_text() == "2"
    assert not list(tmp_path.glob(".*"))


def test_other_inputs_make_it_anew(tmp_path: Path) -> None:
    work = Work()
    first = run_stage(tmp_path, "a", {"x": 1}, work)
    assert run_stage(tmp_path, "a", {"x": 2}, work).key != first.key
    assert work.runs == 2
    assert not work.found


def test_a_killed_stage_goes_on_in_its_folder(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_stage(tmp_path, "a", {"x": 1}, Work(killed=True))
    assert read_stage(tmp_path / "a") is None
    work = Work()
    run_stage(tmp_path, "a", {"x": 1}, work)
    assert work.found
    assert read_stage(tmp_path / "a") is not None


def test_a_stage_that_was_killed_while_it_began_is_made(tmp_path: Path) -> None:
    began = tmp_path / ".a.partial"
    began.mkdir()
    (began / f".inputs.json.{2**22 + 1}.partial").write_text("{")  # no such process
    assert run_stage(tmp_path, "a", {"x": 1}, Work()).result == {"value": 7}
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["half", "inputs.json", "stage.json", "whole"]


def test_a_killed_stage_of_other_inputs_begins_anew(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_stage(tmp_path, "a", {"x": 1}, Work(killed=True))
    work = Work()
    run_stage(tmp_path, "a", {"x": 2}, work)
    assert not work.found


def test_a_damaged_manifest_makes_it_anew(tmp_path: Path) -> None:
    work = Work()
    run_stage(tmp_path, "a", {"x": 1}, work)
    (tmp_path / "a" / MANIFEST).write_text("{")
    run_stage(tmp_path, "a", {"x": 1}, work)
    assert work.runs == 2


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "letter").write_text("dear")
    with pytest.raises(AdaptationError, match="no stage"):
        run_stage(tmp_path, "a", {"x": 1}, Work())
    assert (tmp_path / "a" / "letter").read_text() == "dear"
