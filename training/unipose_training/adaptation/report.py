"""``report.html`` of an adaptation: verdict, figures, data, and the same held-out frames before and after."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.files import write_atomic
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.tracking.assignment import match, mean_distances
from unipose_ros.visualization.overlay import background, draw_skeletons, drawn_text
from unipose_training.adaptation.gate import Verdict
from unipose_training.adaptation.settings import AdaptSettings
from unipose_training.datasets.base import Clip
from unipose_training.evaluation.replay import ReplayedFrame
from unipose_training.evaluation.report.html import CSS, bullets, figure, number, section, table, tile

#: Pictures of each modality: those with the largest change, and those spread over time.
_CHANGED, _SPREAD = 4, 4
_WIDTH = 520
_TEXT, _GROUND = (235, 235, 240), (14, 15, 19)

_NAMES = {
    "reference_mm": ("distance to the fused reference, mm", 1.0, 1),
    "reprojection_percent": ("distance to the 2D network's keypoints, % of the height", 1.0, 2),
    "in_front": ("joints in front of the surface, %", 100.0, 1),
    "bone_std_mm": ("standard deviation of bone lengths over time, mm", 1.0, 1),
    "asymmetry_mm": ("difference of left and right limbs, mm", 1.0, 1),
    "jitter_mm": ("second differences, mm", 1.0, 1),
    "swaps": ("left and right against the 2D network, % of the poses", 100.0, 1),
    "missed": ("people of the 2D network who are not found, %", 100.0, 1),
    "false_people": ("people where the 2D network sees no one, per frame", 1.0, 3),
}


@dataclass(frozen=True, eq=False)
class Comparison:
    """Of one modality.

    Attributes:
        modality: name.
        verdict: of the gate.
        before, after: the held-out frames with the present and the adapted weights.
        training: what training did.
    """

    modality: str
    verdict: Verdict
    before: Sequence[ReplayedFrame]
    after: Sequence[ReplayedFrame]
    training: Mapping[str, Any]


def write_report(
    path: Path,
    parts: Sequence[Clip],
    comparisons: Sequence[Comparison],
    facts: Mapping[str, Mapping[str, Any]],
    settings: AdaptSettings,
) -> Path:
    """Write the page; returns its path.

    Args:
        parts: the held-out parts that the frames are of.
        facts: results of the stages ``labels``, ``checks`` and ``fused``.
    """
    body = [
        "<h1>Adaptation</h1>",
        f'<p class="quiet">budget {settings.budget_minutes:g} min, {settings.rate_hz:g} frames per second, the last '
        f"{100 * settings.held_out:.0f} % of each recording held out</p>",
        *(_verdict_section(each) for each in comparisons),
        *(_picture_section(parts, each) for each in comparisons),
        _data_section(facts),
        section("What to keep in mind", "", bullets(_NOTES)),
    ]
    title = ", ".join(f"{each.modality} {_word(each.verdict)}" for each in comparisons)
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Adaptation: '
        f"{escape(title)}</title><style>{CSS}</style></head><body><main>{''.join(body)}</main></body></html>\n"
    )
    write_atomic(path, page)
    return path


_NOTES = (
    "No figure on the recording uses ground truth: the 2D network and the fused reference err too, alike before and "
    "after. A figure finds faults and compares weights; it is no accuracy.",
    "The fused reference is made with the present weights, so it favors them slightly.",
    "Source people are rendered; they stand for what the recording does not show.",
)


def _word(verdict: Verdict) -> str:
    return "accepted" if verdict.accepted else "refused"


def _verdict_section(comparison: Comparison) -> str:
    verdict = comparison.verdict
    rows = [
        [name, number(scale * verdict.before.get(key, math.nan), digits),
         number(scale * verdict.after.get(key, math.nan), digits)]
        for key, (name, scale, digits) in _NAMES.items()
    ]  # fmt: skip
    rows += [
        [f"source: {name}, MPJPE mm", number(old, 1), number(verdict.source_after.get(name, math.nan), 1)]
        for name, old in verdict.source_before.items()
    ]
    tiles = (
        '<div class="tiles">'
        + tile("verdict", _word(verdict), comparison.modality)
        + tile("gain in health", number(100 * verdict.gain, 1, "%"), "weighted mean of the log ratios")
        + tile(
            "training",
            f"{comparison.training.get('steps', 0)} steps",
            f"ended by {comparison.training.get('ended_by')}",
        )
        + "</div>"
    )
    reasons = bullets(list(verdict.reasons)) if verdict.reasons else ""
    return tiles + section(
        f"{comparison.modality}: {_word(verdict)}",
        "Held-out part of the recording and source benchmark; less is better.",
        reasons, table(["", "before", "after"], rows),
    )  # fmt: skip


def _data_section(facts: Mapping[str, Mapping[str, Any]]) -> str:
    rows = []
    for stage, result in facts.items():
        for key, value in _flat(result):
            rows.append([f"{stage}: {key}", value])
    return section("The recording", "2D pseudo-labels, data checks and fused 3D pseudo-labels.", table(["", ""], rows))


def _flat(result: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in result.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            rows += _flat(value, f"{name}, ") if value else [(name, "none")]
        else:
            rows.append((name, f"{value:.4g}" if isinstance(value, float) else str(value)))
    return rows


def _picture_section(parts: Sequence[Clip], comparison: Comparison) -> str:
    chosen = chosen_frames(comparison.before, comparison.after)
    wanted = {(comparison.before[k].clip, comparison.before[k].predicted.stamp_ns): k for k in chosen}
    figures = {}
    for number_, part in enumerate(parts):
        for frame in part.frames():
            k = wanted.get((number_, frame.stamp_ns))
            if k is not None:
                picture = _pair(frame, comparison.before[k].predicted, comparison.after[k].predicted)
                seconds = (frame.stamp_ns - comparison.before[0].predicted.stamp_ns) * 1e-9
                figures[k] = figure(_jpeg(picture), f"{part.name}, {seconds:.1f} s: before, after", "jpeg")
    return section(
        f"{comparison.modality}: before and after", "The same held-out frames; the first ones change most.",
        *(figures[k] for k in chosen if k in figures),
    )  # fmt: skip


def chosen_frames(before: Sequence[ReplayedFrame], after: Sequence[ReplayedFrame]) -> list[int]:
    """Numbers of the frames that are shown: those with the largest change, then some spread over time."""
    changes = np.array([_change(old.predicted, new.predicted) for old, new in zip(before, after, strict=True)])
    people = np.array([max(len(old.predicted), len(new.predicted)) for old, new in zip(before, after, strict=True)])
    order = [int(k) for k in np.argsort(-changes, kind="stable")[:_CHANGED]]
    there = np.flatnonzero(people > 0)
    spread = there[np.linspace(0, len(there) - 1, _SPREAD).astype(int)] if len(there) else there
    return list(dict.fromkeys([*order, *(int(k) for k in spread)]))


def _change(old: Skeletons, new: Skeletons) -> float:
    if not len(old) or not len(new):
        return 0.0
    apart = mean_distances(old.positions, new.positions)
    rows, columns = match(apart, np.full(len(old), 1.0))
    return float(apart[rows, columns].max(initial=0.0))


def _pair(frame: RgbdFrame, old: Skeletons, new: Skeletons) -> NDArray[np.uint8]:
    panels = []
    for text, people in (("before", old), ("after", new)):
        image = background(frame).copy()
        draw_skeletons(image, people, frame.camera)
        height = round(_WIDTH * frame.camera.height / frame.camera.width)
        panel = np.asarray(cv2.resize(image, (_WIDTH, height), interpolation=cv2.INTER_AREA), np.uint8)
        for color, thick in ((_GROUND, 4), (_TEXT, 1)):
            cv2.putText(panel, drawn_text(text), (10, 24), cv2.FONT_HERSHEY_DUPLEX, 0.7, color, thick, cv2.LINE_AA)
        panels.append(panel)
    return np.hstack(panels)


def _jpeg(image: NDArray[np.uint8]) -> str:
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
    assert done
    return base64.b64encode(data.tobytes()).decode()
