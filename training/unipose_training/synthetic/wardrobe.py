"""What people wear: MakeHuman garments, or paint on the skin where there are none."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unipose_ros.joint_sets import COCO23
from unipose_training.synthetic.body import Body, PosedBody
from unipose_training.synthetic.garments import Garment, bone_weights, fit, follow, read_garment
from unipose_training.synthetic.materials import Mark, Material
from unipose_training.synthetic.surfaces import Surface

Array = NDArray[np.float64]


SKIN = Material((0.80, 0.60, 0.48), grain=0.03)
SHIRT = Material((0.23, 0.36, 0.55), grain=0.08)
TROUSERS = Material((0.20, 0.21, 0.26), grain=0.08)
LEATHER = Material((0.25, 0.16, 0.11))
BROWN_HAIR = Material((0.16, 0.10, 0.07), grain=0.35, grain_size=0.012)


@dataclass(frozen=True)
class Outfit:
    """Looks, and the garments by name; without names the clothes are painted on.

    Attributes:
        suit, shoes, hair: garment names in the clothes folder.
        skin, top, bottom, footwear, hair_look: the looks.
    """

    suit: str = ""
    shoes: str = ""
    hair: str = ""
    skin: Material = SKIN
    top: Material = SHIRT
    bottom: Material = TROUSERS
    footwear: Material = LEATHER
    hair_look: Material = BROWN_HAIR


@dataclass(frozen=True, eq=False)
class Piece:
    """One garment, or the skin, of one body.

    Attributes:
        faces: (T, 3).
        look: (T,) index into the person's materials.
        rest: (V, 3) meters.
        frames: (F, V, 3) meters, world.
        bone_weights: (V, B) how much each vertex follows each bone.
    """

    faces: NDArray[np.int64]
    look: NDArray[np.int64]
    rest: Array
    frames: Array
    bone_weights: Array


@dataclass(frozen=True, eq=False)
class DressedPerson:
    """A person in all frames.

    Attributes:
        joints: (F, 23, 3) meters, world, in the order of COCO23.
        materials: looks of all pieces.
        pieces: skin and garments.
    """

    joints: Array
    materials: tuple[Material, ...]
    pieces: tuple[Piece, ...] = field(repr=False)

    def surfaces(self, frame: int, owner: int) -> list[Surface]:
        """What is seen of the person in a frame."""
        return [
            Surface(piece.frames[frame], piece.faces, piece.rest, self.materials, piece.look, owner)
            for piece in self.pieces
        ]

    def lifted(self, by: Array) -> DressedPerson:
        """The same person, higher by (F,) meters."""
        up = by[:, None, None] * [0.0, 0.0, 1.0]
        pieces = tuple(replace(piece, frames=piece.frames + up) for piece in self.pieces)
        return replace(self, joints=self.joints + up, pieces=pieces)

    def lowest(self) -> Array:
        """(F,) height in meters of the lowest visible vertex."""
        heights = [piece.frames[:, np.unique(piece.faces), 2].min(axis=1) for piece in self.pieces]
        return np.asarray(np.min(heights, axis=0))


#: Indices of a dressed person's materials.
SKIN_LOOK, TOP_LOOK, BOTTOM_LOOK, FOOTWEAR_LOOK, HAIR_LOOK, EYES_LOOK = range(6)
_SOCKS = BOTTOM_LOOK
_BONE_LOOKS = {
    "Hips": BOTTOM_LOOK, "HipJoint": BOTTOM_LOOK, "UpLeg": BOTTOM_LOOK, "Leg": BOTTOM_LOOK, "Foot": FOOTWEAR_LOOK,
    "ToeBase": FOOTWEAR_LOOK,
    "LowerBack": TOP_LOOK, "Spine": TOP_LOOK, "Spine1": TOP_LOOK, "Shoulder": TOP_LOOK, "Arm": TOP_LOOK,
    "ForeArm": TOP_LOOK,
}  # fmt: skip


def dress(body: Body, posed: PosedBody, outfit: Outfit, clothes: Path | None) -> DressedPerson:
    """Put an outfit on a posed body.

    Args:
        clothes: folder of MakeHuman garments; painted clothes without it.

    Raises:
        SyntheticError: a garment is absent or broken.
    """
    joints = _rest_joints(body, posed)
    named = {TOP_LOOK: outfit.suit, FOOTWEAR_LOOK: outfit.shoes, HAIR_LOOK: outfit.hair} if clothes else {}
    garments = {kind: read_garment(clothes, name) for kind, name in named.items() if clothes and name}
    hidden = np.unique(np.concatenate([np.zeros(0, np.int64), *(g.hides for g in garments.values())]))
    skin_faces = body.faces[~np.isin(body.faces, hidden).all(axis=1)]
    look = _skin_looks(body, posed.rest, skin_faces, joints, painted=set(range(6)) - _worn(garments))
    pieces = [Piece(skin_faces, look, posed.rest, posed.vertices, body.skin_weights)]
    for kind, garment in garments.items():
        fitted = fit(garment, posed.rest)
        frames = follow(garment, fitted, body.skin_weights, posed.transforms)
        garment_look = _garment_looks(kind, garment, fitted, joints)
        pieces.append(Piece(garment.faces, garment_look, fitted, frames, bone_weights(garment, body.skin_weights)))
    return DressedPerson(posed.joints, _materials(outfit, joints), tuple(pieces))


def _worn(garments: dict[int, Garment]) -> set[int]:
    """Looks that garments provide, so that the skin below them is bare."""
    return set(garments) | ({BOTTOM_LOOK} if TOP_LOOK in garments else set())


def _rest_joints(body: Body, posed: PosedBody) -> dict[str, Array]:
    return dict(zip(COCO23.joints, body.joints_of(posed.rest), strict=True))


def worn_materials(body: Body, rest: Array, outfit: Outfit) -> tuple[Material, ...]:
    """The looks of a person in an outfit, without dressing them.

    Args:
        rest: (V, 3) the body.
    """
    return _materials(outfit, dict(zip(COCO23.joints, body.joints_of(rest), strict=True)))


def _materials(outfit: Outfit, joints: dict[str, Array]) -> tuple[Material, ...]:
    """The looks, in the order of the constants above."""
    face = Material(outfit.skin.color, grain=outfit.skin.grain, marks=_face_marks(outfit, joints))
    eyes = Material((0.72, 0.69, 0.66), grain=0.0, marks=_irises(joints))
    return (face, outfit.top, outfit.bottom, outfit.footwear, outfit.hair_look, eyes)


def _face_marks(outfit: Outfit, joints: dict[str, Array]) -> tuple[Mark, ...]:
    """Eyebrows and lips, placed by the eyes and the nose."""
    brows = [
        _mark(joints[f"{side}_eye"], (0, -0.005, 0.020), (0.019, 0.03, 0.0055), outfit.hair_look.color)
        for side in _SIDES
    ]
    r, g, b = outfit.skin.color
    lips = _mark(joints["nose"], (0, 0.0, -0.038), (0.022, 0.03, 0.008), (0.85 * r, 0.6 * g, 0.6 * b))
    return (*brows, lips)


def _irises(joints: dict[str, Array]) -> tuple[Mark, ...]:
    return tuple(
        _mark(joints[f"{side}_eye"], (0, -0.012, 0), (0.007, 0.03, 0.007), (0.16, 0.11, 0.08)) for side in _SIDES
    )


_SIDES = ("left", "right")


def _mark(
    at: Array, shift: tuple[float, float, float], radii: tuple[float, float, float], color: tuple[float, float, float]
) -> Mark:
    x, y, z = (float(value) for value in at + np.asarray(shift))
    return Mark((x, y, z), radii, color)


def _skin_looks(
    body: Body, rest: Array, faces: NDArray[np.int64], joints: dict[str, Array], painted: set[int]
) -> NDArray[np.int64]:
    """(T,) look of every triangle of the skin; only ``painted`` clothes are painted on."""
    of_bone = np.array([_look_of_bone(bone) for bone in body.bones])
    look = of_bone[body.skin_weights[faces].sum(axis=1).argmax(axis=1)]
    center = rest[faces].mean(axis=1)
    ears = (joints["left_ear"] + joints["right_ear"]) / 2
    # The scalp: above a plane that rises from behind the ears to the top of the forehead.
    height = center[:, 2] - ears[2] - 0.55 * (ears[1] - center[:, 1]) - 0.025
    look[(look == SKIN_LOOK) & (center[:, 2] > ears[2] - 0.09) & (height > 0)] = HAIR_LOOK
    look[~np.isin(look, list(painted))] = SKIN_LOOK
    eyes = np.stack([joints[f"{side}_eye"] for side in _SIDES])
    # Eyeballs are the small separate parts of the mesh around the eyes.
    part = _parts(faces, len(rest))[faces[:, 0]]
    near = np.linalg.norm(center[:, None] - eyes, axis=2).min(axis=1) < 0.025
    small = np.bincount(part)[part] < 2000
    look[near & small] = EYES_LOOK
    return np.asarray(look)


def _look_of_bone(bone: str) -> int:
    for side in ("Left", "Right", "L", "R"):
        if bone.startswith(side) and bone[len(side) :] in _BONE_LOOKS:
            return _BONE_LOOKS[bone[len(side) :]]
    return _BONE_LOOKS.get(bone, SKIN_LOOK)


def _garment_looks(kind: int, garment: Garment, fitted: Array, joints: dict[str, Array]) -> NDArray[np.int64]:
    """A suit is two or more separate parts: those that reach down the thighs are trousers or skirt."""
    look = np.full(len(garment.faces), kind)
    part = _parts(garment.faces, len(fitted))[garment.faces[:, 0]]
    hips = (joints["left_hip"][2] + joints["right_hip"][2]) / 2
    for number in np.unique(part):
        heights = fitted[np.unique(garment.faces[part == number]), 2]
        if kind == TOP_LOOK and heights.mean() < hips:
            look[part == number] = BOTTOM_LOOK
        if kind == FOOTWEAR_LOOK and heights.mean() > joints["left_ankle"][2] + 0.02:
            look[part == number] = _SOCKS
    return look


def _parts(faces: NDArray[np.int64], vertices: int) -> NDArray[np.int64]:
    """(V,) number of the connected part that each vertex belongs to."""
    from scipy.sparse import coo_matrix  # only baking needs it
    from scipy.sparse.csgraph import connected_components

    edges = np.concatenate([faces[:, :2], faces[:, 1:]])
    graph = coo_matrix((np.ones(len(edges)), edges.T), shape=(vertices, vertices))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)
