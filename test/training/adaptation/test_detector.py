"""Fine-tuning of the person detector: what its batches are made of, and weights that are the same after a kill."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_stream import STREAM
from tiny_networks import standing
from torch import nn

from unipose_ros.files import file_sha256
from unipose_ros.frame import RgbdFrame
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.networks.detector import PersonCenterNet, PersonCenterNetConfig
from unipose_ros.networks.registry import load_network, save_network
from unipose_training.adaptation import detector as module
from unipose_training.adaptation.detector import (
    SHARES,
    MixedScenes,
    choose_share,
    detector_source_error,
    detector_task,
    finetune_detector,
    recorded_scenes,
)
from unipose_training.adaptation.finetune import Provenance
from unipose_training.adaptation.settings import DETECTOR, AdaptSettings, GateSettings
from unipose_training.datasets.keypoint_files import KeypointLabels, LabelerId
from unipose_training.detection.scenes import Scene
from unipose_training.engine.config import RunSettings
from unipose_training.errors import AdaptationError
from unipose_training.tasks.base import model_card

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = PersonCenterNetConfig(widths=(8, 8, 8, 8, 8), head_width=8)
SETTINGS = AdaptSettings(most_steps=6, batch=4, replay=0.5, threads=1, gate=GateSettings(source_people=4))
RUN = RunSettings(steps=40, batch=8, accelerator="cpu")


def scene(people: int, value: float = 3.0) -> Scene:
    """A wall of one depth, with so many people in front of it; small whole numbers stay what they are in float16."""
    pixels = np.stack([np.linspace(50, 70, 17) + 40 * np.arange(people)[:, None], np.full((people, 17), 60.0)], axis=-1)
    return Scene(
        depth=np.full((138, 183), value, np.float16),
        part=np.full((138, 183), 255, np.uint8),
        pixels=(pixels + np.linspace(-30, 30, 17)[None, :, None] * [0, 1]).astype(np.float32),
        seen=np.ones((people, 17), np.bool_),
        distances=np.full(people, value - 0.5, np.float32),
        ignore_regions=np.zeros((0, 4), np.float32),
    )


class Frames:
    """A part of a recording."""

    name, subset = "walk/adaptation", ""

    def frames(self) -> Iterator[RgbdFrame]:
        yield standing(60, stamp_ns=1)
        yield standing(stamp_ns=2)
        yield standing(60, stamp_ns=3)


def labels(*people: int) -> KeypointLabels:
    """Of the frames with stamps 1 and 2: one person with all keypoints in the slab at column 60, or no one."""
    one = Keypoints2D(
        np.stack([np.linspace(52, 68, 17), np.linspace(32, 88, 17)], axis=1)[None].astype(np.float32),
        np.full((1, 17), 0.9, np.float32), np.array([0.9], np.float32), np.array([[50, 30, 70, 90]], np.float32),
    )  # fmt: skip
    shown = [one if stamp in people else Keypoints2D.empty() for stamp in (1, 2)]
    return KeypointLabels.of_frames("walk/adaptation", LabelerId("blobs"), [1, 2], shown)


def test_frames_without_people_are_scenes_and_unlabeled_ones_are_not() -> None:
    found = list(recorded_scenes([Frames()], [labels(1)]))  # type: ignore[list-item]
    assert [len(each) for each in found] == [1, 0]
    assert found[0].distances[0] == pytest.approx(3.0)
    assert not len(found[1].ignore_regions)


def test_batches_have_people_and_empty_frames_of_the_recording_and_rendered_scenes() -> None:
    scenes = [scene(1), scene(0), scene(2)]
    mixed = MixedScenes(scenes, TINY.focal, STREAM, RUN, 3)
    drawn = [mixed.numbers(step) for step in range(RUN.steps)]
    assert all(len(numbers) == 5 for numbers in drawn)
    empty = np.mean([number == 1 for numbers in drawn for number in numbers])
    assert empty == pytest.approx(0.3, abs=0.1)
    assert mixed.numbers(7) == drawn[7]
    batch = mixed.__getitems__(list(range(8)))
    assert len(batch) == 8
    only = MixedScenes([scene(1)], TINY.focal, STREAM, RUN, 0)
    assert only.numbers(3) == [0] * 8
    assert len(only.__getitems__(list(range(8)))) == 8


def test_a_recording_without_people_is_refused() -> None:
    with pytest.raises(AdaptationError, match="no one"):
        MixedScenes([scene(0)], TINY.focal, STREAM, RUN, 2)


def test_statistics_of_batch_normalization_stay_the_parents() -> None:
    task = detector_task(PersonCenterNet(TINY)).train()
    norms = [each for each in task.network.modules() if isinstance(each, nn.BatchNorm2d)]
    assert norms
    assert not any(each.training for each in norms)
    before = [each.running_mean.clone() for each in norms]
    task.network(torch.randn(2, 2, 96, 128))
    assert all(torch.equal(each.running_mean, old) for each, old in zip(norms, before, strict=True))
    assert task.network.training


def errors_by_share(monkeypatch: pytest.MonkeyPatch, source: Any, recording: Any) -> None:
    """The networks' outputs have their share as bias; errors are functions of it."""

    def error(network: PersonCenterNet, views: Any) -> float:
        share = float(network.outputs.bias[1].detach())
        return source(share) if len(views) == 1 else recording(share)

    monkeypatch.setattr(module, "error_percent", error)


