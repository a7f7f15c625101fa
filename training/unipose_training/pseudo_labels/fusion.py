"""Joints over time that agree best with a network, lifted keypoints, a lifter, one body and steady motion.

No source is right everywhere: lifted keypoints are exact on what is seen and wrong by a limb's length
where something hides it; a lifter knows how hidden limbs may lie, but not how far away; a network is
never far off and never exact. Each claim counts by Student's t, so that one who is far from
all others is not heard (Lange, Little and Taylor, JASA 1989). The sum is minimized as pose and
length of limbs are in bundle adjustment with a body (Arnab et al., CVPR 2019). The numbers are ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unipose_ros.camera import Camera
from unipose_ros.joint_sets import ITOP15
from unipose_ros.lifting import Lifter
from unipose_training.losses.body import BodyPriors
from unipose_training.losses.robust import bone_lengths, split_valid
from unipose_training.samples.store import SampleStore

#: Degrees of freedom of Student's t: fewer hear outliers less.
_FREEDOM = 2.0
#: Standard deviation of a bone's length over the frames of a person, in meters, and over people as a part of it.
_BONE, _PEOPLE = 0.02, 0.08
#: Standard deviation of how much larger or smaller than it says a lifter's pose is.
_GROWTH = 0.07
#: Frames so many seconds apart change their motion as ``BodyPriors.unrest`` says.
_STEP = 0.1
#: Who agree may be wrong together: their uncertainty is larger by a factor, and never below so many meters.
#: Both as measured on rendered people, whose ground truth is known.
_DEPENDENT, _LEAST_STD = 1.7, 0.015
#: Standard deviations are so many times as wide at first, and as they are after this part of the steps.
_WIDE, _NARROWED = 4.0, 0.6
#: Rows that are fitted at once.
_AT_ONCE = 20_000
#: Of Adam (Kingma and Ba, ICLR 2015), in meters at first.
_RATE, _BETAS = 0.02, (0.8, 0.95)


@dataclass(frozen=True)
class FusionSettings:
    """How joints are found that agree with all sources.

    Attributes:
        steps: of the minimization; 0 takes the network's joints as they are.
        depth_scale: factor on the standard deviations of lifted keypoints, which are too small; 0 leaves them out.
        lifter_scale: factor on the lifter's standard deviations; 0 leaves it out.
        bone_weight: of one length of a bone over all frames of a person.
        motion_weight: of steady motion.

    Raises:
        ValueError: one is negative.
    """

    steps: int = 250
    depth_scale: float = 0.4
    lifter_scale: float = 1.0
    bone_weight: float = 1.0
    motion_weight: float = 1.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0:
                raise ValueError(f"fusion.{name} = {value}: must be at least 0")


class FusedPoses(NamedTuple):
    """What all agree on.

    Attributes:
        joints: (N, J, 3) meters in the camera's frame; NaN where the network and lifted keypoints say nothing.
        log_scales: (N, J) log of Laplace's scale of a coordinate, in meters.
    """

    joints: Tensor
    log_scales: Tensor


def fuse_trajectories(observations: Observations, priors: BodyPriors, settings: FusionSettings) -> FusedPoses:
    """See the module.

    Args:
        observations: a person's frames are in the order of time.
    """
    if not settings.steps:
        return FusedPoses(observations.joints, (observations.stds / 2**0.5).log())
    parts = [
        _Fit(slice_observations(observations, *ends), priors, settings).run() for ends in _pieces(observations.before)
    ]
    return FusedPoses(*(torch.cat(values) for values in zip(*parts, strict=True)))


def chains(before: Tensor) -> Tensor:
    """(N,) earlier rows or -1 -> (N,) which person a row is of, counted from 0."""
    numbers: list[int] = []
    count = 0
    for row in before.tolist():
        numbers.append(numbers[row] if row >= 0 else count)
        count += row < 0
    return torch.tensor(numbers, dtype=torch.long)


def _pieces(before: Tensor) -> Iterator[tuple[int, int]]:
    """First and last row, plus one, of pieces that no person crosses."""
    reach = torch.arange(len(before))
    reach[before[before >= 0]] = (before >= 0).nonzero()[:, 0]
    # A cut before row i is free when no earlier row is linked to i or later.
    furthest = torch.cummax(reach, 0).values.tolist()
    first = 0
    for row in range(1, len(before) + 1):
        whole = row == len(before) or furthest[row - 1] < row
        if whole and (row - first >= _AT_ONCE or row == len(before)):
            yield first, row
            first = row


class _Fit:
    """The unknowns of some people, and how unlikely they are."""

    def __init__(self, observations: Observations, priors: BodyPriors, settings: FusionSettings) -> None:
        self._settings, self._priors, self._observations = settings, priors, observations
        self._chains = chains(observations.before).to(observations.joints.device)
        people = int(self._chains.max()) + 1
        self._usual = priors.bone_means * _mean_by(self._chains, observations.size.nan_to_num(1.0), people)[:, None]
        start = torch.where(observations.joints.isfinite(), observations.joints, observations.lifted)
        self._unknown = ~start.isfinite().all(-1)
        self.joints = start.nan_to_num().clone()
        self._roots = (start - observations.shapes.joints).nanmedian(1, keepdim=True).values.nan_to_num()
        self._log_scale = torch.zeros(people, device=start.device)
        self._bones = self._usual.clone()
        self._network = _or_zero(observations.joints, observations.stds)
        self._lifted = _or_zero(observations.lifted, settings.depth_scale * observations.lifted_stds)
        self._shapes = _or_zero(observations.shapes.joints, settings.lifter_scale * observations.shapes.stds)
        linked = observations.before >= 0
        self._thirds = (linked & linked[observations.before.clamp_min(0)]).nonzero()[:, 0]

    def run(self) -> FusedPoses:
        """Minimise."""
        with torch.enable_grad():
            unknowns = [value.requires_grad_() for value in (self.joints, self._roots, self._log_scale, self._bones)]
            optimizer = torch.optim.Adam(unknowns, lr=_RATE, betas=_BETAS)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self._settings.steps)
            for step in range(self._settings.steps):
                optimizer.zero_grad()
                self._unlikely(_width(step / self._settings.steps)).backward()  # type: ignore[no-untyped-call]  # torch's stubs
                optimizer.step()
                schedule.step()
        joints = self.joints.detach()
        std = torch.hypot(_DEPENDENT * (2 * self._precision(joints)).rsqrt(), torch.tensor(_LEAST_STD))
        return FusedPoses(
            torch.where(self._unknown[..., None], torch.nan, joints),
            torch.where(self._unknown, torch.nan, std.log()),
        )

    def _unlikely(self, width: float) -> Tensor:
        """Minus the logarithm of the likelihood, up to a constant, with standard deviations so many times as wide."""
        claimed = [
            _student_t_nll((self.joints - points).square().sum(-1), width * stds) for points, stds in self._sources()
        ]
        total = torch.stack([each.sum() for each in claimed]).sum() + (self._log_scale / _GROWTH).square().sum() / 2
        if self._settings.bone_weight:
            total = total + self._settings.bone_weight * self._body()
        if self._settings.motion_weight and len(self._thirds):
            total = total + self._settings.motion_weight * self._motion()
        return total

    def _sources(self) -> list[tuple[Tensor, Tensor]]:
        """Places and their standard deviations."""
        sources = [self._network]
        if self._settings.depth_scale:
            sources.append(self._lifted)
        if self._settings.lifter_scale:
            shapes, stds = self._shapes
            sources.append((shapes * self._log_scale.exp()[self._chains, None, None] + self._roots, stds))
        return sources

    def _body(self) -> Tensor:
        lengths = bone_lengths(self.joints, self._priors.bones)
        unlike = _student_t_nll(
            (lengths - self._bones[self._chains]).square(), torch.tensor(_BONE, device=lengths.device)
        )
        people = (self._bones.clamp_min(1e-3) / self._usual).log().square() / (2 * _PEOPLE**2)
        return unlike.sum() + people.sum()

    def _motion(self) -> Tensor:
        now, before = self._thirds, self._observations.before
        second = self.joints[now] - 2 * self.joints[before[now]] + self.joints[before[before[now]]]
        # In less time motion changes less: uniformly accelerated places by the square of it.
        time = (self._observations.seconds[now] / _STEP).clamp(0.1, 1).square()
        return _student_t_nll(second.square().sum(-1), self._priors.acceleration_std * time[:, None]).sum()

    def _precision(self, joints: Tensor) -> Tensor:
        """(N, J) of a coordinate, of all who are near."""
        total = torch.zeros_like(joints[..., 0])
        with torch.no_grad():
            for points, stds in self._sources():
                apart = (joints - points).square().sum(-1)
                total += (_FREEDOM + 3) / (_FREEDOM * stds.square() + apart)
        return total


def _width(progress: float) -> float:
    """Wide at first, where all sources count: the minimum that is found then does not hang on who was asked first.

    Graduated non-convexity (Blake and Zisserman, 1987).
    """
    return float(max(1.0, _WIDE ** (1 - progress / _NARROWED)))


def _student_t_nll(squares: Tensor, stds: Tensor) -> Tensor:
    """Student's t for a vector that is ``squares`` (meters squared) away: minus its log, up to a constant."""
    return (_FREEDOM + 3) / 2 * torch.log1p(squares / (_FREEDOM * stds.square()))


