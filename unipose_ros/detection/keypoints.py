"""Person detection by the 2D network: a box around all people's keypoints, a distance from the depth under them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unipose_ros.config import DetectionConfig
from unipose_ros.detection.onnx_keypoints import OnnxKeypointDetector
from unipose_ros.detection.proposals import PersonDetector, Proposals, select_people, visible_keypoints
from unipose_ros.errors import Closable, EstimatorError, twin_of
from unipose_ros.frame import RgbdFrame
from unipose_ros.geometry import body_model as body
from unipose_ros.geometry.surfaces import reference_depths
from unipose_ros.joint_sets import COCO17
from unipose_ros.keypoints import KeypointDetector, Keypoints2D

#: Fraction of its sides by which the body reaches beyond the box around its joints, on each side.
_BODY = 0.1


class KeypointDetectorAdapter:
    """Finds people with a detector of 2D keypoints; needs color, and depth for the distances.

    Args:
        detector: 2D network that puts out COCO-17 keypoints.
        config: what counts as a person.
    """

    def __init__(self, detector: KeypointDetector, config: DetectionConfig | None = None) -> None:
        self._detector = Closable(detector, "the detector")
        self._runtime = str(getattr(detector, "runtime", type(detector).__name__))
        self._config = config or DetectionConfig()

    @property
    def runtime(self) -> str:
        """What runs the detector, and where, if it says so."""
        return self._runtime

    def __call__(self, frame: RgbdFrame) -> Proposals:
        """All people in the frame, best first; a distance is NaN without depth under the person.

        Raises:
            EstimatorError: the frame has no color, or the detector is closed or has another joint set.
        """
        if frame.color is None:
            raise EstimatorError("the frame has no color; people are found in it. Find them in depth instead")
        return propose(frame, keypoints_in(self._detector.get(), frame), self._config)

    def twin(self) -> KeypointDetectorAdapter | None:
        """For another thread; ``None`` where the 2D network does not allow it."""
        detector = twin_of(self._detector.get())
        return None if detector is None else KeypointDetectorAdapter(detector, self._config)

    def reset(self) -> None:
        """There is no state."""

    def close(self) -> None:
        """Let the network go."""
        self._detector.close()


class DepthBoxedKeypoints:
    """A top-down 2D network that looks where people were detected in depth, so it needs frames with both images.

    Args:
        keypoints: the 2D network.
        people: detects people in depth.
    """

    def __init__(self, keypoints: OnnxKeypointDetector, people: PersonDetector) -> None:
        self._keypoints, self._people = keypoints, people

    @property
    def runtime(self) -> str:
        """What runs both, and where."""
        return f"{self._keypoints.runtime}; boxes by {self._people.runtime}"

    def __call__(self, image: NDArray[np.uint8]) -> Keypoints2D:
        """Refused: an image alone has no depth.

        Raises:
            EstimatorError: always.
        """
        raise EstimatorError("boxes of people come from depth here, and an image has none; use keypoint_boxes: movenet")

    def in_frame(self, frame: RgbdFrame) -> Keypoints2D:
        """All people in the frame, best first.

        Raises:
            EstimatorError: the frame lacks color or depth.
        """
        if frame.color is None:
            raise EstimatorError("the frame has no color, in which keypoints are looked for")
        people = self._people(frame)
        sides = people.boxes[:, 2:] - people.boxes[:, :2]
        # Proposals are boxes around joints; 2D networks are trained with boxes around all of the body.
        grown = np.concatenate([people.boxes[:, :2] - _BODY * sides, people.boxes[:, 2:] + _BODY * sides], axis=1)
        return self._keypoints.in_boxes(frame.color, grown, people.scores)


def keypoints_in(detector: KeypointDetector, frame: RgbdFrame) -> Keypoints2D:
    """All people in a frame that has color, by a 2D network; one that also wants depth gets all of the frame."""
    assert frame.color is not None
    return detector.in_frame(frame) if isinstance(detector, DepthBoxedKeypoints) else detector(frame.color)


def propose(frame: RgbdFrame, keypoints: Keypoints2D, config: DetectionConfig) -> Proposals:
    """The people of a 2D network that are worth looking at, with box and distance.

    Args:
        keypoints: all people in the frame's color image, COCO-17.

    Raises:
        EstimatorError: the keypoints are of another joint set.
    """
    if keypoints.joint_set != COCO17:
        raise EstimatorError(f"the detector puts out '{keypoints.joint_set.name}'; people are found by 'coco17'")
    width, height = frame.camera.width, frame.camera.height
    people = select_people(keypoints.on_rays(frame.camera), width, height, config)
    if len(people) == 0:
        return Proposals(people.boxes, np.zeros(0, np.float32), people.scores, people)
    seen = visible_keypoints(people, width, height, config)
    return Proposals(keypoint_boxes(people.pixels, seen), _distances(frame, people, seen), people.scores, people)


def keypoint_boxes(pixels: NDArray[np.float32], seen: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(N, J, 2) pixels, at least one of each person seen -> (N, 4) boxes around those that are."""
    low = np.where(seen[..., None], pixels, np.inf).min(axis=1)
    high = np.where(seen[..., None], pixels, -np.inf).max(axis=1)
    return np.concatenate([low, high], axis=1).astype(np.float32)


def _distances(frame: RgbdFrame, people: Keypoints2D, seen: NDArray[np.bool_]) -> NDArray[np.float32]:
    if frame.depth is None:
        return np.full(len(people), np.nan, np.float32)
    pixels, _, _ = body.body_pixels(people.pixels, people.confidences, seen)
    return reference_depths(frame.depth, pixels[:, [*body.SHOULDERS, *body.HIPS]], pixels).astype(np.float32)
