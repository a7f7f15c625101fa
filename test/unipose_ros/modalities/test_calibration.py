"""Calibrated covariances and confidences at run time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from unipose_ros.camera import Camera
from unipose_ros.estimator import MODALITIES, EstimatorConfig, PoseEstimator, WeightsConfig
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons
from unipose_ros.modalities.calibration import (
    Calibration,
    StatusCalibration,
    calibrated,
    load_calibrations,
    probability_within,
    read_calibrations,
    recorded_calibration,
)
from unipose_ros.networks.weights import ModelCard, WeightsError, save_weights

MEASURED = StatusCalibration(scale=2.0, floor=0.01, dof=5.0, inflation=1.5)
INFERRED = StatusCalibration(scale=1.0, floor=0.02, dof=20.0, inflation=2.0)


def skeletons() -> Skeletons:
    status = np.full((1, 15), JointStatus.MEASURED, np.uint8)
    status[0, 1], status[0, 2] = JointStatus.INFERRED, JointStatus.MISSING
    covariances = np.tile(np.array([4e-4, 1e-4, 0, 9e-4, 0, 1e-4], np.float32), (1, 15, 1))
    covariances[0, 2] = np.nan
    return Skeletons(
        stamp_ns=1,
        frame_id="camera",
        modality="points",
        positions=np.where((status == JointStatus.MISSING)[..., None], np.nan, 1).astype(np.float32).repeat(3, axis=-1),
        confidences=np.where(status == JointStatus.MISSING, 0, 0.5).astype(np.float32),
        status=status,
        scores=np.ones(1, np.float32),
        covariances=covariances,
    )


def test_each_status_has_its_own_numbers() -> None:
    found = calibrated(skeletons(), Calibration(MEASURED, INFERRED))
    assert found.covariances is not None
    measured = 1.5 * (4 * np.array([4e-4, 1e-4, 0, 9e-4, 0, 1e-4]) + np.array([1, 0, 0, 1, 0, 1]) * 1e-4)
    inferred = 2.0 * (np.array([4e-4, 1e-4, 0, 9e-4, 0, 1e-4]) + np.array([1, 0, 0, 1, 0, 1]) * 4e-4)
    np.testing.assert_allclose(found.covariances[0, 0], measured, rtol=1e-5)
    np.testing.assert_allclose(found.covariances[0, 1], inferred, rtol=1e-5)
    assert np.isnan(found.covariances[0, 2]).all()
    assert found.confidences[0, 2] == 0
    assert 0 < found.confidences[0, 0] < found.confidences[0, 1] < 1


def test_without_calibration_or_covariances_nothing_changes() -> None:
    people = skeletons()
    assert calibrated(people, None) is people
    bare = replace(people, covariances=None)
    assert calibrated(bare, Calibration(MEASURED, INFERRED)) is bare


@pytest.mark.parametrize("stds", [(0.05, 0.05, 0.05), (0.03, 0.03, 0.09), (0.02, 0.05, 0.08)])
@pytest.mark.parametrize("dof", [4.0, 30.0])
def test_probability_is_that_of_drawn_errors(stds: tuple[float, float, float], dof: float) -> None:
    rng = np.random.default_rng(0)
    errors = rng.normal(size=(200_000, 3)) * stds / np.sqrt(rng.chisquare(dof, (200_000, 1)) / dof)
    drawn = (np.linalg.norm(errors, axis=1) < 0.1).mean()
    variances = np.square(stds)
    scales = np.array([variances[0], 0, 0, variances[1], 0, variances[2]])
    # Satterthwaite's approximation; exact where the three are equal.
    assert probability_within(scales, dof) == pytest.approx(drawn, abs=0.003 if len(set(stds)) == 1 else 0.02)


@pytest.mark.parametrize("wrong", [{"scale": 0.0}, {"dof": float("nan")}, {"floor": -0.1}, {"inflation": float("inf")}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        StatusCalibration(**wrong)


def save(folder: Path, metrics: dict[str, float]) -> Path:
    card = ModelCard("points", {}, "itop15", "", "", "", metrics)
    save_weights(folder / "points.safetensors", {"one": np.ones(2, np.float32)}, card)
    return folder / "points.safetensors"


def test_a_model_card_keeps_it(tmp_path: Path) -> None:
    calibration = Calibration(MEASURED, INFERRED)
    path = save(tmp_path, {"temperature": 1.2, **calibration.metrics()})
    assert recorded_calibration(path) == calibration
    config = EstimatorConfig("points", weights=WeightsConfig(points=str(path)))
    assert load_calibrations(config)["points"] == calibration
    assert recorded_calibration(save(tmp_path, {"temperature": 1.2})) is None


def test_a_damaged_one_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"points\.safetensors"):
        recorded_calibration(save(tmp_path, {"calibration.measured.size": 1.0}))
    for text in ("[1]", "points: 3", "points: {measured: {scale: -1}}", "points: {seen: {scale: 1}}", "a: ["):
        (tmp_path / "calibration.yaml").write_text(text)
        with pytest.raises(WeightsError, match=r"calibration\.yaml"):
            read_calibrations(tmp_path / "calibration.yaml")


def test_the_estimator_calibrates_what_it_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fixed:
        def estimate(self, frame: object, clock: object) -> Skeletons:
            return skeletons()

    spec = replace(MODALITIES["auto"], builder=lambda name, config, parts: Fixed())
    monkeypatch.setitem(MODALITIES, "auto", spec)
    frame = RgbdFrame(0, "camera", Camera(50.0, 50.0, 31.5, 23.5, 64, 48), depth=np.zeros((48, 64), np.float32))
    plain = PoseEstimator(EstimatorConfig("auto"), calibrations={}).estimate(frame)
    assert np.array_equal(plain.confidences, skeletons().confidences)
    points = Calibration(MEASURED, INFERRED)
    found = PoseEstimator(EstimatorConfig("auto"), calibrations={"points": points}).estimate(frame)
    np.testing.assert_array_equal(found.confidences, calibrated(skeletons(), points).confidences)
