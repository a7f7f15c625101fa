"""``unipose collect``: guarded adaptation on the robot. Nothing starts it by itself.

Beside a running node it keeps short clips in which people are seen confidently, and now and then an empty scene, at
the lowest priority and within a bound on disk space; the oldest clips make room. With ``--adapt`` it runs
``unipose adapt`` on them once there are enough, on one thread, at the lowest priority and with bounded memory. Weights
that the gate accepts are proposed, never deployed: ``unipose deploy`` is left to a person.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rclpy.node import Node

from unipose_ros.data_collection import ClipChooser, ClipRules, clip_name, finished_clips, make_room
from unipose_ros.files import exclusive
from unipose_ros.frame import Skeletons
from unipose_ros.recordings import BagWriter
from unipose_ros.ros.bag_recorder import (
    ClipWriter,
    Recorder,
    RecorderConfig,
    add_live_topics,
    recorded_topics,
    subscribe_skeletons,
)
from unipose_ros.ros.cli_node import run_tool

_LOWEST_PRIORITY = 19
_LOOK_S = 5.0
_GIGABYTE = 1_000_000_000
#: Exit status of ``unipose adapt`` -> what it means.
_VERDICTS = {0: "accepted", 3: "refused by the gate", 4: "the clips are refused"}


@dataclass(frozen=True)
class CollectionReport:
    """What was collected: clips that are kept, clips that made room, and proposals by folder."""

    output: str
    clips: list[str]
    removed: int
    proposals: dict[str, str]


class Collector:
    """Clips by what skeletons show, and a proposal now and then.

    Args:
        node: where to subscribe from.
        options: of the command line.
    """

    def __init__(self, node: Node, options: argparse.Namespace) -> None:
        self.writer = ClipWriter()
        self.removed = 0
        self.proposals: dict[str, str] = {}
        self._node, self._options = node, options
        self._chooser = ClipChooser(ClipRules(seconds=options.clip_seconds, pause=options.pause))
        self._clips: Path = options.output / "clips"
        self._clips.mkdir(parents=True, exist_ok=True)
        self._used = 0
        self._running: tuple[subprocess.Popen[bytes], Path] | None = None
        subscribe_skeletons(node, options.skeletons, self._take)
        node.create_timer(_LOOK_S, self.look)

    def _take(self, people: Skeletons) -> None:
        wanted = self._chooser.recording(people)
        if wanted and not self.writer.writing:
            name = clip_name(time.time())
            if not (self._clips / name).exists():
                self.writer.begin(self._clips / name, time.time_ns())
                self._node.get_logger().info(f"keeping {name}")
        elif not wanted and self.writer.writing:
            self.writer.end()
            self.removed += len(make_room(self._clips, int(self._options.most_gb * _GIGABYTE)))

    def look(self) -> None:
        """See whether a proposal is finished, and begin one when there are enough new clips."""
        if self._running is not None:
            self._finish(*self._running)
            return
        clips = finished_clips(self._clips)
        enough = len(clips) * self._options.clip_seconds >= 60 * self._options.minutes
        if self._options.adapt and enough and len(clips) > self._used:
            self._used = len(clips) + max(1, len(clips) // 2)  # the next one only with half as many again
            folder = self._options.output / f"proposal_{time.strftime('%Y%m%d_%H%M%S', time.gmtime())}"
            self._running = _start(clips, folder, self._options.budget, self._options.most_memory_gb), folder
            self._node.get_logger().info(f"adapting to {len(clips)} clips in {folder}")

    def _finish(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        status = process.poll()
        if status is None:
            return
        self._running = None
        verdict = _VERDICTS.get(status, f"failed with status {status}, see {folder}.log")
        self.proposals[str(folder)] = verdict
        remedy = f"; to use the weights: unipose deploy {folder}" if status == 0 else ""
        self._node.get_logger().info(f"{folder}: {verdict}{remedy}")

    def close(self) -> None:
        """End the clip, and a proposal that is being made; the same command goes on with it."""
        self.writer.end()
        if self._running is not None:
            self._running[0].terminate()
            self._running[0].wait()


def _start(clips: Sequence[Path], folder: Path, budget: str, most_memory_gb: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "unipose_ros.cli", "adapt", *map(str, clips)]
    command += ["--output", str(folder), "--budget", budget, "--threads", "1"]
    most = int(most_memory_gb * _GIGABYTE)

    def humbly() -> None:
        os.nice(_LOWEST_PRIORITY)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))

    folder.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{folder}.log").open("wb") as log:
        return subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, preexec_fn=humbly,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code: 0, also when interrupted, or 1 after an error."""
    return run_tool(_parser(), _collect, arguments)


def _collect(node: Node, options: argparse.Namespace, stop: threading.Event) -> CollectionReport:
    os.nice(_LOWEST_PRIORITY)
    with exclusive(options.output, "collecting clips into it"):
        collector = Collector(node, options)
        try:
            config = RecorderConfig(options.output, recorded_topics(options), duration_s=options.duration)
            Recorder(node, cast(BagWriter, collector.writer), config).run(stop)
        finally:
            collector.close()
    kept = [each.name for each in finished_clips(options.output / "clips")]
    return CollectionReport(str(options.output), kept, collector.removed, collector.proposals)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="collect", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("output", type=Path, help="folder of the clips and proposals")
    add_live_topics(parser)
    add("--clip-seconds", type=float, default=20.0, metavar="S", help="length of a clip (default: %(default)g)")
    add("--pause", type=float, default=60.0, metavar="S", help="between two clips at least (default: %(default)g)")
    add("--most-gb", type=float, default=4.0, metavar="GB", help="disk space of the clips (default: %(default)g)")
    add("--duration", type=float, default=0.0, metavar="S", help="stop after so long (default: not)")
    add("--adapt", action="store_true", help="also run unipose adapt on the clips, and propose its weights")
    add("--minutes", type=float, default=6.0, metavar="MIN", help="of clips for a proposal (default: %(default)g)")
    add("--budget", default="30min", metavar="TIME", help="of a proposal, see unipose adapt (default: %(default)s)")
    add("--most-memory-gb", type=float, default=6.0, metavar="GB", help="of a proposal (default: %(default)g)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
