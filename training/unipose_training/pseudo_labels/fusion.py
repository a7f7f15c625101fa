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

import torch
from torch import Tensor

from unipose_training.losses.body_priors import BodyPriors
from unipose_training.losses.robust import bone_lengths, split_valid
from unipose_training.pseudo_labels.observations import Observations, slice_observations

#: Degrees of freedom of Student's t: fewer hear outliers less.
_FREEDOM = 2.0
#: Spread of a bone's length over the frames of a person, in meters, and over people as a part of it.
_BONE, _PEOPLE = 0.02, 0.08
#: Spread of how much larger or smaller than it says a lifter's pose is.
_GROWTH = 0.07
#: Frames so many seconds apart change their motion as ``BodyPriors.unrest`` says.
_STEP = 0.1
#: Who agree may be wrong together: their uncertainty is larger by a factor, and never below so many meters.
#: Both as measured on rendered people, whose ground truth is known.
_DEPENDENT, _LEAST_DOUBT = 1.7, 0.015
#: Spreads are so many times as wide at first, and as they are after this part of the steps.
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
        doubt = torch.hypot(_DEPENDENT * (2 * self._precision(joints)).rsqrt(), torch.tensor(_LEAST_DOUBT))
        return FusedPoses(
            torch.where(self._unknown[..., None], torch.nan, joints),
            torch.where(self._unknown, torch.nan, doubt.log()),
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
    """What is not said has an infinite spread, and counts nothing."""
    points, valid = split_valid(points)
    return points, torch.where(valid.all(-1) & stds.isfinite(), stds, torch.inf)


def _mean_by(groups: Tensor, values: Tensor, count: int) -> Tensor:
    total = torch.zeros(count, device=values.device).index_add(0, groups, values)
    return total / torch.bincount(groups, minlength=count)
