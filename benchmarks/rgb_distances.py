"""How far away people are without depth, with a little and with all of it; rows of docs/methods/camerapose.md.

    python benchmarks/rgb_distances.py CLIPS

CLIPS holds rendered shards. One frame of each clip is shown to MoveNet, and what each way says about the
distance of a person's trunk is compared with the ground truth.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from unipose_ros.camera import project
from unipose_ros.codecs.windows import lifted_distance, size_distance
from unipose_ros.detection import DetectionConfig, select_people, visible_keypoints
from unipose_ros.detection.movenet import load_movenet
from unipose_ros.frame import RgbdFrame
from unipose_ros.joint_sets import COCO17, COCO23
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.lifting import Lifter, load_lifter
from unipose_training.datasets.shards import LabeledFrame, ShardClip

#: A detection is of a person when half of its visible keypoints are nearer than this part of the person's size.
_NEAR = 0.2
#: Part of the pixels that a dying depth image keeps.
_LEFT = 0.01
_TRUNK = [COCO23.index(f"{side}_{part}") for part in ("shoulder", "hip") for side in ("left", "right")]


def matched(labeled: LabeledFrame, people: Keypoints2D, seen: NDArray[np.bool_]) -> Iterator[tuple[int, float]]:
    """Detected people, and the true distance of their trunks in meters."""
    joints = labeled.ground_truth.positions
    true = project(labeled.frame.camera, joints)[:, : len(COCO17)]
    sizes = np.linalg.norm(np.ptp(true, axis=1), axis=-1)
    taken: set[int] = set()
    for person in range(len(people)):
        apart = np.linalg.norm(true - people.pixels[person], axis=-1)[:, seen[person]]
        off = np.median(apart, axis=1) / sizes
        best = int(off.argmin())
        if off[best] <= _NEAR and best not in taken:
            taken.add(best)
            yield person, float(joints[best, _TRUNK, 2].mean())


def distances(
    frame: RgbdFrame, one: Keypoints2D, seen: NDArray[np.bool_], lifters: dict[str, Lifter], left: NDArray[np.bool_]
) -> dict[str, float]:
    """What each way says about one person."""
    assert frame.depth is not None
    blind, dying = replace(frame, depth=None), replace(frame, depth=np.where(left, frame.depth, 0).astype(np.float32))
    estimates = {"size of the bones": size_distance(frame.camera, one.pixels[0], seen)[0]}
    estimates |= {name: lifted_distance(lifter, blind, one)[0] for name, lifter in lifters.items()}
    refined = lifters["refiner, lifter and placement"]
    estimates["the same, one depth pixel in a hundred"] = lifted_distance(refined, dying, one)[0]
    estimates["the same, all of depth"] = lifted_distance(refined, frame, one)[0]
    return estimates


def main() -> None:
    """Look at one frame of every clip, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take every so nth clip")
    parser.add_argument("--frame", type=int, default=15)
    given = parser.parse_args()
    detector, config, random = load_movenet(threads=1), DetectionConfig(), np.random.default_rng(0)
    lifters = {"lifter and placement": load_lifter(refine=False), "refiner, lifter and placement": load_lifter()}
    errors: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for path in tqdm(sorted(given.clips.rglob("*.npz"))[:: given.every]):
        labeled = ShardClip(path).load()[given.frame]
        frame, camera = labeled.frame, labeled.frame.camera
        assert frame.color is not None
        people = select_people(detector(frame.color), camera.width, camera.height, config)
        seen = visible_keypoints(people, camera.width, camera.height, config)
        left = random.random((camera.height, camera.width)) < _LEFT
        for person, true in matched(labeled, people, seen):
            one = people.select(np.array([person]))
            for name, estimates in distances(frame, one, seen[person], lifters, left).items():
                errors[name].append((estimates - true, true))
    print("| distance by | people | median | mean | bias |\n|---|---|---|---|---|")
    for name, pairs in errors.items():
        off, true_distances = np.array([pair for pair in pairs if np.isfinite(pair[0])]).T
        figures = f"{np.median(abs(off)):.3f} | {abs(off).mean():.3f} | {np.median(off / true_distances):+.1%}"
        print(f"| {name} | {len(off)} | {figures} |")


if __name__ == "__main__":
    main()
