from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unipose_ros.cli.main import main
from unipose_ros.networks import points as point_cloud
from unipose_ros.networks.anchors import DEPTH_SIZES, RGB_SIZES, AnchorNetworkConfig
from unipose_ros.networks.points import PointNetworkConfig
from unipose_ros.networks.registry import load_network
from unipose_training.engine.config import RunSettings
from unipose_training.errors import DataError
from unipose_training.losses.robust import joint_loss
from unipose_training.recipes.supervised import SupervisedConfig, chosen_rows, run
from unipose_training.samples.augment_windows import Warp
from unipose_training.samples.store import SampleStore
from unipose_training.tasks.students import ground_truth_target, scale_term, unwarp_scales

RUN = RunSettings(steps=2, batch=4, accelerator="cpu", threads=1, log_every=1, warmup_steps=0, learning_rate=1e-3)


@pytest.fixture(autouse=True)
def _nano_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    points = PointNetworkConfig(
        points=64, centers=16, neighbors=8, edge=(8,), width=16, layers=1, heads=1, head_width=8, hidden=16
    )
    small: dict[str, Any] = {"widths": (8, 8, 8, 8), "blocks": (1, 1, 1), "head_width": 8}
    monkeypatch.setitem(point_cloud.SIZES, "nano", points)
    monkeypatch.setitem(DEPTH_SIZES, "nano", AnchorNetworkConfig(channels=1, size=48, **small))
    monkeypatch.setitem(RGB_SIZES, "nano", AnchorNetworkConfig(channels=3, size=32, **small))


def config(walks: Path, **changes: Any) -> SupervisedConfig:
    return SupervisedConfig(
        **{"samples": walks / "store", "size": "nano", "val_every_nth_clip": 3, "run": RUN} | changes
    )


@pytest.mark.parametrize("network", ["points", "depth", "rgb"])
def test_it_leaves_weights_that_the_registry_reads(walks: Path, tmp_path: Path, network: Any) -> None:
    outcome = run(config(walks, network=network), tmp_path)
    _, record = load_network(tmp_path / f"{network}.safetensors", network)
    figures = json.loads((tmp_path / "metrics.json").read_text())
    assert outcome.finished
    assert figures["training_samples"] == 8
    assert figures["validation"]["mpjpe_mm"] == pytest.approx(record.metrics["validation mpjpe_mm"], abs=1e-3)
    assert np.isfinite(figures["validation"]["mpjpe_mm"])


@pytest.mark.slow
@pytest.mark.parametrize(("network", "most"), [("points", 120), ("depth", 250)])
def test_it_learns(walks: Path, tmp_path: Path, network: Any, most: float) -> None:
    steps = RunSettings(steps=150, batch=8, accelerator="cpu", threads=1, warmup_steps=5, learning_rate=5e-3)
    before = run(config(walks, network=network), tmp_path / "before").figures["mpjpe_mm"]
    after = run(config(walks, network=network, run=steps, ema_decay=0.9), tmp_path / "after").figures["mpjpe_mm"]
    assert after < min(most, 0.7 * before)


def test_a_part_of_the_labels_is_a_part_of_the_clips(walks: Path, store: SampleStore) -> None:
    every, _ = chosen_rows(store, config(walks))
    half, validation = chosen_rows(store, config(walks, label_fraction=0.5))
    assert len(np.unique(store["clip"][every])) == 2
    assert len(np.unique(store["clip"][half])) == 1
    assert set(half) < set(every)
    assert not set(store["clip"][validation]) & set(store["clip"][every])


def test_windows_of_another_size_are_refused(walks: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="windows have 48 pixels, 192 are wanted"):
        run(config(walks, network="depth", size="tiny"), tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"), [({"label_fraction": 0.0}, "weak_points"), ({"size": "huge"}, "points has .*xs")]
)
def test_settings_out_of_range(walks: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(walks, **changes)


def test_the_command_runs_it_goes_on_and_refuses_another_configuration(
    walks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [f"samples={walks / 'store'}", "size=nano", "val_every_nth_clip=3", "run.batch=4", "run.accelerator=cpu"]
    command = ["train", "supervised", "--output", str(tmp_path), *given, "run.steps=2"]
    assert main([*command, "run.max_minutes=1e-9"]) == 0
    assert "1 of 2 steps" in capsys.readouterr().out
    assert main(command) == 0
    assert "finished: 2 of 2 steps" in capsys.readouterr().out
    assert {"points.safetensors", "curves.png", "config.yaml", "metrics.csv"} <= {p.name for p in tmp_path.iterdir()}
    assert main([*command, "run.learning_rate=0.5"]) == 1
    assert "run.learning_rate was 0.001, is 0.5" in capsys.readouterr().err


def test_the_command_lists_recipes_and_refuses_unknown_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train"]) == 0
    assert "supervised" in capsys.readouterr().out
    assert main(["train", "nonsense"]) == 1
    assert "no recipe 'nonsense'; there are" in capsys.readouterr().err


def test_joints_without_ground_truth_add_nothing() -> None:
    joints = torch.zeros(1, 1, 2, 3, requires_grad=True)
    ground_truth = torch.tensor([[[[0.0, 0.3, 0.4], [torch.nan] * 3]]])
    loss = joint_loss(joints, ground_truth, torch.ones(1, 1, 1), knee=0.1)
    loss.backward()
    assert float(loss) == pytest.approx((0.5 - 0.05) / 2)
    assert joints.grad is not None
    assert torch.isfinite(joints.grad).all()
    assert not joints.grad[0, 0, 1].any()


def test_the_scale_does_not_move_the_joints() -> None:
    joints = torch.zeros(1, 1, 1, 3, requires_grad=True)
    scales = torch.zeros(1, 1, 1, requires_grad=True)
    scale_term(joints, scales, ground_truth_target(torch.full((1, 1, 1, 3), 0.1), torch.ones(1, 1, 1))).backward()
    assert joints.grad is None
    assert scales.grad is not None
    assert float(scales.grad) == pytest.approx(1 - 0.1)


def test_scales_of_a_mirrored_larger_person_come_back() -> None:
    mirrored = torch.tensor([[[-1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]])
    warp = Warp(mirrored, torch.tensor([2.0, 1.0]), torch.zeros(2, 4), torch.zeros(2))
    back = unwarp_scales(torch.tensor([[0.0, 1.0], [0.0, 1.0]]), warp, torch.tensor([1, 0]))
    assert torch.allclose(back, torch.tensor([[1.0, 0.0], [0.0, 1.0]]) - torch.tensor([[2.0], [1.0]]).log())
