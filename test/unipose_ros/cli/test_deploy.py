"""``unipose deploy``: only what the gate accepted, exactly as it judged it, with its figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unipose_ros.cli.deploy import main
from unipose_ros.deployment import deployed_weights
from unipose_ros.files import file_sha256
from unipose_ros.networks.weights import ModelCard, read_model_card, save_weights


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNIPOSE_WEIGHTS", str(tmp_path / "deployed"))
    return tmp_path / "deployed"


def adaptation(root: Path, accepted: bool = True, name: str = "points", **facts: Any) -> Path:
    """The two folders of ``unipose adapt`` that count."""
    weights = root / f"train_{name}" / f"{name}.safetensors"
    card = ModelCard(name, {}, "itop15", "points", "adapted to a recording", "Apache-2.0", {"verifier.bias": 1.0})
    save_weights(weights, {"a": np.ones(3, np.float32)}, card)
    training = {"key": "k", "inputs": {}, "result": {}, "files": {weights.name: file_sha256(weights)}}
    (root / f"train_{name}" / "stage.json").write_text(json.dumps(training))
    verdict = {
        "accepted": accepted, "reasons": [] if accepted else ["health: worse"], "gain": 0.2,
        "before": {"swaps": None, "reference_mm": 120.0}, "after": {"swaps": None, "reference_mm": 90.0},
        "source_before": {"rendered people": 92.0}, "source_after": {"rendered people": 92.5}, **facts,
    }  # fmt: skip
    gate = {"key": "g", "inputs": {"needs": ["k", "f"]}, "result": verdict, "files": {}}
    (root / f"gate_{name}").mkdir()
    (root / f"gate_{name}" / "stage.json").write_text(json.dumps(gate))
    return root


def test_accepted_weights_are_deployed_and_rolled_back(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(adaptation(tmp_path / "a"))]) == 0
    path = deployed_weights("points")
    assert path is not None
    assert path.is_relative_to(folder)
    card = read_model_card(path)
    assert card.metrics["held out after reference_mm"] == 90.0
    assert card.metrics["source after rendered people mpjpe_mm"] == 92.5
    assert card.metrics["verifier.bias"] == 1.0
    assert main(["--status"]) == 0
    assert "*    1" in capsys.readouterr().out
    assert main(["--rollback"]) == 0
    assert deployed_weights("points") is None
    assert main(["--rollback"]) == 1


def test_a_person_detector_is_deployed_beside_a_network(tmp_path: Path, folder: Path) -> None:
    adaptation(tmp_path / "a")
    assert main([str(adaptation(tmp_path / "a", name="person_detector", unit="%"))]) == 0
    path = deployed_weights("person_detector")
    assert path is not None
    assert read_model_card(path).metrics["source after rendered people %"] == 92.5
    assert deployed_weights("points") is not None


def test_modality_rgb_deploys_the_lifter_and_not_the_image_network(tmp_path: Path, folder: Path) -> None:
    root = adaptation(tmp_path / "a")
    for stage in ("train", "gate"):
        (root / f"{stage}_points").rename(root / f"{stage}_rgb")
    (root / "train_rgb" / "points.safetensors").rename(root / "train_rgb" / "lifter.safetensors")
    manifest = root / "train_rgb" / "stage.json"
    manifest.write_text(manifest.read_text().replace("points.safetensors", "lifter.safetensors"))
    assert main([str(root), "--modality", "rgb"]) == 0
    assert deployed_weights("lifter") is not None
    assert deployed_weights("rgb") is None


def test_what_the_gate_refused_is_not_deployed(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = adaptation(tmp_path / "a", accepted=False)
    assert main([str(refused)]) == 1
    assert main([str(refused), "--modality", "points"]) == 1
    assert "health: worse" in capsys.readouterr().err
    assert not folder.exists()


def test_other_weights_than_the_gate_judged_are_not_deployed(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = adaptation(tmp_path / "a")
    with (root / "train_points" / "points.safetensors").open("ab") as stream:
        stream.write(b"x")
    assert main([str(root)]) == 1
    assert "not the weights that the gate judged" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["nowhere"]])
def test_nothing_to_deploy(arguments: list[str], folder: Path) -> None:
    assert main(arguments) == 1
    assert not folder.exists()
