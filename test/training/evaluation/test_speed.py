"""The benchmark: scenes, measuring, counting and the page."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from unipose_ros.estimator import EstimatorConfig
from unipose_ros.recordings import BagReader, RgbdRecording
from unipose_training.evaluation.speed.command import main
from unipose_training.evaluation.speed.machine import (
    machine_facts,
    process_mebibytes,
    process_seconds,
    quantiles,
    torch_threads,
)
from unipose_training.evaluation.speed.operations import AnchorsOnResNet, PoseInOneStage, cost, row
from unipose_training.evaluation.speed.page import write_page
from unipose_training.evaluation.speed.stages import Scene, crowd_frames, measure_crops, measure_stages, write_loop

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def pair() -> Scene:
    with torch_threads(1):
        return Scene(2, crowd_frames(2, 320, 240, 2))


def test_a_scene_shows_its_people_apart_from_each_other(pair: Scene) -> None:
    depth = pair.frames[0].depth
    assert depth is not None
    assert depth.shape == (240, 320)
    columns = np.flatnonzero(((depth[60:200] > 2.3) & (depth[60:200] < 3.1)).any(axis=0))
    assert np.count_nonzero(np.diff(columns) > 3) == 1  # one gap: two people
    assert np.abs(pair.frames[0].depth - pair.frames[1].depth).max() > 0.1  # they walk
    with pytest.raises(ValueError, match="people = 99"):
        crowd_frames(99, 320, 240, 1)


def test_a_loop_is_a_recording_of_the_scene(pair: Scene, tmp_path: Path) -> None:
    assert write_loop(tmp_path / "bag", pair.frames, rate=10, seconds=0.5) == 5
    with BagReader(tmp_path / "bag") as reader:
        frames = list(RgbdRecording(reader).frames())
    assert [frame.stamp_ns for frame in frames] == [10**9 + number * 10**8 for number in range(5)]
    np.testing.assert_allclose(frames[2].depth, pair.frames[0].depth, atol=2e-3)  # to and fro


def test_stages_and_crops_are_measured(pair: Scene) -> None:
    config = EstimatorConfig(modality="depth", threads=1, device="cpu")
    (measured,) = measure_stages(config, [pair], count=2)
    assert (measured["people"], measured["size"], measured["threads"]) == (2, "320x240", 1)
    assert {"people", "crop", "network", "frame", "cpu"} <= set(measured["ms"])
    assert measured["ms"]["frame"]["p95"] >= measured["ms"]["network"]["p50"] > 0
    assert [each["points"] for each in measure_crops(pair, (64, 128))] == [64, 128]


def test_operations_and_bytes_of_a_layer_by_hand() -> None:
    needed = cost(nn.Sequential(nn.Linear(10, 20)).eval(), torch.zeros(3, 10))
    assert needed.gflop == pytest.approx(2 * 3 * 10 * 20 / 1e9)
    assert needed.mparameters == pytest.approx(220 / 1e6)
    assert needed.mbytes == pytest.approx(4 * (3 * 10 + 3 * 20 + 220) / 1e6)
    reached = row("layer", needed, {"p50": 1.0, "p95": 1.0, "cpu": 1.0}, {"gflops": 0.0024, "gbytes": 0.00248})
    assert reached["of_gflops"] == pytest.approx(0.5)
    assert reached["of_gbytes"] == pytest.approx(0.5, abs=0.01)


def test_a_network_of_a2js_sizes() -> None:
    with torch.device("meta"):
        network = AnchorsOnResNet()
        offsets, depths, weights = network(torch.zeros(1, 1, 288, 288))
    assert offsets.shape == (1, 2 * 16 * 15, 18, 18)
    assert depths.shape == weights.shape == (1, 16 * 15, 18, 18)
    backbone = sum(p.numel() for part in (network.stem, network.shallow, network.deep) for p in part.parameters())
    assert backbone / 1e6 == pytest.approx(23.5, abs=0.1)  # ResNet-50 without its classifier


def test_a_network_of_the_sizes_published_with_yolov8n_pose() -> None:
    with torch.device("meta"):
        network, image = PoseInOneStage().eval(), torch.zeros(1, 3, 640, 640)
        maps = network(image)
        needed = cost(network, image)
    assert [tuple(each.shape[1:]) for each in maps[:3]] == [(64, 80, 80), (1, 80, 80), (51, 80, 80)]
    assert needed.gflop == pytest.approx(9.2, abs=0.1)
    assert needed.mparameters == pytest.approx(3.3, abs=0.01)


def test_facts_of_this_machine_and_of_this_process() -> None:
    facts = machine_facts()
    assert facts["cores"] >= 1
    assert facts["packages"]["numpy"] == np.__version__
    assert process_seconds(os.getpid()) > 0
    assert process_mebibytes(os.getpid()) > 10
    assert quantiles([1.0, 2.0, 3.0]) == {"p50": 2.0, "p95": 2.9}


def test_the_page_has_the_results_and_its_plots(tmp_path: Path) -> None:
    times = {"p50": 1.0, "p95": 2.0}
    stages = {"found": 1.0, "ms": {"crop": times, "frame": times, "cpu": times}}
    what = {"modality": "points", "people": 1, "size": "640x480", "threads": 1}
    node = {"rate": 30, "answered": 0.975, "latency_ms": times, "cpu_percent": 40.0, "cpu_ms_a_frame": 9.0}
    node["memory_mib"] = 300.0
    limit = {"gflops": 100.0, "gbytes": 20.0}
    network = {"network": "N", "gflop": 1.0, "mbytes": 2.0, "mparameters": 3.0, "of_gflops": 0.5, "of_gbytes": 0.25}
    results = {
        "date": "2000-01-01", "seconds": 60.0,
        "machine": {**machine_facts(), "ceilings": {"1": limit}, "load_after": [0.0]},
        "stages": [{**what, **stages}, {**what, **stages, "people": 8}],
        "crops": [{"points": 64, "size": "640x480", "cpu_ms": times}],
        "node": [{**what, **node}],
        "networks": [{**network, "ms": {**times, "cpu": 1.0}}],
    }  # fmt: skip
    page = tmp_path / "docs" / "results" / "benchmark.md"
    page.parent.mkdir(parents=True)
    write_page(results, page)
    text = page.read_text()
    assert "| points | 1 | 640x480 | 1 | 30 | 97.5% | 1.0 / 2.0 | 40 % | 9.0 | 300 MiB |" in text
    assert "| N | 1.00 | 2 | 3.00 | 1.0 / 2.0 | 1.0 | 50% | 25% | 1.0 |" in text
    for name in ("people", "pixels", "points", "latency"):
        assert f"../images/benchmark_{name}.png" in text
        assert (tmp_path / "docs" / "images" / f"benchmark_{name}.png").read_bytes().startswith(b"\x89PNG")


def test_a_page_of_earlier_results_measures_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = {**machine_facts(), "ceilings": {}, "load_after": [0.0]}
    (tmp_path / "benchmark.json").write_text(json.dumps({"date": "2000-01-01", "seconds": 1.0, "machine": facts}))
    page = tmp_path / "a" / "page.md"
    page.parent.mkdir()
    assert main(["--from-results", "--output", str(tmp_path), "--page", str(page)]) == 0
    assert "2000-01-01" in page.read_text()
    assert main(["--from-results", "--output", str(tmp_path / "none")]) == 1
    assert "none" in capsys.readouterr().err
