"""Operations and bytes of the networks, and what part of the machine's limits they reach.

Operations are counted by torch's own counter (``torch.utils.flop_counter``): two for a multiplication with addition,
attention included. Bytes are those of the weights and of what every layer reads and writes once, as if no cache kept
anything between layers.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from unipose_ros.backends import Backend, OnnxBackend
from unipose_ros.config import EstimatorConfig
from unipose_ros.detection.movenet import load_movenet
from unipose_ros.modalities.factory import load_network_for, weights_file
from unipose_ros.networks.export import Exportable, export_onnx
from unipose_ros.networks.movenet.convert import NETWORK, build_network
from unipose_ros.networks.movenet.decode import SAFETENSORS, verified_file
from unipose_ros.networks.points import SIZES, PointNetwork, PointNetworkConfig
from unipose_ros.networks.registry import load_network
from unipose_ros.networks.weights import load_weights
from unipose_training.evaluation.speed.machine import quantiles

_FLOAT = 4
_REPETITIONS, _WARM_UP = 20, 3
#: Size of the image that MoveNet sees of one of 640x480 pixels.
_MOVENET_INPUT = (1, 288, 384, 3)
_NETWORKS = ("points", "depth", "person_detector")


@dataclass(frozen=True)
class Cost:
    """What one call takes.

    Attributes:
        gflop: 10^9 operations.
        mbytes: 10^6 bytes.
        mparameters: 10^6 weights.
    """

    gflop: float
    mbytes: float
    mparameters: float


def cost(network: nn.Module, given: Tensor) -> Cost:
    """Of one call of a network."""
    moved = 0

    def count(layer: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal moved
        parts = [*_tensors(inputs), *_tensors(output)]
        moved += sum(part.numel() * part.element_size() for part in parts)

    leaves = [layer for layer in network.modules() if not any(layer.children())]
    hooks = [layer.register_forward_hook(count) for layer in leaves]
    try:
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            network(given)
    finally:
        for hook in hooks:
            hook.remove()
    weights = sum(parameter.numel() for parameter in network.parameters())
    return Cost(counter.get_total_flops() / 1e9, (moved + _FLOAT * weights) / 1e6, weights / 1e6)


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return [part for each in value for part in _tensors(each)] if isinstance(value, tuple | list) else []


def network_rows(limits: dict[str, float], people: tuple[int, ...] = (1, 8)) -> list[dict[str, Any]]:
    """One row for every network and number of people, on one thread.

    Args:
        limits: of the machine, see :func:`unipose_training.evaluation.speed.machine.ceilings`.
    """
    rows = []
    config = EstimatorConfig(device="cpu", backend="onnx", threads=1)
    for name in _NETWORKS:
        module, _ = load_network(weights_file(config, name), name)
        run = load_network_for(config, name).run
        for count in people if name != "person_detector" else (1,):
            given = cast(Exportable, module).example_input(count)[:count]
            title = name if name == "person_detector" else f"{name}, {count} {'person' if count == 1 else 'people'}"
            rows.append(row(title, cost(module, given), _timed(run, given), limits))
    image = torch.zeros(_MOVENET_INPUT, dtype=torch.uint8)
    movenet = build_network(load_weights(verified_file(SAFETENSORS), NETWORK, verified=True)[0])
    for backend in ("onnx", "openvino"):
        try:
            run = load_movenet(backend, "cpu", 1).run
        except Exception:  # noqa: S112  # without that backend there is no row of it
            continue
        rows.append(row(f"MoveNet, {backend}", cost(movenet, image), _timed(run, image), limits))
    return rows


def row(title: str, needed: Cost, taken: dict[str, float], limits: dict[str, float]) -> dict[str, Any]:
    """A network's figures, and its part of the machine's limits."""
    seconds = taken["p50"] / 1e3
    return {
        "network": title,
        "gflop": round(needed.gflop, 3),
        "mbytes": round(needed.mbytes, 1),
        "mparameters": round(needed.mparameters, 2),
        "ms": taken,
        "of_gflops": round(needed.gflop / seconds / limits["gflops"], 3),
        "of_gbytes": round(needed.mbytes / 1e3 / seconds / limits["gbytes"], 3),
    }


def _timed(run: Backend, given: Tensor) -> dict[str, float]:
    array = given.numpy()
    return timed(lambda: run(array))


def timed(call: Callable[[], object]) -> dict[str, float]:
    """Milliseconds of a call: median and 95th percentile of the time that passes, and the median of the CPU time."""
    passed, worked = [], []
    for number in range(_WARM_UP + _REPETITIONS):
        began, work = time.perf_counter(), time.process_time()
        call()
        if number >= _WARM_UP:
            passed.append(1e3 * (time.perf_counter() - began))
            worked.append(1e3 * (time.process_time() - work))
    return {**quantiles(passed), "cpu": quantiles(worked)["p50"]}


# Sizes of published networks for people in depth, run by our own code beside ours.
#
# Their weights are not used and their programs are not run: what is compared is how long networks of these sizes take
# on the same machine, in the same runtime, untrained, for one person.

#: SPiKE (Ballester et al., ICPR 2024): one frame of 4096 points, 128 tokens of 1024 channels, 5 layers of 8 heads
#: with 256 channels. Its own head is a little smaller.
SPIKE = PointNetworkConfig(
    points=4096,
    centers=128,
    neighbors=32,
    radius=0.2,
    edge=(),
    width=1024,
    layers=5,
    heads=8,
    head_width=256,
    hidden=2048,
)
#: A2J (Xiong et al., ICCV 2019): sides of its input, joints of ITOP, anchors of a cell.
_A2J_SIDE, _JOINTS, _ANCHORS = 288, 15, 16


def peer_rows(limits: dict[str, float]) -> list[dict[str, Any]]:
    """One row for each of them and for our own networks of points, on one thread, with ONNX Runtime."""
    torch.manual_seed(0)
    networks: list[tuple[str, nn.Module, Tensor]] = [
        ("points xs (ours)", PointNetwork(SIZES["xs"]), torch.randn(1, 1, SIZES["xs"].points, 3) * 0.3),
        ("points s (ours)", PointNetwork(SIZES["s"]), torch.randn(1, 1, SIZES["s"].points, 3) * 0.3),
        ("SPiKE's sizes", PointNetwork(SPIKE), torch.randn(1, 1, SPIKE.points, 3) * 0.3),
        ("A2J's sizes", AnchorsOnResNet(), torch.randn(1, 1, _A2J_SIDE, _A2J_SIDE)),
        ("YOLOv8n-pose's sizes, 640x480", PoseInOneStage(), torch.randn(1, 3, 480, 640)),
    ]
    rows = []
    for title, network, given in networks:
        network.eval()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "network.onnx")
            _export(network, given, path)
            run = OnnxBackend(path, threads=1)
        array = given.numpy()
        rows.append(row(title, cost(network, given), timed(lambda run=run, array=array: run(array)), limits))  # type: ignore[misc]
    return rows


def _export(network: nn.Module, given: Tensor, path: Path) -> None:
    if isinstance(network, PointNetwork):
        export_onnx(network, path)
        return
    torch.onnx.export(network, (given,), str(path), dynamo=False)


class AnchorsOnResNet(nn.Module):
    """A network of A2J's sizes: ResNet-50 (He et al., CVPR 2016) with stride 16, and three branches of convolutions.

    (B, 1, 288, 288) depth -> for each of 16 anchors a cell and each joint: offsets in the image, depth, and weight.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(_convolution(1, 64, 7, 2), nn.MaxPool2d(3, 2, 1))
        stages, channels = [], 64
        for width, blocks, stride, dilation in ((64, 3, 1, 1), (128, 4, 2, 1), (256, 6, 2, 1), (512, 3, 1, 2)):
            layers = [_Bottleneck(channels if number == 0 else 4 * width, width, stride if number == 0 else 1, dilation)
                      for number in range(blocks)]  # fmt: skip
            stages.append(nn.Sequential(*layers))
            channels = 4 * width
        self.shallow, self.deep = nn.Sequential(*stages[:3]), stages[3]
        outputs = _ANCHORS * _JOINTS
        self.weights = _branch(1024, outputs)
        self.offsets, self.depths = _branch(2048, 2 * outputs), _branch(2048, outputs)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Offsets, depths and weights."""
        middle = self.shallow(self.stem(image))
        deep = self.deep(middle)
        return self.offsets(deep), self.depths(deep), self.weights(middle)


def _convolution(inputs: int, outputs: int, side: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (side // 2)
    layer = nn.Conv2d(inputs, outputs, side, stride, padding, dilation, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU())


def _branch(inputs: int, outputs: int) -> nn.Sequential:
    widths = [inputs, 256, 256, 256, 256]
    hidden = [_convolution(first, second, 3) for first, second in pairwise(widths)]
    return nn.Sequential(*hidden, nn.Conv2d(256, outputs, 3, padding=1))


class _Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a short cut."""

    def __init__(self, inputs: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _convolution(inputs, width, 1),
            _convolution(width, width, 3, stride, dilation),
            nn.Conv2d(width, 4 * width, 1, bias=False),
            nn.BatchNorm2d(4 * width),
        )
        changes = stride > 1 or inputs != 4 * width
        self.short_cut = (
            nn.Sequential(nn.Conv2d(inputs, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width))
            if changes
            else nn.Identity()
        )

    def forward(self, given: Tensor) -> Tensor:
        """(B, C, H, W)."""
        return torch.relu(self.body(given) + self.short_cut(given))


