"""Predictions of held-out frames are kept, compared with the reference, and shown before and after."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from unipose_ros.frame import JointStatus, Skeletons
from unipose_training.adaptation.health import FIGURES, Reference, judge, reference_distance
from unipose_training.adaptation.parts import read_predictions, write_predictions
from unipose_training.adaptation.report import Comparison, write_report
from unipose_training.adaptation.settings import AdaptSettings, GateSettings
from unipose_training.datasets.base import open_clips
from unipose_training.evaluation.metrics.reference_free import FrameChecks
from unipose_training.evaluation.replay import ReplayedFrame


def people(stamp_ns: int, *places: tuple[float, float, float]) -> Skeletons:
    count = len(places)
    positions = np.zeros((count, 15, 3), np.float32) + np.array(places, np.float32).reshape(count, 1, 3)
    return Skeletons(
        stamp_ns, "camera", "points", positions + np.linspace(0, 0.5, 15, dtype=np.float32)[:, None],
        np.ones((count, 15), np.float32), np.full((count, 15), JointStatus.MEASURED, np.uint8),
        np.ones(count, np.float32), ids=("abcde", "fghij")[:count],
    )  # fmt: skip


def replayed(found: Skeletons) -> ReplayedFrame:
    none = np.zeros(0)
    checks = FrameChecks(0, np.zeros((0, 2)), none, 0, none, none, none)
    return ReplayedFrame(0, found, None, checks, None, {})


def test_predictions_survive_a_file(tmp_path: Path) -> None:
    frames = [(0, people(1, (0, 0, 2))), (0, people(2)), (1, people(3, (0, 0, 2), (1, 0, 3)))]
    write_predictions(tmp_path / "p.npz", frames)
    found = read_predictions(tmp_path / "p.npz")
    assert [(clip, each.stamp_ns, each.ids) for clip, each in found] == [
        (clip, each.stamp_ns, each.ids) for clip, each in frames
    ]
    assert all(np.array_equal(a.positions, b.positions) for (_, a), (_, b) in zip(found, frames, strict=True))


def test_distance_to_the_reference() -> None:
    known = Reference({(0, 1): people(1, (0, 0, 2)).positions, (0, 2): people(2, (0, 0, 2)).positions})
    frames = [replayed(people(1, (0.03, 0.04, 2))), replayed(people(2, (5, 0, 2))), replayed(people(3, (0, 0, 2)))]
    assert reference_distance(frames, known) == pytest.approx(50.0, abs=0.1)  # of the one who is the same person
    assert np.isnan(reference_distance(frames[1:], known))


def test_the_page_shows_verdict_figures_and_images(walks: Path, tmp_path: Path) -> None:
    clip = open_clips(walks / "clips")[0]
    stamps = [frame.stamp_ns for frame in clip.frames()]
    before = [(0, people(stamp, (0, 0, 2))) for stamp in stamps]
    after = [(0, people(stamp, (0.1, 0, 2))) for stamp in stamps]
    figures = dict.fromkeys(FIGURES, 10.0)
    verdict = judge(figures, figures, {"<b>": 90.0}, {"<b>": 95.0}, GateSettings())
    truth = {"before": {"mpjpe_mm": 123.4}, "after": {"mpjpe_mm": 98.7}}
    comparison = Comparison("points", verdict, before, after, {"steps": 7, "ended_by": "steps"}, truth)
    facts = {"checks": {"people": 5, "nested": {"x": 1.5}, "none": {}}}
    page = write_report(tmp_path / "r.html", [clip], [comparison], facts, AdaptSettings()).read_text()
    assert page.count("data:image/jpeg") == len(stamps)
    assert "refused" in page
    assert "98.7" in page
    assert "&lt;b&gt;" in page
    assert "<b>:" not in page
    later = replace(comparison, ground_truth={})
    assert "98.7" not in write_report(tmp_path / "r.html", [clip], [later], facts, AdaptSettings()).read_text()
