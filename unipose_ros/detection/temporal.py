"""Where people are: a detector's proposals, and between its runs those of the last frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project
from unipose_ros.config import DetectionConfig
from unipose_ros.detection import DepthOf, PersonDetector, Proposals
from unipose_ros.errors import twin_of
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.geometry.crop import square_boxes
from unipose_ros.geometry.medians import nan_median
from unipose_ros.geometry.nms import box_iou

#: After this long without a frame no person is where they were, in nanoseconds.
_STALE_NS = 300_000_000
#: A proposal is a person of the last frame when it shares this part of the boxes' union, at a depth so many
#: meters from theirs.
_SHARED, _NEAR = 0.5, 0.3
#: A box around joints is grown by this part of its sides: people move until the next frame.
_MOVED = 0.05


class ProposalCache:
    """Runs a detector in every so many frames, and keeps where people were found last.

    All proposals it gives have the depths of joints.

    Args:
        detector: of people.
        config: how often it runs, and what counts as a person.
    """

    def __init__(self, detector: PersonDetector, config: DetectionConfig) -> None:
        self._detector = detector
        self._config = config
        self._last = _empty()
        self._age = 0
        self._stamp_ns = 0
        self._camera: Camera | None = None

    @property
    def runtime(self) -> str:
        """What runs the detector, and where."""
        return self._detector.runtime

    def twin(self) -> ProposalCache | None:
        """For another thread, without people; ``None`` where the detector does not allow it."""
        detector = twin_of(self._detector)
        return None if detector is None else ProposalCache(detector, self._config)

    def cached(self, frame: RgbdFrame) -> Proposals | None:
        """Where people were last; ``None`` when it is time to detect them."""
        if not len(self._last) or not self._is_recent(frame) or self._age >= self._config.detection_interval:
            return None
        return self._last

    def detect(self, frame: RgbdFrame) -> Proposals:
        """Run the detector; those that count as people, best first, and no more than are to be processed.

        A person of the last frame who is overlooked by a detector without keypoints is looked for where
        they were.

        Raises:
            EstimatorError: the frame lacks an image that the detector needs.
        """
        self._age = 0
        found = self._detector(frame).at_joints()
        if found.keypoints is not None:
            found = found.select(found.scores >= self._config.min_score)
        elif self._is_recent(frame):
            found = found.joined(self._last.select(self._overlooked(found)))
        return found.select(np.argsort(-found.scores, kind="stable")[: self._config.max_people])

    def match_previous(self, frame: RgbdFrame, found: Proposals) -> tuple[Proposals, NDArray[np.bool_]]:
        """Those who were there in the last frame in the boxes and with the joints that they had, and (N,) who they are.

        A box around a person's joints is better than a detector's; each of them is matched once, to the
        proposal that shares most of the box.
        """
        known = np.zeros(len(found), np.bool_)
        if not (len(found) and len(self._last) and self._is_recent(frame)):
            return found, known
        boxes, distances = found.boxes.copy(), found.distances.copy()
        joints = np.full((len(found), *self._joints.shape[1:]), np.nan, np.float32)
        shared = box_iou(found.boxes, self._last.boxes)
        # NaN compares false: without a depth no person is matched.
        near = np.abs(found.distances[:, None] - self._last.distances) < _NEAR
        shared = np.where(near & (shared > _SHARED), shared, 0)
        for person, last in _best_pairs(shared):
            known[person] = True
            boxes[person], distances[person] = self._last.boxes[last], self._last.distances[last]
            joints[person] = self._joints[last]
        return replace(found, boxes=boxes, distances=distances, joints=joints), known

    def update(self, frame: RgbdFrame, people: Skeletons) -> None:
        """Keep who was found in a frame, and where."""
        self._age += 1
        self._stamp_ns = frame.stamp_ns
        self._camera = frame.camera
        self._last = boxes_around_joints(frame.camera, people, _MOVED)

    def _overlooked(self, found: Proposals) -> NDArray[np.bool_]:
        """(N,) people of the last frame whom no proposal stands for.

        A proposal stands for one of them: of two who overlap, the one behind is easily overlooked.
        """
        overlooked = np.ones(len(self._last), np.bool_)
        same = np.where(found.overlaps(self._last), box_iou(found.boxes, self._last.boxes), 0)
        for _, last in _best_pairs(same):
            overlooked[last] = False
        return overlooked

    @property
    def _joints(self) -> NDArray[np.float32]:
        """(N, J, 3) of those who were there in the last frame."""
        return np.zeros((0, 0, 3), np.float32) if self._last.joints is None else self._last.joints

    def _is_recent(self, frame: RgbdFrame) -> bool:
        # Boxes are pixels of the camera that they were seen by.
        return 0 < frame.stamp_ns - self._stamp_ns < _STALE_NS and frame.camera == self._camera

    def reset(self) -> None:
        """Forget all people."""
        self._last = _empty()
        self._detector.reset()

    def close(self) -> None:
        """Free the detector's network."""
        self._last = _empty()
        self._detector.close()


def _best_pairs(scores: NDArray[np.floating]) -> Iterator[tuple[int, int]]:
    """Rows and columns of an (N, M) array of positive scores, best first, each row and each column once."""
    left = scores.copy()
    for _ in range(min(left.shape)):
        row, column = np.unravel_index(left.argmax(), left.shape)
        if not left[row, column] > 0:
            return
        yield int(row), int(column)
        left[row], left[:, column] = 0, 0


def _empty() -> Proposals:
    return replace(Proposals.empty(), depth_of=DepthOf.JOINTS)


def is_usable(people: Proposals, camera: Camera, with_distance: bool) -> NDArray[np.bool_]:
    """(N,) people whose box has a size and lies at least partly in the image.

    Args:
        with_distance: their depth must be known, too.
    """
    low, high = people.boxes[:, :2], people.boxes[:, 2:]
    # NaN compares false.
    there = (high - low >= 1).all(axis=1) & (high > 0).all(axis=1) & np.isfinite(people.boxes).all(axis=1)
    there &= (low < [camera.width - 1, camera.height - 1]).all(axis=1)
    if with_distance:
        there &= np.isfinite(people.distances) & (people.distances > 0)
    return np.asarray(there, np.bool_)


def squares_around(camera: Camera, people: Proposals) -> Proposals:
    """Squares within the image around the boxes of people; boxes that are not usable stay as they are."""
    limits = np.array([camera.width, camera.height] * 2) - 1
    squares = np.clip(square_boxes(people.boxes), 0, limits)
    usable = is_usable(people, camera, with_distance=False)
    return replace(people, boxes=np.where(usable[:, None], squares, people.boxes).astype(np.float32))


def boxes_around_joints(camera: Camera, people: Skeletons, grown: float = 0.0) -> Proposals:
    """Boxes around joints, the depth of the trunk's, and the joints.

    Args:
        grown: part of its sides by which a box is larger on each.
    """
    if not len(people):
        return _empty()
    joints = people.joint_set
    pixels = project(camera, people.positions)
    low = np.where(np.isfinite(pixels), pixels, np.inf).min(axis=1)
    high = np.where(np.isfinite(pixels), pixels, -np.inf).max(axis=1)
    margin = grown * (high - low)
    trunk = [i for i, place in enumerate(joints.landmarks) if place.endswith(("_shoulder", "_hip"))]
    depths = nan_median(people.positions[:, trunk or slice(None), 2])
    boxes = np.concatenate([low - margin, high + margin], axis=1).astype(np.float32)
    return Proposals(boxes, depths, people.scores, depth_of=DepthOf.JOINTS, joints=people.positions)
