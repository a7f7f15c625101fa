"""COCO's keypoint files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from unipose_ros.frame import JointStatus
from unipose_ros.keypoints import Keypoints2D
from unipose_training.datasets.coco import CocoImages, write_results
from unipose_training.errors import DataError


@pytest.fixture
def labels(layout: Callable[[str], ModuleType], tmp_path: Path) -> Path:
    path = layout("coco").write(tmp_path)
    assert isinstance(path, Path)
    return path


@pytest.fixture
def root(labels: Path) -> Path:
    return labels.parents[1]


def test_images_come_in_order_with_their_people(root: Path) -> None:
    images = list(CocoImages(root))
    assert [(image.image_id, len(image.people)) for image in images] == [(7, 1), (42, 2), (99, 0)]
    assert images[1].people.ids == ("2", "3")
    assert images[1].crowd.tolist() == [False, True]
    assert images[1].boxes[0].tolist() == [10, 20, 40, 45.5]
    assert images[1].areas[0] == 200.5


def test_v_becomes_status(root: Path) -> None:
    people = CocoImages(root)[0].people
    three = [JointStatus.MISSING, JointStatus.INFERRED, JointStatus.MEASURED]
    assert people.status[0].tolist() == (three * 6)[:17]
    assert np.isnan(people.pixels[0, 0]).all()  # not the point 0, 0
    assert people.pixels[0, 4].tolist() == [14, 24]
    assert (CocoImages(root)[1].people.status[1] == JointStatus.MISSING).all()


@pytest.mark.parametrize("place", ["val2017", "images/val2017"])
def test_images_are_read(root: Path, place: str) -> None:
    if place != "val2017":
        (root / "images").mkdir()
        (root / "val2017").rename(root / place)
    assert np.abs(CocoImages(root)[1].read().astype(int) - 42).max() <= 2


def test_missing_and_wrong_images_are_named(root: Path) -> None:
    image = CocoImages(root)[0]
    (root / "val2017" / "000000000042.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"000000000042\.jpg: no readable color image"):
        CocoImages(root)[1].read()
    record = json.loads((root / "annotations" / "person_keypoints_val2017.json").read_text())
    record["images"][1]["width"] = 65
    (root / "annotations" / "person_keypoints_val2017.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match="64x48 pixels, labeled are 65x48"):
        CocoImages(root)[0].read()
    assert image.read().shape == (48, 64, 3)


def test_another_order_of_keypoints_is_refused(labels: Path, root: Path) -> None:
    record = json.loads(labels.read_text())
    record["categories"][0]["keypoints"].reverse()
    labels.write_text(json.dumps(record))
    with pytest.raises(DataError, match="17 keypoints in their order"):
        CocoImages(root)


@pytest.mark.parametrize(("key", "text"), [("annotations", "'annotations' is missing"), ("images", "'images'")])
def test_missing_keys_are_named(labels: Path, root: Path, key: str, text: str) -> None:
    record = json.loads(labels.read_text())
    del record[key]
    labels.write_text(json.dumps(record))
    with pytest.raises(DataError, match=text):
        CocoImages(root)


def test_short_keypoints_and_truncated_files_are_named(labels: Path, root: Path) -> None:
    whole = labels.read_text()
    record = json.loads(whole)
    record["annotations"][0]["keypoints"].pop()
    labels.write_text(json.dumps(record))
    with pytest.raises(DataError, match=r"'keypoints' is not numbers of shape \[17, 3\]"):
        CocoImages(root)
    labels.write_text(whole[:500])
    with pytest.raises(DataError, match=r"person_keypoints_val2017\.json: no readable JSON"):
        CocoImages(root)
    with pytest.raises(DataError, match=r"person_keypoints_train2017\.json: not found"):
        CocoImages(root, "train2017")


def test_results_are_as_coco_wants_them(tmp_path: Path) -> None:
    pixels = np.arange(34, dtype=np.float32).reshape(1, 17, 2)
    pixels[0, 3] = np.nan
    confidences = np.full((1, 17), 0.5, np.float32)
    confidences[0, 3] = 0
    found = Keypoints2D(pixels, confidences, np.array([0.75], np.float32), np.zeros((1, 4), np.float32))
    assert write_results(tmp_path / "results.json", [(7, found), (42, Keypoints2D.empty())]) == 1
    (row,) = json.loads((tmp_path / "results.json").read_text())
    assert (row["image_id"], row["category_id"], row["score"]) == (7, 1, 0.75)
    assert len(row["keypoints"]) == 51
    assert row["keypoints"][6:12] == [4, 5, 0.5, 0, 0, 0]
