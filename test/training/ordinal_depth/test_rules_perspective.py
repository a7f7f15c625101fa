"""The sign rules, one by one, on a body whose depths are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from unipose_ros.frame import JointStatus
from unipose_ros.joint_sets import COCO17, ITOP15
from unipose_training.datasets.base import Labels2D
from unipose_training.ordinal_depth import rules as within
from unipose_training.ordinal_depth.pairs import order_of_people, perspective_pairs
from unipose_training.ordinal_depth.rules import (
    LENGTHS,
    LIMBS,
    SEGMENTS,
    PerspectiveSettings,
    apparent_scales,
    person_scales,
)

FloatArray = NDArray[np.float64]
Photograph = Callable[..., FloatArray]
SETTINGS = PerspectiveSettings()
SEEN = np.ones((1, 17), np.bool_)
FAR = 1000.0  # so far away that the image is a parallel projection
LONG = 200_000.0  # and a lens for it


def labels(*people: FloatArray, hidden: tuple[str, ...] = ()) -> Labels2D:
    pixels = np.array(people, np.float32).reshape(-1, 17, 2)
    status = np.where(np.isfinite(pixels).all(axis=-1), JointStatus.MEASURED, JointStatus.MISSING).astype(np.uint8)
    for joint in hidden:
        status[:, COCO17.index(joint)] = JointStatus.INFERRED
    return Labels2D(pixels, status, ("",) * len(people), COCO17)


def scale_of(pixels: FloatArray) -> FloatArray:
    return person_scales(apparent_scales(pixels[None]), SETTINGS.segments)


def test_lengths_belong_to_their_segments(body: FloatArray) -> None:
    upper_arms = [row for row, ends in enumerate(SEGMENTS) if COCO17.joints[ends[0]].endswith("shoulder")][:2]
    assert LENGTHS[upper_arms].tolist() == [0.29, 0.29]
    lengths = np.linalg.norm(body[SEGMENTS[:, 0]] - body[SEGMENTS[:, 1]], axis=1)
    np.testing.assert_allclose(lengths, LENGTHS, rtol=0.03)


def test_the_scale_is_pixels_per_meter(body: FloatArray, photograph: Photograph) -> None:
    assert scale_of(photograph(body, (0, 0, 4))) == pytest.approx(500 / 4, rel=0.03)


def test_too_few_segments_have_no_scale(body: FloatArray, photograph: Photograph) -> None:
    pixels = photograph(body, (0, 0, 4))
    pixels[[i for i, joint in enumerate(COCO17.joints) if joint not in ("left_hip", "left_knee", "left_ankle")]] = (
        np.nan
    )
    assert np.isnan(scale_of(pixels)).all()  # two segments
    assert np.isfinite(person_scales(apparent_scales(pixels[None]), 2)).all()


@pytest.mark.parametrize(("ratio", "order"), [(2.0, 1.0), (1.16, 1.0), (1.14, np.nan), (1.06, np.nan), (1.04, 0.0)])
def test_who_appears_larger_is_nearer(ratio: float, order: float) -> None:
    found = order_of_people(np.array([ratio, 1.0]) * 130, PerspectiveSettings(alike=0.05))
    np.testing.assert_array_equal(found, [[0.0, order], [-order, 0.0]])


def test_people_of_equal_size_are_not_labeled_by_default() -> None:
    assert np.isnan(order_of_people(np.array([100.0, 100.0, np.nan]), SETTINGS)).all()


def test_orders_do_not_depend_on_lens_or_place_in_the_image(body: FloatArray, photograph: Photograph) -> None:
    def people(focal: float, shift: float) -> Labels2D:
        near = photograph(body, (-0.5, 0.0, 3.0), 70.0, focal) + shift
        return labels(near, photograph(body, (0.6, 0.1, 5.0), -20.0, focal) + shift)

    expected = perspective_pairs(people(500.0, 0.0), SETTINGS)
    assert expected.across.any()
    assert (~expected.across).any()
    for focal, shift in ((250.0, 0.0), (1500.0, 0.0), (500.0, 300.0)):
        found = perspective_pairs(people(focal, shift), SETTINGS)
        for name in ("first", "second", "order", "weights"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_the_nearer_of_two_people(body: FloatArray, photograph: Photograph) -> None:
    pairs = perspective_pairs(labels(photograph(body, (0, 0, 5)), photograph(body, (1, 0, 2.5))), SETTINGS)
    pairs = pairs.select(pairs.across)
    assert len(pairs) == 4  # shoulders and hips
    assert (pairs.first[:, 0] == 0).all()
    assert (pairs.order == -1).all()
    np.testing.assert_array_equal(pairs.first[:, 1], pairs.second[:, 1])


def test_level_limbs_keep_their_length() -> None:
    lengths = np.full((1, 12), np.nan)
    lengths[0, :3] = np.sqrt(1 - np.array([0.149, 0.151, 0.0]) ** 2)
    found = within.level_limbs(lengths, 0.15)
    assert found.shape == (1, len(LIMBS))
    np.testing.assert_array_equal(found[0], [0, np.nan, 0, *[np.nan] * 5])


@pytest.mark.parametrize("yaw", range(-180, 180, 15))
def test_every_word_about_a_turning_body_is_true(
    body: FloatArray, photograph: Photograph, turn: Callable[[FloatArray, float], FloatArray], yaw: int
) -> None:
    people = labels(photograph(body, (0, 0, FAR), yaw, LONG), hidden=("nose",) if abs(yaw) > 90 else ())
    pairs = perspective_pairs(people, SETTINGS)
    z = turn(body, yaw)[:, 2]
    farther = z[pairs.second[:, 1]] - z[pairs.first[:, 1]]
    ordered = pairs.order != 0
    assert (np.sign(farther[ordered]) == pairs.order[ordered]).all()
    assert np.abs(farther[~ordered]).max(initial=0) < 0.15 * LENGTHS.max()
    if 40 <= abs(yaw) <= 140:
        assert (5, 6) in set(zip(pairs.first[ordered, 1].tolist(), pairs.second[ordered, 1].tolist(), strict=True))


@pytest.mark.parametrize(("turn_", "left", "right", "order"), [
    (0.6, True, True, -1), (-0.6, True, True, 1), (0.4, True, True, None),  # the zone
    (0.4, False, True, -1), (0.2, False, True, None), (-0.4, True, False, 1),  # half of it with a hidden ear
    (0.6, True, False, None), (-0.6, False, True, None),  # the hidden ear cannot be the nearer one
])  # fmt: skip
def test_ears(turn_: float, left: bool, right: bool, order: int | None) -> None:
    visible = SEEN.copy()
    visible[0, within.EARS] = left, right
    found = within.turned_head(np.array([turn_]), visible, ~visible, 0.5)
    np.testing.assert_array_equal(found, [[np.nan if order is None else order]])


@pytest.mark.parametrize(
    ("front", "nose_seen", "order"), [(1, True, 1), (1, False, None), (-1, False, -1), (-1, True, None)]
)
def test_nose_and_ears(front: int, nose_seen: bool, order: int | None) -> None:
    visible = SEEN.copy()
    visible[0, within.NOSE] = nose_seen
    expected = np.nan if order is None else order
    found = within.nose_and_ears(np.array([float(front)]), np.array([0.1]), visible, ~visible, 0.5)
    np.testing.assert_array_equal(found, [[expected, expected]])
    assert np.isnan(within.nose_and_ears(np.array([float(front)]), np.array([0.6]), visible, ~visible, 0.5)).all()


def test_joints_bend_one_way() -> None:
    lengths = np.full((3, 12), 0.3)
    found = within.bent_limbs(lengths, np.array([1.0, -1.0, np.nan]), SETTINGS)
    np.testing.assert_array_equal(found[0], [-1, -1, 1, 1, -1, -1])  # wrists and knees are nearer, ankles farther
    np.testing.assert_array_equal(found[1], [1, 1, np.nan, np.nan, 1, 1])
    assert np.isnan(found[2]).all()
    assert np.isnan(within.bent_limbs(np.full((1, 12), 0.9), np.ones(1), SETTINGS)).all()


@pytest.mark.parametrize("yaw", [0, 180])
@pytest.mark.parametrize("seen", [True, False])
def test_arms_before_and_behind_the_trunk(body: FloatArray, photograph: Photograph, yaw: int, seen: bool) -> None:
    wrist, elbow = COCO17.index("left_wrist"), COCO17.index("left_elbow")
    body[wrist] = 0.0
    pixels = photograph(body, (0, 0, 4), yaw)[None]
    visible = SEEN.copy()
    visible[0, wrist] = seen
    found = within.arms_and_trunk(pixels, visible, ~visible, np.array([2.0]))
    pairs = within.TRUNK_PAIRS
    np.testing.assert_array_equal(found[0, pairs[:, 0] == wrist], [1.0 if seen else -1.0] * 4)
    assert np.isnan(found[0, pairs[:, 0] == elbow]).all()
    assert np.isnan(within.arms_and_trunk(pixels, ~SEEN, ~SEEN, np.array([2.0]))).all()


def test_there_are_no_pairs_of_keypoints_that_are_not_labeled(body: FloatArray, photograph: Photograph) -> None:
    pixels = photograph(body, (0, 0, 4), 60)
    before = perspective_pairs(labels(pixels), SETTINGS)
    pixels[COCO17.index("left_elbow")] = np.nan
    after = perspective_pairs(labels(pixels), SETTINGS)
    elbow = COCO17.index("left_elbow")
    untouched = (before.first[:, 1] != elbow) & (before.second[:, 1] != elbow)
    np.testing.assert_array_equal(after.first, before.first[untouched])
    np.testing.assert_array_equal(after.order, before.order[untouched])
    assert len(perspective_pairs(labels(), SETTINGS)) == 0


def test_what_hides_what_counts_only_where_it_is_told(body: FloatArray, photograph: Photograph) -> None:
    body[COCO17.index("left_wrist")] = 0.0
    people = labels(photograph(body, (0, 0, 4)))
    known_visible, unknown_visible = (
        perspective_pairs(people, SETTINGS, certain=np.full((1, 17), known)) for known in (True, False)
    )
    assert (known_visible.first[:, 1] == COCO17.index("left_wrist")).sum() == 4
    assert not (unknown_visible.first[:, 1] == COCO17.index("left_wrist")).any()


def test_weights_are_products_of_confidences(body: FloatArray, photograph: Photograph) -> None:
    pixels = photograph(body, (0, 0, 4), 60)
    assert set(perspective_pairs(labels(pixels, hidden=("right_shoulder",)), SETTINGS).weights) == {0.5, 1.0}
    confidence = np.full((1, 17), 0.6)
    assert set(perspective_pairs(labels(pixels), SETTINGS, confidence).weights) == {np.float32(0.36)}


def test_other_joint_sets_are_refused() -> None:
    with pytest.raises(ValueError, match="perspective is read off coco17"):
        perspective_pairs(Labels2D(np.zeros((0, 15, 2), np.float32), np.zeros((0, 15), np.uint8), (), ITOP15), SETTINGS)


@pytest.mark.parametrize(("name", "value"), [("nearer", 1.5), ("segments", 0), ("alike", 0.2), ("alike_weight", 0.0)])
def test_settings_name_what_is_wrong(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        PerspectiveSettings(**{name: value})  # type: ignore[arg-type]
