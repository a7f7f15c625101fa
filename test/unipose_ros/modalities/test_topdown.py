"""Trained networks as modalities: who is found, cut out, looked at and put back."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_networks import CAMERA, TINY, FixedDetector, box, standing, write_weights

from unipose_ros.camera import project
from unipose_ros.codecs.points import PointsCodec
from unipose_ros.detection import DepthOf, DetectionConfig, Proposals
from unipose_ros.detection.hybrid import BackgroundTask
from unipose_ros.detection.temporal import ProposalCache, boxes_around_joints
from unipose_ros.detection.verification import PoseVerifier
from unipose_ros.estimator import EstimatorConfig, EstimatorError, PoseEstimator, WeightsConfig
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.modalities.base import RequiredInputs, StageClock
from unipose_ros.modalities.topdown import TopDownEstimator
from unipose_ros.networks.weights import WeightsError, load_weights, save_weights

pytestmark = pytest.mark.usefixtures("one_thread")
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=CUDA)]
Tiny = Callable[..., EstimatorConfig]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("modality", ["points", "depth", "rgb"])
def test_everyone_comes_out_where_the_detector_says(tiny: Tiny, modality: str, device: str) -> None:
    # The shipped calibrations are those of trained networks.
    people = FixedDetector(box(40), box(110))
    machine = PoseEstimator(tiny(modality, device=device), person_detector=people, calibrations={})
    machine.warm_up(CAMERA)
    clock = StageClock()
    found = machine.estimate(standing(40, 110), clock)
    assert len(found) == 2
    assert (found.modality, found.frame_id, found.stamp_ns) == (modality, "camera", 1_000_000_000)
    assert list(clock.milliseconds) == ["people", "crop", "network", "lift"]
    middles = project(CAMERA, found.positions.mean(axis=1))
    np.testing.assert_allclose(middles[:, 0], [40, 110], atol=8)
    np.testing.assert_allclose(found.positions[..., 2], 3.0, atol=0.5)
    # What was found in depth alone is as sure as the verifier of poses is, who believes all people here.
    proposals = [0.9, 0.5] if modality == "rgb" else [1 / (1 + np.exp(-9))] * 2
    np.testing.assert_allclose(found.scores, proposals, rtol=1e-6)
    assert ((found.confidences > 0) & (found.confidences < 1)).all()
    assert (found.status == JointStatus.MEASURED).all()
    assert found.covariances is not None
    variances = found.covariances[..., [0, 3, 5]]
    # Untrained networks predict a scale of 10 cm: Laplace's variance is 2 s^2 in each coordinate.
    # Bones take some of it from points.
    least, most = (0.1, 1.3) if modality == "points" else (0.6, 1.4)
    assert (variances.mean(axis=-1) > least * 0.02).all()
    assert (variances.mean(axis=-1) < most * 0.02).all()


@CUDA
@pytest.mark.parametrize("modality", ["points", "depth", "rgb"])
def test_half_precision_on_cuda_agrees_within_a_centimeter(tiny: Tiny, modality: str) -> None:
    person_detector, frame = FixedDetector(box(40), box(110)), standing(40, 110)
    found = [
        PoseEstimator(tiny(modality, device=device), person_detector=person_detector).estimate(frame).positions
        for device in ("cpu", "cuda")
    ]
    np.testing.assert_allclose(found[1], found[0], atol=0.01)


def test_the_cameras_k_is_not_baked_in(tiny: Tiny) -> None:
    """The same scene through a camera of twice the resolution gives the same people."""
    frame = standing(80)
    assert frame.depth is not None
    large = RgbdFrame(1, "camera", CAMERA.scaled(320, 240), depth=frame.depth.repeat(2, axis=0).repeat(2, axis=1))
    there = (80 - 10.0, 30.0, 80 + 9.0, 89.0)
    doubled = tuple(2 * value + 0.5 for value in there)  # pixel centers are at whole numbers
    near = PoseEstimator(tiny("points"), person_detector=FixedDetector(there)).estimate(frame)  # type: ignore[arg-type]
    same = PoseEstimator(tiny("points"), person_detector=FixedDetector(doubled)).estimate(large)  # type: ignore[arg-type]
    np.testing.assert_allclose(near.positions.mean(axis=1), same.positions.mean(axis=1), atol=0.07)


def test_a_joint_behind_something_is_inferred(tiny: Tiny) -> None:
    frame = standing(80)
    assert frame.depth is not None
    frame.depth[60:90] = 1.0  # a table in front of the legs
    # Untrained depth networks put every joint into the middle of the window: half of them here, half behind.
    upper, lower = (80 - 10.0, 30.0, 80 + 9.0, 58.0), (80 - 10.0, 62.0, 80 + 9.0, 89.0)
    person_detector = FixedDetector(upper, lower)
    found = PoseEstimator(tiny("depth", detection=DetectionConfig()), person_detector=person_detector).estimate(frame)
    assert len(found) == 2
    assert (found.status[0] == JointStatus.MEASURED).all()
    assert (found.status[1] == JointStatus.INFERRED).all()


def test_joints_out_of_the_image_are_inferred_not_missing(tiny: Tiny) -> None:
    found = PoseEstimator(tiny("depth"), person_detector=FixedDetector((-40.0, 30.0, 20.0, 89.0))).estimate(standing(5))
    assert (found.status == JointStatus.INFERRED).all()
    assert np.isfinite(found.positions).all()


@pytest.mark.parametrize("modality", ["points", "depth"])
@pytest.mark.parametrize(
    "nowhere",
    [
        (400.0, 30.0, 420.0, 90.0), (-60.0, 30.0, -5.0, 90.0), (70.0, 30.0, 70.0, 90.0), (90.0, 30.0, 70.0, 90.0),
        (np.nan, 30.0, 90.0, 90.0), (0.0, 0.0, np.inf, 90.0),
    ],
)  # fmt: skip
def test_boxes_that_show_nothing_are_left_out_and_counted(tiny: Tiny, modality: str, nowhere: tuple) -> None:
    machine = PoseEstimator(tiny(modality), person_detector=FixedDetector(nowhere, box(80)))
    found = machine.estimate(standing(80))
    assert len(found) == 1
    assert machine.counters == {"too_few_measurements": 1}


@pytest.mark.parametrize("distance", [np.nan, 0.0, -1.0, np.inf])
def test_a_person_at_no_distance_is_left_out(tiny: Tiny, distance: float) -> None:
    for modality in ("points", "depth"):
        person_detector = FixedDetector(box(80), distance=distance)
        assert len(PoseEstimator(tiny(modality), person_detector=person_detector).estimate(standing(80))) == 0


@pytest.mark.parametrize("nothing", [0.0, np.nan, np.inf])
@pytest.mark.parametrize("modality", ["points", "depth"])
def test_depth_without_readings_is_no_person(tiny: Tiny, modality: str, nothing: float) -> None:
    frame = replace(standing(80), depth=np.full((120, 160), nothing, np.float32))
    assert len(PoseEstimator(tiny(modality), person_detector=FixedDetector(box(80))).estimate(frame)) == 0


def test_no_people_gives_empty_skeletons(tiny: Tiny) -> None:
    found = PoseEstimator(tiny("points"), person_detector=FixedDetector()).estimate(standing())
    assert found.positions.shape == (0, 15, 3)


def test_more_people_than_allowed_are_left_out(tiny: Tiny) -> None:
    person_detector = FixedDetector(box(20), box(60), box(100), box(140))  # scores 0.9 to 0.5
    config = tiny("points", detection=DetectionConfig(max_people=2))
    best = PoseEstimator(config, person_detector=person_detector).estimate(standing(20, 60, 100, 140))
    np.testing.assert_allclose(project(CAMERA, best.positions.mean(axis=1))[:, 0], [20, 60], atol=8)


def test_low_scores_of_the_2d_network_are_left_out(tiny: Tiny) -> None:
    person_detector = FixedDetector(box(20), box(60), box(100), box(140))  # scores 0.9 to 0.5
    pixels, sure = np.full((4, 17, 2), (40, 60), np.float32), np.ones((4, 17), np.float32)
    person_detector.proposals = replace(
        person_detector.proposals, keypoints=Keypoints2D(pixels, sure, sure[:, 0], person_detector.proposals.boxes)
    )
    config = tiny("points", detection=DetectionConfig(min_score=0.6))
    assert len(PoseEstimator(config, person_detector=person_detector).estimate(standing(20, 60, 100, 140))) == 3


@pytest.mark.parametrize(("modality", "absent"), [("points", "depth"), ("depth", "depth"), ("rgb", "color")])
def test_a_frame_without_the_image_is_refused(tiny: Tiny, modality: str, absent: str) -> None:
    machine = PoseEstimator(tiny(modality), person_detector=FixedDetector(box(80)))
    with pytest.raises(EstimatorError, match=f"no {absent}; modality '{modality}'"):
        machine.estimate(replace(standing(80), **{absent: None}))


def test_needs_are_known_before_anything_is_loaded() -> None:
    assert EstimatorConfig(modality="points").needs == RequiredInputs(color=False, depth=True)
    assert EstimatorConfig(modality="rgb").needs == RequiredInputs(color=True, depth=False)
    assert EstimatorConfig(modality="auto").needs.any_of
    by_keypoints = EstimatorConfig(modality="depth", detection=DetectionConfig(detector="keypoints"))
    assert by_keypoints.needs == RequiredInputs(color=True, depth=True)


def test_a_joint_that_is_no_number_is_missing_and_counted(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = PoseEstimator(tiny("points"), person_detector=FixedDetector(box(80)))
    trained = machine._modality._trained.get()  # type: ignore[attr-defined]
    run = trained.run

    def broken(*given: np.ndarray) -> tuple[np.ndarray, ...]:
        joints, *rest = (output.copy() for output in run(*given))
        joints[..., 3, 1] = np.nan
        return (joints, *rest)

    broken.description = ""  # type: ignore[attr-defined]
    object.__setattr__(trained, "run", broken)
    found = machine.estimate(standing(80))
    assert found.status[0].tolist().count(JointStatus.MISSING) == 1
    assert np.isnan(found.positions[0, 3]).all()
    assert found.confidences[0, 3] == 0
    assert machine.counters == {"joints not finite": 1}


def test_a_temperature_in_the_record_makes_it_less_sure(tmp_path: Path) -> None:
    def confidence(temperature: float) -> float:
        path = write_weights(tmp_path, "points", metrics={"temperature": temperature})
        config = EstimatorConfig("points", "torch", "cpu", 1, WeightsConfig(points=str(path)))
        machine = PoseEstimator(config, person_detector=FixedDetector(box(80)), calibrations={})
        return float(machine.estimate(standing(80)).confidences.mean())

    assert confidence(0.3) > 0.8 > confidence(1.0) > confidence(3.0)
    for wrong in (0.0, "1", None, 10**400):
        with pytest.raises(WeightsError, match=re.escape(f"temperature = {wrong!r}: must be a positive number")):
            confidence(wrong)  # type: ignore[arg-type]


def test_painted_networks_take_people_with_and_without_keypoints(tmp_path: Path) -> None:
    path = write_weights(tmp_path, "points", replace(TINY["points"], paint=17))
    config = EstimatorConfig("points", "torch", "cpu", 1, WeightsConfig(points=str(path)))
    person_detector = FixedDetector(box(80))
    assert len(PoseEstimator(config, person_detector=person_detector).estimate(standing(80))) == 1
    pixels = np.tile(np.array([80.0, 60.0], np.float32), (1, 17, 1))
    keypoints = Keypoints2D(pixels, np.ones((1, 17), np.float32), np.ones(1, np.float32), np.zeros((1, 4), np.float32))
    person_detector.proposals = Proposals(
        person_detector.proposals.boxes,
        person_detector.proposals.distances,
        person_detector.proposals.scores,
        keypoints,
    )
    assert len(PoseEstimator(config, person_detector=person_detector).estimate(standing(80))) == 1


def test_between_searches_people_are_where_they_were(tiny: Tiny) -> None:
    person_detector = FixedDetector(box(80))
    machine = PoseEstimator(
        tiny("points", detection=DetectionConfig(detection_interval=3)), person_detector=person_detector
    )
    for k in range(7):
        assert len(machine.estimate(standing(80, stamp_ns=1_000_000_000 + k * 33_000_000))) == 1
    assert person_detector.asked == 3


def test_a_person_lost_makes_it_search_at_once(tiny: Tiny) -> None:
    person_detector = FixedDetector(box(80))
    machine = PoseEstimator(
        tiny("points", detection=DetectionConfig(detection_interval=100)), person_detector=person_detector
    )
    machine.estimate(standing(80))
    person_detector.proposals = FixedDetector(box(30)).proposals
    jumped = machine.estimate(standing(30, stamp_ns=1_033_000_000, distance=4.5))
    assert person_detector.asked == 2
    assert len(jumped) == 0 or project(CAMERA, jumped.positions.mean(axis=1))[0, 0] < 50


@pytest.mark.parametrize("later", [2_000_000_000, 900_000_000, 1_000_000_000])
def test_a_gap_or_a_jump_of_time_makes_it_search(tiny: Tiny, later: int) -> None:
    person_detector = FixedDetector(box(80))
    machine = PoseEstimator(
        tiny("points", detection=DetectionConfig(detection_interval=100)), person_detector=person_detector
    )
    machine.estimate(standing(80))
    machine.estimate(standing(80, stamp_ns=later))
    assert person_detector.asked == 2


def test_reset_forgets_and_close_refuses(tiny: Tiny) -> None:
    person_detector = FixedDetector(box(80))
    machine = PoseEstimator(
        tiny("points", detection=DetectionConfig(detection_interval=100)), person_detector=person_detector
    )
    machine.estimate(standing(80))
    machine.reset()
    machine.estimate(standing(80, stamp_ns=1_033_000_000))
    assert (person_detector.asked, person_detector.resets) == (2, 1)
    machine.close()
    assert person_detector.closed
    with pytest.raises(EstimatorError, match="closed"):
        machine.estimate(standing(80))


def test_runtime_names_network_and_detector(tiny: Tiny) -> None:
    runtime = PoseEstimator(tiny("depth"), person_detector=FixedDetector()).runtime
    assert "torch" in runtime
    assert "cpu" in runtime
    assert "people by a list" in runtime


@pytest.mark.parametrize(("by_keypoints", "looks"), [(False, 2), (True, 1)])
def test_whom_depth_alone_has_found_is_looked_at_more_closely(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, by_keypoints: bool, looks: int
) -> None:
    person_detector = FixedDetector(box(40))
    if by_keypoints:
        pixels, sure = np.full((1, 17, 2), (40, 60), np.float32), np.ones((1, 17), np.float32)
        person_detector.proposals = replace(
            person_detector.proposals, keypoints=Keypoints2D(pixels, sure, sure[:, 0], person_detector.proposals.boxes)
        )
    machine = PoseEstimator(tiny("points"), person_detector=person_detector)
    cut_out = PointsCodec.encode
    boxes: list[np.ndarray] = []

    def noted(reader: PointsCodec, frame: RgbdFrame, people: Proposals, person: int, own: object = None) -> object:
        boxes.append(people.boxes[person])
        return cut_out(reader, frame, people, person)

    monkeypatch.setattr(PointsCodec, "encode", noted)
    found = machine.estimate(standing(40))
    assert len(found) == 1
    assert len(boxes) == looks
    # The first pass looks at a square, which reaches the left border of the image.
    square = np.array([39.5 - 29.5, 30, 39.5 + 29.5, 89]).clip(0)
    np.testing.assert_array_equal(boxes[0], box(40) if by_keypoints else square)
    if looks == 2:
        first = project(CAMERA, found.positions[0])
        # An untrained network predicts the same joints again, so the second box is around them.
        np.testing.assert_allclose(boxes[1], [*first.min(axis=0), *first.max(axis=0)], atol=6)


def test_whoever_was_there_is_looked_at_once_where_they_were(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    person_detector = FixedDetector(box(40))
    machine = PoseEstimator(tiny("points"), person_detector=person_detector)
    before = machine.estimate(standing(40))
    boxes: list[np.ndarray] = []
    cut_out = PointsCodec.encode

    def noted(reader: PointsCodec, frame: RgbdFrame, people: Proposals, person: int, own: object = None) -> object:
        boxes.append(people.boxes[person])
        return cut_out(reader, frame, people, person)

    monkeypatch.setattr(PointsCodec, "encode", noted)
    expected = boxes_around_joints(CAMERA, before)
    person_detector.proposals = replace(
        person_detector.proposals, boxes=expected.boxes + 1, distances=expected.distances
    )
    machine.estimate(standing(40, stamp_ns=1_033_000_000))
    assert len(boxes) == 1
    np.testing.assert_allclose(boxes[0], expected.boxes[0], atol=1e-3)
    # Another person in the image is new, and looked at twice; after a pause so is all people.
    person_detector.proposals = FixedDetector(box(110)).proposals
    boxes.clear()
    machine.estimate(standing(40, 110, stamp_ns=1_066_000_000))
    assert sum(abs(each[0] + each[2] - 220) < 20 for each in boxes) == 2
    boxes.clear()
    machine.estimate(standing(40, 110, stamp_ns=2_000_000_000))
    assert len(boxes) == 2


def test_known_people_are_where_they_have_moved_to_and_at_low_rates_looked_at_twice(tiny: Tiny) -> None:
    frame = standing(40)
    people = PoseEstimator(tiny("points"), person_detector=FixedDetector(box(40))).estimate(frame)
    step = np.array([0.03, 0.0, 0.01], np.float32)
    moved = [replace(people, positions=people.positions + number * step) for number in range(3)]
    cache = ProposalCache(FixedDetector(), DetectionConfig())
    frames = [standing(40, stamp_ns=frame.stamp_ns + number * 33_000_000) for number in range(3)]
    cache.update(frames[0], moved[0])
    cache.update(frames[1], moved[1])
    detected = boxes_around_joints(CAMERA, moved[2])
    there, known = cache.match_previous(frames[2], detected)
    assert known.all()
    assert there.joints is not None
    np.testing.assert_allclose(there.joints, moved[2].positions, atol=1e-4)
    np.testing.assert_allclose(there.boxes, detected.boxes, atol=0.05)
    late = standing(40, stamp_ns=frames[1].stamp_ns + 133_000_000)
    assert not cache.match_previous(late, detected)[1].any()
    # Whom the detector overlooks is still looked for, no farther away than people move in that time.
    found = cache.detect(replace(late, stamp_ns=frames[1].stamp_ns + 290_000_000))
    assert found.joints is not None
    assert 0 < np.abs(found.joints - moved[1].positions).max() <= 0.2501


def test_of_two_proposals_for_one_place_one_is_recognized(tiny: Tiny) -> None:
    frame = standing(40)
    people = PoseEstimator(tiny("points"), person_detector=FixedDetector(box(40))).estimate(frame)
    cache = ProposalCache(FixedDetector(), DetectionConfig())
    here = boxes_around_joints(CAMERA, people)
    near = np.concatenate([here.boxes + 2, here.boxes + 1, here.boxes + 60])
    scores = np.array([0.9, 0.5, 0.4], np.float32)
    found = Proposals(near, np.repeat(here.distances, 3), scores, depth_of=DepthOf.JOINTS)
    assert not cache.match_previous(frame, found)[1].any()
    cache.update(frame, people)
    there, known = cache.match_previous(standing(40, stamp_ns=frame.stamp_ns + 33_000_000), found)
    assert known.tolist() == [False, True, False]
    np.testing.assert_allclose(there.boxes[1], here.boxes[0], atol=1e-3)
    np.testing.assert_array_equal(there.boxes[[0, 2]], near[[0, 2]])
    nearer = replace(found, distances=found.distances - 1)
    assert not cache.match_previous(standing(40, stamp_ns=frame.stamp_ns + 33_000_000), nearer)[1].any()


def test_whom_the_detector_overlooks_is_looked_for_where_they_were(tiny: Tiny) -> None:
    person_detector = FixedDetector(box(40), box(110))
    machine = PoseEstimator(tiny("points"), person_detector=person_detector)
    assert len(machine.estimate(standing(40, 110))) == 2
    person_detector.proposals = FixedDetector(box(110)).proposals
    there = machine.estimate(standing(40, 110, stamp_ns=1_033_000_000))
    middles = np.sort(project(CAMERA, there.positions.mean(axis=1))[:, 0])
    np.testing.assert_allclose(middles, [40, 110], atol=8)
    assert len(machine.estimate(standing(40, 110, stamp_ns=2_000_000_000))) == 1


def test_who_is_unlikely_is_dropped_and_counted(tmp_path: Path) -> None:
    ignore_regions = PoseVerifier(
        {
            "detector_logit": 0.0,
            "confidence_logit": 0.0,
            "on_surface": 8.0,
            "free_boundary": 0.0,
            "bone_deviation": 0.0,
        },
        -4.0,
    )
    path = write_weights(tmp_path, "points", metrics=ignore_regions.metrics())
    config = EstimatorConfig("points", "torch", "cpu", 1, WeightsConfig(points=str(path)))
    frame = standing(40)
    machine = PoseEstimator(config, person_detector=FixedDetector(box(40)))
    (score,) = machine.estimate(frame).scores
    assert 0.9 < score < 1
    assert not machine.counters
    strict = PoseEstimator(
        replace(config, detection=DetectionConfig(min_person_probability=0.999)), person_detector=FixedDetector(box(40))
    )
    assert len(strict.estimate(frame)) == 0
    assert strict.counters == {"rejected_low_probability": 1}


def test_a_detector_that_sees_one_of_two_who_overlap_does_not_drop_the_other(tiny: Tiny) -> None:
    person_detector = FixedDetector(box(40))
    frame = standing(40)
    one = PoseEstimator(tiny("points"), person_detector=person_detector).estimate(frame)
    behind = replace(one, positions=one.positions + np.array([0.1, 0.0, 0.3], np.float32))
    cache = ProposalCache(person_detector, DetectionConfig())
    cache.update(frame, Skeletons.concat([one, behind]))
    person_detector.proposals = replace(boxes_around_joints(CAMERA, one), joints=None)
    found = cache.detect(standing(40, stamp_ns=frame.stamp_ns + 33_000_000))
    assert len(found) == 2
    person_detector.proposals = person_detector.proposals.joined(
        replace(boxes_around_joints(CAMERA, behind), joints=None)
    )
    assert len(cache.detect(standing(40, stamp_ns=frame.stamp_ns + 33_000_000))) == 2


class _Behind:
    """Finds one more person where the known ones are removed."""

    def __init__(self) -> None:
        self.looked = 0

    def is_due(self, frame: RgbdFrame) -> bool:
        return self.looked == 0

    def __call__(self, frame: RgbdFrame, known: Proposals) -> tuple[RgbdFrame, Proposals]:
        self.looked += 1
        return frame, FixedDetector(box(110)).proposals.at_joints()

    def reset(self) -> None:
        pass


def test_people_behind_others_are_found_within_a_frame_or_beside_it(tiny: Tiny) -> None:
    frames = [standing(40, 110, stamp_ns=1_000_000_000 + number * 33_000_000) for number in range(3)]

    def found(live: bool) -> list[Skeletons]:
        machine = PoseEstimator(tiny("points"), person_detector=FixedDetector(box(40)))
        modality = machine._modality
        assert isinstance(modality, TopDownEstimator)
        modality._occluded = _Behind()
        modality._beside = BackgroundTask("test", 1.0) if live else None
        results = []
        for frame in frames:
            results.append(machine.estimate(frame))
            if modality._beside is not None:
                assert modality._beside.wait(10)
        machine.close()
        return results

    within, beside = found(live=False), found(live=True)
    assert [len(people) for people in within] == [2, 2, 2]
    # The frame that is being looked at does not wait; the next one knows.
    assert [len(people) for people in beside] == [1, 2, 2]
    across = [np.sort(people[1].positions[..., 0].mean(axis=1)) for people in (beside, within)]
    np.testing.assert_allclose(across[0], across[1], atol=0.05)


def test_a_warm_up_leaves_nothing_behind(tiny: Tiny) -> None:
    machine = PoseEstimator(tiny("points"), person_detector=FixedDetector())
    machine.warm_up(CAMERA)
    assert not machine.counters
    assert len(machine.estimate(standing(40))) == 0


def test_weights_whose_numbers_overflow_are_refused_before_the_first_frame(tmp_path: Path) -> None:
    path = write_weights(tmp_path, "points")
    tensors, record = load_weights(path, "points")
    large = {name: value * np.float32(1e30) if value.dtype.kind == "f" else value for name, value in tensors.items()}
    save_weights(path, large, record)
    config = EstimatorConfig("points", "torch", "cpu", 1, WeightsConfig(points=str(path)))
    machine = PoseEstimator(config, person_detector=FixedDetector(box(80)), calibrations={})
    with pytest.raises(WeightsError, match="'points' puts out NaN or infinity"):
        machine.warm_up(standing(80).camera)
