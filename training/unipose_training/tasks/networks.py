"""How each network on people's crops is trained: its samples, its initial weights, its student and its task.

One entry of :data:`TRAINED` per network; recipes know no more of a network than this.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from unipose_ros.codecs.points import PointCloudConfig
from unipose_ros.codecs.windows import ColorImageConfig, DepthImageConfig
from unipose_ros.networks.registry import get_network
from unipose_training.engine.step import Task
from unipose_training.samples.augment_points import PointAugmentation
from unipose_training.samples.augment_windows import KeypointNoise, WindowAugmentation
from unipose_training.samples.rows import SampleSettings
from unipose_training.synthetic.stream.people import Inputs
from unipose_training.tasks.base import init_anchor_network, init_point_network
from unipose_training.tasks.points import describe_input, point_samples
from unipose_training.tasks.students import PointStudent, Student, StudentLossWeights, WindowStudent
from unipose_training.tasks.supervised import SupervisedPoints, SupervisedWeights, SupervisedWindows

#: Local anchors of a joint in the lifting variant.
_LOCAL_ANCHORS = 8


@dataclass(frozen=True)
class InitOptions:
    """The network that a recipe starts with.

    Attributes:
        size: one of its sizes.
        init_weights: file to start from; "" starts at random.
        frames: of a clip (points).
        paint: keypoints are painted on the points (points).
        lifting: 2D keypoints vote as well (depth, rgb).
    """

    size: str
    init_weights: str = ""
    frames: int = 1
    paint: bool = False
    lifting: bool = False


@dataclass(frozen=True)
class Augmentations:
    """How the inputs are changed at random, by kind of input."""

    points: PointAugmentation = field(default_factory=PointAugmentation)
    windows: WindowAugmentation = field(default_factory=WindowAugmentation)
    keypoints: KeypointNoise = field(default_factory=KeypointNoise)


class CropTraining(ABC):
    """How one network is trained. Its ``network`` arguments are what :meth:`init` has built, or one that was loaded.

    Args:
        name: of :data:`unipose_ros.networks.registry.NETWORKS`.
        stored: what the sample store calls its input, of :data:`unipose_training.samples.dataset.INPUTS`.
    """

    def __init__(self, name: str, stored: str) -> None:
        self.name, self.stored = name, stored

    def check(self, options: InitOptions) -> None:
        """Refuse what the network does not have.

        Raises:
            ValueError: the size is unknown, or an option belongs to another network.
        """
        sizes = get_network(self.name).sizes
        if options.size not in sizes:
            raise ValueError(f"size = {options.size}: {self.name} has {', '.join(sizes)}")

    @abstractmethod
    def init(self, options: InitOptions) -> nn.Module:
        """The network before it learns."""

    @abstractmethod
    def samples(self, size: str) -> SampleSettings:
        """How people are cut out where a recipe builds its samples itself; no input but its own."""

    @abstractmethod
    def describe_input(self, network: Any) -> str:
        """Its input in words, for the model card."""

    @abstractmethod
    def stream_inputs(self, network: Any) -> Inputs:
        """What is cut out of people who are rendered on the fly."""

    def sizes(self, network: Any) -> dict[str, int]:
        """Pixels of a side of its crops, by the stored name."""
        return {}

    def centers(self, network: Any) -> int:
        """So many of each cloud's first points are spread evenly."""
        return 0

    @abstractmethod
    def student(self, network: Any, augmentations: Augmentations, centers: int, loss: StudentLossWeights) -> Student:
        """What learns pseudo-labels.

        Args:
            centers: so many of each stored cloud's first points are spread evenly.
        """

    @abstractmethod
    def supervised(
        self, network: Any, augmentations: Augmentations, centers: int, loss: SupervisedWeights, ema_decay: float
    ) -> Task:
        """What learns the ground truth; arguments as :meth:`student`."""


