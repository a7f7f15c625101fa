"""The modalities of one trained network: ``points``, ``depth`` and ``rgb``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol

import numpy as np
from numpy.typing import NDArray

from unipose_ros.backends import device_kind
from unipose_ros.backends.inference import LoadedNetwork
from unipose_ros.codecs.base import CropCodec, Sample, card_joint_set, card_temperature
from unipose_ros.detection import DetectionConfig, Proposals
from unipose_ros.detection.temporal import ProposalCache, boxes_around_joints, is_usable
from unipose_ros.detection.verification import Verifier
from unipose_ros.errors import EstimatorError
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.modalities.base import RequiredInputs
from unipose_ros.modalities.convert import to_skeletons
from unipose_ros.timing import StageClock

#: The first look is through a rough box: this part of the probability that is asked for is enough.
_AT_FIRST = 0.2


class Fallback(Protocol):
    """Another way to skeletons, for people whom the network cannot judge well."""

    @property
    def runtime(self) -> str:
        """What runs it, and where."""
        ...

    def takes(self, frame: RgbdFrame, people: Proposals) -> NDArray[np.bool_]:
        """(N,) people whom it judges better."""
        ...

    def __call__(self, frame: RgbdFrame, people: Proposals) -> Skeletons:
        """Their skeletons, with the network's joints."""
        ...


@dataclass(frozen=True, eq=False)
class _Crops(Generic[Sample]):
    """People of one frame who can be judged.

    Attributes:
        people: those whom the network judges.
        samples: what it is shown of each.
        aside: those who go the other way.
        keypoints: all of them as a 2D network sees them, where they were found by one.
    """

    people: Proposals
    samples: list[Sample]
    aside: Proposals
    keypoints: Keypoints2D | None

    def __len__(self) -> int:
        return len(self.samples) + len(self.aside)


