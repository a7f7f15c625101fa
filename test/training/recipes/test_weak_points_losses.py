"""The terms of stage A: nothing to say against the ground truth, something against anything else."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from unipose_ros.camera import Camera, points_to_depth, project
from unipose_ros.frame import JointStatus
from unipose_ros.joint_sets import ITOP15
from unipose_training.losses.body import itop_priors, keypoint_priors
from unipose_training.recipes.weak_points import (
    LabelWeights,
    LossWeights,
    WeakLossSettings,
    depth_weights,
    weak_losses,
    with_noise,
)
from unipose_training.samples.dataset import PersonBatch

CAMERA = Camera(fx=150, fy=150, cx=79.5, cy=59.5, width=160, height=120)
FRAMES, JOINTS = 4, len(ITOP15)
PRIORS = itop_priors()
EVERY = WeakLossSettings(LossWeights(**{each.name: 1.0 for each in fields(LossWeights)}))
#: Terms that a label has a part in.
LABELLED = ("ray", "pixel", "surface", "scale")


def body() -> np.ndarray:
    """(15, 3) a person with bones of ITOP's lengths, neck and torso in the middle, 2.6 m away."""
    length = {ITOP15.joints[bone.child].rpartition("_")[2]: bone.length for bone in ITOP15.bones}
    at = {"torso": np.zeros(3), "neck": np.array([0, -length["neck"], 0])}
    at["head"] = at["neck"] + [0, -length["head"], 0]
    for side, sign in (("left", 1), ("right", -1)):
        at[f"{side}_shoulder"] = at["neck"] + [sign * length["shoulder"], 0, 0]
        at[f"{side}_elbow"] = at[f"{side}_shoulder"] + [0, length["elbow"], 0]
        at[f"{side}_hand"] = at[f"{side}_elbow"] + [0, 0, -length["hand"]]
        width = (length["hip"] ** 2 - length["neck"] ** 2) ** 0.5 if length["hip"] > length["neck"] else 0.1
        at[f"{side}_hip"] = np.array([sign * width, length["neck"], 0])
        at[f"{side}_knee"] = at[f"{side}_hip"] + [0, length["knee"], 0]
        at[f"{side}_foot"] = at[f"{side}_knee"] + [0, length["foot"], 0]
    return np.stack([at[joint] for joint in ITOP15.joints]) + [0, -0.3, 2.6]


def skin(joints: np.ndarray) -> np.ndarray:
    """(N, 3) points 3 cm from the bones."""
    random = np.random.default_rng(0)
    directions = random.normal(size=(2000, 3))
    directions *= 0.03 / np.linalg.norm(directions, axis=1, keepdims=True)
    along = random.uniform(size=(2000, 1))
    return np.concatenate(
        [joints[b.parent] + along * (joints[b.child] - joints[b.parent]) + directions for b in ITOP15.bones]
    )


