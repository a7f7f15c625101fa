"""What a pose verifier is fitted on: poses found in rendered clips, and whether there is a person."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from unipose_ros.config import EstimatorConfig, WeightsConfig
from unipose_ros.detection import DetectionConfig
from unipose_ros.detection.verification import POSE_FEATURES, PoseVerifier, pose_features
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons, in_image
from unipose_ros.joint_sets import convert_joints
from unipose_ros.modalities.base import Modality, StageClock
from unipose_ros.modalities.factory import Components, weights_file
from unipose_ros.modalities.registry import MODALITIES
from unipose_ros.networks.registry import NETWORKS
from unipose_ros.networks.weights import load_weights, save_weights
from unipose_ros.tracking.assignment import mean_distances
from unipose_training.datasets.base import open_clips
from unipose_training.datasets.shards import ShardClip
from unipose_training.evaluation.matching import MATCH_GATE, MIN_VISIBLE_JOINTS
from unipose_training.synthetic.stream.frames import rendered_frames, without_color
from unipose_training.synthetic.stream.settings import StreamSettings

FloatArray = NDArray[np.float64]

#: A pose whose joints are farther than this from all people's on average is no person's, in meters.
_NO_PERSON = 0.8
#: Without a background, readings end so far behind the farthest person, in meters.
_BEYOND = (0.2, 1.2)
#: Part of the image that a cut leaves on each side.
_CUT = (0.5, 0.8)
#: Of the regression's ridge, on columns of unit variance.
_RIDGE = 1.0


@dataclass(frozen=True, eq=False)
class Poses:
    """Poses of some frames.

    Attributes:
        columns: (N, 5) evidence.
        people: (N,) whether there is a person.
    """

    columns: FloatArray
    people: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.people)

    @classmethod
    def together(cls, parts: Iterable[Poses]) -> Poses:
        """All of them."""
        empty = cls(np.zeros((0, len(POSE_FEATURES))), np.zeros(0, np.bool_))
        known = [empty, *parts]
        return cls(np.concatenate([each.columns for each in known]), np.concatenate([each.people for each in known]))


class AcceptAll:
    """A verifier that accepts all poses, and remembers the last poses with the person detector's scores."""

    def __init__(self) -> None:
        self.shown: Skeletons | None = None

    def __call__(
        self, frame: RgbdFrame, people: Skeletons, least: float
    ) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """All of them."""
        self.shown = people
        return np.arange(len(people)), people.scores


@dataclass(frozen=True, eq=False)
class PoseSource:
    """A modality that drops no one.

    Attributes:
        modality: built with the verifier.
        verifier: gets what it finds.
    """

    modality: Modality
    verifier: AcceptAll

    def __call__(self, frame: RgbdFrame) -> Skeletons:
        """All people who are proposed in a frame, with the person detector's scores."""
        self.modality.reset()
        self.verifier.shown = None
        found = self.modality.estimate(frame, StageClock())
        return found if self.verifier.shown is None else self.verifier.shown


Labeled = tuple[RgbdFrame, Skeletons]


def frames_of(clip: ShardClip, every: int, rng: np.random.Generator) -> Iterator[Labeled]:
    """Every so many frames of a clip with their ground truth."""
    shard = clip.load()
    numbers = range(int(rng.integers(every)) % len(shard), len(shard), every)
    return ((shard.frame(number), shard.ground_truth(number)) for number in numbers)


def poses_of(frames: Iterable[Labeled], source: PoseSource, rng: np.random.Generator) -> Poses:
    """What is found in frames, and in what becomes of them without background or when a part of the image is cut
    off."""
    return Poses.together(
        _label(frame, ground_truth, source)
        for whole, ground_truth in frames
        for frame in _variants(whole, ground_truth, rng)
    )


def _variants(frame: RgbdFrame, ground_truth: Skeletons, rng: np.random.Generator) -> Iterator[RgbdFrame]:
    yield frame
    yield without_background(frame, ground_truth, rng) if rng.random() < 0.5 else cut(frame, rng)


