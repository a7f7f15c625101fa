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
from unipose_training.datasets.arrays import read_npz
from unipose_training.datasets.errors import DataError, reading
from unipose_training.synthetic.bank.crowd import Crowd
from unipose_training.synthetic.bank.store_crowd import has_crowd, pack_crowd, to_bytes, unpack_crowd
from unipose_training.synthetic.bank.types import BankRecord, BodyBank, LightPerson, PoseClips
from unipose_training.synthetic.errors import SyntheticError
from unipose_training.synthetic.materials import Mark, Material
from unipose_training.synthetic.rig import BONES

Arrays = dict[str, NDArray[Any]]
VERSION = 1
#: Vertices are whole multiples of this many meters: rounding moves none by more than 0.031 mm.
_STEP = 2.0**-14
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
