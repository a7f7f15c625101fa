"""Covariances of adapted weights: what is observed, what is kept, and where it is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tiny_networks import standing, write_weights

from unipose_ros.config import EstimatorConfig
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons
from unipose_ros.modalities.calibration import Calibration, StatusCalibration, recorded_calibration
from unipose_ros.networks.weights import read_model_card
from unipose_training.adaptation import calibration as module
from unipose_training.adaptation.calibration import (
    calibrate_adapted,
    choose_calibration,
    coverage_percent,
    label_residuals,
    recorded_residuals,
)
from unipose_training.adaptation.lift import PseudoLabels
from unipose_training.adaptation.settings import AdaptSettings
from unipose_training.datasets.keypoint_files import KeypointLabels, LabelerId
from unipose_training.evaluation.calibration_fit import Residuals, coverage
from unipose_training.samples.store import SampleStore

STD = 0.04


def people(store: SampleStore, row: int, off: tuple[float, float, float], variance: float = STD**2) -> Skeletons:
    """The person of a row, moved, with equal variances; every second joint is inferred."""
    positions = np.array(store["ground_truth"])[row : row + 1] + np.array(off, np.float32)
    covariances = np.zeros((1, 15, 6), np.float32)
    covariances[..., [0, 3, 5]] = variance
    status = np.where(np.arange(15) % 2, JointStatus.INFERRED, JointStatus.MEASURED)[None].astype(np.uint8)
    return Skeletons(
        int(store["stamp_ns"][row]), "camera", "points", positions, np.full((1, 15), 0.9, np.float32), status,
        np.ones(1, np.float32), covariances=covariances, ids=("one",),
    )  # fmt: skip


def labels_of(store: SampleStore, std: float = 0.03) -> PseudoLabels:
    good = np.ones(len(store), np.bool_)
    good[0] = False
    return PseudoLabels(np.array(store["ground_truth"]), np.full((len(store), 15), std, np.float32), good)


def test_what_is_observed_is_the_label_less_the_prediction_with_the_labels_own_noise(store: SampleStore) -> None:
    truth = np.array(store["ground_truth"])[1:2].copy()
    truth[0, 3] = np.nan
    found = label_residuals("x", people(store, 1, (0.1, 0, 0)), truth, np.full((1, 15), 0.03, np.float32))
    assert len(found) == 14
    assert found.errors == pytest.approx(np.tile([-0.1, 0, 0], (14, 1)), abs=1e-6)
    assert found.noise == pytest.approx(np.full(14, 0.03))
    assert found.measured.sum() == 8
    assert not len(label_residuals("x", people(store, 1, (0.9, 0, 0)), truth, np.zeros((1, 15), np.float32)))


def test_coverage_counts_the_variance_of_the_labels(store: SampleStore) -> None:
    # 95 % of three dimensions: 2.8 standard deviations.
    frames = [(int(store["clip"][row]), people(store, row, (0.12, 0, 0))) for row in range(len(store))]
    sure, unsure = (coverage_percent(frames, store, labels_of(store, std)) for std in (0.001, 0.03))
    assert sure["coverage_percent"] == 0.0
    assert unsure["coverage_percent"] == 100.0
    assert unsure["joints"] == 15 * (len(store) - 1)
    assert np.isnan(coverage_percent([], store, labels_of(store))["coverage_percent"])


def simulated(name: str, factor: float, count: int = 900, measured: bool | None = None) -> Residuals:
    """Errors so many times as large as the covariances say."""
    rng = np.random.default_rng(len(name))
    units = np.broadcast_to(np.eye(3), (count, 3, 3))
    return Residuals(
        rng.normal(size=(count, 3)) * factor * STD, STD**2 * units, units, np.zeros(count), np.full(count, 3),
        np.arange(count) % 2 == 0 if measured is None else np.full(count, measured), np.full(count, 0.9),
        np.full(count, name),
    )  # fmt: skip


PRESENT = Calibration(StatusCalibration(1.0, 0.0, 30.0, 1.3), StatusCalibration(1.0, 0.0, 30.0, 1.3))


def test_numbers_that_hold_are_kept() -> None:
    chosen, kept = choose_calibration(Residuals.together([simulated("a", 1.0), simulated("bb", 0.8)]), PRESENT)
    assert chosen == PRESENT
    assert kept == ["measured", "inferred"]


def test_numbers_that_do_not_hold_are_fitted_by_status() -> None:
    parts = [simulated("a", 2.0, measured=True), simulated("bb", 1.0, measured=False)]
    residuals = Residuals.together(parts)
    chosen, kept = choose_calibration(residuals, PRESENT)
    assert kept == ["inferred"]
    assert chosen.inferred == PRESENT.inferred
    assert coverage(parts[0], PRESENT.measured) < 0.75
    assert coverage(parts[0], chosen.measured) == pytest.approx(0.95, abs=0.01)


def test_one_hard_set_is_enough_to_fit_anew() -> None:
    easy = [simulated("a" * length, 0.8, measured=True) for length in range(1, 5)]
    hard = simulated("hard set", 1.4, measured=True)
    together = Residuals.together([*easy, hard])
    assert coverage(together, PRESENT.measured) > 0.95 > 0.9 > coverage(hard, PRESENT.measured)
    chosen, kept = choose_calibration(together, PRESENT)
    assert kept == ["inferred"]
    assert coverage(hard, chosen.measured) >= 0.9


class Frames:
    """A part of a recording."""

    name, subset = "walk/adaptation", ""

    def __init__(self, stamps: list[int]) -> None:
        self.stamps = stamps

    def frames(self) -> Iterator[RgbdFrame]:
        for stamp in self.stamps:
            yield standing(80, stamp_ns=stamp)


class Estimator:
    """Finds the same person in all frames; remembers what it was shown."""

    def __init__(self, store: SampleStore) -> None:
        self.person, self.asked, self.resets = people(store, 1, (0, 0, 0)), [], 0  # type: ignore[var-annotated]

    def reset(self) -> None:
        self.resets += 1

    def estimate(self, frame: RgbdFrame) -> Skeletons:
        assert frame.color is None
        self.asked.append(frame.stamp_ns)
        return self.person

    def close(self) -> None:
        pass


def test_the_recording_is_seen_frame_by_frame_in_three_periods(
    store: SampleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    estimator = Estimator(store)
    monkeypatch.setattr(module, "PoseEstimator", lambda *args, **named: estimator)
    stamps = list(range(1, 10))
    pose = np.array(store["ground_truth"])[1:2]
    known = {(0, stamp): (pose, np.full((1, 15), 0.03, np.float32)) for stamp in stamps[:6]}
    empty = KeypointLabels.of_frames("walk/adaptation", LabelerId("blobs"), [], [])
    config = EstimatorConfig("points", threads=1)
    found = list(recorded_residuals(config, [Frames(stamps)], [empty], known))  # type: ignore[list-item]
    assert estimator.asked == stamps[:6]
    assert estimator.resets == 6
    assert [str(each.sets[0]) for each in found] == [f"recording {n}" for n in (1, 1, 2, 2, 3, 3)]
    assert not list(recorded_residuals(config, [Frames(stamps)], [empty], {}))  # type: ignore[list-item]


def test_the_model_card_gets_the_numbers(tmp_path: Path, store: SampleStore, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = write_weights(tmp_path / "old", "points", metrics=PRESENT.metrics())
    adapted = write_weights(tmp_path / "new", "points", metrics={"temperature": 2.0})
    wide = Residuals.together([simulated("renders", 3.0, measured=True), simulated("renders", 1.0, measured=False)])
    monkeypatch.setattr(module, "stream_residuals", lambda setting, frames: [wide])
    monkeypatch.setattr(module, "recorded_residuals", lambda *args: iter(()))
    facts = calibrate_adapted(adapted, "points", {}, parent, [], [], store, labels_of(store), AdaptSettings())
    written = recorded_calibration(adapted)
    assert written is not None
    assert facts["kept"] == ["inferred"]
    assert written.inferred == PRESENT.inferred
    assert written.measured != PRESENT.measured
    assert facts["numbers"] == written.to_dict()
    before, after = facts["coverage"]["renders"]
    assert before < 80 < after
    assert read_model_card(adapted).metrics["temperature"] == 2.0
