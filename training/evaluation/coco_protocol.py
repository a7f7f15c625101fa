"""COCO's keypoint evaluation: average precision and recall over object keypoint similarity (OKS).

The definitions are those of cocodataset.org, "Keypoint evaluation", as COCO's own evaluation
computes them, down to which of equals comes first:

- In each picture the 20 surest predictions are matched, the surest first, each to the labelled
  person that is most similar to it and still free, if the similarity reaches the threshold.
- Regions of crowds, persons without a labelled keypoint, and persons outside the size that is looked
  at are neither found nor missed; a prediction that falls to one of them does not count. Without
  labelled keypoints similarity is measured to the box, doubled in each direction.
- Precision at a recall is the best at this recall or above; the average is over 101 recalls and
  over the thresholds 0.50 to 0.95.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.keypoint_similarity import keypoint_similarity
from unipose_ros.keypoints import Keypoints2D
from unipose_training.data.coco import CocoPicture

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
MAX_PEOPLE = 20
#: Square pixels: least and greatest area of the persons that count.
SIZES = {"all": (0.0, 1e10), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}


@dataclass(frozen=True)
class CocoScore:
    """COCO's ten figures, in [0, 1]; NaN where nobody of that size is labelled.

    Attributes:
        ap, ap_50, ap_75: average precision over all thresholds, at 0.50 and at 0.75.
        ap_medium, ap_large: of persons of that size.
        ar, ar_50, ar_75, ar_medium, ar_large: average recall, likewise.
        pictures, people: that were judged; people with a labelled keypoint, crowds left out.
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
    pictures: int
    people: int


@dataclass(frozen=True, eq=False)
class _Matches:
    """One picture: D predictions, surest first, at T thresholds.

    Attributes:
        scores: (D,).
        hit, ignored: (T, D) matched to a labelled person; not to be counted.
        people: labelled that count.
    """

    scores: NDArray[np.float64]
    hit: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    people: int


def score_coco(pictures: Sequence[CocoPicture], predictions: Mapping[int, Keypoints2D]) -> CocoScore:
    """Judge predictions on all pictures given; a picture without predictions is one where nobody was found.

    Args:
        predictions: by picture id; pixels of keypoints that were not found are 0, 0, as COCO has it.
    """
    found = [surest(predictions.get(picture.image_id, Keypoints2D.empty())) for picture in pictures]
    similar = [similarities(picture, people) for picture, people in zip(pictures, found, strict=True)]
    curves = {}
    for size, limits in SIZES.items():
        matches = [_match(*row, limits) for row in zip(pictures, found, similar, strict=True)]
        curves[size] = _precision_and_recall(matches)
    people = sum(int((~_unlabelled(picture)).sum()) for picture in pictures)
    return _figures(curves, len(pictures), people)


def surest(people: Keypoints2D) -> Keypoints2D:
    """The predictions that count, the surest first, equals in their order."""
    return people.select(np.argsort(-people.scores, kind="stable")[:MAX_PEOPLE])


def similarities(picture: CocoPicture, people: Keypoints2D) -> NDArray[np.float64]:
    """(D, G) OKS of every prediction to every labelled person."""
    labelled = picture.people.status > 0
    truth = np.where(labelled[..., None], np.nan_to_num(picture.people.pixels.astype(np.float64)), 0.0)
    predicted = people.pixels.astype(np.float64)[:, None]
    by_joints = keypoint_similarity(predicted, truth[None], picture.areas, labelled[None])
    # How far outside the doubled box a keypoint lies is its distance; inside there is none.
    low, high = picture.boxes[:, None, :2].astype(np.float64), picture.boxes[:, None, 2:].astype(np.float64)
    nearest = np.clip(predicted, 2 * low - high, 2 * high - low)
    by_box = keypoint_similarity(predicted, nearest, picture.areas)
    return np.where(labelled.any(axis=1), by_joints, by_box)


def _unlabelled(picture: CocoPicture) -> NDArray[np.bool_]:
    """(G,) what is neither found nor missed, whatever its size."""
    return picture.crowd | ~(picture.people.status > 0).any(axis=1)


def _outside(areas: NDArray[np.floating], limits: tuple[float, float]) -> NDArray[np.bool_]:
    return np.asarray((areas < limits[0]) | (areas > limits[1]))


def _match(
    picture: CocoPicture, people: Keypoints2D, similar: NDArray[np.float64], limits: tuple[float, float]
) -> _Matches:
    ignored = _unlabelled(picture) | _outside(picture.areas, limits)
    order = np.argsort(ignored, kind="stable")  # those that count come first
    partners = np.stack(
        [_partners(similar[:, order], ignored[order], picture.crowd[order], limit) for limit in THRESHOLDS]
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
    """(T, 101) precision at each recall, and (T,) recall of all predictions; NaN where nobody counts."""
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
    places = np.searchsorted(recall, RECALLS, side="left")
    return np.append(precision, 0.0)[places]


def _figures(
    curves: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]], pictures: int, people: int
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

    return CocoScore(*five(0), *five(1), pictures=pictures, people=people)
