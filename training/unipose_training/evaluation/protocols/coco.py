"""COCO's keypoint evaluation: average precision and recall over object keypoint similarity (OKS).

The definitions are those of cocodataset.org, "Keypoint evaluation", as COCO's own evaluation
computes them, down to which of equals comes first:

- In each image the 20 surest predictions are matched, the surest first, each to the labeled
  person that is most similar to it and still free, if the similarity reaches the threshold.
- Regions of crowds, persons without a labeled keypoint, and persons outside the size that is looked
  at are neither found nor missed; a prediction that falls to one of them does not count. Without
  labeled keypoints similarity is measured to the box, doubled in each direction.
- Precision at a recall is the best at this recall or above; the average is over 101 recalls and
  over the thresholds 0.50 to 0.95.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from unipose_ros.detection.movenet import load_movenet
from unipose_ros.files import write_atomic
from unipose_ros.joint_sets import COCO17
from unipose_ros.keypoints import KeypointDetector, Keypoints2D, keypoint_similarity
from unipose_training.datasets.coco import CocoImage, CocoImages, read_results, write_results
from unipose_training.errors import DataError

# COCO's object keypoint similarity between annotations and predictions.


def oks_matrix(annotated: NDArray[Any], areas: ArrayLike, predicted: NDArray[Any]) -> NDArray[np.float64]:
    """Similarity of every annotated person to every predicted one.

    Args:
        annotated: (A, 17, 3) u, v in pixels and COCO's visibility; joints of visibility 0 do not count.
        areas: (A,) segment area of each annotated person, square pixels.
        predicted: (P, 17, 2) u, v in pixels.

    Returns:
        (A, P) in [0, 1].

    Raises:
        ValueError: shapes disagree.
    """
    areas = np.asarray(areas, np.float64)
    if annotated.shape != (len(areas), 17, 3) or predicted.shape[1:] != (17, 2):
        raise ValueError(
            f"annotated {annotated.shape}, areas {areas.shape}, predicted {predicted.shape}: "
            "expected (A, 17, 3), (A,) and (P, 17, 2)"
        )
    counted = annotated[:, None, :, 2] > 0
    return keypoint_similarity(annotated[:, None, :, :2], predicted[None], areas[:, None], counted)


def best_oks(annotated: NDArray[Any], areas: ArrayLike, predicted: NDArray[Any]) -> NDArray[np.float64]:
    """(A,) similarity of each annotated person to the prediction nearest to it; 0 when no person was predicted."""
    matrix = oks_matrix(annotated, areas, predicted)
    return np.asarray(matrix.max(axis=1, initial=0.0))


THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
MAX_PEOPLE = 20
#: Square pixels: least and greatest area of the persons that count.
SIZES = {"all": (0.0, 1e10), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}


@dataclass(frozen=True)
class CocoScore:
    """COCO's ten figures, in [0, 1]; NaN where no person of that size is labeled.

    Attributes:
        ap, ap_50, ap_75: average precision over all thresholds, at 0.50 and at 0.75.
        ap_medium, ap_large: of persons of that size.
        ar, ar_50, ar_75, ar_medium, ar_large: average recall, likewise.
        images, people: that were evaluated; people with a labeled keypoint, crowds left out.
    """

    ap: float
    ap_50: float
    ap_75: float
    ap_medium: float
    ap_large: float
    ar: float
    ar_50: float
    ar_75: float
    ar_medium: float
    ar_large: float
    images: int
    people: int


@dataclass(frozen=True, eq=False)
class _Matches:
    """One image: D predictions, surest first, at T thresholds.

    Attributes:
        scores: (D,).
        hit, ignored: (T, D) matched to a labeled person; not to be counted.
        people: labeled that count.
    """

    scores: NDArray[np.float64]
    hit: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    people: int


def score_coco(images: Sequence[CocoImage], predictions: Mapping[int, Keypoints2D]) -> CocoScore:
    """Evaluate predictions on all images given; an image without predictions is one where no person was found.

    Args:
        predictions: by image id; pixels of keypoints that were not found are 0, 0, as COCO has it.
    """
    found = [surest(predictions.get(image.image_id, Keypoints2D.empty())) for image in images]
    similar = [similarities(image, people) for image, people in zip(images, found, strict=True)]
    curves = {}
    for size, limits in SIZES.items():
        matches = [_match(*row, limits) for row in zip(images, found, similar, strict=True)]
        curves[size] = _precision_and_recall(matches)
    people = sum(int((~_unlabeled(image)).sum()) for image in images)
    return _figures(curves, len(images), people)


def surest(people: Keypoints2D) -> Keypoints2D:
    """The predictions that count, the surest first, equals in their order."""
    return people.select(np.argsort(-people.scores, kind="stable")[:MAX_PEOPLE])


def similarities(image: CocoImage, people: Keypoints2D) -> NDArray[np.float64]:
    """(D, G) OKS of every prediction to every labeled person."""
    labeled = image.people.status > 0
    ground_truth = np.where(labeled[..., None], np.nan_to_num(image.people.pixels.astype(np.float64)), 0.0)
    predicted = people.pixels.astype(np.float64)[:, None]
    by_joints = keypoint_similarity(predicted, ground_truth[None], image.areas, labeled[None])
    # How far outside the doubled box a keypoint lies is its distance; inside there is none.
    low, high = image.boxes[:, None, :2].astype(np.float64), image.boxes[:, None, 2:].astype(np.float64)
    nearest = np.clip(predicted, 2 * low - high, 2 * high - low)
    by_box = keypoint_similarity(predicted, nearest, image.areas)
    return np.where(labeled.any(axis=1), by_joints, by_box)


def _unlabeled(image: CocoImage) -> NDArray[np.bool_]:
    """(G,) what is neither found nor missed, whatever its size."""
    return image.crowd | ~(image.people.status > 0).any(axis=1)


def _outside(areas: NDArray[np.floating], limits: tuple[float, float]) -> NDArray[np.bool_]:
    return np.asarray((areas < limits[0]) | (areas > limits[1]))


def _match(
    image: CocoImage, people: Keypoints2D, similar: NDArray[np.float64], limits: tuple[float, float]
) -> _Matches:
    ignored = _unlabeled(image) | _outside(image.areas, limits)
    order = np.argsort(ignored, kind="stable")  # those that count come first
    partners = np.stack(
        [_partners(similar[:, order], ignored[order], image.crowd[order], limit) for limit in THRESHOLDS]
    )
    hit = partners >= 0
    to_ignored = hit & np.append(ignored[order], False)[partners]
    extents = np.ptp(people.pixels, axis=1).prod(axis=1)
    return _Matches(
        scores=people.scores.astype(np.float64),
        hit=hit,
        ignored=to_ignored | (~hit & _outside(extents, limits)),
        people=int((~ignored).sum()),
    )


def _partners(
    similar: NDArray[np.float64], ignored: NDArray[np.bool_], crowd: NDArray[np.bool_], limit: float
) -> NDArray[np.int64]:
    """(D,) column of the person each prediction is matched to, -1 for none; columns that count come first."""
    taken = np.zeros(len(ignored), np.bool_)
    partners = np.full(len(similar), -1, np.int64)
    for row, values in enumerate(similar):
        free = ~taken | crowd  # a crowd has room for many
        partner = _best(values, free & ~ignored, limit)
        if partner < 0:
            partner = _best(values, free & ignored, limit)
        if partner >= 0:
            taken[partner], partners[row] = True, partner
    return partners


def _best(values: NDArray[np.float64], allowed: NDArray[np.bool_], limit: float) -> int:
    """The greatest of the allowed values that reaches the limit, the last of equals; -1 for none."""
    reaching = np.where(allowed & (values >= min(limit, 1 - 1e-10)), values, -1.0)
    if not (reaching >= 0).any():
        return -1
    return len(reaching) - 1 - int(np.argmax(reaching[::-1]))


def _precision_and_recall(matches: Sequence[_Matches]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(T, 101) precision at each recall, and (T,) recall of all predictions; NaN where no person counts."""
    people = sum(match.people for match in matches)
    if not people:
        return np.full((len(THRESHOLDS), len(RECALLS)), np.nan), np.full(len(THRESHOLDS), np.nan)
    order = np.argsort(-np.concatenate([match.scores for match in matches]), kind="stable")
    hit = np.concatenate([match.hit for match in matches], axis=1)[:, order]
    counted = ~np.concatenate([match.ignored for match in matches], axis=1)[:, order]
    right, wrong = np.cumsum(hit & counted, axis=1), np.cumsum(~hit & counted, axis=1)
    recall = right / people
    precision = right / np.maximum(right + wrong, np.spacing(1))
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    at = np.stack([_sampled(*row) for row in zip(recall, best, strict=True)])
    return at, recall[:, -1] if recall.shape[1] else np.zeros(len(THRESHOLDS))


