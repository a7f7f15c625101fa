"""How long the networks of points and image windows take on this machine; prints the tables of docs/results/speed.md.

    python benchmarks/point_network.py
    python benchmarks/point_network.py --device cuda --backends torch

Times need neither data nor weights: they do not depend on what a network has learned. SPiKE's sizes
(Ballester et al., ICPR 2024: one frame of 4096 points, 128 tokens of 1024 channels, 5 layers of 8 heads
with 256 channels) are run by the same code, for comparison; its own head is a little smaller.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from unipose_ros.backends import Backend, OnnxBackend, TorchBackend
from unipose_ros.camera import Camera
from unipose_ros.codecs.points import PointCloudConfig, encode_person
from unipose_ros.frame import RgbdFrame
from unipose_ros.networks.anchors import DEPTH_SIZES, RGB_SIZES, AnchorNetwork, AnchorNetworkConfig
from unipose_ros.networks.export import export_onnx
from unipose_ros.networks.points import SIZES, PointNetwork, PointNetworkConfig
from unipose_training.evaluation.speed.operations import SPIKE

WARM_UP = 5
POINT_NETWORKS = {
    "points s, 1 frame": SIZES["s"],
    "points s, 3 frames": replace(SIZES["s"], frames=3),
    "points l, 3 frames": SIZES["l"],
    "SPiKE's sizes, 1 frame": SPIKE,
}
IMAGE_NETWORKS = {
    **{f"depth {size}": config for size, config in DEPTH_SIZES.items()},
    **{f"rgb {size}": config for size, config in RGB_SIZES.items()},
}


def made(config: PointNetworkConfig | AnchorNetworkConfig) -> tuple[nn.Module, torch.Tensor]:
    """A network and an input of one person."""
    torch.manual_seed(0)
    if isinstance(config, PointNetworkConfig):
        return PointNetwork(config).eval(), torch.randn(1, config.frames, config.points, 3) * 0.3
    return AnchorNetwork(config).eval(), torch.randn(1, config.channels, config.size, config.size)


def cost(config: PointNetworkConfig | AnchorNetworkConfig) -> tuple[float, float]:
    """10^9 multiplications with addition for one person, and 10^6 parameters."""
    with torch.device("meta"):
        network, given = made(config)
    with FlopCounterMode(display=False) as counter:
        network(given)
    return counter.get_total_flops() / 2e9, sum(p.numel() for p in network.parameters()) / 1e6


def milliseconds(call: Callable[[], object], repetitions: int) -> str:
    """Median / 95th percentile of the time that passes."""
    for _ in range(WARM_UP):
        call()
    durations = []
    for _ in range(repetitions):
        start = time.perf_counter()
        call()
        durations.append((time.perf_counter() - start) * 1e3)
    return f"{np.median(durations):.1f} / {np.percentile(durations, 95):.1f}"


def loaded(name: str, network: nn.Module, device: str, threads: int, folder: Path) -> Backend:
    """A network in a backend."""
    if name == "torch":
        return TorchBackend(network, device, threads)
    path = folder / "network.onnx"
    export_onnx(network, path)
    return OnnxBackend(path, device, threads)


def print_times(options: argparse.Namespace) -> None:
    """One row per network."""
    columns = [(name, count) for name in options.backends for count in options.threads]
    titles = " | ".join(f"{name}, {count} threads" for name, count in columns)
    print(f"| network | GMAC | parameters (M) | {titles} |\n|{'---|' * (3 + len(columns))}")
    for title, config in {**POINT_NETWORKS, **IMAGE_NETWORKS}.items():
        giga, mega = cost(config)
        times = []
        for name, count in columns:
            network, given = made(config)
            with tempfile.TemporaryDirectory() as folder:
                run = loaded(name, network, options.device, count, Path(folder))
            image = given.numpy()
            times.append(milliseconds(lambda run=run, x=image: run(x), options.repetitions))
        print(f"| {title} | {giga:.2f} | {mega:.2f} | {' | '.join(times)} |", flush=True)


def print_encoding(repetitions: int) -> None:
    """Cutting a person of 120 x 300 pixels out of a noisy depth image of 640 x 480."""
    random = np.random.default_rng(0)
    depth_image = np.full((480, 640), 6.0, np.float32)
    depth_image[100:400, 260:380] = 3 + random.normal(0, 0.01, (300, 120))
    frame = RgbdFrame(0, "", Camera(525, 525, 319.5, 239.5, 640, 480), depth=depth_image)
    box = np.array([260, 100, 380, 400])
    taken = milliseconds(lambda: encode_person(frame, box, 3.0, PointCloudConfig()), repetitions)
    print(f"\nencode_person: {taken}")


def main() -> None:
    """Read the arguments and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", nargs="+", choices=["onnx", "torch"], default=["onnx"])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of CPU threads to try")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--repetitions", type=int, default=50)
    options = parser.parse_args()
    print_times(options)
    print_encoding(options.repetitions)


if __name__ == "__main__":
    main()
