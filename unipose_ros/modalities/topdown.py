"""Top-down estimation with one trained network: people are detected, cropped, and their joints estimated."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol

import numpy as np
from numpy.typing import NDArray

from unipose_ros.backends import device_kind
from unipose_ros.backends.inference import LoadedNetwork
from unipose_ros.camera import prepare_rays
from unipose_ros.codecs.base import CropCodec, Sample, card_joint_set, card_temperature
from unipose_ros.codecs.instances import OwnPoints, own_points
from unipose_ros.config import DetectionConfig
from unipose_ros.detection import Proposals
from unipose_ros.detection.hybrid import BackgroundTask
from unipose_ros.detection.occluded import OccludedPersonDetector
from unipose_ros.detection.proposals import stand_in
from unipose_ros.detection.temporal import ProposalCache, boxes_around_joints, is_usable, squares_around
from unipose_ros.detection.verification import Verifier
from unipose_ros.errors import Closable
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons, seen_in_depth
from unipose_ros.fusion.bone_fit import fit_bones
from unipose_ros.geometry.covariance import expand, pack
from unipose_ros.joint_sets import ITOP15
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.modalities.base import RequiredInputs, StageClock
from unipose_ros.modalities.convert import to_skeletons

#: A first pass sees rough boxes: this part of the probability that is asked for is enough.
_FIRST_PASS = 0.2
#: Who was found behind or beside another person, after that person was removed, must be this likely: what remains of a
#: person who was not removed wholly resembles another one.
_OCCLUDED_PROBABILITY = 0.7
#: Beside live frames, looking for them takes at most this fraction of the time.
_SHARE = 0.1


class Fallback(Protocol):
    """Another way to skeletons, for people whom the network cannot estimate well."""

    @property
    def runtime(self) -> str:
        """What runs it, and where."""
        ...

    def handles(self, frame: RgbdFrame, people: Proposals) -> NDArray[np.bool_]:
        """(N,) people whom it estimates better."""
        ...

    def __call__(self, frame: RgbdFrame, people: Proposals) -> Skeletons:
        """Their skeletons, with the network's joints."""
        ...


@dataclass(frozen=True, eq=False)
class _Crops(Generic[Sample]):
    """People of one frame whose poses can be estimated.

    Attributes:
        people: those whose poses the network estimates.
        samples: what it is shown of each.
        others: those for the fallback.
        keypoints: all of them as a 2D network detects them, where they were detected by one.
        lost: people of whom there was too little to see.
    """

    people: Proposals
    samples: list[Sample]
    others: Proposals
    keypoints: Keypoints2D | None
    lost: int


