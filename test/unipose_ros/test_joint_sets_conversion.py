from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unipose_ros.camera import Camera, project
from unipose_ros.joint_sets import (
    COCO17,
    COCO23,
    H36M17,
    ITOP15,
    JOINT_SETS,
    NTU25,
    PANOPTIC19,
    REP155,
    JointSet,
    convert_joints,
)

COPY, NONE = 0, -1
pairs = pytest.mark.parametrize(
    ("source", "target"), list(itertools.product(JOINT_SETS.values(), repeat=2)), ids=lambda joint_set: joint_set.name
)


def body(joint_set: JointSet, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(len(joint_set), 3))


def convert_named(source: JointSet, target: JointSet, values: np.ndarray) -> dict[str, np.ndarray]:
    converted, _ = convert_joints(values, source, target)
    return dict(zip(target.joints, converted, strict=True))


@pairs
def test_common_landmarks_are_copied(source: JointSet, target: JointSet) -> None:
    values = body(source)
    converted, recipe = convert_joints(values, source, target)
    for joint, landmark in enumerate(target.landmarks):
        if landmark in source.landmarks:
            np.testing.assert_array_equal(converted[joint], values[source.landmarks.index(landmark)])
            assert recipe[joint] == COPY
        else:
            assert recipe[joint] != COPY


@pairs
def test_what_is_not_found_is_nan(source: JointSet, target: JointSet) -> None:
    converted, recipe = convert_joints(body(source), source, target)
    np.testing.assert_array_equal(np.isnan(converted).all(axis=-1), recipe == NONE)
    np.testing.assert_array_equal(np.isnan(converted).any(axis=-1), recipe == NONE)


@pairs
def test_there_and_back_keeps_common_joints(source: JointSet, target: JointSet) -> None:
    values = body(source)
    there, _ = convert_joints(values, source, target)
    back, _ = convert_joints(there, target, source)
    common = [landmark in target.landmarks for landmark in source.landmarks]
    np.testing.assert_array_equal(back[common], values[common])


@pairs
def test_conversion_moves_with_the_body(source: JointSet, target: JointSet) -> None:
    values, shift = body(source), np.array([10.0, -20.0, 30.0])
    converted, _ = convert_joints(values, source, target)
    moved, _ = convert_joints(values + shift, source, target)
    np.testing.assert_allclose(moved, converted + shift)


@pairs
def test_conversion_does_not_know_left_from_right(source: JointSet, target: JointSet) -> None:
    """Mirroring before or after converting is the same."""
    values = body(source)
    before, _ = convert_joints(values[list(source.mirror)], source, target)
    after = convert_joints(values, source, target)[0][list(target.mirror)]
    np.testing.assert_allclose(before, after)


@pairs
def test_no_people_is_converted_to_no_people(source: JointSet, target: JointSet) -> None:
    converted, recipe = convert_joints(np.zeros((0, len(source), 3), np.float32), source, target)
    assert (converted.shape, recipe.shape) == ((0, len(target), 3), (0, len(target)))
    assert converted.dtype == np.float32


def test_coco_to_itop_has_left_and_right_the_right_way_round() -> None:
    """A person who faces the camera has the right shoulder on the image's left, at smaller u."""
    camera = Camera(500, 500, 320, 240, 640, 480)
    arm, leg = dict.fromkeys(("elbow", "wrist"), 0.3), dict.fromkeys(("hip", "knee", "ankle"), 0.1)
    half_width = {"eye": 0.03, "ear": 0.08, "shoulder": 0.2} | arm | leg
    points = np.zeros((17, 3))
    points[:, 2] = 2.0
    for joint, name in enumerate(COCO17.joints):
        side, _, part = name.partition("_")
        # Facing the camera the person's left is the camera's right, +x.
        points[joint, 0] = half_width.get(part, 0.0) * {"left": 1, "right": -1}.get(side, 0)
    pixels = dict(zip(ITOP15.joints, project(camera, convert_joints(points, COCO17, ITOP15)[0]), strict=True))
    for part in ("shoulder", "elbow", "hand", "hip", "knee", "foot"):
        assert pixels[f"right_{part}"][0] < pixels["neck"][0] < pixels[f"left_{part}"][0]


