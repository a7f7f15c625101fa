"""``unipose collect``: guarded adaptation on the robot. Nothing starts it by itself.

Beside a running node it keeps short clips in which people are seen confidently, and now and then an empty scene, at
the lowest priority and within a bound on disk space; the oldest clips make room, proposals stay. With ``--adapt`` it
runs ``unipose adapt`` on them once there are enough, on one thread, at the lowest priority and with bounded memory.
Weights that the gate accepts are proposed, never deployed: ``unipose deploy`` is left to a person.
"""

from __future__ import annotations

import argparse
import os
import resource
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rclpy.node import Node

from unipose_ros.data_collection import (
    ClipChooser,
    ClipRules,
    clip_name,
    finished_clips,
    folder_bytes,
    make_room,
)
from unipose_ros.files import exclusive, write_atomic
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
from unipose_ros.termination import signal_on_parent_end

_LOOK_S = 5.0
#: Seconds that a proposal has to end by itself; the collector itself is given three.
_PATIENCE_S = 2.0
#: Seconds between two notices that there is no room for a proposal.
_REMIND_S = 600.0
_GIGABYTE = 1_000_000_000
_VERDICT = "verdict.txt"
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

    A proposal is a folder that is named after the newest clip it was made of; :data:`_VERDICT` in it says what became
    of it. One without that was interrupted, and is gone on with.

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
        self._running: _Running | None = None
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
            in_use = self._running.clips if self._running else []
            self.removed += len(make_room(self._clips, max(self._most_bytes() - self._proposed_bytes(), 0), in_use))

    def look(self) -> None:
        """See whether a proposal is finished, and begin one when there are enough new clips."""
        if self._running is not None:
            self._finish(self._running)
        elif self._options.adapt and (clips := self._due()) and self._has_room():
            folder = _proposal_of(self._options.output, clips[-1])
            self._running = _Running(_start(clips, folder, self._options), clips, folder)
            self._node.get_logger().info(f"adapting to {len(clips)} clips in {folder}")

    def _due(self) -> list[Path]:
        """Clips for a proposal: those of one that was interrupted, or all when there are half as many new ones."""
        clips = finished_clips(self._clips)
        last = max(self._options.output.glob("proposal_*/"), default=None)
        known = [clip for clip in clips if last is not None and _proposal_of(self._options.output, clip) <= last]
        if last is not None and not (last / _VERDICT).exists():
            return known
        enough = len(clips) * self._options.clip_seconds >= 60 * self._options.minutes
        return clips if enough and 2 * (len(clips) - len(known)) >= max(1, len(known)) else []

    def _most_bytes(self) -> int:
        return int(self._options.most_gb * _GIGABYTE)

    def _proposed_bytes(self) -> int:
        return sum(map(folder_bytes, self._options.output.glob("proposal_*/")))

    def _has_room(self) -> bool:
        """Whether proposals leave half of the disk space to clips; where not, there is none, and a notice."""
        taken = self._proposed_bytes()
        if 2 * taken > self._most_bytes():
            self._node.get_logger().warning(
                f"no further proposal: those in {self._options.output} take {taken / _GIGABYTE:.2g} GB of --most-gb "
                f"{self._options.most_gb:g}; remove those that are not needed", throttle_duration_sec=_REMIND_S
            )  # fmt: skip
            return False
        return True

    def _finish(self, running: _Running) -> None:
        status, folder = running.process.poll(), running.folder
        if status is None:
            return
        self._running = None
        verdict = _VERDICTS.get(status, f"failed with status {status}, see {folder}.log")
        self.proposals[str(folder)] = verdict
        write_atomic(folder / _VERDICT, verdict + "\n")
        remedy = f"; to use the weights: unipose deploy {folder}" if status == 0 else ""
        self._node.get_logger().info(f"{folder}: {verdict}{remedy}")

    def close(self) -> None:
        """End the clip, and a proposal that is being made; the same command goes on with it."""
        if self._running is not None:
            self._running.process.terminate()
        self.writer.end()
        if self._running is not None:
            try:
                self._running.process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:  # the lowest priority on a busy machine; its files are whole nevertheless
                self._running.process.kill()
                self._running.process.wait()


@dataclass(frozen=True)
class _Running:
    """A proposal that is being made, of which clips, and where."""

    process: subprocess.Popen[bytes]
    clips: list[Path]
    folder: Path


def _proposal_of(output: Path, newest: Path) -> Path:
    """Where the proposal is whose newest clip this is."""
    return output / newest.name.replace("clip_", "proposal_", 1)


def _start(clips: Sequence[Path], folder: Path, options: argparse.Namespace) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "unipose_ros.cli", "adapt", *map(str, clips)]
    command += ["--output", str(folder), "--budget", options.budget, "--threads", "1"]
    command += shlex.split(options.adapt_options)
    most = int(options.most_memory_gb * _GIGABYTE)

    def humbly() -> None:
        signal_on_parent_end(signal.SIGTERM)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))

    folder.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{folder}.log").open("ab") as log:
        return subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, preexec_fn=humbly,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code: 0, also when interrupted, or 1 after an error."""
    return run_tool(_parser(), _collect, arguments)


def _collect(node: Node, options: argparse.Namespace, stop: threading.Event) -> CollectionReport:
    _lower_priority(options.nice)
    with exclusive(options.output, "collecting clips into it"):
        collector = Collector(node, options)
        try:
            config = RecorderConfig(options.output, recorded_topics(options), duration_s=options.duration)
            Recorder(node, cast(BagWriter, collector.writer), config).run(stop)
        finally:
            collector.close()
    kept = [each.name for each in finished_clips(options.output / "clips")]
    return CollectionReport(str(options.output), kept, collector.removed, collector.proposals)


def _lower_priority(nice: int) -> None:
    """Of all threads, those of the middleware among them, and of what this process starts."""
    nice = max(nice, os.getpriority(os.PRIO_PROCESS, 0))
    for thread in Path("/proc/self/task").iterdir():
        os.setpriority(os.PRIO_PROCESS, int(thread.name), nice)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="collect", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("output", type=Path, help="folder of the clips and proposals")
    add_live_topics(parser)
    add("--clip-seconds", type=float, default=20.0, metavar="S", help="length of a clip (default: %(default)g)")
    add("--pause", type=float, default=60.0, metavar="S", help="between two clips at least (default: %(default)g)")
    add("--most-gb", type=float, default=4.0, metavar="GB",
        help="disk space of clips and proposals (default: %(default)g)")  # fmt: skip
    add("--duration", type=float, default=0.0, metavar="S", help="stop after so long (default: not)")
    add("--adapt", action="store_true", help="also run unipose adapt on the clips, and propose its weights")
    add("--minutes", type=float, default=6.0, metavar="MIN", help="of clips for a proposal (default: %(default)g)")
    add("--budget", default="30min", metavar="TIME", help="of a proposal, see unipose adapt (default: %(default)s)")
    add("--adapt-options", default="", metavar="OPTIONS", help="more for unipose adapt, in quotes")
    add("--nice", type=int, choices=range(20), default=19, metavar="N",
        help="of all of it; 19, the default, is the lowest priority")  # fmt: skip
    add("--most-memory-gb", type=float, default=6.0, metavar="GB", help="of a proposal (default: %(default)g)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
