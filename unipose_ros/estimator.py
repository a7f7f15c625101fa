"""PoseEstimator: a camera frame in, skeletons out. The node, the evaluation and the demo use this."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy

import numpy as np

from unipose_ros.camera import Camera, CameraError, require_plausible
from unipose_ros.config import EstimatorConfig, WeightsConfig
from unipose_ros.detection import PersonDetector
from unipose_ros.detection.proposals import stand_in
from unipose_ros.errors import EstimatorError, twin_of
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.keypoints import KeypointDetector, Keypoints2D
from unipose_ros.modalities.base import Follower, StageClock
from unipose_ros.modalities.calibration import Calibration, calibrated, load_calibrations
from unipose_ros.modalities.factory import Components
from unipose_ros.modalities.registry import MODALITIES

__all__ = ["MODALITIES", "EstimatorConfig", "EstimatorError", "PoseEstimator", "WeightsConfig", "build_estimator"]


class PoseEstimator:
    """Finds the skeletons of one frame after the other.

    Args:
        detector: 2D network to use; by default the one from the cache is loaded where one is needed.
        person_detector: of people, for the modalities that look at depth; by default the configured one.
        calibrations: of covariances and confidences, by modality; by default those of the weights and of
            ``config/calibration.yaml``.
        live: frames come from a camera: what may be found a frame later is looked for beside the frames, in a thread.
            Otherwise results depend on the frames alone.

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
        live: bool = False,
    ) -> None:
        self.config = config
        self._modality = MODALITIES[config.modality].build(
            config.modality, config, Components(detector, person_detector, live=live)
        )
        self._calibrations = load_calibrations(config) if calibrations is None else calibrations
        self._plausible: Camera | None = None
        self._twin: PoseEstimator | None
        self._twinnable, self._twin = live, None

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
        """People of the last frame as the 2D network detected them, for the debug image."""
        return self._modality.last_keypoints

    def warm_up(self, camera: Camera) -> None:
        """Run once on a frame of the camera's size: first runs are slow."""
        depth, _ = stand_in(camera)
        color = np.zeros((*depth.shape, 3), np.uint8)
        self._modality.warm_up(RgbdFrame(stamp_ns=0, frame_id="", camera=camera, depth=depth, color=color))

    def estimate(self, frame: RgbdFrame, clock: StageClock | None = None) -> Skeletons:
        """All people in the frame, without ids.

        Args:
            clock: gets the durations of the stages: ``network`` and ``lift``, before them ``people`` and ``crop``
                where people are found and cut out first.

        Raises:
            EstimatorError: the frame lacks an image that the modality needs, or its camera has intrinsics that no
                camera has, with which images would be resized to gigabytes.
        """
        self._require_plausible(frame.camera)
        found = self._modality.estimate(frame, clock or StageClock())
        return calibrated(found, self._calibrations.get(found.modality))

    def twin(self) -> PoseEstimator | None:
        """The same networks with a memory of their own, which one other thread may use while frames come.

        Made once. The networks end with this estimator; a twin is not closed.

        Returns:
            ``None`` where frames do not come from a camera, or where it is not known whether two threads may use the
            networks.
        """
        if self._twinnable and self._twin is None:
            modality = twin_of(self._modality)
            self._twinnable = modality is not None
            if modality is not None:
                self._twin = copy(self)
                self._twin._modality, self._twin._plausible, self._twin._twinnable = modality, None, False
        return self._twin

    def _require_plausible(self, camera: Camera) -> None:
        if camera is self._plausible:
            return
        try:
            require_plausible(camera)
        except CameraError as error:
            raise EstimatorError(str(error)) from error
        self._plausible = camera

    def follow(self, people: Skeletons) -> None:
        """Hear from a tracker who is who in the last frame, so that all people's own bone lengths can be learned.

        Without it people are strangers in every frame.

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
        self._twinnable, self._twin = False, None
        self._modality.close()


def build_estimator(config: EstimatorConfig, live: bool = False) -> PoseEstimator:
    """The estimator that a configuration describes.

    Args:
        live: as in :class:`PoseEstimator`.

    Raises:
        WeightsError: the network's weights are absent; the text names the remedy.
        BackendError: the backend or device asked for is not there.
    """
    return PoseEstimator(config, live=live)
