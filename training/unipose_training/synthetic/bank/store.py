"""A body bank on disk: a compressed .npz of small integers, with its record and checksum."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.files import write_atomic
from unipose_ros.networks.weights import tensors_sha256
from unipose_training.datasets.io import read_npz
from unipose_training.errors import DataError, SyntheticError, reading
from unipose_training.synthetic.bank.types import (
    BankRecord,
    BodyBank,
    Crowd,
    LightPerson,
    PoseClips,
    ShapeBasis,
    Template,
)
from unipose_training.synthetic.materials import Mark, Material
from unipose_training.synthetic.poses.kinematics import BONES

Arrays = dict[str, NDArray[Any]]
_STEP = 2.0**-14


VERSION = 1
#: Vertices are whole multiples of this many meters: rounding moves none by more than 0.031 mm.
_TURN = 32767
_DOCUMENT, _SHA256 = "document", "sha256"


def save_bank(path: Path, bank: BodyBank) -> BankRecord:
    """Write a bank at once or not at all; the same bank gives the same bytes.

    Returns:
        The record with its checksum.
    """
    arrays = _pack(bank)
    record = replace(bank.record, sha256=tensors_sha256(arrays))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays | {_SHA256: _text_array(record.sha256)})
    write_atomic(path, buffer.getvalue())
    return record


def load_bank(path: Path) -> BodyBank:
    """Read a bank.

    Raises:
        SyntheticError: there is none, it is damaged, or another version wrote it.
    """
    arrays = _read(path)
    sha256 = bytes(arrays.pop(_SHA256, np.zeros(0, np.uint8))).decode("ascii", "replace")
    if sha256 != tensors_sha256(arrays):
        raise SyntheticError(f"body bank {path}: damaged, its arrays do not have the recorded sha256; bake it again")
    with reading(path, "bake it again", refusal=SyntheticError):
        bank = _unpack(arrays)
    return replace(bank, record=replace(bank.record, sha256=sha256))


def as_stored(bank: BodyBank) -> BodyBank:
    """The bank as it is after saving and loading: rounded."""
    return _unpack(_pack(bank))


def _pack(bank: BodyBank) -> Arrays:
    return {
        **_pack_bodies(bank),
        **_pack_poses(bank.poses),
        "joint_shares": bank.joint_shares,
        "parents": bank.parents.astype(np.int16),
        _DOCUMENT: _text_array(_document(bank)),
    }


def _pack_bodies(bank: BodyBank) -> Arrays:
    """Shared meshes where they are all people's; a person picked from a crowd has a mesh of their own."""
    whole = bank.crowd is not None and len(bank.crowd.materials) == len(bank.people)
    return pack_crowd(bank.crowd) if whole and bank.crowd is not None else _pack_people(bank.people)


def _unpack(arrays: Arrays) -> BodyBank:
    document = json.loads(bytes(arrays[_DOCUMENT]).decode())
    if document["version"] != VERSION:
        raise SyntheticError(f"body bank: version {document['version']}, not {VERSION}; bake it again")
    crowd = _unpack_crowd(arrays, document["looks"]) if has_crowd(arrays) else None
    return BodyBank(
        record=BankRecord(**document["record"]),
        people=_unpack_people(arrays, document["looks"]) if crowd is None else crowd.people(),
        poses=_unpack_poses(arrays, document),
        joint_shares=arrays["joint_shares"],
        parents=arrays["parents"].astype(np.int64),
        crowd=crowd,
    )


def _read(path: Path) -> Arrays:
    remedy = "bake one with python -m unipose_training.synthetic.bank"
    try:
        return read_npz(path, None, remedy, "body bank cannot be read", missing=remedy)
    except DataError as error:
        raise SyntheticError(str(error)) from error


def _document(bank: BodyBank) -> str:
    content = {
        "version": VERSION,
        "record": {name: value for name, value in asdict(bank.record).items() if name != "sha256"},
        "looks": [[asdict(material) for material in person.materials] for person in bank.people],
        "clips": bank.poses.names,
        "period_s": bank.poses.period_s,
    }
    return json.dumps(content, sort_keys=True)


