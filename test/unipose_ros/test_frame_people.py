"""Choosing, joining and moving the people of a frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from unipose_ros.frame import FrameError, Skeletons
from unipose_ros.geometry.covariance import expand
from unipose_ros.joint_sets import COCO17, ITOP15, JointSet


def _people(count: int, seed: int = 0, joint_set: JointSet = ITOP15) -> Skeletons:
    random, joints = np.random.default_rng(seed), len(joint_set)
    return Skeletons(
        stamp_ns=7,
        frame_id="camera",
        modality="points",
        positions=random.normal(size=(count, joints, 3)).astype(np.float32),
        confidences=random.random((count, joints), np.float32),
        status=random.integers(0, 3, (count, joints), np.uint8),
        scores=random.random(count, np.float32),
        covariances=random.random((count, joints, 6), np.float32),
        ids=tuple("abcdefgh"[number] for number in range(count)),
        states=random.integers(0, 3, count, np.uint8),
        ages_ns=random.integers(0, 10**9, count),
        joint_set=joint_set,
    )


@pytest.mark.parametrize("chosen", [np.array([2, 0]), np.array([True, False, True]), np.array([], np.intp)])
def test_selecting_takes_everything_a_person_has(chosen: np.ndarray) -> None:
    people = _people(3)
    found = people.select(chosen)
    rows = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.intp)
    assert found.ids == tuple(people.ids[row] for row in rows)
    assert (found.stamp_ns, found.frame_id, found.modality) == (7, "camera", "points")
    for name in ("positions", "confidences", "status", "scores", "covariances", "states", "ages_ns"):
        np.testing.assert_array_equal(getattr(found, name), getattr(people, name)[rows])


def test_concatenating_undoes_selecting() -> None:
    people = _people(4)
    again = Skeletons.concat([people.select(np.array([0])), people.select(np.arange(1, 4))])
    assert again.ids == people.ids
    np.testing.assert_array_equal(again.positions, people.positions)
    np.testing.assert_array_equal(again.ages_ns, people.ages_ns)


def test_parts_without_people_and_without_covariances() -> None:
    empty, first, second = Skeletons.empty(7, "camera", "points"), _people(1), _people(2, seed=1)
    assert Skeletons.concat([empty, first]) is first
    assert len(Skeletons.concat([empty, empty])) == 0
    joined = Skeletons.concat([first, empty, replace(second, covariances=None)])
    assert joined.covariances is not None
    np.testing.assert_array_equal(joined.covariances[0], first.covariances[0])
    assert np.isnan(joined.covariances[1:]).all()
    bare = replace(first, covariances=None)
    assert Skeletons.concat([bare, bare]).covariances is None


def test_parts_of_different_frames_are_not_mixed() -> None:
    people = _people(2)
    for name, value in {"stamp_ns": 8, "frame_id": "other", "modality": "rgb"}.items():
        with pytest.raises(FrameError, match=name):
            Skeletons.concat([people, replace(people, **{name: value})])
    with pytest.raises(FrameError, match="itop15"):
        Skeletons.concat([people, _people(1, joint_set=COCO17)])
    with pytest.raises(FrameError, match="part"):
        Skeletons.concat([])


def test_a_moved_camera_rotates_positions_and_covariances() -> None:
    people, pose = _people(2), np.eye(4)
    pose[:3, :3], pose[:3, 3] = Rotation.from_rotvec([0.2, 1.0, -0.4]).as_matrix(), [1.0, -2.0, 0.5]
    found = people.transformed(pose, "map")
    assert found.frame_id == "map"
    expected = np.einsum("ij,nkj->nki", pose[:3, :3], people.positions) + pose[:3, 3]
    np.testing.assert_allclose(found.positions, expected, atol=1e-5)
    assert found.covariances is not None
    assert people.covariances is not None
    rotated = pose[:3, :3] @ expand(people.covariances) @ pose[:3, :3].T
    np.testing.assert_allclose(expand(found.covariances), rotated, atol=1e-5)
    back = found.transformed(np.linalg.inv(pose), "camera")
    np.testing.assert_allclose(back.positions, people.positions, atol=1e-5)
    np.testing.assert_allclose(back.covariances, people.covariances, atol=1e-5)
