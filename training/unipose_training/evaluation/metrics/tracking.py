"""HOTA: how well people are found and kept apart, in one number.

Luiten et al., HOTA: A Higher Order Metric for Evaluating Multi-Object Tracking, IJCV 2021. For
a threshold alpha a pair counts when its similarity is at least alpha; then

    HOTA = sqrt(DetA * AssA),   DetA = TP / (TP + FN + FP),
    AssA = mean over true positives c of TPA(c) / (TPA(c) + FNA(c) + FPA(c)),

and all three are averaged over alpha = 0.05, 0.10, ..., 0.95. Frames are matched by the
similarity weighted with how well the two tracks agree over the whole recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import motmetrics
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from unipose_ros.frame import Skeletons
from unipose_training.evaluation.matching import MATCH_GATE, ScoredFrame, torsos

ALPHAS = np.arange(1, 20) * 0.05
_TINY = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class IdentifiedFrame:
    """Ids of one frame and how alike they are.

    Attributes:
        true, predicted: ids.
        similarity: (T, P) in [0, 1].
    """

    true: Sequence[str]
    predicted: Sequence[str]
    similarity: NDArray[np.float64]


@dataclass(frozen=True)
class Hota:
    """HOTA and its parts in [0, 1]; NaN when there is no person on either side."""

    hota: float
    deta: float
    assa: float


def hota(frames: Sequence[IdentifiedFrame]) -> Hota:
    """HOTA over frames; ids of different recordings must differ."""
    true_ids = numbered([name for frame in frames for name in frame.true])
    predicted_ids = numbered([name for frame in frames for name in frame.predicted])
    if not true_ids and not predicted_ids:
        return Hota(*[float("nan")] * 3)
    indexed = [
        (
            np.array([true_ids[n] for n in f.true], np.intp),
            np.array([predicted_ids[n] for n in f.predicted], np.intp),
            f,
        )
        for f in frames
    ]
    shape = (len(true_ids), len(predicted_ids))
    true_counts = np.bincount(np.concatenate([rows for rows, _, _ in indexed]), minlength=shape[0])
    predicted_counts = np.bincount(np.concatenate([columns for _, columns, _ in indexed]), minlength=shape[1])
    agreement = _agreement(indexed, true_counts, predicted_counts)
    together = np.zeros((len(ALPHAS), *shape))
    for rows, columns, frame in indexed:
        _count_matches(together, rows, columns, frame.similarity, agreement)
    return _summary(together, true_counts, predicted_counts)


def numbered(names: Sequence[str]) -> dict[str, int]:
    """A number for every name, counting from 0 in the order of their first appearance."""
    return {name: number for number, name in enumerate(dict.fromkeys(names))}


def _agreement(
    indexed: Sequence[tuple[NDArray[np.intp], NDArray[np.intp], IdentifiedFrame]],
    true_counts: NDArray[np.intp],
    predicted_counts: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Jaccard index of two tracks, each frame weighted by what the pair has of the similarity there."""
    common = np.zeros((len(true_counts), len(predicted_counts)))
    for rows, columns, frame in indexed:
        s = frame.similarity
        rivals = s.sum(axis=0)[None] + s.sum(axis=1)[:, None] - s
        common[np.ix_(rows, columns)] += np.where(rivals > _TINY, s / np.maximum(rivals, _TINY), 0.0)
    union = true_counts[:, None] + predicted_counts[None] - common
    return common / np.maximum(union, _TINY)


def _count_matches(
    together: NDArray[np.float64],
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    similarity: NDArray[np.float64],
    agreement: NDArray[np.float64],
) -> None:
    """Add one frame's matches to the counts of (alpha, true id, predicted id), in place."""
    chosen, partner = linear_sum_assignment(-(agreement[np.ix_(rows, columns)] * similarity))
    for level, alpha in enumerate(ALPHAS):
        good = similarity[chosen, partner] >= alpha - _TINY
        together[level, rows[chosen[good]], columns[partner[good]]] += 1


def _summary(together: NDArray[np.float64], true_counts: NDArray[np.intp], predicted_counts: NDArray[np.intp]) -> Hota:
    positives = together.sum(axis=(1, 2))
    detection = positives / (true_counts.sum() + predicted_counts.sum() - positives)
    union = true_counts[:, None] + predicted_counts[None] - together
    per_pair = together / np.maximum(union, 1)
    association = (together * per_pair).sum(axis=(1, 2)) / np.maximum(positives, 1)
    return Hota(float(np.sqrt(detection * association).mean()), float(detection.mean()), float(association.mean()))


