"""The parts of the page about joint errors: overall, by joint and by circumstance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from unipose_training.evaluation.breakdown import Summary
from unipose_training.evaluation.report import html, plots
from unipose_training.evaluation.report.html import number, percent
from unipose_training.evaluation.report.sections import MOST_ROWS
from unipose_training.evaluation.results import Results

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
