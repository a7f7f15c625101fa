"""Whole adaptations of the demo's recording: killed and resumed, and not; both give the same bits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unipose_ros.cli.main import main
from unipose_ros.networks.movenet.decode import ONNX, verified_file
from unipose_ros.networks.weights import WeightsError
from unipose_training.adaptation.command import ACCEPTED, REFUSED_BY_GATE
from unipose_training.datasets.keypoint_files import read_keypoints

_WALK = Path(__file__).parents[3] / "demo" / "walk"
_NETWORKS = ("person_detector", "points")
_STAGES = ("frames", "labels", "samples", "checks", "fused",
           *(f"{stage}_{name}" for name in _NETWORKS for stage in ("train", "before", "after", "gate")))  # fmt: skip
#: What training writes beside weights holds times.
_WITH_TIMES = ("metrics.csv", "checkpoint.pt", "tensorboard/")


def arguments(output: Path) -> list[str]:
    return ["adapt", str(_WALK), "--rate", "15", "--steps", "4", "--source-people", "8", "--threads", "1",
            "--modality", "points,person_detector", "--output", str(output)]  # fmt: skip


def manifests(output: Path) -> dict[str, dict[str, Any]]:
    """Inputs, results and checksums of all stages, without what holds times."""
    found = {}
    for stage in _STAGES:
        manifest = json.loads((output / stage / "stage.json").read_text())
        files = {name: digest for name, digest in manifest["files"].items() if not name.startswith(_WITH_TIMES)}
        found[stage] = {**manifest, "files": files}
    return found


@pytest.mark.slow
@pytest.mark.weights
def test_an_adaptation_that_was_killed_gives_the_bits_of_one_that_was_not(tmp_path: Path) -> None:
    try:
        verified_file(ONNX)
    except WeightsError as error:
        pytest.skip(str(error))
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    code = f"import sys; from unipose_ros.cli.main import main; sys.exit(main({arguments(killed)!r}))"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        training = killed / ".train_points.partial"
        while not training.exists():
            assert process.poll() is None
            time.sleep(0.05)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done = {path.parent.name: path.stat().st_mtime_ns for path in killed.glob("*/stage.json")}
    assert {"fused", "gate_person_detector"} <= set(done)
    assert not (killed / "train_points").exists()
    verdict = main(arguments(killed))
    assert verdict in (ACCEPTED, REFUSED_BY_GATE)
    assert main(arguments(whole)) == verdict
    assert {name: (killed / name / "stage.json").stat().st_mtime_ns for name in done} == done
    assert manifests(killed) == manifests(whole)
    assert (killed / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.weights
def test_the_lifter_is_adapted_and_judged_on_frames_without_depth(tmp_path: Path) -> None:
    try:
        verified_file(ONNX)
    except WeightsError as error:
        pytest.skip(str(error))
    output = tmp_path / "rgb"
    assert main([*arguments(output), "--modality", "rgb", "--refine"]) in (ACCEPTED, REFUSED_BY_GATE)
    trained, before, after = (
        json.loads((output / f"{stage}_rgb" / "stage.json").read_text()) for stage in ("train", "before", "after")
    )
    assert (output / "train_rgb" / "lifter.safetensors").is_file()
    assert trained["result"]["people"] >= trained["result"]["people_with_3d"] > 0
    assert before["inputs"]["settings"]["weights"] != after["inputs"]["settings"]["weights"]
    for side in (before, after):
        assert side["result"]["health"]["reference_mm"] > 0
        assert side["result"]["source"]["rendered people"] > 0
    # The refiner moved what is trained on, and what judges is as the 2D network predicted it.
    moved, seen = (
        read_keypoints(next((output / stage).rglob("*.keypoints.npz"))).people for stage in ("refined", "labels")
    )
    assert np.array_equal(moved.confidences, seen.confidences)
    assert not np.array_equal(moved.pixels, seen.pixels)
