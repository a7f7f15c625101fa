"""Lifting a person whose ground truth is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unipose_ros.camera import Camera, project, rays
from unipose_ros.frame import JointStatus
from unipose_ros.geometry.body_model import BODY13, SURFACE_OFFSETS
from unipose_ros.joint_sets import COCO17
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.lookup import LiftedPeople, LookupConfig, lift_people

MakeScene = Callable[..., Any]
few = settings(max_examples=12, deadline=None)


def lift(view: Any, **changes: Any) -> LiftedPeople:
    config = replace(LookupConfig(), **changes)
    return lift_people(view.camera, view.depth, view.keypoints, view.seen, config)


def errors(view: Any, people: LiftedPeople) -> np.ndarray:
    return np.asarray(np.linalg.norm(people.positions[0] - view.ground_truth, axis=1))


def test_a_person_from_the_front_is_measured_everywhere(scene: MakeScene) -> None:
    view = scene()
    people = lift(view)
    assert len(people.scores) == 1
    assert (people.status == JointStatus.MEASURED).all()
    assert errors(view, people).max() < 0.03
    assert people.sizes == pytest.approx([1.0], abs=0.03)


def test_a_plane_is_lifted_exactly(scene: MakeScene) -> None:
    """On a fronto-parallel plane every joint lies its offset behind it, on its own ray."""
    view = scene()
    flat = view.with_depth(np.full_like(view.depth, 2.5))
    people = lift(flat)
    directions = rays(view.camera, project(view.camera, view.ground_truth))
    expected = directions * (2.5 + SURFACE_OFFSETS / np.linalg.norm(directions, axis=1))[:, None]
    measured = people.status[0] == JointStatus.MEASURED
    assert measured.sum() >= 11
    assert people.positions[0][measured] == pytest.approx(expected[measured], abs=1e-4)


@pytest.mark.parametrize(
    ("model", "distortion"),
    [("plumb_bob", (0.1, -0.2, 0.001, 0.001, 0.05)), ("equidistant", (0.05, -0.01, 0.0, 0.0))],
)
def test_distortion_is_undone(scene: MakeScene, model: str, distortion: tuple[float, ...]) -> None:
    camera = Camera(262.5, 262.5, 159.5, 119.5, 320, 240, distortion, model)
    view = scene(center=(0.5, -0.3, 2.6), camera=camera)
    people = lift(view)
    assert errors(view, people).max() < 0.04
    straight = lift(replace(view, camera=Camera(262.5, 262.5, 159.5, 119.5, 320, 240)))
    assert errors(view, straight).max() > errors(view, people).max()


@pytest.mark.parametrize("yaw", [-1.4, -1.0, 1.0, 1.4])
def test_from_the_side_the_far_shoulder_is_behind_the_near_one(scene: MakeScene, yaw: float) -> None:
    view = scene(yaw)
    people = lift(view)
    # The arm hangs in front of the hips, so these are less exact.
    for part, tolerance in (("shoulder", 0.1), ("hip", 0.2)):
        for side in ("left", "right"):
            assert errors(view, people)[BODY13.index(f"{side}_{part}")] < tolerance
    far = BODY13.index("left_shoulder" if yaw > 0 else "right_shoulder")
    assert people.positions[0, far, 2] > people.positions[0, BODY13.mirror[far], 2] + 0.15


@pytest.mark.parametrize(
    "joint", ["left_elbow", "right_knee", "left_wrist", "right_ankle", "left_shoulder", "right_hip"]
)
@pytest.mark.parametrize("nothing", [0.0, np.nan, np.inf, -1.0])
def test_a_joint_in_a_hole_is_inferred_from_its_bones(scene: MakeScene, joint: str, nothing: float) -> None:
    view = scene()
    depth = view.depth.copy()
    depth[view.patch(joint, 0.09)] = nothing
    holed = view.with_depth(depth)
    people, index = lift(holed), BODY13.index(joint)
    assert people.status[0, index] == JointStatus.INFERRED
    assert errors(holed, people)[index] < 0.15
    whole = lift(view)
    assert people.confidences[0, index] < whole.confidences[0, index]
    assert np.trace(full(people.covariances[0, index])) > np.trace(full(whole.covariances[0, index]))


@pytest.mark.parametrize("joint", ["left_knee", "right_knee", "left_elbow"])
def test_a_joint_behind_an_obstacle_is_inferred_behind_it(scene: MakeScene, joint: str) -> None:
    view = scene()
    depth = view.depth.copy()
    depth[view.patch(joint, 0.12)] = 1.9
    blocked = view.with_depth(depth)
    people, index = lift(blocked), BODY13.index(joint)
    assert people.status[0, index] == JointStatus.INFERRED
    assert people.positions[0, index, 2] > 1.9
    assert errors(blocked, people)[index] < 0.2


@pytest.mark.parametrize("wall", [3.1, 3.4, 4.0])
def test_a_keypoint_beside_its_limb_is_not_put_on_the_wall(scene: MakeScene, wall: float) -> None:
    view = scene(wall=wall)
    pixels = view.keypoints.pixels.copy()
    pixels[0, COCO17.index("left_wrist"), 0] += 11
    index = BODY13.index("left_wrist")
    people = lift(replace(view, keypoints=replace(view.keypoints, pixels=pixels)))
    assert people.positions[0, index, 2] < wall - 0.2
    assert people.confidences[0, index] < 0.6


def test_half_a_patch_of_wall_does_not_pull_the_joint_back(scene: MakeScene) -> None:
    view = scene(wall=3.2)
    pixels = view.keypoints.pixels.copy()
    pixels[0, COCO17.index("left_wrist"), 0] += 4
    index = BODY13.index("left_wrist")
    people = lift(replace(view, keypoints=replace(view.keypoints, pixels=pixels)))
    assert people.positions[0, index, 2] == pytest.approx(view.ground_truth[index, 2], abs=0.04)


def test_an_unseen_keypoint_stays_missing(scene: MakeScene) -> None:
    view = scene()
    confidences = view.keypoints.confidences.copy()
    confidences[0, COCO17.index("left_elbow")] = 0.05
    people = lift(replace(view, keypoints=replace(view.keypoints, confidences=confidences)))
    index = BODY13.index("left_elbow")
    assert people.status[0, index] == JointStatus.MISSING
    assert np.isnan(people.positions[0, index]).all()
    assert people.confidences[0, index] == 0
    assert (people.status[0] == JointStatus.MISSING).sum() == 1


def test_no_people_is_made_of_holes(scene: MakeScene) -> None:
    view = scene()
    assert len(lift(view.with_depth(np.zeros_like(view.depth))).scores) == 0
    nearly = np.zeros_like(view.depth)
    nearly[view.patch("left_knee", 0.08)] = 2.6
    assert len(lift(view.with_depth(nearly)).scores) == 0


def test_no_keypoints_no_people(scene: MakeScene) -> None:
    view = scene()
    no_people = replace(view, keypoints=Keypoints2D.empty())
    assert lift(no_people).positions.shape == (0, 13, 3)


def test_dolls_are_dropped(scene: MakeScene) -> None:
    doll = scene(size=0.3, center=(0, 0, 1.2), wall=2.0)
    assert len(lift(doll).scores) == 0
    assert len(lift(doll, min_size=0.1).scores) == 1


@pytest.mark.parametrize("size", [0.65, 0.8, 1.15])
def test_size_is_the_persons_own(scene: MakeScene, size: float) -> None:
    view = scene(size=size, center=(0, -0.1, 2.6))
    people = lift(view)
    assert people.sizes == pytest.approx([size], abs=0.08)
    assert errors(view, people).max() < 0.06


@few
@given(shift=st.floats(-0.6, 0.8), yaw=st.floats(-0.5, 0.5))
def test_moving_all_depth_moves_all_joints(scene: MakeScene, shift: float, yaw: float) -> None:
    near, far = scene(yaw, wall=5.0), scene(yaw, center=(0.0, -0.3, 2.6 + shift), wall=5.0)
    first, second = lift(near), lift(far)
    both = (first.status[0] == JointStatus.MEASURED) & (second.status[0] == JointStatus.MEASURED)
    assert both.sum() >= 9
    moved = second.positions[0, both] - first.positions[0, both]
    assert moved == pytest.approx(np.tile([0, 0, shift], (both.sum(), 1)), abs=0.04)


@few
@given(yaw=st.floats(-1.5, 1.5))
def test_a_mirrored_image_swaps_left_and_right(scene: MakeScene, yaw: float) -> None:
    view = scene(yaw)
    pixels = view.keypoints.pixels[:, list(COCO17.mirror)].copy()
    pixels[..., 0] = view.camera.width - 1 - pixels[..., 0]
    mirrored = replace(
        view, depth=np.ascontiguousarray(view.depth[:, ::-1]), keypoints=replace(view.keypoints, pixels=pixels)
    )
    original, swapped = lift(view), lift(mirrored)
    back = swapped.positions[0, list(BODY13.mirror)] * [-1, 1, 1]
    assert back == pytest.approx(original.positions[0], abs=0.02)


@few
@given(scale=st.sampled_from([1.5, 2.0]), yaw=st.floats(-0.6, 0.6))
def test_resolution_does_not_matter(scene: MakeScene, scale: float, yaw: float) -> None:
    small = scene(yaw)
    large = scene(yaw, camera=small.camera.scaled(int(320 * scale), int(240 * scale)))
    assert np.median(np.linalg.norm(lift(small).positions - lift(large).positions, axis=-1)) < 0.01


def test_the_same_input_gives_the_same_output_and_is_left_alone(scene: MakeScene) -> None:
    view = scene(0.7)
    depth, pixels = view.depth.copy(), view.keypoints.pixels.copy()
    view.depth.flags.writeable = False
    first, second = lift(view), lift(view)
    assert np.array_equal(first.positions, second.positions)
    assert np.array_equal(view.depth, depth)
    assert np.array_equal(view.keypoints.pixels, pixels)


def test_people_do_not_influence_each_other(scene: MakeScene) -> None:
    view = scene()
    twice = view.keypoints.select(np.array([0, 0]))
    pair = lift(replace(view, keypoints=twice))
    alone = lift(view)
    assert pair.positions[0] == pytest.approx(alone.positions[0])
    assert pair.positions[1] == pytest.approx(alone.positions[0])


def full(upper: np.ndarray) -> np.ndarray:
    """xx, xy, xz, yy, yz, zz -> (3, 3)."""
    xx, xy, xz, yy, yz, zz = upper
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


@few
@given(yaw=st.floats(-3.1, 3.1), x=st.floats(-0.8, 0.8))
def test_covariances_are_positive_and_lie_along_the_ray(scene: MakeScene, yaw: float, x: float) -> None:
    view = scene(yaw, center=(x, -0.3, 2.8))
    people = lift(view)
    for position, upper in zip(people.positions[0], people.covariances[0], strict=True):
        values, vectors = np.linalg.eigh(full(upper))
        assert values.min() > 0
        along = np.abs(vectors.T @ position) / np.linalg.norm(position)
        assert along.max() == pytest.approx(1, abs=1e-5)


@few
@given(yaw=st.floats(-3.1, 3.1), data=st.data())
def test_no_joint_is_ever_invented(scene: MakeScene, yaw: float, data: st.DataObject) -> None:
    """Whatever is hidden from it, a joint is NaN and MISSING or finite, in front of the camera and confident."""
    view = scene(yaw)
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    confidences = random.uniform(0, 1, (1, 17)).astype(np.float32)
    depth = np.where(random.random(view.depth.shape) < random.random(), 0, view.depth).astype(np.float32)
    people = lift(replace(view, depth=depth, keypoints=replace(view.keypoints, confidences=confidences)))
    missing = people.status == JointStatus.MISSING
    assert np.isnan(people.positions[missing]).all()
    assert (people.confidences[missing] == 0).all()
    assert (people.positions[~missing][:, 2] > 0).all()
    assert np.isfinite(people.covariances[~missing]).all()
    assert ((people.confidences[~missing] > 0) & (people.confidences[~missing] <= 1)).all()
