"""COCO's keypoint evaluation, against figures of COCO's own program (pycocotools 2.0.11) on the same files."""

from __future__ import annotations

import json
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unipose_ros.joint_sets import COCO17
from unipose_ros.keypoints import Keypoints2D
from unipose_training.datasets.coco import CocoImages, read_results
from unipose_training.errors import DataError
from unipose_training.evaluation.protocols.coco import CocoScore, score_coco

#: By seed and share of crowds: AP, AP50, AP75, AP medium, AP large, and AR likewise.
GOLDEN = {
    (0, 0.0): (0.243110076, 0.371769379, 0.19228343, 0.24182382, 0.269371673,
               0.338181818, 0.454545455, 0.290909091, 0.273913043, 0.42),
    (1, 0.2): (0.314046226, 0.482860773, 0.288924201, 0.419862556, 0.275065254,
               0.404166667, 0.5625, 0.375, 0.484, 0.373684211),
    (2, 0.1): (0.297465811, 0.48711809, 0.247922973, 0.294379128, 0.260782908,
               0.429411765, 0.607843137, 0.411764706, 0.465, 0.357692308),
}  # fmt: skip


def person(rng: np.random.Generator, number: int, image: int, crowds: float) -> tuple[dict[str, Any], list[Any]]:
    """An annotation, now and then of a crowd or without keypoints, and up to two predictions of it."""
    height = float(rng.uniform(20, 300))
    center = rng.uniform(50, 400, 2)
    points = np.round(center + rng.uniform(-0.5, 0.5, (17, 2)) * [height * 0.5, height], 2)
    v = rng.integers(0, 3, 17) if rng.random() > 0.15 else np.zeros(17, int)
    box = [center[0] - height * 0.25, center[1] - height * 0.5, height * 0.5, height]
    annotation = {
        "id": number, "image_id": image, "category_id": 1, "iscrowd": int(rng.random() < crowds),
        "area": round(height * height * 0.3, 2), "bbox": [round(float(x), 2) for x in box],
        "num_keypoints": int((v > 0).sum()),
        "keypoints": np.column_stack([np.where(v[:, None] > 0, points, 0), v]).ravel().tolist(),
    }  # fmt: skip
    rows = []
    for _ in range(rng.integers(0, 3)):
        noise = rng.choice([0.01, 0.04, 0.1]) * height
        moved = np.round(points + rng.normal(0, 1, (17, 2)) * noise, 2)
        score = round(float(np.clip(1 - noise / height * 5 + rng.normal(0, 0.2), 0, 1)), 1)
        rows.append(result(image, moved, score))
    return annotation, rows


def result(image: int, points: np.ndarray, score: float) -> dict[str, Any]:
    keypoints = np.column_stack([points, np.ones(17)]).ravel().tolist()
    return {"image_id": image, "category_id": 1, "keypoints": keypoints, "score": score}


def write(root: Path, seed: int, crowds: float) -> Path:
    """30 images of up to four persons; the seventh has more predictions than count."""
    rng = np.random.default_rng(seed)
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 640, "height": 480} for n in range(1, 31)]
    annotations, results = [], []
    for image in images:
        for _ in range(rng.integers(0, 5)):
            annotation, rows = person(rng, len(annotations) + 1, int(str(image["id"])), crowds)
            annotations.append(annotation)
            results += rows
        if image["id"] == 7:
            results += [
                result(7, rng.uniform(0, 400, (17, 2)).round(2), round(float(rng.random()), 2)) for _ in range(25)
            ]
    category = {"id": 1, "name": "person", "supercategory": "person", "keypoints": COCO17.joints, "skeleton": []}
    record = {"images": images, "annotations": annotations, "categories": [category]}
    (root / "annotations").mkdir()
    (root / "annotations" / "person_keypoints_val2017.json").write_text(json.dumps(record))
    (root / "results.json").write_text(json.dumps(results))
    return root / "results.json"


def judged(root: Path, predictions: dict[int, Keypoints2D]) -> CocoScore:
    return score_coco(list(CocoImages(root)), predictions)


@pytest.mark.parametrize(("seed", "crowds"), GOLDEN)
def test_figures_are_those_of_cocos_own_program(tmp_path: Path, seed: int, crowds: float) -> None:
    found = judged(tmp_path, read_results(write(tmp_path, seed, crowds)))
    np.testing.assert_allclose(astuple(found)[:10], GOLDEN[seed, crowds], atol=2e-9)
    assert found.images == 30


def exact(root: Path) -> dict[int, Keypoints2D]:
    """The labels themselves as predictions."""
    found = {}
    for image in CocoImages(root):
        labeled = (image.people.status > 0).any(axis=1)
        pixels = np.nan_to_num(image.people.pixels[labeled])
        count, boxes = len(pixels), image.boxes[labeled]
        confidences = np.ones((count, 17), np.float32)
        found[image.image_id] = Keypoints2D(pixels, confidences, confidences[:, 0], boxes)
    return found


def test_the_labels_themselves_are_perfect(tmp_path: Path) -> None:
    write(tmp_path, 0, 0.0)
    assert astuple(judged(tmp_path, exact(tmp_path)))[:10] == pytest.approx((1.0,) * 10)


def test_finding_no_person_is_zero(tmp_path: Path) -> None:
    write(tmp_path, 0, 0.0)
    assert astuple(judged(tmp_path, {}))[:10] == (0.0,) * 10


def test_without_people_there_are_no_figures(tmp_path: Path) -> None:
    write(tmp_path, 0, 0.0)
    path = tmp_path / "annotations" / "person_keypoints_val2017.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"annotations": []}))
    found = judged(tmp_path, read_results(tmp_path / "results.json"))
    assert np.isnan(astuple(found)[:10]).all()
    assert found.people == 0


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{}", "no list of results"),
        ("[", "no readable JSON"),
        ('[{"category_id": 1}]', "key 'keypoints' is missing"),
        ('[{"category_id": 1, "image_id": 3, "keypoints": [1, 2], "score": 1}]', r"shape \[17, 3\]"),
    ],
)
def test_damaged_results_are_named(tmp_path: Path, content: str, text: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(content)
    with pytest.raises(DataError, match=text):
        read_results(path)
    with pytest.raises(DataError, match="check --predictions"):
        read_results(tmp_path / "none.json")