class TopDownEstimator(Generic[Sample]):
    """Finds people, cuts them out, runs the network once for all of them, and puts them back into the frame.

    Args:
        name: of the modality.
        needs: images that a frame must have.
        trained: the network.
        reader: cuts out for it, and reads its answers.
        places: where people are.
        config: what counts as a person.
        aside: another way for some of them; ``None`` to let the network judge all.
        judge: which of those who were found in depth alone are people; ``None`` for a network of color.

    Raises:
        WeightsError: the network's record does not fit.
    """

    notice = ""

    def __init__(
        self,
        name: str,
        needs: RequiredInputs,
        trained: LoadedNetwork,
        reader: CropCodec[Sample],
        places: ProposalCache,
        config: DetectionConfig,
        aside: Fallback | None = None,
        judge: Verifier | None = None,
    ) -> None:
        self._name = name
        self._needs = needs
        self._trained: LoadedNetwork | None = trained
        beside = f"; {aside.runtime}" if aside else ""
        self.runtime = f"{trained.run.description}; people by {places.runtime}{beside}"
        self._aside = aside
        self._judge = judge
        self._reader = reader
        self._places = places
        self._config = config
        self._joint_set = card_joint_set(trained.record)
        self._temperature = card_temperature(trained.record)
        self.last_keypoints: Keypoints2D | None = None
        #: People who were proposed and left out, and joints that were no numbers.
        self.counters: Counter[str] = Counter()

    def warm_up(self, frame: RgbdFrame) -> None:
        """Run the person detector, and the network: on CUDA with every number of people that can come."""
        self._places.search(frame)
        trained = self._loaded()
        most = self._config.max_people if device_kind(trained.device) == "cuda" else 1
        for people in range(1, most + 1):
            trained.run(self._reader.blank(people))

    def estimate(self, frame: RgbdFrame, clock: StageClock) -> Skeletons:
        """Everybody in the frame, without ids; stages ``people``, ``crop``, ``network`` and ``lift``.

        Raises:
            EstimatorError: the frame lacks an image, or the estimator is closed.
        """
        self._needs.check(frame, self._name)
        self._loaded()
        looked = self._look(frame, clock)
        self.last_keypoints = looked.keypoints
        parts = [Skeletons.empty(frame.stamp_ns, frame.frame_id, self._name, self._joint_set)]
        likely: NDArray[np.float32] | None = None
        if looked.samples:
            seen = self._run(frame, looked, clock)
            self._count("joints not finite", int((seen.status == JointStatus.MISSING).sum()))
            seen, likely = self._believed(frame, seen, looked)
            parts.append(seen)
        if self._aside is not None and len(looked.aside):
            with clock.stage("lift"):
                parts.append(self._aside(frame, looked.aside))
        found = Skeletons.concat(parts)
        if sum(len(part) > 0 for part in parts) > 1:
            found = found.select(np.argsort(-found.scores, kind="stable"))
        # The other way wants keypoints, which only a search gives: then nobody is remembered. The score that is
        # remembered is the person detector's: how likely somebody was is no evidence that they are there now.
        self._places.remember(frame, parts[0] if len(looked.aside) else found)
        return found if likely is None else replace(found, scores=likely)

    def reset(self) -> None:
        """Forget where people were."""
        self._places.reset()

    def close(self) -> None:
        """Let the networks go."""
        self._trained = None
        self._places.close()

    def _loaded(self) -> LoadedNetwork:
        if self._trained is None:
            raise EstimatorError("the estimator is closed; build another one")
        return self._trained

    def _look(self, frame: RgbdFrame, clock: StageClock) -> _Crops[Sample]:
        """People where they were last, unless it is time to search or one of them is gone."""
        known = self._places.remembered(frame)
        if known is not None:
            with clock.stage("crop"):
                looked = self._cut_out(frame, known)
            if len(looked) == len(known):
                return looked
        with clock.stage("people"):
            found = self._places.search(frame)
        if self._judge is not None and found.keypoints is None:
            found = self._around_joints(frame, found, clock)
        with clock.stage("crop"):
            return self._counted(self._cut_out(frame, found), found)

    def _around_joints(self, frame: RgbdFrame, found: Proposals, clock: StageClock) -> Proposals:
        """The same people in boxes around joints: those of the last frame, or of a first look at who is new.

        Depth alone tells roughly where a person ends, keypoints do exactly, and the network was
        taught with theirs: on UniPose-Synth a second look takes a tenth off the error.
        """
        found, known = self._places.recognized(frame, found)
        new = found.select(~known)
        with clock.stage("crop"):
            looked = self._counted(self._cut_out(frame, new), new)
        if not looked.samples:
            return found.select(known)
        likely, _ = self._believed(frame, self._run(frame, looked, clock), looked, _AT_FIRST)
        closer = boxes_around_joints(frame.camera, likely)
        # Joints in one place have no box around them.
        new = closer if is_usable(closer, frame.camera, with_distance=True).all() else looked.people
        return found.select(known).joined(new)

    def _counted(self, looked: _Crops[Sample], people: Proposals) -> _Crops[Sample]:
        """What was looked at, once those who could not be are counted."""
        self._count("too_few_measurements", len(people) - len(looked))
        return looked

    def _run(self, frame: RgbdFrame, looked: _Crops[Sample], clock: StageClock) -> Skeletons:
        """What the network says of everybody whom it judges."""
        with clock.stage("network"):
            outputs = self._loaded().run(self._reader.stack(looked.samples))
        with clock.stage("lift"):
            return self._put_back(frame, looked.people, looked.samples, outputs)

    def _believed(
        self, frame: RgbdFrame, people: Skeletons, looked: _Crops[Sample], part: float = 1.0
    ) -> tuple[Skeletons, NDArray[np.float32] | None]:
        """Of those who were found in depth alone, the likely ones, and how likely they are; else everybody.

        Args:
            part: of the probability asked for that is enough.
        """
        if self._judge is None or looked.keypoints is not None:
            return people, None
        kept, likely = self._judge(frame, people, part * self._config.min_person_probability)
        self._count("rejected_low_probability", len(people) - len(kept))
        return people.select(kept), likely

    def _cut_out(self, frame: RgbdFrame, people: Proposals) -> _Crops[Sample]:
        """Those of whom there is enough to look at, and their samples."""
        aside = np.zeros(len(people), np.bool_) if self._aside is None else self._aside.takes(frame, people)
        fit = is_usable(people, frame.camera, with_distance=self._needs.depth) & ~aside
        samples = [self._reader.encode(frame, people, int(person)) for person in np.flatnonzero(fit)]
        fit[fit] = [sample is not None for sample in samples]
        return _Crops(
            people=people.select(fit),
            samples=[sample for sample in samples if sample is not None],
            aside=people.select(aside),
            keypoints=people.select(fit | aside).keypoints,
        )

    def _put_back(
        self, frame: RgbdFrame, people: Proposals, samples: list[Sample], outputs: tuple[Any, ...]
    ) -> Skeletons:
        said = self._reader.read(samples, outputs)
        said = replace(said, scales=said.scales * np.float32(self._temperature))
        if not self._needs.depth and people.keypoints is not None:
            # What color shows is judged by color: depth can be as good as dead.
            frame = replace(frame, depth=None)
        return to_skeletons(frame, people, said, self._joint_set, self._name, self._config)

    def _count(self, reason: str, number: int) -> None:
        if number:
            self.counters[reason] += number
