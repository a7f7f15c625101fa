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
#: So long a box around joints of the last frame is better than a detector's of this one, in nanoseconds: at 15 frames
#: a second of people who walk, but not at 7.5.
FRESH_NS = 80_000_000
#: People move on as they did between the last two frames: half as their bodies, half as their joints, and each joint
#: by at most so many meters. Who is farther apart than this is another person.
_MOST_MOVED, _SAME = 0.25, 0.5


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
        self._people = Skeletons.empty(0, "", "")
        self._velocities = np.zeros((0, 0, 3), np.float32)
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
        if self._age >= self._config.detection_interval or not len(self._people):
            return None
        return self._moved(frame) if self._is_recent(frame, FRESH_NS) else None

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
        elif len(self._people) and self._is_recent(frame, _STALE_NS):
            last = self._moved(frame)
            found = found.joined(last.select(_overlooked(found, last)))
        return found.select(np.argsort(-found.scores, kind="stable")[: self._config.max_people])

    def match_previous(self, frame: RgbdFrame, found: Proposals) -> tuple[Proposals, NDArray[np.bool_]]:
        """Those who were there a moment ago, in boxes around their joints and with these, and (N,) who they are.

        The joints are where they must have moved to since. A box around them is better than a detector's; each is
        matched once, to the proposal that shares most of the box.
        """
        known = np.zeros(len(found), np.bool_)
        if not (len(found) and len(self._people) and self._is_recent(frame, FRESH_NS)):
            return found, known
        last = self._moved(frame)
        assert last.joints is not None
        boxes, distances = found.boxes.copy(), found.distances.copy()
        joints = np.full((len(found), *last.joints.shape[1:]), np.nan, np.float32)
        shared = box_iou(found.boxes, last.boxes)
        # NaN compares false: without a depth no person is matched.
        near = np.abs(found.distances[:, None] - last.distances) < _NEAR
        shared = np.where(near & (shared > _SHARED), shared, 0)
        for person, before in _best_pairs(shared):
            known[person] = True
            boxes[person], distances[person] = last.boxes[before], last.distances[before]
            joints[person] = last.joints[before]
        return replace(found, boxes=boxes, distances=distances, joints=joints), known

    def update(self, frame: RgbdFrame, people: Skeletons) -> None:
        """Keep who was found in a frame, and where."""
        self._age += 1
        passed = 1e-9 * (frame.stamp_ns - self._stamp_ns) if self._is_recent(frame, _STALE_NS) else np.nan
        self._velocities = _velocities(self._people, people, passed)
        self._people = people
        self._stamp_ns = frame.stamp_ns
        self._camera = frame.camera

    def _moved(self, frame: RgbdFrame) -> Proposals:
        """Those of the last frame where they are by now, in boxes around their joints."""
        way = (1e-9 * (frame.stamp_ns - self._stamp_ns) * self._velocities).clip(-_MOST_MOVED, _MOST_MOVED)
        return boxes_around_joints(frame.camera, replace(self._people, positions=self._people.positions + way))

    def _is_recent(self, frame: RgbdFrame, most_ns: int) -> bool:
        # Boxes are pixels of the camera that they were seen by.
        return 0 < frame.stamp_ns - self._stamp_ns < most_ns and frame.camera == self._camera

    def reset(self) -> None:
        """Forget all people."""
        self._people = Skeletons.empty(0, "", "")
        self._detector.reset()

    def close(self) -> None:
        """Free the detector's network."""
        self._people = Skeletons.empty(0, "", "")
        self._detector.close()


def _velocities(before: Skeletons, now: Skeletons, seconds: float) -> NDArray[np.float32]:
    """(N, J, 3) meters per second of the people now, the mean of their bodies' and their joints'; 0 for who is new.

    Args:
        seconds: from the one to the other; NaN where that is too long, or not known.
    """
    found = np.zeros_like(now.positions)
    if np.isfinite(seconds) and len(before) and len(now) and before.joint_set == now.joint_set:
        apart = nan_median(np.linalg.norm(now.positions[:, None] - before.positions, axis=-1))
        for new, old in _best_pairs(np.nan_to_num(np.maximum(_SAME - apart, 0))):
            step = now.positions[new] - before.positions[old]
            body = nan_median(step.T)
            # A joint that is missing moves as the body does.
            found[new] = np.nan_to_num((body + np.where(np.isfinite(step), step, body)) / (2 * seconds))
    return found


def _overlooked(found: Proposals, last: Proposals) -> NDArray[np.bool_]:
    """(N,) people of the last frame whom no proposal stands for.

    A proposal stands for one of them: of two who overlap, the one behind is easily overlooked.
    """
    overlooked = np.ones(len(last), np.bool_)
    same = np.where(found.overlaps(last), box_iou(found.boxes, last.boxes), 0)
    for _, person in _best_pairs(same):
        overlooked[person] = False
    return overlooked


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
