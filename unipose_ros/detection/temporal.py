"""Where people are: a detector's proposals, and between its runs those of the last frame."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project
from unipose_ros.compiled import compiled, compiled_part
from unipose_ros.config import DetectionConfig
from unipose_ros.detection import DepthOf, PersonDetector, Proposals
from unipose_ros.detection.selection import select_median
from unipose_ros.errors import twin_of
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.geometry.crop import square_boxes
from unipose_ros.geometry.medians import nan_median
from unipose_ros.geometry.nms import box_iou
from unipose_ros.joint_sets import JointSet

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
        self._last_moved: tuple[int, Proposals] | None = None

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
        # NaN compares false: without a depth no person is matched.
        near = np.abs(found.distances[:, None] - last.distances) < _NEAR
        partners = _same_boxes(*_plain(found.boxes, last.boxes), near, _SHARED)
        known = partners >= 0
        before = partners[known]
        boxes[known], distances[known], joints[known] = last.boxes[before], last.distances[before], last.joints[before]
        return replace(found, boxes=boxes, distances=distances, joints=joints), known

    def update(self, frame: RgbdFrame, people: Skeletons) -> None:
        """Keep who was found in a frame, and where."""
        self._age += 1
        passed = 1e-9 * (frame.stamp_ns - self._stamp_ns) if self._is_recent(frame, _STALE_NS) else np.nan
        self._velocities = _velocities(self._people, people, passed)
        self._people = people
        self._stamp_ns = frame.stamp_ns
        self._camera = frame.camera
        self._last_moved = None

    def _moved(self, frame: RgbdFrame) -> Proposals:
        """Those of the last frame where they are by now, in boxes around their joints."""
        if self._last_moved is None or self._last_moved[0] != frame.stamp_ns:
            way = (1e-9 * (frame.stamp_ns - self._stamp_ns) * self._velocities).clip(-_MOST_MOVED, _MOST_MOVED)
            people = self._people
            boxes = _boxes_around(frame.camera, people.joint_set, people.positions + way, people.scores)
            self._last_moved = frame.stamp_ns, boxes
        return self._last_moved[1]

    def _is_recent(self, frame: RgbdFrame, most_ns: int) -> bool:
        # Boxes are pixels of the camera that they were seen by.
        return 0 < frame.stamp_ns - self._stamp_ns < most_ns and frame.camera == self._camera

    def reset(self) -> None:
        """Forget all people."""
        self._people, self._last_moved = Skeletons.empty(0, "", ""), None
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
    if not (np.isfinite(seconds) and len(before) and len(now) and before.joint_set == now.joint_set):
        return np.zeros_like(now.positions)
    return _motion(*_plain(before.positions, now.positions), seconds)


def _overlooked(found: Proposals, last: Proposals) -> NDArray[np.bool_]:
    """(N,) people of the last frame whom no proposal stands for.

    A proposal stands for one of them: of two who overlap, the one behind is easily overlooked.
    """
    return np.asarray(_same_boxes(*_plain(last.boxes, found.boxes), last.overlaps(found), 0.0) < 0)


def _plain(first: NDArray[Any], second: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Without gaps, as the loops need them."""
    return np.ascontiguousarray(first), np.ascontiguousarray(second)


