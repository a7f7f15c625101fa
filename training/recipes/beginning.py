"""Networks before they are taught."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from unipose_ros.networks.anchor_to_joint import AnchorNetwork
from unipose_ros.networks.registry import get_network
from unipose_ros.networks.weights import fill_module, load_weights


def start_anchors(name: str, size: str, initial: str, local: int = 0) -> AnchorNetwork:
    """A network that looks at windows; see ``point_task.start_from`` for one that looks at points.

    Args:
        name: ``depth`` or ``rgb``.
        size: one of its sizes.
        initial: weights to begin with; "" begins anew.
        local: anchors on each keypoint (the lifting variant).

    Raises:
        WeightsError: the weights are absent, damaged or of another size.
    """
    kind = get_network(name)
    network = kind.module(replace(kind.sizes[size], local=local))
    assert isinstance(network, AnchorNetwork)
    if initial:
        tensors, _ = load_weights(Path(initial), name)
        fill_module(network, tensors)
    return network
