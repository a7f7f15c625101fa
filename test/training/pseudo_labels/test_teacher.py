"""Which predictions of a teacher are believed: every rule by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from unipose_ros.joint_sets import ITOP15
from unipose_training.pseudo_labels.teacher import (
    ITOP_FOCAL,
    FilterConfig,
    LabelQuality,
    bone_deviations,
    label_weights,
    leg_asymmetry,
    passed_by_rule,
    ray_residuals,
    unsupported_joints,
)

GOOD = {"ray_pixels": 1.0, "unsupported": 0, "leg_asymmetry": 0.01, "bone_deviation": 1.0, "scale": -3.0}


def evidence(**bad: float) -> LabelQuality:
    """Nine good pseudo-labels, and one that is bad in what is named."""
    values = {name: torch.full((10,), float(value)) for name, value in GOOD.items()}
    for name, value in bad.items():
        values[name][-1] = value
    return LabelQuality(**values)


def test_a_residual_is_the_mean_distance_in_pixels_of_itop() -> None:
    camera = torch.tensor([[571.4, 571.4, 320.0, 240.0]])
    joints = torch.tensor([[[0.0, 0.0, 2.0], [0.4, 0.0, 4.0]]])
    pixels = torch.tensor([[[320.0, 246.0], [320 + 57.14 + 2, 240.0]]])
    residual = ray_residuals(joints, pixels, torch.tensor([[1.0, 0.5]]), camera)
    # Twice ITOP's focal length: 6 and 2 pixels are 3 and 1.
    assert residual.item() == pytest.approx((3 * 1 + 1 * 0.5) / 1.5, rel=1e-3)
    assert pytest.approx(571.4 / 2) == ITOP_FOCAL


def test_a_residual_does_not_depend_on_the_camera() -> None:
    joints, away = torch.tensor([[[0.1, 0.2, 2.5]]]), torch.tensor([[[0.13, 0.2, 2.5]]])
    found = []
    for focal in (300.0, 900.0):
        camera = torch.tensor([[focal, 1.1 * focal, 100.0, 80.0]])
        pixels = joints[..., :2] / joints[..., 2:] * camera[:, None, :2] + camera[:, None, 2:]
        found.append(ray_residuals(away, pixels, torch.ones(1, 1), camera).item())
    assert found[0] == pytest.approx(found[1], rel=1e-4)
    assert found[0] == pytest.approx(0.03 / 2.5 * ITOP_FOCAL, rel=1e-4)


def test_without_a_keypoint_nothing_supports_a_pseudo_label() -> None:
    camera, joints = torch.tensor([[300.0, 300.0, 0.0, 0.0]]), torch.tensor([[[0.0, 0.0, 2.0]] * 2])
    unseen = torch.full((1, 2, 2), math.nan)
    assert ray_residuals(joints, unseen, torch.ones(1, 2), camera).item() == math.inf
    unseen[0, 0] = 0.0
    assert ray_residuals(joints, unseen, torch.ones(1, 2), camera).item() == 0


def test_joints_without_points_are_counted() -> None:
    points = torch.tensor([[[0.0, 0.0, 2.0], [1.0, 0.0, 2.0]]])
    joints = torch.tensor([[[0.0, 0.05, 2.0], [0.5, 0.0, 2.0], [1.0, 0.0, 2.2], [math.nan] * 3]])
    assert unsupported_joints(joints, points, torch.tensor([0.1, 0.1, 0.1, 0.1])).tolist() == [2]
    assert unsupported_joints(joints, points, torch.tensor([0.1, 0.1, 0.3, 0.1])).tolist() == [1]


def test_the_worse_leg_counts() -> None:
    # Left and right thigh are 0.5 and 0.44, the shins 0.4 and 0.5.
    joints = torch.tensor([[[0, 0, 0], [0, 0.5, 0], [0, 0.9, 0], [1, 0, 0], [1, 0.44, 0], [1, 0.94, 0]]]).float()
    pairs = torch.tensor([[[0, 1], [3, 4]], [[1, 2], [4, 5]]])
    assert leg_asymmetry(joints, pairs).item() == pytest.approx(0.1)
    joints[0, 5] = math.nan
    assert leg_asymmetry(joints, pairs).item() == pytest.approx(0.06)


def _people(count: int) -> Tensor:
    """Joints of people of one shape, a little noisy."""
    torch.manual_seed(0)
    shape = torch.randn(1, len(ITOP15), 3)
    return shape + 0.01 * torch.randn(count, len(ITOP15), 3)


def test_one_long_arm_is_unusual_and_long_arms_of_all_are_not() -> None:
    people, bones = _people(100), torch.tensor([(bone.parent, bone.child) for bone in ITOP15.bones])
    size = torch.ones(100)
    before = bone_deviations(people, bones, size)
    elbow, hand = ITOP15.index("left_elbow"), ITOP15.index("left_hand")
    longer = people + 0
    longer[3, hand] += 0.5 * (people[3, hand] - people[3, elbow])
    assert bone_deviations(longer, bones, size)[3] > 10
    assert (bone_deviations(longer, bones, size)[4:] < 6).all()
    stretched = people + 0
    stretched[:, hand] += 0.5 * (people[:, hand] - people[:, elbow])
    assert bone_deviations(stretched, bones, size).median() < 1.5 * before.median()


def test_a_child_is_no_unusual_person() -> None:
    people, bones = _people(50), torch.tensor([(bone.parent, bone.child) for bone in ITOP15.bones])
    size = torch.ones(50)
    size[7], people[7] = 0.6, 0.6 * people[7]
    assert bone_deviations(people, bones, size)[7] < 5


@pytest.mark.parametrize(
    ("bad", "rule"),
    [
        ({"ray_pixels": 4.0}, "ray_pixels"),
        ({"ray_pixels": math.inf}, "ray_pixels"),
        ({"unsupported": 2}, "unsupported"),
        ({"leg_asymmetry": 0.08}, "leg_asymmetry"),
        ({"bone_deviation": 3.0}, "bone_deviation"),
        ({"scale": -1.0}, "scale_quantile"),
    ],
)
def test_each_rule_refuses_what_breaks_it_and_nothing_else(bad: dict[str, float], rule: str) -> None:
    kept = passed_by_rule(evidence(**bad), FilterConfig())
    for name, good in kept.items():
        assert good[:-1].all()
        assert bool(good[-1]) == (name != rule)


def test_rejected_pseudo_labels_count_a_fifth_and_sure_joints_more() -> None:
    kept = {"one": torch.tensor([True, False, True]), "other": torch.tensor([True, True, True])}
    scales = torch.tensor([[0.1, 0.05], [0.1, 0.2], [0.1, 0.001]]).log()
    weights = label_weights(kept, scales, FilterConfig(rejected_weight=0.2, confidence_exponent=1))
    expected = torch.tensor([[1.0, 2.0], [0.2, 0.1], [1.0, 4.0]])
    assert torch.allclose(weights, expected)


def test_a_missing_pseudo_label_has_no_weight() -> None:
    weights = label_weights(
        {"one": torch.ones(1, dtype=torch.bool)}, torch.tensor([[math.nan, -2.0]]), FilterConfig(confidence_exponent=1)
    )
    assert weights.tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"ray_pixels": 0.0},
        {"unsupported": 0},
        {"rejected_weight": 1.5},
        {"confidence_exponent": -1.0},
        {"scale_quantile": -0.1},
    ],
)
def test_an_impossible_rule_is_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FilterConfig(**wrong)