def ends() -> tuple[PersonCenterNet, PersonCenterNet]:
    parent, trained = PersonCenterNet(TINY), PersonCenterNet(TINY)
    with torch.no_grad():
        trained.outputs.bias[1] = 1.0
    return parent, trained


def test_as_much_of_the_recording_as_source_scenes_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    errors_by_share(monkeypatch, lambda share: 10 + share**2, lambda share: 30 - 20 * share)
    found = choose_share(*ends(), [scene(1)], [scene(1), scene(0)], 0.04)
    assert found.share == 0.6  # 0.6^2 = 0.36 < 0.4 < 0.8^2
    assert found.source == pytest.approx(10.36)
    assert (found.source_before, found.recording_before) == (10.0, 30.0)
    assert found.recording == pytest.approx(18.0)


def test_a_share_beyond_the_best_is_not_taken_and_a_hopeless_network_goes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    errors_by_share(monkeypatch, lambda share: 10.0, lambda share: 30 + 20 * (share - 0.45) ** 2)
    assert choose_share(*ends(), [scene(1)], [scene(1), scene(0)], 0.0).share == 0.4
    errors_by_share(monkeypatch, lambda share: 10 + share, lambda share: 30 - share)
    assert choose_share(*ends(), [scene(1)], [scene(1), scene(0)], 0.0).share == SHARES[-1]


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = PersonCenterNet(TINY)
    path = tmp_path / "parent.safetensors"
    save_network(path, network, TINY, replace(model_card(DETECTOR, "x", "renders", {"validation heat": 1.0}, "")))
    return path


def adapt(folder: Path, parent: Path, scenes: Any = lambda: iter([scene(1), scene(0)])) -> dict[str, Any]:
    return finetune_detector(folder, parent, scenes, STREAM, SETTINGS, Provenance("a recording", "parent"))


def test_two_runs_give_the_same_bits_and_a_card(tmp_path: Path, parent: Path) -> None:
    facts = [adapt(tmp_path / name, parent) for name in ("a", "b")]
    first, second = (tmp_path / name / f"{DETECTOR}.safetensors" for name in ("a", "b"))
    assert file_sha256(first) == file_sha256(second)
    assert facts[0] == facts[1]
    assert (facts[0]["scenes"], facts[0]["people"], facts[0]["empty scenes"]) == (2, 1, 1)
    new, card = load_network(first, DETECTOR)
    old, _ = load_network(parent, DETECTOR)
    assert any(not torch.equal(a, b) for a, b in zip(new.parameters(), old.parameters(), strict=True))
    assert "a recording" in card.training_data
    assert "begun from parent, which was trained on: renders" in card.training_data
    assert not card.metrics
    assert 0 <= detector_source_error(first, STREAM, SETTINGS) <= 100


def test_a_run_that_was_stopped_goes_on_without_the_recording(
    tmp_path: Path, parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapt(tmp_path / "whole", parent)
    real = module.train

    def killed(task: Any, training: Any, validation: Any, settings: RunSettings, output: Path) -> Any:
        steps = iter(training)

        class Cut:
            batch_sampler = training.batch_sampler

            def __iter__(self) -> Iterator[Any]:
                for _ in range(3):
                    yield next(steps)
                raise KeyboardInterrupt

        return real(task, Cut(), validation, replace(settings, checkpoint_every=2), output)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "train", killed)
    with pytest.raises(KeyboardInterrupt):
        adapt(tmp_path / "parts", parent)
    monkeypatch.setattr(module, "train", real)

    def gone() -> Iterator[Scene]:
        raise AssertionError("the recording is read again")

    adapt(tmp_path / "parts", parent, gone)
    files = [tmp_path / name / f"{DETECTOR}.safetensors" for name in ("whole", "parts")]
    assert file_sha256(files[0]) == file_sha256(files[1])
