"""Which networks are adapted after which, and what they are measured beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from blob_labeler import BlobLabeler

from unipose_training.adaptation import pipeline as module
from unipose_training.adaptation.health import Verdict
from unipose_training.adaptation.pipeline import Adaptation
from unipose_training.adaptation.report import Comparison
from unipose_training.adaptation.settings import AdaptSettings, Stage
from unipose_training.jobs import ENGINES


class Scripted(Adaptation):
    """Stages that do nothing, and a gate that accepts or refuses everything."""

    def __init__(self, root: Path, modalities: tuple[str, ...], accepts: bool) -> None:
        settings = AdaptSettings(modalities=modalities)
        super().__init__(root, [], settings, BlobLabeler(), ENGINES["processes"])
        self.accepts = accepts
        self.beside: dict[str, dict[str, str]] = {}
        self.trained_beside: dict[str, dict[str, str]] = {}

    def _stage(self, name: str, inputs: Mapping[str, Any], needs: Sequence[Stage], work: Any) -> Stage:
        return Stage(self._root / name, name, {"clips": [], "spans": []})

    def _train(self, modality: str, *stages: Any) -> Stage:
        assert modality not in stages[-1]
        self.trained_beside[modality] = dict(stages[-1])
        return Stage(self._root / modality, modality, {})

    def _gate(self, modality: str, *stages: Any) -> Comparison:
        self.beside[modality] = dict(stages[-1])
        verdict = Verdict(self.accepts, (), 0.1, {}, {}, {}, {})
        return Comparison(modality, verdict, [], [], {})


@pytest.mark.parametrize("modalities", [("points", "person_detector"), ("person_detector", "points")])
def test_networks_are_measured_with_the_detector_that_was_accepted_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modalities: tuple[str, ...]
) -> None:
    monkeypatch.setattr(module, "write_report", lambda path, *rest: path)
    accepting, refusing = (Scripted(tmp_path, modalities, accepts) for accepts in (True, False))
    outcome = accepting.run()
    assert list(outcome.verdicts) == ["person_detector", "points"]
    weights = str(tmp_path / "person_detector" / "person_detector.safetensors")
    assert accepting.beside == {"person_detector": {}, "points": {"person_detector": weights}}
    assert accepting.trained_beside == accepting.beside
    refusing.run()
    assert refusing.beside == {"person_detector": {}, "points": {}}