class TopDownEstimator(Generic[Sample]):
    """Detects people, crops them, runs the network once for all of them, and decodes, verifies and caches them.

    Args:
        name: of the modality.
        images: that a frame must have.
        trained: the network.
        codec: crops for it, and decodes its outputs.
        cache: where people are, by a detector.
        config: what counts as a person.
        fallback: another way for some of them; ``None`` to let the network estimate all.
        verifier: which of those who were detected in depth alone are people; ``None`` for a network of color.
        occluded: people behind or beside others; ``None`` to do without.
        live: frames come from a camera: those people are looked for beside the frames, in a thread.

    Raises:
        WeightsError: the network's record does not fit.
    """

    notice = ""

    def __init__(
        self,
        name: str,
        images: RequiredInputs,
        trained: LoadedNetwork,
        codec: CropCodec[Sample],
        cache: ProposalCache,
        config: DetectionConfig,
        fallback: Fallback | None = None,
        verifier: Verifier | None = None,
        occluded: OccludedPersonDetector | None = None,
        live: bool = False,
    ) -> None:
        self._name = name
        self._images = images
        self._trained = Closable(trained, "the estimator")
        beside = f"; {fallback.runtime}" if fallback else ""
        self.runtime = f"{trained.run.description}; people by {cache.runtime}{beside}"
        self._codec = codec
        self._cache = cache
        self._config = config
        self._fallback = fallback
        self._verifier = verifier
        self._occluded = occluded
        self._beside: BackgroundTask[Proposals] | None = None
        if occluded is not None and live:
            self._beside = BackgroundTask("unipose_occluded", _SHARE)
        self._joint_set = card_joint_set(trained.record)
        self._temperature = card_temperature(trained.record)
        self.last_keypoints: Keypoints2D | None = None
        self._counters: Counter[str] = Counter()
        self._counting = threading.Lock()

    @property
    def counters(self) -> Counter[str]:
        """People who were proposed and left out, and joints that were no numbers."""
        with self._counting:
            return Counter(self._counters)

    def twin(self) -> TopDownEstimator[Sample] | None:
        """For another thread, without memory, and without a look for people behind others."""
        cache = self._cache.twin()
        if cache is None:
            return None
        return TopDownEstimator(
            self._name, self._images, self._trained.get(), self._codec, cache, self._config, self._fallback,
            self._verifier,
        )  # fmt: skip

    def warm_up(self, frame: RgbdFrame) -> None:
        """Run the detector, and all that follows; the network on CUDA with every number of people that can come."""
        self._cache.detect(frame)
        prepare_rays(frame.camera)
        _, board = stand_in(frame.camera)
        if self._verifier is not None:
            board = replace(board, keypoints=None)
        clock = StageClock()
        self._estimate_poses(frame, self._crop(frame, board.at_joints(), clock), clock)
        with self._counting:
            self._counters.clear()
        trained = self._trained.get()
        most = self._config.max_people if device_kind(trained.device) == "cuda" else 1
        for people in range(1, most + 1):
            trained.warm_up(self._codec.dummy_input(people))

    def estimate(self, frame: RgbdFrame, clock: StageClock) -> Skeletons:
        """All people in the frame, without ids; stages ``people``, ``crop``, ``network`` and ``lift``.

        Raises:
            EstimatorError: the frame lacks an image, or the estimator is closed.
        """
        self._images.check(frame, self._name)
        crops = self._crop_cached(frame, clock) or self._crop(frame, self._detect(frame, clock), clock)
        people, probabilities = self._estimate_poses(frame, crops, clock)
        with_occluded = self._with_occluded(frame, people, clock)
        if with_occluded is not None:
            crops = self._crop(frame, with_occluded, clock)
            people, probabilities = self._estimate_poses(frame, crops, clock)
        people = self._with_fallback(frame, people, crops, clock)
        # The cached score is the detector's: how likely a person was is no evidence that they are there now.
        self._cache.update(frame, people if not len(crops.others) else self._empty(frame))
        self.last_keypoints = crops.keypoints
        return people if probabilities is None else replace(people, scores=probabilities)

    def _estimate_poses(
        self, frame: RgbdFrame, crops: _Crops[Sample], clock: StageClock
    ) -> tuple[Skeletons, NDArray[np.float32] | None]:
        """Those of the crops who are people, and how likely they are where they are verified."""
        outputs = self._forward(crops, clock)
        poses = self._decode(frame, crops, outputs, clock)
        self._count("joints not finite", int((poses.status == JointStatus.MISSING).sum()))
        # Before the bones are set right: wrong ones tell what is no person.
        people, probabilities = self._verify(frame, poses, crops, self._config.min_person_probability)
        with clock.stage("lift"):
            return self._with_bones(frame, people), probabilities

    def _with_bones(self, frame: RgbdFrame, people: Skeletons) -> Skeletons:
        """People with limbs as long as people's are."""
        if not (self._codec.fits_bones and people.joint_set == ITOP15 and len(people)) or people.covariances is None:
            return people
        joints, covariances = fit_bones(people.positions.astype(np.float64), expand(people.covariances))
        people = replace(people, positions=joints.astype(np.float32), covariances=pack(covariances).astype(np.float32))
        assert frame.depth is not None  # crops of such a codec are cut out of it
        seen = seen_in_depth(frame.camera, frame.depth, people.positions)
        status = np.where(seen, JointStatus.MEASURED, JointStatus.INFERRED)
        return replace(
            people, status=np.where(people.status == JointStatus.MISSING, people.status, status).astype(np.uint8)
        )

    def reset(self) -> None:
        """Forget where people were."""
        self._cache.reset()
        if self._occluded is not None:
            self._occluded.reset()
        if self._beside is not None:
            self._beside.reset()

    def close(self) -> None:
        """Let the networks go."""
        if self._beside is not None:
            self._beside.close()
        self._trained.close()
        self._cache.close()

    def _crop_cached(self, frame: RgbdFrame, clock: StageClock) -> _Crops[Sample] | None:
        """People in the boxes they had; ``None`` when it is time to detect them, or one of them is gone."""
        self._trained.get()
        regions = self._cache.cached(frame)
        if regions is None:
            return None
        with clock.stage("crop"):
            crops = self._cut(frame, regions)
        return None if crops.lost else crops

    def _detect(self, frame: RgbdFrame, clock: StageClock) -> Proposals:
        """People in the frame; those detected in depth alone in boxes around their joints.

        These are the joints of the last frame, or of a first pass through the network for who is new. Depth alone
        tells roughly where a person ends, keypoints do exactly, and the network was trained with theirs: on
        UniPose-Synth the second pass takes a tenth off the error.
        """
        with clock.stage("people"):
            found = self._cache.detect(frame)
        if self._verifier is None or found.keypoints is not None:
            return found
        found, known = self._cache.match_previous(frame, found)
        least = _FIRST_PASS * self._config.min_person_probability
        return found.select(known).joined(self._refined(frame, found.select(~known), least, clock))

    def _with_occluded(self, frame: RgbdFrame, people: Skeletons, clock: StageClock) -> Proposals | None:
        """Boxes of the people and of those behind or beside them whom the detector overlooked; ``None`` without any.

        The points of all of them can then be told apart, so that all people are to be estimated once more.
        """
        if self._occluded is None or not len(people) or people.joint_set != ITOP15:
            return None
        due = self._occluded.is_due(frame) and (self._beside is None or self._beside.is_free)
        looked = None if self._beside is None else self._beside.take(frame)
        if not due and looked is None:
            return None
        known = boxes_around_joints(frame.camera, people)
        if self._beside is None:
            hidden = self._looked_behind(frame, known, clock)
        else:
            if due:
                self._beside.offer(frame, lambda: self._looked_behind(frame, known, StageClock()))
            hidden = Proposals.empty() if looked is None else self._still_hidden(looked, known)
        return known.joined(hidden) if len(hidden) else None

    def _still_hidden(self, found: Proposals, known: Proposals) -> Proposals:
        """Those found behind others whom the detector has not found meanwhile."""
        new = found.select(~found.overlaps_any(known)) if len(found) else found
        return new.select(np.arange(len(new)) < max(self._config.max_people - len(known), 0))

    def _looked_behind(self, frame: RgbdFrame, known: Proposals, clock: StageClock) -> Proposals:
        """Those whom the detector finds where the known people's readings are removed, and who are likely people."""
        assert self._occluded is not None
        with clock.stage("people"):
            remaining, found = self._occluded(frame, known)
        room = max(self._config.max_people - len(known), 0)
        return self._refined(remaining, found.select(np.arange(len(found)) < room), _OCCLUDED_PROBABILITY, clock)

    def _refined(self, frame: RgbdFrame, people: Proposals, least: float, clock: StageClock) -> Proposals:
        """The likely ones, in boxes around the joints of a first pass.

        Args:
            least: probability of being a person.
        """
        if self._codec.square_first_pass:
            people = squares_around(frame.camera, people)
        crops = self._crop(frame, people, clock)
        poses = self._decode(frame, crops, self._forward(crops, clock), clock)
        likely, _ = self._verify(frame, poses, crops, least)
        closer = boxes_around_joints(frame.camera, likely)
        # Joints in one place have no box around them.
        return closer if is_usable(closer, frame.camera, with_distance=True).all() else crops.people

    def _crop(self, frame: RgbdFrame, people: Proposals, clock: StageClock) -> _Crops[Sample]:
        """What the network is shown of all people; those of whom there is too little to see are counted."""
        with clock.stage("crop"):
            crops = self._cut(frame, people)
        self._count("too_few_measurements", crops.lost)
        return crops

    def _cut(self, frame: RgbdFrame, people: Proposals) -> _Crops[Sample]:
        others = np.zeros(len(people), np.bool_)
        if self._fallback is not None:
            others = self._fallback.handles(frame, people)
        fit = is_usable(people, frame.camera, with_distance=self._images.depth) & ~others
        own = self._own_points(people)
        samples = [self._codec.encode(frame, people, int(person), own[person]) for person in np.flatnonzero(fit)]
        fit[fit] = [sample is not None for sample in samples]
        return _Crops(
            people=people.select(fit),
            samples=[sample for sample in samples if sample is not None],
            others=people.select(others),
            keypoints=people.select(fit | others).keypoints,
            lost=int((~(fit | others)).sum()),
        )

    def _own_points(self, people: Proposals) -> list[OwnPoints | None]:
        """What tells each person's points from those of people close by, by the joints known so far."""
        if people.joints is None or len(people) < 2 or self._joint_set != ITOP15:
            return [None] * len(people)
        return own_points(people.joints.astype(np.float64))

    def _forward(self, crops: _Crops[Sample], clock: StageClock) -> tuple[NDArray[Any], ...]:
        """The network's outputs for all crops; none without a crop."""
        if not crops.samples:
            return ()
        with clock.stage("network"):
            return self._trained.get().run(self._codec.collate(crops.samples))

    def _decode(
        self, frame: RgbdFrame, crops: _Crops[Sample], outputs: tuple[NDArray[Any], ...], clock: StageClock
    ) -> Skeletons:
        """Skeletons in the camera's frame; their scores are the detector's."""
        if not crops.samples:
            return self._empty(frame)
        with clock.stage("lift"):
            predictions = self._codec.decode(crops.samples, outputs)
            predictions = replace(predictions, scales=predictions.scales * np.float32(self._temperature))
            if not self._images.depth and crops.people.keypoints is not None:
                # What color shows is evaluated by color: depth can be as good as dead.
                frame = replace(frame, depth=None)
            return to_skeletons(frame, crops.people, predictions, self._joint_set, self._name, self._config)

    def _verify(
        self, frame: RgbdFrame, poses: Skeletons, crops: _Crops[Sample], least: float
    ) -> tuple[Skeletons, NDArray[np.float32] | None]:
        """Of those who were detected in depth alone, the likely ones, and how likely they are; else all people.

        Args:
            least: probability of being a person.
        """
        if self._verifier is None or crops.keypoints is not None or not len(poses):
            return poses, None
        kept, probabilities = self._verifier(frame, poses, least)
        self._count("rejected_low_probability", len(poses) - len(kept))
        return poses.select(kept), probabilities

    def _with_fallback(
        self, frame: RgbdFrame, people: Skeletons, crops: _Crops[Sample], clock: StageClock
    ) -> Skeletons:
        """The network's people and the fallback's, best score first where both found some."""
        if self._fallback is None or not len(crops.others):
            return people
        with clock.stage("lift"):
            others = self._fallback(frame, crops.others)
        together = Skeletons.concat([people, others])
        return together.select(np.argsort(-together.scores, kind="stable")) if len(people) and len(others) else together

    def _empty(self, frame: RgbdFrame) -> Skeletons:
        return Skeletons.empty(frame.stamp_ns, frame.frame_id, self._name, self._joint_set)

    def _count(self, reason: str, number: int) -> None:
        if number:
            with self._counting:
                self._counters[reason] += number
