"""Kinematics and skinning against a plain computation, and against what bodies cannot do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from unipose_ros.joint_sets import COCO23
from unipose_training.synthetic.bank import BodyBank
from unipose_training.synthetic.bank.posing import PosedPeople, pose_people, rotation_matrices, to_tensors


def _posed(bank: BodyBank, body: int, device: str = "cpu", heading: float = 0.0) -> PosedPeople:
    """One body in all poses."""
    count = len(bank.poses)
    return pose_people(
        to_tensors(bank, device),
        torch.full((count,), body, device=device),
        torch.arange(count, device=device),
        torch.zeros(count, 3, device=device),
        torch.full((count,), heading, device=device),
    )


def test_quaternions_become_the_matrices_that_scipy_makes() -> None:
    turns = Rotation.random(20, random_state=1)
    found = rotation_matrices(torch.from_numpy(turns.as_quat()))
    np.testing.assert_allclose(found.numpy(), turns.as_matrix(), atol=1e-12)


def test_vertices_are_where_bones_taken_one_by_one_put_them(bank: BodyBank, device: str) -> None:
    pose, person = 3, bank.people[1]
    source = bank.poses.sources[bank.poses.clip_of_poses()[pose]]
    turns = Rotation.from_quat(bank.poses.rotations[pose]).as_matrix() @ (
        Rotation.from_quat(person.alignments[source]).as_matrix()
    )
    heads = np.zeros((len(bank.parents), 3))
    for bone, parent in enumerate(bank.parents):
        if parent >= 0:
            heads[bone] = heads[parent] + turns[parent] @ (person.heads[bone] - person.heads[parent])
    expected = np.zeros_like(person.vertices)
    for k in range(person.bones.shape[1]):
        bone = person.bones[:, k]
        moved = np.einsum("vij,vj->vi", turns[bone], person.vertices - person.heads[bone]) + heads[bone]
        expected += person.weights[:, k, None] * moved
    expected[:, 2] -= expected[:, 2].min() - bank.poses.airborne[pose]
    found = _posed(bank, 1, device).vertices[pose, : len(expected)].cpu().numpy()
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_bones_between_joints_keep_their_length_in_every_pose(bank: BodyBank) -> None:
    joints = _posed(bank, 0).joints
    for start, end in (("knee", "ankle"), ("elbow", "wrist")):
        for side in ("left", "right"):
            ends = [joints[:, COCO23.index(f"{side}_{part}")] for part in (start, end)]
            length = (ends[0] - ends[1]).norm(dim=1)
            # Joints are regressed from skin, which gives a little at the bend.
            assert float(length.max() - length.min()) < 0.04
            assert 0.15 < float(length.mean()) < 0.55


def test_everyone_stands_on_the_floor_or_jumps(bank: BodyBank) -> None:
    for body in range(len(bank.people)):
        lowest = _posed(bank, body).vertices[..., 2].amin(dim=1).numpy()
        np.testing.assert_allclose(lowest, bank.poses.airborne, atol=1e-5)
    assert bank.poses.airborne.max() > 0.1, "the back flip leaves the floor"
    walk = bank.poses.clip_of_poses() == bank.poses.names.index("walk")
    assert bank.poses.airborne[walk].max() < 0.05


def test_a_heading_turns_the_whole_person_about_the_vertical(bank: BodyBank) -> None:
    still, turned = _posed(bank, 0), _posed(bank, 0, heading=0.7)
    spin = torch.from_numpy(Rotation.from_euler("z", 0.7).as_matrix()).float()
    torch.testing.assert_close(turned.vertices, still.vertices @ spin.T, atol=1e-5, rtol=0)
    torch.testing.assert_close(turned.joints, still.joints @ spin.T, atol=1e-5, rtol=0)


def test_a_walker_is_upright_with_left_on_its_left(bank: BodyBank) -> None:
    walk = torch.from_numpy(bank.poses.clip_of_poses() == bank.poses.names.index("walk"))
    joints = _posed(bank, 0).joints[walk]

    def joint(name: str) -> torch.Tensor:
        return joints[:, COCO23.index(name)]

    assert bool((joint("nose")[:, 2] > joint("left_hip")[:, 2] + 0.4).all())
    assert bool((joint("left_hip")[:, 2] > joint("left_ankle")[:, 2] + 0.5).all())
    # A person at rest faces -y, so its left is +x.
    assert bool((joint("left_shoulder")[:, 0] > joint("right_shoulder")[:, 0] + 0.15).all())
    assert bool((joint("nose")[:, 1] < joint("left_ear")[:, 1]).all())


def test_a_batch_of_people_is_as_each_alone(bank: BodyBank) -> None:
    tensors = to_tensors(bank)
    body, pose = torch.tensor([0, 1, 2]), torch.tensor([5, 0, 9])
    place, heading = torch.tensor([[0.0, 1, 0], [2, 0, 0.4], [0, 0, 0]]), torch.tensor([0.0, 1, 2])
    together = pose_people(tensors, body, pose, place, heading)
    for n in range(3):
        one = slice(n, n + 1)
        alone = pose_people(tensors, body[one], pose[one], place[one], heading[one])
        torch.testing.assert_close(alone.vertices[0], together.vertices[n], atol=1e-6, rtol=0)
        torch.testing.assert_close(alone.joints[0], together.joints[n], atol=1e-6, rtol=0)


def test_no_people_gives_nothing(bank: BodyBank) -> None:
    none = torch.zeros(0, dtype=torch.int64)
    people = pose_people(to_tensors(bank), none, none, torch.zeros(0, 3), torch.zeros(0))
    assert people.vertices.shape[0] == people.joints.shape[0] == 0


@pytest.mark.parametrize("clip", ["walk", "punch"])
def test_clips_are_found_by_name(bank: BodyBank, clip: str) -> None:
    of_poses = bank.poses.clip_of_poses()
    assert (np.diff(of_poses) >= 0).all()
    assert (of_poses == bank.poses.names.index(clip)).any()
