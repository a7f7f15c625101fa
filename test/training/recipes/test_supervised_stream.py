"""Recipes on people who are rendered on the fly, and the terms of ground truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_stream import STREAM

from unipose_ros.joint_sets import ITOP15
from unipose_ros.networks.registry import load_network
from unipose_training.engine.config import RunSettings, load_config
from unipose_training.recipes.command import RECIPES, run_recipe
from unipose_training.recipes.detector import DetectorRecipe
from unipose_training.recipes.supervised import SupervisedConfig
from unipose_training.tasks.points import Prediction
from unipose_training.tasks.students import Target
from unipose_training.tasks.supervised import SupervisedWeights, body_terms

ROOT = Path(__file__).resolve().parents[3]
RUN = RunSettings(steps=3, batch=4, validate_every=0, checkpoint_every=2, accelerator="cpu", threads=1)
POINTS = SupervisedConfig(
    data="stream", stream=STREAM, size="nano", paint=True, run=RUN, loss=SupervisedWeights(bones=0.5, lengths=0.5)
)


def test_points_with_paint_learn_from_the_stream(tmp_path: Path) -> None:
    outcome = run_recipe("points", POINTS, tmp_path)
    assert outcome.finished
    network, card = load_network(tmp_path / "points.safetensors", "points")
    assert network.config.paint == 17
    assert "rendered on the fly" in card.training_data
    assert card.metrics["validation mpjpe_mm"] > 0


def test_a_run_that_was_broken_off_ends_with_the_same_weights(tmp_path: Path) -> None:
    run_recipe("points", POINTS, tmp_path / "whole")
    short = replace(POINTS, run=replace(RUN, steps=2, schedule="constant"))
    whole = replace(POINTS, run=replace(RUN, schedule="constant"))
    run_recipe("points", whole, tmp_path / "constant")
    run_recipe("points", short, tmp_path / "parts")
    run_recipe("points", whole, tmp_path / "parts", changed=True)
    first, _ = load_network(tmp_path / "constant" / "points.safetensors", "points")
    second, _ = load_network(tmp_path / "parts" / "points.safetensors", "points")
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_run_of_some_minutes_leaves_weights(tmp_path: Path) -> None:
    run = replace(RUN, steps=1000, max_minutes=0.001)
    outcome = run_recipe("points", replace(POINTS, run=run), tmp_path)
    assert not outcome.finished
    load_network(tmp_path / "points.safetensors", "points")


def test_depth_learns_from_the_stream(tmp_path: Path) -> None:
    config = replace(POINTS, network="depth", size="tiny", paint=False)
    assert run_recipe("depth", config, tmp_path).finished
    load_network(tmp_path / "depth.safetensors", "depth")


def test_the_detector_learns_from_the_stream(tmp_path: Path) -> None:
    config = DetectorRecipe(stream=STREAM, run=RUN)
    assert run_recipe("detector", config, tmp_path).finished
    _, card = load_network(tmp_path / "person_detector.safetensors", "person_detector")
    assert "rendered on the fly" in card.training_data


@pytest.mark.parametrize("recipe", ["points", "depth", "detector"])
def test_the_shipped_configurations_are_read(recipe: str) -> None:
    kind, _ = RECIPES[recipe].load()
    config = load_config(kind, ROOT / "config" / "training" / f"{recipe}.yaml")
    assert config.run.steps > 1000
    if recipe != "detector":
        assert config.network == recipe


def test_the_stream_has_no_color_and_no_clips() -> None:
    for change in ({"network": "rgb", "size": "tiny", "paint": False}, {"frames": 3}, {"root": Path("somewhere")}):
        with pytest.raises(ValueError, match="stream"):
            replace(POINTS, **change)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="paint"):
        replace(POINTS, network="depth", size="tiny")


def _pose(arm: float) -> torch.Tensor:
    """(1, 1, 15, 3) joints along a line; the left hand lies ``arm`` meters from its elbow."""
    joints = torch.zeros(1, 1, len(ITOP15), 3)
    joints[..., 1] = torch.arange(len(ITOP15)) * 0.1
    elbow, hand = ITOP15.index("left_elbow"), ITOP15.index("left_hand")
    joints[0, 0, hand] = joints[0, 0, elbow] + torch.tensor([arm, 0.0, 0.0])
    return joints


def test_short_bones_cost_and_get_longer() -> None:
    true = _pose(0.25)
    predicted = _pose(0.2).requires_grad_()
    scales = torch.full((1, 1, len(ITOP15)), -3.0)
    target = Target(true, torch.full_like(scales, -torch.inf), torch.ones_like(scales))
    weights = SupervisedWeights(bones=1.0, lengths=1.0, likelihood=0.5)
    terms = body_terms(Prediction(predicted, scales), target, weights)
    assert set(terms) == {"bones", "lengths", "likelihood"}
    terms["lengths"].backward()
    assert predicted.grad is not None
    hand = predicted.grad[0, 0, ITOP15.index("left_hand")]
    assert float(hand[0]) < 0  # a step against the gradient makes the forearm longer
    assert float(hand[1:].abs().max()) < 1e-6
    exact = body_terms(Prediction(true, scales), target, weights)
    assert float(exact["bones"]) == float(exact["lengths"]) == 0
    assert not body_terms(Prediction(true, scales), target, SupervisedWeights())


def test_joints_without_ground_truth_do_not_train() -> None:
    true = _pose(0.25)
    true[0, 0, ITOP15.index("left_hand")] = torch.nan
    predicted = _pose(0.1).requires_grad_()
    scales = torch.full((1, 1, len(ITOP15)), -3.0)
    target = Target(true, torch.full_like(scales, -torch.inf), torch.ones_like(scales))
    weights = SupervisedWeights(bones=1.0, lengths=1.0, likelihood=0.5)
    torch.stack(list(body_terms(Prediction(predicted, scales), target, weights).values())).sum().backward()
    assert predicted.grad is not None
    assert float(predicted.grad[0, 0, ITOP15.index("left_hand")].abs().max()) == 0
