"""Masks, keypoints, limbs and confidences against values worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from unipose_ros.camera import Camera, project
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.joint_sets import COCO17, ITOP15, convert_joints
from unipose_ros.keypoints import Keypoints2D
from unipose_training.datasets.real_sets import RealFrame
from unipose_training.evaluation.keypoint_checks import (
    arm_stretch,
    keypoint_swaps,
    pair_with_keypoints,
    relative_errors,
)
from unipose_training.evaluation.metrics.pose import people_within
from unipose_training.evaluation.metrics.reference_free import check_frame
from unipose_training.evaluation.metrics.temporal import limb_lengths
from unipose_training.evaluation.metrics.uncertainty import confidence_reliability
from unipose_training.evaluation.real_checks import RealChecks, check_real_frame, match_masks, summarize_real
from unipose_training.evaluation.replay import ReplayedFrame

CAMERA = Camera(500, 500, 320, 240, 640, 480)
FAR = np.array([0, 0, 4.0])
People = Callable[..., Skeletons]


def seen(*poses: np.ndarray, confidence: float = 0.9) -> Keypoints2D:
    """What a perfect 2D network detects of ITOP-15 poses: the COCO keypoints that they have."""
    pixels, _ = convert_joints(project(CAMERA, np.stack(poses)).astype(np.float32), ITOP15, COCO17)
    known = np.isfinite(pixels).all(axis=-1)
    flat = np.where(known[..., None], pixels, 0).astype(np.float32)
    low = np.where(known[..., None], pixels, np.inf).min(axis=1)
    high = np.where(known[..., None], pixels, -np.inf).max(axis=1)
    boxes = np.concatenate([low, high], axis=1).astype(np.float32)
    confidences = np.where(known, confidence, 0).astype(np.float32)
    return Keypoints2D(flat, confidences, np.ones(len(poses), np.float32), boxes)


def with_arm(standing: np.ndarray, direction: tuple[float, float, float], length: float = 0.6) -> np.ndarray:
    """The left arm stretched in a direction."""
    pose = standing.copy()
    for joint, part in (("left_elbow", 0.5), ("left_hand", 1.0)):
        pose[ITOP15.index(joint)] = pose[ITOP15.index("left_shoulder")] + part * length * np.array(direction)
    return pose


def test_people_in_masks(standing: np.ndarray, people: People) -> None:
    left, right, ghost = (standing + FAR + [x, 0, 0] for x in (-1.0, 1.0, 0.0))
    twice = left + [0.02, 0, 0]
    mask = np.zeros((480, 640), np.uint8)
    for label, pose in ((7, left), (9, right)):
        low, high = project(CAMERA, pose).min(axis=0), project(CAMERA, pose).max(axis=0)
        mask[int(low[1]) : int(high[1]) + 1, int(low[0]) : int(high[0]) + 1] = label
    found = match_masks(CAMERA, people([ghost, left, right, twice]).positions, mask)
    assert found.people == 2
    assert set(found.found) == {2, 1} or set(found.found) == {2, 3}
    assert len(found.duplicates) == 1
    assert found.outside.tolist() == [0]


def test_joints_outside_the_image_do_not_count_against_a_person(standing: np.ndarray, people: People) -> None:
    near = standing + [0, 0.6, 1.0]  # the legs are below the image
    mask = np.zeros((480, 640), np.uint8)
    mask[200:, 180:460] = 1
    found = match_masks(CAMERA, people([near]).positions, mask)
    assert found.found.tolist() == [0]
    behind = match_masks(CAMERA, people([standing - FAR]).positions, mask)
    assert behind.outside.tolist() == [0]


def test_without_predictions_masks_are_unfound(people: People) -> None:
    mask = np.ones((480, 640), np.uint8)
    found = match_masks(CAMERA, people(np.zeros((0, 15, 3))).positions, mask)
    assert (found.people, len(found.found), len(found.outside)) == (1, 0, 0)


def test_five_centimeters_around_a_mask_belong_to_it(standing: np.ndarray, people: People) -> None:
    pose = standing + FAR
    pixels = project(CAMERA, pose)
    mask = np.zeros((480, 640), np.uint8)
    mask[:, : math.floor(pixels[:, 0].min()) - 3] = 1  # 5 cm are 6.25 pixels
    inside = (pixels[:, 0] - (math.floor(pixels[:, 0].min()) - 4) <= 6.25).sum()
    assert 0 < inside <= 7
    assert match_masks(CAMERA, people([pose]).positions, mask).outside.tolist() == [0]
    mask[:, : math.floor(pixels[:, 0].max()) - 3] = 1
    assert match_masks(CAMERA, people([pose]).positions, mask).found.tolist() == [0]


def test_distance_to_keypoints_is_a_fraction_of_the_height(standing: np.ndarray, people: People) -> None:
    pose = standing + FAR
    keypoints = seen(pose)
    height = keypoints.boxes[0, 3] - keypoints.boxes[0, 1]
    moved = pose + [0.08, 0, 0]  # 10 pixels at 4 m
    pairs = pair_with_keypoints(CAMERA, people([moved]), keypoints)
    np.testing.assert_allclose(relative_errors(pairs), 10 / height, rtol=1e-4)
    unsure = pair_with_keypoints(CAMERA, people([moved]), seen(pose, confidence=0.29))
    assert relative_errors(unsure).size == 0
    far_off = pair_with_keypoints(CAMERA, people([pose + [1.5, 0, 0]]), keypoints)
    assert len(far_off.predicted) == 0


def test_exchanged_sides_against_keypoints(standing: np.ndarray, people: People) -> None:
    pose = standing + FAR
    exchanged = pose[list(ITOP15.mirror)]
    swaps = keypoint_swaps(
        pair_with_keypoints(CAMERA, people([pose, exchanged + [1, 0, 0]]), seen(pose, pose + [1, 0, 0]))
    )
    assert (swaps.poses, swaps.swapped) == (2, 1)
    from_the_side = pose * [0.05, 1, 1]
    assert keypoint_swaps(pair_with_keypoints(CAMERA, people([from_the_side]), seen(from_the_side))).poses == 0


@pytest.mark.parametrize(
    ("direction", "predicted_length", "ratio", "away"),
    [((0, 1, 0), 0.6, 1.0, False), ((1, 0, 0), 0.45, 0.75, True), ((0, -1, 0), 0.3, 0.5, True)],
)
def test_stretched_arms(
    standing: np.ndarray, people: People, direction: Any, predicted_length: float, ratio: float, away: bool
) -> None:
    true = with_arm(standing, direction) + FAR
    predicted = with_arm(standing, direction, predicted_length) + FAR
    arms = arm_stretch(pair_with_keypoints(CAMERA, people([predicted]), seen(true)))
    left = np.isclose(arms.ratios, ratio, atol=1e-3) & (arms.away == away)
    assert left.any()
    # With left and right swapped in the prediction the same arms are compared.
    exchanged = arm_stretch(pair_with_keypoints(CAMERA, people([predicted[list(ITOP15.mirror)]]), seen(true)))
    np.testing.assert_allclose(np.sort(exchanged.ratios), np.sort(arms.ratios), rtol=1e-6)


def test_bent_and_foreshortened_arms_do_not_count(standing: np.ndarray, people: People) -> None:
    bent = with_arm(standing, (1, 0, 0))
    bent[ITOP15.index("left_hand")] = bent[ITOP15.index("left_elbow")] + [0, -0.3, 0]
    toward = with_arm(standing, (0.1, 0, -0.99), 0.6)
    for pose in (bent + FAR, toward + FAR):
        arms = arm_stretch(pair_with_keypoints(CAMERA, people([pose]), seen(pose)))
        assert len(arms.ratios) == 1  # the other arm, which hangs down


def test_limb_lengths_by_kind(standing: np.ndarray) -> None:
    ground_truth = np.stack([standing, standing])
    predicted = 0.9 * ground_truth
    predicted[1, ITOP15.index("left_hand")] = np.nan
    limbs = {limb.name: limb for limb in limb_lengths(predicted, ground_truth, ITOP15)}
    assert [limb.ratio for limb in limbs.values()] == pytest.approx([0.9] * 5)
    assert limbs["forearm"].count == 3
    assert limbs["shoulder width"].count == 2
    assert limbs["shoulder width"].true_mm == pytest.approx(360)
    assert limbs["thigh"].predicted_mm == pytest.approx(0.9 * 1000 * math.hypot(0.02, 0.45))
    none = limb_lengths(np.full_like(ground_truth, np.nan), ground_truth, ITOP15)
    assert [limb.count for limb in none] == [0] * 5


def test_confidences_as_probabilities() -> None:
    confidences = np.array([0.95, 0.95, 0.95, 0.95, 0.15, 0.15, 0.5, np.nan])
    errors = np.array([0.01, 0.02, 0.03, 0.30, 0.50, 0.02, np.nan, 0.01])
    found = confidence_reliability(confidences, errors)
    assert found.count == 6
    assert found.mean == pytest.approx((4 * 0.95 + 2 * 0.15) / 6)
    assert found.within_10cm == pytest.approx(4 / 6)
    assert found.fractions[9] == pytest.approx(0.75)
    assert found.fractions[1] == pytest.approx(0.5)
    assert found.counts[9] == 4
    assert found.calibration_error == pytest.approx((4 * 0.20 + 2 * 0.35) / 6)
    assert math.isnan(found.fractions[5])
    assert confidence_reliability(np.array([1.0]), np.array([0.0])).counts[9] == 1
    assert math.isnan(confidence_reliability(np.zeros(0), np.zeros(0)).calibration_error)


def test_confidence_bins_do_not_see_an_error_of_ten_centimeters_as_near() -> None:
    assert confidence_reliability(np.array([0.5]), np.array([0.10])).within_10cm == 0


def test_people_with_all_joints_near() -> None:
    errors = np.array([[0.05, 0.09], [0.05, 0.11], [0.05, np.nan], [np.nan, np.nan]])
    counted = np.array([[True, True], [True, True], [True, False], [True, True]])
    assert people_within(errors, counted, 0.10) == pytest.approx(2 / 4)
    assert math.isnan(people_within(errors[:0], counted[:0], 0.10))


def checks(
    people: People,
    predicted: Any,
    ground_truth: Any = None,
    mask: Any = None,
    keypoints: Keypoints2D | None = None,
    number: Any = None,
) -> RealChecks:
    frame = RgbdFrame(5, "camera", CAMERA, np.full((480, 640), 4.1, np.float32), np.zeros((480, 640, 3), np.uint8))
    found = people(predicted, 5)
    true = None if ground_truth is None else people(ground_truth, 5)
    replayed = ReplayedFrame(0, found, true, check_frame(frame, found, None), None, {})
    return check_real_frame("clip", "set", RealFrame(frame, true, mask, number), replayed, keypoints)


def test_people_present_is_told_by_the_best_that_is_known(standing: np.ndarray, people: People) -> None:
    pose, ghost = standing + FAR, standing + FAR + [1.2, 0, 0]
    mask = np.zeros((480, 640), np.uint8)
    mask[:, 250:390] = 1
    by_joints = checks(
        people, [pose, ghost], ground_truth=[pose], mask=np.ones((480, 640), np.uint8), keypoints=seen(pose)
    )
    by_masks = checks(people, [pose, ghost], mask=mask, keypoints=seen(pose, ghost))
    by_keypoints = checks(people, [pose, ghost], keypoints=seen(pose))
    by_number = checks(people, [pose, ghost], number=1)
    by_nothing = checks(people, [pose, ghost])
    all_checks = (by_joints, by_masks, by_keypoints, by_number, by_nothing)
    assert [check.reference for check in all_checks] == ["joints", "masks", "keypoints", "number", ""]
    assert [(check.found, check.people) for check in all_checks] == [(1, 1)] * 4 + [(0, 0)]
    assert [len(check.false_people) for check in all_checks] == [1, 1, 1, 1, 0]
    (person,) = by_masks.false_people
    assert person.confirmed is True  # the 2D network detects a person where the mask has none
    assert person.place == pytest.approx((1.2, 0, 4), abs=1e-5)
    assert by_joints.false_people[0].confirmed is False
    results = summarize_real(all_checks)
    (subset,) = results.subsets
    assert (subset.frames, subset.people, subset.found) == (5, 4, 4)
    assert (subset.false_people, subset.unconfirmed, subset.confirmed) == (3, 1, 1)
    assert subset.false_per_frame == pytest.approx(3 / 5)
    assert subset.reference.count(",") == 3


def test_joints_before_the_surface_by_set(standing: np.ndarray, people: People) -> None:
    before = summarize_real([checks(people, [standing + [0, 0, 3.0]])]).subsets[0]  # the wall is at 4.1 m
    at_it = summarize_real([checks(people, [standing + [0, 0, 4.08]])]).subsets[0]
    assert (before.in_front, at_it.in_front) == (1.0, 0.0)
