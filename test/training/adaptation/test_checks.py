"""Recordings that must not be trained on are refused, each for its own reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rooms import room_frames, upright
from track_store import ROWS, standing, walking, write_tracks

from unipose_training.adaptation.checks import assess, check_data, require_data, require_held_out
from unipose_training.adaptation.focal import focal_evidence
from unipose_training.errors import DataRefusedError
from unipose_training.samples.store import SampleStore


def reason(store: SampleStore | None, frames: int = ROWS, with_people: int = ROWS) -> str:
    with pytest.raises(DataRefusedError) as refused:
        require_data(check_data(store, frames, with_people))
    return refused.value.reason


def test_people_who_walk_about_are_accepted(tmp_path: Path) -> None:
    found = check_data(write_tracks(tmp_path / "s", walking(4)), ROWS, ROWS)
    require_data(found)
    assert found.people == 4 * ROWS
    assert found.facing > 3 * ROWS
    assert found.sides == 1.0


def test_no_people(tmp_path: Path) -> None:
    assert reason(None, 500, 0) == "no_people"
    assert reason(write_tracks(tmp_path / "s", walking(1)), 500, 20) == "no_people"


def test_no_people_in_the_held_out_part() -> None:
    with pytest.raises(DataRefusedError) as refused:
        require_held_out(5)
    assert refused.value.reason == "no_people"
    require_held_out(100)


def test_one_pose_at_one_place(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    still = standing() + (0.0, 0.2, 2.5) + rng.normal(0, 0.01, (4 * ROWS, 15, 3))
    assert reason(write_tracks(tmp_path / "s", still)) == "coverage"


def test_one_pose_at_several_places_is_no_such_case(tmp_path: Path) -> None:
    places = np.repeat([[-1.0, 0.2, 2.0], [0.5, 0.2, 3.0], [1.0, 0.2, 4.0], [0.0, 0.2, 2.5]], ROWS, axis=0)
    require_data(check_data(write_tracks(tmp_path / "s", standing() + places[:, None]), ROWS, ROWS))


def test_exchanged_sides(tmp_path: Path) -> None:
    assert reason(write_tracks(tmp_path / "s", walking(4), exchanged=True)) == "sides"


def test_exchanged_sides_of_people_who_turn_their_back(tmp_path: Path) -> None:
    behind = walking(4) * (-1, 1, 1)  # their left side is on the left
    require_data(check_data(write_tracks(tmp_path / "a", behind, face=0.4), ROWS, ROWS))
    assert reason(write_tracks(tmp_path / "b", behind, face=0.4, exchanged=True)) == "sides"
    assert reason(write_tracks(tmp_path / "c", behind, face=0.9)) == "sides"
    require_data(check_data(write_tracks(tmp_path / "d", behind, face=0.55), ROWS, ROWS))  # who knows


@pytest.mark.parametrize("factor", [1 / 1.15, 1.15])
def test_wrong_intrinsics(tmp_path: Path, factor: float) -> None:
    assert reason(write_tracks(tmp_path / "s", walking(6), size=factor)) == "intrinsics"


@pytest.mark.parametrize("given", [0.85, 1.15])
def test_people_of_average_size_do_not_excuse_a_room_that_is_not_square(tmp_path: Path, given: float) -> None:
    store = write_tracks(tmp_path / "s", walking(6))
    focal = focal_evidence([room_frames(30.0, given)], upright(30.0))
    with pytest.raises(DataRefusedError) as refused:
        require_data(check_data(store, ROWS, ROWS, focal))
    assert refused.value.reason == "intrinsics"
    right = check_data(store, ROWS, ROWS, focal_evidence([room_frames(30.0)], upright(30.0)))
    require_data(right)
    assert right.to_dict()["focal"]["views"] == 3


def test_a_room_that_would_make_people_dwarfs_is_not_believed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    focal = focal_evidence([room_frames(30.0, 0.8)], upright(30.0))
    assert focal.wrong
    require_data(check_data(write_tracks(tmp_path / "s", walking(6), size=0.95), ROWS, ROWS, focal))
    assert "sloping" in caplog.text


def test_one_tall_person_is_believed(tmp_path: Path) -> None:
    require_data(check_data(write_tracks(tmp_path / "s", walking(2), size=1.1), ROWS, ROWS))


def test_quality_refuses_tracks_whose_sides_change_all_the_time(tmp_path: Path) -> None:
    steady, good = assess(write_tracks(tmp_path / "a", walking(2)))
    assert good.all()
    assert steady.side_flips == 0
    assert steady.tracks == 2
    assert not steady.refused
    store = write_tracks(tmp_path / "b", walking(2))
    pixels = np.memmap(store.folder / "pixels.bin", np.float32, "r+", shape=(2 * ROWS, 15, 2))
    from unipose_ros.joint_sets import ITOP15

    pixels[1:ROWS:2] = pixels[1:ROWS:2][:, list(ITOP15.mirror)]  # every second frame of the first person
    pixels.flush()
    store._verified.add("pixels")  # the checksum would tell
    changing, good = assess(store)
    assert changing.refused == {"sides unstable": 1}
    assert changing.side_flips == ROWS - 1
    assert not good[:ROWS].any()
    assert good[ROWS:].all()


def test_quality_refuses_short_tracks_and_impossible_sizes(tmp_path: Path) -> None:
    dwarfs, good = assess(write_tracks(tmp_path / "a", walking(1), size=0.3))
    assert dwarfs.refused == {"implausible size": 1}
    assert not good.any()
    short, good = assess(write_tracks(tmp_path / "b", walking(2)[: ROWS + 2]))
    assert short.refused == {"short": 1}
    assert good.sum() == ROWS
