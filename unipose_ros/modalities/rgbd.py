"""Modality ``rgbd``: color confirms people and names their sides, depth measures them, and all of it is fused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unipose_ros.backends import device_kind
from unipose_ros.backends.inference import LoadedNetwork
from unipose_ros.camera import prepare_rays
from unipose_ros.codecs.base import CodecContext, JointPredictions, card_temperature
from unipose_ros.codecs.instances import own_points
from unipose_ros.codecs.points import PointSample, PointsCodec
from unipose_ros.config import DetectionConfig, RgbdConfig
from unipose_ros.detection import PersonDetector, Proposals
from unipose_ros.detection.color_support import color_support
from unipose_ros.detection.proposals import stand_in
from unipose_ros.detection.temporal import boxes_around_joints, is_usable, squares_around
from unipose_ros.detection.verification import PoseVerifier, same_people
from unipose_ros.errors import Closable
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons
from unipose_ros.geometry.nms import greedy_nms
from unipose_ros.joint_sets import COCO17, ITOP15
from unipose_ros.keypoints import KeypointDetector, Keypoints2D
from unipose_ros.modalities.base import RequiredInputs, StageClock
from unipose_ros.modalities.bodies import Bodies
from unipose_ros.modalities.convert import probability_within
from unipose_ros.modalities.rgbd_fusion import PointPredictions, fused_people
from unipose_ros.modalities.rgbd_proposals import Watch, rough_joints, together
from unipose_ros.modalities.sides import CheckedSides, contradicted, permuted, with_swapped_paint, without_paint

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
        live: frames come from a camera: whole images are looked at beside the frames, in a thread.

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
        live: bool = False,
    ) -> None:
        self._trained = Closable(trained, "the estimator")
        self._reader = PointsCodec(trained.record, CodecContext(people))
        self._temperature = card_temperature(trained.record)
        self._watch = Watch(detector, person_detector, people, config, live)
        self._sides = CheckedSides()
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

    def twin(self) -> Rgbd | None:
        """For another thread, without memory; nothing is known of any person's bones."""
        detectors = self._watch.twins()
        if detectors is None:
            return None
        return Rgbd(
            self._trained.get(), *detectors, self._verifier, self._lifter, Bodies(), self._people, self._config
        )  # fmt: skip

    def warm_up(self, frame: RgbdFrame) -> None:
        """Run the detectors, and all that follows; the network on CUDA with every number of people that can come."""
        self._watch.warm_up(frame)
        prepare_rays(frame.camera)
        _, board = stand_in(frame.camera)
        predictions = self._predict(frame, board.at_joints(), StageClock())
        found, _ = fused_people(frame, predictions, self._lifter, self.bodies, self._people)
        self._believed(frame, found, predictions, np.ones(1, np.bool_), np.ones(1, np.bool_))
        self.counters.clear()
        self.reset()
        trained = self._trained.get()
        most = self._people.max_people if device_kind(trained.device) == "cuda" else 1
        for people in range(1, most + 1):
            trained.warm_up(self._reader.dummy_input(people))

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
            self._sides.remember(frame.stamp_ns, found.positions)
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
                people, predictions = self._with_checked_sides(frame.stamp_ns, people, np.array(chosen), samples)
            joints[chosen], scales[chosen] = predictions.positions, self._temperature * predictions.scales
            covariances[chosen] = self._temperature**2 * predictions.covariances
        return PointPredictions(people, joints, scales, covariances)

    def _with_checked_sides(
        self, stamp_ns: int, people: Proposals, chosen: NDArray[np.intp], samples: Sequence[PointSample]
    ) -> tuple[Proposals, JointPredictions]:
        """Predictions of the chosen people; where depth contradicts the sides of keypoints, these are swapped."""
        inputs = self._reader.collate(samples)
        named = self._run(samples, inputs)
        keypoints = people.keypoints
        assert keypoints is not None
        shown = np.flatnonzero(keypoints.confidences[chosen].any(axis=1))
        due = shown[self._sides.due(stamp_ns, named.positions[shown])]
        if not len(due):
            return people, named
        checked = [samples[row] for row in due]
        swapped = self._run(checked, with_swapped_paint(inputs[due]))
        unpainted = self._run(checked, without_paint(inputs[due]))
        wrong = contradicted(named.positions[due], swapped.positions, unpainted.positions)
        if not wrong.any():
            return people, named
        self._count("people whose left and right color exchanges", int(wrong.sum()))
        parts = {name: part.copy() for name, part in vars(named).items()}
        for name, part in parts.items():
            part[due[wrong]] = getattr(swapped, name)[wrong]
        order = np.tile(np.arange(len(COCO17)), (len(people), 1))
        order[chosen[due[wrong]]] = COCO17.mirror
        return replace(people, keypoints=permuted(keypoints, order)), JointPredictions(**parts)

    def _run(self, samples: Sequence[PointSample], inputs: NDArray[np.float32]) -> JointPredictions:
        return self._reader.decode(samples, self._trained.get().run(inputs))

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
        distinct = greedy_nms(scores, same_people(found), kept)
        self._count("people twice", int(kept.sum()) - len(distinct))
        return found.select(distinct)

    def _likely(self, frame: RgbdFrame, predictions: PointPredictions) -> NDArray[np.float32]:
        """(N,) how likely each is a person by depth and the network; 0 for whom the network could not look at."""
        there = np.asarray(np.isfinite(predictions.joints).all(axis=(1, 2)), np.bool_)
        likely = np.zeros(len(there), np.float32)
        if there.any():
            # Whether joints are seen does not matter to the verifier.
            people = Skeletons(
                stamp_ns=frame.stamp_ns,
                frame_id=frame.frame_id,
                modality=NAME,
                positions=predictions.joints[there].astype(np.float32),
                confidences=probability_within(predictions.scales[there].astype(np.float32)).astype(np.float32),
                status=np.full((int(there.sum()), _J), JointStatus.INFERRED, np.uint8),
                scores=predictions.people.scores[there],
            )
            likely[there] = self._verifier.likely(frame, people)
        return likely

    def follow(self, people: Skeletons) -> None:
        """Hear from the tracker who is who in the last frame, to learn and use bone lengths."""
        self.bodies.follow(people)

    def reset(self) -> None:
        """Forget earlier frames, and all people's bones."""
        self._watch.reset()
        self._sides.reset()
        self.bodies.reset()

    def close(self) -> None:
        """Let the networks go."""
        self._trained.close()
        self._watch.close()

    def _count(self, reason: str, number: int) -> None:
        if number:
            self.counters[reason] += number
