"""Who is heard, and how much, when several say where joints are."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from unipose_ros.joint_sets import ITOP15
from unipose_training.losses.body_priors import keypoint_priors
from unipose_training.losses.robust import bone_lengths
from unipose_training.pseudo_labels.fusion import FusedPoses, FusionSettings, chains, fuse_trajectories
from unipose_training.pseudo_labels.observations import (
    Observations,
    RootRelativePoses,
    lifted_spreads,
    slice_observations,
)

PRIORS = keypoint_priors()
HAND = ITOP15.index("right_hand")
#: Nothing but what is claimed.
BARE = FusionSettings(bones=0, motion=0)


def standing(rows: int) -> Tensor:
    """(rows, 15, 3) meters: somebody of the usual lengths who walks 5 cm a frame, 3 m away."""
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


def claims(truth: Tensor, **changes: Tensor | RootRelativePoses) -> Observations:
    """All say the same, each within 3 cm, of one person in successive frames."""
    rows = len(truth)
    spreads = torch.full(truth.shape[:2], 0.03)
    said = Observations(
        joints=truth.clone(),
        spreads=spreads,
        lifted=truth.clone(),
        lifted_spreads=spreads,
        shapes=RootRelativePoses(truth - torch.tensor([0.3, -0.2, 2.0]), spreads),
        size=torch.ones(rows),
        before=torch.arange(rows) - 1,
        seconds=torch.full((rows,), 0.1),
    )
    return said._replace(**changes)


def moved(joints: Tensor, row: int, by: float) -> Tensor:
    """The right hand elsewhere in one row."""
    joints = joints.clone()
    joints[row, HAND, 2] += by
    return joints


def error(fitted: FusedPoses, truth: Tensor, row: int) -> float:
    return float((fitted.joints - truth)[row, HAND].norm())


def test_what_all_say_stays() -> None:
    truth = standing(5)
    fitted = fuse_trajectories(claims(truth), PRIORS, FusionSettings())
    assert (fitted.joints - truth).abs().max() < 0.004


def test_who_is_far_from_the_others_is_not_heard() -> None:
    truth = standing(1)
    for name in ("joints", "lifted"):
        fitted = fuse_trajectories(claims(truth, **{name: moved(truth, 0, 0.5)}), PRIORS, BARE)
        assert error(fitted, truth, 0) < 0.02
    shapes = claims(truth).shapes
    fitted = fuse_trajectories(claims(truth, shapes=shapes._replace(joints=moved(shapes.joints, 0, 0.5))), PRIORS, BARE)
    assert error(fitted, truth, 0) < 0.02


def test_the_surer_one_counts_more() -> None:
    truth = standing(1)
    settings = FusionSettings(bones=0, motion=0, shapes=0, lifted=1)
    said = claims(truth, lifted=moved(truth, 0, 0.05))
    assert error(fuse_trajectories(said, PRIORS, settings), truth, 0) == pytest.approx(0.025, abs=0.002)
    sure = said._replace(lifted_spreads=said.lifted_spreads / 4)
    assert error(fuse_trajectories(sure, PRIORS, settings), truth, 0) > 0.04


def test_a_jump_of_one_frame_is_no_motion() -> None:
    truth = standing(7)
    said = claims(truth, joints=moved(truth, 3, 0.3), lifted=moved(truth, 3, 0.3))
    said = said._replace(shapes=said.shapes._replace(joints=torch.full_like(truth, torch.nan)))
    alone = error(fuse_trajectories(said, PRIORS, FusionSettings(bones=0, motion=0)), truth, 3)
    steady = error(fuse_trajectories(said, PRIORS, FusionSettings(bones=0, motion=4)), truth, 3)
    assert alone == pytest.approx(0.3, abs=0.01)
    assert steady < 0.8 * alone


def test_a_bone_has_one_length() -> None:
    truth = standing(6)
    said = claims(truth, joints=moved(truth, 2, 0.1), lifted=moved(truth, 2, 0.1))
    said = said._replace(shapes=said.shapes._replace(joints=torch.full_like(truth, torch.nan)))
    forearm = PRIORS.bones[(PRIORS.bones[:, 1] == HAND)]
    spreads = [
        float(bone_lengths(fuse_trajectories(said, PRIORS, settings).joints, forearm).std())
        for settings in (FusionSettings(motion=0, bones=0), FusionSettings(motion=0, bones=4))
    ]
    assert spreads[1] < 0.7 * spreads[0]


def test_a_lifter_that_says_people_are_small_may_be_right_about_the_pose() -> None:
    truth = standing(3)
    said = claims(truth)
    said = said._replace(
        joints=torch.where(torch.arange(15)[:, None] == HAND, torch.nan, truth),
        lifted=torch.where(torch.arange(15)[:, None] == HAND, torch.nan, truth),
        shapes=said.shapes._replace(joints=0.93 * said.shapes.joints),
    )
    fitted = fuse_trajectories(said, PRIORS, BARE)
    assert fitted.joints[:, HAND].isnan().all(), "neither network nor keypoints said where it is"
    assert (fitted.joints - truth)[:, :4].abs().max() < 0.01


def test_nothing_said_changes_nothing() -> None:
    truth = standing(3)
    nothing = torch.full_like(truth, torch.nan)
    unknown = torch.full(truth.shape[:2], torch.nan)
    said = claims(
        truth, lifted=nothing, lifted_spreads=unknown, shapes=RootRelativePoses(nothing, unknown), before=-torch.ones(3)
    )
    said = said._replace(before=said.before.long())
    fitted = fuse_trajectories(said, PRIORS, BARE)
    assert (fitted.joints - truth).abs().max() < 1e-4
    assert fitted.log_scales.isfinite().all()


def test_doubt_shrinks_with_those_who_agree_and_grows_with_those_who_do_not() -> None:
    truth = standing(1)
    doubt = lambda said: float(fuse_trajectories(said, PRIORS, BARE).log_scales[0, HAND].exp())  # noqa: E731
    nothing = RootRelativePoses(torch.full_like(truth, torch.nan), torch.full(truth.shape[:2], torch.nan))
    assert doubt(claims(truth)) < doubt(claims(truth, shapes=nothing))
    assert doubt(claims(truth)) < doubt(claims(truth, lifted=moved(truth, 0, 0.3)))


def test_no_steps_are_the_network_itself() -> None:
    said = claims(moved(standing(2), 1, 0.1))
    fitted = fuse_trajectories(said, PRIORS, FusionSettings(steps=0))
    assert torch.equal(fitted.joints, said.joints)
    assert fitted.log_scales[0, 0].item() == pytest.approx(math.log(0.03 / 2**0.5))


def test_people_are_told_by_their_frames() -> None:
    # Two people in turn, and a third who begins later.
    before = torch.tensor([-1, -1, 0, 1, 2, 3, -1, 5])
    assert chains(before).tolist() == [0, 1, 0, 1, 0, 1, 2, 1]


def test_pieces_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = standing(4)
    one = claims(truth, joints=moved(truth, 2, 0.1))
    both = twice(one)
    whole = fuse_trajectories(both, PRIORS, FusionSettings(steps=60))
    monkeypatch.setattr("unipose_training.pseudo_labels.fusion._AT_ONCE", 3)
    pieces = fuse_trajectories(both, PRIORS, FusionSettings(steps=60))
    alone = fuse_trajectories(one, PRIORS, FusionSettings(steps=60))
    assert torch.allclose(whole.joints, pieces.joints, atol=1e-4)
    assert torch.allclose(pieces.joints[4:], alone.joints, atol=1e-4)


def twice(said: Observations) -> Observations:
    """The same person once more, as somebody else."""
    doubled = {name: torch.cat([value] * 2) for name, value in said._asdict().items() if name != "shapes"}
    before = torch.where(said.before >= 0, said.before + len(said.before), -1)
    shapes = RootRelativePoses(*(torch.cat([value] * 2) for value in said.shapes))
    return Observations(**doubled | {"before": torch.cat([said.before, before])}, shapes=shapes)


def test_a_doubtful_keypoint_may_be_anywhere() -> None:
    variance = torch.tensor([0.0016, 0.0016])
    spreads = lifted_spreads(variance, torch.tensor([1.0, 0.1]))
    assert spreads.tolist() == pytest.approx([0.05, 0.5])


def test_a_part_links_its_own_rows() -> None:
    both = twice(claims(standing(4)))
    assert slice_observations(both, 4, 8).before.tolist() == [-1, 0, 1, 2]


@pytest.mark.parametrize("name", ["steps", "lifted", "shapes", "bones", "motion"])
def test_settings_are_not_negative(name: str) -> None:
    with pytest.raises(ValueError, match=f"fit.{name}"):
        FusionSettings(**{name: -1})
