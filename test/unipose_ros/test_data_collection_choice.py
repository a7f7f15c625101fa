"""Which clips are collected on the robot, and how much room they take."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unipose_ros.data_collection import ClipChooser, ClipRules, finished_clips, folder_bytes, make_room
from unipose_ros.frame import JointStatus, Skeletons

RULES = ClipRules(seconds=4.0, pause=10.0, steady=1.0, empty_every=2)


def frame(stamp_s: float, score: float | None = 0.9, measured: int = 15) -> Skeletons:
    count = 0 if score is None else 1
    status = np.full((count, 15), JointStatus.INFERRED, np.uint8)
    status[:, :measured] = JointStatus.MEASURED
    return Skeletons(
        round((100 + stamp_s) * 1e9), "camera", "points", np.zeros((count, 15, 3), np.float32),
        np.ones((count, 15), np.float32), status, np.full(count, score or 0.0, np.float32),
    )  # fmt: skip


def times(chooser: ClipChooser, seconds: int, start: float = 0.0, **kind: float | None) -> list[float]:
    """Half seconds at which something is recorded."""
    steps = [start + 0.5 * k for k in range(2 * seconds)]
    return [step for step in steps if chooser.recording(frame(step, **kind))]  # type: ignore[arg-type]


def test_a_clip_begins_when_people_are_steady_and_a_pause_follows() -> None:
    found = times(ClipChooser(RULES), 20)
    assert found[0] == 1.0
    assert found[:9] == [1.0 + 0.5 * k for k in range(9)]
    assert found[9] >= 5.5 + 10.0


@pytest.mark.parametrize("kind", [{"score": 0.4}, {"measured": 6}, {"score": None}])
def test_unsure_occluded_and_no_people_begin_none(kind: dict[str, float | None]) -> None:
    assert not times(ClipChooser(RULES), 20, **kind)


def test_now_and_then_an_empty_scene() -> None:
    chooser = ClipChooser(RULES)
    assert not times(chooser, 20, score=None)  # there are no clips of people yet
    assert times(chooser, 40, start=20)  # two of them and more: people may never leave
    assert times(chooser, 20, start=60)
    assert times(chooser, 20, start=80, score=None)  # now an empty one is due
    assert not times(chooser, 20, start=104, score=None)  # one is enough
    assert times(chooser, 20, start=124)


def test_stamps_that_go_back_end_the_clip() -> None:
    chooser = ClipChooser(RULES)
    assert times(chooser, 3)
    assert not chooser.recording(frame(-50.0))


def test_the_oldest_clips_make_room(tmp_path: Path) -> None:
    for number in range(4):
        clip = tmp_path / f"clip_{number}"
        clip.mkdir()
        (clip / f"clip_{number}.mcap").write_bytes(b"x" * 100)
    (tmp_path / ".clip_4.partial").mkdir()
    assert folder_bytes(tmp_path) == 400
    assert [each.name for each in make_room(tmp_path, 250)] == ["clip_0", "clip_1"]
    assert [each.name for each in finished_clips(tmp_path)] == ["clip_2", "clip_3"]
    assert not make_room(tmp_path, 250)
    assert [each.name for each in make_room(tmp_path, 0, in_use=[tmp_path / "clip_2"])] == ["clip_3"]


def test_what_is_no_clip_is_never_removed(tmp_path: Path) -> None:
    """Neither folders of others, however large, nor files that somebody has put into a clip's."""
    for name, file in (("aaa", "thesis.txt"), ("clip_1", "clip_1.mcap"), ("clip_2", "clip_2.mcap")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_bytes(b"x" * 100)
    (tmp_path / "clip_1" / "notes.txt").write_text("mine")
    (tmp_path / "clip_0").symlink_to(tmp_path / "aaa")
    assert not make_room(tmp_path, 250)
    assert [each.name for each in make_room(tmp_path, 0)] == ["clip_1", "clip_2"]
    left = sorted(str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*"))
    assert left == ["aaa", "aaa/thesis.txt", "clip_0", "clip_1", "clip_1/notes.txt"]


def test_rules_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match="pause"):
        ClipRules(pause=0)
