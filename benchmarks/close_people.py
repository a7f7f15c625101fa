"""Two people close to each other: how many are found, by the distance between their pelvises; prints a table.

    python benchmarks/close_people.py --modalities points rgbd lookup
    python benchmarks/close_people.py --keep FOLDER     # renders once, and reads the frames again next time

Rendered people (the renderer and its assets as in ``unipose record-synthetic``) stand in an empty room, side by side
or one half behind the other, facing roughly the camera. A person counts as found when the mean error of all joints is
below 150 mm; each frame is evaluated for itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from unipose_ros.estimator import MODALITIES, EstimatorConfig, PoseEstimator, WeightsConfig, build_estimator
from unipose_ros.joint_sets import ITOP15, convert_joints
from unipose_ros.tracking.assignment import match
from unipose_training.datasets.shards import LabeledFrame, ShardClip, write_shard
from unipose_training.evaluation.matching import mean_distances
from unipose_training.synthetic.perform import Sources
from unipose_training.synthetic.photograph import photograph
from unipose_training.synthetic.variety.plans import ClipPlan, Posed, Role
from unipose_training.synthetic.variety.postures import draw_posture
from unipose_training.synthetic.variety.split import BENCHMARK
from unipose_training.synthetic.variety.staging import draw_clip

SEED = 20_261_128
#: Meters between pelvises, and the angle between the line through both and the image plane, in degrees.
DISTANCES = (0.60, 0.45, 0.35, 0.30)
ARRANGEMENTS = {"side by side": 0.0, "half behind": 55.0}
SCENES = 10
#: Meters; a person with a mean error below this is found.
HIT = 0.15


def plan(number: int, apart: float, angle: float) -> ClipPlan:
    """Scene ``number`` with two people at that distance; the same people and room at every distance."""
    rng = np.random.default_rng((SEED, number))
    clip = draw_clip(BENCHMARK, SEED, number, "single", 1, 10.0)
    while len(people := draw_clip(BENCHMARK, SEED, number, "crowd", 1, 10.0).roles) < 2:
        number += 1000
    middle = np.array([float(np.tan(clip.camera.yaw)) * 2.6, 2.6])
    across = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))]) * apart / 2
    roles = tuple(
        Role(
            f"{'ab'[side]}aaaa",
            people[side].person,
            Posed((draw_posture(rng, "standing"), draw_posture(rng, "standing"))),
            float(middle[0] + sign * across[0]),
            float(middle[1] + sign * across[1]),
            float(rng.uniform(-0.6, 0.6)),
        )
        for side, sign in enumerate((-1, 1))
    )
    return replace(clip, roles=roles, room=replace(clip.room, furniture=()), frames=2)


def frames(folder: Path | None, sources: Sources) -> Iterator[tuple[str, float, LabeledFrame]]:
    """All scenes: arrangement, distance, frame with ground truth."""
    todo = [
        (name, angle, apart, n) for name, angle in ARRANGEMENTS.items() for apart in DISTANCES for n in range(SCENES)
    ]
    for name, angle, apart, number in tqdm(todo, desc="scenes", unit="frame"):
        path = folder / f"{name.replace(' ', '_')}_{apart:.2f}_{number}.npz" if folder else None
        if path is not None and path.is_file():
            yield name, apart, ShardClip(path).load()[0]
            continue
        photo = next(photograph(plan(number, apart, angle), sources))
        shown = LabeledFrame(
            photo.frame,
            photo.ground_truth,
            photo.boxes,
            np.asarray(photo.view.position),
            np.asarray(photo.view.rotation),
        )
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_shard(path, path.stem, "close", [shown])
        yield name, apart, shown


def evaluate(estimator: PoseEstimator, labeled: LabeledFrame) -> tuple[int, int, list[float]]:
    """Found, invented, and the mean errors of those found in millimeters."""
    estimator.reset()
    found = estimator.estimate(labeled.frame)
    ground_truth, _ = convert_joints(
        labeled.ground_truth.positions.astype(np.float64), labeled.ground_truth.joint_set, ITOP15
    )
    distances = mean_distances(ground_truth, found.positions)
    true, predicted = match(distances, np.full(len(ground_truth), HIT))
    return len(true), len(found) - len(predicted), (1e3 * distances[true, predicted]).tolist()


def table(results: dict[tuple[str, str, float], list[tuple[int, int, list[float]]]]) -> str:
    """Markdown: found of all, mean error, invented."""
    lines = ["| people | modality | " + " | ".join(f"{apart:.2f} m" for apart in DISTANCES) + " |"]
    lines.append("|---|---|" + "---|" * len(DISTANCES))
    for name in ARRANGEMENTS:
        for modality in dict.fromkeys(key[0] for key in results):
            cells = []
            for apart in DISTANCES:
                rows = results[modality, name, apart]
                errors = [error for _, _, each in rows for error in each]
                mean = f"{np.mean(errors):.0f} mm" if errors else "-"
                cells.append(f"{sum(r[0] for r in rows)} of {2 * len(rows)}, {mean}, {sum(r[1] for r in rows)} extra")
            lines.append(f"| {name} | {modality} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Render, evaluate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modalities", nargs="+", choices=sorted(MODALITIES), default=["points", "rgbd", "lookup"])
    parser.add_argument("--motions", type=Path, required=False, help="pybullet wheel or folder of DeepMimic clips")
    parser.add_argument("--clothes", type=Path, help="folder of MakeHuman garments")
    parser.add_argument("--keep", type=Path, help="folder for the rendered frames")
    parser.add_argument("--weights", action="append", default=[], metavar="NAME=FILE")
    options = parser.parse_args(arguments)
    weights = WeightsConfig(**dict(text.split("=", 1) for text in options.weights))
    sources = Sources(options.motions or Path(), options.clothes)
    shown = list(frames(options.keep, sources))
    results: dict[tuple[str, str, float], list[tuple[int, int, list[float]]]] = {}
    for modality in options.modalities:
        with closing(build_estimator(EstimatorConfig(modality=modality, weights=weights))) as estimator:
            for name, apart, labeled in shown:
                results.setdefault((modality, name, apart), []).append(evaluate(estimator, labeled))
    print(table(results))


if __name__ == "__main__":
    main()
