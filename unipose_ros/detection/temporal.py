"""Where to look: a person detector's proposals, and between its runs the places where people were last."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project
from unipose_ros.detection import DetectionConfig, PersonDetector, Proposals
from unipose_ros.detection.nms import box_iou, overlaps_any
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.geometry import body_model as body

#: After this long without a frame nobody is where they were, in nanoseconds.
_STALE_NS = 300_000_000
#: Meters from the trunk's visible surface, whose distance person detectors say, to its joints, at whose distance
#: people are cut out in training. On people seen by MoveNet it takes a twelfth off the error.
TRUNK_DEPTH = float(body.SURFACE_OFFSETS[[*body.SHOULDERS, *body.HIPS]].mean())
#: A proposal is somebody of the last frame when it shares this part of the boxes' union, at a distance so many
#: meters from theirs.
_SHARED, _NEAR = 0.5, 0.3
#: A box around joints is grown by this part of its sides: people move until the next frame.
_MOVED = 0.05


class ProposalCache:
    """Asks a person detector in every so many frames.

    Args:
        person_detector: who is there.
        config: how often to ask, and what counts as a person.
    """

    def __init__(self, person_detector: PersonDetector, config: DetectionConfig) -> None:
        self._finder = person_detector
        self._config = config
        self._known = Proposals.empty()
        self._age = 0
        self._stamp_ns = 0
        self._camera: Camera | None = None

    @property
    def runtime(self) -> str:
        """What runs the person detector, and where."""
        return self._finder.runtime

    def remembered(self, frame: RgbdFrame) -> Proposals | None:
        """The places where people were last; ``None`` when it is time to search."""
        if not len(self._known) or not self._is_recent(frame) or self._age >= self._config.detection_interval:
            return None
        return self._known

    def search(self, frame: RgbdFrame) -> Proposals:
        """Ask the person detector; those that count as people, best first, and no more than are to be looked at.

        Unlike the person detector's, the distances are those of the trunk's joints. Whoever was there in the last frame
        and is overlooked by a person detector without keypoints is looked for where they were.

        Raises:
            EstimatorError: the frame lacks an image that the person detector needs.
        """
        self._age = 0
        found = self._finder(frame)
        found = replace(found, distances=found.distances + np.float32(TRUNK_DEPTH))
        if found.keypoints is not None:
            found = found.select(found.scores >= self._config.min_score)
        elif self._is_recent(frame):
            found = found.joined(self._known.select(~overlaps_any(self._known, found)))
        return found.select(np.argsort(-found.scores, kind="stable")[: self._config.max_people])

    def recognized(self, frame: RgbdFrame, found: Proposals) -> tuple[Proposals, NDArray[np.bool_]]:
        """Those who were there in the last frame at the places where they were, and (N,) who they are.

        A box around somebody's joints is better than a person detector's; each of them is recognized once, in the
        proposal that shares most of the box.
        """
        known = np.zeros(len(found), np.bool_)
        if not (len(found) and len(self._known) and self._is_recent(frame)):
            return found, known
        boxes, distances = found.boxes.copy(), found.distances.copy()
        shared = box_iou(found.boxes, self._known.boxes)
        # NaN compares false: nobody is recognized without a distance.
        near = np.abs(found.distances[:, None] - self._known.distances) < _NEAR
        shared = np.where(near & (shared > _SHARED), shared, 0)
        for _ in range(min(shared.shape)):
            person, place = np.unravel_index(shared.argmax(), shared.shape)
            if not shared[person, place]:
                break
            known[person] = True
            boxes[person], distances[person] = self._known.boxes[place], self._known.distances[place]
            shared[person], shared[:, place] = 0, 0
        return replace(found, boxes=boxes, distances=distances), known

    def remember(self, frame: RgbdFrame, people: Skeletons) -> None:
        """Take note of who was found in a frame, and where."""
        self._age += 1
        self._stamp_ns = frame.stamp_ns
        self._camera = frame.camera
        self._known = boxes_around_joints(frame.camera, people, _MOVED)

    def _is_recent(self, frame: RgbdFrame) -> bool:
        # Boxes are pixels of the camera that they were seen by.
        return 0 < frame.stamp_ns - self._stamp_ns < _STALE_NS and frame.camera == self._camera

    def reset(self) -> None:
        """Forget everybody."""
        self._known = Proposals.empty()
        self._finder.reset()

    def close(self) -> None:
        """Free the person detector's network."""
        self._known = Proposals.empty()
        self._finder.close()


def is_usable(people: Proposals, camera: Camera, with_distance: bool) -> NDArray[np.bool_]:
    """(N,) people whose box has a size and lies at least partly in the image.

    Args:
        with_distance: their distance must be known, too.
    """
    low, high = people.boxes[:, :2], people.boxes[:, 2:]
    # NaN compares false.
    there = (high - low >= 1).all(axis=1) & (high > 0).all(axis=1) & np.isfinite(people.boxes).all(axis=1)
    there &= (low < [camera.width - 1, camera.height - 1]).all(axis=1)
    if with_distance:
        there &= np.isfinite(people.distances) & (people.distances > 0)
    return np.asarray(there, np.bool_)


def boxes_around_joints(camera: Camera, people: Skeletons, grown: float = 0.0) -> Proposals:
    """Boxes around joints, and the distance of the trunk's.

    Args:
        grown: part of its sides by which a box is larger on each.
    """
    if not len(people):
        return Proposals.empty()
    joints = people.joint_set
    pixels = project(camera, people.positions)
    low = np.where(np.isfinite(pixels), pixels, np.inf).min(axis=1)
    high = np.where(np.isfinite(pixels), pixels, -np.inf).max(axis=1)
    margin = grown * (high - low)
    trunk = [i for i, place in enumerate(joints.landmarks) if place.endswith(("_shoulder", "_hip"))]
    distances = np.nanmedian(people.positions[:, trunk or slice(None), 2], axis=1)
    boxes = np.concatenate([low - margin, high + margin], axis=1)
    return Proposals(boxes.astype(np.float32), distances.astype(np.float32), people.scores)
