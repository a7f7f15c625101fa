"""The 13 lifted joints as the canonical 15."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from unipose_ros.frame import JointStatus, Skeletons
from unipose_ros.geometry.body_model import BODY13, body_pixels
from unipose_ros.joint_sets import ITOP15
from unipose_ros.lookup import LiftedPeople, LookupConfig
from unipose_ros.lookup.lift import to_skeletons


@pytest.fixture
def people() -> LiftedPeople:
    random = np.random.default_rng(4)
    return LiftedPeople(
        positions=random.uniform(1, 3, (2, 13, 3)),
        confidences=random.uniform(0.3, 0.9, (2, 13)),
        status=np.full((2, 13), JointStatus.MEASURED, np.uint8),
        covariances=np.tile([4e-4, 0, 0, 4e-4, 0, 9e-4], (2, 13, 1)),
        sizes=np.ones(2),
        scores=np.array([0.9, 0.4]),
    )


def hide(people: LiftedPeople, *joints: str) -> LiftedPeople:
    index = [BODY13.index(joint) for joint in joints]
    positions, confidences, status = people.positions.copy(), people.confidences.copy(), people.status.copy()
    positions[:, index], confidences[:, index], status[:, index] = np.nan, 0, JointStatus.MISSING
    return replace(people, positions=positions, confidences=confidences, status=status)


def convert(people: LiftedPeople) -> Skeletons:
    return to_skeletons(people, 7, "camera", "lookup")


def test_joints_keep_their_side_and_place(people: LiftedPeople) -> None:
    skeletons = convert(people)
    same = {"head": "head", "left_hand": "left_wrist", "right_hand": "right_wrist", "left_foot": "left_ankle"}
    for target, source in same.items():
        there, here = ITOP15.index(target), BODY13.index(source)
        assert skeletons.positions[:, there] == pytest.approx(people.positions[:, here])
        assert skeletons.confidences[:, there] == pytest.approx(people.confidences[:, here])
    assert (skeletons.stamp_ns, skeletons.frame_id, skeletons.modality) == (7, "camera", "lookup")
    assert skeletons.scores == pytest.approx([0.9, 0.4])


def test_neck_and_torso_are_middles(people: LiftedPeople) -> None:
    skeletons = convert(people)
    shoulders, hips = people.positions[:, [1, 2]].mean(axis=1), people.positions[:, [7, 8]].mean(axis=1)
    assert skeletons.positions[:, ITOP15.index("neck")] == pytest.approx(shoulders)
    assert skeletons.positions[:, ITOP15.index("torso")] == pytest.approx((shoulders + hips) / 2)
    assert skeletons.confidences[:, ITOP15.index("neck")] == pytest.approx(people.confidences[:, [1, 2]].min(axis=1))
    assert (skeletons.status == JointStatus.MEASURED).all()
    assert skeletons.covariances is not None
    assert skeletons.covariances == pytest.approx(np.tile([4e-4, 0, 0, 4e-4, 0, 9e-4], (2, 15, 1)))


def test_a_middle_is_no_better_than_its_parts(people: LiftedPeople) -> None:
    people.status[0, BODY13.index("left_hip")] = JointStatus.INFERRED
    skeletons = convert(people)
    assert skeletons.status[0, ITOP15.index("torso")] == JointStatus.INFERRED
    assert skeletons.status[1, ITOP15.index("torso")] == JointStatus.MEASURED


def test_without_hips_there_is_no_torso(people: LiftedPeople) -> None:
    skeletons = convert(hide(people, "left_hip"))
    gone = [ITOP15.index("left_hip"), ITOP15.index("torso")]
    assert (skeletons.status[:, gone] == JointStatus.MISSING).all()
    assert np.isnan(skeletons.positions[:, gone]).all()
    assert (skeletons.confidences[:, gone] == 0).all()
    assert np.isfinite(skeletons.positions[:, ITOP15.index("neck")]).all()


def test_a_hidden_head_is_extrapolated_and_says_so(people: LiftedPeople) -> None:
    skeletons = convert(hide(people, "head"))
    head, neck, torso = (ITOP15.index(name) for name in ("head", "neck", "torso"))
    expected = 2 * skeletons.positions[:, neck] - skeletons.positions[:, torso]
    assert skeletons.positions[:, head] == pytest.approx(expected, abs=1e-5)
    assert (skeletons.status[:, head] == JointStatus.INFERRED).all()
    assert skeletons.covariances is not None
    assert (skeletons.covariances[:, head, 5] > skeletons.covariances[:, neck, 5]).all()


def test_no_people_stay_none(people: LiftedPeople) -> None:
    assert len(convert(people.select(np.zeros(2, bool)))) == 0


def test_the_head_is_between_the_ears_or_what_is_left_of_them() -> None:
    pixels = np.arange(34, dtype=np.float64).reshape(1, 17, 2)
    confidences = np.full((1, 17), 0.5)
    for seen, expected in (([3, 4], [7, 8]), ([0, 4], [8, 9]), ([0, 1, 2], [2, 3])):
        mask = np.isin(np.arange(17), seen)[None]
        head, confidence, there = (part[0, 0] for part in body_pixels(pixels, confidences, mask))
        assert list(head) == expected
        assert (confidence, bool(there)) == (0.5, True)
    nothing = body_pixels(pixels, confidences, np.zeros((1, 17), bool))
    assert np.isnan(nothing[0]).all()
    assert not nothing[2].any()


@pytest.mark.parametrize(("field", "value"), [("patch_radius", 0.0), ("grid_step", -1.0), ("max_size", 0.2)])
def test_settings_out_of_range_are_named(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} = {value}"):
        LookupConfig(**{field: value})  # type: ignore[arg-type]
