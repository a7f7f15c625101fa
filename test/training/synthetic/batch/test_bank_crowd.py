"""Many bodies that share meshes: on disk, as principal components, and laid on sources of motion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from unipose_training.synthetic.bank import BodyBank, load_bank, save_bank
from unipose_training.synthetic.bank.bake import alignments
from unipose_training.synthetic.bank.types import alignment_quaternions, shape_basis, wearers_of
from unipose_training.synthetic.motion import RestSkeleton
from unipose_training.synthetic.poses.kinematics import BONES, HANGING_REST
from unipose_training.synthetic.poses.skeletons import matrices
from unipose_training.synthetic.variety.postures import Posture, articulate

SHIPPED = Path(__file__).resolve().parents[4] / "weights" / "body_bank.npz"


@pytest.fixture(scope="module")
def shipped() -> BodyBank:
    return load_bank(SHIPPED)


def test_a_crowd_comes_back_from_disk(shipped: BodyBank, tmp_path: Path) -> None:
    record = save_bank(tmp_path / "again.npz", shipped)
    assert record.sha256 == shipped.record.sha256
    again = load_bank(tmp_path / "again.npz")
    for number in (0, 123, len(shipped.people) - 1):
        one, other = shipped.people[number], again.people[number]
        np.testing.assert_array_equal(one.vertices, other.vertices)
        np.testing.assert_array_equal(one.alignments, other.alignments)
        np.testing.assert_array_equal(one.joint_points, other.joint_points)
        assert one.materials == other.materials


def test_people_picked_from_a_crowd_are_saved_alone(shipped: BodyBank, tmp_path: Path) -> None:
    few = replace(shipped, people=shipped.people[5:7])
    save_bank(tmp_path / "few.npz", few)
    again = load_bank(tmp_path / "few.npz")
    assert len(again.people) == 2
    np.testing.assert_allclose(again.people[1].vertices, shipped.people[6].vertices, atol=2.0**-15 + 1e-7)


def test_wearers_of_an_outfit_share_its_mesh_and_not_its_shape(shipped: BodyBank) -> None:
    assert shipped.crowd is not None
    worn = wearers_of(shipped.crowd.templates)
    assert len(worn) == len(shipped.people)
    first, second = np.flatnonzero(worn == worn[40])[:2]
    assert shipped.people[first].faces is shipped.people[second].faces
    assert np.abs(shipped.people[first].vertices - shipped.people[second].vertices).max() > 0.01


def test_a_basis_is_as_small_as_the_tolerance_lets_it() -> None:
    rng = np.random.default_rng(1)
    shapes = 1.0 + rng.normal(size=(30, 4)) @ (rng.normal(size=(4, 90)) * [[1.0], [0.3], [0.1], [1e-4]])
    fine, coarse = shape_basis(shapes, 1e-6, 20), shape_basis(shapes, 0.01, 20)
    assert (len(fine.components), len(coarse.components)) == (4, 3)
    np.testing.assert_allclose(fine.shapes(), shapes, atol=1e-4)
    assert np.abs(fine.coefficients).max() == pytest.approx(1.0)
    assert len(shape_basis(shapes, 1e-9, 2).components) == 2


def test_alignments_from_bones_alone_are_those_of_retargeting(shipped: BodyBank) -> None:
    heads = shipped.people[17].heads
    skeleton = RestSkeleton(
        BONES, tuple(shipped.parents.tolist()), heads.astype(np.float64), np.tile(np.eye(3), (len(BONES), 1, 1))
    )
    wanted = alignments([articulate([Posture()] * 2, 1.0)], skeleton)
    found = alignment_quaternions(HANGING_REST[None], BONES, shipped.parents.tolist(), heads[None])
    np.testing.assert_allclose(matrices(found[0].astype(float)), matrices(wanted.astype(float)), atol=1e-5)
