"""Modality ``rgbd``: color confirms people and names their sides, depth measures them, and all of it is fused."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unipose_ros.backends import device_kind
from unipose_ros.backends.inference import LoadedNetwork
from unipose_ros.camera import prepare_rays, unproject
from unipose_ros.codecs.base import CodecContext, JointPredictions, card_temperature
from unipose_ros.codecs.instances import own_points
from unipose_ros.codecs.points import PointsCodec
from unipose_ros.config import DetectionConfig, RgbdConfig
from unipose_ros.detection import PersonDetector, Proposals, visible_keypoints
from unipose_ros.detection.color_support import KeypointFlow, color_support
from unipose_ros.detection.keypoints import propose
from unipose_ros.detection.temporal import boxes_around_joints, is_usable, squares_around
from unipose_ros.detection.verification import PoseVerifier, is_same
from unipose_ros.errors import Closable
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.geometry import body_model as body
from unipose_ros.geometry.surfaces import depth_at
from unipose_ros.joint_sets import COCO17, ITOP15
from unipose_ros.keypoints import KeypointDetector, Keypoints2D
from unipose_ros.lifting.localization import BODY_POSITIONS
from unipose_ros.modalities.base import RequiredInputs, StageClock
from unipose_ros.modalities.bodies import Bodies
from unipose_ros.modalities.convert import to_skeletons
from unipose_ros.modalities.rgbd_fusion import PointPredictions, fused_people

if TYPE_CHECKING:
    from unipose_ros.lifting import Lifter


NAME = "rgbd"
_J = len(ITOP15)
_NEEDS = RequiredInputs(color=True, depth=True)
#: The first look is through a rough box: this fraction of the probability that is asked for is enough.
_AT_FIRST = 0.2
#: The surface at so many joints must be the joint's own with that probability: otherwise depth does not show the
#: person, but what is in front or behind.
_LEAST_OWNED, _OWNED = 3, 0.5
#: Sizes of people relative to the average adult: 0.7 to 2.3 m. Beyond are images of people, or depth of what is
#: behind them.
_SIZES = (0.42, 1.36)


class Rgbd:
    """All people in a frame of color and depth.

    Args:
        trained: the point network, with keypoints painted on.
        detector: 2D network of COCO-17 keypoints.
        person_detector: of people in depth, for those whom color overlooks.
        verifier: which of those are people.
        lifter: of keypoints; ``None`` to do without.
        bodies: bone lengths of the people who are followed.
        people: what counts as a person.
        config: how color is used.

    Raises:
        WeightsError: the network's record does not fit.
    """

    notice = ""

    def __init__(
        self,
        trained: LoadedNetwork,
        detector: KeypointDetector,
        person_detector: PersonDetector,
        verifier: PoseVerifier,
        lifter: Lifter | None,
        bodies: Bodies,
        people: DetectionConfig,
        config: RgbdConfig,
    ) -> None:
        self._trained = Closable(trained, "the estimator")
        self._reader = PointsCodec(trained.record, CodecContext(people))
        self._temperature = card_temperature(trained.record)
        self._watch = Watch(detector, person_detector, people, config.every)
        self._verifier = verifier
        self._lifter = lifter
        self._people = people
        self._config = config
        self.bodies = bodies
        self.last_keypoints: Keypoints2D | None = None
        #: People who were proposed and left out.
        self.counters: Counter[str] = Counter()
        lifted = f"; {lifter.runtime}" if lifter is not None else "; no lifter"
        self.runtime = f"{trained.run.description}; people by {self._watch.runtime}{lifted}"

    def warm_up(self, frame: RgbdFrame) -> None:
        """Run the person_detectors, and the network: on CUDA with every number of people that can come."""
        self._watch.depth(frame, self._watch.color(frame))
        self._watch.reset()
        prepare_rays(frame.camera)
        trained = self._trained.get()
        most = self._people.max_people if device_kind(trained.device) == "cuda" else 1
        for people in range(1, most + 1):
            trained.run(self._reader.dummy_input(people))

    def estimate(self, frame: RgbdFrame, clock: StageClock) -> Skeletons:
        """All people in the frame, without ids; stages ``people``, ``crop``, ``network`` and ``lift``.

        Raises:
            EstimatorError: the frame lacks an image, the detector has another joint set, or the estimator is closed.
        """
        _NEEDS.check(frame, NAME)
        self._trained.get()
        with clock.stage("people"):
            seen = self._watch.color(frame)
            unseen, rough = self._watch.depth(frame, seen)
        self.last_keypoints = seen.keypoints
        measurable = is_usable(seen, frame.camera, with_distance=True)
        self._count("people without depth", int((~measurable).sum()))
        unseen = unseen.select(~rough).joined(self._closer(frame, unseen.select(rough), clock))
        people = together(seen.select(measurable), unseen)
        predictions = self._predict(frame, people, clock)
        with clock.stage("lift"):
            found, fused = fused_people(frame, predictions, self._lifter, self.bodies, self._people)
            touched = (fused.owned > _OWNED).sum(axis=1) >= _LEAST_OWNED
            self._count("people without depth", int((~touched).sum()))
            plausible = (fused.sizes > _SIZES[0]) & (fused.sizes < _SIZES[1])
            self._count("people of implausible size", int((touched & ~plausible).sum()))
            by_color = np.arange(len(people)) < int(measurable.sum())
            found = self._believed(frame, found, predictions, by_color, touched & plausible)
            self._watch.remember(frame, found)
        return found

    def _closer(self, frame: RgbdFrame, rough: Proposals, clock: StageClock) -> Proposals:
        """Those of rough boxes who may be people, in boxes around the joints of a first pass over squares."""
        if not len(rough):
            return rough
        rough = squares_around(frame.camera, rough)
        predictions = self._predict(frame, together(Proposals.empty(), rough), clock)
        with clock.stage("lift"):
            likely = self._likely(frame, predictions)
            found, _ = fused_people(frame, predictions, None, self.bodies, self._people)
            kept = np.flatnonzero(likely >= _AT_FIRST * self._people.min_person_probability)
            closer = boxes_around_joints(frame.camera, found.select(kept))
        return closer.select(is_usable(closer, frame.camera, with_distance=True))

    def _predict(self, frame: RgbdFrame, people: Proposals, clock: StageClock) -> PointPredictions:
        """What the network predicts of all people of whom there are points enough."""
        shape = (len(people), _J)
        joints, scales, covariances = np.full((*shape, 3), np.nan), np.full(shape, np.nan), np.full((*shape, 6), np.nan)
        with clock.stage("crop"):
            own = own_points(rough_joints(frame, people, self._people)) if len(people) > 1 else [None] * len(people)
            cut = [self._reader.encode(frame, people, person, own[person]) for person in range(len(people))]
        chosen = [person for person, sample in enumerate(cut) if sample is not None]
        if chosen:
            samples = [sample for sample in cut if sample is not None]
            with clock.stage("network"):
                outputs = self._trained.get().run(self._reader.collate(samples))
            predictions = self._reader.decode(samples, outputs)
            joints[chosen], scales[chosen] = predictions.positions, self._temperature * predictions.scales
            covariances[chosen] = self._temperature**2 * predictions.covariances
        return PointPredictions(people, joints, scales, covariances)

    def _believed(
        self,
        frame: RgbdFrame,
        found: Skeletons,
        predictions: PointPredictions,
        seen: NDArray[np.bool_],
        touched: NDArray[np.bool_],
    ) -> Skeletons:
        """Those whom color shows, and of the others those who are likely people and whom color supports.

        Args:
            seen: (N,) whom color shows.
            touched: (N,) whom depth readings of a person's size belong to.
        """
        likely = self._likely(frame, predictions)
        kept = seen & touched
        others = np.flatnonzero(~seen & touched)
        if len(others):
            support = color_support(
                self._watch.detector, self._watch.raw, frame.camera, found.positions[others].astype(np.float64)
            )
            good = (likely[others] >= self._people.min_person_probability) & (support >= self._config.min_support)
            kept[others] = good
            self._count("rejected_low_probability", int((~good).sum()))
        scores = np.where(seen, 1 - (1 - found.scores) * (1 - likely), likely).astype(np.float32)
        found = replace(found, scores=scores)
        order = np.flatnonzero(kept)
        order = order[np.argsort(-scores[order], kind="stable")]
        chosen = [int(person) for person in order]
        distinct: list[int] = []
        for person in chosen:
            if not any(is_same(found, person, other) for other in distinct):
                distinct.append(person)
        self._count("people twice", len(chosen) - len(distinct))
        return found.select(np.array(distinct, np.intp))

    def _likely(self, frame: RgbdFrame, predictions: PointPredictions) -> NDArray[np.float32]:
        """(N,) how likely each is a person by depth and the network; 0 for whom the network could not look at."""
        there = np.asarray(np.isfinite(predictions.joints).all(axis=(1, 2)), np.bool_)
        likely = np.zeros(len(there), np.float32)
        if there.any():
            people = predictions.people.select(there)
            joints = JointPredictions(
                *(
                    part[there].astype(np.float32)
                    for part in (predictions.joints, predictions.scales, predictions.covariances)
                )
            )
            likely[there] = self._verifier.likely(
                frame, to_skeletons(frame, people, joints, ITOP15, NAME, self._people)
            )
        return likely

    def follow(self, people: Skeletons) -> None:
        """Hear from the tracker who is who in the last frame, to learn and use bone lengths."""
        self.bodies.follow(people)

    def reset(self) -> None:
        """Forget earlier frames, and all people's bones."""
        self._watch.reset()
        self.bodies.reset()

    def close(self) -> None:
        """Let the networks go."""
        self._trained.close()
        self._watch.close()

    def _count(self, reason: str, number: int) -> None:
        if number:
            self.counters[reason] += number


# Person detection by color, and by depth alone: proposals of modality ``rgbd``.

FloatArray = NDArray[np.float64]

#: People are searched for in depth once in so many nanoseconds: a person once found is tracked from then on.
_SEARCH_NS = 100_000_000
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
        every: the 2D network runs in every so many frames.
    """

    def __init__(
        self, detector: KeypointDetector, person_detector: PersonDetector, config: DetectionConfig, every: int
    ) -> None:
        self.detector = detector
        self._flow = KeypointFlow(detector, every)
        self._detector = person_detector
        self._config = config
        self._known = Proposals.empty()
        self._stamp_ns, self._searched_ns = 0, 0
        #: All people whom the 2D network detected in the last frame, however unsure.
        self.raw = Keypoints2D.empty()

    @property
    def runtime(self) -> str:
        """What runs both, and where."""
        return f"{self._flow.runtime}, and {self._detector.runtime}"

    def color(self, frame: RgbdFrame) -> Proposals:
        """People by the 2D network, best first, with keypoints, at the distances of their trunks' joints.

        Raises:
            EstimatorError: the detector has another joint set than COCO-17.
        """
        assert frame.color is not None
        if not 0 < frame.stamp_ns - self._stamp_ns < _STALE_NS:
            self._flow.reset()
            self._known = Proposals.empty()
        self.raw = self._flow(frame.color)
        found = propose(frame, self.raw, self._config).at_joints()
        found = found.select(found.scores >= self._config.min_score)
        found = found.select(np.argsort(-found.scores, kind="stable")[: self._config.max_people])
        return without_borrowed_keypoints(frame, found)

    def depth(self, frame: RgbdFrame, seen: Proposals) -> tuple[Proposals, NDArray[np.bool_]]:
        """People whom color does not show, best first, without keypoints.

        They were there in the last frame, found in color or depth, or they are found in depth now.

        Args:
            seen: those whom color shows.

        Returns:
            The people, and (N,) whose box is a rough one, found now, and not one around joints.
        """
        known = self._known.select(~self._known.overlaps_any(seen)) if len(self._known) else self._known
        new = Proposals.empty()
        if not 0 < frame.stamp_ns - self._searched_ns < _SEARCH_NS:
            self._searched_ns = frame.stamp_ns
            new = replace(self._detector(frame).at_joints(), keypoints=None)
            new = new.select(~new.overlaps_any(seen) & ~new.overlaps_any(known))
        people = known.joined(new)
        rough = np.arange(len(people)) >= len(known)
        fit = is_usable(people, frame.camera, with_distance=True)
        return people.select(fit), rough[fit]

    def remember(self, frame: RgbdFrame, people: Skeletons) -> None:
        """Take note of who was found in a frame, and where."""
        self._stamp_ns = frame.stamp_ns
        self._known = boxes_around_joints(frame.camera, people, _MOVED)

    def reset(self) -> None:
        """Forget earlier frames."""
        self._known = Proposals.empty()
        self._stamp_ns, self._searched_ns = 0, 0
        self._flow.reset()
        self._detector.reset()

    def close(self) -> None:
        """Free the person detector's network."""
        self._known = Proposals.empty()
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
