"""The trained networks by name: built from their records, filled with their weights."""

from __future__ import annotations

import importlib
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
class NetworkSpec:
    """One kind of network. What it names is imported when it is asked for, so listing networks needs no torch.

    Everything that enumerates networks reads :data:`NETWORKS`: weights' parameters, exports, choices of commands and
    recipes, and the modalities of a network of its own (:mod:`unipose_ros.modalities.registry`).

    Attributes:
        summary: what it does, in words.
        network: ``module:Class``; its only argument is a dataclass of sizes, which it keeps as ``config``. It is
            :class:`~unipose_ros.networks.export.Exportable`.
        sizes: ``module:TABLE`` of these dataclasses by the names of sizes.
        images: what its modality is given, of ``color`` and ``depth``; empty for a part of other modalities.
        codec: ``module:Class``, the :class:`~unipose_ros.codecs.base.CropCodec` of its modality.
    """

    summary: str
    network: str
    sizes: str
    images: tuple[str, ...] = ()
    codec: str = ""


@dataclass(frozen=True)
class Network:
    """A kind of network, loaded.

    Attributes:
        config: dataclass of its sizes.
        module: what builds it from them.
        sizes: named configurations.
    """

    config: Callable[..., Any]
    module: Callable[[Any], nn.Module]
    sizes: Mapping[str, Any]


#: By the name in the weights' record, which is also that of the file and of the parameter ``model.weights.<name>``.
NETWORKS: dict[str, NetworkSpec] = {
    "points": NetworkSpec(
        "joints of people from their point clouds",
        "unipose_ros.networks.points:PointNetwork",
        "unipose_ros.networks.points:SIZES",
        images=("depth",),
        codec="unipose_ros.codecs.points:PointsCodec",
    ),
    "depth": NetworkSpec(
        "joints of people from their crops of the depth image",
        "unipose_ros.networks.anchors:AnchorNetwork",
        "unipose_ros.networks.anchors:DEPTH_SIZES",
        images=("depth",),
        codec="unipose_ros.codecs.windows:DepthCodec",
    ),
    "rgb": NetworkSpec(
        "joints of people from their crops of the color image",
        "unipose_ros.networks.anchors:AnchorNetwork",
        "unipose_ros.networks.anchors:RGB_SIZES",
        images=("color",),
        codec="unipose_ros.codecs.windows:ColorCodec",
    ),
    "person_detector": NetworkSpec(
        "people in a depth image",
        "unipose_ros.networks.detector:PersonCenterNet",
        "unipose_ros.networks.detector:SIZES",
    ),
    "lifter": NetworkSpec(
        "joints of people from their 2D keypoints, for modality rgb",
        "unipose_ros.networks.lifter:LifterNetwork",
        "unipose_ros.networks.lifter:SIZES",
    ),
    "refiner": NetworkSpec(
        "2D keypoints repaired before they are lifted",
        "unipose_ros.networks.lifter:RefinerNetwork",
        "unipose_ros.networks.lifter:REFINER_SIZES",
    ),
}


#: No number in a network's configuration is larger, and those that count layers are at most as many as its tensors.
_LARGEST_SIZE, _COUNTS_OF_LAYERS = 1 << 14, ("layers", "blocks", "head_layers")


def load_named(path: str) -> Any:
    """``package.module:name`` -> what it names."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def get_spec(name: str) -> NetworkSpec:
    """What is known of a kind of network without loading it.

    Raises:
        WeightsError: there is none of that name.
    """
    if name not in NETWORKS:
        raise WeightsError(f"network '{name}' is unknown; there are {', '.join(sorted(NETWORKS))}")
    return NETWORKS[name]


def source_module(name: str) -> str:
    """Name of the module that a kind of network is in.

    Raises:
        WeightsError: there is none of that name.
    """
    return get_spec(name).network.partition(":")[0]


def get_network(name: str) -> Network:
    """A kind of network by its name.

    Raises:
        WeightsError: there is none of that name.
    """
    spec = get_spec(name)
    sizes: Mapping[str, Any] = load_named(spec.sizes)
    return Network(type(next(iter(sizes.values()))), load_named(spec.network), sizes)


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
    _require_plausible(record.config, len(tensors))
    with torch.device("meta"):  # takes no memory, whatever sizes the record claims
        require_shapes(build_network(name, record.config), tensors)
    module = build_network(name, record.config)
    fill_module(module, tensors)
    return module.eval(), record


def _require_plausible(config: Mapping[str, Any], tensors: int) -> None:
    """Networks are built by loops over what their record says, which takes time even where it takes no memory.

    Raises:
        WeightsError: a number is larger than any network's, or there would be more layers than tensors.
    """
    for key, value in config.items():
        values = value if isinstance(value, list | tuple) else [value]
        most = tensors if key in _COUNTS_OF_LAYERS else _LARGEST_SIZE
        if len(values) > tensors or any(isinstance(each, int) and each > most for each in values):
            raise WeightsError(f"the record's {key} is not plausible with {tensors} tensors; its record is damaged")


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


# Facts about the maps of the network that detects people in depth; torch is not needed to know them.

#: Pixels of the image per cell of the maps, and what the image's sides must be multiples of.
STRIDE = 4
MULTIPLE = 32
#: Log of three meters: where depths are counted from.
LOG_MIDDLE = 1.0986
#: Channels: heat, the four sides of the box, log of the distance.
HEAT, SIDES, LOG_DISTANCE = 0, slice(1, 5), 5