def scene() -> tuple[Tensor, PersonBatch]:
    """The true joints of one person who stands still, and what a camera and a faultless 2D network predict."""
    joints = body()
    surface = skin(joints)
    ground_truth = torch.tensor(joints, dtype=torch.float32).expand(1, FRAMES, JOINTS, 3).clone()
    center = torch.tensor([[0.0, -0.3, 2.6]])
    points = torch.tensor(surface[:: len(surface) // 512], dtype=torch.float32)[:512] - center
    depth = torch.tensor(points_to_depth(CAMERA, surface.astype(np.float32)))
    camera = torch.tensor([CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy]).expand(1, FRAMES, 4)
    ones = torch.ones(1, FRAMES, JOINTS)
    pixels = torch.tensor(project(CAMERA, joints), dtype=torch.float32).expand(1, FRAMES, JOINTS, 2)
    batch = PersonBatch(
        rows=torch.zeros(1, dtype=torch.long),
        valid=torch.ones(1, FRAMES, dtype=torch.bool),
        points=points.expand(1, FRAMES, -1, 3),
        centers=center,
        depth=depth.expand(1, FRAMES, -1, -1),
        depth_camera=camera,
        color=torch.zeros(0),
        color_camera=torch.zeros(0),
        distances=torch.full((1, FRAMES), 2.57),
        camera=camera,
        pixels=pixels.clone(),
        confidence=0.8 * ones,
        keypoints=torch.zeros(1, FRAMES, 17, 3),
        lifted=ground_truth.clone(),
        lifted_variance=0.01 * ones,
        lifted_confidence=0.8 * ones,
        lifted_status=torch.full((1, FRAMES, JOINTS), int(JointStatus.MEASURED), dtype=torch.uint8),
        size=torch.ones(1, FRAMES),
        ground_truth=ground_truth.clone(),
        visible=ones.bool(),
    )
    return ground_truth, batch


def terms_of(joints: Tensor, batch: PersonBatch, settings: WeakLossSettings = EVERY,
             log_scales: Tensor | None = None) -> dict[str, Tensor]:  # fmt: skip
    scales = torch.zeros(joints.shape[:-1]) if log_scales is None else log_scales
    return weak_losses(joints, scales, batch, PRIORS, settings)


def without_keypoints(batch: PersonBatch) -> PersonBatch:
    return batch._replace(
        pixels=torch.full_like(batch.pixels, torch.nan),
        confidence=torch.zeros_like(batch.confidence),
        lifted=torch.full_like(batch.lifted, torch.nan),
        lifted_confidence=torch.zeros_like(batch.lifted_confidence),
        lifted_status=torch.full_like(batch.lifted_status, int(JointStatus.MISSING)),
    )


@pytest.mark.parametrize("name", [each.name for each in fields(LossWeights)])
def test_the_ground_truth_is_without_fault(name: str) -> None:
    ground_truth, batch = scene()
    assert terms_of(ground_truth, batch)[name] == pytest.approx(0, abs=2e-5)


@pytest.mark.parametrize("name", [each.name for each in fields(LossWeights) if each.name != "scale"])
def test_other_joints_are_at_fault(name: str) -> None:
    ground_truth, batch = scene()
    wrong = ground_truth + 0.3 * torch.randn(ground_truth.shape, generator=torch.Generator().manual_seed(0))
    assert terms_of(wrong, batch)[name] > 1e-3


@pytest.mark.parametrize("name", [each.name for each in fields(LossWeights)])
def test_weights_scale_their_terms_and_0_leaves_one_out(name: str) -> None:
    ground_truth, batch = scene()
    wrong = ground_truth + 0.1
    usual = terms_of(wrong, batch)
    doubled = terms_of(wrong, batch, replace(EVERY, terms=replace(EVERY.terms, **{name: 2.0})))
    left_out = terms_of(wrong, batch, replace(EVERY, terms=replace(EVERY.terms, **{name: 0.0})))
    assert usual.keys() == {each.name for each in fields(LossWeights)}
    assert doubled[name] == pytest.approx(2 * float(usual[name]))
    assert left_out.keys() == usual.keys() - {name}
    assert all(left_out[other] == usual[other] for other in left_out)


def test_one_frame_has_no_terms_over_time() -> None:
    ground_truth, batch = scene()
    first = PersonBatch(*(part[:, :1] if part.dim() > 2 and part.numel() else part for part in batch))
    first = first._replace(valid=batch.valid[:, :1], distances=batch.distances[:, :1], size=batch.size[:, :1])
    assert terms_of(ground_truth[:, :1], first).keys() == terms_of(ground_truth, batch).keys() - {"constancy", "motion"}


def test_gradients_are_finite_whatever_is_missing() -> None:
    ground_truth, batch = scene()
    batch.pixels[:, :, 3:6] = torch.nan
    batch.lifted[:, 1, 5:] = torch.nan
    batch = batch._replace(depth=torch.where(batch.depth > 2.55, batch.depth, torch.nan))
    for joints in (
        ground_truth,
        ground_truth + 0.2,
        torch.zeros_like(ground_truth),
        ground_truth - torch.tensor([0.0, 0.0, 5.0]),
    ):
        joints = joints.clone().requires_grad_()
        scales = torch.zeros(joints.shape[:-1], requires_grad=True)
        loss = sum(terms_of(joints, batch, log_scales=scales).values())
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(joints.grad).all()
        assert torch.isfinite(scales.grad).all()


def test_without_keypoints_labels_do_not_train() -> None:
    ground_truth, batch = scene()
    joints = (ground_truth + 0.2).requires_grad_()
    scales = torch.ones(joints.shape[:-1], requires_grad=True)
    terms = terms_of(joints, without_keypoints(batch), log_scales=scales)
    labeled = sum(terms[name] for name in LABELLED)
    labeled.backward(retain_graph=True)
    assert labeled == 0
    assert not joints.grad.any()
    assert not scales.grad.any()
    sum(terms.values()).backward()
    assert torch.isfinite(joints.grad).all()


def test_the_ground_truth_is_not_read() -> None:
    ground_truth, batch = scene()
    blind = batch._replace(
        ground_truth=torch.full_like(ground_truth, torch.nan), visible=torch.zeros_like(batch.visible)
    )
    wrong = ground_truth + 0.1
    usual, without = terms_of(wrong, batch), terms_of(wrong, blind)
    assert all(usual[name] == without[name] for name in usual)


def test_frames_that_are_not_there_do_not_train_by_labels() -> None:
    ground_truth, batch = scene()
    batch = batch._replace(valid=torch.tensor([[False, False, True, True]]))
    wrong = ground_truth.clone()
    wrong[:, :2] += 0.5
    terms = terms_of(wrong, batch)
    assert all(terms[name] == pytest.approx(0, abs=2e-5) for name in (*LABELLED, "constancy", "motion"))


def test_the_scale_does_not_move_the_joints() -> None:
    ground_truth, batch = scene()
    joints = (ground_truth + 0.2).requires_grad_()
    scales = torch.zeros(joints.shape[:-1], requires_grad=True)
    terms_of(joints, batch, log_scales=scales)["scale"].backward()
    assert joints.grad is None or not joints.grad.any()
    assert (scales.grad > 0).all()  # a scale of 1 m is far too large for 20 cm


def test_depths_that_only_follow_from_bones_count_less() -> None:
    _, batch = scene()
    batch.lifted_status[:, :, 4] = int(JointStatus.INFERRED)
    weights = depth_weights(batch, LabelWeights(inferred=0.25))
    assert weights[0, 0, 4] == pytest.approx(0.2)
    assert weights[0, 0, 5] == pytest.approx(0.8)


def test_more_power_believes_the_sure_ones() -> None:
    ground_truth, batch = scene()
    wrong = ground_truth + torch.tensor([0.1, 0.0, 0.0])
    settings = [WeakLossSettings(label_weights=LabelWeights(confidence_exponent=power)) for power in (1, 3)]
    usual, strict = (terms_of(wrong, batch, each)["ray"] for each in settings)
    assert strict == pytest.approx(0.8**2 * float(usual))


def test_noise_displaces_keypoints_by_meters_and_always_alike() -> None:
    ground_truth, batch = scene()
    many = PersonBatch(*(value.expand(200, *value.shape[1:]) if len(value) else value for value in batch))
    many = many._replace(rows=torch.arange(200))
    noisy = with_noise(many, 0.1)
    meters = (noisy.pixels - many.pixels) * 2.57 / many.camera[..., None, :2]
    assert float(meters.std()) == pytest.approx(0.1, rel=0.05)
    assert torch.equal(noisy.pixels, with_noise(many, 0.1).pixels)
    assert not torch.equal(noisy.pixels[0], noisy.pixels[1])
    loud = terms_of(ground_truth, batch, WeakLossSettings(label_weights=LabelWeights(noise_std=0.1)))["ray"]
    assert loud > 0.02
    assert terms_of(ground_truth, batch)["ray"] < 1e-4


def test_priors_of_keypoints_differ_from_those_of_itop() -> None:
    ours, theirs = keypoint_priors(), itop_priors()
    hip = next(n for n, bone in enumerate(ITOP15.bones) if ITOP15.joints[bone.child] == "left_hip")
    assert not torch.allclose(ours.bone_means, theirs.bone_means)
    assert torch.allclose(ours.bone_stds, 0.05 * ours.bone_means)
    assert 0.2 < ours.bone_means[hip] < 0.35
    assert torch.equal(ours.pairs, theirs.pairs)


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (LossWeights, {"ray": -1.0}, "ray = -1.0"),
        (LossWeights, {"ray": 0.0, "pixel": 0.0}, "ray and pixel are both 0"),
        (LabelWeights, {"inferred": 2.0}, "inferred = 2.0"),
        (LabelWeights, {"confidence_exponent": float("nan")}, "confidence_exponent"),
        (LabelWeights, {"noise_std": -0.1}, "noise"),
    ],
)
def test_wrong_numbers_are_named(kind: type, values: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**values)
