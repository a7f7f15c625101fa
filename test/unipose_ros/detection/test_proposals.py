"""Proposals keep the parts of a person together."""

from __future__ import annotations

import numpy as np
import pytest

from unipose_ros.detection import Proposals
from unipose_ros.keypoints import Keypoints2D


def three() -> Proposals:
    keypoints = Keypoints2D(
        np.arange(3 * 17 * 2, dtype=np.float32).reshape(3, 17, 2), np.ones((3, 17), np.float32),
        np.array([0.9, 0.8, 0.7], np.float32), np.zeros((3, 4), np.float32),
    )  # fmt: skip
    boxes = np.array([[0, 0, 9, 9], [10, 0, 19, 9], [20, 0, 29, 9]], np.float32)
    return Proposals(boxes, np.array([1, 2, np.nan], np.float32), np.array([0.9, 0.8, 0.7], np.float32), keypoints)


@pytest.mark.parametrize("people", [np.array([2, 0]), np.array([True, False, True])])
def test_selecting_keeps_order_and_keypoints(people: np.ndarray) -> None:
    chosen = three().select(people)
    expected = [2, 0] if people.dtype != bool else [0, 2]
    np.testing.assert_array_equal(chosen.scores, three().scores[expected])
    np.testing.assert_array_equal(chosen.boxes[:, 0], [20, 0] if expected == [2, 0] else [0, 20])
    np.testing.assert_array_equal(np.isnan(chosen.distances), [index == 2 for index in expected])
    assert chosen.keypoints is not None
    np.testing.assert_array_equal(chosen.keypoints.pixels[:, 0, 0], [index * 34 for index in expected])


def test_no_people() -> None:
    assert len(Proposals.empty()) == 0
    assert len(three().select(np.zeros(3, np.bool_))) == 0


def test_parts_that_disagree_are_refused() -> None:
    ok = three()
    with pytest.raises(ValueError, match=r"distances: got float32\[2\], expected float32\[3\]"):
        Proposals(ok.boxes, ok.distances[:2], ok.scores)
    with pytest.raises(ValueError, match="boxes: got float64"):
        Proposals(ok.boxes.astype(np.float64), ok.distances, ok.scores)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="keypoints: of 0 people, expected 3"):
        Proposals(ok.boxes, ok.distances, ok.scores, Keypoints2D.empty())


def test_joints_go_with_their_people() -> None:
    first, second = three(), three()
    joints = np.arange(3 * 15 * 3, dtype=np.float32).reshape(3, 15, 3)
    known = Proposals(first.boxes, first.distances, first.scores, joints=joints)
    np.testing.assert_array_equal(known.select(np.array([2])).joints, joints[2:])
    both = known.joined(second)
    assert both.joints is not None
    np.testing.assert_array_equal(both.joints[:3], joints)
    assert np.isnan(both.joints[3:]).all()
    assert first.joined(second).joints is None
    with pytest.raises(ValueError, match="joints"):
        Proposals(first.boxes, first.distances, first.scores, joints=joints[:2])
