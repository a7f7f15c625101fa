"""``report.html`` of real frames."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from unipose_training.evaluation.real_checks import RealResults, RealSubset
from unipose_training.evaluation.report import html, plots, sections
from unipose_training.evaluation.report.html import number, percent
from unipose_training.evaluation.report.images import Shown
from unipose_training.evaluation.results import Accuracy, Results, Summary


def real_page(evaluation: RealEvaluation, images: Sequence[Shown], title: str, command: str) -> str:
    """The whole page.

    Args:
        images: of every frame.
        command: how the evaluation can be repeated.
    """
    results = evaluation.results
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="quiet">{results.frames} frames, joint set {escape(results.joint_set)}, frame by frame; '
        f"unipose_ros {escape(results.version)}<br><code>{escape(command)}</code></p>",
        sections.tiles(results),
        subset_section(evaluation),
        sections.errors(results),
        sections.joints(results),
        "" if results.accuracy is None else limb_section(results.accuracy),
        sections.uncertainty(results),
        "" if results.accuracy is None else confidence_section(results.accuracy),
        false_section(evaluation.real),
        sections.gallery(results, images, "Every frame"),
        sections.recordings(results),
    ]
    return html.document(title, "".join(parts))


def subset_section(evaluation: RealEvaluation) -> str:
    """Each set's figures."""
    tracked = evaluation.real_tracked.subsets if evaluation.real_tracked else ()
    rows = [
        (subset.name, subset.reference or html.NOTHING, *(column(subset) for column in SUBSET.values()))
        for subset in (*evaluation.real.subsets, *tracked)
    ]
    return html.section(
        "By set",
        "People present are taken from ground truth joints, else masks, else a 2D network's detections, else a number. "
        "A prediction is false when no ground truth is within 50 cm, or most of its joints lie outside every mask; "
        "where only the 2D network can be asked and sees no person, it is unconfirmed. Left and right, stretched arms "
        "and 2D distances are against the 2D network's keypoints with a confidence of at least 0.3.",
        html.table(("set", "people by", *SUBSET), rows),
    )


def limb_section(accuracy: Accuracy) -> str:
    """Predicted and true lengths."""
    rows = [
        (limb.name, number(limb.predicted_mm), number(limb.true_mm), number(limb.ratio, 2), f"{limb.count:,}")
        for limb in accuracy.limbs
    ]
    return html.section(
        "Limb lengths",
        "Mean lengths over all limbs that are predicted and true; a ratio below 1 says that people are made smaller.",
        html.table(("limb", "predicted, mm", "true, mm", "ratio", "limbs"), rows),
    )


def confidence_section(accuracy: Accuracy) -> str:
    """Confidences against the fraction within 10 cm."""
    if not accuracy.confidence:
        return ""
    rows = [
        (name, number(r.mean, 2), number(r.within_10cm, 2), number(r.calibration_error, 3), f"{r.count:,}")
        for name, r in accuracy.confidence.items()
    ]
    bins = accuracy.confidence["all"]
    edges = zip(bins.edges[:-1], bins.edges[1:], strict=True)
    by_bin = [
        (f"{low:.1f} to {high:.1f}", number(predicted, 2), percent(true), f"{count:,}")
        for (low, high), predicted, true, count in zip(
            edges, bins.confidences, bins.fractions, bins.counts, strict=True
        )
    ]
    return html.section(
        "Whether confidences are probabilities",
        "A confidence is the probability that the joint lies within 10 cm of the ground truth. The calibration "
        "error is the mean distance of the two over bins.",
        html.image(plots.plot_confidence(accuracy.confidence), "confidence calibration"),
        html.columns(
            html.table(("joints", "confidence", "within 10 cm", "calibration error", "count"), rows),
            html.table(("confidence", "mean", "within 10 cm", "count"), by_bin),
        ),
    )


def false_section(real: RealResults) -> str:
    """Where no person is."""
    if not real.false_people:
        return ""
    rows = [
        (
            person.clip,
            ", ".join(number(value, 2) for value in person.place),
            number(person.score, 2),
            person.why,
            {None: html.NOTHING, True: "yes", False: "no"}[person.confirmed],
        )
        for person in real.false_people[: sections.MOST_ROWS]
    ]
    return html.section(
        "False people",
        f"{len(real.false_people)} predictions where no person is known to be; places in the camera's frame.",
        html.table(("frame", "x, y, z in m", "score", "evaluated by", "seen in 2D"), rows),
    )


# Tables that compare settings on real frames, in Markdown.

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


def _cell(value: float, digits: int = 0, unit: str = "") -> str:
    """A figure; a dash for NaN."""
    return f"{value:.{digits}f}{unit}" if math.isfinite(value) else _NOTHING


