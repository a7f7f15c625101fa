"""``unipose demo``: play a recording into the node over DDS, and show what comes out.

Leaves in the output folder: ``summary.json``, ``demo.png``, ``demo.mp4``, ``output_bag`` (what the
node published) and ``logs``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from unipose_ros.cli.demo_output import read_durations, read_skeleton_messages
from unipose_ros.cli.demo_pictures import write_pictures
from unipose_ros.cli.demo_run import DemoRun, plan, run_demo
from unipose_ros.cli.options import add_topic_options, chosen_topics
from unipose_ros.cli.processes import ProcessError
from unipose_ros.cli.summary import Received, summarise
from unipose_ros.frame import Skeletons
from unipose_ros.recordings import BagReader, RecordingError, RgbdRecording, RgbdTopics
from unipose_ros.resources import resource_path


def main(argv: Sequence[str]) -> int:
    """Run the demo; 1 when it could not be run to its end."""
    options = _parser().parse_args(argv)
    chosen = chosen_topics(options)
    try:
        summary = demo(options.bag or resource_path("demo", "walk"), options.output, options.modality, chosen)
    except (ProcessError, RecordingError) as error:
        print(f"unipose demo: {error}", file=sys.stderr)
        return 1
    print(json.dumps(summary, indent=2))
    print(f"pictures, recording and logs are in {options.output}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("unipose demo", description=__doc__)
    parser.add_argument(
        "--bag", type=Path, help="rosbag2 recording (folder, .mcap or .db3); default: two people walking"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("demo_output"), help="folder, replaced (default: %(default)s)"
    )
    parser.add_argument("--modality", default="lookup", help="how joints are found (default: %(default)s)")
    add_topic_options(parser)
    return parser


def demo(bag: Path, folder: Path, modality: str, chosen: RgbdTopics) -> dict[str, Any]:
    """Run the demo into an emptied folder and write its files.

    Raises:
        ProcessError: a process failed or did not end in time.
        RecordingError: the recording cannot be used.
    """
    with BagReader(bag) as reader:
        recording = RgbdRecording(reader, chosen)
        playing = plan(reader.topics, recording.topics)
        stamps = [frame.stamp_ns for frame in recording.frames()]
        truth = {s.stamp_ns: s for s in recording.truth()} if recording.topics.truth else {}
    if not stamps:
        raise RecordingError(f"{bag}: it holds no usable frame: {dict(recording.dropped)}")
    _empty(folder)
    run = _run_with_bar(bag, playing, modality, folder)
    received = read_skeleton_messages(run.output, run.offset_ns)
    summary = _summary(bag, run, stamps, received, truth)
    summary["files"] = _pictures(bag, chosen, folder, stamps, received)
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    return summary


def _empty(folder: Path) -> None:
    """Remove an earlier demo's output, and nothing else."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / "logs").is_dir():
            raise RecordingError(f"{folder} is not empty and not an earlier demo's output; name another --output")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)


def _run_with_bar(bag: Path, playing: Any, modality: str, folder: Path) -> DemoRun:
    with tqdm(total=100, desc="playing", unit="%", bar_format="{l_bar}{bar}| {elapsed}") as bar:

        def advance(share: float) -> None:
            bar.update(int(100 * share) - bar.n)

        return run_demo(bag, playing, modality, folder, advance)


def _summary(
    bag: Path, run: DemoRun, stamps: list[int], received: list[Received], truth: dict[int, Skeletons]
) -> dict[str, Any]:
    published, stages = read_durations(run.output)
    modality = received[0].skeletons.modality if received else None
    head = {"bag": bag.name, "modality": modality, "frame_rate_hz": round(_rate(stamps), 2)}
    played = {key: run.player[key] for key in ("late_ms", "seconds")}
    return head | summarise(stamps, received, published, stages, truth) | {"player": played}


def _rate(stamps: Sequence[int]) -> float:
    return 1e9 / float(np.median(np.diff(stamps))) if len(stamps) > 1 else 1.0


def _pictures(
    bag: Path, chosen: RgbdTopics, folder: Path, stamps: list[int], received: list[Received]
) -> dict[str, str]:
    by_stamp = {message.stamp_ns: message for message in received}
    with BagReader(bag) as reader:
        frames = tqdm(RgbdRecording(reader, chosen).frames(), total=len(stamps), desc="drawing", unit="frame")
        return write_pictures(folder, frames, by_stamp, _rate(stamps))
