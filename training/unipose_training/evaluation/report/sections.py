"""Parts of the page. Each takes the results and gives HTML, or "" when it has nothing to say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from unipose_training.evaluation.metrics.reference_free import ReferenceFree
from unipose_training.evaluation.report import html, plots
from unipose_training.evaluation.report.html import number, percent
from unipose_training.evaluation.report.images import Shown
from unipose_training.evaluation.results import Accuracy, Results, Summary

#: Longer tables tell a reader nothing; metrics.json has every row.
MOST_ROWS = 30


def tiles(results: Results) -> str:
    """The figures to remember."""
    accuracy = results.accuracy
    scored = accuracy is not None and accuracy.overall.joints > 0
    parts = _accuracy_tiles(accuracy) if accuracy is not None and scored else _label_free_tiles(results)
    parts.append(html.tile("Jitter", number(results.jitter.median_mm, 1, "mm"), "median second difference"))
    timing = results.latency.total
    p50, p95 = timing.get("p50", float("nan")), timing.get("p95", float("nan"))
    parts.append(html.tile("Time a frame", number(p50, 0, "ms"), f"95 % within {number(p95, 0, 'ms')}"))
    return f'<div class="tiles">{"".join(parts)}</div>'


def _accuracy_tiles(accuracy: Accuracy) -> list[str]:
    overall, people = accuracy.overall, accuracy.people
    at_10 = accuracy.pck.map[accuracy.pck.thresholds_m.index(0.10)]
    low, high = accuracy.intervals.mpjpe_mm
    interval = f"; {number(low)} to {number(high)} with 95 %" if accuracy.intervals.blocks > 1 else ""
    parts = [
        html.tile("MPJPE", number(overall.mpjpe_mm, 0, "mm"), f"median {number(overall.median_mm)}{interval}"),
        html.tile("Root-aligned", number(overall.root_aligned_mm, 0, "mm"), "both torsos at the origin"),
        html.tile("PA-MPJPE", number(overall.procrustes_mm, 0, "mm"), "after the best similarity"),
        html.tile("mAP at 10 cm", percent(at_10), "missing joints count as wrong"),
        html.tile("People found", percent(people.recall), f"{people.missed:,} missed, {people.extra:,} invented"),
    ]
    if accuracy.identity is not None:
        found = accuracy.identity
        parts.append(html.tile("HOTA", percent(found.hota), f"{found.switches:,} changes of id"))
    return parts


def _label_free_tiles(results: Results) -> list[str]:
    checks, accuracy = results.label_free, results.accuracy
    most = max((clip.people_max for clip in results.clips), default=0)
    parts = [html.tile("People a frame", number(checks.people / max(1, results.frames), 2), f"at most {most}")]
    if accuracy is not None:
        parts.append(
            html.tile("False people", f"{accuracy.people.extra:,}", "the ground truth has no person to be found")
        )
    return [
        *parts,
        html.tile("Off the 2D keypoints", percent(checks.reprojection_percent / 100), "of the person's height"),
        html.tile("Joints in free air", percent(checks.in_front), "more than 5 cm before any surface"),
        html.tile("Implausible limbs", percent(checks.limb_implausible), "over 3 standard deviations"),
    ]


def uncertainty(results: Results) -> str:
    """Covariances and confidences against errors."""
    accuracy = results.accuracy
    if accuracy is None or not (accuracy.reliability or accuracy.sparsification):
        return ""
    rows = [
        (
            name,
            number(r.calibration_error, 3),
            number(r.bias, 3),
            number(r.scale, 2),
            percent(r.cover_95),
            f"{r.count:,}",
        )
        for name, r in accuracy.reliability.items()
    ]
    head = ("joints", "calibration error", "bias", "fitting scale", "held by the 95 % ellipsoid", "count")
    images = []
    if accuracy.reliability:
        images.append(html.image(plots.plot_reliability(accuracy.reliability), "covariance calibration"))
    if accuracy.sparsification:
        images.append(html.image(plots.plot_sparsification(accuracy.sparsification), "sparsification"))
    return html.section(
        "Whether it knows what it does not know",
        "Left: a covariance promises an ellipsoid that holds the true joint with a given probability; below the "
        "diagonal it is too small. The fitting scale is the factor by which standard deviations would have to grow. "
        "Right: if the joints called uncertain are the wrong ones, the error falls as they are removed.",
        html.columns(*images),
        html.table(head, rows) if rows else "",
    )


def motion(results: Results) -> str:
    """Jitter and swaps."""
    accuracy = results.accuracy
    rows = [("predicted", results.jitter)] + ([("true", accuracy.jitter_true)] if accuracy else [])
    figures = [
        (name, number(j.median_mm, 1), number(j.mean_mm, 1), number(j.p95_mm, 1), f"{j.count:,}") for name, j in rows
    ]
    parts = [html.table(("second differences, mm", "median", "mean", "p95", "count"), figures)]
    explanation = "A joint that moves steadily has second difference 0; more is real motion or trembling."
    if accuracy is not None:
        explanation += " A pose or limb is swapped when it is nearer to the ground truth with left and right swapped."
        swaps = accuracy.swaps
        shares = [("whole body", percent(swaps.share)), *((n, percent(s)) for n, s in swaps.limbs.items())]
        parts.append(html.table(("left taken for right", "share of poses"), shares))
    return html.section(
        "Steadiness",
        explanation,
        html.columns(*parts),
    )


def bones(results: Results) -> str:
    """Whether limbs keep their length."""
    if not any(bone.tracks for bone in results.bones):
        return ""
    return html.section(
        "Limb lengths",
        "Limbs do not change their length: what does change is error. Over all tracks of at least two frames.",
        html.image(plots.plot_bones(results.bones), "limb lengths"),
    )


def identity(results: Results) -> str:
    """Who is who."""
    found = results.accuracy.identity if results.accuracy else None
    if found is None:
        return ""
    rows = [
        ("HOTA", percent(found.hota), "finding and keeping apart together"),
        ("DetA / AssA", f"{percent(found.deta)} / {percent(found.assa)}", "finding / keeping apart"),
        ("MOTA", percent(found.mota), "1 - (missed + invented + changes of id) / true"),
        ("IDF1", percent(found.idf1), "F1 of all people under the best pairing of true ids with given ones"),
        ("MOTP", number(found.motp_mm, 0, "mm"), "mean distance of torsos"),
        ("changes of id / losses", f"{found.switches:,} / {found.fragmentations:,}", "of one true person"),
        ("true people / ids given", f"{found.true_people:,} / {found.predicted_ids:,}", "over all recordings"),
        (
            "mostly tracked / lost",
            f"{found.mostly_tracked:,} / {found.mostly_lost:,}",
            "over 80 % / under 20 % of frames",
        ),
    ]
    return html.section(
        "Who is who",
        "By the distance of torsos: similarity falls from 1 to 0 at 1 m, and CLEAR-MOT and IDF1 allow 0.5 m.",
        html.table(("", "", "what it is"), rows, remarks=True),
    )


def label_free(results: Results) -> str:
    """What needs no ground truth; with ground truth, the same of the ground truth beside it."""
    columns = [results.label_free] + ([results.accuracy.label_free_true] if results.accuracy else [])
    names = ("predicted", "ground_truth")[: len(columns)]

    def row(name: str, figure: Callable[[ReferenceFree], str], remark: str) -> tuple[str, ...]:
        return (name, *(figure(checks) for checks in columns), remark)

    rows = [
        row("distance to the 2D keypoints", lambda c: number(c.reprojection_px, 1, "px"), "median"),
        row("", lambda c: number(c.reprojection_p95_px, 1, "px"), "95th percentile"),
        row("", lambda c: percent(c.reprojection_percent / 100), "median, of the person's height in the image"),
        row(
            "joints in free air", lambda c: percent(c.in_front), "more than 5 cm nearer than anything seen around them"
        ),
        row("joints without depth", lambda c: percent(c.no_depth), "no reading within 2 pixels"),
        row("limb lengths", lambda c: number(c.limb_median_z, 2), "median |z| against the adults of ITOP"),
        row("implausible limbs", lambda c: percent(c.limb_implausible), "|z| over 3"),
        row("left and right leg", lambda c: number(c.leg_asymmetry_mm, 0, "mm"), "median difference, thighs and shins"),
        row(
            "left and right arm",
            lambda c: number(c.arm_asymmetry_mm, 0, "mm"),
            "median difference, upper and lower arms",
        ),
    ]
    parts = [html.table(("", *names, ""), rows, remarks=True)]
    if results.agreement:
        views = [
            (f"{a.first} and {a.second}", number(a.mean_mm), number(a.median_mm), f"{a.people:,}", f"{a.frames:,}")
            for a in results.agreement
        ]
        parts.append(html.table(("views", "mean, mm", "median, mm", "people", "frames"), views))
    explanation = "Checks that need no labels, over all frames. They find faults; they prove nothing."
    if results.accuracy is not None:
        explanation += " The ground truth's own figures show what the checks can tell."
    return html.section("Without ground truth", explanation, *parts)


def recordings(results: Results) -> str:
    """What was read, and how long it took."""
    rows: list[tuple[str, ...]] = [
        (
            c.name, c.subset or html.NOTHING, f"{c.frames:,}", f"{c.frames_with_ground_truth:,}",
            number(c.rate_hz, 1), str(c.people_max),
        )
        for c in results.clips[:MOST_ROWS]
    ]  # fmt: skip
    if len(results.clips) > MOST_ROWS:
        rows.append((f"and {len(results.clips) - MOST_ROWS:,} more",))
    timing = results.latency
    stages = [
        (n, number(t["p50"], 1), number(t["p95"], 1)) for n, t in [*timing.stages.items(), ("all", timing.total)] if t
    ]
    return html.section(
        "Recordings and times",
        "Times leave out the first frame of each recording, on which networks warm up.",
        html.columns(
            html.table(("recording", "subset", "frames", "with ground truth", "Hz", "most people"), rows),
            html.table(("stage", "p50, ms", "p95, ms"), stages) if stages else "",
        ),
    )


def gallery(results: Results, shown: Sequence[Shown], title: str = "") -> str:
    """Images of frames.

    Args:
        title: by default the worst frames, or some.
    """
    if not shown:
        return ""
    scored = results.accuracy is not None and bool(results.accuracy.worst)
    return html.section(
        title or ("The worst frames" if scored else "Some frames"),
        "Left over the image, right the same from the side. Hollow joints are inferred, not measured."
        + (
            " White lines are true, red ones join joints that are 10 cm or more apart with their true places."
            if scored
            else ""
        ),
        *[html.figure(image.jpeg, image.caption, "jpeg") for image in shown],
    )


# The parts of the page about joint errors: overall, by joint and by circumstance.

_SUMMARY_HEAD = ("", "MPJPE, mm", "median, mm", "root-aligned, mm", "PA, mm", "within 10 cm", "found", "joints")
#: Shown as plots; the rest are tables only.
_PLOTTED = ("visibility", "distance", "facing", "speed")


def errors(results: Results) -> str:
    """Overall figures and the PCK curve."""
    accuracy = results.accuracy
    if accuracy is None or not accuracy.overall.joints:
        return ""
    rows = [
        (f"{100 * t:g} cm", percent(p), percent(m))
        for t, p, m in zip(accuracy.pck.thresholds_m, accuracy.pck.pck, accuracy.pck.map, strict=True)
    ]
    rows.append(("AUC, 0 to 15 cm", percent(accuracy.pck.auc), ""))
    return html.section(
        "How far off joints are",
        "Share of all true joints with an error strictly below each threshold. mAP is ITOP's: the mean of the "
        "joints' own shares. The dashed line is ITOP's 10 cm.",
        html.columns(
            html.image(plots.plot_pck(accuracy.pck), "share of joints over threshold"),
            html.table(("within", "PCK", "mAP"), rows),
        ),
    )


def joints(results: Results) -> str:
    """Per joint, and per part."""
    if results.accuracy is None or not results.accuracy.overall.joints:
        return ""
    groups = results.accuracy.groups
    return html.section(
        "By joint",
        "Left and right are the person's own; parts have both sides together.",
        _summary_table(
            {
                "": _readable(groups["joint"]),
                "both sides": _readable(groups["part"]),
                "together": (results.accuracy.overall,),
            }
        ),
    )


def conditions(results: Results) -> str:
    """By visibility, distance, facing, speed, subset and recording."""
    if results.accuracy is None or not results.accuracy.overall.joints:
        return ""
    groups = results.accuracy.groups
    plotted = {kind: groups[kind] for kind in _PLOTTED if groups[kind]}
    tables = {f"by {kind}": groups[kind] for kind in (*plotted, "subset") if len(groups[kind]) > 1 or kind in plotted}
    recordings = sorted(groups["recording"], key=lambda s: -s.mpjpe_mm)
    if len(recordings) > 1:
        tables["by recording, worst first"] = tuple(recordings[:MOST_ROWS])
    return html.section(
        "By circumstance",
        "Distance is that of the torso; facing is the angle between straight ahead and the camera (oblique from 45, "
        "side from 75, away from 105 degrees); speed is that of the true joint.",
        html.image(plots.plot_groups(plotted), "errors by circumstance"),
        _summary_table(tables),
    )


def _readable(summaries: Sequence[Summary]) -> tuple[Summary, ...]:
    return tuple(replace(s, name=s.name.replace("_", " ")) for s in summaries)


def _summary_table(groups: Mapping[str, Sequence[Summary]]) -> str:
    """One table, so that columns stand below each other; each group under its title."""
    rows: list[tuple[str, ...]] = []
    for title, summaries in groups.items():
        rows += ([(title,)] if title else []) + [_summary_row(s) for s in summaries]
    return html.table(_SUMMARY_HEAD, rows, bar_column=1)


def _summary_row(s: Summary) -> tuple[str, ...]:
    return (
        s.name, number(s.mpjpe_mm), number(s.median_mm), number(s.root_aligned_mm),
        number(s.procrustes_mm), percent(s.pck_10cm), percent(s.found), f"{s.joints:,}",
    )  # fmt: skip