def test_coco_to_itop_by_hand() -> None:
    values = np.full((17, 3), np.nan)
    known = {
        "left_ear": (0.1, -0.7, 2.0), "right_ear": (-0.1, -0.7, 2.0),
        "left_shoulder": (0.2, -0.5, 2.1), "right_shoulder": (-0.2, -0.5, 1.9),
        "left_hip": (0.1, 0.0, 2.0), "right_hip": (-0.1, 0.0, 2.0),
        "left_wrist": (0.4, 0.1, 1.8),
    }  # fmt: skip
    for name, place in known.items():
        values[COCO17.index(name)] = place
    itop = convert_named(COCO17, ITOP15, values)
    np.testing.assert_allclose(itop["head"], (0, -0.7, 2.0), atol=1e-12)
    np.testing.assert_allclose(itop["neck"], (0, -0.5, 2.0), atol=1e-12)
    np.testing.assert_allclose(itop["torso"], (0, -0.25, 2.0), atol=1e-12)
    np.testing.assert_array_equal(itop["left_hand"], known["left_wrist"])
    assert np.isnan(itop["right_hand"]).all()
    assert np.isnan(itop["left_knee"]).all()


def test_the_recipe_used_depends_on_what_is_missing() -> None:
    head = ITOP15.index("head")
    values = body(COCO17)
    assert convert_joints(values, COCO17, ITOP15)[1][head] == 1  # between the ears
    values[COCO17.index("left_ear")] = np.nan
    converted, recipe = convert_joints(values, COCO17, ITOP15)
    assert recipe[head] > 1  # along the spine
    shoulders = values[[5, 6]].mean(axis=0)
    hips = values[[11, 12]].mean(axis=0)
    np.testing.assert_allclose(converted[head], shoulders + 0.5 * (shoulders - hips))
    values[COCO17.index("left_hip")] = np.nan
    assert convert_joints(values, COCO17, ITOP15)[1][head] == NONE


def test_the_recipe_is_chosen_for_each_person() -> None:
    people = np.stack([body(COCO17), body(COCO17, 1), body(COCO17, 2)])
    people[1, COCO17.index("right_ear")] = np.nan
    people[2] = np.nan
    together, recipes = convert_joints(people, COCO17, ITOP15)
    for person, result, recipe in zip(people, together, recipes, strict=True):
        alone, used = convert_joints(person, COCO17, ITOP15)
        np.testing.assert_allclose(result, alone)
        np.testing.assert_array_equal(recipe, used)
    assert np.isnan(together[2]).all()
    assert (recipes[2] == NONE).all()


def test_a_joint_with_one_bad_coordinate_is_missing() -> None:
    values = body(COCO17)
    values[COCO17.index("left_knee"), 1] = np.inf
    converted, recipe = convert_joints(values, COCO17, ITOP15)
    assert np.isnan(converted[ITOP15.index("left_knee")]).all()
    assert recipe[ITOP15.index("left_knee")] == NONE


def test_same_names_for_other_places_are_not_mixed_up() -> None:
    ntu, h36m, panoptic = body(NTU25), body(H36M17), body(PANOPTIC19)
    itop = convert_named(NTU25, ITOP15, ntu)
    np.testing.assert_array_equal(itop["neck"], ntu[NTU25.index("spine_shoulder")])
    np.testing.assert_array_equal(itop["left_hand"], ntu[NTU25.index("left_wrist")])
    np.testing.assert_array_equal(itop["left_foot"], ntu[NTU25.index("left_ankle")])
    itop = convert_named(H36M17, ITOP15, h36m)
    np.testing.assert_array_equal(itop["neck"], h36m[H36M17.index("thorax")])
    np.testing.assert_array_equal(itop["right_foot"], h36m[H36M17.index("right_foot")])
    itop = convert_named(PANOPTIC19, ITOP15, panoptic)
    expected = (panoptic[PANOPTIC19.index("neck")] + panoptic[PANOPTIC19.index("body_center")]) / 2
    np.testing.assert_allclose(itop["torso"], expected)


def test_coco23_adds_feet_only() -> None:
    values = body(COCO23)
    np.testing.assert_array_equal(convert_joints(values, COCO23, COCO17)[0], values[:17])
    back, _ = convert_joints(values[:17], COCO17, COCO23)
    assert np.isnan(back[17:]).all()


def test_rep155_is_coco_with_a_neck() -> None:
    values = body(COCO17)
    rep = convert_named(COCO17, REP155, values)
    np.testing.assert_allclose(rep["neck"], values[[5, 6]].mean(axis=0))
    np.testing.assert_array_equal(rep["r_ankle"], values[COCO17.index("right_ankle")])
    assert all(np.isfinite(place).all() for place in rep.values())


@given(arrays(np.float32, (17, 2), elements=st.floats(-1e3, 1e3, width=32) | st.just(np.float32("nan"))))
def test_pixels_with_holes_convert_without_half_joints(pixels: np.ndarray) -> None:
    converted, recipe = convert_joints(pixels, COCO17, ITOP15)
    assert converted.dtype == np.float32
    np.testing.assert_array_equal(np.isfinite(converted).all(axis=-1), recipe != NONE)
    np.testing.assert_array_equal(np.isnan(converted).any(axis=-1), recipe == NONE)
