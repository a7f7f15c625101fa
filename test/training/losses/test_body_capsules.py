"""The unlabeled terms alone, from 2D keypoints and depth, lead a small network to the joints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from unipose_ros.camera import Camera, points_to_depth, project
from unipose_ros.codecs.points import PointCloudConfig, collate, encode_person, stack_clip
from unipose_ros.frame import RgbdFrame
from unipose_ros.joint_sets import ITOP15
from unipose_ros.networks.points import PointNetwork, PointNetworkConfig
from unipose_training.losses.body import bone_constancy_loss, bone_prior_loss, itop_priors, motion_loss, symmetry_loss
from unipose_training.losses.projection import (
    cloud_support_loss,
    free_space_loss,
    limb_cover_loss,
    ray_loss,
    sample_depth,
    surface_loss,
    view_rays,
)

CAMERA = Camera(fx=150, fy=150, cx=79.5, cy=59.5, width=160, height=120)
CODEC = PointCloudConfig(points=256, centers=32, cell=0.03)
FRAMES, CLIPS, STEPS = 3, 8, 250
#: Meters, by the joint at the bone's far end.
RADII = {
    "head": 0.09, "neck": 0.1, "shoulder": 0.06, "elbow": 0.045, "hand": 0.035, "hip": 0.1, "knee": 0.07, "foot": 0.05,
}  # fmt: skip
PRIORS = itop_priors()


def capsule_joints(yaw: float, phase: float) -> np.ndarray:
    """(15, 3) a person who walks on the spot, 2.6 m away."""
    swing = 0.4 * np.sin(phase)
    down = np.array([0.0, 1.0, 0.0])

    def forward(angle: float, out: float = 0.0) -> np.ndarray:
        return np.array([np.sin(out), np.cos(angle) * np.cos(out), -np.sin(angle)])

    at = {"torso": np.zeros(3), "neck": -0.25 * down, "head": -0.5 * down}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        arm, leg = -sign * swing, sign * swing
        at[f"{side}_shoulder"] = at["neck"] + [0.181 * sign, 0.0, 0.0]
        at[f"{side}_elbow"] = at[f"{side}_shoulder"] + 0.31 * forward(arm, 0.25 * sign)
        at[f"{side}_hand"] = at[f"{side}_elbow"] + 0.32 * forward(arm + 0.4, 0.1 * sign)
        at[f"{side}_hip"] = at["torso"] + [0.114 * sign, 0.25, 0.0]
        at[f"{side}_knee"] = at[f"{side}_hip"] + 0.505 * forward(leg)
        at[f"{side}_foot"] = at[f"{side}_knee"] + 0.487 * forward(leg - 0.2)
    body = np.stack([at[joint] for joint in ITOP15.joints])
    cos, sin = np.cos(yaw), np.sin(yaw)
    return body @ np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]]) + [0, -0.35, 2.6]


def capsule_depth(joints: np.ndarray) -> np.ndarray:
    """Depth image of capsules around the bones."""
    random = np.random.default_rng(0)
    directions = random.normal(size=(12000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    along = random.uniform(size=(12000, 1))
    surface = []
    for bone in ITOP15.bones:
        radius = RADII[ITOP15.joints[bone.child].rpartition("_")[2]]
        start = joints[bone.child] if ITOP15.joints[bone.child] == "head" else joints[bone.parent]
        surface.append(start + along * (joints[bone.child] - start) + radius * directions)
    return points_to_depth(CAMERA, np.concatenate(surface).astype(np.float32))


@dataclass(frozen=True, eq=False)
class Clips:
    """All clips: (B, T, ...) each; joints are the ground truth, for evaluation alone."""

    points: Tensor
    centers: Tensor
    joints: Tensor
    pixels: Tensor
    depth: Tensor


def make_clips() -> Clips:
    random = np.random.default_rng(0)
    rows = []
    for clip in range(CLIPS):
        yaw, start = random.uniform(-0.8, 0.8), random.uniform(0, 2 * np.pi)
        joints = np.stack([capsule_joints(yaw, start + 0.15 * t) for t in range(FRAMES)])
        depth = np.stack([capsule_depth(each) for each in joints])
        samples = []
        for t in range(FRAMES):
            pixels = project(CAMERA, joints[t])
            box = np.concatenate([pixels.min(axis=0), pixels.max(axis=0)])
            samples.append(encode_person(RgbdFrame(clip, "", CAMERA, depth=depth[t]), box, 2.6, CODEC))
        rows.append((stack_clip(samples), joints, depth))
    stacked, joints, depth = zip(*rows, strict=True)
    return Clips(
        collate(stacked),
        torch.tensor(np.stack([sample.center for sample in stacked]))[:, None, None],
        torch.tensor(np.stack(joints), dtype=torch.float32),
        torch.tensor(project(CAMERA, np.stack(joints)), dtype=torch.float32),
        torch.tensor(np.stack(depth)),
    )


def unlabeled_loss(joints: Tensor, clips: Clips) -> Tensor:
    """All terms of stage A with the weights they start from; joints are (B, T, J, 3) in the camera."""
    flat, depth = joints.flatten(0, 1), clips.depth.flatten(0, 1)
    intrinsics = torch.tensor([CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy]).expand(len(flat), 4)
    pixels = clips.pixels.flatten(0, 1)
    points = (clips.points + clips.centers).flatten(0, 1)
    given, ones = torch.ones(points.shape[:2], dtype=torch.bool), torch.ones(flat.shape[:2])
    size, reference = torch.ones(len(flat)), points[..., 2].median(1).values
    surface = sample_depth(depth, pixels)
    return (
        ray_loss(flat, view_rays(pixels, intrinsics), ones)
        + 0.5 * surface_loss(flat, surface, PRIORS.surface_offsets, ones, reference)
        + 0.5 * free_space_loss(flat, depth, intrinsics)
        + 0.1 * cloud_support_loss(flat, points, given, PRIORS.support_radii)
        + 0.1 * limb_cover_loss(flat, points, given, PRIORS.bones, PRIORS.bone_radii)
        + 0.1 * symmetry_loss(flat, PRIORS.pairs)
        + 0.1 * bone_prior_loss(flat, PRIORS.bones, PRIORS.bone_means, PRIORS.bone_stds, size)
        + 0.1 * bone_constancy_loss(joints, PRIORS.bones, torch.ones(joints.shape[:2]))
        + 0.05 * motion_loss(joints, PRIORS.stillness, torch.ones(len(joints), FRAMES - 2))
    )


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_two_d_and_depth_alone_lead_to_the_joints() -> None:
    torch.manual_seed(0)
    clips = make_clips()
    network = PointNetwork(
        PointNetworkConfig(
            points=256, frames=FRAMES, centers=32, neighbors=12, edge=(32,), width=64, layers=2, hidden=128
        )
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        loss = unlabeled_loss(network(clips.points).joints + clips.centers, clips)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        found = network(clips.points).joints + clips.centers
    error = (found - clips.joints).norm(dim=-1).mean()
    assert error < 0.04
