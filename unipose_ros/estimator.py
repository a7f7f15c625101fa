"""PoseEstimator: a camera frame in, skeletons out. The node, the evaluation and the demo use this."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from unipose_ros.camera import Camera
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.keypoints import KeypointDetector, Keypoints2D
from unipose_ros.lookup import LookupConfig
from unipose_ros.lookup.modality import Lookup
from unipose_ros.modality import EstimatorError, Modality
from unipose_ros.people import PeopleConfig
from unipose_ros.timing import StageClock

__all__ = ["MODALITIES", "EstimatorConfig", "EstimatorError", "PoseEstimator", "build_estimator"]


@dataclass(frozen=True)
class EstimatorConfig:
    """What finds the skeletons, and on what it runs.

    Attributes:
        modality: way from frame to skeletons; ``lookup``: 2D keypoints plus the depth under them.
        backend: what runs the networks: ``auto``, ``onnx`` or ``torch``.
        device: where the networks run: ``auto``, ``cpu`` or ``cuda``.
        threads: CPU threads of the networks.
        people: what counts as a person.
        lookup: settings of modality ``lookup``.

    Raises:
        EstimatorError: a value is unknown or out of range.
    """

    modality: str = "lookup"
    backend: str = field(default="auto", metadata={"choices": ("auto", "onnx", "torch")})
    device: str = "auto"
    threads: int = 2
    people: PeopleConfig = field(default_factory=PeopleConfig)
    lookup: LookupConfig = field(default_factory=LookupConfig)

    def __post_init__(self) -> None:
        if self.modality not in MODALITIES:
            raise EstimatorError(f"modality = '{self.modality}': there is {', '.join(sorted(MODALITIES))}")
        if self.threads < 1:
            raise EstimatorError(f"threads = {self.threads}: use at least 1")


def _build_lookup(config: EstimatorConfig, detector: KeypointDetector | None) -> Modality:
    return Lookup(detector or _load_detector(config), config.people, config.lookup)


def _load_detector(config: EstimatorConfig) -> KeypointDetector:
    # Networks are loaded only here: whoever brings a detector needs neither weights nor a runtime.
    from unipose_ros.networks.keypoints_2d import load_movenet

    return load_movenet(backend=config.backend, device=config.device, threads=config.threads)


#: Name -> what builds the modality from the configuration and, if one is given, the 2D network.
MODALITIES: dict[str, Callable[[EstimatorConfig, KeypointDetector | None], Modality]] = {"lookup": _build_lookup}


class PoseEstimator:
    """Finds the skeletons of one frame after the other; keeps no memory of earlier frames.

    Args:
        config: what to use.
        detector: 2D network to use instead of the one that ``config`` names.

    Raises:
        WeightsError: the network's weights are absent; the text names the remedy.
    """

    def __init__(self, config: EstimatorConfig, detector: KeypointDetector | None = None) -> None:
        self.config = config
        self._modality = MODALITIES[config.modality](config, detector)

    @property
    def modality(self) -> str:
        """Name of the modality, as messages carry it."""
        return self.config.modality

    @property
    def runtime(self) -> str:
        """What runs the networks, and where; for logs and diagnostics."""
        return self._modality.runtime

    @property
    def last_keypoints(self) -> Keypoints2D | None:
        """People of the last frame as the 2D network saw them, for the debug picture."""
        return self._modality.last_keypoints

    def warm_up(self, camera: Camera) -> None:
        """Run once on an empty frame of the camera's size: first runs are slow."""
        size = (camera.height, camera.width)
        depth, colour = np.zeros(size, np.float32), np.zeros((*size, 3), np.uint8)
        self.estimate(RgbdFrame(stamp_ns=0, frame_id="", camera=camera, depth=depth, colour=colour))

    def estimate(self, frame: RgbdFrame, clock: StageClock | None = None) -> Skeletons:
        """Everybody in the frame, without ids.

        Args:
            clock: gets the durations of the stages ``network`` and ``lift``.

        Raises:
            EstimatorError: the frame lacks an image that the modality needs.
        """
        return self._modality.estimate(frame, clock or StageClock())

    def close(self) -> None:
        """Free the networks."""
        self._modality.close()


def build_estimator(config: EstimatorConfig) -> PoseEstimator:
    """The estimator that a configuration describes.

    Raises:
        WeightsError: the network's weights are absent; the text names the remedy.
    """
    return PoseEstimator(config)
