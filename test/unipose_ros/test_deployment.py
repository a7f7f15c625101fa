"""Deployed weights come before the shipped ones, and a rollback returns to those before."""

from __future__ import annotations

from pathlib import Path

import pytest

from unipose_ros.config import EstimatorConfig, WeightsConfig
from unipose_ros.deployment import INDEX, DeploymentError, deploy, deployed_weights, read_deployments, rollback
from unipose_ros.modalities.factory import weights_file
from unipose_ros.networks.weights import WeightsError
from unipose_ros.resources import resource_path

SHIPPED = resource_path("weights", "points.safetensors")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNIPOSE_WEIGHTS", str(tmp_path / "deployed"))
    return tmp_path / "deployed"


def test_named_before_deployed_before_shipped(folder: Path, tmp_path: Path) -> None:
    config = EstimatorConfig("points")
    assert weights_file(config, "points") == SHIPPED
    deploy(folder, {"points": b"new"}, "here")
    assert weights_file(config, "points").read_bytes() == b"new"
    assert weights_file(config, "depth") == resource_path("weights", "depth.safetensors")
    named = EstimatorConfig("points", weights=WeightsConfig(points=str(tmp_path / "mine")))
    assert weights_file(named, "points") == tmp_path / "mine"


def test_rollback_returns_step_by_step(folder: Path) -> None:
    first = deploy(folder, {"points": b"1"}, "a")
    second = deploy(folder, {"depth": b"2"}, "b")
    assert (first.number, second.number, second.previous) == (1, 2, 1)
    points, depth = deployed_weights("points"), deployed_weights("depth")
    assert points is not None
    assert depth is not None
    assert (points.read_bytes(), depth.read_bytes()) == (b"1", b"2")
    assert rollback(folder) == first
    assert deployed_weights("depth") is None
    assert rollback(folder) is None
    assert deployed_weights("points") is None
    with pytest.raises(DeploymentError, match="nothing is deployed"):
        rollback(folder)
    third = deploy(folder, {"points": b"3"}, "c")
    assert (third.number, third.previous) == (3, 0)  # files of earlier ones are never written over


def test_a_rollback_to_damaged_weights_is_refused(folder: Path) -> None:
    first = deploy(folder, {"points": b"1"}, "a")
    deploy(folder, {"points": b"2"}, "b")
    (folder / first.files["points"]).write_bytes(b"other")
    with pytest.raises(DeploymentError, match=r"0001/points\.safetensors"):
        rollback(folder)
    assert read_deployments(folder).current == 2


def test_turned_off(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deploy(folder, {"points": b"1"}, "a")
    monkeypatch.setenv("UNIPOSE_WEIGHTS", "")
    assert weights_file(EstimatorConfig("points"), "points") == SHIPPED


@pytest.mark.parametrize("content", ["{", "[]", '{"current": 4, "deployments": []}'])
def test_a_damaged_index_is_no_silent_return_to_the_shipped_weights(folder: Path, content: str) -> None:
    folder.mkdir()
    (folder / INDEX).write_text(content)
    with pytest.raises(WeightsError, match=INDEX):
        weights_file(EstimatorConfig("points"), "points")
