from __future__ import annotations

import numpy as np
import pytest

from unipose_ros.joint_sets import COCO17, COCO23
from unipose_ros.keypoints import Keypoints2D


def people(count: int) -> Keypoints2D:
    number = np.arange(count, dtype=np.float32)
    return Keypoints2D(
        pixels=np.tile(number[:, None, None], (1, 17, 2)),
        confidences=np.tile(number[:, None], (1, 17)),
        scores=number,
        boxes=np.tile(number[:, None], (1, 4)),
    )


@pytest.mark.parametrize("choice", [np.array([2, 0]), np.array([True, False, True]), np.zeros(0, np.intp)])
def test_selecting_keeps_a_persons_parts_together(choice: np.ndarray) -> None:
    chosen = people(3).select(choice)
    expected = np.arange(3)[choice]
    assert len(chosen) == len(expected)
    for part in (chosen.pixels[:, 0, 0], chosen.confidences[:, 0], chosen.scores, chosen.boxes[:, 0]):
        np.testing.assert_array_equal(part, expected)


@pytest.mark.parametrize("joint_set", [COCO17, COCO23])
def test_no_people(joint_set: object) -> None:
    no_people = Keypoints2D.empty(joint_set)
    assert (len(no_people), no_people.pixels.shape, no_people.joint_set) == (0, (0, len(joint_set), 2), joint_set)
    assert len(no_people.select(np.zeros(0, bool))) == 0


@pytest.mark.parametrize(
    ("name", "shape"), [("pixels", (2, 17, 3)), ("confidences", (2, 15)), ("boxes", (3, 4)), ("scores", (1,))]
)
def test_arrays_must_fit_together(name: str, shape: tuple[int, ...]) -> None:
    parts = {"pixels": (2, 17, 2), "confidences": (2, 17), "scores": (2,), "boxes": (2, 4)} | {name: shape}
    with pytest.raises(ValueError, match=r": shape \(.*, expected \("):
        Keypoints2D(**{part: np.zeros(size, np.float32) for part, size in parts.items()})
