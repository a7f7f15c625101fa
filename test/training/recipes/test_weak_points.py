"""Recipe weak_points: learns from labels and depth alone, and leaves weights that load."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import walkers
from layouts import itop
from torch import Tensor, nn

from unipose_ros.joint_sets import ITOP15
from unipose_ros.networks.points import SIZES, PointNetworkConfig
from unipose_ros.networks.registry import load_network
from unipose_training.engine.config import RunSettings
from unipose_training.engine.run_folder import METRICS, read_metrics
from unipose_training.errors import DataError
from unipose_training.recipes.command import main
from unipose_training.recipes.weak_points import WeakPointsConfig, WeakPointsTask, run
from unipose_training.samples.augment_points import NO_AUGMENTATION, PointAugmentation
from unipose_training.samples.build import SampleSource, build_store, open_samples
from unipose_training.samples.dataset import PersonDataset
from unipose_training.samples.store import GROUND_TRUTH, SampleStore
from unipose_training.tasks.base import init_point_network
from unipose_training.tasks.points import ground_truth_metrics, predict

pytestmark = pytest.mark.usefixtures("one_thread")


def config(samples: Path, size: str, steps: int = 20, **other: Any) -> WeakPointsConfig:
    settings = RunSettings(
        steps=steps, batch=8, learning_rate=3e-3, warmup_steps=2, accelerator="cpu", log_every=1, validate_every=0
    )
    return WeakPointsConfig(samples=samples, size=size, val_every_nth_clip=3, run=settings, **other)


def losses(output: Path) -> list[float]:
    entries = read_metrics(output / METRICS)
    return [entry.value for entry in entries if (entry.split, entry.name) == ("training", "loss")]


def test_a_few_steps_lower_the_loss_and_leave_weights(walks: Path, tiny: str, tmp_path: Path) -> None:
    outcome = run(config(walks / "store", tiny, augmentation=NO_AUGMENTATION), tmp_path)
    assert outcome.finished
    assert np.isfinite(outcome.figures["mpjpe_mm"])
    found = losses(tmp_path)
    assert np.mean(found[-3:]) < 0.8 * np.mean(found[:3])
    network, record = load_network(tmp_path / "points.safetensors", "points")
    assert network.config == SIZES[tiny]
    assert "8 people in frames of store" in record.training_data
    assert "no 3D labels" in record.training_data


def test_the_ground_truth_does_not_train(walks: Path, tiny: str, tmp_path: Path) -> None:
    shutil.copytree(walks / "store", tmp_path / "blind")
    for name, kind in (("ground_truth", np.float32), ("visible", np.uint8)):
        path = tmp_path / "blind" / f"{name}.bin"
        blank = np.full(path.stat().st_size // np.dtype(kind).itemsize, np.nan if kind is np.float32 else 0, kind)
        path.write_bytes(blank.tobytes())
    index = tmp_path / "blind" / "samples.json"
    about = json.loads(index.read_text())
    for clip in about["clips"]:
        clip["checksums"] = {}  # the rows were changed on purpose
    index.write_text(json.dumps(about))
    weights = []
    for samples in (walks / "store", tmp_path / "blind"):
        outcome = run(config(samples, tiny, steps=3, frames=3), tmp_path / f"run_{samples.name}")
        network, _ = load_network(tmp_path / f"run_{samples.name}" / "points.safetensors", "points")
        weights.append(network.state_dict())
    assert np.isnan(outcome.figures["mpjpe_mm"])
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_projected_ground_truth_is_refused(walks: Path, tiny: str, tmp_path: Path) -> None:
    clips = walkers.write_clips(tmp_path, clips=3, frames=1)
    build_store(clips, None, tmp_path / "store", walkers.SETTINGS, progress=False)
    with pytest.raises(DataError, match="projected 3D ground truth, which this recipe must not read"):
        run(config(tmp_path / "store", tiny), tmp_path / "run")


def test_an_average_follows_and_is_what_is_saved(walks: Path, tiny: str) -> None:
    store = SampleStore(walks / "store")
    task = WeakPointsTask(init_point_network(tiny, 1, ""), config(walks / "store", tiny), store.centers)
    with torch.no_grad():
        for parameter in task.network.parameters():
            parameter.add_(1.0)
    before = gaps(task)
    task.on_step_end(0)
    assert gaps(task) == pytest.approx([0.1 * gap for gap in before], rel=1e-3)
    assert task.trained() is task.averaged
    assert not any(parameter.requires_grad for parameter in task.averaged.parameters())


def gaps(task: WeakPointsTask) -> list[float]:
    pairs = zip(task.network.parameters(), task.averaged.parameters(), strict=True)
    return [(learned - kept).detach().abs().max().item() for learned, kept in pairs]


class Spoken(NamedTuple):
    joints: Tensor
    log_scales: Tensor


class Namer(nn.Module):
    """Knows joints by their place in the cloud; in a mirrored cloud left looks like right."""

    config = PointNetworkConfig(points=256, centers=32, frames=1)

    def __init__(self, mirrored: bool) -> None:
        super().__init__()
        self._order = list(ITOP15.mirror) if mirrored else list(range(len(ITOP15)))

    def forward(self, clips: Tensor) -> Spoken:
        joints = clips[:, :, self._order]
        return Spoken(joints, torch.zeros(joints.shape[:-1]))


@pytest.mark.parametrize("mirrored", [False, True])
def test_joints_are_carried_back_through_every_change(walks: Path, mirrored: bool) -> None:
    batch = PersonDataset(SampleStore(walks / "store"), frames=2).__getitems__([1, 6, 11])
    batch.points[:, :, :15] = batch.ground_truth - batch.centers[:, None, None]
    change = PointAugmentation(yaw=180, tilt=40, mirror=float(mirrored), scale=0.3, shift=0.5, drop=0, noise=0,
                               holes=0, cut=0)  # fmt: skip
    torch.manual_seed(0)
    prediction_or_message = predict(Namer(mirrored), batch, change, stored_centers=32)
    assert torch.allclose(prediction_or_message.joints, batch.ground_truth, atol=1e-5)
    assert not torch.allclose(predict(Namer(not mirrored), batch, change, 32).joints, batch.ground_truth, atol=0.05)
    assert (
        prediction_or_message.log_scales.exp().sub(1).abs().max() > 0.01
    )  # meters of the person, not of the changed cloud


def test_figures_know_seen_from_hidden(walks: Path) -> None:
    batch = PersonDataset(SampleStore(walks / "store"), frames=1).__getitems__([0, 1])
    batch = batch._replace(visible=torch.arange(15).expand(2, 1, 15) < 10)
    joints = batch.ground_truth.clone()
    joints[:, :, 10:, 0] += 0.2
    batch.ground_truth[1] = torch.nan
    figures = ground_truth_metrics(predict(Namer(False), batch, NO_AUGMENTATION, 32)._replace(joints=joints), batch)
    assert figures["visible_mpjpe_mm"][0] == pytest.approx(0, abs=1e-3)
    assert figures["occluded_mpjpe_mm"][0] == pytest.approx(200, abs=1e-2)
    assert figures["mpjpe_mm"][0] == pytest.approx(200 / 3, abs=1e-2)
    assert all(
        torch.isnan(figures[name][1]) for name in ("mpjpe_mm", "visible_mpjpe_mm", "occluded_mpjpe_mm", "pck_10cm")
    )


def test_a_data_set_is_cut_out_first(tmp_path: Path) -> None:
    itop.write(tmp_path / "itop", split="train")
    source = SampleSource(data="itop", root=tmp_path / "itop")
    store = open_samples(source, tmp_path / "run", walkers.SETTINGS)
    assert store.teacher == GROUND_TRUTH
    assert store.folder == tmp_path / "run" / "samples"
    assert len(store) == 5  # of 6 frames, one is not to be used
    assert sum(clip.losses.get("frames without labels", 0) for clip in store.clips) == 1
    wanted = itop.joints(6)[itop.IDS.index("01_00000")] * [1, -1, 1]
    row = next(n for n, clip in enumerate(store.clips) if clip.name.endswith("01_00000"))
    assert store["ground_truth"][store["clip"].tolist().index(row)] == pytest.approx(wanted, abs=1e-3)


def test_a_data_set_without_labels_is_refused_before_it_is_read(tiny: str, tmp_path: Path) -> None:
    recipe = WeakPointsConfig(data="itop", root=tmp_path / "nowhere", size=tiny)
    with pytest.raises(DataError, match=r"unipose pseudo-label --dataset itop.*keypoint_labels=DIR"):
        run(recipe, tmp_path)


def test_a_data_set_is_all_that_the_command_needs(tiny: str, tmp_path: Path) -> None:
    """``unipose train supervised data=itop root=DIR``."""
    itop.write(tmp_path / "itop", split="train")
    values = ["data=itop", f"root={tmp_path / 'itop'}", f"size={tiny}", "val_every_nth_clip=2", "run.steps=1",
              "run.batch=2", "run.accelerator=cpu"]  # fmt: skip
    assert main(["supervised", *values, "--output", str(tmp_path / "run")]) == 0
    _, record = load_network(tmp_path / "run" / "points.safetensors", "points")
    assert "of itop" in record.training_data


@pytest.mark.parametrize(
    ("values", "prediction_or_message"),
    [
        ({}, "name one of them"),
        ({"samples": Path("a"), "data": "itop", "root": Path("b")}, "name one of them"),
        ({"data": "itop"}, "a data set needs both"),
        ({"samples": Path("a"), "root": Path("b")}, "a data set needs both"),
        ({"samples": Path("a"), "keypoint_labels": Path("b")}, "a store has its own"),
        ({"samples": Path("a"), "size": "xxl"}, "size = xxl"),
        ({"samples": Path("a"), "frames": 0}, "frames = 0"),
        ({"samples": Path("a"), "val_every_nth_clip": 1}, "val_every_nth_clip = 1"),
        ({"samples": Path("a"), "min_confidence": -0.1}, "min_confidence = -0.1"),
        ({"samples": Path("a"), "ema_decay": 1.0}, "ema_decay = 1.0"),
    ],
)
def test_wrong_settings_are_named(values: dict[str, Any], prediction_or_message: str) -> None:
    with pytest.raises(ValueError, match=prediction_or_message):
        WeakPointsConfig(**values)