class PointTraining(CropTraining):
    """Networks on point clouds."""

    def check(self, options: InitOptions) -> None:
        """See :class:`CropTraining`."""
        super().check(options)
        if options.lifting:
            raise ValueError(f"lifting: {self.name} has paint instead")

    def init(self, options: InitOptions) -> nn.Module:
        """See :class:`CropTraining`."""
        return init_point_network(options.size, options.frames, options.init_weights, options.paint)

    def samples(self, size: str) -> SampleSettings:
        """See :class:`CropTraining`."""
        return point_samples(size, with_depth=False)

    def describe_input(self, network: Any) -> str:
        """See :class:`CropTraining`."""
        return describe_input(network.config)

    def stream_inputs(self, network: Any) -> Inputs:
        """See :class:`CropTraining`."""
        return Inputs(points=PointCloudConfig(points=network.config.points, centers=network.config.centers))

    def centers(self, network: Any) -> int:
        """See :class:`CropTraining`."""
        return int(network.config.centers)

    def student(self, network: Any, augmentations: Augmentations, centers: int, loss: StudentLossWeights) -> Student:
        """See :class:`CropTraining`."""
        return PointStudent(network, augmentations.points, centers, loss)

    def supervised(
        self, network: Any, augmentations: Augmentations, centers: int, loss: SupervisedWeights, ema_decay: float
    ) -> Task:
        """See :class:`CropTraining`."""
        return SupervisedPoints(network, loss, augmentations.points, centers, ema_decay)


class WindowTraining(CropTraining):
    """Anchor networks on crops of the depth or color image."""

    def check(self, options: InitOptions) -> None:
        """See :class:`CropTraining`."""
        super().check(options)
        if options.paint:
            raise ValueError(f"paint: {self.name} has no points to paint; leave it out")

    def init(self, options: InitOptions) -> nn.Module:
        """See :class:`CropTraining`."""
        local = _LOCAL_ANCHORS if options.lifting else 0
        return init_anchor_network(self.name, options.size, options.init_weights, local)

    def samples(self, size: str) -> SampleSettings:
        """See :class:`CropTraining`."""
        pixels = get_network(self.name).sizes[size].size
        depth, color = DepthImageConfig(size=pixels), ColorImageConfig(size=pixels)
        if self.stored == "depth":
            return SampleSettings(depth=depth, with_points=False, with_color=False)
        return SampleSettings(color=color, with_points=False, with_depth=False)

    def describe_input(self, network: Any) -> str:
        """See :class:`CropTraining`."""
        channels, size = network.config.channels, network.config.size
        return f"({channels}, {size}, {size}) window of {self.stored}; see codecs.windows"

    def stream_inputs(self, network: Any) -> Inputs:
        """See :class:`CropTraining`; people who are rendered on the fly have no color."""
        return Inputs(depth=DepthImageConfig(size=network.config.size))

    def sizes(self, network: Any) -> dict[str, int]:
        """See :class:`CropTraining`."""
        return {self.stored: network.config.size}

    def student(self, network: Any, augmentations: Augmentations, centers: int, loss: StudentLossWeights) -> Student:
        """See :class:`CropTraining`."""
        return WindowStudent(network, augmentations.windows, self._depth(network), augmentations.keypoints, loss)

    def supervised(
        self, network: Any, augmentations: Augmentations, centers: int, loss: SupervisedWeights, ema_decay: float
    ) -> Task:
        """See :class:`CropTraining`."""
        return SupervisedWindows(network, loss, augmentations.windows, self._depth(network), ema_decay)

    def _depth(self, network: Any) -> DepthImageConfig | None:
        return DepthImageConfig(size=network.config.size) if self.stored == "depth" else None


#: By the network's name; a test compares it with the networks that have a codec.
TRAINED: dict[str, CropTraining] = {
    training.name: training
    for training in (
        PointTraining("points", "points"),
        WindowTraining("depth", "depth"),
        WindowTraining("rgb", "color"),
    )
}


def training_of(name: str, key: str) -> CropTraining:
    """The entry of a network.

    Args:
        key: field of a recipe that names it, for the refusal.

    Raises:
        ValueError: there is none.
    """
    if name not in TRAINED:
        raise ValueError(f"{key} = {name}: give one of {', '.join(TRAINED)}")
    return TRAINED[name]
