"""Who evaluates a person in color: the image network where the window is good, else the lifter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_networks import CAMERA, standing, write_weights

from unipose_ros.config import RgbConfig
from unipose_ros.detection import DetectionConfig, Proposals
from unipose_ros.estimator import EstimatorConfig, EstimatorError, PoseEstimator, WeightsConfig
from unipose_ros.frame import JointStatus, RgbdFrame
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.modalities.lifting import good_crops
from unipose_ros.networks.weights import WeightsError
from unipose_ros.resources import resource_path

pytestmark = pytest.mark.usefixtures("one_thread")
Tiny = Callable[..., EstimatorConfig]
#: (17, 2) pixels of a person who faces the camera of these tests at 3 m, in COCO's order, from the middle.
SHAPE = np.array(
    [
        (0, -33), (1, -34), (-1, -34), (3, -33), (-3, -33), (7, -24), (-7, -24), (10, -13), (-10, -13),
        (11, -3), (-11, -3), (4, -4), (-4, -4), (4, 13), (-4, 13), (4, 30), (-4, 30),
    ],
    np.float32,
)  # fmt: skip
#: Nine keypoints of a person: nothing below the hips is seen.
UPPER = np.arange(17) < 11


class Detector:
    """Says what it was told to, and counts how often it was asked."""

    def __init__(self, *people: tuple[float, float], seen: np.ndarray | None = None) -> None:
        """People: column and size as a part of :data:`SHAPE`, best first."""
        self.asked = 0
        pixels = np.array([size * SHAPE + (column, 62) for column, size in people], np.float32).reshape(-1, 17, 2)
        seen = np.ones(17, bool) if seen is None else seen
        confidences = np.tile(np.where(seen, 0.9, 0.0).astype(np.float32), (len(people), 1))
        boxes = np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=1)
        scores = np.linspace(0.9, 0.5, len(people), dtype=np.float32)
        self.proposals = Keypoints2D(pixels, confidences, scores, boxes)

    def __call__(self, image: np.ndarray) -> Keypoints2D:
        self.asked += 1
        return self.proposals


def blind(stamp_ns: int = 1_000_000_000) -> RgbdFrame:
    return replace(standing(80, stamp_ns=stamp_ns), depth=None)


def ways(machine: PoseEstimator, frame: RgbdFrame | None = None) -> list[str]:
    """Who evaluated each person: without depth, the lifter's joints are INFERRED, the network's seen ones MEASURED."""
    found = machine.estimate(frame or blind())
    measured = (found.status == JointStatus.MEASURED).any(axis=1)
    return ["network" if seen else "lifter" for seen in measured]


def test_a_good_window_is_the_networks_and_a_poor_one_the_lifters(tiny: Tiny) -> None:
    settings = tiny("rgb", rgb=RgbConfig(prefer_lifter=False, min_pixels=50))
    machine = PoseEstimator(settings, Detector((50, 0.5), (110, 1.0)))
    assert ways(machine) == ["lifter", "network"]
    found = machine.estimate(blind())
    np.testing.assert_allclose(found.scores, [0.9, 0.5])
    assert found.positions[0, :, 0].mean() < 0 < found.positions[1, :, 0].mean()
    assert found.covariances is not None
    assert np.isfinite(found.covariances).all()
    assert machine.last_keypoints is not None
    assert len(machine.last_keypoints) == 2


def test_whom_the_lifter_can_take_it_takes_unless_told_otherwise(tiny: Tiny) -> None:
    five = np.isin(np.arange(17), (5, 6, 7, 11, 12))
    assert ways(PoseEstimator(tiny("rgb", rgb=RgbConfig(min_pixels=0)), Detector((80, 1.0)))) == ["lifter"]
    assert ways(PoseEstimator(tiny("rgb", rgb=RgbConfig(min_pixels=0)), Detector((80, 1.0), seen=five))) == ["network"]


def test_few_keypoints_are_lifted_and_too_few_are_not(tiny: Tiny) -> None:
    settings = tiny("rgb", rgb=RgbConfig(prefer_lifter=False, min_pixels=0, min_keypoints=12))
    assert ways(PoseEstimator(settings, Detector((80, 1.0), seen=UPPER))) == ["lifter"]
    # Five keypoints are too few to lift; the network still sees a window.
    five = np.isin(np.arange(17), (5, 6, 7, 11, 12))
    assert ways(PoseEstimator(settings, Detector((80, 1.0), seen=five))) == ["network"]


def test_joints_that_no_keypoint_supports_are_missing_where_lifted(tiny: Tiny) -> None:
    settings = tiny("rgb", rgb=RgbConfig(prefer_lifter=False, min_keypoints=12))
    found = PoseEstimator(settings, Detector((80, 1.0), seen=UPPER)).estimate(blind())
    feet = [found.joint_set.index(f"{side}_foot") for side in ("left", "right")]
    assert (found.status[0, feet] == JointStatus.MISSING).all()
    assert (found.confidences[0, feet] == 0).all()


def test_who_is_lifted_is_searched_for_in_every_frame(tiny: Tiny) -> None:
    detector = Detector((80, 1.0))
    machine = PoseEstimator(
        tiny("rgb", detection=DetectionConfig(detection_interval=5), rgb=RgbConfig(min_pixels=1000)), detector
    )
    for frame in range(3):
        assert ways(machine, blind(1_000_000_000 + frame * 33_000_000)) == ["lifter"]
    assert detector.asked == 3


@pytest.fixture
def only_lifter(monkeypatch: pytest.MonkeyPatch) -> EstimatorConfig:
    """No network is shipped; the lifter is named."""
    path = str(resource_path("weights", "lifter.safetensors"))
    monkeypatch.setattr("unipose_ros.deployment.shipped_weights", lambda name: None)
    return EstimatorConfig("rgb", "torch", "cpu", 1, WeightsConfig(lifter=path))


def test_without_the_network_the_lifter_does_all(only_lifter: EstimatorConfig) -> None:
    machine = PoseEstimator(only_lifter, Detector((80, 1.0)))
    machine.warm_up(CAMERA)
    found = machine.estimate(blind())
    assert (len(found), found.modality) == (1, "rgb")
    np.testing.assert_allclose(found.positions[..., 2], 3.0, atol=0.7)
    assert "lifter: torch" in machine.runtime
    assert "no image network: no weights of 'rgb'" in machine.runtime
    few = PoseEstimator(only_lifter, Detector((80, 1.0), seen=np.isin(np.arange(17), (5, 6, 7, 11, 12))))
    assert len(few.estimate(blind())) == 0
    assert few.counters == {"too_few_measurements": 1}


def test_the_lifter_alone_refuses_what_it_cannot_see(only_lifter: EstimatorConfig) -> None:
    machine = PoseEstimator(only_lifter, Detector((80, 1.0)))
    with pytest.raises(EstimatorError, match="no color"):
        machine.estimate(standing(80, color=False))
    machine.close()
    with pytest.raises(EstimatorError, match="closed"):
        machine.estimate(blind())


def test_auto_falls_back_to_the_lifter(only_lifter: EstimatorConfig, tmp_path: Path) -> None:
    files = replace(only_lifter.weights, points=str(write_weights(tmp_path, "points")))
    machine = PoseEstimator(replace(only_lifter, modality="auto", weights=files), Detector((80, 1.0)))
    fallen = machine.estimate(blind())
    assert (len(fallen), fallen.modality) == (1, "rgb")
    assert "rgb takes over" in machine.notice


def test_without_the_lifter_the_network_does_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unipose_ros.deployment.shipped_weights", lambda name: None)
    files = WeightsConfig(rgb=str(write_weights(tmp_path, "rgb")))
    config = EstimatorConfig("rgb", "torch", "cpu", 1, files, rgb=RgbConfig(min_pixels=1000))
    machine = PoseEstimator(config, Detector((80, 1.0)))
    assert ways(machine) == ["network"]
    assert "lifter" not in machine.runtime


def test_with_neither_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unipose_ros.deployment.shipped_weights", lambda name: None)
    with pytest.raises(WeightsError, match=r"'rgb'.*model\.weights\.rgb.*lifter"):
        PoseEstimator(EstimatorConfig("rgb", "torch", "cpu"), Detector())


def test_a_lifter_that_was_named_must_be_usable(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny("rgb")
    bad = tmp_path / "lifter.safetensors"
    bad.write_bytes(b"no weights")
    with pytest.raises(WeightsError, match=r"lifter\.safetensors"):
        PoseEstimator(replace(config, weights=replace(config.weights, lifter=str(bad))), Detector())


@pytest.mark.parametrize("rgb", [RgbConfig(False, min_pixels=0), RgbConfig()], ids=["network", "lifter"])
def test_the_few_readings_of_dying_depth_say_how_far_a_person_is(tiny: Tiny, rgb: RgbConfig) -> None:
    machine = PoseEstimator(tiny("auto", rgb=rgb), Detector((80, 1.0)))
    few = np.zeros((120, 160), np.float32)
    few[::9, ::7] = 3.4
    none, some = (machine.estimate(replace(blind(), depth=depth)) for depth in (np.zeros_like(few), few))
    assert (none.modality, some.modality, machine.notice[:10]) == ("rgb", "rgb", "hardly any")
    torso = none.joint_set.index("torso")
    assert none.covariances is not None
    assert some.covariances is not None
    assert some.covariances[0, torso, 5] < 0.5 * none.covariances[0, torso, 5]
    assert abs(some.positions[0, :, 2].mean() - 3.4) < abs(none.positions[0, :, 2].mean() - 3.4)
    assert (some.confidences[0] > none.confidences[0]).all()


@pytest.mark.parametrize(
    ("box", "good"),
    [((60, 30, 100, 90), True), ((60, 30, 80, 50), False), ((-40, 30, 20, 90), False), ((140, 20, 158, 90), True)],
)
def test_windows_are_good_when_large_and_inside(box: tuple[float, ...], good: bool) -> None:
    people = Proposals(np.array([box], np.float32), np.ones(1, np.float32), np.ones(1, np.float32))
    proposals = good_crops(CAMERA, people, RgbConfig(min_pixels=30, min_inside=0.6), DetectionConfig())
    assert proposals.tolist() == [good]


def test_no_people_has_no_windows() -> None:
    assert good_crops(CAMERA, Proposals.empty(), RgbConfig(), DetectionConfig()).tolist() == []


@pytest.mark.parametrize(("field", "value"), [("min_pixels", -1.0), ("min_keypoints", 18), ("min_inside", 1.5)])
def test_a_wrong_setting_is_named(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"rgb.{field} = {value}"):
        RgbConfig(**{field: value})  # type: ignore[arg-type]
