"""``report.html`` of an adaptation: verdict, figures, data, and the same held-out frames before and after."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unipose_ros.files import write_atomic
from unipose_training.adaptation.health import Verdict
from unipose_training.adaptation.settings import AdaptSettings
from unipose_training.datasets.base import Clip
from unipose_training.evaluation.compare import FIGURES
from unipose_training.evaluation.report.html import bullets, document, number, section, table, tile
from unipose_training.evaluation.report.images import FramePeople, before_after

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
        ground_truth: figures by the recording's ground truth, ``before`` and ``after``; empty without.
        coverage: of the fused reference's joints, percent that the 95 % ellipsoids hold, ``before`` and ``after``.
    """

    modality: str
    verdict: Verdict
    before: Sequence[FramePeople]
    after: Sequence[FramePeople]
    training: Mapping[str, Any]
    ground_truth: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    coverage: Mapping[str, float] = field(default_factory=dict)


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
        *(
            before_after(f"{each.modality}: before and after", parts, each.before, each.after, ("before", "after"))
            for each in comparisons
        ),
        _data_section(facts),
        section("What to keep in mind", "", bullets(_NOTES)),
    ]
    title = ", ".join(f"{each.modality} {_word(each.verdict)}" for each in comparisons)
    write_atomic(path, document(f"Adaptation: {title}", "".join(body)))
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
    unit = "MPJPE mm" if verdict.unit == "mm" else verdict.unit
    rows += [
        [f"source: {name}, {unit}", number(old, 1), number(verdict.source_after.get(name, math.nan), 1)]
        for name, old in verdict.source_before.items()
    ]
    if comparison.coverage:
        both = [number(comparison.coverage.get(side, math.nan), 1) for side in ("before", "after")]
        rows.append(["joints of the fused reference that the 95 % ellipsoids hold, %", *both])
    truth = comparison.ground_truth
    for key, (name, digits) in FIGURES.items() if len(truth) == 2 else ():
        if key in truth["before"] and key in truth["after"]:
            both = [number(truth[side][key], digits) for side in ("before", "after")]
            rows.append([f"for judging only, by ground truth: {name}", *both])
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
