"""COCO's keypoint JSON with the order of keypoints in depth; the layout is ours.

Every image has ``ordinal_depth``, a list of ``{"a": [annotation id, keypoint], "b": [annotation id,
keypoint], "r": 1 | 0 | -1, "w": weight}``: 1 when a is nearer to the camera than b, -1 when it is
farther, 0 when they are equally far. Keypoints count from 0. All else is COCO's, so that its
readers take the file as it is.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unipose_ros.frame import JointStatus
from unipose_ros.joint_sets import COCO17
from unipose_training.datasets.base import Labels2D, joint_status
from unipose_training.datasets.coco import LABELLED, PERSON, VISIBLE
from unipose_training.datasets.io import array_of, read_json, value_of, write_atomic
from unipose_training.errors import DataError, reading
from unipose_training.ordinal_depth.pairs import DepthPairs

_REMEDY = "make it again: unipose ordinal-depth"


@dataclass(frozen=True, eq=False)
class OrderedImage:
    """An image with people whose keypoints are ordered in depth.

    Attributes:
        path: of the image.
        size: width and height in pixels; ``None`` unknown.
        people: COCO-17.
        pairs: of their keypoints.
        source: name of the data set, and of the image there.
    """

    path: Path
    size: tuple[int, int] | None
    people: Labels2D
    pairs: DepthPairs
    source: tuple[str, str] = ("", "")


def write_orders(path: Path, images: Iterable[OrderedImage]) -> None:
    """Write images in their order; ids count from 1, over all sources. The file appears when it is complete."""
    entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, image in enumerate(images, start=1):
        ids = range(len(annotations) + 1, len(annotations) + 1 + len(image.people))
        annotations += [_annotation(image.people, person, number, id_) for person, id_ in enumerate(ids)]
        entries.append(_image(path.parent, image, number, ids))
    record = {
        "info": {"description": "people whose keypoints are ordered in depth"},
        "images": entries,
        "annotations": annotations,
        "categories": [{"id": PERSON, "name": "person", "supercategory": "person", "keypoints": COCO17.joints}],
    }
    write_atomic(path, json.dumps(record).encode())


def _image(folder: Path, image: OrderedImage, number: int, ids: range) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": number, "file_name": os.path.relpath(image.path, folder)}
    if image.size is not None:
        entry |= {"width": image.size[0], "height": image.size[1]}
    pairs = image.pairs
    rows = zip(pairs.first.tolist(), pairs.second.tolist(), pairs.order.tolist(), pairs.weights.tolist(), strict=True)
    orders = [{"a": [ids[a[0]], a[1]], "b": [ids[b[0]], b[1]], "r": r, "w": round(w, 4)} for a, b, r, w in rows]
    return entry | {"source": image.source[0], "source_id": image.source[1], "ordinal_depth": orders}


def _annotation(people: Labels2D, person: int, image: int, id_: int) -> dict[str, Any]:
    pixels, status = people.pixels[person], people.status[person]
    labeled = status != JointStatus.MISSING
    v = np.where(labeled, np.where(status == JointStatus.MEASURED, VISIBLE, LABELLED), 0)
    rows = [
        [round(float(u), 2), round(float(w), 2), int(k)] for (u, w), k in zip(np.nan_to_num(pixels), v, strict=True)
    ]
    low, high = np.nanmin(pixels, axis=0), np.nanmax(pixels, axis=0)
    box = [round(float(value), 2) for value in (*low, *(high - low))]
    return {
        "id": id_,
        "image_id": image,
        "category_id": PERSON,
        "iscrowd": 0,
        "area": round(box[2] * box[3], 2),
        "bbox": box,
        "num_keypoints": int(labeled.sum()),
        "keypoints": [value for row in rows for value in row],
    }


def read_orders(path: Path) -> list[OrderedImage]:
    """Read and check a file of :func:`write_orders`, or another of its layout.

    Raises:
        DataError: it is missing or damaged, or a pair names what is not there.
    """
    with reading(path, _REMEDY):
        return _orders(path, read_json(path, _REMEDY))


def _orders(path: Path, record: Any) -> list[OrderedImage]:
    people: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for person in value_of(path, record, "annotations"):
        people[value_of(path, person, "image_id")].append(person)
    result = []
    for image in value_of(path, record, "images"):
        found = people[value_of(path, image, "id")]
        labels = _labels(path, found)
        result.append(
            OrderedImage(
                path=path.parent / str(value_of(path, image, "file_name")),
                size=(int(image["width"]), int(image["height"])) if "width" in image and "height" in image else None,
                people=labels,
                pairs=_pairs(path, image, labels),
                source=(str(image.get("source", "")), str(image.get("source_id", ""))),
            )
        )
    return result


def _labels(path: Path, people: list[Mapping[str, Any]]) -> Labels2D:
    rows = np.array([array_of(path, person, "keypoints", (len(COCO17), 3)) for person in people])
    rows = rows.reshape(-1, len(COCO17), 3)
    labeled = rows[..., 2] >= LABELLED
    pixels = np.where(labeled[..., None], rows[..., :2], np.nan).astype(np.float32)
    ids = tuple(str(value_of(path, person, "id")) for person in people)
    return Labels2D(pixels, joint_status(labeled, rows[..., 2] >= VISIBLE), ids, COCO17)


def _pairs(path: Path, image: Mapping[str, Any], people: Labels2D) -> DepthPairs:
    """The pairs of an image, with people by their place in it."""
    place = {id_: number for number, id_ in enumerate(people.ids)}
    rows = value_of(path, image, "ordinal_depth")
    where = f"{path}: image {image['id']}"
    ends = [[_end(where, row, key, place, people) for key in ("a", "b")] for row in rows]
    both = np.array(ends, np.int32).reshape(-1, 2, 2)
    if (both[:, 0] == both[:, 1]).all(axis=1).any():
        raise DataError(f"{where}: a pair of 'ordinal_depth' is one keypoint twice; {_REMEDY}")
    try:
        order = np.array([row["r"] for row in rows]).reshape(-1)
        if len(order) and order.dtype.kind != "i":
            raise ValueError("r: give whole numbers")
        weights = np.array([row["w"] for row in rows], np.float32)
        return DepthPairs(both[:, 0], both[:, 1], order.astype(np.int8), weights)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where}: 'ordinal_depth' has a bad r or w ({error}); {_REMEDY}") from error


def _end(where: str, row: Mapping[str, Any], key: str, place: Mapping[str, int], people: Labels2D) -> tuple[int, int]:
    try:
        id_, joint = row[key]
        person = place[str(id_)]
        labeled = isinstance(joint, int) and joint >= 0 and people.status[person, joint] != JointStatus.MISSING
    except (KeyError, TypeError, ValueError, IndexError):
        labeled = False
    if not labeled:
        raise DataError(f"{where}: '{key}' of {row!r} is no labeled keypoint of the image; {_REMEDY}")
    return person, joint
