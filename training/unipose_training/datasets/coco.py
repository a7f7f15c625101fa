"""MS COCO person keypoints (Lin et al., ECCV 2014): single images with people labeled in 2D.

ROOT/annotations/person_keypoints_SPLIT.json and the images in ROOT/SPLIT/ or ROOT/images/SPLIT/,
SPLIT being ``train2017`` or ``val2017``. Images have no camera and no depth, so they are no clips.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.files import write_atomic
from unipose_ros.joint_sets import COCO17
from unipose_ros.keypoints import Keypoints2D
from unipose_training.datasets.base import Labels2D, joint_status
from unipose_training.datasets.data_set import Count, DataSet, Inventory, Panel, evenly_spaced, labels_panel
from unipose_training.datasets.io import array_of, read_color_file, read_json, value_of
from unipose_training.errors import DAMAGED, DataError, reading

#: Images, labeled persons, and those with a labeled keypoint, of each split.
PUBLISHED = {"train2017": (118_287, 262_465, 149_813), "val2017": (5_000, 11_004, 6_352)}
PERSON = 1
#: Values of v in a keypoint.
LABELLED, VISIBLE = 1, 2
_JOINTS = len(COCO17)


@dataclass(frozen=True, eq=False)
class CocoImage:
    """One image and the N persons labeled in it.

    Attributes:
        image_id: COCO's number of it.
        path: of the file.
        width, height: pixels.
        people: keypoints; ids are COCO's annotation ids. A person may have none labeled.
        boxes: (N, 4) u0, v0, u1, v1.
        areas: (N,) square pixels of the segmentation, what OKS is scaled by.
        crowd: (N,) a region of many persons, which is neither found nor missed.
    """

    image_id: int
    path: Path
    width: int
    height: int
    people: Labels2D
    boxes: NDArray[np.float32]
    areas: NDArray[np.float32]
    crowd: NDArray[np.bool_]

    def read(self) -> NDArray[np.uint8]:
        """(H, W, 3) RGB.

        Raises:
            DataError: the file is missing, no image, or of another size.
        """
        image = read_color_file(self.path)
        if image.shape[:2] != (self.height, self.width):
            size = f"{image.shape[1]}x{image.shape[0]}"
            raise DataError(f"{self.path}: {size} pixels, labeled are {self.width}x{self.height}; download it again")
        return image


class CocoImages:
    """A split of COCO in the order of image ids; labels are in memory, images in their files.

    Args:
        root: of the data set.
        split: ``train2017``, ``val2017`` or any other part of a file name of that form.

    Raises:
        DataError: the labels are missing, damaged or not COCO's.
    """

    def __init__(self, root: Path, split: str = "val2017") -> None:
        self._labels_path = root / "annotations" / f"person_keypoints_{split}.json"
        record = read_json(self._labels_path)
        with reading(self._labels_path):
            self._require_categories(value_of(self._labels_path, record, "categories"))
            images = value_of(self._labels_path, record, "images")
            self._images = sorted(images, key=lambda image: int(value_of(self._labels_path, image, "id")))
            self._people = _by_image(self._labels_path, value_of(self._labels_path, record, "annotations"))
        inside = root / "images" / split
        self._folder = inside if inside.is_dir() else root / split

    def __len__(self) -> int:
        return len(self._images)

    @property
    def image_ids(self) -> frozenset[int]:
        """COCO's numbers of all images."""
        return frozenset(int(image["id"]) for image in self._images)

    def __getitem__(self, index: int) -> CocoImage:
        if not -len(self) <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        with reading(self._labels_path, what=f"image {index} {DAMAGED}"):
            return self._image(index)

    def _image(self, index: int) -> CocoImage:
        image, path = self._images[index], self._labels_path
        image_id = int(image["id"])
        people = self._people.get(image_id, ())
        keypoints = np.array([person.keypoints for person in people], np.float32).reshape(-1, _JOINTS, 3)
        labeled, visible = keypoints[..., 2] >= LABELLED, keypoints[..., 2] >= VISIBLE
        pixels = np.where(labeled[..., None], keypoints[..., :2], np.nan).astype(np.float32)
        ids = tuple(str(person.number) for person in people)
        return CocoImage(
            image_id=image_id,
            path=self._folder / str(value_of(path, image, "file_name")),
            width=int(value_of(path, image, "width")),
            height=int(value_of(path, image, "height")),
            people=Labels2D(pixels, joint_status(labeled, visible), ids, COCO17),
            boxes=np.array([person.box for person in people], np.float32).reshape(-1, 4),
            areas=np.array([person.area for person in people], np.float32),
            crowd=np.array([person.crowd for person in people], np.bool_),
        )

    def __iter__(self) -> Iterator[CocoImage]:
        return (self[index] for index in range(len(self)))

    def _require_categories(self, categories: Iterable[Mapping[str, Any]]) -> None:
        for category in categories:
            if category.get("id") == PERSON and tuple(category.get("keypoints", ())) == COCO17.joints:
                return
        raise DataError(
            f"{self._labels_path}: key 'categories' has no person with COCO's 17 keypoints in their order; "
            "take person_keypoints_*.json of the 2017 annotations"
        )