# YOLOv8n-pose (Ultralytics, 2023): sizes as published with it (9.2 GFLOP at 640x640, 3.3 M weights), random weights,
# run here for its time alone. It finds all people's COCO keypoints in an image, as MoveNet does.


class PoseInOneStage(nn.Module):
    """A network of YOLOv8n-pose's sizes: (B, 3, H, W) -> for each of three strides boxes, person, and keypoints."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(
            _silu(3, 16, 3, 2), _silu(16, 32, 3, 2), _Split(32, 32, 1, True),
            _silu(32, 64, 3, 2), _Split(64, 64, 2, True),
        )  # fmt: skip
        self.second = nn.Sequential(_silu(64, 128, 3, 2), _Split(128, 128, 2, True))
        self.third = nn.Sequential(_silu(128, 256, 3, 2), _Split(256, 256, 1, True), _Pyramid(256))
        self.up1, self.up2 = _Split(384, 128, 1, False), _Split(192, 64, 1, False)
        self.down1, self.middle = _silu(64, 64, 3, 2), _Split(192, 128, 1, False)
        self.down2, self.deep = _silu(128, 128, 3, 2), _Split(384, 256, 1, False)
        outputs = (64, 64), (64, 1), (51, 51)
        self.heads = nn.ModuleList(
            nn.ModuleList(
                nn.Sequential(
                    _silu(channels, width, 3), _silu(width, width, 3), nn.Conv2d(width, count, 1)
                )
                for width, count in outputs
            )
            for channels in (64, 128, 256)
        )  # fmt: skip

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Nine maps."""
        fine = self.first(image)
        middle = self.second(fine)
        deep = self.third(middle)
        up = self.up1(torch.cat([nn.functional.interpolate(deep, scale_factor=2.0), middle], 1))
        small = self.up2(torch.cat([nn.functional.interpolate(up, scale_factor=2.0), fine], 1))
        medium = self.middle(torch.cat([self.down1(small), up], 1))
        large = self.deep(torch.cat([self.down2(medium), deep], 1))
        levels = zip(self.heads, (small, medium, large), strict=True)
        return tuple(head(level) for heads, level in levels for head in cast(nn.ModuleList, heads))