def without_background(frame: RgbdFrame, ground_truth: Skeletons, rng: np.random.Generator) -> RgbdFrame:
    """No readings far behind the people, as outdoors or where a sensor's range ends."""
    assert frame.depth is not None
    farthest = float(ground_truth.positions[..., 2].max(initial=1.0)) + rng.uniform(*_BEYOND)
    return replace(frame, depth=np.where(frame.depth < farthest, frame.depth, np.float32(0)))


def cut(frame: RgbdFrame, rng: np.random.Generator) -> RgbdFrame:
    """A part of the image: people are half out of it."""
    assert frame.depth is not None
    camera = frame.camera
    width, height = (int(side * rng.uniform(*_CUT)) for side in (camera.width, camera.height))
    left, top = int(rng.integers(camera.width - width + 1)), int(rng.integers(camera.height - height + 1))
    moved = replace(camera, cx=camera.cx - left, cy=camera.cy - top, width=width, height=height)
    depth = np.ascontiguousarray(frame.depth[top : top + height, left : left + width])
    return replace(frame, camera=moved, depth=depth, color=None)


def _label(frame: RgbdFrame, ground_truth: Skeletons, source: PoseSource) -> Poses:
    found = source(frame)
    is_person, known = label_poses(frame, found, ground_truth)
    return Poses(pose_features(frame, found).columns[known], is_person[known])


