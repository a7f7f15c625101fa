"""Modality ``lookup``: a 2D network, and the depth under what it finds."""

from __future__ import annotations

from collections.abc import Mapping

from unipose_ros.config import LookupConfig
from unipose_ros.detection import DetectionConfig, select_people, visible_keypoints
from unipose_ros.detection.keypoints import keypoints_in
from unipose_ros.errors import Closable, EstimatorError, twin_of
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.joint_sets import COCO17
from unipose_ros.keypoints import KeypointDetector, Keypoints2D
from unipose_ros.lookup.lift import lift_people, to_skeletons
from unipose_ros.modalities.base import RequiredInputs, StageClock

NAME = "lookup"
_NEEDS = RequiredInputs(color=True, depth=True)


class Lookup:
    """Lifts the keypoints of a detector; needs color and depth.

    Args:
        detector: 2D network that puts out COCO-17 keypoints.
    """

    notice = ""

    def __init__(self, detector: KeypointDetector, people: DetectionConfig, config: LookupConfig) -> None:
        self._detector = Closable(detector, "the estimator")
        self.runtime = str(getattr(detector, "runtime", type(detector).__name__))
        self._people = people
        self._config = config
        self.last_keypoints: Keypoints2D | None = None
        self.counters: Mapping[str, int] = {}

    def twin(self) -> Lookup | None:
        """For another thread."""
        detector = twin_of(self._detector.get())
        return None if detector is None else Lookup(detector, self._people, self._config)

    def warm_up(self, frame: RgbdFrame) -> None:
        """Look at an empty frame."""
        self.estimate(frame, StageClock())

    def estimate(self, frame: RgbdFrame, clock: StageClock) -> Skeletons:
        """All people in the frame, without ids.

        Raises:
            EstimatorError: the frame lacks color or depth, or the detector is closed or has
                another joint set.
        """
        _NEEDS.check(frame, NAME)
        assert frame.color is not None
        assert frame.depth is not None
        detector = self._detector.get()
        with clock.stage("network"):
            found = keypoints_in(detector, frame)
        if found.joint_set != COCO17:
            raise EstimatorError(f"the detector puts out '{found.joint_set.name}'; modality '{NAME}' needs 'coco17'")
        with clock.stage("lift"):
            camera = frame.camera
            people = select_people(found.on_rays(camera), camera.width, camera.height, self._people)
            seen = visible_keypoints(people, camera.width, camera.height, self._people)
            self.last_keypoints = people
            lifted = lift_people(camera, frame.depth, people, seen, self._config)
            return to_skeletons(lifted, frame.stamp_ns, frame.frame_id, NAME)

    def reset(self) -> None:
        """There is no state."""

    def close(self) -> None:
        """Let the network go."""
        self._detector.close()