def _or_zero(points: Tensor, stds: Tensor) -> tuple[Tensor, Tensor]:
    """What is unknown has an infinite standard deviation, and counts nothing."""
    points, valid = split_valid(points)
    return points, torch.where(valid.all(-1) & stds.isfinite(), stds, torch.inf)


def _mean_by(groups: Tensor, values: Tensor, count: int) -> Tensor:
    total = torch.zeros(count, device=values.device).index_add(0, groups, values)
    return total / torch.bincount(groups, minlength=count)


# Observations of people in successive frames, by sources without 3D labels.

#: Standard deviation (meters) of a sure keypoint across its ray.
_ACROSS = 0.03
#: The least confidence that is divided by.
_LEAST = 0.05


class RootRelativePoses(NamedTuple):
    """Poses without places, as a lifter makes them of keypoints.

    Attributes:
        joints: (N, J, 3) meters, axes of the camera, from any origin; NaN where nothing could be lifted.
        stds: (N, J) standard deviation of a coordinate in meters.
    """

    joints: Tensor
    stds: Tensor


class Observations(NamedTuple):
    """Observations of N rows; all stds are standard deviations of a coordinate in meters.

    Attributes:
        joints, stds: (N, J, 3) and (N, J), a network's; NaN where it says nothing.
        lifted, lifted_stds: (N, J, 3) and (N, J), what modality ``lookup`` has; NaN where that is nothing.
        shapes: a lifter's.
        size: (N,) of the person as a part of an average adult.
        before: (N,) the row of the same person one frame before, or -1.
        seconds: (N,) since then.
    """

    joints: Tensor
    stds: Tensor
    lifted: Tensor
    lifted_stds: Tensor
    shapes: RootRelativePoses
    size: Tensor
    before: Tensor
    seconds: Tensor


