"""``unipose record``: record color and depth for ``unipose adapt``, with a live checklist of what was seen so far.

Topics are recorded as they arrive. Beside a running node, its skeletons tick the checklist: distances, facings, raised
arms, sitting, occlusion, several people, an empty scene. It stops when all is ticked, after ``--duration`` seconds, or
with Ctrl-C; the recording is closed properly each time. Without a node it records by time alone.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rclpy.node import Node

from unipose_ros.data_collection import Coverage
from unipose_ros.frame import Skeletons
from unipose_ros.recordings import BagWriter
from unipose_ros.recordings.writer import STORAGES
from unipose_ros.ros.bag_recorder import Recorder, RecorderConfig, add_live_topics, recorded_topics, subscribe_skeletons
from unipose_ros.ros.cli_node import run_tool

#: Seconds between two prints of the checklist.
_PRINT_S = 5.0


@dataclass(frozen=True)
class CoverageReport:
    """What was recorded: messages by topic, topics without a publisher, and seconds by item of the checklist."""

    output: str
    messages: dict[str, int]
    never_seen: list[str]
    seconds: float
    coverage: dict[str, float]
    missing: list[str]


class CoverageWatch:
    """Ticks the checklist from a node's skeletons, prints it, and ends the recording when it is complete.

    Args:
        node: where to subscribe from.
        topic: of the skeletons.
        stop: is set when all is ticked.
        until_complete: whether that ends the recording.
    """

    def __init__(self, node: Node, topic: str, stop: threading.Event, until_complete: bool) -> None:
        self.coverage = Coverage()
        self._node, self._stop, self._until_complete = node, stop, until_complete
        subscribe_skeletons(node, topic, self._take)
        node.create_timer(_PRINT_S, self.show)

    def _take(self, people: Skeletons) -> None:
        self.coverage.add(people)
        if self._until_complete and self.coverage.complete:
            self._node.get_logger().info("all is covered")
            self._stop.set()

    def show(self) -> None:
        """Print the checklist to stderr; stdout is for the report."""
        print(self.coverage.checklist() + "\n", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code: 0, also when interrupted, or 1 after an error."""
    return run_tool(_parser(), _record, arguments)


def _record(node: Node, options: argparse.Namespace, stop: threading.Event) -> CoverageReport:
    topics = recorded_topics(options, options.topics)
    config = RecorderConfig(options.output, topics, options.storage, 0, options.duration)
    watch = CoverageWatch(node, options.skeletons, stop, not options.keep_going)
    with BagWriter(config.output, config.storage) as writer:
        report = Recorder(node, writer, config).run(stop)
    watch.show()
    seconds = {item: round(float(watch.coverage.seconds[item]), 1) for item in watch.coverage.goals}
    return CoverageReport(
        report.output, report.messages, report.never_seen, report.seconds, seconds, watch.coverage.missing
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="record", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("output", type=Path, help="bag folder to make")
    add_live_topics(parser)
    add("--topics", nargs="*", default=[], metavar="TOPIC", help="further topics")
    add(
        "--duration", type=float, default=180.0, metavar="S", help="at most so long (default: %(default)g; 0: no limit)"
    )
    add("--keep-going", action="store_true", help="go on for the whole duration, also when all is covered")
    add("--storage", choices=sorted(STORAGES), default="mcap")
    return parser


if __name__ == "__main__":
    sys.exit(main())
