"""What a judge of poses is fitted on: poses found in rendered clips, and whether somebody is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons
from unipose_ros.learned.evidence import EVIDENCE, evidence
from unipose_ros.learned.judge import Judge
from unipose_ros.modality import Modality
from unipose_ros.skeletons import convert_joints
from unipose_ros.timing import StageClock
from unipose_ros.visibility import in_picture
from unipose_training.data.shards import ShardClip
from unipose_training.evaluation.matching import MATCH_GATE, MIN_VISIBLE_JOINTS, mean_distances

FloatArray = NDArray[np.float64]

#: A pose whose joints are farther than this from everybody's on average is nobody's, in metres.
_NOBODY = 0.8
#: Without a background, readings end so far behind the farthest person, in metres.
_BEYOND = (0.2, 1.2)
#: Part of the picture that a cut leaves on each side.
_CUT = (0.5, 0.8)
#: Of the regression's ridge, on columns of unit variance.
_RIDGE = 1.0


@dataclass(frozen=True, eq=False)
class Poses:
    """Poses of some frames.

    Attributes:
        columns: (N, 5) evidence.
        people: (N,) whether somebody is there.
    """

    columns: FloatArray
    people: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.people)

    @classmethod
    def together(cls, parts: Iterable[Poses]) -> Poses:
        """All of them."""
        empty = cls(np.zeros((0, len(EVIDENCE))), np.zeros(0, np.bool_))
        known = [empty, *parts]
        return cls(np.concatenate([each.columns for each in known]), np.concatenate([each.people for each in known]))


class Everybody:
    """A judge who believes everybody, and remembers the last poses with the finder's scores."""

    def __init__(self) -> None:
        self.shown: Skeletons | None = None

    def __call__(
        self, frame: RgbdFrame, people: Skeletons, least: float
    ) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """All of them."""
        self.shown = people
        return np.arange(len(people)), people.scores


@dataclass(frozen=True, eq=False)
class Looker:
    """A modality that drops nobody.

    Attributes:
        modality: built with the judge.
        judge: gets what it finds.
    """

    modality: Modality
    judge: Everybody

    def __call__(self, frame: RgbdFrame) -> Skeletons:
        """Everybody who is proposed in a frame, with the finder's scores."""
        self.modality.reset()
        self.judge.shown = None
        found = self.modality.estimate(frame, StageClock())
        return found if self.judge.shown is None else self.judge.shown


def poses_of(clip: ShardClip, look: Looker, every: int, rng: np.random.Generator) -> Poses:
    """What is found in every so many frames, and in what becomes of them without background and when a part of the
    picture is cut off."""
    shard = clip.load()
    numbers = range(int(rng.integers(every)) % len(shard), len(shard), every)
    seen = ((shard.frame(number), shard.truth(number)) for number in numbers)
    return Poses.together(
        _judged(frame, truth, look) for whole, truth in seen for frame in _variants(whole, truth, rng)
    )


def _variants(frame: RgbdFrame, truth: Skeletons, rng: np.random.Generator) -> Iterator[RgbdFrame]:
    yield frame
    yield without_background(frame, truth, rng) if rng.random() < 0.5 else cut(frame, rng)


def without_background(frame: RgbdFrame, truth: Skeletons, rng: np.random.Generator) -> RgbdFrame:
    """No readings far behind the people, as outdoors or where a sensor's range ends."""
    assert frame.depth is not None
    farthest = float(truth.positions[..., 2].max(initial=1.0)) + rng.uniform(*_BEYOND)
    return replace(frame, depth=np.where(frame.depth < farthest, frame.depth, np.float32(0)))


def cut(frame: RgbdFrame, rng: np.random.Generator) -> RgbdFrame:
    """A part of the picture: people are half out of it."""
    assert frame.depth is not None
    camera = frame.camera
    width, height = (int(side * rng.uniform(*_CUT)) for side in (camera.width, camera.height))
    left, top = int(rng.integers(camera.width - width + 1)), int(rng.integers(camera.height - height + 1))
    moved = replace(camera, cx=camera.cx - left, cy=camera.cy - top, width=width, height=height)
    depth = np.ascontiguousarray(frame.depth[top : top + height, left : left + width])
    return replace(frame, camera=moved, depth=depth, colour=None)


def _judged(frame: RgbdFrame, truth: Skeletons, look: Looker) -> Poses:
    found = look(frame)
    somebody, known = somebody_there(frame, found, truth)
    return Poses(evidence(frame, found).columns[known], somebody[known])


def somebody_there(frame: RgbdFrame, found: Skeletons, truth: Skeletons) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(N,) whether a pose is a person's, and (N,) whether that can be said: not of one that is near somebody, nor of
    one of somebody of whom hardly anything is in view."""
    positions, _ = convert_joints(truth.positions, truth.joint_set, found.joint_set)
    apart = mean_distances(found.positions, positions)
    seen = (truth.status == JointStatus.MEASURED) & in_picture(frame.camera, truth.positions)
    enough = seen.sum(axis=1) >= MIN_VISIBLE_JOINTS
    nearest = apart.min(axis=1, initial=np.inf)
    somebody = np.asarray((apart[:, enough] < MATCH_GATE).any(axis=1))
    return somebody, somebody | (nearest > _NOBODY)


def fit(poses: Poses, names: tuple[str, ...] = EVIDENCE) -> Judge:
    """Logistic regression by Newton's method.

    Args:
        names: of the evidence to use; the rest gets no weight.

    Raises:
        ValueError: there are no poses of people, or none of nobody.
    """
    if not 0 < poses.people.sum() < len(poses):
        raise ValueError(f"{int(poses.people.sum())} of {len(poses)} poses are people's: a judge needs both kinds")
    used = [EVIDENCE.index(name) for name in names]
    columns = poses.columns[:, used]
    middle, spread = columns.mean(axis=0), np.maximum(columns.std(axis=0), 1e-6)
    design = np.concatenate([(columns - middle) / spread, np.ones((len(poses), 1))], axis=1)
    ridge = np.diag([_RIDGE] * len(used) + [0.0])
    found = np.zeros(len(used) + 1)
    for _ in range(30):
        likely = 1 / (1 + np.exp(-design @ found))
        slope = design.T @ (likely - poses.people) + ridge @ found
        found = found - np.linalg.solve((design * (likely * (1 - likely))[:, None]).T @ design + ridge, slope)
    weights = dict.fromkeys(EVIDENCE, 0.0) | dict(zip(names, (found[:-1] / spread).tolist(), strict=True))
    return Judge(weights, float(found[-1] - found[:-1] @ (middle / spread)))
