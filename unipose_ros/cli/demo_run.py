"""Runs the demo's three processes: a recording is played into the node, its output recorded."""

from __future__ import annotations

import json
import os
import random
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unipose_ros.cli.processes import Child, ProcessError, Processes
from unipose_ros.modalities.base import RequiredInputs
from unipose_ros.recordings import BagReader, RgbdTopics, Topic
from unipose_ros.resources import resource_path

#: What is recorded of the node.
OUTPUTS = ("/unipose/skeletons", "/unipose/markers", "/tf", "/diagnostics")
_BAG = "output_bag"
_START_TIMEOUT = 60.0
#: Diagnostics come once a second; after this the last ones cover the whole run.
_LAST_DIAGNOSTICS = 2.0
_BOTH = RequiredInputs(color=True, depth=True)
_COMPRESSED = "sensor_msgs/msg/CompressedImage"


@dataclass(frozen=True)
class DemoRun:
    """What a run left behind.

    Attributes:
        output: the recording of what the node published.
        offset_ns: added to the stamps while playing; subtract it to get the recording's times.
        player: the player's report.
    """

    output: Path
    offset_ns: int
    player: dict[str, Any]


@dataclass(frozen=True)
class Playing:
    """How a recording's topics reach the node.

    Attributes:
        remap: recorded topic -> the node's topic.
        inputs: recorded topics that the node must be listening to before playing begins.
        node_arguments: ROS arguments for the node.
    """

    remap: dict[str, str]
    inputs: tuple[str, ...]
    node_arguments: tuple[str, ...]


def plan(bag_topics: dict[str, Topic], topics: RgbdTopics, needs: RequiredInputs = _BOTH) -> Playing:
    """Map the topics of a recording to those of the node.

    Args:
        topics: roles found in the recording.
        needs: images that the node listens to; the others are not played.
    """
    remap: dict[str, str] = {}
    parameters: dict[str, str] = {}
    if topics.color and needs.color:
        compressed = bag_topics[topics.color].type == _COMPRESSED
        parameters["input.color_transport"] = "compressed" if compressed else "raw"
        remap[topics.color] = "/color/image" + ("/compressed" if compressed else "")
    if topics.depth and needs.depth:
        compressed = bag_topics[topics.depth].type == _COMPRESSED
        parameters["input.depth_transport"] = "compressedDepth" if compressed else "raw"
        remap[topics.depth] = "/depth/image" + ("/compressedDepth" if compressed else "")
    elif topics.points and needs.depth:
        parameters["input.source"] = "points"
        remap[topics.points] = "/points"
    extra: list[str] = []
    if topics.color_info:
        remap[topics.color_info] = "/color/camera_info"
    if topics.depth_info and topics.depth_info != topics.color_info:
        remap[topics.depth_info] = "/depth/camera_info"
    else:
        extra += ["-r", "depth/camera_info:=/color/camera_info"]
    arguments = [part for name, value in parameters.items() for part in ("-p", f"{name}:={value}")]
    return Playing(remap, tuple(remap), (*arguments, *extra))


def run_files(modality: str) -> list[str]:
    """Names of the files that :func:`run_demo` leaves."""
    logs = [f"logs/{modality}/{name}.log" for name in ("recorder", "node", "player")]
    bag = f"{modality}/{_BAG}"
    return [*logs, f"{bag}/metadata.yaml", f"{bag}/{_BAG}.mcap"]


def isolation() -> dict[str, str]:
    """Environment that keeps the demo's traffic on this machine and apart from other ROS programs."""
    return {
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_DOMAIN_ID": os.environ.get("ROS_DOMAIN_ID", str(random.SystemRandom().randint(1, 100))),
        "FASTRTPS_DEFAULT_PROFILES_FILE": str(resource_path("config", "fastdds.xml")),
        "PYTHONUNBUFFERED": "1",
    }


def run_demo(
    bag: Path,
    playing: Playing,
    modality: str,
    folder: Path,
    progress: Callable[[float], None],
    watch: Callable[[int], AbstractContextManager[object]] = lambda pid: nullcontext(),
) -> DemoRun:
    """Play a recording into the node in real time.

    Args:
        folder: the output's recording goes into a folder in it that is named after the modality, its logs
            into ``logs``.
        progress: told the share played so far, from 0 to 1.
        watch: given the node's process id, what is to be entered while the recording is played.

    Raises:
        ProcessError: a process failed or did not end in time.
    """
    with BagReader(bag) as reader:
        seconds = reader.duration_ns / 1e9
    output = folder / modality / _BAG
    output.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as ros_logs,
        # ROS's own logs go to the home folder by default, which may be read-only; ours have the same lines.
        Processes(folder / "logs" / modality, {**isolation(), "ROS_LOG_DIR": ros_logs}) as processes,
    ):
        recorder = processes.start_module("recorder", "unipose_ros.nodes.recorder", _recorder_arguments(output))
        node = processes.start_module("node", "unipose_ros.nodes.pose_node", _node_arguments(playing, modality))
        _wait_for_outputs(processes, recorder)
        player = processes.start_module("player", "unipose_ros.nodes.player", _player_arguments(bag, playing))
        began = time.monotonic()
        limit = _START_TIMEOUT + 2 * seconds
        with watch(node.process.pid):
            processes.wait(player, limit, lambda: progress(min(1.0, (time.monotonic() - began) / max(seconds, 1e-3))))
        progress(1.0)
        time.sleep(_LAST_DIAGNOSTICS)
        _expect_clean_exit(processes, recorder, node)
    report = _last_json(player)
    return DemoRun(output, int(report["offsets_ns"][0]), report)


def _recorder_arguments(output: Path) -> list[str]:
    # Without types: the recorder then says when it has found the node's publishers.
    return [str(output), "--topics", *OUTPUTS]


def _node_arguments(playing: Playing, modality: str) -> list[str]:
    parameters = ["-p", f"model.modality:={modality}", "-p", "tf.mode:=joints"]
    return ["--ros-args", *parameters, *playing.node_arguments]


def _player_arguments(bag: Path, playing: Playing) -> list[str]:
    rules = [f"{old}:={new}" for old, new in playing.remap.items()]
    wanted = ["--topics", *playing.remap, "--remap", *rules, "--wait-on", *playing.inputs]
    return [str(bag), "--restamp", "--timeout", str(_START_TIMEOUT), *wanted]


def _wait_for_outputs(processes: Processes, recorder: Child) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    while not all(f"recording '{topic}'" in recorder.output for topic in OUTPUTS):
        processes.check()
        if time.monotonic() > deadline:
            raise ProcessError(
                f"the node's topics did not appear within {_START_TIMEOUT:.0f} s; see {processes.logs / 'node.log'}"
            )
        time.sleep(0.1)


def _expect_clean_exit(processes: Processes, *children: Child) -> None:
    for child in children:
        status = processes.stop(child)
        if status != 0:
            last = (child.output.strip().splitlines() or ["it says nothing"])[-1]
            raise ProcessError(f"{child.name} ended with status {status} ({last}); see {child.log}")


def _last_json(child: Child) -> dict[str, Any]:
    lines = [line for line in child.output.splitlines() if line.startswith("{")]
    if not lines:
        raise ProcessError(f"{child.name} gave no report; see {child.log}")
    report: dict[str, Any] = json.loads(lines[-1])
    return report