def observations_of_store(
    store: SampleStore, joints: Tensor, log_scales: Tensor, shapes: RootRelativePoses
) -> Observations:
    """All observations of the rows of a store.

    Args:
        joints, log_scales: (N, J, 3) and (N, J) of a network; Laplace's log scales of a coordinate.
    """
    before = np.array(store["previous"])
    stamps = np.array(store["stamp_ns"])
    seconds = np.where(before >= 0, stamps - stamps[before], 0) * 1e-9
    return Observations(
        joints=joints,
        # Laplace's variance is 2 s^2.
        stds=2**0.5 * log_scales.exp(),
        lifted=_tensor(store, "lifted"),
        lifted_stds=lifted_stds(_tensor(store, "lifted_variance"), _tensor(store, "lifted_confidence")),
        shapes=shapes,
        size=_tensor(store, "size"),
        before=torch.from_numpy(before.astype(np.int64)),
        seconds=torch.from_numpy(seconds.astype(np.float32)),
    )


def lifted_stds(variance: Tensor, confidence: Tensor) -> Tensor:
    """(...) meters, from the variance along z and the keypoint's confidence. An uncertain keypoint may be anywhere."""
    return (variance + _ACROSS**2).sqrt() / confidence.clamp(_LEAST, 1)


def slice_observations(observations: Observations, first: int, end: int) -> Observations:
    """Rows ``first`` to ``end``, whose earlier rows are among them."""
    cut = {name: value[first:end] for name, value in observations._asdict().items() if name != "shapes"}
    before = torch.where(cut["before"] >= 0, cut["before"] - first, -1)
    return Observations(
        **cut | {"before": before}, shapes=RootRelativePoses(*(value[first:end] for value in observations.shapes))
    )


def _tensor(store: SampleStore, name: str) -> Tensor:
    values: NDArray[np.float32] = np.array(store[name], np.float32)
    return torch.from_numpy(values)


# The lifter's opinion of every row of a store.


def root_relative_poses_of_store(store: SampleStore, lifter: Lifter) -> RootRelativePoses:
    """Poses of all rows; NaN for those who show too few keypoints."""
    rows, joints = len(store), len(ITOP15)
    positions = np.full((rows, joints, 3), np.nan, np.float32)
    stds = np.full((rows, joints), np.nan, np.float32)
    views = np.concatenate([store["camera"], store["image_size"]], axis=1)
    for view in np.unique(views, axis=0):
        chosen = np.flatnonzero((views == view).all(axis=1))
        fx, fy, cx, cy = (float(value) for value in view[:4])
        camera = Camera(fx, fy, cx, cy, width=int(view[4]), height=int(view[5]))
        keypoints = store.keypoints(chosen)
        enough = lifter.liftable(keypoints, camera)
        if enough.any():
            chosen, keypoints = chosen[enough], keypoints.select(enough)
            poses = lifter.relative(keypoints, camera, lifter.seen(keypoints, camera))
            positions[chosen] = poses.joints
            stds[chosen] = np.sqrt((poses.stds**2).mean(axis=-1))
    return RootRelativePoses(torch.from_numpy(positions), torch.from_numpy(stds))


def no_root_relative_poses(rows: int) -> RootRelativePoses:
    """No person was lifted."""
    joints = len(ITOP15)
    return RootRelativePoses(torch.full((rows, joints, 3), torch.nan), torch.full((rows, joints), torch.nan))