def _silu(inputs: int, outputs: int, side: int, stride: int = 1) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, side, stride, side // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.SiLU())


class _Split(nn.Module):
    """C2f: half of the channels goes on through blocks of two convolutions, and all that came up is joined."""

    def __init__(self, inputs: int, outputs: int, blocks: int, residual: bool) -> None:
        super().__init__()
        half = outputs // 2
        self.before, self.after = _silu(inputs, outputs, 1), _silu((2 + blocks) * half, outputs, 1)
        self.blocks = nn.ModuleList(nn.Sequential(_silu(half, half, 3), _silu(half, half, 3)) for _ in range(blocks))
        self.residual = residual

    def forward(self, given: Tensor) -> Tensor:
        """(B, C, H, W)."""
        parts = list(self.before(given).chunk(2, 1))
        for block in self.blocks:
            parts.append(parts[-1] + block(parts[-1]) if self.residual else block(parts[-1]))
        return cast(Tensor, self.after(torch.cat(parts, 1)))


class _Pyramid(nn.Module):
    """SPPF: maxima of 5, 9 and 13 cells beside the cells themselves."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.before, self.after = _silu(channels, channels // 2, 1), _silu(2 * channels, channels, 1)
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, given: Tensor) -> Tensor:
        """(B, C, H, W)."""
        parts = [self.before(given)]
        for _ in range(3):
            parts.append(self.pool(parts[-1]))
        return cast(Tensor, self.after(torch.cat(parts, 1)))
