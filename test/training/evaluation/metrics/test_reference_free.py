from __future__ import annotations

import math

import numpy as np
import pytest

from unipose_ros.camera import Camera, project
from unipose_ros.frame import RgbdFrame
from unipose_ros.geometry.surfaces import nearest_surface
from unipose_ros.joint_sets import COCO17, ITOP15, convert_joints
from unipose_ros.keypoints import Keypoints2D
from unipose_training.evaluation.metrics.reference_free import (
    asymmetry,
    check_frame,
    limb_scores,
    reprojection,
    summarize_checks,
    surface_gaps,
)
from unipose_training.evaluation.metrics.temporal import bone_lengths

CAMERA = Camera(500.0, 500.0, 319.5, 239.5, 640, 480)
AWAY = np.array([0.0, 0.0, 4.0])


def frame_of(depth: np.ndarray | None) -> RgbdFrame:
    color = np.zeros((480, 640, 3), np.uint8)
    return RgbdFrame(0, "camera", CAMERA, None if depth is None else depth.astype(np.float32), color)


def keypoints_of(positions: np.ndarray, shift: tuple[float, float] = (0, 0), height: float = 200.0) -> Keypoints2D:
    """What a perfect network sees of one person; the head's points are all where the head is."""
    coco, _ = convert_joints(positions, ITOP15, COCO17)
    coco[:5] = positions[ITOP15.index("head")]
    pixels = (project(CAMERA, coco) + shift).astype(np.float32)[None]
    box = np.array([[0, 0, 100, height]], np.float32)
    return Keypoints2D(pixels, np.ones((1, 17), np.float32), np.ones(1, np.float32), box)


def test_reprojection_by_hand(people, standing: np.ndarray) -> None:
    found = reprojection(CAMERA, people([standing + AWAY]), keypoints_of(standing + AWAY, shift=(3, 4)))
    assert found.shape == (15, 2)
    np.testing.assert_allclose(found, [[5.0, 5 / 200]] * 15, atol=1e-4)


def test_each_person_is_compared_with_its_own_keypoints(people, standing: np.ndarray) -> None:
    two = people([standing + AWAY + (1, 0, 0), standing + AWAY])
    found = reprojection(CAMERA, two, keypoints_of(standing + AWAY))
    np.testing.assert_allclose(found[:, 0], 0, atol=1e-4)
    assert len(found) == 15


def test_uncertain_keypoints_are_left_out(people, standing: np.ndarray) -> None:
    seen = keypoints_of(standing + AWAY)
    seen.confidences[0, COCO17.index("left_wrist")] = 0.1
    assert len(reprojection(CAMERA, people([standing + AWAY]), seen)) == 14


def test_without_people_or_network_there_is_nothing_to_compare(people, standing: np.ndarray) -> None:
    assert reprojection(CAMERA, people([standing + AWAY]), None).shape == (0, 2)
    assert reprojection(CAMERA, people([]), keypoints_of(standing + AWAY)).shape == (0, 2)
    assert reprojection(CAMERA, people([standing + AWAY]), Keypoints2D.empty()).shape == (0, 2)


def test_gap_to_the_surface_by_hand(people, standing: np.ndarray) -> None:
    gaps, blind = surface_gaps(frame_of(np.full((480, 640), 4.3)), people([standing + AWAY]).positions)
    np.testing.assert_allclose(gaps, 0.3, atol=1e-5)
    assert (len(gaps), blind) == (15, 0)


def test_joints_without_depth_and_outside_the_image() -> None:
    depth = np.full((480, 640), 4.0)
    depth[:, :320] = 0
    places = np.array([[[-0.5, 0, 4.0], [0.5, 0, 4.0], [9, 0, 4.0], [0, 0, -1.0], [np.nan] * 3]], np.float32)
    gaps, blind = surface_gaps(frame_of(depth), places)
    np.testing.assert_allclose(gaps, [0.0], atol=1e-5)
    assert blind == 1


def test_stray_readings_behind_a_joint_without_depth_do_not_count() -> None:
    depth = np.zeros((480, 640))
    depth[:, ::3] = 6.0  # a third of all pixels see the wall behind a coat that returns nothing
    gaps, blind = surface_gaps(frame_of(depth), np.array([[[0.0, 0, 4.0]]], np.float32))
    assert (len(gaps), blind) == (0, 1)
    depth[:, 1::3] = 6.0  # two thirds: nothing is there
    gaps, blind = surface_gaps(frame_of(depth), np.array([[[0.0, 0, 4.0]]], np.float32))
    np.testing.assert_allclose(gaps, [2.0], atol=1e-5)
    assert blind == 0


def test_the_nearest_reading_around_counts_and_faults_do_not() -> None:
    depth = np.full((480, 640), 5.0, np.float32)
    depth[102, 198], depth[100, 201], depth[99, 200] = 4.0, 0.0, np.nan
    depth[103, 200] = 3.0  # outside the 5 x 5 window
    np.testing.assert_allclose(nearest_surface(depth, np.array([[200, 100], [0, 0]])), [4.0, 5.0])
    assert nearest_surface(depth, np.zeros((0, 2), np.intp)).shape == (0,)


def test_limb_scores_by_hand() -> None:
    lengths = np.array([[bone.length for bone in ITOP15.bones]])
    lengths[0, 0] += 2 * ITOP15.bones[0].std
    scores = limb_scores(lengths, ITOP15)
    assert scores[0] == pytest.approx(2)
    np.testing.assert_allclose(scores[1:], 0, atol=1e-12)
    assert limb_scores(np.zeros((1, len(COCO17.bones))), COCO17).size == 0


def test_asymmetry_by_hand(standing: np.ndarray) -> None:
    standing[ITOP15.index("left_foot"), 1] += 0.05
    lengths = bone_lengths(standing[None], ITOP15)
    np.testing.assert_allclose(asymmetry(lengths, ITOP15, ("knee", "ankle")), [0, 0.05], atol=1e-12)
    np.testing.assert_allclose(asymmetry(lengths, ITOP15, ("elbow", "wrist")), [0, 0], atol=1e-12)


def test_summary_by_hand(people, standing: np.ndarray) -> None:
    behind = check_frame(frame_of(np.full((480, 640), 3.9)), people([standing + AWAY]), keypoints_of(standing + AWAY))
    floating = check_frame(frame_of(np.full((480, 640), 4.3)), people([standing + AWAY]), None)
    found = summarize_checks([behind, floating])
    assert found.people == 2
    assert found.in_front == 0.5
    assert found.no_depth == 0
    assert found.reprojection_px == pytest.approx(0, abs=1e-3)
    assert found.leg_asymmetry_mm == pytest.approx(0, abs=1e-3)


def test_without_depth_or_people(people) -> None:
    found = summarize_checks([check_frame(frame_of(None), people([]), None)])
    assert found.people == 0
    assert math.isnan(found.in_front)
    assert math.isnan(found.limb_median_z)
    assert summarize_checks([]).people == 0
