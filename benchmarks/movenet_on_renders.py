"""How MoveNet does on rendered people, by the side they show; prints a table of docs/results/accuracy.md.

    python benchmarks/movenet_on_renders.py --motions pybullet-3.2.7-*.whl --clothes CLOTHES

Renders must behave like photographs, or what is measured on them means nothing and a network
trained by MoveNet on them learns nothing. One image per clip; people count whose 17 keypoints are
all in the image, hidden or not.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from unipose_ros.camera import project
from unipose_ros.detection.movenet import load_movenet
from unipose_ros.frame import JointStatus
from unipose_ros.joint_sets import COCO17, COCO23
from unipose_ros.keypoints import KeypointDetector
from unipose_training.evaluation.metrics.pose import facing_angles
from unipose_training.synthetic.perform import Sources
from unipose_training.synthetic.photograph import Photograph, photograph
from unipose_training.synthetic.record import default_motions
from unipose_training.synthetic.variety.split import SPLITS
from unipose_training.synthetic.variety.staging import draw_clip

#: Shoulders, elbows, wrists, hips, knees, ankles.
BODY = slice(5, 17)
MIRROR = list(COCO17.mirror)


@dataclass(frozen=True)
class Verdict:
    """One person: degrees of facing, errors of 12 joints in shares of the height, of the seen ones, and a swap."""

    facing: float
    found: bool
    errors: NDArray[np.float64]
    seen: NDArray[np.bool_]
    swapped: bool


def evaluate(photo: Photograph, detector: KeypointDetector) -> Iterator[Verdict]:
    """All people who are whole in the image."""
    assert photo.frame.color is not None
    camera = photo.frame.camera
    found = detector(photo.frame.color)
    angles = facing_angles(photo.ground_truth.positions, COCO23)
    for person, joints in enumerate(photo.ground_truth.positions):
        pixels = project(camera, joints)[:17]
        inside = (pixels > 2).all(axis=1) & (pixels < [camera.width - 3, camera.height - 3]).all(axis=1)
        if not inside.all():
            continue
        height = np.ptp(photo.boxes[person, 1::2])
        seen = photo.ground_truth.status[person, BODY] == JointStatus.MEASURED
        errors = np.linalg.norm(found.pixels - pixels, axis=-1)[:, BODY] / height
        crossed = np.linalg.norm(found.pixels[:, MIRROR] - pixels, axis=-1)[:, BODY] / height
        best = int(np.argmin(np.median(np.minimum(errors, crossed), axis=1))) if len(found) else -1
        # Found: the better half of the joints is nearer than a fifth of the height.
        hit = best >= 0 and float(np.median(np.minimum(errors, crossed)[best])) < 0.2
        swapped = hit and float(np.median(crossed[best])) < float(np.median(errors[best]))
        yield Verdict(float(angles[person]), hit, errors[best] if hit else np.full(12, np.nan), seen, swapped)


def row(name: str, verdicts: list[Verdict]) -> str:
    """Of the found ones; errors over visible joints, and over all."""
    hits = [verdict for verdict in verdicts if verdict.found]
    errors = np.stack([verdict.errors for verdict in hits])
    seen = np.stack([verdict.seen for verdict in hits])
    near = [f"{(errors[seen] < limit).mean():.3f}" for limit in (0.05, 0.1)]
    every = [f"{(errors < limit).mean():.2f}" for limit in (0.05, 0.1)]
    swaps = np.mean([verdict.swapped for verdict in hits])
    cells = [name, str(len(verdicts)), f"{len(hits) / len(verdicts):.1%}", *near, *every]
    return "| " + " | ".join([*cells, f"{np.median(errors[seen]):.2%}", f"{swaps:.1%}"]) + " |"


def main() -> None:
    """Render, detect, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--motions", type=Path)
    parser.add_argument("--clothes", type=Path)
    parser.add_argument("--clips", type=int, default=150)
    parser.add_argument("--split", choices=sorted(SPLITS), default="training")
    parser.add_argument("--subsets", nargs="+", default=["single"])
    parser.add_argument("--seed", type=int, default=11)
    given = parser.parse_args()
    sources, split = Sources(given.motions or default_motions(), given.clothes), SPLITS[given.split]
    detector, verdicts = load_movenet(), []
    for number in tqdm(range(given.clips)):
        plan = draw_clip(split, given.seed, number, given.subsets[number % len(given.subsets)], 2, 10.0)
        verdicts += evaluate(next(photograph(plan, sources)), detector)
    print("| shows | people | found | < 5 % | < 10 % | all < 5 % | all < 10 % | median | swapped |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, low, high in (("front", 0, 60), ("side", 60, 120), ("back", 120, 181), ("all", 0, 181)):
        print(row(name, [verdict for verdict in verdicts if low <= abs(verdict.facing) < high]))


if __name__ == "__main__":
    main()
