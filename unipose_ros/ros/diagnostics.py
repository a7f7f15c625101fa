"""Statistics -> ``/diagnostics``: is it running, how fast, and what is being thrown away."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from unipose_ros.ros.messages import time_message
from unipose_ros.ros.monitoring import Statistics
from unipose_ros.ros.parameters import NodeConfig
from unipose_ros.ros.subscriptions import NAMES, awaited

_MEGABYTE = 1024.0 * 1024.0
#: How the node keeps up with the camera is no fault of the input.
_NO_FAULT = {"superseded", "above_max_rate"}
#: Remarks about an input that nothing is lost by.
_HARMLESS = {"thin_depth"}


@dataclass(frozen=True)
class Condition:
    """What the node knows about itself beside the statistics.

    Attributes:
        name: fully qualified name of the node.
        state: of the life cycle, or ``disabled``.
        waited: seconds since the last pair of images; 0 while not active.
        runtime: what runs the networks, and where; empty while none is loaded.
        fault: why the node could not be configured or activated; empty when it could.
    """

    name: str
    state: str
    waited: float = 0.0
    runtime: str = ""
    fault: str = ""


def build_diagnostics(
    stamp_ns: int, condition: Condition, statistics: Statistics, config: NodeConfig
) -> DiagnosticArray:
    """Two statuses: what comes in, and what is made of it."""
    array = DiagnosticArray()
    array.header.stamp = time_message(stamp_ns)
    array.status = [_input_status(condition, statistics, config), _skeleton_status(condition, statistics, config)]
    return array


def _input_status(condition: Condition, statistics: Statistics, config: NodeConfig) -> DiagnosticStatus:
    needs = config.model.needs
    wanted = [name for name, needed in zip(NAMES, (needs.color, needs.depth), strict=True) if needed]
    values = {f"{name} rate (Hz)": f"{statistics.rate(f'{name}_received'):.1f}" for name in wanted}
    values["pair rate (Hz)"] = f"{statistics.rate('paired'):.1f}"
    offset = statistics.percentiles().get("pair_offset")
    if offset is not None:
        values["pair offset p50 (ms)"], values["pair offset p95 (ms)"] = (f"{value:.2f}" for value in offset)
    values |= {name: f"{value:.0f}" for name, value in statistics.values.items() if name.startswith("depth")}
    drops = statistics.drops
    values |= {f"dropped: {reason}": str(count) for reason, count in sorted(drops.items())}
    values |= {f"noted: {reason}": str(count) for reason, count in sorted(statistics.remarks.items())}
    level, message = _input_level(condition, drops, statistics, config)
    return _status(f"{condition.name}: input", level, message, values, _hardware(condition, statistics))


def _input_level(
    condition: Condition, drops: dict[str, int], statistics: Statistics, config: NodeConfig
) -> tuple[bytes, str]:
    if condition.state != "active":
        return DiagnosticStatus.OK, condition.state
    if condition.waited > config.input.timeout:
        return DiagnosticStatus.STALE, f"no {awaited(config.model.needs)} for {condition.waited:.1f} s"
    bad = {reason: count for reason, count in drops.items() if reason not in _NO_FAULT}
    if bad and statistics.age("bad_input") < config.input.timeout:
        return DiagnosticStatus.WARN, "inputs are dropped: " + ", ".join(sorted(bad))
    noted = [reason for reason in statistics.remarks if statistics.age(f"remark {reason}") < config.input.timeout]
    wrong = sorted(set(noted) - _HARMLESS)
    if wrong:
        return DiagnosticStatus.WARN, "inputs look wrong: " + ", ".join(wrong)
    return DiagnosticStatus.OK, "receiving"


def _skeleton_status(condition: Condition, statistics: Statistics, config: NodeConfig) -> DiagnosticStatus:
    rate = statistics.rate("published")
    values = {
        "modality": config.model.modality,
        "runtime": condition.runtime,
        **statistics.texts,
        "publish rate (Hz)": f"{rate:.1f}",
    }
    values |= {name: f"{value:.0f}" for name, value in statistics.values.items() if not name.startswith("depth")}
    percentiles = statistics.percentiles()
    for stage, (median, high) in percentiles.items():
        if stage != "pair_offset":
            values[f"{stage} p50 (ms)"], values[f"{stage} p95 (ms)"] = f"{median:.1f}", f"{high:.1f}"
    values |= _memory()
    level, message = _skeleton_level(condition, rate, percentiles.get("latency"), statistics, config)
    return _status(f"{condition.name}: skeletons", level, message, values, _hardware(condition, statistics))


def _hardware(condition: Condition, statistics: Statistics) -> str:
    """Which camera a status is about: its optical frame, before the first image the node."""
    return statistics.texts.get("camera", condition.name)


def _skeleton_level(
    condition: Condition, rate: float, latency: tuple[float, float] | None, statistics: Statistics, config: NodeConfig
) -> tuple[bytes, str]:
    if condition.fault:
        return DiagnosticStatus.ERROR, condition.fault
    if condition.state != "active":
        return DiagnosticStatus.OK, condition.state
    if idle := statistics.texts.get("idle"):
        return DiagnosticStatus.OK, idle
    limits = config.diagnostics
    if statistics.age("published") > config.input.timeout:
        return DiagnosticStatus.STALE, "no skeletons are published"
    notice = statistics.texts.get("notice") or statistics.texts.get("mounting")
    if notice:
        return DiagnosticStatus.WARN, notice
    if latency is not None and latency[1] > 1e3 * limits.max_latency:
        return DiagnosticStatus.WARN, f"latency p95 {latency[1]:.0f} ms is above diagnostics.max_latency"
    if 0.0 < rate < limits.min_rate:
        return DiagnosticStatus.WARN, f"{rate:.2f} Hz is below diagnostics.min_rate"
    return DiagnosticStatus.OK, "publishing"


def _memory() -> dict[str, str]:
    """Resident memory, and that of the GPU where torch is in use; importing torch for it would be dear."""
    values = {}
    statm = Path("/proc/self/statm")
    if statm.exists():
        pages = int(statm.read_text().split()[1])
        values["memory (MB)"] = f"{pages * os.sysconf('SC_PAGE_SIZE') / _MEGABYTE:.0f}"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        values["GPU memory peak (MB)"] = f"{torch.cuda.max_memory_allocated() / _MEGABYTE:.0f}"
    return values


def _status(name: str, level: bytes, message: str, values: dict[str, str], hardware: str) -> DiagnosticStatus:
    return DiagnosticStatus(
        name=name,
        level=level,
        message=message,
        hardware_id=hardware,
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )
