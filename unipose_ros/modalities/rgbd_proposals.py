"""Person detection by color, and by depth alone: proposals of modality ``rgbd``."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import unproject
from unipose_ros.config import DetectionConfig, RgbdConfig
from unipose_ros.detection import PersonDetector, Proposals, visible_keypoints
from unipose_ros.detection.color_support import KeypointFlow, WindowDetector
from unipose_ros.detection.hybrid import BackgroundTask
from unipose_ros.detection.keypoints import propose
from unipose_ros.detection.temporal import FRESH_NS, boxes_around_joints, is_usable
from unipose_ros.errors import twin_of
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.geometry import body_model as body
from unipose_ros.geometry.surfaces import depth_at
from unipose_ros.joint_sets import COCO17, ITOP15
from unipose_ros.keypoints import KeypointDetector, Keypoints2D
from unipose_ros.lifting.localization import BODY_POSITIONS

FloatArray = NDArray[np.float64]

#: People are searched for in depth once in so many nanoseconds: a person once found is tracked from then on.
_SEARCH_NS = 100_000_000
#: With people known the 2D network looks at the whole image once in so many nanoseconds, and beside live frames for
#: at most this fraction of the time.
_WHOLE_NS, _SHARE = 300_000_000, 0.1
#: After this long without a frame no person is where they were, in nanoseconds.
_STALE_NS = 300_000_000
#: A box around joints is grown by this fraction of its sides: people move until the next frame.
_MOVED = 0.05
#: Depth under a keypoint is the person's own when it is within this many meters of the trunk's.
_REACH = 0.7
#: Two people's keypoints within so many meters of each other in the image are one place, and what is seen there is the
#: person's whose trunk is nearer to it in depth by at least this many meters.
_SHARED, _CLEARLY = 0.05, 0.1


class Watch:
    """Looks for people in color, and in depth for those whom color overlooks.

    Args:
        detector: 2D network of COCO-17 keypoints.
        person_detector: of people in depth.
        config: what counts as a person.
        color: how the 2D network is used.
        live: it looks at whole images beside the frames.
    """

    def __init__(
        self,
        detector: KeypointDetector,
        person_detector: PersonDetector,
        config: DetectionConfig,
        color: RgbdConfig,
        live: bool = False,
    ) -> None:
        self.detector = detector
        self._flow = KeypointFlow(detector, color.every)
        each = detector if color.every == 1 and isinstance(detector, WindowDetector) else None
        self._windows = each if color.windows else None
        self._enlarging, self._most_enlarged = (each if color.enlarged else None), color.enlarged
        self._beside: BackgroundTask[Keypoints2D] | None = None
        if self._windows is not None and live:
            self._beside = BackgroundTask("unipose_color", _SHARE)
        self._detector = person_detector
        self._config = config
        self._known = self._new = Proposals.empty()
        self._stamp_ns, self._searched_ns, self._whole_ns = 0, 0, 0
        #: All people whom the 2D network detected in the last frame, however unsure.
        self.raw = Keypoints2D.empty()

    @property
    def runtime(self) -> str:
        """What runs both, and where."""
        return f"{self._flow.runtime}, and {self._detector.runtime}"

    def twins(self) -> tuple[KeypointDetector, PersonDetector] | None:
        """Both detectors for another thread; ``None`` where one of them does not allow it."""
        by_color, by_depth = twin_of(self.detector), twin_of(self._detector)
        return None if by_color is None or by_depth is None else (by_color, by_depth)

    def color(self, frame: RgbdFrame) -> Proposals:
        """People by the 2D network, best first, with keypoints, at the distances of their trunks' joints.

        Raises:
            EstimatorError: the detector has another joint set than COCO-17.
        """
        assert frame.color is not None
        if not 0 < frame.stamp_ns - self._stamp_ns < _STALE_NS:
            self._flow.reset()
            self._known = Proposals.empty()
        self._new = self._searched(frame)
        self.raw = self._keypoints(frame, frame.color)
        if self._enlarging is not None:
            self.raw = self._enlarging.enlarged(frame.color, self.raw, self._most_enlarged)
        found = propose(frame, self.raw, self._config).at_joints()
        found = found.select(found.scores >= self._config.min_score)
        found = found.select(np.argsort(-found.scores, kind="stable")[: self._config.max_people])
        return without_borrowed_keypoints(frame, found)

    def _searched(self, frame: RgbdFrame) -> Proposals:
        """People whom depth shows, where it is time to look."""
        if 0 < frame.stamp_ns - self._searched_ns < _SEARCH_NS:
            return Proposals.empty()
        self._searched_ns = frame.stamp_ns
        return replace(self._detector(frame).at_joints(), keypoints=None)

    def _keypoints(self, frame: RgbdFrame, image: NDArray[np.uint8]) -> Keypoints2D:
        """All people by the 2D network: around those who are known or whom depth shows, now and then everywhere.

        Live frames do not wait for the look everywhere: around whom it finds, the next frame is looked at.
        """
        elsewhere = np.zeros((0, 4), np.float32)
        due = not 0 < frame.stamp_ns - self._whole_ns < _WHOLE_NS
        if self._windows is not None and self._beside is not None and len(self._known):
            windows = self._windows
            if due and self._beside.offer(frame, lambda: windows.glance(image)):
                self._whole_ns = frame.stamp_ns
            found = self._beside.take(frame)
            if found is not None:
                elsewhere = found.boxes[found.scores >= self._config.min_score]
        elif due or self._windows is None or not len(self._known):
            self._whole_ns = frame.stamp_ns
            return self._flow(image)
        return self._windows.within(image, np.concatenate([self._known.boxes, self._new.boxes, elsewhere]))

    def depth(self, frame: RgbdFrame, seen: Proposals) -> tuple[Proposals, NDArray[np.bool_]]:
        """People whom color does not show, best first, without keypoints.

        They were there a moment ago, found in color or depth, or they are found in depth now. Where someone was earlier
        than that they are no more: looked for there, they would be found a second time, at a wrong place.

        Args:
            seen: those whom color shows.

        Returns:
            The people, and (N,) whose box is a rough one, found now, and not one around joints.
        """
        known = self._known if frame.stamp_ns - self._stamp_ns < FRESH_NS else Proposals.empty()
        known = known.select(~known.overlaps_any(seen)) if len(known) else known
        new = self._new.select(~self._new.overlaps_any(seen) & ~self._new.overlaps_any(known))
        people = known.joined(new)
        rough = np.arange(len(people)) >= len(known)
        fit = is_usable(people, frame.camera, with_distance=True)
        return people.select(fit), rough[fit]

    def remember(self, frame: RgbdFrame, people: Skeletons) -> None:
        """Take note of who was found in a frame, and where."""
        self._stamp_ns = frame.stamp_ns
        self._known = boxes_around_joints(frame.camera, people, _MOVED)

    def warm_up(self, frame: RgbdFrame) -> None:
        """Run all networks."""
        self.depth(frame, self.color(frame))
        if self._windows is not None:
            self._windows.warm_up(frame.camera.width, frame.camera.height)
        self.reset()

    def reset(self) -> None:
        """Forget earlier frames."""
        self._known = self._new = Proposals.empty()
        self._stamp_ns, self._searched_ns, self._whole_ns = 0, 0, 0
        self._flow.reset()
        if self._beside is not None:
            self._beside.reset()
        self._detector.reset()

    def close(self) -> None:
        """Free the person detector's network."""
        self._known = self._new = Proposals.empty()
        if self._beside is not None:
            self._beside.close()
        self._detector.close()


