"""The tracker alone: true people with noise and drop-outs as detections; HOTA, IDF1 and id switches by scene.

    python benchmarks/tracking.py                          # walks of template people, seconds each
    python benchmarks/tracking.py --synth FOLDER           # and the crowd and occluded subsets of UniPose-Synth
    python benchmarks/tracking.py --set track.max_age=1.0  # with another setting

Scenes without files: ``crossing``, two people pass each other, the far one hidden for a second; ``hidden``, one walks
on, stops or turns behind something for a second; ``crowd``, five people walk about and hide each other; ``moving``,
the same crowd seen by a robot that drives and turns, with and without the camera's pose; ``walk``, the demo recording's
true people at several frame rates. ``--synth`` reads shards of ``unipose record-synthetic --benchmark --format shard``:
who is seen is what the renderer says, and ``moving`` turns and moves their camera as well.

Detections lack people of whom less than a third of the joints is visible, and others at random; every joint has noise,
every detection an offset of its own, and some are false.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.frame import JointStatus, Skeletons
from unipose_ros.joint_sets import ITOP15
from unipose_ros.recordings import BagReader, RgbdRecording
from unipose_ros.tracking import NearestTracker, TrackerConfig
from unipose_training.datasets.joint_sets import in_joint_set
from unipose_training.datasets.shards import ShardClip
from unipose_training.evaluation.matching import ScoredFrame, match_people
from unipose_training.evaluation.metrics.tracking import identity

SEED = 20_261_129
SECOND = 1_000_000_000
#: Meters: noise of each joint, of each person as a whole; fraction of people missed; people invented a second.
JOINT_NOISE, BODY_NOISE, MISSED, INVENTED = 0.03, 0.03, 0.08, 0.3
#: A person of whom fewer of the joints are visible is not detected.
LEAST_VISIBLE = 1 / 3
#: Half the width of a person who hides others, meters.
HALF_WIDTH = 0.22
# Head to feet in the order of ITOP-15, x left of the person, y down, z forward; hips at the origin.
TEMPLATE = np.array(
    [
        [0, -0.75, 0], [0, -0.5, 0], [-0.18, -0.5, 0], [0.18, -0.5, 0], [-0.3, -0.25, 0], [0.3, -0.25, 0],
        [-0.35, 0.05, 0.1], [0.35, 0.05, 0.1], [0, -0.25, 0], [-0.11, 0, 0], [0.11, 0, 0], [-0.12, 0.45, 0],
        [0.12, 0.45, 0], [-0.13, 0.9, -0.05], [0.13, 0.9, -0.05],
    ]
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Moment:
    """One frame: its people, and the camera's pose in the world where it is known."""

    ground_truth: Skeletons
    pose: NDArray[np.float64] | None = None


Scene = list[Moment]


def person(place: NDArray[np.float64], heading: float, size: float) -> NDArray[np.float64]:
    """(15, 3) the template at a place in the image's frame, looking along (sin, cos) of x and z."""
    c, s = np.cos(heading), np.sin(heading)
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    return np.asarray(size * TEMPLATE @ turn.T + [place[0], 0.0, place[1]])


def moment(number: int, rate: float, people: Sequence[NDArray[np.float64]], hidden: Sequence[bool]) -> Moment:
    """True people of a frame; those hidden by something, or by each other, have no visible joint."""
    count = len(people)
    positions = np.array(people, np.float32).reshape(count, len(ITOP15), 3)
    seen = ~np.array(hidden, bool).reshape(count)
    bearings, distances = [angle(each) for each in positions], positions[:, 8, 2]
    for one in range(count):
        for other in np.flatnonzero(distances < distances[one] - 0.2):
            seen[one] &= abs(bearings[other] - bearings[one]) >= np.arctan(HALF_WIDTH / max(distances[other], 0.3))
        seen[one] &= distances[one] > 0.5 and abs(bearings[one]) < 0.6
    status = np.where(seen[:, None], JointStatus.MEASURED, JointStatus.INFERRED) + np.zeros((count, 15), int)
    ids = tuple(f"per{chr(97 + k)}" for k in range(count))
    return Moment(skeletons(round(number / rate * SECOND), positions, status.astype(np.uint8), ids))


def angle(positions: NDArray[np.floating]) -> float:
    """Bearing of a person from the camera, radians to the right."""
    return float(np.arctan2(positions[8, 0], positions[8, 2]))


def skeletons(stamp: int, positions: NDArray[np.float32], status: NDArray[np.uint8], ids: tuple[str, ...]) -> Skeletons:
    """People of numbers."""
    return Skeletons(
        stamp + 1_700_000_000 * SECOND, "camera", "ground_truth", positions,
        np.where(status > 0, 0.8, 0).astype(np.float32), status, np.full(len(positions), 0.9, np.float32), ids=ids,
    )  # fmt: skip


