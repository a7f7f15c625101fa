"""``report.html`` of real frames."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from unipose_training.evaluation.real_checks import RealResults
from unipose_training.evaluation.real_table import SUBSET, RealEvaluation
from unipose_training.evaluation.report import error_sections, html, plots, sections
from unipose_training.evaluation.report.html import number, percent
from unipose_training.evaluation.report.images import Shown
from unipose_training.evaluation.results import Accuracy


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
        error_sections.errors(results),
        error_sections.joints(results),
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
