"""``recorder``: record topics into a rosbag2 folder. Prints a JSON summary when it ends."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from unipose_ros.recordings.writer import STORAGES
from unipose_ros.ros.bag_recorder import RecorderConfig, record_topics
from unipose_ros.ros.cli_node import run_tool


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code: 0, also when interrupted, or 1 after an error."""
    return run_tool(_parser(), lambda node, options, stop: record_topics(node, _config(options), stop), arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="recorder", description=__doc__)
    parser.add_argument("output", type=Path, help="bag folder to make")
    parser.add_argument(
        "--topics", nargs="+", required=True, metavar="TOPIC[:=TYPE]",
        help="with a type the subscription is there at once, else it waits for a publisher",
    )  # fmt: skip
    parser.add_argument("--storage", choices=sorted(STORAGES), default="mcap")
    parser.add_argument("--count", type=int, default=0, metavar="N", help="stop after N messages")
    parser.add_argument("--duration", type=float, default=0.0, metavar="S", help="stop after S seconds")
    return parser


def _config(arguments: argparse.Namespace) -> RecorderConfig:
    named = [topic.partition(":=") for topic in arguments.topics]
    return RecorderConfig(
        output=arguments.output,
        topics={name: kind or None for name, _, kind in named},
        storage=arguments.storage,
        count=arguments.count,
        duration_s=arguments.duration,
    )


if __name__ == "__main__":
    sys.exit(main())
