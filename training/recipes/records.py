"""What every recipe writes into the record of its weights."""

from __future__ import annotations

from unipose_ros.networks.weights import WeightsRecord
from unipose_ros.skeletons import ITOP15
from unipose_training.engine.outcome import Outcome


def validation_metrics(outcome: Outcome, data: str = "validation") -> dict[str, float]:
    """Figures of the last validation, named by the data that they were measured on."""
    return {f"{data} {name}": round(value, 4) for name, value in outcome.figures.items()}


def learned_record(
    network: str, takes: str, training_data: str, metrics: dict[str, float], joint_set: str = ITOP15.name
) -> WeightsRecord:
    """The record of a network that was trained from scratch; ``save_network`` adds its sizes.

    Args:
        takes: the network's input, in words.
    """
    return WeightsRecord(
        network=network,
        config={},
        joint_set=joint_set,
        input=takes,
        training_data=training_data,
        licence="Apache-2.0; trained from scratch",
        metrics=metrics,
    )