def without_borrowed_keypoints(frame: RgbdFrame, people: Proposals) -> Proposals:
    """People none of whom has a keypoint in the place of another person's same keypoint.

    A bottom-up 2D network snaps keypoints to the peaks of its heat maps, also to those of a neighbor's limbs. What
    depth shows there belongs to one of the two: the other one's keypoint, or both where it cannot be told, loses its
    confidence.

    Args:
        people: with keypoints, and the distances of their trunks' joints.
    """
    assert frame.depth is not None
    keypoints, distances = people.keypoints, people.distances.astype(np.float64)
    if keypoints is None or len(people) < 2:
        return people
    radii = _SHARED * frame.camera.fx / np.maximum(np.nan_to_num(distances, nan=1.0), 0.2)
    apart = np.linalg.norm(keypoints.pixels[:, None] - keypoints.pixels[None], axis=-1)
    first, second, which = np.nonzero(apart < np.minimum(radii[:, None], radii[None])[..., None])  # NaN compares false
    pair = first < second
    first, second, which = first[pair], second[pair], which[pair]
    surface = depth_at(frame.depth, keypoints.pixels[first, which]).astype(np.float64)
    nearer = np.abs(surface - distances[second]) - np.abs(surface - distances[first])
    lost = np.zeros(keypoints.confidences.shape, np.bool_)
    lost[first, which] |= ~(nearer > _CLEARLY)  # NaN says nothing of whose it is
    lost[second, which] |= ~(nearer < -_CLEARLY)
    confidences = np.where(lost, np.float32(0), keypoints.confidences)
    return replace(people, keypoints=replace(keypoints, confidences=confidences))


def together(seen: Proposals, unseen: Proposals) -> Proposals:
    """People with keypoints, then people without, whose keypoints are NaN with confidence 0."""
    count = len(unseen)
    empty = Keypoints2D(
        np.full((count, len(COCO17), 2), np.nan, np.float32),
        np.zeros((count, len(COCO17)), np.float32),
        unseen.scores,
        unseen.boxes,
    )
    known = seen.keypoints or Keypoints2D.empty()
    keypoints = Keypoints2D(
        np.concatenate([known.pixels, empty.pixels]),
        np.concatenate([known.confidences, empty.confidences]),
        np.concatenate([known.scores, empty.scores]),
        np.concatenate([known.boxes, empty.boxes]),
    )
    return replace(seen.joined(unseen), keypoints=keypoints)


def rough_joints(frame: RgbdFrame, people: Proposals, config: DetectionConfig) -> FloatArray:
    """(N, 15, 3) meters: keypoints at the depth under them where that may be the person's own, else NaN.

    Args:
        people: with keypoints.
    """
    assert frame.depth is not None
    assert people.keypoints is not None
    keypoints, camera = people.keypoints, frame.camera
    seen = visible_keypoints(keypoints, camera.width, camera.height, config)
    pixels, _, there = body.body_pixels(keypoints.pixels, keypoints.confidences, seen)
    surface = depth_at(frame.depth, pixels)
    depths = surface + body.SURFACE_OFFSETS
    distances = people.distances[:, None].astype(np.float64)
    # Where something else is seen at the keypoint, the trunk's distance is the best guess.
    depths = np.where(np.abs(depths - distances) < _REACH, depths, distances)
    joints = np.full((len(people), len(ITOP15), 3), np.nan)
    safe = np.where(there[..., None], pixels, 0.0)
    joints[:, BODY_POSITIONS] = np.where(there[..., None], unproject(camera, safe, depths), np.nan)
    return joints
