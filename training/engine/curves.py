"""A run's curves as a picture: each loss term, figure and measure of the run in a panel of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unipose_training.engine.errors import TrainingError
from unipose_training.engine.log import Entry, read_metrics

_COLUMNS = 3
_PANEL = (4.0, 2.4)  # inches
#: Values that differ by more than this factor are drawn on a logarithmic axis.
_LOG_FROM = 20
_COLOURS = {"training": "#2f6db5", "validation": "#c4491d", "run": "#7a7f87"}


def draw_curves(metrics: Path, picture: Path) -> None:
    """Draw ``metrics.csv`` of a run.

    Args:
        picture: written as PNG.

    Raises:
        TrainingError: the file cannot be read, or holds no figures.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves = _curves(read_metrics(metrics))
    if not curves:
        raise TrainingError(f"{metrics}: it holds no figures yet; run the recipe for log_every steps")
    rows = math.ceil(len(curves) / _COLUMNS)
    figure = Figure((_COLUMNS * _PANEL[0], rows * _PANEL[1]), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(rows, _COLUMNS, squeeze=False, sharex=True).flat)
    for axis, ((split, name), points) in zip(axes, curves.items(), strict=False):
        _draw(axis, split, name, points)
    for axis in axes[len(curves) :]:
        axis.remove()
    figure.savefig(picture, dpi=100)


def _curves(entries: Sequence[Entry]) -> dict[tuple[str, str], list[Entry]]:
    """Entries by split and name: losses first, then validation, then the run."""
    curves: dict[tuple[str, str], list[Entry]] = {}
    for split in _COLOURS:
        for entry in entries:
            if entry.split == split and entry.name != "skipped":
                curves.setdefault((split, entry.name), []).append(entry)
    return curves


def _draw(axis: Any, split: str, name: str, points: Sequence[Entry]) -> None:
    values = [point.value for point in points]
    # A mark for each validation: there may be one only.
    axis.plot([point.step for point in points], values, ".-" if split == "validation" else "-", color=_COLOURS[split])
    if split != "run" and min(values) > 0 and max(values) > _LOG_FROM * min(values):
        axis.set_yscale("log")
    axis.set_xlabel("steps", fontsize=8)
    axis.set_title(f"{split}: {name.replace('_', ' ')}", fontsize=10, loc="left")
    axis.tick_params(labelsize=8, labelbottom=True)
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
