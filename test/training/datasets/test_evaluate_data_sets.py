"""unipose evaluate on data sets and files of predictions."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.keypoints import Keypoints2D
from unipose_training.datasets.coco import CocoImages
from unipose_training.datasets.itop import open_itop
from unipose_training.datasets.registry import WITH_CLIPS, clips_for, open_data_set
from unipose_training.errors import DataError
from unipose_training.evaluation.command import main
from unipose_training.evaluation.protocols.coco import evaluate_coco

Layout = Callable[[str], ModuleType]


@pytest.fixture(scope="session")
def files(layout: Layout) -> ModuleType:
    return layout("itop")


@pytest.fixture
def root(files: ModuleType, tmp_path: Path) -> Path:
    files.write(tmp_path / "itop")
    return tmp_path / "itop"


def oracle(root: Path, shift: float) -> Any:
    """The ground truth of the stamp, every joint ``shift`` meters to the side, and a second person."""
    ground_truth = {t.stamp_ns: t for clip in open_itop(root) for t in clip.ground_truth()}

    def estimate(frame: RgbdFrame, clock: object = None) -> Skeletons:
        known = ground_truth.get(frame.stamp_ns)
        if known is None or known.ids == ("04",):  # it sees no person there
            return Skeletons.empty(frame.stamp_ns, frame.frame_id, "oracle")
        moved = np.concatenate([known.positions + [3, 0, 0], known.positions + [shift, 0, 0]]).astype(np.float32)
        both = {name: np.repeat(getattr(known, name), 2, axis=0) for name in ("confidences", "status")}
        scores = np.array([0.2, 0.9], np.float32)
        return Skeletons(known.stamp_ns, known.frame_id, "oracle", moved, scores=scores, **both)

    return SimpleNamespace(modality="oracle", last_keypoints=None, estimate=estimate, close=lambda: None)


def run(root: Path, *more: str, estimator: Any = None) -> int:
    output = ["--output", str(root.parent / "out"), "--no-video"]
    return main(["--dataset", "itop", "--root", str(root), *output, *more], estimator)


def test_a_modality_on_itop(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(root, "--no-tracking", estimator=oracle(root, 0.05)) == 0
    assert "# ITOP side test: oracle" in capsys.readouterr().out
    text = (root.parent / "out" / "itop.md").read_text()
    assert "5 frames with valid labels" in text
    assert "| - | oracle | this run | 80.00 | 50.0 | measured here |" in text  # no person was seen in one of five
    metrics = json.loads((root.parent / "out" / "metrics.json").read_text())
    assert metrics["accuracy"]["overall"]["mpjpe_mm"] == pytest.approx(50, abs=0.01)


def test_predictions_of_a_known_error(
    files: ModuleType, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    poses = files.joints(6)[files.VALID == 1].astype(float)
    poses[0] += 1  # one frame of five is all wrong
    np.save(tmp_path / "theirs.npy", poses)
    assert run(root, "--predictions", str(tmp_path / "theirs.npy")) == 0
    assert "| - | theirs.npy | this run | 80.00 |" in capsys.readouterr().out
    assert "# ITOP side test: theirs.npy" in (root.parent / "out" / "itop.md").read_text()


@pytest.fixture
def coco(layout: Layout, tmp_path: Path) -> Path:
    layout("coco").write(tmp_path / "coco")
    return tmp_path / "coco"


def test_a_results_file_by_cocos_figures(coco: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = CocoImages(coco)[0].people
    perfect = np.column_stack([np.nan_to_num(labels.pixels[0]), np.ones(17)]).ravel().tolist()
    rows = [{"image_id": 7, "category_id": 1, "keypoints": perfect, "score": 0.9}]
    (tmp_path / "theirs.json").write_text(json.dumps(rows))
    arguments = ["--dataset", "coco", "--root", str(coco), "--predictions", str(tmp_path / "theirs.json")]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "COCO keypoints, val2017: theirs.json; 3 images, 2 people with keypoints" in printed
    # One of two people is found: precision 1 up to half the recalls, 51 of 101.
    assert "| AP | 50.5 | 50.5 | 50.5 | - | - |" in printed
    assert "| AR | 50.0 | 50.0 | 50.0 | - | - |" in printed
    assert (tmp_path / "out" / "coco.md").read_text() in printed
    rows[0]["image_id"] = 8
    (tmp_path / "theirs.json").write_text(json.dumps(rows))
    assert main(arguments) == 1
    assert "predictions are of image 8, which val2017 does not have" in capsys.readouterr().err


def test_a_network_by_cocos_figures(coco: Path, tmp_path: Path) -> None:
    people = {image.image_id: image.people for image in CocoImages(coco)}

    def oracle(image: np.ndarray) -> Keypoints2D:
        """Images of this layout are gray, as bright as their number says."""
        known = people[min(people, key=lambda number: abs(number - int(image[0, 0, 0])))]
        pixels = np.nan_to_num(known.pixels)
        confidences = np.ones(pixels.shape[:2], np.float32)
        return Keypoints2D(pixels, confidences, confidences[:, 0], np.zeros((len(pixels), 4), np.float32))

    options = argparse.Namespace(
        root=coco, subset="", limit=None, output=tmp_path / "out", predictions=None, device="cpu"
    )
    text = evaluate_coco(options, oracle)
    assert "MoveNet MultiPose; 3 images, 2 people with keypoints" in text
    assert "| AR | 100.0 | 100.0 | 100.0 | - | - |" in text
    assert len(json.loads((tmp_path / "out" / "coco_results.json").read_text())) == 3
    options.limit = 1
    assert "; 1 images, 1 people with keypoints" in evaluate_coco(options, oracle)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "there is nothing to evaluate"),
        (["--dataset", "itop"], "go together"),
        (["--root", "x"], "go together"),
        (["bag", "--dataset", "itop", "--root", "x"], "without recordings"),
        (["--predictions", "x.npy"], "go together"),
        (["--dataset", "coco"], "go together"),
        (["--dataset", "ntu", "--root", "x", "--predictions", "y"], "are scored for --dataset itop or coco"),
        (["--dataset", "itop", "--root", "nowhere"], "ITOP_side_test_labels.h5: not found"),
        (["--dataset", "itop", "--root", "nowhere", "--subset", "side"], "split = ''"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(
    arguments: list[str], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bag").mkdir()
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("name", WITH_CLIPS)
def test_every_data_set_can_be_opened_by_name(layout: Layout, name: str, tmp_path: Path) -> None:
    writers = {"3dpw": "threedpw", "mpi-inf-3dhp": "mpi_inf_3dhp", "real-frames": "real_sets"}
    files = layout(writers.get(name, name))
    files.write_test(tmp_path, 1) if name == "mpi-inf-3dhp" else files.write(tmp_path)
    clips = open_data_set(name, tmp_path)
    frame = clips[0].frame_at(0)
    assert frame.stamp_ns == next(clips[0].frames()).stamp_ns
    for ground_truth in clips[0].ground_truth():
        assert ground_truth.frame_id == frame.frame_id


@pytest.mark.parametrize("extracted", [True, False])
def test_panoptic_has_color_where_it_was_extracted(layout: Layout, tmp_path: Path, extracted: bool) -> None:
    layout("panoptic").write(tmp_path, color=extracted)
    frame = open_data_set("panoptic", tmp_path)[0].frame_at(0)
    assert (frame.color is not None) == extracted
    assert frame.depth is not None


def test_subsets_by_name(layout: Layout, tmp_path: Path) -> None:
    layout("panoptic").write(tmp_path)
    assert len(open_data_set("panoptic", tmp_path, "170101_tiny/50_01")) == 1
    for subset, text in (("170101_tiny/50_x", "SEQ/50_01"), ("other", "no folder other/")):
        with pytest.raises(DataError, match=text):
            open_data_set("panoptic", tmp_path, subset)
    with pytest.raises(DataError, match="only 'test' has images"):
        open_data_set("mpi-inf-3dhp", tmp_path, "train")
    with pytest.raises(DataError, match="data set 'other' is unknown"):
        open_data_set("other", tmp_path)


def test_the_usual_splits(layout: Layout, tmp_path: Path) -> None:
    files = layout("itop")
    for split in ("train", "test"):
        files.write(tmp_path, split=split)
        assert {clip.subset for clip in clips_for("itop", tmp_path, split)} == {f"side/{split}"}
    with pytest.raises(DataError, match="itop has no split 'validation', but train, test"):
        clips_for("itop", tmp_path, "validation")
    with pytest.raises(DataError, match="data set 'itops' is unknown"):
        clips_for("itops", tmp_path, "train")
    layout("ntu").write(tmp_path / "ntu")
    names = [clip.name for split in ("train", "test") for clip in clips_for("ntu", tmp_path / "ntu", split)]
    assert sorted(names) == sorted(layout("ntu").NAMES)
