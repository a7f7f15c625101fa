"""A page of tables and its plots from the results of ``unipose benchmark``."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from unipose_ros.files import write_atomic

_STAGES = ("people", "crop", "network", "lift")
_IMAGES = "../images"
_PREFIX = "benchmark_"
_INTRODUCTION = """# Benchmark

Written by `make benchmark` (`unipose benchmark`) from `benchmarks/results/benchmark.json`; do not edit.
Milliseconds are medians / 95th percentiles. People are rendered, walk on the spot and stand 2.7 to 5.4 m away.
"""


def write_page(results: Mapping[str, Any], path: Path) -> None:
    """Write the page, and its plots into ``images`` in the folder above the page's.

    Raises:
        OSError: a file cannot be written.
    """
    parts = [_INTRODUCTION, _machine(results)]
    plots = {name: draw(results) for name, draw in _PLOTS.items()}
    folder = path.parent / _IMAGES
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in plots.items():
        if image is not None:
            write_atomic(folder / f"{_PREFIX}{name}.png", image)
    for title, key, table in _TABLES:
        if results.get(key):
            parts.append(f"## {title}\n\n{table(results[key])}")
            parts += [f"![{title}]({_IMAGES}/{_PREFIX}{name}.png)" for name in _SHOWN.get(key, ()) if plots.get(name)]
    write_atomic(path, "\n\n".join(part.strip() for part in parts) + "\n")


def _machine(results: Mapping[str, Any]) -> str:
    facts = results["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
    limits = "; ".join(
        f"{threads} thread{'s' if threads != '1' else ''}: {limit['gflops']:.0f} GFLOP/s in products of matrices, "
        f"{limit['gbytes']:.0f} GB/s copied"
        for threads, limit in facts["ceilings"].items()
    )
    waiting = facts.get("waiting_percent")
    busy = f", some program waited for a core {waiting:.0f} % of the time" if waiting is not None else ""
    return (
        f"Measured on {results['date']} in {results['seconds'] / 60:.0f} minutes: {facts['processor']}, "
        f"{facts['cores']} cores ({', '.join(facts['instructions'])}), {facts['memory_gib']} GiB, "
        f"Python {facts['python']}, {packages}.\n"
        f"Load before and after: {facts['load'][0]} and {facts['load_after'][0]}{busy}. "
        "On a machine with other programs read the CPU times.\n\n"
        f"**Limits of this machine**, measured in the same run: {limits}."
    )


def table_of(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(titles)} |", "|" + "---|" * len(titles)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _pair(values: Mapping[str, float] | None) -> str:
    return f"{values['p50']:.1f} / {values['p95']:.1f}" if values else "-"


def _stage_table(rows: Sequence[Mapping[str, Any]]) -> str:
    text = "Frames are decoded before; CPU is the work of all threads.\n\n"
    return text + table_of(
        ("modality", "people", "found", "image", "threads", *_STAGES, "frame", "CPU"),
        (
            (
                row["modality"], str(row["people"]), f"{row['found']:.1f}", row["size"], str(row["threads"]),
                *(_pair(row["ms"].get(stage)) for stage in (*_STAGES, "frame", "cpu")),
            )
            for row in rows
        ),
    )  # fmt: skip


def _node_table(rows: Sequence[Mapping[str, Any]]) -> str:
    text = (
        "From the acquisition stamp to publication, as the node measures it; JPEG and compressed depth are played, and "
        "messages, TF of all joints and markers recorded, on the same cores. CPU of the node alone: percent of one "
        "core, and milliseconds a frame that was answered.\n\n"
    )
    return text + table_of(
        ("modality", "people", "image", "threads", "Hz", "answered", "latency", "CPU", "CPU a frame", "memory"),
        (
            (
                row["modality"], str(row["people"]), row["size"], str(row["threads"]), str(row["rate"]),
                f"{row['answered']:.1%}", _pair(row["latency_ms"]), f"{row['cpu_percent']:.0f} %",
                f"{row['cpu_ms_a_frame']:.1f}", f"{row['memory_mib']:.0f} MiB",
            )
            for row in rows
        ),
    )  # fmt: skip


def _network_table(rows: Sequence[Mapping[str, Any]]) -> str:
    fastest = min((row["ms"]["cpu"] for row in rows), default=1.0)
    text = (
        "One thread. Operations by torch's counter, two for a multiplication with addition; bytes of weights and of "
        "what each layer reads and writes. The last columns but one are parts of this machine's limits.\n\n"
    )
    return text + table_of(
        ("network", "GFLOP", "MB", "M weights", "ms", "CPU ms", "of the GFLOP/s", "of the GB/s", "relative time"),
        (
            (
                row["network"], f"{row['gflop']:.2f}", f"{row['mbytes']:.0f}", f"{row['mparameters']:.2f}",
                _pair(row["ms"]), f"{row['ms']['cpu']:.1f}", f"{row['of_gflops']:.0%}", f"{row['of_gbytes']:.0%}",
                f"{row['ms']['cpu'] / fastest:.1f}",
            )
            for row in rows
        ),
    )  # fmt: skip


def _crop_table(rows: Sequence[Mapping[str, Any]]) -> str:
    return table_of(
        ("points", "image", "CPU ms"), ((str(row["points"]), row["size"], _pair(row["cpu_ms"])) for row in rows)
    )


_TABLES: tuple[tuple[str, str, Callable[[Sequence[Mapping[str, Any]]], str]], ...] = (
    ("The node, from acquisition to publication", "node", _node_table),
    ("Stages, without ROS", "stages", _stage_table),
    ("Cutting a person out", "crops", _crop_table),
    ("Networks and the machine's limits", "networks", _network_table),
    ("Published sizes beside ours", "peers", _network_table),
)
_SHOWN = {"node": ("latency",), "stages": ("people", "pixels"), "crops": ("points",)}


def _chart(draw: Callable[[Any], None], x: str, y: str) -> bytes:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 3.6), dpi=110)
    draw(axes)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)
    figure.tight_layout()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()


def _lines(
    rows: Sequence[Mapping[str, Any]], x: Callable[[Mapping[str, Any]], float], y: Callable[[Mapping[str, Any]], float],
    name: Callable[[Mapping[str, Any]], str],
) -> Callable[[Any], None]:  # fmt: skip
    def draw(axes: Any) -> None:
        for each in dict.fromkeys(name(row) for row in rows):
            points = sorted((x(row), y(row)) for row in rows if name(row) == each)
            axes.plot(*zip(*points, strict=True), marker="o", label=each)

    return draw


def _pixels(row: Mapping[str, Any]) -> float:
    width, height = row["size"].split("x")
    return int(width) * int(height) / 1e6


def _by_people(results: Mapping[str, Any]) -> bytes | None:
    all_rows = results.get("stages", [])
    rows = [row for row in all_rows if row["threads"] == 1 and row["size"] == all_rows[0]["size"]]
    if not rows:
        return None
    draw = _lines(rows, lambda row: row["people"], lambda row: row["ms"]["cpu"]["p50"], lambda row: row["modality"])
    return _chart(draw, f"people, {rows[0]['size']}", "CPU ms a frame, median")


def _by_pixels(results: Mapping[str, Any]) -> bytes | None:
    rows = [row for row in results.get("stages", []) if row["threads"] == 1]
    rows = [row for row in rows if row["people"] == min(each["people"] for each in rows)]
    if not rows:
        return None
    draw = _lines(rows, _pixels, lambda row: row["ms"]["cpu"]["p50"], lambda row: row["modality"])
    return _chart(draw, "10^6 pixels, one person", "CPU ms a frame, median")


def _by_points(results: Mapping[str, Any]) -> bytes | None:
    rows = results.get("crops", [])
    if not rows:
        return None
    draw = _lines(rows, lambda row: row["points"], lambda row: row["cpu_ms"]["p50"], lambda row: row["size"])
    return _chart(draw, "points of a person", "CPU ms to cut out, median")


def _latency(results: Mapping[str, Any]) -> bytes | None:
    rows = [row for row in results.get("node", []) if row["latency_ms"]]
    most = max((row["threads"] for row in rows), default=0)
    rows = [row for row in rows if row["threads"] == most and row["size"] == "640x480"]
    if not rows:
        return None
    draw = _lines(rows, lambda row: row["people"], lambda row: row["latency_ms"]["p95"], lambda row: row["modality"])
    return _chart(draw, f"people, 640x480, {most} threads", "latency, ms, 95th percentile")


_PLOTS: dict[str, Callable[[Mapping[str, Any]], bytes | None]] = {
    "people": _by_people,
    "pixels": _by_pixels,
    "points": _by_points,
    "latency": _latency,
}
