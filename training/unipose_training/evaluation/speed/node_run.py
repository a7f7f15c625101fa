"""The real node over DDS: a recording is played into it in real time, and its output recorded."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from unipose_ros.cli.demo import read_durations, read_skeleton_messages
from unipose_ros.cli.demo_run import plan, run_demo
from unipose_ros.estimator import EstimatorConfig
from unipose_ros.recordings import BagReader, RgbdRecording
from unipose_training.evaluation.speed.machine import process_mebibytes, process_seconds, quantiles


@dataclass
class _Watched:
    """What the node's process took while the recording was played."""

    cpu_s: float = 0.0
    seconds: float = 0.0
    memory_mib: float = 0.0

    @contextmanager
    def watch(self, pid: int) -> Iterator[None]:
        worked, began = process_seconds(pid), time.monotonic()
        yield
        self.cpu_s, self.seconds = process_seconds(pid) - worked, time.monotonic() - began
        self.memory_mib = process_mebibytes(pid)


def measure_node(bag: Path, modality: str, threads: int, folder: Path) -> dict[str, Any]:
    """Latency from acquisition to publication, frames answered, CPU and memory of one run.

    Args:
        folder: for the run's files.

    Raises:
        ProcessError: a process failed or did not end in time.
        RecordingError: the recording cannot be used.
    """
    with BagReader(bag) as reader:
        recording = RgbdRecording(reader)
        playing = plan(reader.topics, recording.topics, EstimatorConfig(modality=modality).needs)
        stamps = recording.stamps()
    playing = replace(playing, node_arguments=(*playing.node_arguments, "-p", f"model.threads:={threads}"))
    watched = _Watched()
    run = run_demo(bag, playing, modality, folder, lambda share: None, watched.watch)
    published, stages = read_durations(run.output)
    received = read_skeleton_messages(run.output, run.offset_ns)
    answered = len(set(stamps) & {message.stamp_ns for message in received})
    shown = (stamps[-1] - stamps[0]) / 1e9
    return {
        "answered": round(answered / len(stamps), 4),
        "frames": len(stamps),
        "found": round(float(np.mean([len(message.skeletons) for message in received] or [0])), 2),
        "latency_ms": published,
        "received_ms": quantiles([message.latency_ms for message in received]) if received else {},
        "stages_ms": stages,
        "cpu_percent": round(100 * watched.cpu_s / shown, 1),
        "cpu_ms_a_frame": round(1e3 * watched.cpu_s / max(answered, 1), 1),
        "memory_mib": watched.memory_mib,
    }
