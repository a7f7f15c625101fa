"""How long each modality takes on this machine, stage by stage; prints the tables of docs/results/speed.md.

    python benchmarks/modalities.py
    python benchmarks/modalities.py --bag my_recording --threads 2 --frames 200

Every modality uses the same frames, decoded before; people are found by what ``auto`` chooses. Where no
weights are shipped, an untrained network of the robot's size takes their place: times do not depend on
what a network has learned, but its joints are no good.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from unipose_ros.backends import BackendError
from unipose_ros.detection import DetectionConfig
from unipose_ros.estimator import MODALITIES, EstimatorConfig, PoseEstimator, WeightsConfig, build_estimator
from unipose_ros.frame import RgbdFrame
from unipose_ros.modalities.base import StageClock
from unipose_ros.modalities.factory import weights_file
from unipose_ros.networks.registry import build_network, save_network
from unipose_ros.networks.weights import ModelCard, WeightsError
from unipose_ros.recordings import BagReader, RgbdRecording
from unipose_ros.resources import resource_path

WARM_UP = 5
#: What a robot would run.
SIZES = {"points": "s", "depth": "tiny", "rgb": "tiny"}
STAGES = ("people", "crop", "network", "lift")
#: All stages by the clock, and the processor's work on them: beside other programs the second is what counts.
SUMS = ("all", "CPU")
Times = dict[str, list[float]]


def read_frames(bag: Path, count: int) -> list[RgbdFrame]:
    """The first frames of a recording."""
    with BagReader(bag) as reader:
        return list(islice(RgbdRecording(reader).frames(), count))


def available_weights(folder: Path) -> tuple[WeightsConfig, list[str]]:
    """The shipped files, or untrained networks in ``folder``; and the names of those."""
    untrained = {}
    for name, size in SIZES.items():
        try:
            weights_file(EstimatorConfig(), name)
        except WeightsError:
            untrained[name] = str(folder / f"{name}.safetensors")
            network = build_network(name, size)
            record = ModelCard(name, {}, "itop15", "", "nothing", "")
            save_network(Path(untrained[name]), network, network.config, record)
    return WeightsConfig(**untrained), sorted(untrained)


def measure(estimator: PoseEstimator, frames: Sequence[RgbdFrame], title: str) -> tuple[Times, float]:
    """Milliseconds of every stage, of all together and of all threads' work, frame by frame; and people per frame."""
    estimator.warm_up(frames[0].camera)
    for frame in frames[:WARM_UP]:
        estimator.estimate(frame)
    estimator.reset()
    times: Times = defaultdict(list)
    people = []
    for frame in tqdm(frames, desc=title, unit="frame", leave=False):
        clock, worked = StageClock(), time.process_time()
        people.append(len(estimator.estimate(frame, clock)))
        for stage, taken in clock.milliseconds.items():
            times[stage].append(taken)
        times["all"].append(sum(clock.milliseconds.values()))
        times["CPU"].append(1e3 * (time.process_time() - worked))
    return times, float(np.mean(people))


def shown(values: Sequence[float]) -> str:
    """Median / 95th percentile."""
    return f"{np.median(values):.1f} / {np.percentile(values, 95):.1f}" if values else "-"


def print_table(config: EstimatorConfig, modalities: Sequence[str], frames: Sequence[RgbdFrame]) -> None:
    """One row per modality on one device; times relative to those of ``lookup`` where it is among them."""
    rows: dict[str, tuple[Times, float, str]] = {}
    for name in modalities:
        try:
            estimator = build_estimator(replace(config, modality=name))
        except (BackendError, WeightsError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            continue
        rows[name] = (*measure(estimator, frames, name), estimator.runtime)
        estimator.close()
    base = np.median(rows["lookup"][0]["all"]) if "lookup" in rows else np.nan
    print(f"\nOn {config.device}, {config.threads} CPU threads, milliseconds a frame, median / 95th percentile:\n")
    print(f"| modality | found | {' | '.join((*STAGES, *SUMS))} | lookup / this |\n|{'---|' * (len(STAGES) + 5)}")
    for name, (times, people, _) in rows.items():
        cells = " | ".join(shown(times.get(stage, [])) for stage in (*STAGES, *SUMS))
        print(f"| {name} | {people:.1f} | {cells} | {base / np.median(times['all']):.1f} |")
    print()
    for name, (_, _, runtime) in rows.items():
        print(f"{name}: {runtime}")
    if config.device != "cpu":
        print(f"peak GPU memory: {torch.cuda.max_memory_allocated() / 2**20:.0f} MiB")


def main() -> None:
    """Read the arguments and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bag", type=Path, default=resource_path("demo", "walk"))
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument(
        "--modalities", nargs="+", choices=sorted(MODALITIES), default=["points", "depth", "rgb", "lookup", "rgbd"]
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--every", type=int, default=1, help="people are searched for in every so many frames")
    options = parser.parse_args()
    frames = read_frames(options.bag, options.frames)
    with tempfile.TemporaryDirectory() as folder:
        weights, untrained = available_weights(Path(folder))
        if untrained:
            print(f"untrained networks stand in for {', '.join(untrained)}")
        people = DetectionConfig(detection_interval=options.every)
        for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
            config = EstimatorConfig(device=device, threads=options.threads, weights=weights, detection=people)
            print_table(config, options.modalities, frames)


if __name__ == "__main__":
    main()