def _text_array(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode(), np.uint8)


def _pack_people(people: Sequence[LightPerson]) -> Arrays:
    return {
        "vertex_counts": np.array([len(person.vertices) for person in people], np.int32),
        "face_counts": np.array([len(person.faces) for person in people], np.int32),
        "vertices": np.concatenate([np.rint(person.vertices / _STEP).astype(np.int16) for person in people]),
        "faces": np.concatenate([person.faces.astype(np.uint16) for person in people]),
        "look": np.concatenate([person.look.astype(np.uint8) for person in people]),
        "bones": np.concatenate([person.bones.astype(np.uint8) for person in people]),
        "weights": np.concatenate([to_bytes(person.weights) for person in people]),
        "heads": np.stack([person.heads for person in people]),
        "alignments": np.stack([person.alignments for person in people]),
        "joint_points": np.stack([person.joint_points for person in people]),
    }


def _unpack_people(arrays: Arrays, looks: list[list[dict[str, Any]]]) -> tuple[LightPerson, ...]:
    of_vertices = np.cumsum(arrays["vertex_counts"])[:-1]
    of_faces = np.cumsum(arrays["face_counts"])[:-1]
    per_vertex = [np.split(arrays[name], of_vertices) for name in ("vertices", "bones", "weights")]
    per_face = [np.split(arrays[name], of_faces) for name in ("faces", "look")]
    per_person = [arrays[name] for name in ("heads", "alignments", "joint_points")]
    people = []
    for number, materials in enumerate(looks):
        vertices, bones, weights = (values[number] for values in per_vertex)
        faces, look = (values[number].astype(np.int64) for values in per_face)
        heads, alignments, joint_points = (values[number] for values in per_person)
        people.append(
            LightPerson(
                vertices=vertices.astype(np.float32) * np.float32(_STEP),
                faces=faces,
                look=look,
                bones=bones.astype(np.int64),
                weights=weights.astype(np.float32) / np.float32(255),
                heads=heads,
                alignments=alignments,
                joint_points=joint_points,
                materials=tuple(_material(material) for material in materials),
            )
        )
    return tuple(people)


def _unpack_crowd(arrays: Arrays, looks: list[list[dict[str, Any]]]) -> Crowd:
    materials = tuple(tuple(_material(values) for values in person) for person in looks)
    parents = tuple(arrays["parents"].tolist())
    return unpack_crowd(arrays, BONES, parents, len(arrays["joint_shares"]), materials)


def _material(values: dict[str, Any]) -> Material:
    marks = tuple(Mark(*(tuple(mark[name]) for name in ("center", "radii", "color"))) for mark in values["marks"])
    colors = {name: tuple(values[name]) for name in ("color", "second")}
    return Material(**values | colors | {"marks": marks})


def _pack_poses(poses: PoseClips) -> Arrays:
    return {
        "rotations": np.rint(poses.rotations * _TURN).astype(np.int16),
        "airborne": poses.airborne.astype(np.float16),
        "clip_starts": poses.starts.astype(np.int32),
        "clip_sources": poses.sources.astype(np.uint8),
    }


def _unpack_poses(arrays: Arrays, document: dict[str, Any]) -> PoseClips:
    return PoseClips(
        rotations=arrays["rotations"].astype(np.float32) / np.float32(_TURN),
        airborne=arrays["airborne"].astype(np.float32),
        starts=arrays["clip_starts"].astype(np.int64),
        sources=arrays["clip_sources"].astype(np.int64),
        names=tuple(document["clips"]),
        period_s=float(document["period_s"]),
    )


# A crowd as arrays of small integers.

#: Means are whole multiples of this many meters, components (of which some ten are added) of that many.
_FINE_STEP = 2.0**-13
_COEFFICIENT = 32767
_PREFIX = "crowd_"


def has_crowd(arrays: Arrays) -> bool:
    """Whether these arrays hold a crowd, and not single people."""
    return f"{_PREFIX}faces" in arrays


