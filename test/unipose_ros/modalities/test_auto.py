"""Which modality is used while images come and go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_networks import CAMERA, FixedDetector, box, standing, write_weights

from unipose_ros.estimator import EstimatorConfig, EstimatorError, PoseEstimator, WeightsConfig
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.networks.weights import WeightsError

pytestmark = pytest.mark.usefixtures("one_thread")
Tiny = Callable[..., EstimatorConfig]
#: (17, 2) pixels of a person 3 m away from the camera of these tests who faces it, in COCO's order.
PIXELS = np.array(
    [
        (80, 33), (81, 32), (79, 32), (83, 33), (77, 33), (87, 42), (73, 42), (90, 53), (70, 53),
        (91, 63), (69, 63), (84, 62), (76, 62), (84, 79), (76, 79), (84, 96), (76, 96),
    ],
    np.float32,
)  # fmt: skip


def detector(image: np.ndarray) -> Keypoints2D:
    """One person, whatever the image shows."""
    frame = np.array([[68, 30, 92, 97]], np.float32)
    return Keypoints2D(PIXELS[None], np.full((1, 17), 0.9, np.float32), np.ones(1, np.float32), frame)


@pytest.fixture
def machine(tiny: Tiny) -> PoseEstimator:
    made = PoseEstimator(tiny("auto"), detector, FixedDetector(box(80)))
    made.warm_up(CAMERA)
    return made


def test_both_images_are_used_where_both_come(machine: PoseEstimator) -> None:
    found = machine.estimate(standing(80))
    assert (len(found), found.modality, machine.notice) == (1, "rgbd", "")
    for name in ("rgbd", "points", "rgb"):
        assert f"{name}: torch" in machine.runtime


def test_points_are_used_while_color_is_dark(machine: PoseEstimator) -> None:
    night = replace(standing(80), color=np.full((120, 160, 3), 3, np.uint8))
    found = machine.estimate(night)
    assert (len(found), found.modality) == (1, "points")
    assert "dark" in machine.notice
    assert machine.estimate(standing(80, stamp_ns=1_033_000_000)).modality == "rgbd"
    assert machine.notice == ""


@pytest.mark.parametrize("dead", [None, np.zeros((120, 160), np.float32), np.full((120, 160), np.nan, np.float32)])
def test_rgb_takes_over_when_depth_dies_and_gives_back(machine: PoseEstimator, dead: np.ndarray | None) -> None:
    machine.estimate(standing(80))
    fallen = machine.estimate(replace(standing(80, stamp_ns=1_033_000_000), depth=dead))
    assert (len(fallen), fallen.modality) == (1, "rgb")
    assert "rgb takes over" in machine.notice
    # By the keypoints the person is 3 m away; that is less sure than depth, above all along the ray.
    np.testing.assert_allclose(fallen.positions[..., 2], 3.0, atol=0.5)
    assert fallen.covariances is not None
    assert (fallen.covariances[0, :, 5] > 1.5 * fallen.covariances[0, :, 0]).all()
    back = machine.estimate(standing(80, stamp_ns=1_066_000_000))
    assert (back.modality, machine.notice) == ("rgbd", "")


def test_points_go_on_when_color_dies(machine: PoseEstimator) -> None:
    found = machine.estimate(standing(80, color=False))
    assert (len(found), found.modality) == (1, "points")
    assert "no color" in machine.notice


def test_depth_that_flickers_about_the_limit_does_not_switch_to_and_fro(machine: PoseEstimator) -> None:
    def with_readings(part: float) -> str:
        depth = np.zeros((120, 160), np.float32)
        depth[:, : round(160 * part)] = 3
        return machine.estimate(replace(standing(80), depth=depth)).modality

    # Every fourth column is looked at: one of forty, two of forty.
    assert [with_readings(part) for part in (0.025, 0.0, 0.025, 0.05, 0.025)] == [
        "rgbd", "rgb", "rgb", "rgbd", "rgbd",
    ]  # fmt: skip


@pytest.fixture
def nothing_shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unipose_ros.deployment.shipped_weights", lambda name: None)


@pytest.mark.usefixtures("nothing_shipped")
def test_nothing_to_look_at_is_an_error(tmp_path: Path) -> None:
    files = WeightsConfig(points=str(write_weights(tmp_path, "points")))
    machine = PoseEstimator(EstimatorConfig("auto", "torch", "cpu", 1, files), person_detector=FixedDetector(box(80)))
    assert "no rgb: no weights of 'rgb'" in machine.runtime
    with pytest.raises(EstimatorError, match="no depth"):
        machine.estimate(replace(standing(80), depth=None))
    blind = machine.estimate(replace(standing(80), depth=np.zeros((120, 160), np.float32)))
    assert len(blind) == 0
    assert "hardly any reading" in machine.notice


@pytest.mark.usefixtures("nothing_shipped")
def test_rgb_alone_is_better_than_nothing(tmp_path: Path) -> None:
    files = WeightsConfig(rgb=str(write_weights(tmp_path, "rgb")))
    machine = PoseEstimator(EstimatorConfig("auto", "torch", "cpu", 1, files), detector)
    found = machine.estimate(standing(80))
    assert (len(found), found.modality) == (1, "rgb")
    assert "'points' is not there" in machine.notice


@pytest.mark.usefixtures("nothing_shipped")
def test_without_movenet_points_go_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNIPOSE_CACHE", str(tmp_path / "empty"))
    files = WeightsConfig(**{name: str(write_weights(tmp_path, name)) for name in ("points", "rgb")})
    machine = PoseEstimator(EstimatorConfig("auto", "torch", "cpu", 1, files), person_detector=FixedDetector(box(80)))
    assert "no rgb: MoveNet's weights are absent" in machine.runtime
    assert machine.estimate(standing(80)).modality == "points"
    assert "unipose download movenet" in machine.notice


@pytest.mark.usefixtures("nothing_shipped")
def test_with_neither_it_says_why() -> None:
    with pytest.raises(WeightsError, match=r"neither points \(.*points.*\) nor rgb \(.*rgb"):
        PoseEstimator(EstimatorConfig("auto", "torch", "cpu"), detector)


@pytest.mark.parametrize("bad", ["points", "rgb"])
def test_weights_that_were_named_must_be_usable(tmp_path: Path, bad: str) -> None:
    files = {name: str(write_weights(tmp_path, name)) for name in ("points", "rgb")}
    Path(files[bad]).write_bytes(b"no weights")
    with pytest.raises(WeightsError, match=f"{bad}.safetensors is no complete"):
        PoseEstimator(EstimatorConfig("auto", "torch", "cpu", 1, WeightsConfig(**files)), detector, FixedDetector())


class Shared(FixedDetector):
    """One that two threads may use."""

    def twin(self) -> FixedDetector:
        return self


class SharedKeypoints:
    """The same of keypoints."""

    def __call__(self, image: np.ndarray) -> Keypoints2D:
        return detector(image)

    def twin(self) -> SharedKeypoints:
        return self


@pytest.mark.parametrize("modality", ["points", "depth", "rgb", "auto", "lookup"])
def test_a_twin_finds_the_same_and_leaves_no_trace_in_the_original(tiny: Tiny, modality: str) -> None:
    config = EstimatorConfig("lookup") if modality == "lookup" else tiny(modality)
    frames = [standing(80, stamp_ns=1_000_000_000 + number * 33_000_000) for number in range(4)]

    def made(live: bool) -> PoseEstimator:
        return PoseEstimator(config, SharedKeypoints(), Shared(box(80)), live=live)

    alone, live = made(live=False), made(live=True)
    twin = live.twin()
    assert twin is not None
    assert twin is live.twin()
    assert alone.twin() is None  # its results depend on its frames alone
    expected = [alone.estimate(frame).positions for frame in frames]
    found = []
    for frame in frames:
        found.append(live.estimate(frame).positions)
        twin.reset()
        looked = twin.estimate(replace(frame, stamp_ns=frame.stamp_ns + 1))
        # Without memory each frame is its first one.
        np.testing.assert_array_equal(looked.positions, expected[0])
    np.testing.assert_array_equal(found, expected)
    assert dict(live.counters) == dict(alone.counters)
    live.close()
    assert live.twin() is None
    alone.close()


def test_there_is_no_twin_where_a_detector_may_not_be_shared(tiny: Tiny) -> None:
    for keypoints, people in ((detector, Shared(box(80))), (SharedKeypoints(), FixedDetector(box(80)))):
        live = PoseEstimator(tiny("auto"), keypoints, people, live=True)
        assert live.twin() is None
        live.close()