def _sampled(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """Precision at the first prediction that reaches each recall; 0 where none does."""
    indices = np.searchsorted(recall, RECALLS, side="left")
    return np.append(precision, 0.0)[indices]


def _figures(
    curves: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]], images: int, people: int
) -> CocoScore:
    def mean(size: str, kind: int, threshold: float | None = None) -> float:
        values = curves[size][kind]
        chosen = values if threshold is None else values[np.isclose(THRESHOLDS, threshold)]
        return float(chosen.mean())

    def five(kind: int) -> tuple[float, float, float, float, float]:
        return (
            mean("all", kind),
            mean("all", kind, 0.5),
            mean("all", kind, 0.75),
            mean("medium", kind),
            mean("large", kind),
        )

    return CocoScore(*five(0), *five(1), images=images, people=people)


# ``unipose evaluate --dataset coco``: a results file, or MoveNet, by COCO's keypoint evaluation.


RESULTS = "coco_results.json"
#: Keypoints that none of a person's is above; some methods place them a little outside of the image.
_FRACTION = 1.5
#: Object keypoint similarity of the best prediction of an image, on average: nothing fits, another order fits.
_NOTHING_FITS, _FITS = 0.05, 0.3
#: So many times as similar another reading must be.
_BETTER = 1.5
#: Sides of images that networks take; 100 is percent.
_SIDES = (100, 192, 256, 320, 384, 416, 512, 640, 1000)
_log = logging.getLogger(__name__)


