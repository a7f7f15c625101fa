"""unipose crops: from files of clips and labels to a store."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from unipose_training.samples.command import main
from unipose_training.samples.store import GROUND_TRUTH, SampleStore

SMALL = ["--set", "points.points=256", "--set", "points.centers=32", "--set", "points.cell=0.03",
         "--set", "with_color=false", "--set", "depth.size=48"]  # fmt: skip


def test_recordings_and_labels_become_a_store(
    walks: Path, store: SampleStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--labels", str(walks / "labels"), "--output", str(tmp_path), *SMALL, str(walks / "clips")]
    assert main(command) == 0
    found = SampleStore(tmp_path)
    assert np.array_equal(found["points"], store["points"])
    assert "color" not in found
    assert found.teacher == "projections"
    assert "12 people in 12 frames of 3 clips; 0 people were left out, 0 clips are damaged" in capsys.readouterr().out
    assert main(command) == 0  # nothing is left to be done
    assert len(SampleStore(tmp_path)) == 12


def test_people_may_be_those_of_the_ground_truth(walks: Path, tmp_path: Path) -> None:
    assert main([str(walks / "clips"), "--boxes", "ground-truth", "--output", str(tmp_path), *SMALL]) == 0
    assert SampleStore(tmp_path).teacher == GROUND_TRUTH


def test_damaged_clips_are_reported(walks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(walks / "clips", tmp_path / "clips")
    (tmp_path / "clips" / "walk0.npz").write_bytes(b"no shard")
    shutil.copytree(walks / "labels", tmp_path / "labels")
    (tmp_path / "labels" / "walk2.keypoints.npz").unlink()
    output = ["--output", str(tmp_path / "store"), *SMALL]
    assert main([str(tmp_path / "clips"), "--labels", str(tmp_path / "labels"), *output]) == 1
    message = capsys.readouterr().out
    assert "4 people in 4 frames of 1 clips; 0 people were left out, 2 clips are damaged" in message
    assert "walk0.npz" in message
    assert "walk2: " in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--boxes", "ground-truth"], "name recordings, or a data set"),
        (["--boxes", "ground-truth", "--dataset", "itop"], "name recordings, or a data set"),
        (["CLIPS", "--labels", "nowhere"], "no labels of these clips"),
        (["CLIPS", "--boxes", "ground-truth", "--set", "point.points=3"], "'point' is unknown"),
        (["CLIPS", "--boxes", "ground-truth", "--set", "points.points=-3"], "points = -3"),
    ],
)
def test_what_cannot_be_used_is_named(
    walks: Path, tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = str(walks / "clips")
    assert main([clips if each == "CLIPS" else each for each in options] + ["--output", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("unipose crops: ")
    assert message in error


def test_a_store_of_other_settings_is_left_alone(walks: Path, tmp_path: Path) -> None:
    command = [str(walks / "clips"), "--boxes", "ground-truth", "--output", str(tmp_path), *SMALL]
    assert main(command) == 0
    assert main([*command, "--set", "depth.size=64"]) == 1
    assert SampleStore(tmp_path)["depth"].shape == (12, 48, 48)
