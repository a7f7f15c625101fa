"""Families of poses in clips: a person holds trunk and legs, and moves the arms from gesture to gesture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from unipose_training.synthetic.bank.alignments import alignment_quaternions
from unipose_training.synthetic.body import Body, Shape
from unipose_training.synthetic.motion import Motion
from unipose_training.synthetic.poses.bodies import RESTING, draw_bodies
from unipose_training.synthetic.poses.compose import Base, with_arms
from unipose_training.synthetic.poses.kinematics import HANGING_REST, bone_turns
from unipose_training.synthetic.poses.rotations import random_turns
from unipose_training.synthetic.poses.settle import settled
from unipose_training.synthetic.poses.skeletons import Skeletons, matrices
from unipose_training.synthetic.retarget import retarget
from unipose_training.synthetic.rig import BONES
from unipose_training.synthetic.variety.plans import Struck

Array = NDArray[np.float64]
_BONE = {name: number for number, name in enumerate(BONES)}
#: Meters of cloth around the trunk.
_CLOTH = 0.015
#: Degrees by which people sway from key to key.
_SWAY = 1.5
_TRIES = 30
#: Who would have to tip farther does not hold.
_FARTHEST_TIP = 28.0


def struck_motion(act: Struck, body: Body, shape: Shape, frames: int, period_s: float) -> Motion:
    """What the act is for a body of that shape, facing -y, hips above the origin."""
    rng = np.random.default_rng(act.seed)
    skeletons = _skeleton(body, shape)
    turns, floor = _resting(rng, act, body, shape)
    alignments = skeletons.alignments[0, 0]
    keys = []
    for pair in act.gestures:
        swayed = random_turns(rng, 1, _SWAY)[0] @ turns
        laid = (swayed @ alignments)[None]
        base = Base(np.zeros(1, np.int64), laid, np.array([floor]), np.array([act.towards]))
        armed = with_arms(rng, skeletons, base, np.array([pair]))
        keys.append(armed.turns[0] @ alignments.transpose(0, 2, 1))
    return _between(np.stack(keys), frames, period_s, act.family)


def _skeleton(body: Body, shape: Shape) -> Skeletons:
    rest, heads = body.rest(shape), body.rest_skeleton(shape).heads[None]
    alignments = matrices(
        alignment_quaternions(HANGING_REST[None], body.bones, body.parents, heads.astype(np.float32)).astype(np.float64)
    )
    low, high = heads[0, _BONE["Hips"], 2], heads[0, _BONE["Spine1"], 2]
    strongest = body.skin_weights[body.skin].argmax(axis=1)
    of_trunk = np.isin(strongest, [_BONE[name] for name in ("Hips", "LowerBack", "Spine", "Spine1")])
    trunk = rest[body.skin][of_trunk & (rest[body.skin, 2] > low - 0.05) & (rest[body.skin, 2] < high + 0.1)]
    width = np.percentile(np.abs(trunk[:, 0]), 90)
    depth = np.ptp(np.percentile(trunk[:, 1], [10, 90])) / 2
    arms = np.array([
        np.linalg.norm(heads[0, _BONE[far]] - heads[0, _BONE[near]])
        for near, far in (("LeftArm", "LeftForeArm"), ("LeftForeArm", "LeftHand"))
    ])  # fmt: skip
    girth = np.array([[width + _CLOTH, depth + _CLOTH]])
    return Skeletons(heads, alignments, girth, arms[None], np.array([arms.sum()]), np.array(body.parents), 0)


def _resting(rng: np.random.Generator, act: Struck, body: Body, shape: Shape) -> tuple[Array, float]:
    """(B, 3, 3) turns of trunk and legs that hold, and the floor's height seen from the hips."""
    trunk = body.skin[_arm_weights(body)[body.skin] < 0.4]
    turns = np.zeros((len(BONES), 3, 3))
    floor = 0.0
    for _ in range(_TRIES):
        turns = bone_turns(draw_bodies(rng, act.family, 1))[0]
        points = _vertices(body, shape, turns)[trunk]
        angle = 0.0
        if act.family in RESTING:
            turn, angle = settled(points, np.ones(len(points)))
            turns, points = turn @ turns, points @ turn.T
        floor = float(points[:, 2].min())
        if angle < _FARTHEST_TIP:
            break
    return turns, floor


def _arm_weights(body: Body) -> Array:
    ends = ("Arm", "ForeArm", "Hand", "Thumb", "FingerBase", "HandFinger1")
    return np.asarray(body.skin_weights[:, [bone.endswith(ends) for bone in body.bones]].sum(axis=1))


def _vertices(body: Body, shape: Shape, turns: Array) -> Array:
    """(V, 3) of a body, its hips at the origin."""
    still = _motion(np.stack([turns, turns]), 1.0, "pose")
    return np.asarray(body.pose(shape, retarget(still, body.rest_skeleton(shape))[:1]).vertices[0])


def _motion(turns: Array, period_s: float, name: str) -> Motion:
    return Motion(name, BONES, turns, HANGING_REST, np.zeros((len(turns), 3)), period_s)


def _between(keys: Array, frames: int, period_s: float, name: str) -> Motion:
    """From key to key, slowing down at each."""
    if len(keys) == 1:
        return _motion(np.repeat(keys, frames, axis=0), period_s, name)
    at = np.linspace(0, len(keys) - 1, frames)
    first = np.minimum(at.astype(int), len(keys) - 2)
    way = at - first
    smooth = first + way * way * (3 - 2 * way)
    turns = np.empty((frames, len(BONES), 3, 3))
    for bone in range(len(BONES)):
        turns[:, bone] = Slerp(np.arange(len(keys)), Rotation.from_matrix(keys[:, bone]))(smooth).as_matrix()
    return _motion(turns, period_s, name)
