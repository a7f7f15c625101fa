"""Which side is left: what is checked, when, and what is decided."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from unipose_ros.joint_sets import COCO17, ITOP15
from unipose_ros.modalities.sides import (
    CheckedSides,
    contradicted,
    swap_probability,
    with_swapped_paint,
    without_paint,
)

SECOND = 1_000_000_000
#: Shoulders and hips, left ones at +x: a person who faces away from the camera has them at -x.
_HALF_WIDTHS = {"shoulder": 0.18, "elbow": 0.25, "hand": 0.28, "hip": 0.12, "knee": 0.12, "foot": 0.12}


def person(x: float = 0.0, facing: int = 1) -> NDArray[np.float64]:
    """(15, 3) a person who stands at ``x`` and 3 m away, left joints at ``facing`` times their half widths."""
    joints = np.zeros((15, 3))
    for at, name in enumerate(ITOP15.joints):
        side, _, part = name.partition("_")
        joints[at, 0] = {"left": 1, "right": -1}.get(side, 0) * facing * _HALF_WIDTHS.get(part, 0.0)
    return joints + (x, 0, 3)


def test_depth_contradicts_where_it_has_the_other_side_on_the_left() -> None:
    right, wrong = person(), person(facing=-1)
    noise = np.random.default_rng(0).normal(0, 0.02, (3, 15, 3))
    named = np.stack([right, wrong, right])
    swapped = np.stack([wrong, right, right])
    unpainted = np.stack([right, right, wrong]) + noise
    # The third person's depth has other sides, but the network believes them whatever the paint is.
    assert contradicted(named, swapped, unpainted).tolist() == [False, True, False]


def test_paint_is_swapped_by_channel_and_points_stay() -> None:
    inputs = np.random.default_rng(1).random((2, 1, 5, 20), np.float32)
    other = with_swapped_paint(inputs)
    left, right = 3 + COCO17.index("left_wrist"), 3 + COCO17.index("right_wrist")
    np.testing.assert_array_equal(other[..., :3], inputs[..., :3])
    np.testing.assert_array_equal(other[..., left], inputs[..., right])
    np.testing.assert_array_equal(other[..., 3 + COCO17.index("nose")], inputs[..., 3 + COCO17.index("nose")])
    np.testing.assert_array_equal(with_swapped_paint(other), inputs)
    bare = without_paint(inputs)
    np.testing.assert_array_equal(bare[..., :3], inputs[..., :3])
    assert not bare[..., 3:].any()


def test_who_is_new_turned_round_or_was_not_checked_for_long_is_due() -> None:
    sides = CheckedSides()
    here, there = person(), person(2.0)
    assert sides.due(0, here[None]).all()
    sides.remember(0, here[None])
    # Someone else is new.
    assert sides.due(SECOND // 10, np.stack([here, there])).tolist() == [False, True]
    sides.remember(SECOND // 10, np.stack([here, there]))
    assert not sides.due(SECOND // 5, np.stack([there, here])).any()
    sides.remember(SECOND // 5, np.stack([there, here]))
    # Left and right swapped from one frame to the next.
    assert sides.due(SECOND // 4, np.stack([person(facing=-1), there])).tolist() == [True, False]
    sides.remember(SECOND // 4, np.stack([here, there]))
    # The first person was checked at 0.25 s, the second at 0.1 s.
    assert sides.due(SECOND // 2, np.stack([here, there])).tolist() == [False, True]
    sides.remember(SECOND // 2, np.stack([here, there]))
    assert sides.due(SECOND * 6 // 10, np.stack([here, there])).tolist() == [True, False]
    # Time that goes back.
    assert sides.due(0, np.stack([here, there])).all()
    sides.reset()
    assert sides.due(SECOND, np.stack([here, there])).all()


def test_no_one_is_due_in_an_empty_room() -> None:
    sides = CheckedSides()
    assert sides.due(0, np.zeros((0, 15, 3))).shape == (0,)
    sides.remember(0, np.zeros((0, 15, 3)))
    assert sides.due(1, person()[None]).all()


@pytest.mark.parametrize(("straight", "swapped"), [(3.0, 40.0), (40.0, 3.0)])
def test_the_likelier_naming_is_wrong_less_often_the_further_apart_they_are(straight: float, swapped: float) -> None:
    assert swap_probability(5.0, 5.0) == pytest.approx(0.5)
    assert 0.005 <= swap_probability(straight, swapped) < swap_probability(5.0, 9.0) < 0.5
