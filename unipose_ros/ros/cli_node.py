"""The frame of our command-line nodes: read the line, run a job, print its report as JSON."""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import rclpy
from rclpy.node import Node

from unipose_ros.recordings import RecordingError
from unipose_ros.ros.lifecycle import START_ERRORS, refuse_start, ros_session, signals_end_at_once

# Command lines that carry both our options and ROS ones.


_BEGIN, _END = "--ros-args", "--"


def split_ros_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Ours, and what stands between ``--ros-args`` and ``--`` (or the end), with its markers.

    >>> split_ros_arguments(["bag", "--ros-args", "-r", "__ns:=/robot", "--", "--loop"])
    (['bag', '--loop'], ['--ros-args', '-r', '__ns:=/robot', '--'])
    """
    ours: list[str] = []
    ros: list[str] = []
    inside = False
    for argument in arguments:
        if argument == _BEGIN:
            inside = True
        (ros if inside else ours).append(argument)
        if argument == _END:
            inside = False
    return ours, ros


#: Runs the job with its node until it is done or the event is set; the report is a dataclass.
Job = Callable[[Node, argparse.Namespace, threading.Event], Any]


def run_tool(parser: argparse.ArgumentParser, job: Job, arguments: Sequence[str] | None = None) -> int:
    """Run a job as a node of the parser's name.

    Args:
        arguments: ours and ROS ones; those of the process by default.

    Returns:
        The exit code: 0, also when interrupted, or 1 after an error, which is printed in one line.
    """
    ours, ros = split_ros_arguments(sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_args(ours)
    try:
        with ros_session(ros) as stop:
            with signals_end_at_once():
                node = rclpy.create_node(parser.prog)
            print(json.dumps(asdict(job(node, options, stop))), flush=True)
    except (OSError, RecordingError) as error:
        print(f"{parser.prog}: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except START_ERRORS as error:
        return refuse_start(parser.prog, error)
    return 0
