"""Keypoints and boxes as detectors give them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from unipose_ros.joint_sets import COCO17
from unipose_training.errors import SyntheticError
from unipose_training.synthetic.stream.boxes import (
    BoxSettings,
    KeypointSettings,
    Seen,
    TrueKeypoints,
    detect,
    draw_boxes,
)

SIZE = (320, 240)
PLAIN = KeypointSettings(dropped=0, borrowed=0, missing=0)


def _person(u: float = 160.0, v: float = 120.0) -> np.ndarray:
    """(17, 2) a person 160 pixels tall who stands upright."""
    rows = [-70, -73, -73, -71, -71, -48, -48, -20, -20, 5, 5, 5, 5, 45, 45, 80, 80]
    columns = [0, 3, -3, 6, -6, 16, -16, 22, -22, 24, -24, 10, -10, 11, -11, 12, -12]
    return np.stack([np.array(columns) + u, np.array(rows) + v], axis=-1).astype(np.float64)


def _people(count: int, seen: bool = True) -> TrueKeypoints:
    pixels = np.stack([_person()] * count)
    return TrueKeypoints(pixels, np.full((count, 17), seen), np.arange(count), SIZE)


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_confidence_falls_where_keypoints_are_occluded_or_outside() -> None:
    seen = detect(_rng(), _people(400), PLAIN)
    hidden = detect(_rng(), _people(400, seen=False), PLAIN)
    outside = _people(400)
    outside.pixels[..., 1] += 150
    cut = detect(_rng(), outside, PLAIN)
    ankle = COCO17.index("left_ankle")
    assert seen[:, ankle, 2].mean() > hidden[:, ankle, 2].mean() + 0.1
    assert hidden[:, ankle, 2].mean() > cut[:, ankle, 2].mean() + 0.1
    assert cut[..., 1].max() <= SIZE[1] - 1


def test_surer_keypoints_are_nearer() -> None:
    people = _people(2000)
    found = detect(_rng(), people, replace(PLAIN, noise=replace(PLAIN.noise, swapped_people=0, swapped_limbs=0)))
    error = np.linalg.norm(found[..., :2] - people.pixels, axis=-1)
    wrist = [COCO17.index("left_wrist"), COCO17.index("right_wrist")]
    sure = found[:, wrist, 2] > 0.6
    assert np.median(error[:, wrist][sure]) < 0.5 * np.median(error[:, wrist][~sure])


def test_neighbors_lend_limbs_and_strangers_do_not() -> None:
    near = np.stack([_person(140), _person(175)])
    far = np.stack([_person(40), _person(280)])
    lending = replace(PLAIN, borrowed=1.0, noise=replace(PLAIN.noise, swapped_people=0, swapped_limbs=0))
    for pixels, expected in ((near, True), (far, False)):
        both = np.tile(pixels, (100, 1, 1))
        people = TrueKeypoints(both, np.ones((200, 17), np.bool_), np.repeat(np.arange(100), 2), SIZE)
        with_others, without = detect(_rng(), people, lending), detect(_rng(), people, replace(lending, borrowed=0))
        changed = (with_others[..., :2] != without[..., :2]).any(axis=-1)
        assert changed.any(axis=1).mean() == (1.0 if expected else 0.0)
        if expected:
            other = without.reshape(100, 2, 17, 3)[:, ::-1].reshape(200, 17, 3)
            np.testing.assert_array_equal(with_others[changed][:, :2], other[changed][:, :2])


def test_people_behind_the_camera_and_no_person_at_all_are_no_trouble() -> None:
    people = _people(3)
    people.pixels[0] = np.nan
    people.pixels[1, 3:9] = np.nan
    found = detect(_rng(), people, KeypointSettings(missing=0))
    assert np.isfinite(found).all()
    assert ((found[..., 2] >= 0) & (found[..., 2] <= 1)).all()
    none = TrueKeypoints(np.zeros((0, 17, 2)), np.zeros((0, 17), np.bool_), np.zeros(0, np.int64), SIZE)
    assert detect(_rng(), none, PLAIN).shape == (0, 17, 3)


def test_some_people_are_not_detected() -> None:
    found = detect(_rng(), _people(500), KeypointSettings(missing=0.2))
    missing = np.isnan(found[..., 0]).all(axis=1)
    assert 0.1 < missing.mean() < 0.3
    assert (found[missing][..., 2] == 0).all()


def _seen(count: int, confidence: float) -> tuple[Seen, np.ndarray]:
    joints = np.stack([_person()[5:]] * count)
    keypoints = np.concatenate([np.stack([_person()] * count), np.full((count, 17, 1), confidence)], axis=-1)
    depth = np.full((count, SIZE[1], SIZE[0]), 4.0, np.float32)
    depth[:, 40:205, 130:190] = 2.0
    return Seen(joints, keypoints, np.full(count, 2.1), np.arange(count)), depth


def test_boxes_by_keypoints_hold_the_keypoints_that_count() -> None:
    seen, depth = _seen(50, confidence=0.9)
    found = draw_boxes(_rng(), seen, depth, BoxSettings(by_keypoints=1, cut=0, distance=0, astray=0))
    assert found.valid.all()
    person = _person()
    np.testing.assert_allclose(found.boxes, np.tile([*person.min(axis=0), *person.max(axis=0)], (50, 1)), atol=1e-3)
    # The surface at 2 m, and the trunk's joints behind it.
    assert ((found.distances > 2.02) & (found.distances < 2.15)).all()


def test_whose_keypoints_do_not_count_is_found_in_depth() -> None:
    seen, depth = _seen(400, confidence=0.05)
    settings = BoxSettings(by_keypoints=1, around_joints=1, jitter=0.05, square=0, cut=0, distance=0.0, astray=0)
    found = draw_boxes(_rng(), seen, depth, settings)
    joints = _person()[5:]
    wanted = np.array([*joints.min(axis=0), *joints.max(axis=0)])
    side = np.tile(np.ptp(joints, axis=0), 2)
    np.testing.assert_allclose((found.boxes - wanted).std(axis=0), 0.05 * side, rtol=0.2)
    np.testing.assert_allclose(found.distances, 2.1)


def test_squares_are_about_as_long_as_the_longer_side() -> None:
    seen, depth = _seen(400, confidence=0.05)
    settings = BoxSettings(by_keypoints=0, around_joints=1, jitter=0, square=0.5, cut=0)
    found = draw_boxes(_rng(), seen, depth, settings).boxes
    long = np.ptp(_person()[5:], axis=0).max()
    widths, heights = found[:, 2] - found[:, 0], found[:, 3] - found[:, 1]
    squared = widths > 0.8 * long
    assert 0.4 < squared.mean() < 0.6
    np.testing.assert_allclose(heights[~squared], long, rtol=1e-6)
    assert widths[squared].min() >= 0.84 * long
    assert widths[squared].max() <= 1.3 * long


def test_cut_boxes_are_smaller_on_one_side() -> None:
    seen, depth = _seen(100, confidence=0.9)
    plain = draw_boxes(_rng(), seen, depth, BoxSettings(by_keypoints=1, cut=0))
    cut = draw_boxes(_rng(), seen, depth, BoxSettings(by_keypoints=1, cut=1))
    moved = np.abs(plain.boxes - cut.boxes) > 1e-6
    assert (moved.sum(axis=1) == 1).all()


@pytest.mark.parametrize("settings", [BoxSettings, KeypointSettings])
def test_settings_are_checked(settings: type) -> None:
    name = "cut" if settings is BoxSettings else "dropped"
    with pytest.raises(SyntheticError, match=name):
        settings(**{name: 1.5})
