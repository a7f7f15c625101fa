"""Tables that compare settings on real frames, in Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from unipose_training.evaluation.breakdown import Summary
from unipose_training.evaluation.real_checks import RealResults, RealSubset
from unipose_training.evaluation.results import Accuracy, Results

_NOTHING = "-"


@dataclass(frozen=True)
class RealEvaluation:
    """One setting on all frames.

    Attributes:
        name: of the setting.
        results: frame by frame, without tracking.
        real: the same frames' checks.
        tracked: sequences, tracked and smoothed; ``None`` without any.
        real_tracked: their checks.
    """

    name: str
    results: Results
    real: RealResults
    tracked: Results | None = None
    real_tracked: RealResults | None = None


Column = Callable[[RealEvaluation, Accuracy], str]


def comparison(evaluations: Sequence[RealEvaluation]) -> str:
    """All tables: with 3D ground truth, what kinds of joints it is sure of, limbs, then each set without."""
    evaluated = [(each, each.results.accuracy) for each in evaluations]
    true = [(each, accuracy) for each, accuracy in evaluated if accuracy is not None and accuracy.overall.joints]
    parts = []
    if true:
        names = ", ".join(
            dict.fromkeys(s.name for each, _ in true for s in each.real.subsets if s.reference == "joints")
        )
        parts += [f"### With 3D ground truth: {names}", _table(ACCURACY, true)]
        parts += ["Limb lengths, predicted / true", _table(_limb_columns(true[0][1]), true)]
        parts += ["Covariances and confidences", _table(UNCERTAINTY, true)]
    for name in dict.fromkeys(subset.name for each in evaluations for subset in _subsets(each)):
        rows = [(each.name, subset) for each in evaluations for subset in _subsets(each) if subset.name == name]
        parts += [f"### {_title(name, rows)}", _subset_table(rows)]
    return "\n\n".join(parts) + "\n"


def _subsets(evaluation: RealEvaluation) -> tuple[RealSubset, ...]:
    tracked = evaluation.real_tracked.subsets if evaluation.real_tracked else ()
    return (*evaluation.real.subsets, *tracked)


def _title(name: str, rows: Sequence[tuple[str, RealSubset]]) -> str:
    frames = max(subset.frames for _, subset in rows)
    references = max((subset.reference for _, subset in rows), key=len)
    return f"{name}: {frames} frame{'' if frames == 1 else 's'}" + (f", people by {references}" if references else "")


def _table(columns: Mapping[str, Column], rows: Sequence[tuple[RealEvaluation, Accuracy]]) -> str:
    head = ["", *columns]
    lines = [[each.name, *(column(each, accuracy) for column in columns.values())] for each, accuracy in rows]
    return _markdown(head, lines)


def _subset_table(rows: Sequence[tuple[str, RealSubset]]) -> str:
    return _markdown(["", *SUBSET], [[name, *(column(subset) for column in SUBSET.values())] for name, subset in rows])


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def number(value: float, digits: int = 0, unit: str = "") -> str:
    """A figure; a dash for NaN."""
    return f"{value:.{digits}f}{unit}" if math.isfinite(value) else _NOTHING


def percent(fraction: float, digits: int = 0) -> str:
    """A fraction in per cent; a dash for NaN."""
    return number(100 * fraction, digits, " %")


def _part(accuracy: Accuracy, name: str) -> Summary | None:
    return next((summary for summary in accuracy.groups.get("part", ()) if summary.name == name), None)


def _hands(accuracy: Accuracy) -> str:
    hands = _part(accuracy, "hand") or _part(accuracy, "wrist")
    return _NOTHING if hands is None else f"{number(hands.median_mm)} ({number(hands.mpjpe_mm)})"


def _false_with_ground_truth(evaluation: RealEvaluation) -> str:
    return str(sum(s.false_people for s in evaluation.real.subsets if s.reference == "joints"))


#: Figures that need 3D ground truth.
ACCURACY: dict[str, Column] = {
    "found": lambda each, a: f"{a.people.matched} of {a.people.people}",
    "false": lambda each, a: _false_with_ground_truth(each),
    "MPJPE, mm": lambda each, a: number(a.overall.mpjpe_mm),
    "median": lambda each, a: number(a.overall.median_mm),
    "root-aligned": lambda each, a: number(a.overall.root_aligned_mm),
    "PA": lambda each, a: number(a.overall.procrustes_mm),
    "joints < 10 cm": lambda each, a: percent(a.overall.pck_10cm),
    "people wholly < 10 cm": lambda each, a: percent(a.people_within_10cm),
    "hands, median (mean)": lambda each, a: _hands(a),
    "left-right swaps": lambda each, a: f"{a.swaps.swapped} of {a.swaps.poses}",
    "in front of the surface (ground truth)": lambda each, a: (
        f"{percent(_in_front(each))} ({percent(a.label_free_true.in_front)})"
    ),
}


def _in_front(evaluation: RealEvaluation) -> float:
    return next((s.in_front for s in evaluation.real.subsets if s.reference == "joints"), float("nan"))


def _limb_columns(accuracy: Accuracy) -> dict[str, Column]:
    def column(index: int) -> Column:
        def show(_: RealEvaluation, accuracy: Accuracy) -> str:
            limb = accuracy.limbs[index]
            return f"{number(limb.ratio, 2)} ({number(limb.predicted_mm)} / {number(limb.true_mm)})"

        return show

    return {limb.name: column(index) for index, limb in enumerate(accuracy.limbs)}


def _coverage(status: str) -> Column:
    def show(_: RealEvaluation, accuracy: Accuracy) -> str:
        found = accuracy.reliability.get(status)
        return _NOTHING if found is None else f"{percent(found.cover_95)} (x{number(found.scale, 2)})"

    return show


def _confidence(status: str) -> Column:
    def show(_: RealEvaluation, accuracy: Accuracy) -> str:
        found = accuracy.confidence.get(status)
        return _NOTHING if found is None else f"{number(found.mean, 2)} / {number(found.within_10cm, 2)}"

    return show


#: How true the uncertainty is, by status.
UNCERTAINTY: dict[str, Column] = {
    **{f"95 % ellipsoid, {status}": _coverage(status) for status in ("all", "measured", "inferred")},
    **{f"confidence / true, {status}": _confidence(status) for status in ("all", "measured", "inferred")},
    "ECE": lambda each, a: number(a.confidence["all"].calibration_error, 2) if "all" in a.confidence else _NOTHING,
}

#: Figures of any set.
SUBSET: dict[str, Callable[[RealSubset], str]] = {
    "found": lambda s: f"{s.found} of {s.people}" if s.reference else f"{s.predicted} predicted",
    "false (seen in 2D, too)": lambda s: f"{s.false_people} ({s.confirmed})",
    "unconfirmed": lambda s: str(s.unconfirmed),
    "false per frame": lambda s: number(s.false_per_frame, 2),
    "2D median, % of height": lambda s: number(100 * s.keypoint_median, 1),
    "2D < 10 %": lambda s: percent(s.keypoint_near),
    "left-right swaps": lambda s: f"{s.swaps} of {s.swap_poses}" if s.swap_poses else _NOTHING,
    "stretched arms": lambda s: f"{number(s.arm_stretch, 2)} ({s.arms})" if s.arms else _NOTHING,
    "arms away": lambda s: f"{number(s.arm_stretch_away, 2)} ({s.arms_away})" if s.arms_away else _NOTHING,
    "in front of the surface": lambda s: percent(s.in_front),
}
