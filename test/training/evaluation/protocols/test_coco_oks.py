from __future__ import annotations

import numpy as np
import pytest

from unipose_ros.keypoints import COCO_SIGMAS, keypoint_similarity
from unipose_training.evaluation.protocols.coco import best_oks, oks_matrix

PERSON = np.column_stack([np.arange(17) * 3.0, np.arange(17) * 5.0, np.full(17, 2.0)])


def test_identical_is_one() -> None:
    assert oks_matrix(PERSON[None], [100.0], PERSON[None, :, :2]) == pytest.approx(1.0)


def test_one_joint_off_by_hand() -> None:
    moved = PERSON[None, :, :2].copy()
    moved[0, 0] += (3.0, 4.0)
    # Nose: sigma 0.026, so k = 0.052; d^2 = 25, area 10000: exp(-25 / (2 * 10000 * 0.002704)).
    assert np.exp(-25 / 54.08) == pytest.approx(0.629847, abs=1e-6)
    assert oks_matrix(PERSON[None], [10000.0], moved)[0, 0] == pytest.approx((16 + 0.629847) / 17, abs=1e-6)


def test_hips_forgive_more_than_eyes() -> None:
    scores = []
    for joint in (1, 11):
        moved = PERSON[None, :, :2].copy()
        moved[0, joint, 0] += 5.0
        scores.append(oks_matrix(PERSON[None], [10000.0], moved)[0, 0])
    assert scores[0] < scores[1]


def test_joints_that_are_not_annotated_do_not_count() -> None:
    annotated = PERSON[None].copy()
    annotated[0, 5:, 2] = 0
    annotated[0, 5:, :2] = 0
    annotated[0, 3, 2] = 1  # hidden, but annotated
    assert oks_matrix(annotated, [100.0], PERSON[None, :, :2]) == pytest.approx(1.0)


def test_nothing_annotated_is_zero() -> None:
    assert oks_matrix(PERSON[None] * (1, 1, 0), [100.0], PERSON[None, :, :2])[0, 0] == 0


def test_each_person_takes_the_best() -> None:
    annotated = np.stack([PERSON, PERSON + np.array([500, 0, 0])])
    predicted = np.stack([PERSON[:, :2] + 1000, PERSON[:, :2] + (500, 0), PERSON[:, :2] + (500, 2)])
    np.testing.assert_allclose(best_oks(annotated, [900.0, 900.0], predicted), [0.0, 1.0], atol=1e-9)


def test_no_people_predicted() -> None:
    np.testing.assert_array_equal(best_oks(PERSON[None], [100.0], np.zeros((0, 17, 2))), [0.0])


def test_no_people_annotated() -> None:
    assert best_oks(np.zeros((0, 17, 3)), [], PERSON[None, :, :2]).shape == (0,)


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match="expected"):
        oks_matrix(PERSON[None], [1.0, 2.0], PERSON[None, :, :2])


def test_scale_does_not_matter() -> None:
    moved = PERSON[:, :2] + 4.0
    small = keypoint_similarity(PERSON[:, :2], moved, 1000.0)
    assert small == pytest.approx(keypoint_similarity(10 * PERSON[:, :2], 10 * moved, 100_000.0))


def test_sigmas_are_mirror_symmetric() -> None:
    assert COCO_SIGMAS[1::2].tolist() == COCO_SIGMAS[2::2].tolist()
