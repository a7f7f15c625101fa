"""Many people posed at once (torch, on any device).

Forward kinematics and linear blend skinning as the anny model does them. World frame: meters,
z up, at heading 0 the motion's own direction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from unipose_training.synthetic.bank.types import BodyBank, LightPerson


@dataclass(frozen=True, eq=False)
class BankTensors:
    """A bank on a device; P people padded to V vertices and T triangles.

    Attributes:
        vertices: (P, V, 3); padding repeats the first vertex.
        faces: (P, T, 3); padding is (0, 0, 0), which has no area.
        look: (P, T).
        skin: (P, V, B) weights.
        heads: (P, B, 3).
        alignments: (P, S, B, 3, 3).
        joint_points: (P, J, B, 3).
        joint_shares: (J, B).
        parents: (B,) the root is its own parent.
        ancestors: (B, B) row b has ones at the bones on the way from the root's child to b.
        rotations: (F, B, 3, 3).
        airborne: (F,).
        source_of_pose: (F,).
    """

    vertices: Tensor
    faces: Tensor
    look: Tensor
    skin: Tensor
    heads: Tensor
    alignments: Tensor
    joint_points: Tensor
    joint_shares: Tensor
    parents: Tensor
    ancestors: Tensor
    rotations: Tensor
    airborne: Tensor
    source_of_pose: Tensor

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.vertices.device


def to_tensors(bank: BodyBank, device: torch.device | str = "cpu") -> BankTensors:
    """Unpack a bank for posing on a device."""
    people, poses = bank.people, bank.poses
    vertices = max(len(person.vertices) for person in people)
    faces = max(len(person.faces) for person in people)

    def stacked(values: list[Tensor]) -> Tensor:
        return torch.stack(values).to(device)

    return BankTensors(
        vertices=stacked([_padded(torch.from_numpy(p.vertices), vertices) for p in people]),
        faces=stacked([_padded(torch.from_numpy(p.faces), faces, fill=0) for p in people]),
        look=stacked([_padded(torch.from_numpy(p.look), faces, fill=0) for p in people]),
        skin=stacked([_padded(_dense_weights(p), vertices) for p in people]),
        heads=stacked([torch.from_numpy(p.heads) for p in people]),
        alignments=rotation_matrices(stacked([torch.from_numpy(p.alignments) for p in people])),
        joint_points=stacked([torch.from_numpy(p.joint_points) for p in people]),
        joint_shares=torch.from_numpy(bank.joint_shares).to(device),
        parents=torch.from_numpy(bank.parents).clamp(min=0).to(device),
        ancestors=torch.from_numpy(_ancestors(bank.parents)).to(device),
        rotations=rotation_matrices(torch.from_numpy(poses.rotations).to(device)),
        airborne=torch.from_numpy(poses.airborne).to(device),
        source_of_pose=torch.from_numpy(poses.sources[poses.clip_of_poses()]).to(device),
    )


def _padded(values: Tensor, length: int, fill: int | None = None) -> Tensor:
    """Repeat the first row, or ``fill``, up to a length."""
    row = values[:1] if fill is None else torch.full_like(values[:1], fill)
    return torch.cat([values, row.expand(length - len(values), *values.shape[1:])])


def _dense_weights(person: LightPerson) -> Tensor:
    shares = torch.from_numpy(person.weights)[..., None] * one_hot(torch.from_numpy(person.bones), len(person.heads))
    return shares.sum(dim=1)


def _ancestors(
    parents: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    table = np.zeros((len(parents), len(parents)), np.float32)
    for bone, parent in enumerate(parents):
        if parent >= 0:
            table[bone] = table[parent]
            table[bone, bone] = 1
    return table


def rotation_matrices(quaternions: Tensor) -> Tensor:
    """(..., 4) quaternions xyzw, unit up to rounding -> (..., 3, 3)."""
    x, y, z, w = torch.nn.functional.normalize(quaternions, dim=-1).unbind(-1)
    rows = (
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
    )  # fmt: skip
    return torch.stack(rows, dim=-1).reshape(*quaternions.shape[:-1], 3, 3)


@dataclass(frozen=True, eq=False)
class PosedPeople:
    """N people in the world.

    Attributes:
        vertices: (N, V, 3) meters.
        joints: (N, 23, 3) meters, in the order of COCO23.
        hips: (N,) meters, height of the hips' bone above the lowest point.
    """

    vertices: Tensor
    joints: Tensor
    hips: Tensor


def pose_people(bank: BankTensors, body: Tensor, pose: Tensor, place: Tensor, heading: Tensor) -> PosedPeople:
    """Put people of the bank into poses of the bank.

    The lowest point of each stands on the floor, or above it where the motion jumps.

    Args:
        body, pose: (N,) indices.
        place: (N, 3) meters: hips' x and y, and the height of what the person stands on.
        heading: (N,) radians, turned about the vertical.
    """
    turns = bank.rotations[pose] @ bank.alignments[body, bank.source_of_pose[pose]]
    return pose_by_turns(bank, body, turns, bank.airborne[pose], place, heading)


def pose_by_turns(
    bank: BankTensors, body: Tensor, turns: Tensor, airborne: Tensor, place: Tensor, heading: Tensor
) -> PosedPeople:
    """Put people of the bank into any poses; see :func:`pose_people`.

    Args:
        turns: (N, B, 3, 3) of each bone from the body's own rest, before the heading.
        airborne: (N,) meters between the lowest point and what the person stands on.
    """
    turns = _about_z(heading)[:, None] @ turns
    shifts = _bone_shifts(bank, body, turns)
    motion = torch.cat([turns, shifts[..., None]], dim=-1).flatten(2)
    blended = torch.bmm(bank.skin[body], motion).reshape(*bank.vertices[body].shape[:2], 3, 4)
    vertices = (blended[..., :3] @ bank.vertices[body][..., None])[..., 0] + blended[..., 3]
    joints = torch.einsum("nbrc,njbc->njr", turns, bank.joint_points[body]) + bank.joint_shares @ shifts
    hips = -vertices[..., 2].amin(dim=1)
    shift = torch.stack([place[:, 0], place[:, 1], place[:, 2] + airborne + hips], dim=-1)[:, None]
    return PosedPeople(vertices + shift, joints + shift, hips)


def _about_z(angle: Tensor) -> Tensor:
    c, s, one = angle.cos(), angle.sin(), torch.ones_like(angle)
    zero = torch.zeros_like(angle)
    return torch.stack([c, -s, zero, s, c, zero, zero, zero, one], dim=-1).reshape(-1, 3, 3)


def _bone_shifts(bank: BankTensors, body: Tensor, turns: Tensor) -> Tensor:
    """(N, B, 3) translation of each bone's motion from rest; the hips stay at the origin."""
    heads = bank.heads[body]
    steps = (turns[:, bank.parents] @ (heads - heads[:, bank.parents])[..., None])[..., 0]
    moved = bank.ancestors @ steps
    return moved - (turns @ heads[..., None])[..., 0]
