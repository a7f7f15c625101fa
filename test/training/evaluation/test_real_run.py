"""``unipose evaluate --dataset real-frames``."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from unipose_ros.estimator import MODALITIES, EstimatorConfig
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons
from unipose_ros.joint_sets import ITOP15
from unipose_ros.modalities.base import EstimatorError
from unipose_ros.networks.weights import WeightsError
from unipose_training.errors import EvaluationError
from unipose_training.evaluation import real_run
from unipose_training.evaluation.command import main
from unipose_training.evaluation.real_run import all_settings, settings_of


@pytest.fixture(scope="module")
def files() -> ModuleType:
    return importlib.import_module("layouts.real_sets")


class Standing:
    """Sees human4d's person 3 cm to the right wherever there is depth, and remembers how often it forgot."""

    last_keypoints = None

    def __init__(self, config: EstimatorConfig, joints: np.ndarray) -> None:
        self.modality, self._joints = config.modality, joints
        self.resets, self.frames = 0, 0

    def estimate(self, frame: RgbdFrame, clock: object = None) -> Skeletons:
        self.frames += 1
        if frame.depth is None:
            raise EstimatorError("no depth")
        return Skeletons(
            stamp_ns=frame.stamp_ns,
            frame_id=frame.frame_id,
            modality=self.modality,
            positions=(self._joints + [0.03, 0, 0])[None].astype(np.float32),
            confidences=np.full((1, 15), 0.9, np.float32),
            status=np.full((1, 15), JointStatus.MEASURED, np.uint8),
            scores=np.ones(1, np.float32),
            covariances=np.tile(np.array([1e-4, 0, 0, 1e-4, 0, 1e-4], np.float32), (1, 15, 1)),
            joint_set=ITOP15,
        )

    def reset(self) -> None:
        self.resets += 1

    def close(self) -> None:
        pass


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch, files: ModuleType) -> list[Standing]:
    """Estimators that the command builds; there is no 2D network."""
    made: list[Standing] = []

    def build(config: EstimatorConfig) -> Standing:
        made.append(Standing(config, files.JOINTS))
        return made[-1]

    def absent(**_: object) -> None:
        raise WeightsError("weights are absent")

    monkeypatch.setattr(real_run, "build_estimator", build)
    monkeypatch.setattr(real_run, "load_movenet", absent)
    return made


def test_one_setting_writes_everything(
    files: ModuleType, built: list[Standing], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files.write_human4d(tmp_path / "data" / "human4d")
    files.write_uva(tmp_path / "data" / "uva_person", frames=4)
    out = tmp_path / "out"
    given = ["--dataset", "real-frames", "--root", str(tmp_path / "data"), "--output", str(out)]
    assert main([*given, "--modality", "points"]) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["setting"] == "points"
    assert metrics["accuracy"]["overall"]["mpjpe_mm"] == pytest.approx(30, abs=0.1)
    assert metrics["accuracy"]["people"]["matched"] == 2
    assert metrics["accuracy"]["people_within_10cm"] == 1
    # An error of 3 cm with a standard deviation of 1 cm lies outside of the 95 % ellipsoid.
    assert metrics["accuracy"]["reliability"]["measured"]["cover_95"] == 0
    assert metrics["accuracy"]["confidence"]["all"]["calibration_error"] == pytest.approx(0.1, abs=1e-4)
    assert [subset["name"] for subset in metrics["real"]["subsets"]] == ["human4d", "uva_person", "all"]
    assert [subset["name"] for subset in metrics["real_tracked"]["subsets"]] == ["uva_person, tracked"]
    assert len(list((out / "overlays").glob("*.jpg"))) == 6
    page = (out / "report.html").read_text()
    assert page.count("<figure>") == 6
    assert "human4d/207_other" in page
    printed = capsys.readouterr().out
    assert (out / "table.md").read_text().split("\n\n", 1)[1].strip() in printed
    # Without tracking every frame is the first: 2 of human4d and 4 of the sequence; then once before it is tracked.
    assert built[0].resets == 2 + 4 + 1
    assert built[0].frames == 2 + 4 + 4


def test_several_settings_are_compared(files: ModuleType, built: list[Standing], tmp_path: Path) -> None:
    files.write_human4d(tmp_path / "data" / "human4d")
    out = tmp_path / "out"
    given = ["--dataset", "real-frames", "--root", str(tmp_path / "data"), "--output", str(out)]
    assert main([*given, "--modality", "points,points/keypoints", "--modality", "depth"]) == 0
    for name in ("points", "points-keypoints", "depth"):
        assert (out / name / "report.html").is_file()
    table = (out / "table.md").read_text()
    rows = [line for line in table.splitlines() if line.startswith("| points/keypoints |")]
    assert rows
    assert "2 of 2" in rows[0]
    assert [each.modality for each in built] == ["points", "points", "depth"]


def test_frames_without_the_images_are_left_out_in_a_line(
    files: ModuleType, built: list[Standing], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files.write_human4d(tmp_path / "human4d")
    files.write_depth_frames(tmp_path / "depth_frames")
    given = ["--dataset", "real-frames", "--root", str(tmp_path), "--output", str(tmp_path / "out")]
    assert main([*given, "--modality", "lookup"]) == 0
    assert sum("depth_frames/" in line for line in capsys.readouterr().err.splitlines()) == 2
    assert built[0].frames == 2


def test_everything_there_is(built: list[Standing]) -> None:
    names = all_settings()
    assert {name.partition("/")[0] for name in names} == set(MODALITIES)
    assert {"points/keypoints", "depth/keypoints", "rgb/no-depth"} <= set(names)
    settings = {each.name: each for each in settings_of(["all", "points"], EstimatorConfig())}
    assert list(settings) == names
    assert settings["points/keypoints"].config.detection.detector == "keypoints"
    assert settings["points"].config.detection.detector == "auto"
    assert not settings["rgb/no-depth"].depth
    for wrong in ("nose", "points/eyes"):
        with pytest.raises(EvaluationError, match=wrong):
            settings_of([wrong], EstimatorConfig())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--dataset", "real-frames"], "--root"),
        (["--dataset", "real-frames", "--root", "nowhere"], "nowhere"),
        (["--dataset", "real-frames", "--root", "data", "--modality", "nose"], "--modality nose"),
        (["--dataset", "real-frames", "--root", "data", "--subset", "itop"], "itop"),
        (["bag", "--modality", "points,depth"], "--modality points,depth"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(
    arguments: list[str],
    text: str,
    files: ModuleType,
    built: list[Standing],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    files.write_uva(tmp_path / "data" / "uva_person", frames=1)
    assert main(arguments) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert text in error
    assert not built
