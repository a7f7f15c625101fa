"""``unipose adapt`` on recordings that it has to refuse, and what stays for a second run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from blob_labeler import BlobLabeler

from unipose_ros.camera import Camera
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.joint_sets import COCO23
from unipose_training.adaptation.command import REFUSED_DATA, main
from unipose_training.datasets.shards import LabeledFrame
from unipose_training.synthetic.dataset import write_recording

CAMERA = Camera(fx=50, fy=50, cx=31.5, cy=23.5, width=64, height=48)


@pytest.fixture
def empty_room(tmp_path: Path) -> Path:
    """A bag of ten seconds of a wall."""
    depth, color = np.full((48, 64), 2.0, np.float32), np.zeros((48, 64, 3), np.uint8)
    frames = [
        LabeledFrame(
            RgbdFrame(stamp, "camera", CAMERA, depth, color),
            Skeletons.empty(stamp, "camera", "ground_truth", COCO23),
            np.zeros((0, 4), np.float32),
            np.zeros(3),
            np.eye(3),
        )
        for stamp in range(10**9, 11 * 10**9, 2 * 10**8)
    ]
    write_recording(tmp_path / "bag", frames)
    return tmp_path / "bag"


def test_an_empty_room_is_refused_and_the_stages_stay(
    empty_room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    arguments = [str(empty_room), "--output", str(output), "--threads", "1"]
    assert main(arguments, BlobLabeler()) == REFUSED_DATA
    assert "no_people" in capsys.readouterr().err
    kept = {path.name: path.stat().st_mtime_ns for path in output.glob("*/stage.json")}
    assert (output / "labels" / "stage.json").is_file()
    assert not (output / "checks").exists()
    assert main(arguments, BlobLabeler()) == REFUSED_DATA
    assert kept == {path.name: path.stat().st_mtime_ns for path in output.glob("*/stage.json")}


@pytest.mark.parametrize(
    ("option", "text"),
    [(["--budget", "soon"], "budget"), (["--modality", "sonar"], "sonar"), (["--held-out", "0.99"], "held_out")],
)
def test_options_that_cannot_be_used(
    empty_room: Path, tmp_path: Path, option: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(empty_room), "--output", str(tmp_path / "out"), *option], BlobLabeler()) == 1
    assert text in capsys.readouterr().err


def test_no_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nothing"), "--output", str(tmp_path / "out")], BlobLabeler()) == 1
    assert "nothing" in capsys.readouterr().err