def _percent_cell(fraction: float, digits: int = 0) -> str:
    """A fraction in per cent; a dash for NaN."""
    return _cell(100 * fraction, digits, " %")


def _part(accuracy: Accuracy, name: str) -> Summary | None:
    return next((summary for summary in accuracy.groups.get("part", ()) if summary.name == name), None)


def _hands(accuracy: Accuracy) -> str:
    hands = _part(accuracy, "hand") or _part(accuracy, "wrist")
    return _NOTHING if hands is None else f"{_cell(hands.median_mm)} ({_cell(hands.mpjpe_mm)})"


def _false_with_ground_truth(evaluation: RealEvaluation) -> str:
    return str(sum(s.false_people for s in evaluation.real.subsets if s.reference == "joints"))


#: Figures that need 3D ground truth.
ACCURACY: dict[str, Column] = {
    "found": lambda each, a: f"{a.people.matched} of {a.people.people}",
    "false": lambda each, a: _false_with_ground_truth(each),
    "MPJPE, mm": lambda each, a: _cell(a.overall.mpjpe_mm),
    "median": lambda each, a: _cell(a.overall.median_mm),
    "root-aligned": lambda each, a: _cell(a.overall.root_aligned_mm),
    "PA": lambda each, a: _cell(a.overall.procrustes_mm),
    "joints < 10 cm": lambda each, a: _percent_cell(a.overall.pck_10cm),
    "people wholly < 10 cm": lambda each, a: _percent_cell(a.people_within_10cm),
    "hands, median (mean)": lambda each, a: _hands(a),
    "left-right swaps": lambda each, a: f"{a.swaps.swapped} of {a.swaps.poses}",
    "in front of the surface (ground truth)": lambda each, a: (
        f"{_percent_cell(_in_front(each))} ({_percent_cell(a.label_free_true.in_front)})"
    ),
}


def _in_front(evaluation: RealEvaluation) -> float:
    return next((s.in_front for s in evaluation.real.subsets if s.reference == "joints"), float("nan"))


def _limb_columns(accuracy: Accuracy) -> dict[str, Column]:
    def column(index: int) -> Column:
        def show(_: RealEvaluation, accuracy: Accuracy) -> str:
            limb = accuracy.limbs[index]
            return f"{_cell(limb.ratio, 2)} ({_cell(limb.predicted_mm)} / {_cell(limb.true_mm)})"

        return show

    return {limb.name: column(index) for index, limb in enumerate(accuracy.limbs)}


def _coverage(status: str) -> Column:
    def show(_: RealEvaluation, accuracy: Accuracy) -> str:
        found = accuracy.reliability.get(status)
        return _NOTHING if found is None else f"{_percent_cell(found.cover_95)} (x{_cell(found.scale, 2)})"

    return show


def _confidence(status: str) -> Column:
    def show(_: RealEvaluation, accuracy: Accuracy) -> str:
        found = accuracy.confidence.get(status)
        return _NOTHING if found is None else f"{_cell(found.mean, 2)} / {_cell(found.within_10cm, 2)}"

    return show


#: How true the uncertainty is, by status.
UNCERTAINTY: dict[str, Column] = {
    **{f"95 % ellipsoid, {status}": _coverage(status) for status in ("all", "measured", "inferred")},
    **{f"confidence / true, {status}": _confidence(status) for status in ("all", "measured", "inferred")},
    "ECE": lambda each, a: _cell(a.confidence["all"].calibration_error, 2) if "all" in a.confidence else _NOTHING,
}

#: Figures of any set.
SUBSET: dict[str, Callable[[RealSubset], str]] = {
    "found": lambda s: f"{s.found} of {s.people}" if s.reference else f"{s.predicted} predicted",
    "false (seen in 2D, too)": lambda s: f"{s.false_people} ({s.confirmed})",
    "unconfirmed": lambda s: str(s.unconfirmed),
    "false per frame": lambda s: _cell(s.false_per_frame, 2),
    "2D median, % of height": lambda s: _cell(100 * s.keypoint_median, 1),
    "2D < 10 %": lambda s: _percent_cell(s.keypoint_near),
    "left-right swaps": lambda s: f"{s.swaps} of {s.swap_poses}" if s.swap_poses else _NOTHING,
    "stretched arms": lambda s: f"{_cell(s.arm_stretch, 2)} ({s.arms})" if s.arms else _NOTHING,
    "arms away": lambda s: f"{_cell(s.arm_stretch_away, 2)} ({s.arms_away})" if s.arms_away else _NOTHING,
    "in front of the surface": lambda s: _percent_cell(s.in_front),
}