def crossing(rng: np.random.Generator, rate: float) -> Scene:
    """Two people pass each other; the far one is hidden for a second around the meeting."""
    speed, apart = rng.uniform(0.8, 1.5), rng.uniform(0.4, 1.0)
    scene = []
    for k in range(round(6 * rate)):
        along = speed * (k / rate - 3)
        people = [
            person(np.array([along, 3.0]), np.pi / 2, 1.0),
            person(np.array([-along, 3 + apart]), -np.pi / 2, 1.0),
        ]
        scene.append(moment(k, rate, people, [False, abs(k / rate - 3) < 0.5]))
    return scene


def hidden(rng: np.random.Generator, rate: float) -> Scene:
    """One person walks on, stops or turns round while hidden for a second; another stands a meter aside."""
    speed, what = rng.uniform(0.6, 1.4), rng.integers(3)
    place, scene = np.array([-1.2, 3.5]), []
    other = place + np.array([1.6, rng.choice([-1.2, 1.2])])
    for k in range(round(5 * rate)):
        time = k / rate
        way = 1.0 if time < 2.5 else (1.0, 0.0, -1.0)[what]
        place = place + np.array([way * speed / rate, 0.0])
        people = [person(place, np.pi / 2, 1.0), person(other, 0.0, 1.0)]
        scene.append(moment(k, rate, people, [2.0 <= time < 3.0, False]))
    return scene


def crowd(rng: np.random.Generator, rate: float, people: int = 5, seconds: float = 20.0) -> Scene:
    """People who walk from place to place in front of the camera and hide each other."""
    low, high = np.array([-1.6, 2.2]), np.array([1.6, 5.5])
    places, sizes = rng.uniform(low, high, (people, 2)), rng.uniform(0.9, 1.1, people)
    goals, speeds, headings = rng.uniform(low, high, (people, 2)), rng.uniform(0.5, 1.4, people), np.zeros(people)
    scene = []
    steps = max(round(30 / rate), 1)
    for k in range(round(seconds * rate)):
        for _ in range(steps):
            for i in range(people):
                way = goals[i] - places[i]
                if np.linalg.norm(way) < 0.1:
                    goals[i], speeds[i] = rng.uniform(low, high), rng.choice([0.05, rng.uniform(0.5, 1.4)])
                    continue
                step = way / np.linalg.norm(way) + 0.35 * _push(places, i)
                places[i] += speeds[i] / (rate * steps) * step / max(np.linalg.norm(step), 1.0)
                headings[i] = np.arctan2(step[0], step[1])
        shown = [person(places[i], headings[i], sizes[i]) for i in range(people)]
        scene.append(moment(k, rate, shown, [False] * people))
    return scene


def _push(places: NDArray[np.float64], person: int) -> NDArray[np.float64]:
    """Away from those who are nearer than 0.7 m."""
    away = places[person] - places
    squared = (away**2).sum(axis=1)
    near = (squared > 0) & (squared < 0.7**2)
    return np.asarray((away[near] / np.maximum(squared[near], 0.05)[:, None]).sum(axis=0))


def driven(scene: Scene, rng: np.random.Generator, turning: float = 0.8, speed: float = 0.6) -> Scene:
    """The same people and who is visible, seen by a robot that turns to and fro (rad/s) and drives (m/s)."""
    phase, pace = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.4)
    start, result = scene[0].ground_truth.stamp_ns, []
    for each in scene:
        time = (each.ground_truth.stamp_ns - start) / SECOND
        turn = 2 * np.pi * pace * time + phase
        yaw, drive = turning / (2 * np.pi * pace) * np.sin(turn), speed / (2 * np.pi * pace) * np.cos(turn)
        pose = np.eye(4)
        pose[:3, :3] = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
        pose[:3, 3] = [drive, 0.0, 0.5 * drive]
        result.append(Moment(each.ground_truth.transformed(np.linalg.inv(pose), "camera"), pose))
    return result


def walk(path: Path, rate: float) -> Scene:
    """The true people of a recording, thinned to a frame rate."""
    with BagReader(path) as reader:
        ground_truth = [in_joint_set(people, ITOP15) for people in RgbdRecording(reader).ground_truth()]
    kept: Scene = []
    for people in ground_truth:
        if not kept or people.stamp_ns - kept[-1].ground_truth.stamp_ns > 0.99 * SECOND / rate:
            kept.append(Moment(people))
    return kept


def shard(path: Path) -> Scene:
    """True people and camera poses of a rendered clip."""
    loaded = ShardClip(path).load()
    scene = []
    for number in range(len(loaded)):
        labeled = loaded[number]
        scene.append(Moment(in_joint_set(labeled.ground_truth, ITOP15)))
    return scene


