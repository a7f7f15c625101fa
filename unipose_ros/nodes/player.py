"""``player``: play a recording into real publishers. Prints a JSON summary when it ends."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from unipose_ros.recordings import RecordingError
from unipose_ros.ros.bag_player import PlayerConfig, play_recording
from unipose_ros.ros.cli_node import run_tool


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code: 0, also when interrupted, or 1 after an error."""
    return run_tool(_parser(), lambda node, options, stop: play_recording(node, _config(options), stop), arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="player", description=__doc__)
    parser.add_argument("bag", type=Path, help="bag folder, .mcap or .db3 file")
    parser.add_argument("--topics", nargs="+", default=[], metavar="TOPIC", help="play only these")
    parser.add_argument("--remap", nargs="+", default=[], metavar="FROM:=TO", help="publish under other names")
    parser.add_argument("--rate", type=float, default=1.0, help="speed; 1 is real time (default)")
    parser.add_argument("--loop", type=int, nargs="?", const=0, default=1, metavar="TIMES", help="again and again")
    parser.add_argument("--restamp", action="store_true", help="move the header stamps by a constant to the present")
    parser.add_argument("--wait-for", type=int, default=1, metavar="N", help="begin with N subscriptions (default 1)")
    parser.add_argument("--wait-on", nargs="+", default=[], metavar="TOPIC", help="begin when each has a subscription")
    parser.add_argument("--timeout", type=float, default=30.0, metavar="S", help="longest wait for subscriptions")
    return parser


def _config(arguments: argparse.Namespace) -> PlayerConfig:
    remap = dict(_renaming(rule) for rule in arguments.remap)
    return PlayerConfig(
        bag=arguments.bag,
        topics=tuple(arguments.topics),
        remap=remap,
        rate=arguments.rate,
        loops=arguments.loop,
        restamp=arguments.restamp,
        wait_for=arguments.wait_for,
        wait_on=tuple(arguments.wait_on),
        timeout_s=arguments.timeout,
    )


def _renaming(rule: str) -> tuple[str, str]:
    old, arrow, new = rule.partition(":=")
    if not (old and arrow and new):
        raise RecordingError(f"remap '{rule}': write it as FROM:=TO, e.g. /color/image:=/camera/color/image_raw")
    return old, new


if __name__ == "__main__":
    sys.exit(main())
