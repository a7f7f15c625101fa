"""Reads what the node published during the demo."""

from __future__ import annotations

from pathlib import Path

from unipose_ros.cli.summary import Received
from unipose_ros.recordings import BagReader
from unipose_ros.recordings.decoding import stamp_of
from unipose_ros.recordings.skeleton_messages import read_skeletons

_TOTAL = "latency"
_UNIT = " (ms)"


def read_skeleton_messages(bag: Path, offset_ns: int) -> list[Received]:
    """All skeleton messages of a run.

    Args:
        offset_ns: what the player added to the stamps.
    """
    with BagReader(bag) as reader:
        return [
            Received(
                stamp_ns=stamp_of(message.value) - offset_ns,
                latency_ms=(message.time_ns - stamp_of(message.value)) / 1e6,
                skeletons=read_skeletons(message.value),
            )
            for message in reader.messages(["/skeletons"])
        ]


def read_durations(bag: Path) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """What the node's last diagnostics say: from acquisition to publication, and stage by stage, in milliseconds."""
    last: dict[str, str] = {}
    with BagReader(bag) as reader:
        for message in reader.messages(["/diagnostics"]):
            for status in message.value.status:
                if status.name.endswith(": skeletons"):
                    last = {entry.key: entry.value for entry in status.values}
    stages: dict[str, dict[str, float]] = {}
    for key, value in last.items():
        if key.endswith(_UNIT):
            stage, quantile = key.removesuffix(_UNIT).rsplit(" ", 1)
            stages.setdefault(stage, {})[quantile] = float(value)
    return stages.pop(_TOTAL, {}), stages
