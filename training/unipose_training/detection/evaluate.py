"""How many people a person detector finds, and how many of those are there.

``python -m unipose_training.detection.evaluate CLIPS --detector centernet``
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from unipose_ros.camera import Camera, project, unproject
from unipose_ros.config import PERSON_DETECTORS, EstimatorConfig, WeightsConfig
from unipose_ros.detection import DetectionConfig, PersonDetector, Proposals
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons
from unipose_ros.modalities.factory import Components, build_person_detector
from unipose_ros.tracking.assignment import match
from unipose_training.datasets.base import Clip, open_clips
from unipose_training.datasets.shards import ShardClip

#: A proposal is for a person whose middle is closer than this, in meters.
_CLOSE = 0.5
#: People with a smaller part of their joints in view need not be found, nor is it wrong to find them.
_LEAST_SEEN = 0.35
_TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")


@dataclass(frozen=True)
class DetectionCounts:
    """What became of the people of some frames.

    Attributes:
        people: who can be seen.
        hits: of them, who was found.
        wrong: proposals where there is no person.
        seconds: spent in the person detector.
        frames: how many there were.
    """

    people: int = 0
    hits: int = 0
    wrong: int = 0
    seconds: float = 0.0
    frames: int = 0

    def __add__(self, other: DetectionCounts) -> DetectionCounts:
        return DetectionCounts(
            *(one + another for one, another in zip(vars(self).values(), vars(other).values(), strict=True))
        )

    def __str__(self) -> str:
        found = self.hits + self.wrong
        recall, precision = self.hits / max(self.people, 1), self.hits / max(found, 1)
        milliseconds = 1000 * self.seconds / max(self.frames, 1)
        return f"{self.people:6d} {recall:8.3f} {precision:10.3f} {milliseconds:8.1f}"


def count_matches(found: Proposals, ground_truth: Skeletons, camera: Camera, seconds: float = 0.0) -> DetectionCounts:
    """Compare a frame's proposals with the people in it, one to one.

    A proposal is where its box's middle is at its distance; a person is where the middle of the box
    around the joints in view is at the trunk's distance.
    """
    middles, seen = _true_middles(ground_truth, camera)
    if not len(found) or not len(middles):
        return DetectionCounts(int(seen.sum()), 0, len(found), seconds, 1)
    proposed = unproject(camera, (found.boxes[:, :2] + found.boxes[:, 2:]) / 2, found.distances)
    apart = np.linalg.norm(proposed[:, None] - middles[None], axis=-1)
    _, people = match(np.nan_to_num(apart, nan=np.inf), np.full(len(found), _CLOSE))
    return DetectionCounts(int(seen.sum()), int(seen[people].sum()), len(found) - len(people), seconds, 1)


def _true_middles(ground_truth: Skeletons, camera: Camera) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(N, 3) meters of all people with a joint in view, and (N,) whether enough of them is."""
    pixels = project(camera, ground_truth.positions)
    size = (camera.width, camera.height)
    inside = ((pixels >= 0) & (pixels < size)).all(axis=-1) & (ground_truth.status == JointStatus.MEASURED)
    there = inside.any(axis=1)
    low = np.where(inside[..., None], pixels, np.inf).min(axis=1)[there]
    high = np.where(inside[..., None], pixels, -np.inf).max(axis=1)[there]
    trunk = [ground_truth.joint_set.index(name) for name in _TRUNK]
    distances = ground_truth.positions[there][:, trunk, 2].mean(axis=1)
    return unproject(camera, (low + high) / 2, distances), inside[there].mean(axis=1) >= _LEAST_SEEN


def measure(person_detector: PersonDetector, clips: Iterable[Clip], every: int) -> dict[str, DetectionCounts]:
    """Evaluate a person detector, by subset; it sees every so many frames of each clip."""
    results: dict[str, DetectionCounts] = defaultdict(DetectionCounts)
    for clip in clips:
        person_detector.reset()
        for frame, ground_truth in _pairs(clip, every):
            began = time.thread_time()
            found = person_detector(frame)
            results[clip.subset] += count_matches(found, ground_truth, frame.camera, time.thread_time() - began)
    return dict(results)


def _pairs(clip: Clip, every: int) -> Iterator[tuple[RgbdFrame, Skeletons]]:
    if isinstance(clip, ShardClip):  # need not decode the frames in between
        shard = clip.load()
        yield from ((shard.frame(number), shard.ground_truth(number)) for number in range(0, len(shard), every))
        return
    ground_truths = {ground_truth.stamp_ns: ground_truth for ground_truth in clip.ground_truth()}
    known = ((frame, ground_truths[frame.stamp_ns]) for frame in clip.frames() if frame.stamp_ns in ground_truths)
    yield from islice(known, 0, None, every)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table by subset; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path, help="recordings with ground truth")
    parser.add_argument("--detector", choices=PERSON_DETECTORS[1:], default="centernet")
    parser.add_argument("--weights", default="", help="of the person detector (default: the shipped ones)")
    parser.add_argument("--every", type=int, default=5, help="frames; one of so many is processed")
    given = parser.parse_args(arguments)
    config = EstimatorConfig(
        threads=1,
        detection=DetectionConfig(detector=given.detector),
        weights=WeightsConfig(person_detector=given.weights),
    )
    person_detector = build_person_detector(config, Components())
    results = measure(person_detector, tqdm(open_clips(given.clips), unit="clip"), given.every)
    print(f"{person_detector.runtime}\n{'subset':12} people   recall  precision  ms/frame")
    for subset, found in sorted(results.items()):
        print(f"{subset:12} {found}")
    print(f"{'all':12} {sum(results.values(), DetectionCounts())}")
    person_detector.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
