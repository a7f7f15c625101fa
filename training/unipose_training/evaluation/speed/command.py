"""``unipose benchmark``: how fast everything is on this machine, with the machine's limits beside it.

Rooms with 1, 3 and 8 people are rendered. Then are measured: the stages of every modality without ROS; the real node
over DDS, into which such recordings are played at 30 Hz; each network's operations and bytes as parts of what this
machine reaches; and networks of published sizes beside ours. Takes less than ten minutes on two idle cores.

Writes ``benchmark.json`` to the output folder. ``--page FILE`` writes a page of tables and its plots from it as well.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from unipose_ros.backends import BackendError
from unipose_ros.cli.demo import plan, read_durations, read_skeleton_messages, run_demo
from unipose_ros.cli.options import description, positive, refuse
from unipose_ros.estimator import MODALITIES, EstimatorConfig, EstimatorError
from unipose_ros.files import write_atomic
from unipose_ros.networks.weights import WeightsError
from unipose_ros.recordings import BagReader, RecordingError, RgbdRecording
from unipose_ros.termination import ProcessError
from unipose_training.evaluation.speed.machine import (
    ceilings,
    machine_facts,
    process_mebibytes,
    process_seconds,
    quantiles,
    torch_threads,
)
from unipose_training.evaluation.speed.operations import network_rows, peer_rows
from unipose_training.evaluation.speed.page import write_page
from unipose_training.evaluation.speed.stages import (
    MOST_PEOPLE,
    Scene,
    crowd_frames,
    measure_crops,
    measure_stages,
    write_loop,
)

NAME = "benchmark.json"
_DRAWN = 8
#: The node is run with one person in every size and with either number of threads, and with more people in this size.
_NODE_SIZE = "640x480"
_PARTS = ("stages", "node", "networks", "peers")


def main(argv: Sequence[str]) -> int:
    """Measure and write; 1 with one line on stderr when something given cannot be used."""
    options = _parser().parse_args(argv)
    path = options.output / NAME
    try:
        if options.from_results:
            results = json.loads(path.read_text(encoding="utf-8"))
        else:
            results = benchmark(options)
            write_atomic(path, json.dumps(results, indent=1) + "\n")
        if options.page:
            write_page(results, options.page)
    except (BackendError, EstimatorError, OSError, ProcessError, RecordingError, ValueError, WeightsError) as error:
        return refuse("unipose benchmark", error)
    print(f"{path}, measured in {results['seconds']:.0f} s")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "unipose benchmark", description=description(__doc__), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--output", type=Path, default=Path("benchmarks/results"), help="folder of the results (default: %(default)s)")
    add("--page", type=Path, metavar="FILE", help="Markdown file to write; plots go into ../images beside it")
    add("--from-results", action="store_true", help="measure nothing: write the page from earlier results")
    add("--parts", nargs="+", choices=_PARTS, default=list(_PARTS), help="what to measure (default: all)")
    add(
        "--modality", nargs="+", choices=sorted(set(MODALITIES) - {"auto"}), metavar="NAME",
        default=["points", "depth", "rgb", "lookup", "rgbd"], help="default: %(default)s",
    )  # fmt: skip
    add("--people", nargs="+", type=_people, default=[1, 3, 8], metavar="N", help="in a scene (default: 1 3 8)")
    add("--sizes", nargs="+", type=_size, default=[(640, 480), (1280, 720)], metavar="WxH", help="of images")
    add("--threads", nargs="+", type=positive, default=[1, 2], help="of the networks (default: 1 2)")
    add("--frames", type=positive, default=25, help="measured of a scene without ROS (default: %(default)s)")
    add("--rate", type=positive, default=30, help="frames a second that are played (default: %(default)s)")
    add("--seconds", type=positive, default=4, help="that are played of a scene (default: %(default)s)")
    return parser


def _people(text: str) -> int:
    number = int(text)
    if not 0 <= number <= MOST_PEOPLE:
        raise argparse.ArgumentTypeError(f"{number}: there is room for 0 to {MOST_PEOPLE} people")
    return number


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    return int(width), int(height)


def benchmark(options: argparse.Namespace) -> dict[str, Any]:
    """Measure what the options ask for.

    Raises:
        BackendError, EstimatorError, ProcessError, WeightsError: something cannot be measured; the text says why.
    """
    began = time.monotonic()
    results: dict[str, Any] = {"date": datetime.now(timezone.utc).strftime("%Y-%m-%d"), "machine": machine_facts()}
    limits = {str(threads): ceilings(threads) for threads in sorted({1, *options.threads})}
    results["machine"]["ceilings"] = limits
    if {"networks", "peers"} & set(options.parts):
        with torch_threads(1):
            if "networks" in options.parts:
                results["networks"] = network_rows(limits["1"])
            if "peers" in options.parts:
                results["peers"] = peer_rows(limits["1"])
    if {"stages", "node"} & set(options.parts):
        with torch_threads(1):
            scenes = list(_scenes(options))
        if "stages" in options.parts:
            results["stages"] = list(_stages(options, scenes))
            results["crops"] = [row for scene in scenes if scene.people == 1 for row in measure_crops(scene)]
        if "node" in options.parts:
            results["node"] = list(_node(options, scenes))
    results["machine"]["load_after"] = machine_facts()["load"]
    results["seconds"] = round(time.monotonic() - began, 1)
    return results


def _scenes(options: argparse.Namespace) -> Iterator[Scene]:
    todo = [(people, size) for size in options.sizes for people in options.people]
    for people, (width, height) in tqdm(todo, desc="rendering", unit="scene"):
        yield Scene(people, crowd_frames(people, width, height, _DRAWN))


def _stages(options: argparse.Namespace, scenes: Sequence[Scene]) -> Iterator[dict[str, Any]]:
    todo = [(name, threads) for name in options.modality for threads in options.threads]
    for name, threads in tqdm(todo, desc="stages", unit="modality"):
        config = EstimatorConfig(modality=name, threads=threads, device="cpu")
        try:
            yield from measure_stages(config, scenes, options.frames)
        except (BackendError, WeightsError) as error:
            print(f"unipose benchmark: without {name}: {error}", file=sys.stderr)


def _node(options: argparse.Namespace, scenes: Sequence[Scene]) -> Iterator[dict[str, Any]]:
    # Of the three at most one differs from what most robots have; all together would take half an hour.
    most, fewest = max(options.threads), min(options.people)
    runs = [
        (scene, name, threads)
        for scene in scenes
        for name in options.modality
        for threads in options.threads
        if (threads == most) + (scene.size == _NODE_SIZE) + (scene.people == fewest) >= 2
    ]
    with tempfile.TemporaryDirectory() as folder:
        bags: dict[Scene, Path] = {}
        for number, (scene, name, threads) in enumerate(tqdm(runs, desc="node", unit="run")):
            bag = bags.get(scene)
            if bag is None:
                bag = bags[scene] = Path(folder, f"{scene.people}_{scene.size}")
                write_loop(bag, scene.frames, options.rate, options.seconds)
            what = {"modality": name, "people": scene.people, "size": scene.size, "threads": threads}
            try:
                yield {**what, "rate": options.rate, **measure_node(bag, name, threads, Path(folder, str(number)))}
            except ProcessError as error:
                print(f"unipose benchmark: the node with {name}: {error}", file=sys.stderr)


# The real node over DDS: a recording is played into it in real time, and its output recorded.


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