def evaluate_coco(options: argparse.Namespace, detector: KeypointDetector | None = None) -> str:
    """COCO's figures for ``--predictions``, or for MoveNet; also written to ``coco.md`` in the output folder.

    What MoveNet finds is written there too, as COCO's results file.

    Args:
        detector: to evaluate instead of MoveNet.

    Raises:
        DataError: a file cannot be read, or predictions are of images that the split does not have, or no pixels.
        WeightsError: MoveNet's weights are absent.
    """
    split = options.subset or "val2017"
    every = CocoImages(options.root, split)
    images = [every[n] for n in range(min(len(every), options.limit or len(every)))]
    options.output.mkdir(parents=True, exist_ok=True)
    if options.predictions is not None:
        name, path = options.predictions.name, options.predictions
    else:
        name, path = "MoveNet MultiPose", options.output / RESULTS
        write_results(path, _found(images, detector or load_movenet(device=options.device)))
    found = read_results(path)
    _require_known(found, every, split)
    if options.predictions is not None:
        require_pixels(images, found)
    text = report(score_coco(images, found), split, name)
    write_atomic(options.output / "coco.md", text)
    return text


def require_pixels(images: Sequence[CocoImage], predictions: Mapping[int, Keypoints2D]) -> None:
    """Refuse keypoints of COCO that are no pixels (u, v) of the image, or name the other side of the body.

    Raises:
        DataError: they are.
    """
    pairs = [
        (image, surest(predictions[image.image_id])) for image in images if len(predictions.get(image.image_id, ()))
    ]
    if not pairs:
        return
    largest = np.concatenate([np.abs(people.pixels).max(axis=(1, 2)) for _, people in pairs])
    if np.median(largest) <= _FRACTION and min(min(image.width, image.height) for image, _ in pairs) > 8 * _FRACTION:
        raise DataError(
            "the predictions' keypoints lie between 0 and 1: they are fractions of the image; multiply u by its width "
            "and v by its height"
        )
    labeled = [(image, people) for image, people in pairs if (image.people.status > 0).any()]
    if not labeled:
        return
    given = _similarity(labeled)
    fits = {
        remedy: _similarity([(image, replace(people, pixels=read(image, people.pixels))) for image, people in labeled])
        for remedy, read in _readings()
    }
    remedy, best = max(fits.items(), key=lambda pair: pair[1])
    if best > max(_FITS, _BETTER * given):
        raise DataError(
            f"the predictions' keypoints {remedy} (object keypoint similarity {best:.2f} then, {given:.2f} as they are)"
        )
    if given < _NOTHING_FITS:
        _log.warning("no prediction agrees with any labeled person; check image ids, units and the order of keypoints")


