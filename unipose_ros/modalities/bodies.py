"""Bone lengths of all people who are followed, learned over time from what the sensors alone say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.frame import Skeletons
from unipose_ros.fusion.evidence import BONES, LENGTH_STDS, MEAN_LENGTHS, MIRRORED, Body, student_weight

FloatArray = NDArray[np.float64]

#: Seconds for which errors of successive frames are alike: so much time counts as one measurement.
_ALIKE = 0.4
#: However long a person was watched, a log length is not known better than this; joints of a network differ a little
#: from pose to pose.
_LEAST_STD = 0.015
#: A person is known once the log size has a smaller standard deviation than this; until then bones follow the size.
_MEASURED = 0.05
#: The standard deviation of the difference between a left and a right log length.
_ASYMMETRY = 0.01
#: Meters between a track and a person of the next frame up to which they are the same.
_SAME = 0.4
#: A person of whom nothing was heard for so many nanoseconds is forgotten.
_FORGET_NS = 5_000_000_000


@dataclass
class _Known:
    """One person.

    Attributes:
        location: (3,) meters, middle of the joints when last heard of.
        means, precisions: (B,) log length relative to the average adult's, and the inverse of its variance by
            measurements alone.
        seen_ns, learned_ns: stamps.
    """

    location: FloatArray
    means: FloatArray
    precisions: FloatArray
    seen_ns: int
    learned_ns: int = 0


class Bodies:
    """Remembers bone lengths by the ids of the tracks.

    A person is measured in every frame in which the sensors say enough (:class:`~unipose_ros.fusion.solve.Fused`
    gives lengths without what the prior has). Measurements are combined by Student's t in the log length, so that
    single wrong ones do not count; left and right are the same but for a percent. Without ids
    (:meth:`follow` is never called) all people are of the population.

    Args:
        size: mean of the log size of people, relative to an average adult.
        size_std: its standard deviation.
    """

    def __init__(self, size: float = 0.0, size_std: float = 0.2) -> None:
        self._size, self._size_std = size, size_std
        self._people: dict[str, _Known] = {}
        self._latest: tuple[FloatArray, FloatArray, FloatArray, int] | None = None

    def __len__(self) -> int:
        return len(self._people)

    def reset(self) -> None:
        """Forget all people."""
        self._people.clear()
        self._latest = None

    def measured(self, joints: FloatArray, lengths: FloatArray, stds: FloatArray, stamp_ns: int) -> None:
        """Take note of the people of one frame; :meth:`follow` will say who they are.

        Args:
            joints: (N, 15, 3) meters.
            lengths, stds: (N, B) meters as the sensors alone say; a standard deviation of inf where they do not.
            stamp_ns: of the frame.
        """
        self._latest = (_locations(joints), lengths, stds, stamp_ns)

    def follow(self, people: Skeletons) -> None:
        """Hear who is who in the frame that was measured last: people with ids, smoothed or predicted."""
        self._forget(people.stamp_ns)
        locations = _locations(people.positions.astype(np.float64))
        for name, location in zip(people.ids, locations, strict=True):
            if not name or not np.isfinite(location).all():
                continue
            known = self._people.get(name)
            if known is None:
                zeros = np.zeros(len(BONES))
                known = self._people[name] = _Known(location, zeros, zeros.copy(), people.stamp_ns)
            known.location, known.seen_ns = location, people.stamp_ns
        if self._latest is not None and self._latest[3] == people.stamp_ns:
            self._learn(people.ids, locations)
        self._latest = None

    def of(self, locations: FloatArray) -> Body:
        """Bodies of the people at some places.

        Args:
            locations: (N, 3) meters, about the middle of the person; NaN is no person who is known.
        """
        body = Body.of_population(len(locations), self._size, self._size_std)
        lengths, stds, sizes, size_stds = body.lengths, body.stds, body.sizes, body.size_stds
        follows = body.follows
        for person, name in enumerate(self._names_at(locations)):
            if name is not None:
                size, size_variance = self._size_of(self._people[name])
                sizes[person], size_stds[person] = size, np.sqrt(size_variance)
                if size_stds[person] < _MEASURED:
                    means, variances = self._posterior(self._people[name])
                    lengths[person], stds[person] = MEAN_LENGTHS * np.exp(means), np.sqrt(variances)
                    follows[person] = 0.0
        return Body(lengths, stds, follows, sizes, size_stds)

    def sizes_along(self, directions: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Sizes of the people in some viewing directions (N, 3), for where there is no depth. Safe from any thread.

        Returns:
            (N,) relative to an average adult, NaN for whom depth has not measured, and (N,) standard deviations.
        """
        sizes, stds = np.full(len(directions), np.nan), np.full(len(directions), np.nan)
        known = [person for person in list(self._people.values()) if person.precisions.any()]
        if not known or not len(directions):
            return sizes, stds
        unit = directions / np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-9)
        locations = np.stack([person.location for person in known])
        along = unit @ locations.T
        apart = np.linalg.norm(locations - along[..., None] * unit[:, None], axis=-1)
        apart = np.where(along > 0, apart, np.inf)
        for person, track in _pairs(apart, _SAME):
            size, variance = self._size_of(known[track])
            sizes[person] = np.exp(size)
            stds[person] = sizes[person] * max(np.sqrt(variance), _LEAST_STD)
        return sizes, stds

    def _forget(self, now_ns: int) -> None:
        for name in [name for name, known in self._people.items() if abs(now_ns - known.seen_ns) > _FORGET_NS]:
            del self._people[name]

    def _names_at(self, locations: FloatArray) -> list[str | None]:
        """Who is where; each track once, nearest first."""
        names, known = list(self._people), [person.location for person in self._people.values()]
        found: list[str | None] = [None] * len(locations)
        if not names or not len(locations):
            return found
        apart = np.linalg.norm(locations[:, None] - np.stack(known), axis=-1)
        for person, track in _pairs(apart, _SAME):
            found[person] = names[track]
        return found

    def _learn(self, names: Sequence[str], locations: FloatArray) -> None:
        assert self._latest is not None
        found, lengths, stds, stamp_ns = self._latest
        for person, track in _pairs(np.linalg.norm(found[:, None] - locations, axis=-1), _SAME):
            if names[track]:
                self._add(self._people[names[track]], lengths[person], stds[person], stamp_ns)

    def _add(self, known: _Known, lengths: FloatArray, stds: FloatArray, stamp_ns: int) -> None:
        sound = np.isfinite(lengths) & (lengths > 0.02) & np.isfinite(stds) & (stds > 0)
        value = np.log(np.where(sound, lengths, 1.0) / MEAN_LENGTHS)
        variance = np.where(sound, stds / np.maximum(lengths, 1e-3), 1.0) ** 2
        means, variances = self._posterior(known)
        weight = student_weight((value - means) ** 2 / (variance + variances), 1)
        elapsed = (stamp_ns - known.learned_ns) * 1e-9 if known.learned_ns else _ALIKE
        gain = np.where(sound, weight / variance, 0.0) * float(np.clip(elapsed / _ALIKE, 0.0, 1.0))
        total = known.precisions + gain
        known.means = np.where(total > 0, (known.precisions * known.means + gain * value) / np.maximum(total, 1e-12), 0)
        known.precisions = np.minimum(total, 1 / _LEAST_STD**2)
        known.learned_ns = stamp_ns

    def _size_of(self, known: _Known) -> tuple[float, float]:
        """Log size by all bones together: their own variation between people is noise here."""
        std = LENGTH_STDS**2 + 1 / np.maximum(known.precisions, 1e-9)
        weights = np.where(known.precisions > 0, 1 / std, 0.0)
        # Lengths of one person deviate together (long legs): half of the bones count.
        weights = weights / 2
        total = weights.sum() + 1 / self._size_std**2
        mean = ((weights * known.means).sum() + self._size / self._size_std**2) / total
        return float(mean), float(1 / total)

    def _posterior(self, known: _Known) -> tuple[FloatArray, FloatArray]:
        """(B,) means and variances of the log lengths: measurements, the other side, and people of this size."""
        size, size_variance = self._size_of(known)
        other = 1 / (1 / np.maximum(known.precisions[MIRRORED], 1e-9) + _ASYMMETRY**2)
        other = np.where(np.arange(len(BONES)) == MIRRORED, 0.0, other)
        prior = 1 / (LENGTH_STDS**2 + size_variance)
        total = known.precisions + other + prior
        means = (known.precisions * known.means + other * known.means[MIRRORED] + prior * size) / total
        return means, np.maximum(1 / total, _LEAST_STD**2)


def _locations(joints: FloatArray) -> FloatArray:
    """(N, 15, 3) -> (N, 3) middles of the joints there are; NaN without any."""
    there: NDArray[np.bool_] = np.asarray(np.isfinite(joints).all(axis=-1))
    count = there.sum(axis=1)
    total = np.where(there[..., None], joints, 0.0).sum(axis=1)
    return np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], np.nan)


def _pairs(apart: NDArray[np.floating], gate: float) -> Iterator[tuple[int, int]]:
    """Rows and columns of a matrix of distances, nearest first, each once, within the gate."""
    left = np.where(np.isfinite(apart), apart, np.inf)
    for _ in range(min(left.shape)):
        row, column = (int(index) for index in np.unravel_index(left.argmin(), left.shape))
        if not left[row, column] < gate:
            return
        yield row, column
        left[row], left[:, column] = np.inf, np.inf
