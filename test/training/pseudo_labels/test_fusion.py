"""Who is heard, and how much, when several say where joints are."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from unipose_ros.joint_sets import ITOP15
from unipose_training.losses.body import keypoint_priors
from unipose_training.losses.robust import bone_lengths
from unipose_training.pseudo_labels.fusion import (
    FusedPoses,
    FusionSettings,
    Observations,
    RootRelativePoses,
    chains,
    fuse_trajectories,
    lifted_stds,
    slice_observations,
)

PRIORS = keypoint_priors()
HAND = ITOP15.index("right_hand")
#: Nothing but what is claimed.
BARE = FusionSettings(bone_weight=0, motion_weight=0)


def standing(rows: int) -> Tensor:
    """(rows, 15, 3) meters: a person of the usual lengths who walks 5 cm a frame, 3 m away."""
    joints = torch.zeros(len(ITOP15), 3)
    random = torch.Generator().manual_seed(0)
    for bone, length in zip(PRIORS.bones.tolist(), PRIORS.bone_means.tolist(), strict=True):
        way = torch.randn(3, generator=random)
        joints[bone[1]] = joints[bone[0]] + length * way / way.norm()
    for left, right in PRIORS.pairs.tolist():
        away = joints[left[1]] - joints[left[0]]
        joints[right[1]] = joints[right[0]] + away * torch.tensor([-1.0, 1, 1])
    steps = torch.tensor([0.05, 0, 0]) * torch.arange(rows)[:, None, None]
    return joints + steps + torch.tensor([0.0, 0, 3])


def observe(ground_truth: Tensor, **changes: Tensor | RootRelativePoses) -> Observations:
    """All say the same, each within 3 cm, of one person in successive frames."""
    rows = len(ground_truth)
    stds = torch.full(ground_truth.shape[:2], 0.03)
    observed = Observations(
        joints=ground_truth.clone(),
        stds=stds,
        lifted=ground_truth.clone(),
        lifted_stds=stds,
        shapes=RootRelativePoses(ground_truth - torch.tensor([0.3, -0.2, 2.0]), stds),
        size=torch.ones(rows),
        before=torch.arange(rows) - 1,
        seconds=torch.full((rows,), 0.1),
    )
    return observed._replace(**changes)


def moved(joints: Tensor, row: int, by: float) -> Tensor:
    """The right hand elsewhere in one row."""
    joints = joints.clone()
    joints[row, HAND, 2] += by
    return joints


def error(fitted: FusedPoses, ground_truth: Tensor, row: int) -> float:
    return float((fitted.joints - ground_truth)[row, HAND].norm())


def test_what_all_say_stays() -> None:
    ground_truth = standing(5)
    fitted = fuse_trajectories(observe(ground_truth), PRIORS, FusionSettings())
    assert (fitted.joints - ground_truth).abs().max() < 0.004


def test_who_is_far_from_the_others_is_not_heard() -> None:
    ground_truth = standing(1)
    for name in ("joints", "lifted"):
        fitted = fuse_trajectories(observe(ground_truth, **{name: moved(ground_truth, 0, 0.5)}), PRIORS, BARE)
        assert error(fitted, ground_truth, 0) < 0.02
    shapes = observe(ground_truth).shapes
    fitted = fuse_trajectories(
        observe(ground_truth, shapes=shapes._replace(joints=moved(shapes.joints, 0, 0.5))), PRIORS, BARE
    )
    assert error(fitted, ground_truth, 0) < 0.02


def test_the_surer_one_counts_more() -> None:
    ground_truth = standing(1)
    settings = FusionSettings(bone_weight=0, motion_weight=0, lifter_scale=0, depth_scale=1)
    observed = observe(ground_truth, lifted=moved(ground_truth, 0, 0.05))
    assert error(fuse_trajectories(observed, PRIORS, settings), ground_truth, 0) == pytest.approx(0.025, abs=0.002)
    sure = observed._replace(lifted_stds=observed.lifted_stds / 4)
    assert error(fuse_trajectories(sure, PRIORS, settings), ground_truth, 0) > 0.04


def test_a_jump_of_one_frame_is_no_motion() -> None:
    ground_truth = standing(7)
    observed = observe(ground_truth, joints=moved(ground_truth, 3, 0.3), lifted=moved(ground_truth, 3, 0.3))
    observed = observed._replace(shapes=observed.shapes._replace(joints=torch.full_like(ground_truth, torch.nan)))
    alone = error(fuse_trajectories(observed, PRIORS, FusionSettings(bone_weight=0, motion_weight=0)), ground_truth, 3)
    steady = error(fuse_trajectories(observed, PRIORS, FusionSettings(bone_weight=0, motion_weight=4)), ground_truth, 3)
    assert alone == pytest.approx(0.3, abs=0.01)
    assert steady < 0.8 * alone


def test_a_bone_has_one_length() -> None:
    ground_truth = standing(6)
    observed = observe(ground_truth, joints=moved(ground_truth, 2, 0.1), lifted=moved(ground_truth, 2, 0.1))
    observed = observed._replace(shapes=observed.shapes._replace(joints=torch.full_like(ground_truth, torch.nan)))
    forearm = PRIORS.bones[(PRIORS.bones[:, 1] == HAND)]
    stds = [
        float(bone_lengths(fuse_trajectories(observed, PRIORS, settings).joints, forearm).std())
        for settings in (FusionSettings(motion_weight=0, bone_weight=0), FusionSettings(motion_weight=0, bone_weight=4))
    ]
    assert stds[1] < 0.7 * stds[0]


def test_a_lifter_that_says_people_are_small_may_be_right_about_the_pose() -> None:
    ground_truth = standing(3)
    observed = observe(ground_truth)
    observed = observed._replace(
        joints=torch.where(torch.arange(15)[:, None] == HAND, torch.nan, ground_truth),
        lifted=torch.where(torch.arange(15)[:, None] == HAND, torch.nan, ground_truth),
        shapes=observed.shapes._replace(joints=0.93 * observed.shapes.joints),
    )
    fitted = fuse_trajectories(observed, PRIORS, BARE)
    assert fitted.joints[:, HAND].isnan().all(), "neither network nor keypoints observe it"
    assert (fitted.joints - ground_truth)[:, :4].abs().max() < 0.01


def test_no_observation_changes_nothing() -> None:
    ground_truth = standing(3)
    nothing = torch.full_like(ground_truth, torch.nan)
    unknown = torch.full(ground_truth.shape[:2], torch.nan)
    observed = observe(
        ground_truth,
        lifted=nothing,
        lifted_stds=unknown,
        shapes=RootRelativePoses(nothing, unknown),
        before=-torch.ones(3),
    )
    observed = observed._replace(before=observed.before.long())
    fitted = fuse_trajectories(observed, PRIORS, BARE)
    assert (fitted.joints - ground_truth).abs().max() < 1e-4
    assert fitted.log_scales.isfinite().all()


def test_std_shrinks_with_agreement_and_grows_with_disagreement() -> None:
    ground_truth = standing(1)
    std = lambda observed: float(fuse_trajectories(observed, PRIORS, BARE).log_scales[0, HAND].exp())  # noqa: E731
    nothing = RootRelativePoses(torch.full_like(ground_truth, torch.nan), torch.full(ground_truth.shape[:2], torch.nan))
    assert std(observe(ground_truth)) < std(observe(ground_truth, shapes=nothing))
    assert std(observe(ground_truth)) < std(observe(ground_truth, lifted=moved(ground_truth, 0, 0.3)))


def test_no_steps_are_the_network_itself() -> None:
    observed = observe(moved(standing(2), 1, 0.1))
    fitted = fuse_trajectories(observed, PRIORS, FusionSettings(steps=0))
    assert torch.equal(fitted.joints, observed.joints)
    assert fitted.log_scales[0, 0].item() == pytest.approx(math.log(0.03 / 2**0.5))


def test_people_are_told_by_their_frames() -> None:
    # Two people in turn, and a third who begins later.
    before = torch.tensor([-1, -1, 0, 1, 2, 3, -1, 5])
    assert chains(before).tolist() == [0, 1, 0, 1, 0, 1, 2, 1]


def test_pieces_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    ground_truth = standing(4)
    one = observe(ground_truth, joints=moved(ground_truth, 2, 0.1))
    both = twice(one)
    whole = fuse_trajectories(both, PRIORS, FusionSettings(steps=60))
    monkeypatch.setattr("unipose_training.pseudo_labels.fusion._AT_ONCE", 3)
    pieces = fuse_trajectories(both, PRIORS, FusionSettings(steps=60))
    alone = fuse_trajectories(one, PRIORS, FusionSettings(steps=60))
    assert torch.allclose(whole.joints, pieces.joints, atol=1e-4)
    assert torch.allclose(pieces.joints[4:], alone.joints, atol=1e-4)


def twice(observed: Observations) -> Observations:
    """The same person once more, as another person."""
    doubled = {name: torch.cat([value] * 2) for name, value in observed._asdict().items() if name != "shapes"}
    before = torch.where(observed.before >= 0, observed.before + len(observed.before), -1)
    shapes = RootRelativePoses(*(torch.cat([value] * 2) for value in observed.shapes))
    return Observations(**doubled | {"before": torch.cat([observed.before, before])}, shapes=shapes)


def test_an_uncertain_keypoint_may_be_anywhere() -> None:
    variance = torch.tensor([0.0016, 0.0016])
    stds = lifted_stds(variance, torch.tensor([1.0, 0.1]))
    assert stds.tolist() == pytest.approx([0.05, 0.5])


def test_a_part_links_its_own_rows() -> None:
    both = twice(observe(standing(4)))
    assert slice_observations(both, 4, 8).before.tolist() == [-1, 0, 1, 2]


@pytest.mark.parametrize("name", ["steps", "depth_scale", "lifter_scale", "bone_weight", "motion_weight"])
def test_settings_are_not_negative(name: str) -> None:
    with pytest.raises(ValueError, match=f"fusion.{name}"):
        FusionSettings(**{name: -1})
