"""``unipose demo``: run the node on a recording, over DDS, and draw what it publishes.

Without ``--modality``, the node's default ``auto`` runs (``rgbd``, as color and depth are there) and after it
``points``, which looks at depth alone; the images show both. Without MoveNet's weights ``points`` runs alone. A frame
that comes while the node is busy is skipped, as on a robot: the images then show the people before, and say so.
Writes to the output folder: ``summary.json``, ``demo.png``, ``demo.mp4``, for every modality
``<modality>/output_bag`` (what the node published), and ``logs``. The files of an earlier demo are replaced; a folder
with other files is refused.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from unipose_ros.cli.demo_images import Received, summarize, write_images
from unipose_ros.cli.options import add_topic_options, chosen_topics, description, refuse
from unipose_ros.estimator import EstimatorConfig, EstimatorError
from unipose_ros.files import OwnedFolder, write_atomic
from unipose_ros.frame import Skeletons
from unipose_ros.modalities.base import RequiredInputs
from unipose_ros.modalities.factory import weights_file
from unipose_ros.modalities.registry import MODALITIES
from unipose_ros.networks.movenet.decode import ONNX, verified_file
from unipose_ros.networks.weights import WeightsError
from unipose_ros.recordings import BagReader, RecordingError, RgbdRecording, RgbdTopics, Topic
from unipose_ros.recordings.messages import read_skeletons, stamp_of
from unipose_ros.resources import resource_path
from unipose_ros.termination import Child, ProcessError, Processes

# Reads what the node published during the demo.


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
            for message in reader.messages(["/unipose/skeletons"])
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


_COMMAND = "unipose demo"
#: Less of the frames than this is worth a word.
_FEW = 0.5
_FILES = ("summary.json", "demo.png", "demo.mp4")


def main(argv: Sequence[str]) -> int:
    """Run the demo; 1 when it could not be run to its end."""
    options = _parser().parse_args(argv)
    chosen = chosen_topics(options)
    try:
        modalities, notes = ([options.modality], []) if options.modality else available_modalities()
        for note in notes:
            print(f"unipose demo: {note}", file=sys.stderr)
        summary = demo(options.bag or resource_path("demo", "walk"), options.output, modalities, chosen)
    except (EstimatorError, OSError, ProcessError, RecordingError, WeightsError) as error:
        return refuse("unipose demo", error)
    print(json.dumps(summary, indent=2))
    for name, run in summary["modalities"].items():
        if run["delivered_fraction"] < _FEW:
            share = f"{run['delivered_fraction']:.0%}"
            print(f"{name}: {share} of the frames were processed: this machine is slow, or busy", file=sys.stderr)
    print(f"images, recordings and logs are in {options.output}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("unipose demo", description=description(__doc__))
    parser.add_argument(
        "--bag", type=Path, help="rosbag2 recording (folder, .mcap or .db3); default: two people walking"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("demo_output"),
        help="folder: new, empty, or an earlier demo's (default: %(default)s)",
    )
    parser.add_argument("--modality", metavar="NAME", help=f"run only this modality: {', '.join(MODALITIES)}")
    add_topic_options(parser)
    return parser


def available_modalities() -> tuple[list[str], list[str]]:
    """What can be shown with the weights that this machine has, and what to know about the rest.

    Raises:
        WeightsError: there are none at all.
    """
    checks: dict[str, Callable[[], Path]] = {
        "auto": lambda: verified_file(ONNX),
        "points": lambda: weights_file(EstimatorConfig(modality="points"), "points"),
    }
    found: list[str] = []
    notes: list[str] = []
    for name, check in checks.items():
        try:
            check()
            found.append(name)
        except WeightsError as error:
            notes.append(f"without '{name}': {error}")
    if not found:
        raise WeightsError("; ".join(notes))
    return found, notes


def demo(bag: Path, folder: Path, modalities: Sequence[str], chosen: RgbdTopics) -> dict[str, Any]:
    """Run the demo into a folder that is empty, or was made by an earlier demo, whose files are removed.

    Args:
        modalities: played one after the other and shown one above the other.

    Raises:
        EstimatorError: a modality is unknown.
        ProcessError: a process failed or did not end in time.
        RecordingError: the recording cannot be used.
        OSError: the folder cannot be written, or holds something that no demo made.
    """
    needs = {modality: EstimatorConfig(modality=modality).needs for modality in modalities}
    with BagReader(bag) as reader:
        recording = RgbdRecording(reader, chosen)
        playing = {modality: plan(reader.topics, recording.topics, needs[modality]) for modality in modalities}
        stamps = recording.stamps()
        ground_truth = {s.stamp_ns: s for s in recording.ground_truth()} if recording.topics.ground_truth else {}
    if not stamps:
        raise RecordingError(f"{bag}: it holds no usable frame: {dict(recording.dropped)}")
    owned = OwnedFolder(folder, _COMMAND)
    with owned.claimed([*_FILES, *(name for modality in modalities for name in run_files(modality))], empty=True):
        _require_kept(bag, owned)
        owned.remove_earlier()
        summary: dict[str, Any] = {"bag": bag.name, "frame_rate_hz": round(_rate(stamps), 2), "modalities": {}}
        received: dict[str, list[Received]] = {}
        for modality in modalities:
            run = _run_with_bar(bag, playing[modality], modality, folder)
            received[modality] = read_skeleton_messages(run.output, run.offset_ns)
            summary["modalities"][modality] = _summary(run, stamps, received[modality], ground_truth)
        summary["files"] = _images(bag, chosen, folder, stamps, received)
        write_atomic(folder / "summary.json", json.dumps(summary, indent=2) + "\n")
    return summary


def _require_kept(bag: Path, owned: OwnedFolder) -> None:
    """A recording that an earlier demo made may be played, but not into the same folder."""
    source = bag.resolve()
    for name in owned.files or ():
        path = (owned.folder / name).resolve()
        if path == source or source in path.parents:
            raise RecordingError(f"{bag}: this recording would be replaced; name another --output")


def _run_with_bar(bag: Path, playing: Playing, modality: str, folder: Path) -> DemoRun:
    with tqdm(total=100, desc=f"playing, {modality}", unit="%", bar_format="{l_bar}{bar}| {elapsed}") as bar:

        def advance(share: float) -> None:
            bar.update(int(100 * share) - bar.n)

        return run_demo(bag, playing, modality, folder, advance)


def _summary(
    run: DemoRun, stamps: list[int], received: list[Received], ground_truth: dict[int, Skeletons]
) -> dict[str, Any]:
    published, stages = read_durations(run.output)
    played = {key: run.player[key] for key in ("late_ms", "seconds")}
    return summarize(stamps, received, published, stages, ground_truth) | {"player": played}


def _rate(stamps: Sequence[int]) -> float:
    return 1e9 / float(np.median(np.diff(stamps))) if len(stamps) > 1 else 1.0


def _images(
    bag: Path, chosen: RgbdTopics, folder: Path, stamps: list[int], received: dict[str, list[Received]]
) -> dict[str, str]:
    by_stamp = {
        modality: {message.stamp_ns: message for message in messages} for modality, messages in received.items()
    }
    with BagReader(bag) as reader:
        frames = tqdm(RgbdRecording(reader, chosen).frames(), total=len(stamps), desc="drawing", unit="frame")
        return write_images(folder, frames, by_stamp, _rate(stamps))


# Runs the demo's three processes: a recording is played into the node, its output recorded.

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