@dataclass(frozen=True, eq=False)
class _Person:
    """What is kept of an annotation; segmentations would fill the memory."""

    number: int
    keypoints: NDArray[np.float32]
    box: NDArray[np.float32]
    area: float
    crowd: bool


def _by_image(path: Path, annotations: Iterable[Mapping[str, Any]]) -> dict[int, tuple[_Person, ...]]:
    people: dict[int, list[_Person]] = defaultdict(list)
    for record in annotations:
        if value_of(path, record, "category_id") != PERSON:
            continue
        corner, size = np.split(array_of(path, record, "bbox", (4,)).astype(np.float32), 2)
        person = _Person(
            number=int(value_of(path, record, "id")),
            keypoints=array_of(path, record, "keypoints", (_JOINTS, 3)).astype(np.float32),
            box=np.concatenate([corner, corner + size]),
            area=float(value_of(path, record, "area")),
            crowd=bool(value_of(path, record, "iscrowd")),
        )
        people[int(value_of(path, record, "image_id"))].append(person)
    return {image: tuple(found) for image, found in people.items()}


def write_results(path: Path, found: Iterable[tuple[int, Keypoints2D]]) -> int:
    """Predictions by image id as COCO's results file, for COCO's own evaluation.

    A keypoint that was not found is written as 0, 0 with confidence 0, as the format has it.

    Returns:
        How many persons were written.
    """
    rows = []
    for image_id, keypoints in found:
        for pixels, confidences, score in zip(keypoints.pixels, keypoints.confidences, keypoints.scores, strict=True):
            values = np.nan_to_num(np.column_stack([pixels, confidences]))
            row = {"image_id": image_id, "category_id": PERSON, "keypoints": values.ravel().tolist()}
            rows.append(row | {"score": float(score)})
    write_atomic(path, json.dumps(rows))
    return len(rows)


def read_results(path: Path) -> dict[int, Keypoints2D]:
    """A COCO results file of keypoints: predictions by image id, in the order of the file.

    The format has no boxes: those that come back enclose the keypoints.

    Raises:
        DataError: it is missing or no such file.
    """
    rows = read_json(path, "check --predictions")
    if not isinstance(rows, list):
        raise DataError(f"{path}: no list of results; COCO's format is [{{image_id, category_id, keypoints, score}}]")
    by_image: dict[int, list[tuple[NDArray[np.float64], float]]] = defaultdict(list)
    with reading(path, "check --predictions"):
        for row in rows:
            if value_of(path, row, "category_id") == PERSON:
                keypoints, score = array_of(path, row, "keypoints", (_JOINTS, 3)), array_of(path, row, "score", ())
                by_image[int(array_of(path, row, "image_id", ()))].append((keypoints, float(score)))
        return {image: _keypoints(found) for image, found in by_image.items()}


def _keypoints(found: Iterable[tuple[NDArray[np.float64], float]]) -> Keypoints2D:
    joints, scores = zip(*found, strict=True)
    values = np.stack(joints).astype(np.float32)
    pixels = values[..., :2]
    boxes = np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=1)
    return Keypoints2D(pixels, values[..., 2], np.array(scores, np.float32), boxes, COCO17)


def _inventory(root: Path, samples: int) -> Inventory:
    """Every split whose annotations are there."""
    files = sorted((root / "annotations").glob("person_keypoints_*.json"))
    splits = [path.stem.removeprefix("person_keypoints_") for path in files]
    if not splits:
        raise DataError(f"{root / 'annotations'}: no person_keypoints_*.json; unpack the annotations there")
    counts: list[Count] = []
    panels: list[Panel] = []
    for split in splits:
        images = CocoImages(root, split)
        people = [len(image.people) for image in images]
        labeled = sum(int((image.people.status > 0).any(axis=1).sum()) for image in images)
        names = (f"{split} images", f"{split} persons", f"{split} persons with keypoints")
        totals = PUBLISHED.get(split, (None, None, None))
        found = (len(images), sum(people), labeled)
        counts += [Count(*row) for row in zip(names, found, totals, strict=True)]
        inhabited = [n for n, count in enumerate(people) if count]
        for k in evenly_spaced(len(inhabited), max(1, samples // len(splits))):
            image = images[inhabited[k]]
            panels.append(labels_panel(image.path.name, image.read(), image.people))
    return Inventory(tuple(counts), panels=tuple(panels))


DATA_SET = DataSet("coco", inventory=_inventory)