def _pairs_by_numpy(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    left, partners = scores.copy(), np.full(len(scores), -1)
    for _ in range(min(left.shape)):
        row, column = np.unravel_index(left.argmax(), left.shape)
        if not left[row, column] > 0:
            break
        partners[row] = column
        left[row], left[:, column] = 0, 0
    return partners


@compiled_part()
def _pairs(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """(N, M) -> (N,) column of each row, of positive scores, best first, each row and each column once; -1 without."""
    partners, taken = np.full(len(scores), -1), np.zeros(scores.shape[1], np.bool_)
    while True:
        best, row = np.float32(0), -1
        column = -1
        for one in range(len(scores)):
            for other in range(scores.shape[1]):
                if partners[one] < 0 and not taken[other] and scores[one, other] > best:
                    best, row, column = scores[one, other], one, other
        if row < 0:
            return partners
        partners[row], taken[column] = column, True


def _same_boxes_by_numpy(
    boxes: NDArray[np.float32], others: NDArray[np.float32], possible: NDArray[np.bool_], least: float
) -> NDArray[np.int64]:
    shared = box_iou(boxes, others)
    return _pairs_by_numpy(np.where(possible & (shared > np.float32(least)), shared, np.float32(0)))


@compiled(_same_boxes_by_numpy, "i8[::1](f4[:,::1],f4[:,::1],b1[:,::1],f8)")
def _same_boxes(
    boxes: NDArray[np.float32], others: NDArray[np.float32], possible: NDArray[np.bool_], least: float
) -> NDArray[np.int64]:
    """Which other box each is, by how much of their union is shared; each is at most one.

    Args:
        boxes, others: (N, 4) and (M, 4).
        possible: (N, M) those that may be one.
        least: they share more than this.

    Returns:
        (N,) numbers of others, -1 for none.
    """
    scores, none = np.zeros(possible.shape, np.float32), np.float32(0)
    for one in range(len(boxes)):
        left, top, right, bottom = boxes[one]
        for other in range(len(others)):
            if not possible[one, other]:
                continue
            begin, high, end, low = others[other]
            wide, tall = max(min(right, end) - max(left, begin), none), max(min(bottom, low) - max(top, high), none)
            own = max(right - left, none) * max(bottom - top, none)
            union = own + max(end - begin, none) * max(low - high, none) - wide * tall
            share = wide * tall / max(union, np.float32(1e-9))
            if share > np.float32(least) and not np.isnan(union):
                scores[one, other] = share
    return _pairs(scores)


def _motion_by_numpy(before: NDArray[np.float32], now: NDArray[np.float32], seconds: float) -> NDArray[np.float32]:
    found = np.zeros_like(now)
    apart = nan_median(np.linalg.norm(now[:, None] - before, axis=-1))
    for new, old in enumerate(_pairs_by_numpy(np.nan_to_num(np.maximum(np.float32(_SAME) - apart, 0)))):
        if old >= 0:
            step = now[new] - before[old]
            body = nan_median(step.T)
            # A joint that is missing moves as the body does.
            moved = (body + np.where(np.isfinite(step), step, body)) / np.float32(2 * seconds)
            found[new] = np.nan_to_num(moved)
    return found


@compiled_part()
def _nan_median(values: NDArray[np.float32]) -> float:
    """Median of (K,) values that are not NaN; NaN without any."""
    known, count = np.empty(len(values), np.float32), 0
    for value in values:
        if not np.isnan(value):
            known[count] = value
            count += 1
    if count == 0:
        return np.float32(np.nan)  # type: ignore[return-value]
    return select_median(known[:count])


@compiled(_motion_by_numpy, "f4[:,:,::1](f4[:,:,::1],f4[:,:,::1],f8)")
def _motion(before: NDArray[np.float32], now: NDArray[np.float32], seconds: float) -> NDArray[np.float32]:
    """(M, J, 3) and (N, J, 3) positions, and seconds from the one to the other -> (N, J, 3) velocities."""
    joints, none = now.shape[1], np.float32(0)
    scores, apart = np.zeros((len(now), len(before)), np.float32), np.empty(joints, np.float32)
    for new in range(len(now)):
        for old in range(len(before)):
            for joint in range(joints):
                x, y, z = now[new, joint] - before[old, joint]
                apart[joint] = np.sqrt(x * x + y * y + z * z)
            near = np.float32(_SAME) - np.float32(_nan_median(apart))
            scores[new, old] = near if near > none else none  # 0 for NaN
    partners, found = _pairs(scores), np.zeros(now.shape, np.float32)
    for new in range(len(now)):
        if partners[new] < 0:
            continue
        step = now[new] - before[partners[new]]
        for axis in range(3):
            body = np.float32(_nan_median(step[:, axis]))
            for joint in range(joints):
                own = step[joint, axis] if np.isfinite(step[joint, axis]) else body
                # A joint that is missing moves as the body does.
                velocity = (body + own) / np.float32(2 * seconds)
                found[new, joint, axis] = none if np.isnan(velocity) else velocity
    return found


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
    return _boxes_around(camera, people.joint_set, people.positions, people.scores, grown)


def _boxes_around(
    camera: Camera, joint_set: JointSet, positions: NDArray[np.float32], scores: NDArray[np.float32], grown: float = 0.0
) -> Proposals:
    if not len(positions):
        return _empty()
    boxes, depths = _extents(*_plain(project(camera, positions), positions), _trunk(joint_set), grown)
    return Proposals(boxes, depths, scores, depth_of=DepthOf.JOINTS, joints=positions)


@cache
def _trunk(joints: JointSet) -> NDArray[np.int64]:
    """Shoulders and hips; all joints where there are none."""
    trunk = [i for i, place in enumerate(joints.landmarks) if place.endswith(("_shoulder", "_hip"))]
    return np.array(trunk or range(len(joints)), np.int64)


def _extents_by_numpy(
    pixels: NDArray[np.float64], positions: NDArray[np.float32], trunk: NDArray[np.int64], grown: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    low = np.where(np.isfinite(pixels), pixels, np.inf).min(axis=1)
    high = np.where(np.isfinite(pixels), pixels, -np.inf).max(axis=1)
    margin = grown * (high - low)
    depths = nan_median(positions[:, trunk, 2])
    return np.concatenate([low - margin, high + margin], axis=1).astype(np.float32), depths


@compiled(_extents_by_numpy, "Tuple((f4[:,::1],f4[::1]))(f8[:,:,::1],f4[:,:,::1],i8[::1],f8)")
def _extents(
    pixels: NDArray[np.float64], positions: NDArray[np.float32], trunk: NDArray[np.int64], grown: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(N, J, 2) pixels and (N, J, 3) joints -> (N, 4) boxes around them, and (N,) depths of the trunk's."""
    boxes, depths = np.empty((len(pixels), 4), np.float32), np.empty(len(pixels), np.float32)
    for person in range(len(pixels)):
        for axis in range(2):
            low, high = np.inf, -np.inf
            for joint in range(pixels.shape[1]):
                if np.isfinite(pixels[person, joint, axis]):
                    low, high = min(low, pixels[person, joint, axis]), max(high, pixels[person, joint, axis])
            margin = grown * (high - low)
            boxes[person, axis], boxes[person, 2 + axis] = low - margin, high + margin
        depths[person] = _nan_median(positions[person, :, 2][trunk])
    return boxes, depths
