"""What people wear: MakeHuman garments, or paint on the skin where there are none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unipose_ros.joint_sets import COCO23
from unipose_training.errors import SyntheticError, reading
from unipose_training.synthetic.body import Body, PosedBody
from unipose_training.synthetic.materials import Mark, Material, Surface

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


# MakeHuman clothes (CC0) on the anny body.
#
# An ``.mhclo`` file ties every vertex of a garment to three of the body's (barycentric weights and
# an offset scaled with the body) and names the skin that the garment hides. Format: MakeHuman
# community wiki, "MHClo format".


@dataclass(frozen=True, eq=False)
class Garment:
    """G vertices tied to a body.

    Attributes:
        name: file name without ending.
        anchors: (G, 3) body vertices.
        weights: (G, 3) of the anchors.
        offsets: (G, 3) in MakeHuman's axes (y up), before scaling.
        scales: for each of MakeHuman's axes x, y, z two body vertices and their distance in MakeHuman's base mesh.
        faces: (T, 3) triangles of the garment's own vertices.
        hides: body vertices that are not to be seen.
    """

    name: str
    anchors: NDArray[np.int64]
    weights: Array
    offsets: Array
    scales: tuple[tuple[int, int, float], ...]
    faces: NDArray[np.int64]
    hides: NDArray[np.int64]


#: World axis of MakeHuman's x, y (up) and z (towards the viewer).
_WORLD_AXIS = (0, 2, 1)
_MOST_VERTICES = 1_000_000
_SECTIONS = ("verts", "weights", "delete_verts")


@cache
def read_garment(folder: Path, name: str) -> Garment:
    """Read ``<name>.mhclo`` and ``<name>.obj``.

    Raises:
        SyntheticError: a file is absent or the two do not fit.
    """
    try:
        clothing = (folder / f"{name}.mhclo").read_text(encoding="utf-8", errors="replace").splitlines()
        mesh = (folder / f"{name}.obj").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise SyntheticError(f"clothes '{name}': {error}; the folder must hold its .mhclo and .obj") from error
    with reading(folder / name, "download the clothes again", refusal=SyntheticError):
        return _garment(name, clothing, mesh)


def _garment(name: str, clothing: list[str], mesh: list[str]) -> Garment:
    ties, hides, scales = _parse_mhclo(clothing)
    faces = np.array(list(_triangles(mesh)), np.int64)
    if not len(ties) or not len(faces) or faces.max() >= len(ties) or len(scales) != 3:
        raise SyntheticError(f"clothes '{name}': {len(ties)} vertices tied, {len(scales)} scales; the files do not fit")
    table = np.array(ties)
    return Garment(name, table[:, :3].astype(np.int64), table[:, 3:6], table[:, 6:9], scales, faces, hides)


def _parse_mhclo(
    lines: list[str],
) -> tuple[list[list[float]], NDArray[np.int64], tuple[tuple[int, int, float], ...]]:
    section, ties, hidden = "", [], []
    scales: dict[str, tuple[int, int, float]] = {}
    for words in (line.split() for line in lines):
        if not words or words[0].startswith("#"):
            continue
        if words[0] in ("x_scale", "y_scale", "z_scale"):
            scales[words[0]] = (int(words[1]), int(words[2]), float(words[3]))
        elif words[0] in _SECTIONS:
            section = words[0]
        elif not _is_number(words[0]):
            continue
        elif section == "verts":
            ties.append(_tie(words))
        elif section == "delete_verts":
            hidden += _ranges(words)
    return ties, np.unique(np.array(hidden, np.int64)), tuple(scales[axis] for axis in sorted(scales))


def _is_number(word: str) -> bool:
    return word.lstrip("-").replace(".", "", 1).isdigit()


def _tie(words: list[str]) -> list[float]:
    """Three anchors, three weights, three offsets; a single number is a vertex that lies on the body's."""
    values = [float(word) for word in words]
    if len(values) == 1:
        return [values[0]] * 3 + [1.0, 0.0, 0.0] + [0.0] * 3
    return (values + [0.0] * 9)[:9]


def _ranges(words: list[str]) -> list[int]:
    """``3 7 - 9`` -> 3, 7, 8, 9."""
    numbers: list[int] = []
    for i, word in enumerate(words):
        if word == "-":
            continue
        after_dash = i > 0 and words[i - 1] == "-"
        if after_dash and int(word) - numbers[-1] > _MOST_VERTICES:
            raise ValueError(f"vertices {numbers[-1]} to {word} are hidden; no body has so many")
        numbers += range(numbers[-1] + 1, int(word) + 1) if after_dash else [int(word)]
    return numbers


def _triangles(lines: list[str]) -> Iterator[list[int]]:
    for line in lines:
        if line.startswith("f "):
            corners = [int(word.split("/")[0]) - 1 for word in line.split()[1:]]
            for k in range(1, len(corners) - 1):
                yield [corners[0], corners[k], corners[k + 1]]


def fit(garment: Garment, rest: Array) -> Array:
    """(V, 3) body at rest -> (G, 3) garment at rest on it."""
    factors = [
        abs(rest[a, axis] - rest[b, axis]) / distance
        for (a, b, distance), axis in zip(garment.scales, _WORLD_AXIS, strict=True)
    ]
    scaled = garment.offsets * factors
    # MakeHuman: y up, z to the front; the world: z up, -y to the front.
    offset = np.stack([scaled[:, 0], -scaled[:, 2], scaled[:, 1]], axis=1)
    tied: Array = (rest[garment.anchors] * garment.weights[..., None]).sum(axis=1) + offset
    return tied


def bone_weights(garment: Garment, skin_weights: Array) -> Array:
    """(G, B) how much each vertex of a garment follows each bone: as the skin under it does; rows sum to 1.

    Args:
        skin_weights: (V, B) of the body.
    """
    mixed = (skin_weights[garment.anchors] * np.clip(garment.weights, 0, None)[..., None]).sum(axis=1)
    return np.asarray(mixed / np.maximum(mixed.sum(axis=1, keepdims=True), 1e-9))


def follow(garment: Garment, fitted: Array, skin_weights: Array, transforms: Array) -> Array:
    """Move a fitted garment with the body's bones.

    Args:
        fitted: (G, 3) from :func:`fit`.
        skin_weights: (V, B) of the body.
        transforms: (F, B, 4, 4) of the posed body.

    Returns:
        (F, G, 3).
    """
    mixed = bone_weights(garment, skin_weights)
    blended = np.tensordot(transforms[:, :, :3].reshape(len(transforms), -1, 12), mixed, axes=(1, 1))
    # One matrix product over the bones is far faster than einsum over all axes.
    lines = blended.reshape(len(transforms), 3, 4, -1)
    moved = lines[:, :, 0] * fitted[:, 0] + lines[:, :, 1] * fitted[:, 1] + lines[:, :, 2] * fitted[:, 2]
    return np.asarray((moved + lines[:, :, 3]).transpose(0, 2, 1))