def label_poses(
    frame: RgbdFrame, found: Skeletons, ground_truth: Skeletons
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(N,) whether a pose is a person's, and (N,) whether that is known: not of one that is near a person, nor of
    one of a person of whom hardly anything is in view."""
    positions, _ = convert_joints(ground_truth.positions, ground_truth.joint_set, found.joint_set)
    apart = mean_distances(found.positions, positions)
    seen = (ground_truth.status == JointStatus.MEASURED) & in_image(frame.camera, ground_truth.positions)
    enough = seen.sum(axis=1) >= MIN_VISIBLE_JOINTS
    nearest = apart.min(axis=1, initial=np.inf)
    is_person = np.asarray((apart[:, enough] < MATCH_GATE).any(axis=1))
    return is_person, is_person | (nearest > _NO_PERSON)


def fit_verifier(poses: Poses, names: tuple[str, ...] = POSE_FEATURES) -> PoseVerifier:
    """Logistic regression by Newton's method.

    Poses of people and others weigh the same together: how many proposals are people's depends on the scenes that were
    rendered, and is not what robots see.

    Args:
        names: of the evidence to use; the rest gets no weight.

    Raises:
        ValueError: all poses are of people, or none is.
    """
    if not 0 < poses.people.sum() < len(poses):
        raise ValueError(f"{int(poses.people.sum())} of {len(poses)} poses are people's: a verifier needs both kinds")
    used = [POSE_FEATURES.index(name) for name in names]
    columns = poses.columns[:, used]
    middle, deviation = columns.mean(axis=0), np.maximum(columns.std(axis=0), 1e-6)
    design = np.concatenate([(columns - middle) / deviation, np.ones((len(poses), 1))], axis=1)
    ridge = np.diag([_RIDGE] * len(used) + [0.0])
    fraction = poses.people.mean()
    balance = np.where(poses.people, 0.5 / fraction, 0.5 / (1 - fraction))
    found = np.zeros(len(used) + 1)
    for _ in range(30):
        likely = 1 / (1 + np.exp(-design @ found))
        slope = design.T @ (balance * (likely - poses.people)) + ridge @ found
        curvature = (design * (balance * likely * (1 - likely))[:, None]).T @ design + ridge
        found = found - np.linalg.solve(curvature, slope)
    weights = dict.fromkeys(POSE_FEATURES, 0.0) | dict(zip(names, (found[:-1] / deviation).tolist(), strict=True))
    return PoseVerifier(weights, float(found[-1] - found[:-1] @ (middle / deviation)))


# Fits the pose verifier of a network on rendered training clips and writes it into the network's model card.
#
# ``python -m unipose_training.detection.verifier --modality points``
#
# The verifier (:mod:`unipose_ros.detection.verification`) estimates the probability that a pose found in depth alone
# belongs to a person. The network's confidence weighs most and differs between networks: fit again after training.


#: One clip of so many tells how good the verifier is and does not train it.
_KEPT = 5
#: All proposals are verified.
_PEOPLE = DetectionConfig(max_people=20)


def main_fit(arguments: Sequence[str] | None = None) -> int:
    """Fit, show and write; returns the exit code."""
    given = _parser().parse_args(arguments)
    config = EstimatorConfig(given.modality, threads=1, detection=_PEOPLE)
    path = given.weights or weights_file(config, given.modality)
    named = WeightsConfig(**{given.modality: str(path)})
    accept_all = AcceptAll()
    built = MODALITIES[given.modality].build(
        given.modality, replace(config, weights=named), Components(verifier=accept_all)
    )
    source = PoseSource(built, accept_all)
    rng = np.random.default_rng(given.seed)
    if given.clips is None:
        rendered = rendered_frames(StreamSettings(), given.seed, given.stream)
        found = [
            poses_of([(without_color(each), each.ground_truth)], source, rng)
            for each in tqdm(rendered, unit="frame", total=given.stream)
        ]
    else:
        clips = [clip for clip in open_clips(given.clips)[:: given.clips_every] if isinstance(clip, ShardClip)]
        found = [poses_of(frames_of(clip, given.every, rng), source, rng) for clip in tqdm(clips, unit="clip")]
    built.close()
    kept = Poses.together(found[::_KEPT])
    training = Poses.together(poses for number, poses in enumerate(found) if number % _KEPT)
    fitted, other = (
        fit_verifier(training),
        fit_verifier(training, tuple(name for name in POSE_FEATURES if name != "confidence_logit")),
    )
    for name, each in (("fitted", fitted), ("without 'confidence_logit'", other)):
        print(f"{name}: {_shown(each)}; {quality(each, kept)}")
    if not given.dry_run:
        tensors, record = load_weights(path, given.modality)
        save_weights(path, tensors, replace(record, metrics={**record.metrics, **fitted.metrics()}))
        print(f"written into the record of {path}")
    return 0


def quality(verifier: PoseVerifier, poses: Poses) -> str:
    """What a verifier is worth on poses that did not train it, in words."""
    likely = verifier.probabilities(poses.columns)
    called = likely >= 0.5
    wrong = called & ~poses.people
    parts = [
        f"{len(poses)} poses of clips kept back, {int(poses.people.sum())} of people",
        f"people believed {(called & poses.people).sum() / max(poses.people.sum(), 1):.3f}",
        f"others believed {wrong.sum() / max((~poses.people).sum(), 1):.3f}",
        f"mean probability {likely.mean():.3f}",
        f"Brier {np.mean((likely - poses.people) ** 2):.4f}",
    ]
    return ", ".join(parts)


def _shown(verifier: PoseVerifier) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in {**verifier.weights, "bias": verifier.bias}.items())


def _parser() -> argparse.ArgumentParser:
    verified = [name for name, spec in NETWORKS.items() if spec.images == ("depth",)]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "clips", type=Path, nargs="?", help="shards for training (unipose record-synthetic); without: see --stream"
    )
    parser.add_argument("--stream", type=int, default=400, help="frames that are rendered where no clips are given")
    parser.add_argument("--modality", choices=verified, default="points")
    parser.add_argument("--weights", type=Path, help="file of the network (default: the shipped one)")
    parser.add_argument("--every", type=int, default=6, help="frames of a clip; one of so many is processed")
    parser.add_argument("--clips-every", type=int, default=3, help="clips; one of so many is processed")
    parser.add_argument("--seed", type=int, default=0, help="of which frames, and what is cut off")
    parser.add_argument("--dry-run", action="store_true", help="show the verifier, write nothing")
    return parser


if __name__ == "__main__":
    sys.exit(main_fit())
