"""Files of 2D labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unipose_ros.joint_sets import ITOP15
from unipose_ros.keypoints import Keypoints2D
from unipose_training.datasets.keypoint_files import (
    KeypointLabels,
    LabelerId,
    keypoint_path,
    read_about,
    read_keypoints,
    write_keypoints,
)
from unipose_training.errors import DataError

TEACHER = LabelerId("movenet", {"long_side": 384, "min_score": 0.1}, "ab12")


def people(count: int, seed: int = 0) -> Keypoints2D:
    rng = np.random.default_rng(seed)
    sizes = {"pixels": (17, 2), "confidences": (17,), "scores": (), "boxes": (4,)}
    return Keypoints2D(**{name: rng.random((count, *size)).astype(np.float32) for name, size in sizes.items()})


def labels() -> KeypointLabels:
    frames = [people(2, 1), people(0), people(3, 2)]
    return KeypointLabels.of_frames("walk/one", TEACHER, [10, 20, 40], frames, {"frames without color": 1})


def test_frames_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "deep" / f"x{keypoint_path(tmp_path, 'x').name}"
    write_keypoints(path, labels())
    read = read_keypoints(path)
    assert (read.clip, read.teacher, len(read)) == ("walk/one", TEACHER, 3)
    assert dict(read.losses) == {"frames without color": 1}
    assert read.stamps_ns.tolist() == [10, 20, 40]
    for frame, expected in enumerate([people(2, 1), people(0), people(3, 2)]):
        for name in ("pixels", "confidences", "scores", "boxes"):
            np.testing.assert_array_equal(getattr(read.keypoints_at(frame), name), getattr(expected, name))
    assert [path.name for path in path.parent.iterdir()] == [path.name]  # nothing else is left behind


def test_frames_are_found_by_their_stamp() -> None:
    found = labels().keypoints_of(40)
    assert found is not None
    np.testing.assert_array_equal(found.pixels, people(3, 2).pixels)
    no_people = labels().keypoints_of(20)
    assert no_people is not None
    assert len(no_people) == 0
    assert labels().keypoints_of(30) is None
    with pytest.raises(IndexError, match="frame 3 of 3"):
        labels().keypoints_at(3)


def test_what_a_file_is_can_be_read_alone(tmp_path: Path) -> None:
    write_keypoints(tmp_path / "a", labels())
    about = read_about(tmp_path / "a")
    assert (about.clip, about.teacher, dict(about.losses)) == ("walk/one", TEACHER, {"frames without color": 1})


def test_equal_labels_are_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_keypoints(tmp_path / name, labels())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_no_frames_are_labels_too(tmp_path: Path) -> None:
    write_keypoints(tmp_path / "a", KeypointLabels.of_frames("empty", TEACHER, [], []))
    assert len(read_keypoints(tmp_path / "a")) == 0


def test_other_joints_are_refused() -> None:
    with pytest.raises(DataError, match="joint set itop15; teachers give coco17"):
        KeypointLabels.of_frames("x", TEACHER, [1], [Keypoints2D.empty(ITOP15)])


@given(st.lists(st.text(max_size=6), min_size=2, max_size=2, unique=True))
def test_each_clip_has_a_place_of_its_own(names: list[str]) -> None:
    folder = Path("/labels")
    first, second = (keypoint_path(folder, name) for name in names)
    assert first != second
    for path in (first, second):
        assert path.is_relative_to(folder)
        assert not any(part.startswith(".") for part in path.relative_to(folder).parts)


def test_usual_names_stay_readable() -> None:
    path = keypoint_path(Path("/labels"), "side/test/00_00001")
    assert path == Path("/labels/side/test/00_00001.keypoints.npz")


def changed(**arrays: Any) -> Callable[[Path], None]:
    def rewrite(path: Path) -> None:
        with np.load(path) as archive:
            before = {key: archive[key] for key in archive.files}
        after = {key: value for key, value in (before | arrays).items() if value is not None}
        with path.open("wb") as stream:
            np.savez(stream, **after)

    return rewrite


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda path: path.unlink(), "not found; label the clip first"),
        (lambda path: path.write_bytes(path.read_bytes()[:-60]), "no readable labels"),
        (lambda path: path.write_bytes(b""), "no readable labels"),
        (changed(about="{"), "key 'about' is no JSON"),
        (changed(about=None), "no readable labels"),
        (changed(about="[]"), "version None, this program reads 1"),
        (changed(about='{"version": 2}'), "version 2, this program reads 1"),
        (changed(about='{"version": 1, "clip": "a", "losses": {}, "teacher": {"who": 1}}'), "key 'about'"),
        (changed(boxes=None), "key 'boxes' is missing"),
        (changed(pixels=np.zeros((5, 15, 2), np.float32)), r"'pixels' is float32\[5, 15, 2\], expected .*\[5, 17, 2\]"),
        (changed(scores=np.zeros(5)), r"'scores' is float64\[5\], expected float32"),
        (changed(people_starts=np.array([0, 2, 5])), "3 people_starts for 3 frames"),
        (changed(people_starts=np.array([0, 2, 1, 5])), "do not count 5 people in order"),
        (changed(people_starts=np.array([0, 2, 2, 4])), "do not count 5 people in order"),
    ],
)
def test_damage_is_named(tmp_path: Path, damage: Callable[[Path], None], text: str) -> None:
    path = tmp_path / "clip.keypoints.npz"
    write_keypoints(path, labels())
    damage(path)
    with pytest.raises(DataError, match=text) as caught:
        read_keypoints(path)
    assert str(path) in str(caught.value)