def detections(scene: Scene, rng: np.random.Generator) -> Iterator[Skeletons]:
    """What a detector with faults makes of the true people."""
    stamps = [each.ground_truth.stamp_ns for each in scene]
    period = (stamps[-1] - stamps[0]) / SECOND / max(len(stamps) - 1, 1)
    for each in scene:
        ground_truth = each.ground_truth
        visible = (ground_truth.status == JointStatus.MEASURED).mean(axis=1) >= LEAST_VISIBLE
        found = ground_truth.select(
            rng.permutation(np.flatnonzero(visible & (rng.random(len(ground_truth)) >= MISSED)))
        )
        positions = found.positions + rng.normal(0, JOINT_NOISE, found.positions.shape)
        positions += rng.normal(0, BODY_NOISE, (len(found), 1, 3))
        # A hidden joint is guessed worse.
        unseen = (found.status != JointStatus.MEASURED)[..., None]
        positions += unseen * rng.normal(0, 2 * JOINT_NOISE, positions.shape)
        if rng.random() < INVENTED * min(period, 0.2):
            place = rng.uniform([-1.5, 2.0], [1.5, 5.5])
            positions = np.concatenate([positions, person(place, 0.0, 1.0)[None]])
        status = np.full((len(positions), 15), JointStatus.MEASURED, np.uint8)
        yield replace(
            skeletons(0, positions.astype(np.float32), status, ()),
            stamp_ns=ground_truth.stamp_ns,
            modality="noisy ground truth",
        )


def scored(number: int, scene: Scene, config: TrackerConfig, seed: int, with_pose: bool) -> list[ScoredFrame]:
    """One scene through the tracker."""
    tracker, frames = NearestTracker(replace(config, seed=0)), []
    for each, found in zip(scene, detections(scene, np.random.default_rng(seed)), strict=True):
        people = tracker.update(found, each.pose) if with_pose else tracker.update(found)
        frames.append(ScoredFrame(number, people, each.ground_truth, match_people(people, each.ground_truth)))
    return frames


def row(name: str, scenes: Sequence[Scene], config: TrackerConfig, with_pose: bool = False) -> str:
    """One line of the table."""
    frames = [f for n, scene in enumerate(scenes) for f in scored(n, scene, config, SEED + n, with_pose)]
    result = identity(frames)
    if result is None:
        return f"| {name} | no person | | | | |"
    return (
        f"| {name} | {100 * result.hota:.1f} | {100 * result.assa:.1f} | {100 * result.idf1:.1f} | {result.switches} | "
        f"{result.predicted_ids} for {result.true_people} |"
    )


def drawn(make: Callable[[np.random.Generator, float], Scene], rate: float, count: int) -> list[Scene]:
    """Scenes of one kind."""
    return [make(np.random.default_rng((SEED, n)), rate) for n in range(count)]


def table(options: argparse.Namespace, config: TrackerConfig) -> Iterator[str]:
    """All lines."""
    yield "| scene | HOTA | AssA | IDF1 | switches | ids |"
    yield "|---|---|---|---|---|---|"
    for name, scenes, with_pose in kinds(options):
        if name.startswith(options.only):
            yield row(name, scenes(), config, with_pose)


def kinds(options: argparse.Namespace) -> Iterator[tuple[str, Callable[[], list[Scene]], bool]]:
    """Names of the scenes, what makes them, and whether the camera's pose is known."""
    for rate in (15, 5, 2, 1):
        yield f"walk at {rate} Hz", partial(lambda rate: [walk(options.walk, rate)], rate), False
    for make in (crossing, hidden):
        for rate in (30, 10, 5):
            yield f"{make.__name__} at {rate} Hz", partial(drawn, make, rate, options.scenes), False
    yield "crowd at 10 Hz", partial(drawn, crowd, 10, options.scenes // 4), False
    for known in (False, True):
        moving = partial(drawn, crowd, 10, options.scenes // 4)
        yield f"moving, pose {'known' if known else 'unknown'}", partial(all_driven, moving), known
    for subset in ("crowd", "occluded") if options.synth else ():
        clips = partial(lambda subset: [shard(path) for path in sorted((options.synth / subset).glob("*.npz"))], subset)
        yield f"UniPose-Synth {subset}", clips, False
        for known in (False, True):
            name = f"UniPose-Synth {subset} moving, pose {'known' if known else 'unknown'}"
            yield name, partial(all_driven, clips), known


def all_driven(make: Callable[[], list[Scene]]) -> list[Scene]:
    """Scenes seen by a robot, each on a way of its own."""
    return [driven(scene, np.random.default_rng((SEED, n))) for n, scene in enumerate(make())]


def main(arguments: Sequence[str] | None = None) -> None:
    """Track, score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--walk", type=Path, default=Path("demo/walk"), help="recording with true people")
    parser.add_argument("--synth", type=Path, help="shards of UniPose-Synth")
    parser.add_argument("--scenes", type=int, default=12, help="of each kind")
    parser.add_argument("--only", default="", help="scenes whose names begin so")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of the tracker")
    options = parser.parse_args(arguments)
    settings: dict[str, Any] = {
        name.removeprefix("track."): float(value) for name, _, value in (s.partition("=") for s in options.set)
    }
    for line in table(options, TrackerConfig(**settings)):
        print(line, flush=True)


if __name__ == "__main__":
    main()
