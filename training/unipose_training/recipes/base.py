"""What every recipe writes into the record of its weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from unipose_ros.joint_sets import ITOP15
from unipose_ros.networks.anchors import AnchorNetwork
from unipose_ros.networks.registry import get_network
from unipose_ros.networks.weights import ModelCard, fill_module, load_weights
from unipose_training.engine.loop import Outcome

# Networks before they are trained.


def init_anchor_network(name: str, size: str, init_weights: str, local: int = 0) -> AnchorNetwork:
    """A network on windows; see ``point_task.init_point_network`` for one that looks at points.

    Args:
        name: ``depth`` or ``rgb``.
        size: one of its sizes.
        init_weights: weights to start from; "" begins anew.
        local: anchors on each keypoint (the lifting variant).

    Raises:
        WeightsError: the weights are absent, damaged or of another size.
    """
    kind = get_network(name)
    network = kind.module(replace(kind.sizes[size], local=local))
    assert isinstance(network, AnchorNetwork)
    if init_weights:
        tensors, _ = load_weights(Path(init_weights), name)
        fill_module(network, tensors)
    return network


def validation_metrics(outcome: Outcome, data: str = "validation") -> dict[str, float]:
    """Figures of the last validation, named by the data that they were measured on."""
    return {f"{data} {name}": round(value, 4) for name, value in outcome.figures.items()}


def model_card(
    network: str, takes: str, training_data: str, metrics: dict[str, float], joint_set: str = ITOP15.name
) -> ModelCard:
    """The record of a network that was trained from scratch; ``save_network`` adds its sizes.

    Args:
        takes: the network's input, in words.
    """
    return ModelCard(
        network=network,
        config={},
        joint_set=joint_set,
        input=takes,
        training_data=training_data,
        license="Apache-2.0; trained from scratch",
        metrics=metrics,
    )
