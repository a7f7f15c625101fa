"""MoveNet as a whole, with its real weights."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from unipose_ros.detection.movenet import MoveNet, load_movenet
from unipose_ros.joint_sets import COCO17
from unipose_ros.keypoints import Keypoints2D, keypoint_similarity
from unipose_ros.networks.movenet.decode import DecodeConfig, Heads, decode_heads
from unipose_training.evaluation.protocols.coco import best_oks

DATA = Path(__file__).resolve().parents[2] / "data"
HEADS = ("center", "box_scale", "box_offset", "kpt_heatmap", "kpt_regress", "kpt_offset")

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def movenet(movenet_weights: Path) -> MoveNet:
    return load_movenet(device="cpu")


@pytest.fixture(scope="module", params=["onnx", "torch"])
def each_backend(request: pytest.FixtureRequest, movenet_weights: Path) -> MoveNet:
    return load_movenet(request.param, "cpu")


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    """Outputs of the published graph, run by TensorFlow.js 4.22 on ``movenet_people.png``."""
    with np.load(DATA / "movenet_reference.npz") as stored:
        return dict(stored)


def mirrored(people: Keypoints2D, width: int) -> np.ndarray:
    """(N, 17, 2) pixels of people found in a mirror image, as they would be in the image."""
    pixels = people.pixels[:, list(COCO17.mirror)].copy()
    pixels[..., 0] = width - 1 - pixels[..., 0]
    return pixels


def test_maps_equal_the_published_graph(
    each_backend: MoveNet, two_people: np.ndarray, reference: dict[str, np.ndarray]
) -> None:
    for name, found in zip(HEADS, each_backend.run(two_people[None]), strict=True):
        expected = reference[name]
        if name in ("center", "kpt_heatmap"):
            expected = 1 / (1 + np.exp(-expected))
        np.testing.assert_allclose(found[0, :, ::8, ::8], expected, atol=3e-4, err_msg=name)


def test_people_equal_the_published_graph(
    each_backend: MoveNet, two_people: np.ndarray, reference: dict[str, np.ndarray]
) -> None:
    heads = Heads.from_outputs(each_backend.run(two_people[None]))
    people = decode_heads(heads, DecodeConfig(refine_radius=0, max_similarity=1.0, min_score=0.5))
    expected = reference["people"][:2]
    keypoints = expected[:, :51].reshape(2, 17, 3)
    order = np.argsort(-expected[:, 55])
    # The graph gives coordinates as shares of the image, vertical first; a map has 64 cells.
    np.testing.assert_allclose(people.pixels[..., ::-1] / 64, keypoints[order, :, :2], atol=1e-5)
    np.testing.assert_allclose(people.confidences, keypoints[order, :, 2], atol=1e-4)
    np.testing.assert_allclose(people.boxes[:, [1, 0, 3, 2]] / 64, expected[order, 51:55], atol=1e-5)
    np.testing.assert_allclose(people.scores, expected[order, 55], atol=1e-4)


def test_two_rendered_people(each_backend: MoveNet, two_people: np.ndarray) -> None:
    people = each_backend(two_people)
    assert len(people) == 2
    assert (people.scores > 0.6).all()
    assert people.pixels.dtype == people.confidences.dtype == np.float32
    left_hip, right_hip = (people.pixels[:, COCO17.index(name), 0] for name in ("left_hip", "right_hip"))
    assert (left_hip > right_hip).all()  # they face us
    inside = (people.pixels >= people.boxes[:, None, :2] - 8) & (people.pixels <= people.boxes[:, None, 2:] + 8)
    assert inside.all()


def test_columns_around_a_person_show_them_as_the_whole_image_does(movenet: MoveNet, two_people: np.ndarray) -> None:
    whole = movenet(two_people)
    # What lies between two people is seen, too: alone, each takes the smaller part of the image.
    for person in range(2):
        found = movenet.within(two_people, whole.boxes[person : person + 1])
        oks = keypoint_similarity(
            whole.pixels[person], found.pixels, (whole.boxes[person, 2:] - whole.boxes[person, :2]).prod()
        )
        assert oks.max() > 0.97
        best = int(oks.argmax())
        np.testing.assert_allclose(found.confidences[best], whole.confidences[person], atol=0.15)


def test_small_people_are_seen_better_by_a_second_look(movenet: MoveNet, two_people: np.ndarray) -> None:
    given = movenet(two_people)
    canvas = np.full((480, 640, 3), 128, np.uint8)
    side = 120
    canvas[200 : 200 + side, 400 : 400 + side] = cv2.resize(two_people, (side, side), interpolation=cv2.INTER_AREA)
    expected = (given.pixels + 0.5) * side / two_people.shape[0] - 0.5 + [400, 200]
    first = movenet(canvas)
    second = movenet.enlarged(canvas, first, 4)
    sure = given.confidences > 0.5

    def off(people: Keypoints2D) -> float:
        order = np.argsort(people.pixels[:, 0, 0])[np.argsort(np.argsort(given.pixels[:, 0, 0]))]
        return float(np.linalg.norm(people.pixels[order] - expected, axis=-1)[sure].mean())

    assert len(first) == len(second) == 2
    assert off(second) < 0.8 * off(first)
    one = movenet.enlarged(canvas, first, 1)
    changed = (one.pixels != first.pixels).any(axis=(1, 2))
    assert changed.sum() == 1
    assert changed[first.scores.argmax()]


def test_large_people_are_not_looked_at_again(movenet: MoveNet, two_people: np.ndarray) -> None:
    given = movenet(two_people)
    np.testing.assert_array_equal(movenet.enlarged(two_people, given, 4).pixels, given.pixels)
    assert len(movenet.enlarged(two_people, Keypoints2D.empty(), 4)) == 0


def test_mirror_image(movenet: MoveNet, two_people: np.ndarray) -> None:
    given, flipped = movenet(two_people), movenet(np.ascontiguousarray(two_people[:, ::-1]))
    found = mirrored(flipped, two_people.shape[1])
    pairs = [found[np.abs(found - person).mean(axis=(1, 2)).argmin()] - person for person in given.pixels]
    sure = (given.confidences > 0.5)[..., None]
    offsets = np.concatenate([pair[keep[:, 0]] for pair, keep in zip(pairs, sure, strict=True)])
    assert np.abs(np.median(offsets, axis=0)).max() < 0.4
    assert np.abs(offsets).mean() < 1.0


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_larger_images_give_the_same_places(movenet: MoveNet, two_people: np.ndarray, factor: int) -> None:
    given = movenet(two_people)
    large = movenet(cv2.resize(two_people, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR))
    expected = (given.pixels + 0.5) * factor - 0.5
    order = np.argsort(large.pixels[:, 0, 0])[np.argsort(np.argsort(given.pixels[:, 0, 0]))]
    offsets = (large.pixels[order] - expected) / factor
    assert np.abs(offsets).mean() < 0.4
    assert np.abs(offsets.mean(axis=(0, 1))).max() < 0.15


@pytest.mark.parametrize("shape", [(480, 640), (240, 320), (1080, 1920), (640, 480), (57, 33)])
def test_padding_and_size_do_not_lose_people(movenet: MoveNet, two_people: np.ndarray, shape: tuple[int, int]) -> None:
    side = min(shape)
    canvas = np.full((*shape, 3), 128, np.uint8)
    canvas[:side, :side] = cv2.resize(two_people, (side, side), interpolation=cv2.INTER_AREA)
    people = movenet(canvas)
    if side > 200:
        assert len(people) == 2
    assert ((people.boxes >= -0.5) & (people.boxes <= np.tile(shape[::-1], 2) - 0.5)).all()


@pytest.mark.parametrize("value", [0, 127, 255])
def test_an_even_image_shows_no_person(each_backend: MoveNet, value: int) -> None:
    assert len(each_backend(np.full((480, 640, 3), value, np.uint8))) == 0


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((48, 64, 3), np.float32),
        np.zeros((48, 64), np.uint8),
        np.zeros((48, 64, 4), np.uint8),
        np.zeros((0, 64, 3), np.uint8),
    ],
    ids=["float", "gray", "alpha", "empty"],
)
def test_images_that_are_none(movenet: MoveNet, image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"give \(H, W, 3\) uint8 RGB"):
        movenet(image)


def test_views_are_accepted(movenet: MoveNet, two_people: np.ndarray) -> None:
    np.testing.assert_array_equal(movenet(two_people[..., ::-1][..., ::-1]).pixels, movenet(two_people).pixels)


@pytest.mark.parametrize("long_side", [0, 100, -32])
def test_long_side_is_checked(movenet: MoveNet, long_side: int) -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        MoveNet(movenet.run, long_side=long_side)


def test_coco_photographs(each_backend: MoveNet, shared_data: Path) -> None:
    """COCO's measure over the 12 people with at least 5 annotated keypoints."""
    folder = shared_data / "coco_photos"
    ground_truth = json.loads((folder / "test_coco.json").read_text())
    similarities: list[float] = []
    for image in ground_truth["images"]:
        people = [a for a in ground_truth["annotations"] if a["image_id"] == image["id"] and a["num_keypoints"] >= 5]
        annotated = np.array([a["keypoints"] for a in people], float).reshape(-1, 17, 3)
        image = cv2.cvtColor(cv2.imread(str(folder / image["file_name"])), cv2.COLOR_BGR2RGB)
        similarities.extend(best_oks(annotated, [a["area"] for a in people], each_backend(image).pixels))
    assert len(similarities) == 12
    assert np.mean(similarities) >= 0.80
