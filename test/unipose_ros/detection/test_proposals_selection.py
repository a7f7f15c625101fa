"""Which of the 2D network's people are believed?"""

from __future__ import annotations

import numpy as np
import pytest

from unipose_ros.detection import DetectionConfig, select_people, visible_keypoints
from unipose_ros.joint_sets import COCO17
from unipose_ros.keypoints import Keypoints2D

CONFIG = DetectionConfig()
SPREAD = np.stack([np.tile([0.0, 40, 80], 6)[:17], np.arange(17) * 15.0], axis=1)


def people(*offsets: tuple[float, float], scores: list[float] | None = None) -> Keypoints2D:
    """The same pose at several places of a 640x480 image."""
    pixels = np.array([SPREAD + offset for offset in offsets], np.float32)
    boxes = np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=1)
    confidences = np.full(pixels.shape[:2], 0.7, np.float32)
    return Keypoints2D(pixels, confidences, np.array(scores or [0.8] * len(offsets), np.float32), boxes)


def kept(keypoints: Keypoints2D, config: DetectionConfig = CONFIG) -> list[float]:
    return [round(float(u), 1) for u in select_people(keypoints, 640, 480, config).pixels[:, 0, 0]]


def test_people_apart_are_all_kept_best_first() -> None:
    assert kept(people((50, 100), (250, 100), (450, 100), scores=[0.5, 0.9, 0.7])) == [250, 450, 50]


def test_a_person_reported_twice_is_kept_once() -> None:
    assert kept(people((50, 100), (54, 103), scores=[0.5, 0.9])) == [54]


def test_a_ghost_of_borrowed_limbs_is_dropped() -> None:
    both = people((50, 100), (300, 100), scores=[0.9, 0.5])
    both.pixels[1, :10] = both.pixels[0, :10] + 2
    assert kept(both) == [50]


def test_a_person_who_shares_a_few_keypoints_is_kept() -> None:
    both = people((50, 100), (300, 100), scores=[0.9, 0.5])
    both.pixels[1, 5:9] = both.pixels[0, 5:9] + 2
    assert kept(both) == [50, 300]


def test_weak_people_are_dropped() -> None:
    assert kept(people((50, 100), (300, 100), scores=[0.9, 0.1])) == [50]
    few = people((50, 100), (300, 100))
    few.confidences[1, 4:] = 0.05
    assert kept(few) == [50]


def test_keypoints_outside_or_at_the_border_or_not_numbers_are_not_seen() -> None:
    view = people((50, 100))
    view.pixels[0, :5] = np.array([[-3, 200], [200, 478], [639, 200], [np.nan, 200], [200, 900]])
    seen = visible_keypoints(view, 640, 480, CONFIG)
    assert not seen[0, :5].any()
    assert seen[0, 5:].all()


def test_the_loose_end_of_a_limb_has_to_be_sure() -> None:
    knee, ankle, hip = (COCO17.index(f"left_{part}") for part in ("knee", "ankle", "hip"))
    view = people((50, 100))
    view.confidences[0, [knee, ankle]] = 0.25
    assert visible_keypoints(view, 640, 480, CONFIG)[0, [knee, ankle]].all()
    view.confidences[0, hip] = 0.1
    assert not visible_keypoints(view, 640, 480, CONFIG)[0, [knee, ankle]].any()
    view.confidences[0, ankle] = 0.5
    assert list(visible_keypoints(view, 640, 480, CONFIG)[0, [knee, ankle]]) == [False, True]


def test_without_a_border_the_whole_image_counts() -> None:
    view = people((50, 100))
    view.pixels[0, :2] = [[0, 0], [639, 479]]
    assert visible_keypoints(view, 640, 480, DetectionConfig(border_margin=0.0)).all()


def test_no_people_stay_none() -> None:
    assert len(select_people(Keypoints2D.empty(), 640, 480, CONFIG)) == 0


@pytest.mark.parametrize(
    ("field", "value"), [("min_score", -0.1), ("border_margin", 2.0), ("nms_overlap", 0.0), ("min_keypoints", 0)]
)
def test_settings_out_of_range_are_named(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"detection\.{field} = {value}"):
        DetectionConfig(**{field: value})  # type: ignore[arg-type]