# Whether people keep their ids: CLEAR-MOT and IDF1 by the library py-motmetrics, and HOTA.


#: Distance in meters at which two people are not alike at all: half of it, 0.5 m, is similarity 0.5.
ZERO_DISTANCE = 2 * MATCH_GATE


@dataclass(frozen=True)
class Identity:
    """How well ids are kept; NaN where there is no person.

    Attributes:
        mota, motp_mm: CLEAR-MOT (Bernardin and Stiefelhagen 2008); motp is the mean distance of torsos.
        idf1: identity F1 (Ristani et al., ECCV-W 2016).
        hota, deta, assa: see :mod:`unipose_training.evaluation.metrics.tracking`.
        switches: times a true person changed the id.
        fragmentations: times a true person was lost and found again.
        true_people, predicted_ids: how many there were.
        mostly_tracked, mostly_lost: true people tracked in at least 80 %, less than 20 % of their frames.
    """

    mota: float
    motp_mm: float
    idf1: float
    hota: float
    deta: float
    assa: float
    switches: int
    fragmentations: int
    true_people: int
    predicted_ids: int
    mostly_tracked: int
    mostly_lost: int


_METRICS = ["mota", "motp", "idf1", "num_switches", "num_fragmentations", "mostly_tracked", "mostly_lost"]


def identity(frames: Sequence[ScoredFrame]) -> Identity | None:
    """Id metrics over all recordings, by the distance of torsos; ``None`` when there is no person on either side.

    True people who do not count, and the predictions of them, are left out first, as MOTChallenge
    does with its distractors.
    """
    seen = [_identified(frame) for frame in frames]
    true = {name for frame in seen for name in frame.true}
    predicted = {name for frame in seen for name in frame.predicted}
    if not true or not predicted:
        return None
    values = _clear_mot(seen)
    whole = hota(seen)
    return Identity(
        mota=float(values["mota"]),
        motp_mm=1e3 * float(values["motp"]),
        idf1=float(values["idf1"]),
        hota=whole.hota,
        deta=whole.deta,
        assa=whole.assa,
        switches=int(values["num_switches"]),
        fragmentations=int(values["num_fragmentations"]),
        true_people=len(true),
        predicted_ids=len(predicted),
        mostly_tracked=int(values["mostly_tracked"]),
        mostly_lost=int(values["mostly_lost"]),
    )


def person_positions(skeletons: Skeletons) -> NDArray[np.float64]:
    """(N, 3) where people stand: the torso, or without it the median of the joints there are; NaN without any."""
    positions = skeletons.positions.astype(np.float64)
    result = torsos(positions, skeletons.joint_set)
    for person in np.flatnonzero(~np.isfinite(result).all(axis=-1)):
        joints = positions[person][np.isfinite(positions[person]).all(axis=-1)]
        result[person] = np.median(joints, axis=0) if len(joints) else np.nan
    return result


def _identified(frame: ScoredFrame) -> IdentifiedFrame:
    true = np.setdiff1d(np.arange(len(frame.ground_truth)), frame.matches.ignored)
    predicted = np.setdiff1d(np.arange(len(frame.predicted)), frame.matches.excused)
    apart = np.linalg.norm(
        person_positions(frame.ground_truth)[true][:, None] - person_positions(frame.predicted)[predicted][None],
        axis=-1,
    )
    return IdentifiedFrame(
        # Ids of different recordings are different people.
        true=[f"{frame.clip}/{frame.ground_truth.ids[i]}" for i in true],
        predicted=[f"{frame.clip}/{frame.predicted.ids[i]}" for i in predicted],
        similarity=np.nan_to_num(np.clip(1 - apart / ZERO_DISTANCE, 0, 1)),
    )


def _clear_mot(frames: Sequence[IdentifiedFrame]) -> dict[str, float]:
    # The library takes only numbers for ids.
    true = numbered([name for frame in frames for name in frame.true])
    predicted = numbered([name for frame in frames for name in frame.predicted])
    accumulator = motmetrics.MOTAccumulator(auto_id=True)
    for frame in frames:
        distances = (1 - frame.similarity) * ZERO_DISTANCE
        accumulator.update(
            [true[name] for name in frame.true],
            [predicted[name] for name in frame.predicted],
            np.where(distances <= MATCH_GATE, distances, np.nan),
        )
    values = motmetrics.metrics.create().compute(accumulator, metrics=_METRICS, return_dataframe=False)
    return {name: float(values[name]) for name in _METRICS}
