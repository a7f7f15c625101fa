"""Whether people keep their ids: CLEAR-MOT and IDF1 by the library py-motmetrics, and HOTA."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import motmetrics
import numpy as np
from numpy.typing import NDArray

from unipose_ros.frame import Skeletons
from unipose_training.evaluation.hota import IdentifiedFrame, hota, numbered
from unipose_training.evaluation.matching import MATCH_GATE
from unipose_training.evaluation.pairs import ScoredFrame, torsos

#: Distance in metres at which two people are not alike at all: half of it, 0.5 m, is similarity 0.5.
ZERO_DISTANCE = 2 * MATCH_GATE


@dataclass(frozen=True)
class Identity:
    """How well ids are kept; NaN where there is nobody.

    Attributes:
        mota, motp_mm: CLEAR-MOT (Bernardin and Stiefelhagen 2008); motp is the mean distance of torsos.
        idf1: identity F1 (Ristani et al., ECCV-W 2016).
        hota, deta, assa: see :mod:`unipose_training.evaluation.hota`.
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
    """Id metrics over all recordings, by the distance of torsos; ``None`` when nobody is there on either side.

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


def places(skeletons: Skeletons) -> NDArray[np.float64]:
    """(N, 3) where people stand: the torso, or without it the median of the joints there are; NaN without any."""
    positions = skeletons.positions.astype(np.float64)
    result = torsos(positions, skeletons.joint_set)
    for person in np.flatnonzero(~np.isfinite(result).all(axis=-1)):
        joints = positions[person][np.isfinite(positions[person]).all(axis=-1)]
        result[person] = np.median(joints, axis=0) if len(joints) else np.nan
    return result


def _identified(frame: ScoredFrame) -> IdentifiedFrame:
    true = np.setdiff1d(np.arange(len(frame.truth)), frame.matches.ignored)
    predicted = np.setdiff1d(np.arange(len(frame.predicted)), frame.matches.excused)
    apart = np.linalg.norm(places(frame.truth)[true][:, None] - places(frame.predicted)[predicted][None], axis=-1)
    return IdentifiedFrame(
        # Ids of different recordings are different people.
        true=[f"{frame.clip}/{frame.truth.ids[i]}" for i in true],
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