def _readings() -> Iterator[tuple[str, Callable[[CocoImage, NDArray[np.float32]], NDArray[np.float32]]]]:
    """What keypoints might be instead of pixels (u, v), and how pixels are made of them."""
    yield "have v before u; exchange them: COCO has (u, v, confidence)", lambda image, at: at[..., ::-1]
    yield (
        "have left and right exchanged; COCO means the person's own left",
        lambda image, at: at[:, list(COCO17.mirror)],
    )
    yield (
        "are mirrored; use width - 1 - u",
        lambda image, at: np.stack([image.width - 1 - at[..., 0], at[..., 1]], axis=-1),
    )
    yield (
        "are upside down; use height - 1 - v",
        lambda image, at: np.stack([at[..., 0], image.height - 1 - at[..., 1]], axis=-1),
    )
    for side in _SIDES:
        yield (
            f"are of an image stretched to {side}x{side}; multiply u by width/{side} and v by height/{side}",
            partial(_stretched, side=side),
        )
        yield (
            f"are of an image shrunk to a longer side of {side}; multiply by max(width, height)/{side}",
            partial(_shrunk, side=side),
        )


def _stretched(image: CocoImage, at: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    return np.asarray(at * (np.array([image.width, image.height], np.float32) / side), np.float32)


def _shrunk(image: CocoImage, at: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    return np.asarray(at * np.float32(max(image.width, image.height) / side), np.float32)


def _similarity(pairs: Sequence[tuple[CocoImage, Keypoints2D]]) -> float:
    """OKS of the best pair of prediction and person in an image, on average."""
    best: list[NDArray[np.float64]] = [similarities(image, people).max() for image, people in pairs]
    return float(np.mean(best))


def report(score: CocoScore, split: str, name: str) -> str:
    """The ten figures as COCO prints them, in percent."""
    rows = (
        ("AP", score.ap, score.ap_50, score.ap_75, score.ap_medium, score.ap_large),
        ("AR", score.ar, score.ar_50, score.ar_75, score.ar_medium, score.ar_large),
    )
    lines = [
        f"COCO keypoints, {split}: {name}; {score.images} images, {score.people} people with keypoints.",
        "Object keypoint similarity, at most 20 people an image; %, - where no person of that size is labeled.",
        "",
        "| | 0.50 to 0.95 | 0.50 | 0.75 | medium | large |",
        "|---|---|---|---|---|---|",
        *(f"| {kind} | " + " | ".join(_percent(value) for value in values) + " |" for kind, *values in rows),
    ]
    return "\n".join(lines) + "\n"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}" if value == value else "-"  # NaN is not itself


def _found(images: Sequence[CocoImage], detector: KeypointDetector) -> Iterator[tuple[int, Keypoints2D]]:
    for image in tqdm(images, desc="looking", unit="image"):
        yield image.image_id, detector(image.read())


def _require_known(found: dict[int, Keypoints2D], images: CocoImages, split: str) -> None:
    unknown = sorted(set(found) - images.image_ids)
    if unknown:
        raise DataError(
            f"the predictions are of image {unknown[0]}, which {split} does not have; name its split with --subset"
        )
