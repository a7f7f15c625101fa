"""PoseEstimator: a camera frame in, skeletons out. The node, the evaluation and the demo use this."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from unipose_ros.backends import BackendError, check_device
from unipose_ros.camera import Camera
from unipose_ros.detection import DetectionConfig, PersonDetector
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.keypoints import KeypointDetector, Keypoints2D
from unipose_ros.lookup import LookupConfig
from unipose_ros.modalities.base import EstimatorError, Follower, Modality, RequiredInputs
from unipose_ros.modalities.calibration import Calibration, calibrated, load_calibrations
from unipose_ros.modalities.crop_quality import RgbConfig
from unipose_ros.modalities.factory import (
    Components,
    build_auto,
    build_depth,
    build_points,
    build_rgb,
    build_rgbd,
    load_keypoint_detector,
)
from unipose_ros.modalities.lookup import Lookup
from unipose_ros.modalities.rgbd import RgbdConfig
from unipose_ros.timing import StageClock

__all__ = ["MODALITIES", "EstimatorConfig", "EstimatorError", "PoseEstimator", "WeightsConfig", "build_estimator"]


@dataclass(frozen=True)
class WeightsConfig:
    """Weights files (safetensors); where none is named, the shipped ones are used.

    Attributes:
        points: of modality ``points``; empty for the shipped file.
        rgbd: of modality ``rgbd``; empty for the shipped file.
        depth: of modality ``depth``; empty for the shipped file.
        rgb: of modality ``rgb``; empty for the shipped file.
        person_detector: of the network that finds people in depth; empty for the shipped file.
        lifter: of the network that lifts keypoints in modality ``rgb``; empty for the shipped file.
    """

    points: str = ""
    rgbd: str = ""
    depth: str = ""
    rgb: str = ""
    person_detector: str = ""
    lifter: str = ""


@dataclass(frozen=True)
class EstimatorConfig:
    """What finds the skeletons, and on what it runs.

    Attributes:
        modality: way from frame to skeletons; ``auto``: rgbd where both images come, else points or rgb,
            ``rgbd``: all of color and depth, fused, ``points``: clouds of points, ``depth``: depth images,
            ``rgb``: color images, ``lookup``: 2D keypoints plus the depth under them.
        backend: what runs the networks: ``auto``, ``onnx`` or ``torch``.
        device: where the networks run: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        threads: CPU threads of the networks.
        weights: files of the trained networks.
        people: what counts as a person.
        lookup: settings of modality ``lookup``.
        rgb: when modality ``rgb`` trusts its image network.
        rgbd: how modality ``rgbd`` uses color.

    Raises:
        EstimatorError: a value is unknown or out of range.
    """

    modality: str = "auto"
    backend: str = field(default="auto", metadata={"choices": ("auto", "onnx", "torch")})
    device: str = "auto"
    threads: int = 2
    weights: WeightsConfig = field(default_factory=WeightsConfig)
    detection: DetectionConfig = field(default_factory=DetectionConfig)
    lookup: LookupConfig = field(default_factory=LookupConfig)
    rgb: RgbConfig = field(default_factory=RgbConfig)
    rgbd: RgbdConfig = field(default_factory=RgbdConfig)

    def __post_init__(self) -> None:
        if self.modality not in MODALITIES:
            raise EstimatorError(f"modality = '{self.modality}': there is {', '.join(sorted(MODALITIES))}")
        if self.threads < 1:
            raise EstimatorError(f"threads = {self.threads}: use at least 1")
        try:
            check_device(self.device)
        except BackendError as error:
            raise EstimatorError(f"device = '{self.device}': {error}") from error

    @property
    def needs(self) -> RequiredInputs:
        """Images that the chosen modality looks at."""
        return self.needs_of(self.modality)

    def needs_of(self, modality: str) -> RequiredInputs:
        """Images that a modality looks at with these settings: the 2D network that finds people looks at color."""
        needs = MODALITIES[modality].needs
        return RequiredInputs(True, needs.depth, needs.either) if self.detection.detector == "keypoints" else needs


@dataclass(frozen=True)
class ModalitySpec:
    """One of the modalities.

    Attributes:
        needs: images it looks at, people being found as suits it.
        build: makes it from a configuration and the parts that are brought along.
    """

    needs: RequiredInputs
    build: Callable[[EstimatorConfig, Components], Modality]


def _build_lookup(config: EstimatorConfig, parts: Components) -> Modality:
    return Lookup(parts.detector or load_keypoint_detector(config), config.detection, config.lookup)


#: By name.
MODALITIES: dict[str, ModalitySpec] = {
    "auto": ModalitySpec(RequiredInputs(color=True, depth=True, either=True), build_auto),
    "depth": ModalitySpec(RequiredInputs(color=False, depth=True), build_depth),
    "lookup": ModalitySpec(RequiredInputs(color=True, depth=True), _build_lookup),
    "points": ModalitySpec(RequiredInputs(color=False, depth=True), build_points),
    "rgb": ModalitySpec(RequiredInputs(color=True, depth=False), build_rgb),
    "rgbd": ModalitySpec(RequiredInputs(color=True, depth=True), build_rgbd),
}


class PoseEstimator:
    """Finds the skeletons of one frame after the other.

    Args:
        detector: 2D network to use; by default the one from the cache is loaded where one is needed.
        person_detector: of people, for the modalities that look at depth; by default the configured one.
        calibrations: of covariances and confidences, by modality; by default those of the weights and of
            ``config/calibration.yaml``.

    Raises:
        WeightsError: a network's weights are absent or do not fit; the text names the remedy.
        BackendError: the backend or device asked for is not there.
    """

    def __init__(
        self,
        config: EstimatorConfig,
        detector: KeypointDetector | None = None,
        person_detector: PersonDetector | None = None,
        calibrations: Mapping[str, Calibration] | None = None,
    ) -> None:
        self.config = config
        self._modality = MODALITIES[config.modality].build(config, Components(detector, person_detector))
        self._calibrations = load_calibrations(config) if calibrations is None else calibrations

    @property
    def modality(self) -> str:
        """Name of the modality, as it was asked for."""
        return self.config.modality

    @property
    def runtime(self) -> str:
        """What runs the networks, and where; for logs and diagnostics."""
        return self._modality.runtime

    @property
    def notice(self) -> str:
        """What keeps the modality from doing its best at present; empty when all is well."""
        return self._modality.notice

    @property
    def counters(self) -> Mapping[str, int]:
        """How often something was left out, by reason."""
        return self._modality.counters

    @property
    def last_keypoints(self) -> Keypoints2D | None:
        """People of the last frame as the 2D network saw them, for the debug image."""
        return self._modality.last_keypoints

    def warm_up(self, camera: Camera) -> None:
        """Run once on an empty frame of the camera's size: first runs are slow."""
        size = (camera.height, camera.width)
        depth, color = np.zeros(size, np.float32), np.zeros((*size, 3), np.uint8)
        self._modality.warm_up(RgbdFrame(stamp_ns=0, frame_id="", camera=camera, depth=depth, color=color))

    def estimate(self, frame: RgbdFrame, clock: StageClock | None = None) -> Skeletons:
        """Everybody in the frame, without ids.

        Args:
            clock: gets the durations of the stages: ``network`` and ``lift``, before them ``people`` and ``crop``
                where people are found and cut out first.

        Raises:
            EstimatorError: the frame lacks an image that the modality needs.
        """
        found = self._modality.estimate(frame, clock or StageClock())
        return calibrated(found, self._calibrations.get(found.modality))

    def follow(self, people: Skeletons) -> None:
        """Hear from a tracker who is who in the last frame, so that everybody's own bone lengths can be learned.

        Without it everybody is a stranger in every frame.

        Args:
            people: of the last frame, with ids.
        """
        if isinstance(self._modality, Follower):
            self._modality.follow(people)

    def reset(self) -> None:
        """Forget earlier frames, as after a jump of time."""
        self._modality.reset()

    def close(self) -> None:
        """Free the networks."""
        self._modality.close()


def build_estimator(config: EstimatorConfig) -> PoseEstimator:
    """The estimator that a configuration describes.

    Raises:
        WeightsError: the network's weights are absent; the text names the remedy.
        BackendError: the backend or device asked for is not there.
    """
    return PoseEstimator(config)
