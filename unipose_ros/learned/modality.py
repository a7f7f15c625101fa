"""The modalities of one trained network: ``points``, ``depth`` and ``rgb``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Generic

import numpy as np

from unipose_ros.backends import device_kind
from unipose_ros.backends.trained import Trained
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.learned.convert import to_skeletons
from unipose_ros.learned.places import Places, usable
from unipose_ros.learned.reader import Reader, Sample, recorded_joints, recorded_temperature
from unipose_ros.modality import EstimatorError, Needs
from unipose_ros.people import PeopleConfig, Proposals
from unipose_ros.timing import StageClock


class Learned(Generic[Sample]):
    """Finds people, cuts them out, runs the network once for all of them, and puts them back into the frame.

    Args:
        name: of the modality.
        needs: images that a frame must have.
        trained: the network.
        reader: cuts out for it, and reads its answers.
        places: where people are.
        config: what counts as a person.

    Raises:
        WeightsError: the network's record does not fit.
    """

    def __init__(
        self, name: str, needs: Needs, trained: Trained, reader: Reader[Sample], places: Places, config: PeopleConfig
    ) -> None:
        self._name = name
        self._needs = needs
        self._trained: Trained | None = trained
        self._runtime = f"{trained.run.description}; people by {places.runtime}"
        self._reader = reader
        self._places = places
        self._config = config
        self._joint_set = recorded_joints(trained.record)
        self._temperature = recorded_temperature(trained.record)
        self._last: Keypoints2D | None = None
        self._counters: Counter[str] = Counter()

    @property
    def last_keypoints(self) -> Keypoints2D | None:
        """The people of the last frame as a 2D network saw them, where they were found by one."""
        return self._last

    @property
    def runtime(self) -> str:
        """What runs network and finder, and where."""
        return self._runtime

    @property
    def notice(self) -> str:
        """Nothing."""
        return ""

    @property
    def counters(self) -> Mapping[str, int]:
        """People who were proposed and left out, and joints that were no numbers."""
        return self._counters

    def warm_up(self, frame: RgbdFrame) -> None:
        """Run the finder, and the network: on CUDA with every number of people that can come."""
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
        trained = self._loaded()
        people, samples = self._look(frame, clock)
        self._last = people.keypoints
        if samples:
            with clock.stage("network"):
                outputs = trained.run(self._reader.stack(samples))
            with clock.stage("lift"):
                found = self._put_back(frame, people, samples, outputs)
        else:
            found = Skeletons.empty(frame.stamp_ns, frame.frame_id, self._name, self._joint_set)
        self._places.remember(frame, found)
        return found

    def reset(self) -> None:
        """Forget where people were."""
        self._places.reset()

    def close(self) -> None:
        """Let the networks go."""
        self._trained = None
        self._places.close()

    def _loaded(self) -> Trained:
        if self._trained is None:
            raise EstimatorError("the estimator is closed; build another one")
        return self._trained

    def _look(self, frame: RgbdFrame, clock: StageClock) -> tuple[Proposals, list[Sample]]:
        """People and their samples: where they were last, unless it is time to search or one of them is gone."""
        known = self._places.remembered(frame)
        if known is not None:
            with clock.stage("crop"):
                people, samples = self._cut_out(frame, known)
            if len(people) == len(known):
                return people, samples
        with clock.stage("people"):
            found = self._places.search(frame)
        with clock.stage("crop"):
            people, samples = self._cut_out(frame, found)
        self._count("people too little to see", len(found) - len(people))
        return people, samples

    def _cut_out(self, frame: RgbdFrame, people: Proposals) -> tuple[Proposals, list[Sample]]:
        """Those of whom there is enough to look at, and their samples."""
        people = people.select(usable(people, frame.camera, with_distance=self._needs.depth))
        samples = [self._reader.encode(frame, people, person) for person in range(len(people))]
        there = np.array([sample is not None for sample in samples], np.bool_)
        return people.select(there), [sample for sample in samples if sample is not None]

    def _put_back(
        self, frame: RgbdFrame, people: Proposals, samples: list[Sample], outputs: tuple[Any, ...]
    ) -> Skeletons:
        said = self._reader.read(samples, outputs)
        said = replace(said, scales=said.scales * np.float32(self._temperature))
        found = to_skeletons(frame, people, said, self._joint_set, self._name, self._config)
        self._count("joints not finite", int((found.status == JointStatus.MISSING).sum()))
        return found

    def _count(self, reason: str, number: int) -> None:
        if number:
            self._counters[reason] += number
