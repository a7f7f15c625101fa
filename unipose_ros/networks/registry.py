"""The trained networks by name: built from their records, filled with their weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unipose_ros.networks.weights import (
    ModelCard,
    WeightsError,
    fill_module,
    load_weights,
    require_finite,
    require_shapes,
    save_weights,
)

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Network:
    """One kind of network.

    Attributes:
        config: dataclass of its sizes.
        module: what builds it from them.
        sizes: named configurations.
    """

    config: Callable[..., Any]
    module: Callable[[Any], nn.Module]
    sizes: Mapping[str, Any]


def _points() -> Network:
    from unipose_ros.networks.points import SIZES, PointNetwork, PointNetworkConfig

    return Network(PointNetworkConfig, PointNetwork, SIZES)


def _depth() -> Network:
    from unipose_ros.networks.anchors import DEPTH_SIZES as SIZES
    from unipose_ros.networks.anchors import AnchorNetwork, AnchorNetworkConfig

    return Network(AnchorNetworkConfig, AnchorNetwork, SIZES)


def _rgb() -> Network:
    from unipose_ros.networks.anchors import RGB_SIZES as SIZES
    from unipose_ros.networks.anchors import AnchorNetwork, AnchorNetworkConfig

    return Network(AnchorNetworkConfig, AnchorNetwork, SIZES)


def _lifter() -> Network:
    from unipose_ros.networks.lifter import SIZES, LifterConfig, LifterNetwork

    return Network(LifterConfig, LifterNetwork, SIZES)


def _refiner() -> Network:
    from unipose_ros.networks.lifter import REFINER_SIZES as SIZES
    from unipose_ros.networks.lifter import RefinerConfig, RefinerNetwork

    return Network(RefinerConfig, RefinerNetwork, SIZES)


def _finder() -> Network:
    from unipose_ros.networks.detector import SIZES, PersonCenterNet, PersonCenterNetConfig

    return Network(PersonCenterNetConfig, PersonCenterNet, SIZES)


#: Name in the weights' record -> the network. Torch is imported only once one is asked for.
NETWORKS: dict[str, Callable[[], Network]] = {
    "points": _points,
    "depth": _depth,
    "rgb": _rgb,
    "lifter": _lifter,
    "refiner": _refiner,
    "person_detector": _finder,
}


def get_network(name: str) -> Network:
    """A kind of network by its name.

    Raises:
        WeightsError: there is none of that name.
    """
    if name not in NETWORKS:
        raise WeightsError(f"network '{name}' is unknown; there are {', '.join(sorted(NETWORKS))}")
    return NETWORKS[name]()


def build_network(name: str, config: Mapping[str, Any] | str) -> nn.Module:
    """An untrained network.

    Args:
        name: one of :data:`NETWORKS`.
        config: fields of its configuration, or the name of one of its sizes.

    Raises:
        WeightsError: no such network or size, or the fields do not fit.
    """
    network = get_network(name)
    if isinstance(config, str):
        if config not in network.sizes:
            raise WeightsError(f"network '{name}' has no size '{config}'; use {', '.join(sorted(network.sizes))}")
        return network.module(network.sizes[config])
    try:
        return network.module(network.config(**config))
    except Exception as error:  # torch raises whatever sizes without sense make of it
        raise WeightsError(f"network '{name}' cannot be built ({error}); its record is of another version") from error


def load_network(path: Path, name: str) -> tuple[nn.Module, ModelCard]:
    """A trained network, ready to run, and what is known of it.

    Raises:
        WeightsError: the file is absent, damaged, of another network, or does not fit this version.
    """
    import torch

    tensors, record = load_weights(path, name)
    with torch.device("meta"):  # takes no memory, whatever sizes the record claims
        require_shapes(build_network(name, record.config), tensors)
    module = build_network(name, record.config)
    fill_module(module, tensors)
    return module.eval(), record


def save_network(path: Path, module: nn.Module, config: Any, record: ModelCard, half: bool = True) -> ModelCard:
    """Write a network's weights.

    Args:
        config: the dataclass that ``module`` was built from; it replaces that of ``record``.
        half: store numbers in 16 bits; they are read back into 32.

    Returns:
        The record as written, with configuration and checksum.

    Raises:
        WeightsError: a tensor holds NaN or infinity, also after the loss of precision.
        OSError: the file cannot be written.
    """
    tensors = {name: value.detach().cpu() for name, value in module.state_dict().items()}
    stored = {name: (v.half() if half and v.is_floating_point() else v).numpy() for name, v in tensors.items()}
    require_finite(stored, path)
    return save_weights(path, stored, replace(record, config=asdict(config)))
