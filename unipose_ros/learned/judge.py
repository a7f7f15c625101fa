"""How likely a pose is a person's, and which poses are one person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.learned.evidence import EVIDENCE, evidence
from unipose_ros.networks.weights import WeightsError, WeightsRecord

FloatArray = NDArray[np.float64]

#: Of the names in a record's metrics.
_PREFIX = "judge."
#: Two poses are one person when their joints are closer than the first on average, or when of one's joints that a
#: surface holds more than the last part is closer than the second to the other's bones, in metres.
_SAME, _ON_BONES, _MOST = 0.3, 0.2, 0.75


class PoseJudge(Protocol):
    """Says which poses are people's."""

    def __call__(
        self, frame: RgbdFrame, people: Skeletons, least: float
    ) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """See :meth:`Judge.__call__`."""
        ...


@dataclass(frozen=True)
class Judge:
    """A logistic regression on :class:`~unipose_ros.learned.evidence.Evidence`.

    Attributes:
        weights: one for each of :data:`~unipose_ros.learned.evidence.EVIDENCE`.
        bias: what is added.

    Raises:
        ValueError: a weight is absent or too much, or a number is not finite.
    """

    weights: Mapping[str, float]
    bias: float

    def __post_init__(self) -> None:
        if set(self.weights) != set(EVIDENCE):
            raise ValueError(f"judge: weights of {', '.join(self.weights) or 'nothing'}; needed: {', '.join(EVIDENCE)}")
        if not np.isfinite([*self.weights.values(), self.bias]).all():
            raise ValueError("judge: a weight or the bias is not finite")

    def probabilities(self, columns: FloatArray) -> FloatArray:
        """(N, 5) evidence -> (N,) probability that the pose is a person's."""
        return np.asarray(1 / (1 + np.exp(-columns @ [self.weights[name] for name in EVIDENCE] - self.bias)))

    def __call__(
        self, frame: RgbdFrame, people: Skeletons, least: float
    ) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Those who are likely people, each once, likeliest first, and how likely they are.

        Args:
            frame: with depth, in which they were found.
            people: their scores are the finder's.
            least: probability.
        """
        known = evidence(frame, people)
        likely = self.probabilities(known.columns)
        kept: list[int] = []
        for person in np.argsort(-likely, kind="stable"):
            seen = known.held[person]
            if likely[person] >= least and not any(_is_same(people, int(person), other, seen) for other in kept):
                kept.append(int(person))
        return np.array(kept, np.intp), likely[kept].astype(np.float32)

    def metrics(self) -> dict[str, float]:
        """As a weights record keeps them."""
        return {f"{_PREFIX}{name}": value for name, value in {**self.weights, "bias": self.bias}.items()}


#: For a network whose record has no judge: how sure networks are differs between them, so that does not count.
#: Fitted by :mod:`unipose_training.people.fit_judge` for the points network.
UNFITTED = Judge({"finder": 1.2, "sure": 0.0, "held": 4.2, "free": 6.6, "bones": -0.7}, -3.9)


def recorded_judge(record: WeightsRecord) -> Judge:
    """The judge that was fitted for a network; :data:`UNFITTED` where none was.

    Raises:
        WeightsError: a part of it is absent or no number.
    """
    known = {name.removeprefix(_PREFIX): value for name, value in record.metrics.items() if name.startswith(_PREFIX)}
    if not known:
        return UNFITTED
    try:
        return Judge({name: float(value) for name, value in known.items() if name != "bias"}, float(known["bias"]))
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"weights record of {record.network}: {error!r}; fit the judge again: "
            "python -m unipose_training.people.fit_judge"
        ) from error


def _is_same(people: Skeletons, person: int, likelier: int, held: NDArray[np.bool_]) -> bool:
    """Is a pose that of a likelier person?

    Args:
        held: (J,) the pose's joints that a surface holds.
    """
    pose, other = people.positions[person], people.positions[likelier]
    apart = np.linalg.norm(pose - other, axis=1)
    if np.mean(apart[np.isfinite(apart)] if np.isfinite(apart).any() else np.inf) < _SAME:
        return True
    ends = other[[(bone.parent, bone.child) for bone in people.joint_set.bones]]
    ends = ends[np.isfinite(ends).all(axis=(1, 2))]
    return bool(held.any() and len(ends) and np.mean(to_bones(pose[held], ends) < _ON_BONES) > _MOST)


def to_bones(points: NDArray[np.floating], ends: NDArray[np.floating]) -> FloatArray:
    """(K, 3) points and (B, 2, 3) ends of bones -> (K,) metres to the nearest bone."""
    start, along = ends[:, 0].astype(np.float64), np.diff(ends, axis=1)[:, 0].astype(np.float64)
    offset = points[:, None] - start
    part = (offset * along).sum(axis=-1) / np.maximum((along**2).sum(axis=-1), 1e-9)
    return np.asarray(np.linalg.norm(offset - np.clip(part, 0, 1)[..., None] * along, axis=-1).min(axis=1))
