"""Whether adapted weights replace the present ones: healthier on the held-out part, and no worse on source data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from unipose_training.adaptation.health import FIGURES
from unipose_training.adaptation.settings import GateSettings
from unipose_training.adaptation.stages import without_nan

#: Figures that are known on both sides must have at least this weight together.
_LEAST_WEIGHT = 4.0


@dataclass(frozen=True)
class Verdict:
    """Of the gate for one modality.

    Attributes:
        accepted: new weights may be deployed.
        reasons: why not; empty when accepted.
        gain: weighted mean of the decrease of the health figures in natural logarithms; positive is better.
        before, after: health figures.
        source_before, source_after: source benchmarks, MPJPE in millimeters by name.
    """

    accepted: bool
    reasons: tuple[str, ...]
    gain: float
    before: Mapping[str, float]
    after: Mapping[str, float]
    source_before: Mapping[str, float]
    source_after: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it; NaN becomes None."""
        return dict(without_nan(asdict(self)))


def health_gain(before: Mapping[str, float], after: Mapping[str, float]) -> tuple[float, float]:
    """The gain, and the weight of the figures that are known on both sides."""
    total = weight = 0.0
    for name, (each, unit, _) in FIGURES.items():
        old, new = before.get(name, math.nan), after.get(name, math.nan)
        if math.isfinite(old) and math.isfinite(new):
            total += each * math.log((old + unit) / (new + unit))
            weight += each
    return (total / weight if weight else math.nan), weight


def judge(
    before: Mapping[str, float],
    after: Mapping[str, float],
    source_before: Mapping[str, float],
    source_after: Mapping[str, float],
    settings: GateSettings,
) -> Verdict:
    """Accept or refuse.

    Args:
        before, after: health figures of :data:`~unipose_training.adaptation.health.FIGURES`.
        source_before, source_after: MPJPE in millimeters by benchmark, the same benchmarks on both sides.
    """
    reasons = []
    gain, weight = health_gain(before, after)
    if weight < _LEAST_WEIGHT:
        reasons.append("health: too little can be measured on the held-out part; record more people")
    elif gain < settings.min_gain:
        reasons.append(f"health: the figures improve by {100 * gain:.1f} %, {100 * settings.min_gain:g} % are needed")
    for name, (_, _, slack) in FIGURES.items():
        old, new = before.get(name, math.nan), after.get(name, math.nan)
        if math.isfinite(old) and (not math.isfinite(new) or new > old * (1 + settings.metric_margin) + slack):
            reasons.append(f"{name}: from {old:.4g} to {new:.4g}")
    if not source_before:
        reasons.append("source: there is no source benchmark")
    for name, old in source_before.items():
        new = source_after.get(name, math.nan)
        if not new <= old * (1 + settings.source_margin):
            reasons.append(
                f"source {name}: from {old:.1f} to {new:.1f} mm, {100 * settings.source_margin:g} % more are allowed"
            )
    return Verdict(
        not reasons, tuple(reasons), gain, dict(before), dict(after), dict(source_before), dict(source_after)
    )
