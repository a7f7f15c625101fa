"""A person of average bones, and evidence about people that is exact until a test changes it."""

from __future__ import annotations

from typing import Any

import numpy as np

from unipose_ros.fusion.evidence import BONES, Body, Evidence, Surfaces, bone_lengths
from unipose_ros.geometry import body_model as body
from unipose_ros.joint_sets import ITOP15

JOINTS = len(ITOP15)
LIMBS = [joint for joint, name in enumerate(ITOP15.joints) if name not in ("neck", "torso")]


def person(x: float = 0.0, z: float = 3.0, size: float = 1.0) -> np.ndarray:
    """(15, 3) a person of average bones who faces the camera, arms a little away from the body, knees bent."""
    half_shoulders, half_hips = body.SHOULDER_WIDTH / 2, body.HIP_WIDTH / 2
    down = float(np.sqrt(body.FLANK_LENGTH**2 - (half_shoulders - half_hips) ** 2))
    places: dict[str, Any] = {"neck": (0, 0, 0), "head": (0, -body.NECK_LENGTH, 0)}
    upper, lower = body.LIMB_LENGTHS[0]
    thigh, shin = body.LIMB_LENGTHS[2]
    for side, sign in (("left", 1), ("right", -1)):  # the left side is on the right of the image
        shoulder = np.array([sign * half_shoulders, 0.0, 0.0])
        elbow = shoulder + upper * np.array([sign * 0.5, np.sqrt(0.75), 0.0])
        hip = np.array([sign * half_hips, down, 0.0])
        knee = hip + thigh * np.array([0.0, 0.8, -0.6])
        places |= {
            f"{side}_shoulder": shoulder, f"{side}_elbow": elbow, f"{side}_hip": hip, f"{side}_knee": knee,
            f"{side}_hand": elbow + lower * np.array([sign * 0.28, 0.0, -0.96]), f"{side}_foot": knee + [0, shin, 0],
        }  # fmt: skip
    places["torso"] = (0, down / 2, 0)
    return size * np.array([places[name] for name in ITOP15.joints], np.float64) + [x, -0.3, z]


def evidence(
    joints: np.ndarray,
    network: float = 0.05,
    rays: float = 0.02,
    surfaces: float = 0.03,
    lifter: float = 0.08,
    bodies: Body | None = None,
) -> Evidence:
    """All people says the ground truth with these standard deviations in meters; 0 says nothing.

    Args:
        joints: (N, 15, 3).
        bodies: of a population without bones when ``None``.
    """
    people = len(joints)
    nothing = np.full((people, JOINTS, 3), np.nan)
    isotropic = np.broadcast_to(np.eye(3), (people, JOINTS, 3, 3))
    slopes = joints[..., :2] / joints[..., 2:]
    has_keypoint = np.isin(np.arange(JOINTS), LIMBS)
    seen = np.where(has_keypoint[:, None], slopes, np.nan) if rays else np.full_like(slopes, np.nan)
    there = (has_keypoint & bool(surfaces))[None, :, None]
    return Evidence(
        joints=joints.copy() if network else nothing,
        covariances=(network or 1.0) ** 2 * isotropic,
        slopes=seen,
        slope_stds=np.broadcast_to((rays or 1.0) / joints[..., 2], (people, JOINTS)).copy(),
        surfaces=Surfaces(
            depths=joints[..., 2:].copy(),
            stds=np.full((people, JOINTS, 1), surfaces or 1.0),
            costs=np.where(there, 0.0, np.inf) + np.zeros((people, JOINTS, 1)),
            hidden=np.full((people, JOINTS), 2.5),
        ),
        pose=joints - joints.mean(axis=1, keepdims=True) if lifter else nothing,
        pose_covariances=(lifter or 1.0) ** 2 * isotropic,
        body=bodies or boneless(people),
    )


def boneless(people: int) -> Body:
    """Bodies of which nothing is known."""
    shape = (people, len(BONES))
    zeros, ones = np.zeros(people), np.ones(people)
    return Body(np.full(shape, 0.3), np.full(shape, 1e3), ones, zeros, 0.2 * ones)


def own_body(joints: np.ndarray, std: float = 0.02) -> Body:
    """Bodies whose bones are known."""
    lengths = bone_lengths(joints)
    zeros = np.zeros(len(joints))
    return Body(lengths, np.full(lengths.shape, std), zeros, zeros, 0.1 + zeros)
