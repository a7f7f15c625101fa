"""The report's plots, as base64 PNG. Errors are in millimeters."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from unipose_training.evaluation.metrics.pose import PckCurve
from unipose_training.evaluation.metrics.temporal import BoneLength
from unipose_training.evaluation.metrics.uncertainty import ConfidenceReliability, Reliability, Sparsification
from unipose_training.evaluation.results import Summary

_INK, _QUIET, _GRID = "#1c2430", "#66707f", "#e3e7ed"
_BLUE, _ORANGE, _GREEN, _PALE = "#0072b2", "#d55e00", "#009e73", "#9cc3de"
_LINES = (_BLUE, _ORANGE, _GREEN)


def _figure(width: float, height: float, panels: int = 1) -> tuple[Figure, Any]:
    """A figure without pyplot, which would keep it alive."""
    figure = Figure(figsize=(width, height), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, panels, squeeze=False)[0]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.spines[["left", "bottom"]].set_color(_QUIET)
        axis.tick_params(colors=_QUIET, labelsize=8)
        axis.grid(color=_GRID, linewidth=0.8)
        axis.set_axisbelow(True)
    return figure, axes


def _label(axis: Any, x: str, y: str, title: str = "") -> None:
    axis.set_xlabel(x, color=_INK, fontsize=9)
    axis.set_ylabel(y, color=_INK, fontsize=9)
    if title:
        axis.set_title(title, color=_INK, fontsize=10, loc="left")


def _png(figure: Figure) -> str:
    buffer = io.BytesIO()
    # No time or version in the file: the same results give the same report.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return base64.b64encode(buffer.getvalue()).decode()


def plot_pck(curve: PckCurve) -> str:
    """Shares of joints within each threshold, ITOP's own marked."""
    figure, (axis,) = _figure(6.2, 3.2)
    centimeters = 100 * np.array(curve.thresholds_m)
    shares = 100 * np.array(curve.map)
    axis.axvline(10, color=_ORANGE, linewidth=1, linestyle=(0, (4, 3)))
    axis.plot(centimeters, shares, color=_BLUE, marker="o", markersize=4)
    for x, y in zip(centimeters, shares, strict=True):
        axis.annotate(
            f"{y:.0f}",
            (x, y),
            (0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=_INK,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        )
    axis.set(ylim=(0, 108), xlim=(0, centimeters.max() + 1), xticks=centimeters)
    _label(axis, "threshold, cm", "joints within, % (mAP)")
    return _png(figure)


def plot_groups(groups: Mapping[str, Sequence[Summary]]) -> str:
    """Mean (bar) and median (mark) errors side by side, one panel for each kind of group."""
    figure, axes = _figure(3.1 * len(groups), 3.0, len(groups))
    top = max((s.mpjpe_mm for group in groups.values() for s in group if np.isfinite(s.mpjpe_mm)), default=1.0)
    for axis, (kind, summaries) in zip(axes, groups.items(), strict=True):
        ticks = np.arange(len(summaries))
        axis.bar(ticks, [s.mpjpe_mm for s in summaries], width=0.62, color=_PALE, label="mean")
        axis.plot(ticks, [s.median_mm for s in summaries], "_", color=_BLUE, markersize=16, mew=2.5, label="median")
        axis.set_xticks(ticks, [s.name for s in summaries], rotation=30, ha="right")
        axis.grid(axis="x", visible=False)
        axis.set_ylim(0, 1.12 * top)
        _label(axis, "", "error, mm" if axis is axes[0] else "", f"by {kind}")
    axes[0].legend(fontsize=8, frameon=False, loc="upper left")
    return _png(figure)


def plot_reliability(curves: Mapping[str, Reliability]) -> str:
    """Coverage of the published ellipsoids against what they promise."""
    figure, (axis,) = _figure(4.2, 3.4)
    axis.plot([0, 100], [0, 100], color=_QUIET, linewidth=1, linestyle=(0, (4, 3)))
    for color, (name, found) in zip(_LINES, curves.items(), strict=False):
        levels, coverage = 100 * np.array(found.levels), 100 * np.array(found.coverage)
        axis.plot(levels, coverage, color=color, linewidth=1.8, label=f"{name} ({found.count:,} joints)")
    axis.text(70, 8, "too sure", color=_QUIET, fontsize=8)
    axis.text(6, 88, "too modest", color=_QUIET, fontsize=8)
    axis.set(xlim=(0, 100), ylim=(0, 100), aspect="equal")
    axis.legend(fontsize=7, frameon=False, loc="lower right", bbox_to_anchor=(1, 0.12))
    _label(axis, "should hold, %", "holds, %", "Covariance calibration")
    return _png(figure)


def plot_confidence(curves: Mapping[str, ConfidenceReliability]) -> str:
    """Fraction of the joints within 10 cm against what their confidences promise."""
    figure, (axis,) = _figure(4.2, 3.4)
    axis.plot([0, 100], [0, 100], color=_QUIET, linewidth=1, linestyle=(0, (4, 3)))
    for color, (name, found) in zip(_LINES, curves.items(), strict=False):
        predicted, near = 100 * np.array(found.confidences), 100 * np.array(found.fractions)
        label = f"{name} ({found.count:,} joints)"
        axis.plot(predicted, near, color=color, linewidth=1.5, marker="o", markersize=4, label=label)
    axis.set(xlim=(0, 100), ylim=(0, 100), aspect="equal")
    axis.legend(fontsize=7, frameon=False, loc="upper left")
    _label(axis, "confidence, %", "within 10 cm, %", "Confidence calibration")
    return _png(figure)


def plot_sparsification(curves: Mapping[str, Sparsification]) -> str:
    """Error of what is left when the least certain joints are removed."""
    figure, (axis,) = _figure(4.2, 3.4)
    axis.axhline(1, color=_QUIET, linewidth=1, linestyle=(0, (4, 3)))
    for color, (name, found) in zip(_LINES, curves.items(), strict=False):
        removed = 100 * np.array(found.removed)
        axis.plot(removed, found.curve, color=color, linewidth=1.8, label=f"by {name}, AUSE {found.ause:.2f}")
    first = next(iter(curves.values()))
    axis.plot(100 * np.array(first.removed), first.oracle, color=_INK, linewidth=1, label="by the error itself")
    axis.set(xlim=(0, 95), ylim=(0, None))
    axis.legend(fontsize=7, frameon=False)
    _label(axis, "least certain joints removed, %", "mean error, relative", "Sparsification")
    return _png(figure)


def plot_bones(bones: Sequence[BoneLength]) -> str:
    """How much each bone changes its length over time and, with ground truth, by how much it is too long."""
    known = [bone for bone in bones if bone.tracks]
    compared = any(np.isfinite(bone.error_mm) for bone in known)
    figure, axes = _figure(9.3, 0.24 * len(known) + 0.9, 2 if compared else 1)
    ticks = np.arange(len(known))[::-1]
    axes[0].barh(ticks, [bone.std_mm for bone in known], color=_PALE, height=0.62)
    axes[0].set_xlim(0, max(1.0, 1.05 * max((bone.std_mm for bone in known), default=0.0)))
    _label(axes[0], "standard deviation over time, mm", "")
    if compared:
        axes[1].barh(ticks, [bone.error_mm for bone in known], color=_PALE, height=0.62)
        axes[1].axvline(0, color=_QUIET, linewidth=1)
        axes[1].set_yticks(ticks, [""] * len(known))
        _label(axes[1], "predicted less true length, mm", "")
    axes[0].set_yticks(ticks, [bone.name.replace("_", " ") for bone in known])
    for axis in axes:
        axis.grid(axis="y", visible=False)
    return _png(figure)