def pack_crowd(crowd: Crowd) -> Arrays:
    """All of it but the materials."""
    templates = crowd.templates
    bases = [each.vertices for each in templates]
    arrays = {
        "vertex_counts": np.array([len(basis.mean) // 3 for basis in bases], np.int32),
        "face_counts": np.array([len(each.faces) for each in templates], np.int32),
        "component_counts": np.array([len(basis.components) for basis in bases], np.int32),
        "wearer_counts": np.array([len(basis.coefficients) for basis in bases], np.int32),
        "faces": np.concatenate([each.faces.astype(np.uint16) for each in templates]),
        "look": np.concatenate([each.look.astype(np.uint8) for each in templates]),
        "bones": np.concatenate([each.bones.astype(np.uint8) for each in templates]),
        "weights": np.concatenate([to_bytes(each.weights) for each in templates]),
        "means": np.concatenate([np.rint(basis.mean / _STEP).astype(np.int16) for basis in bases]),
        "components": np.concatenate(
            [np.rint(basis.components / _FINE_STEP).astype(np.int16).ravel() for basis in bases]
        ),
        "coefficients": np.concatenate([_short(basis.coefficients).ravel() for basis in bases]),
        "skeleton_mean": crowd.skeletons.mean,
        "skeleton_components": crowd.skeletons.components,
        "skeleton_coefficients": _short(crowd.skeletons.coefficients),
        "carried": crowd.carried.astype(np.uint8),
        "rests": crowd.rests.astype(np.float32),
    }
    return {f"{_PREFIX}{name}": values for name, values in arrays.items()}


def unpack_crowd(
    arrays: Arrays,
    bones: tuple[str, ...],
    parents: tuple[int, ...],
    joints: int,
    materials: tuple[tuple[Material, ...], ...],
) -> Crowd:
    """Back from arrays."""
    of = {name[len(_PREFIX) :]: values for name, values in arrays.items() if name.startswith(_PREFIX)}
    counts = {name: of[f"{name}_counts"].astype(np.int64) for name in ("vertex", "face", "component", "wearer")}
    per_vertex = {name: _split(of[name], counts["vertex"]) for name in ("bones", "weights")}
    per_face = {name: _split(of[name], counts["face"]) for name in ("faces", "look")}
    means = _split(of["means"], 3 * counts["vertex"])
    components = _split(of["components"], 3 * counts["vertex"] * counts["component"])
    coefficients = _split(of["coefficients"], counts["wearer"] * counts["component"])
    templates = []
    for number, mean in enumerate(means):
        count = int(counts["component"][number])
        basis = ShapeBasis(
            mean.astype(np.float32) * np.float32(_STEP),
            components[number].reshape(count, len(mean)).astype(np.float32) * np.float32(_FINE_STEP),
            _long(coefficients[number]).reshape(-1, count),
        )
        templates.append(
            Template(
                per_face["faces"][number].astype(np.int64),
                per_face["look"][number].astype(np.int64),
                per_vertex["bones"][number].astype(np.int64),
                per_vertex["weights"][number].astype(np.float32) / np.float32(255),
                basis,
            )
        )
    skeletons = ShapeBasis(of["skeleton_mean"], of["skeleton_components"], _long(of["skeleton_coefficients"]))
    carried, rests = of["carried"].astype(np.int64), of["rests"].astype(np.float64)
    return Crowd(tuple(templates), skeletons, carried, joints, bones, parents, rests, materials)


def to_bytes(weights: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Rows that sum to 1 -> rows that sum to 255."""
    whole = np.rint(weights * 255).astype(np.int64)
    rows = np.arange(len(whole))
    whole[rows, whole.argmax(axis=1)] += 255 - whole.sum(axis=1)
    return whole.astype(np.uint8)


def _split(values: NDArray[Any], counts: NDArray[np.int64]) -> list[NDArray[Any]]:
    return np.split(values, np.cumsum(counts)[:-1])


def _short(coefficients: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.rint(coefficients * _COEFFICIENT).astype(np.int16)


def _long(coefficients: NDArray[np.int16]) -> NDArray[np.float32]:
    return coefficients.astype(np.float32) / np.float32(_COEFFICIENT)
