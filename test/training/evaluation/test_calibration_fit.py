"""Calibration from simulated errors, and that what is left out is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unipose_ros.camera import Camera, project
from unipose_ros.frame import JointStatus, Skeletons
from unipose_ros.joint_sets import COCO17, ITOP15, convert_joints
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.modalities.calibration import Calibration, StatusCalibration, read_calibrations
from unipose_training.evaluation.calibrate import evaluate_sets, write_config
from unipose_training.evaluation.calibration_fit import (
    Residuals,
    coverage,
    fit,
    leave_one_out,
    report_table,
    residuals_in_2d,
    residuals_in_3d,
)


def simulated(
    name: str, factor: float, count: int = 300, seed: int = 0, dimensions: int = 3, noise: float = 0.0
) -> Residuals:
    """Errors that are so many times as large as the covariances say; every fifth joint is inferred."""
    rng = np.random.default_rng(seed)
    stds = rng.uniform(0.03, 0.06, (count, 1)) * np.ones(3)
    errors = rng.normal(size=(count, 3)) * factor * stds + rng.normal(size=(count, 3)) * noise
    units = np.broadcast_to(np.eye(3), (count, 3, 3)).copy()
    if dimensions == 2:
        errors[:, 2], units[:, 2, 2] = 0, 0
    return Residuals(
        errors=errors,
        covariances=stds[:, :, None] ** 2 * units,
        units=units,
        noise=np.full(count, noise),
        dimensions=np.full(count, dimensions),
        measured=np.arange(count) % 5 > 0,
        confidences=np.full(count, 0.9),
        sets=np.full(count, name),
    )


@pytest.mark.parametrize("factor", [0.6, 1.0, 2.0])
@pytest.mark.parametrize(("dimensions", "noise"), [(3, 0.0), (2, 0.0), (2, 0.02)])
def test_a_known_scale_is_recovered(factor: float, dimensions: int, noise: float) -> None:
    known = simulated("a", factor, 1500, dimensions=dimensions, noise=noise)
    numbers = fit(known).measured
    fresh = simulated("a", factor, 1500, seed=1, dimensions=dimensions, noise=noise)
    assert coverage(fresh.select(fresh.measured), numbers) == pytest.approx(0.95, abs=0.025)
    published = np.sqrt(numbers.inflation * (numbers.scale**2 * 0.045**2 + numbers.floor**2))
    assert published == pytest.approx(factor * 0.045, rel=0.15)


def test_each_set_is_reference_the_others_alone() -> None:
    sets = [simulated("easy", 1.0), simulated("other", 1.2, seed=1), simulated("hard", 4.0, seed=2)]
    together = Residuals.together(sets)
    reports = {(each.name, each.status): each for each in leave_one_out(together)}
    others = fit(Residuals.together(sets[:2]))
    hard = sets[2].select(sets[2].measured)
    assert reports["hard", "measured"].cover_left_out == coverage(hard, others.measured)
    assert reports["hard", "measured"].cover_left_out < 0.6 < reports["hard", "measured"].cover_all
    # However large the errors of a set are, the figure of that set does not know them.
    larger = Residuals.together([*sets[:2], simulated("hard", 4.0, seed=3)])
    again = {(each.name, each.status): each for each in leave_one_out(larger)}
    assert fit(larger.select(larger.sets != "hard")) == others
    assert again["easy", "all"].cover_left_out != pytest.approx(reports["easy", "all"].cover_before)
    assert {status for _, status in reports} == {"all", "measured", "inferred"}
    assert "| hard | measured |" in report_table(list(reports.values()))


def test_ellipsoids_hold_95_percent_together_and_90_of_the_hardest_set() -> None:
    sets = [simulated(name, 1.0, 600, seed) for seed, name in enumerate("abcdef")]
    hard = simulated("hard", 4.0, 600, seed=9)
    measured = fit(Residuals.together([*sets, hard])).measured
    assert coverage(hard.select(hard.measured), measured) == pytest.approx(0.90, abs=0.005)
    even = fit(Residuals.together([*sets, simulated("g", 1.1, 600, seed=9)]))
    whole = Residuals.together(sets)
    assert coverage(whole.select(whole.measured), even.measured) == pytest.approx(0.95, abs=0.02)


def test_folders_and_their_instants_are_left_out() -> None:
    parts = [simulated(name, 1.5, 60, seed) for seed, name in enumerate(("human4d/1", "human4d/2", "renders"))]
    names = [each.name for each in evaluate_sets(Residuals.together(parts)) if each.status == "all"]
    assert names == ["human4d", "renders", "human4d/1", "human4d/2"]


def test_few_joints_change_only_the_floor() -> None:
    numbers = fit(simulated("a", 3.0, 10)).measured
    assert (numbers.scale, numbers.inflation) == (1.0, 1.0)
    assert numbers.floor > 0


def test_confidences_become_what_is_true() -> None:
    sure = Residuals.together([simulated(name, 2.0, 400, seed) for seed, name in enumerate("abc")])
    for each in leave_one_out(sure):
        assert each.error_left_out < each.error_before
        assert each.confidence_left_out == pytest.approx(each.within_10cm, abs=0.1)


def test_the_configuration_keeps_other_modalities(tmp_path: Path) -> None:
    path = tmp_path / "calibration.yaml"
    first = Calibration(StatusCalibration(0.5, 0.01, 4.0, 2.0), StatusCalibration(1.5, 0.02, 9.0, 3.0))
    write_config(path, "points", first)
    write_config(path, "lookup", Calibration())
    assert read_calibrations(path) == {"points": first, "lookup": Calibration()}


CAMERA = Camera(500, 500, 320, 240, 640, 480)


def person(positions: np.ndarray, modality: str) -> Skeletons:
    status = np.full((1, 15), JointStatus.MEASURED, np.uint8)
    status[0, 3] = JointStatus.INFERRED
    return Skeletons(
        stamp_ns=1,
        frame_id="camera",
        modality=modality,
        positions=positions[None].astype(np.float32),
        confidences=np.full((1, 15), 0.7, np.float32),
        status=status,
        scores=np.ones(1, np.float32),
        covariances=np.tile(np.array([1e-4, 0, 0, 4e-4, 0, 9e-4], np.float32), (1, 15, 1)),
        joint_set=ITOP15,
    )


def test_errors_in_three_dimensions(standing: np.ndarray) -> None:
    pose = standing + [0.5, 0, 3]
    found = residuals_in_3d("set", person(pose + [0.01, 0, 0], "points"), person(pose, "ground_truth"))
    assert len(found) == 15
    np.testing.assert_allclose(found.errors, np.tile([-0.01, 0, 0], (15, 1)), atol=1e-6)
    np.testing.assert_allclose(found.covariances[4], np.diag([1e-4, 4e-4, 9e-4]), rtol=1e-5)
    assert found.measured.sum() == 14
    assert len(residuals_in_3d("set", person(pose + [2, 0, 0], "points"), person(pose, "ground_truth"))) == 0


def test_errors_across_the_ray(standing: np.ndarray) -> None:
    pose = standing + [0.0, 0, 3]
    pixels, _ = convert_joints(project(CAMERA, pose)[None].astype(np.float32), ITOP15, COCO17)
    known = np.isfinite(pixels).all(axis=-1)
    flat = np.where(known[..., None], pixels, 0).astype(np.float32)
    low, high = np.nanmin(pixels[0], axis=0), np.nanmax(pixels[0], axis=0)
    keypoints = Keypoints2D(
        flat, np.where(known, 0.9, 0).astype(np.float32), np.ones(1, np.float32),
        np.concatenate([low, high])[None].astype(np.float32),
    )  # fmt: skip
    found = residuals_in_2d("set", CAMERA, person(pose + [0.02, 0, 0], "points"), keypoints)
    assert len(found) == 12  # shoulders to wrists, hips to ankles: these have keypoints of their own
    assert set(found.dimensions) == {2}
    np.testing.assert_allclose(found.errors, np.tile([-0.02, 0, 0], (12, 1)), atol=1e-4)
    # A variance along the optical axis shows across a slanted ray by the square of its slope.
    shoulder = ITOP15.index("right_shoulder")
    slope = (pose[shoulder, 0] + 0.02) / pose[shoulder, 2]
    assert found.covariances[:, 0, 0].min() >= 1e-4 * (1 - 1e-5)
    assert np.isclose(found.covariances[:, 0, 0], 1e-4 + slope**2 * 9e-4, rtol=1e-3).any()
    np.testing.assert_array_equal(found.covariances[:, 2], 0)
