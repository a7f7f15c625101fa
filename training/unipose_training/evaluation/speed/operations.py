"""Operations and bytes of the networks, and what part of the machine's limits they reach.

Operations are counted by torch's own counter (``torch.utils.flop_counter``): two for a multiplication with addition,
attention included. Bytes are those of the weights and of what every layer reads and writes once, as if no cache kept
anything between layers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from unipose_ros.backends import Backend
from unipose_ros.config import EstimatorConfig
from unipose_ros.detection.movenet import load_movenet
from unipose_ros.modalities.factory import load_network_for, weights_file
from unipose_ros.networks.export import Exportable
from unipose_ros.networks.movenet.convert import NETWORK, build_network
from unipose_ros.networks.movenet.files import SAFETENSORS, verified_file
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
