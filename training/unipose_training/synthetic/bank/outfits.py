"""How clothes hang: MakeHuman garments, painted clothes made loose, skirts and coats.

Looseness moves the surface outwards along its normals by a thickness of each bone, weighted as the
skin is weighted, so it is smooth and costs no bytes. Skirts and coats are tubes round the hips and legs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unipose_ros.joint_sets import COCO23
from unipose_training.synthetic.body import Body, PosedBody
from unipose_training.synthetic.wardrobe import BOTTOM_LOOK, DressedPerson, Outfit, Piece, dress, fit, read_garment

Array = NDArray[np.float64]
#: Meters of stature for which lengths of cloth are given; children's clothes are smaller in proportion.
_STATURE = 1.75
#: Meters between a tube and the body.
_CLEARANCE = 0.012
#: Points around a tube, and rings along it.
_AROUND, _RINGS = 28, 9
_ARMS = ("Shoulder", "Arm", "ForeArm", "Hand", "Thumb", "FingerBase", "HandFinger1")


@dataclass(frozen=True)
class Tube:
    """A skirt, or the lower part of a coat or dress.

    Attributes:
        top, hem: heights as fractions of the way from the ankles (0) to the hips (1); above 1 is the trunk.
        flare: meters that the radius grows from top to hem.
        look: material, see :mod:`unipose_training.synthetic.wardrobe`.
    """

    top: float
    hem: float
    flare: float
    look: int = BOTTOM_LOOK


@dataclass(frozen=True)
class Cut:
    """An outfit's shape; its colors are each wearer's.

    Attributes:
        woman: whom the garments are made for.
        suit, shoes, hair: MakeHuman garments; empty for painted ones.
        thickness: meters of cloth (or hair) over each bone, by the end of the bone's name.
        tube: skirt or coat, if any.
    """

    woman: bool
    suit: str = ""
    shoes: str = ""
    hair: str = ""
    thickness: tuple[tuple[str, float], ...] = ()
    tube: Tube | None = None

    def dressed(self, body: Body, rest: Array, outfit: Outfit, clothes: Path | None) -> DressedPerson:
        """A body at rest in this outfit; its pieces have that one frame.

        Args:
            rest: (V, 3) the full body.
            outfit: colors; its garments are replaced.

        Raises:
            SyntheticError: a garment is absent or broken.
        """
        worn = replace(outfit, suit=self.suit, shoes=self.shoes, hair=self.hair)
        still = np.tile(np.eye(4), (1, len(body.bones), 1, 1))
        person = dress(body, PosedBody(rest, rest[None], still, body.joints_of(rest[None])), worn, clothes)
        tube = [_skirt(self.tube, body, rest)] if self.tube is not None else []
        pieces = [*person.pieces, *tube]
        shapes = self._loosened(body, rest, pieces)
        return replace(
            person, pieces=tuple(replace(piece, rest=shape) for piece, shape in zip(pieces, shapes, strict=True))
        )

    def vertices(self, body: Body, rest: Array, like: tuple[Piece, ...], clothes: Path | None) -> list[Array]:
        """Vertices of the same pieces on another body; much faster than dressing it."""
        shapes = [rest]
        if clothes:
            names = [name for name in (self.suit, self.shoes, self.hair) if name]
            shapes += [fit(read_garment(clothes, name), rest) for name in names]
        if self.tube is not None:
            shapes.append(_skirt(self.tube, body, rest).rest)
        worn = [replace(piece, rest=shape) for piece, shape in zip(like, shapes, strict=True)]
        return self._loosened(body, rest, worn)

    def _loosened(self, body: Body, rest: Array, pieces: list[Piece]) -> list[Array]:
        """(V, 3) vertices of all pieces, moved outwards."""
        scale = stature(body, rest) / _STATURE
        thickness = scale * np.array([_of_bone(bone, self.thickness) for bone in body.bones])
        return [
            piece.rest + (piece.bone_weights @ thickness)[:, None] * _normals(piece.rest, piece.faces)
            for piece in pieces
        ]


def stature(body: Body, rest: Array) -> float:
    """Meters from the soles to the top of the head."""
    return float(np.ptp(rest[body.skin, 2]))


def _of_bone(bone: str, thickness: tuple[tuple[str, float], ...]) -> float:
    for end, meters in thickness:
        if bone in (end, f"Left{end}", f"Right{end}", f"L{end}", f"R{end}"):
            return meters
    return 0.0


def _normals(vertices: Array, faces: NDArray[np.int64]) -> Array:
    """(V, 3) unit normals; 0 where a vertex belongs to no face."""
    corners = vertices[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(total, faces[:, corner], across)
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12))


def _skirt(tube: Tube, body: Body, rest: Array) -> Piece:
    """A tube round the body at rest, which follows the trunk above the hips and the nearer leg below."""
    joints = dict(zip(COCO23.joints, body.joints_of(rest), strict=True))
    hip = (joints["left_hip"] + joints["right_hip"]) / 2
    knee, ankle = ((joints[f"left_{name}"][2] + joints[f"right_{name}"][2]) / 2 for name in ("knee", "ankle"))
    tall = stature(body, rest)
    heights = ankle + np.linspace(tube.top, tube.hem, _RINGS) * (hip[2] - ankle)
    skin = body.skin
    of_arms = [number for number, bone in enumerate(body.bones) if bone.endswith(_ARMS)]
    trunk = skin[body.skin_weights[skin][:, of_arms].sum(axis=1) < 0.3]
    points, weights = rest[trunk], body.skin_weights[trunk]
    angles = np.arange(_AROUND) * 2 * np.pi / _AROUND
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rings, follow, radius = [], [], np.zeros(_AROUND)
    for number, height in enumerate(heights):
        near = np.abs(points[:, 2] - height) < 0.03 * tall
        outline = _radius(points[near][:, :2] - hip[:2], directions) + _CLEARANCE * tall / _STATURE
        flare = tube.flare * tall / _STATURE / (_RINGS - 1)
        radius = np.maximum(outline, radius + flare if number else 0.0)
        rings.append(np.column_stack([hip[:2] + radius[:, None] * directions, np.full(_AROUND, height)]))
        follow.append(_tube_weights(body, rings[-1], weights[near].mean(axis=0), (hip[2], knee, ankle)))
    around = np.arange(_AROUND)
    faces = []
    for ring in range(_RINGS - 1):
        a, b = ring * _AROUND + around, ring * _AROUND + (around + 1) % _AROUND
        faces += [np.stack([a, a + _AROUND, b], 1), np.stack([b, a + _AROUND, b + _AROUND], 1)]
    triangles, vertices = np.concatenate(faces), np.concatenate(rings)
    return Piece(triangles, np.full(len(triangles), tube.look), vertices, vertices[None], np.concatenate(follow))


def _radius(points: Array, directions: Array) -> Array:
    """(A,) distance of the convex outline of (N, 2) points round the origin in each direction."""
    support = np.maximum((points @ directions.T).max(axis=0), 0.0)
    cosine = directions @ directions.T
    bound = np.where(cosine > 0.05, support[None] / np.maximum(cosine, 0.05), np.inf)
    return np.asarray(bound.min(axis=1))


def _tube_weights(body: Body, ring: Array, trunk: Array, levels: tuple[float, float, float]) -> Array:
    """(A, B) weights of one ring: the trunk's at the hips, more and more the legs' below."""
    hip, knee, ankle = levels
    legs = np.zeros((len(ring), len(body.bones)))
    half = max(np.abs(ring[:, 0]).max(), 1e-6)
    left = 0.5 + 0.5 * np.clip(1.6 * ring[:, 0] / half, -1, 1)
    shin = np.clip((knee - ring[0, 2]) / max(knee - ankle, 1e-6), 0, 1) * 0.9
    for side, amount in (("Left", left), ("Right", 1 - left)):
        legs[:, body.bones.index(f"{side}UpLeg")] = amount * (1 - shin)
        legs[:, body.bones.index(f"{side}Leg")] = amount * shin
    of_trunk = trunk.copy()
    for number, bone in enumerate(body.bones):
        if bone.endswith(("UpLeg", "Leg", "Foot", "ToeBase")):
            of_trunk[number] = 0.0
    if not of_trunk.any():
        of_trunk[body.bones.index("Hips")] = 1.0
    of_trunk /= of_trunk.sum()
    fraction = 0.92 * np.clip((hip + 0.25 * (hip - knee) - ring[0, 2]) / (0.6 * (hip - knee)), 0, 1)
    return np.asarray((1 - fraction) * of_trunk + fraction * legs)
