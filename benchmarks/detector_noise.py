"""How MoveNet errs on people of known pose: the figures of unipose_training.mocap.detector_noise.

    unipose record-synthetic --out CLIPS --format shard --frames 4000
    python benchmarks/detector_noise.py CLIPS detections.npz

Where the clips have MoveNet's labels already (``unipose crops CLIPS --keypoint-detector movenet --output SAMPLES``),
``--samples SAMPLES`` spares it a second look, and all frames are taken.

Detections are kept in the file: recipe ``camerapose`` can learn from them, and rows of docs/methods/camerapose.md are
evaluated on them. Figures are taken from every second clip.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from unipose_ros.camera import project
from unipose_ros.detection.movenet import load_movenet
from unipose_ros.joint_sets import COCO17
from unipose_ros.keypoints import KeypointDetector, Keypoints2D
from unipose_training.datasets.shards import Shard, ShardClip
from unipose_training.samples.store import SampleStore

MIRROR = list(COCO17.mirror)
KINDS = ("face", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
#: A detection is of a person when half of its keypoints are nearer than this part of the person's size.
_NEAR = 0.15


def matches(shard: Shard, frame: int, found: Keypoints2D) -> Iterator[dict[str, Any]]:
    """True and detected keypoints of the people who were found."""
    camera, taken = shard.camera, set[int]()
    for joints in shard.ground_truth(frame).positions:
        true = project(camera, joints)[:17]
        if not len(found) or not np.isfinite(true).all():
            continue
        best, far = _nearest(found.pixels, true)
        if far > _NEAR or best in taken:
            continue
        taken.add(best)
        yield {
            "ground_truth_px": true,
            "ground_truth": joints,
            "px": found.pixels[best],
            "conf": found.confidences[best],
            "cam": (camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height),
            "rot": shard.arrays["camera_rotations"][frame],
        }


def _nearest(found: NDArray[np.float32], true: NDArray[np.float64]) -> tuple[int, float]:
    """The detection that fits best with sides as they are or exchanged, and how far it is off."""
    size = np.linalg.norm(np.ptp(true, axis=0))
    apart = np.minimum(*(np.linalg.norm(pixels - true, axis=-1) for pixels in (found, found[:, MIRROR])))
    off = np.median(apart, axis=1) / size
    return int(off.argmin()), float(off.min())


Found = Iterator[tuple[int, Keypoints2D]]


def detected(shard: Shard, detector: KeypointDetector, frames: int) -> Found:
    """Numbers of frames, spread over the clip, and who is seen there."""
    for number in np.linspace(0, len(shard) - 1, frames + 2).astype(int)[1:-1]:
        color = shard.frame(int(number)).color
        assert color is not None
        yield int(number), detector(color)


def stored(samples: SampleStore, clip: int | None) -> Found:
    """The same of a clip that was processed before; nothing of others."""
    rows = np.flatnonzero(samples["clip"] == clip)
    frames = samples["frame"][rows]
    for number in np.unique(frames):
        yield int(number), samples.keypoints(rows[frames == number])


def collect(folder: Path, look: Callable[[Path, Shard], Found]) -> dict[str, NDArray[Any]]:
    """True and detected keypoints in the frames of all clips that are processed."""
    rows: list[dict[str, Any]] = []
    for number, path in enumerate(tqdm(sorted(folder.rglob("*.npz")))):
        shard = ShardClip(path).load()
        for frame, found in look(path, shard):
            rows += [{"clip": number, **row} for row in matches(shard, frame, found)]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def looking(folder: Path, samples: Path | None, frames: int) -> Callable[[Path, Shard], Found]:
    """MoveNet, or its earlier predictions."""
    if samples is None:
        detector = load_movenet(threads=1)
        return lambda path, shard: detected(shard, detector, frames)
    store = SampleStore(samples)
    places = {clip.name: number for number, clip in enumerate(store.clips)}
    return lambda path, shard: stored(store, places.get(path.relative_to(folder).with_suffix("").as_posix()))


def report(detections: dict[str, NDArray[Any]]) -> None:
    """Print the figures of every second clip."""
    used = detections["clip"] % 2 == 0
    true, found, confident = (detections[name][used] for name in ("ground_truth_px", "px", "conf"))
    size = np.linalg.norm(np.ptp(true, axis=1), axis=-1)[:, None]
    error, crossed = (np.linalg.norm(pixels - true, axis=-1) / size for pixels in (found, found[:, MIRROR]))
    image = detections["cam"][used][:, None, 4:]
    inside = ((true >= 0) & (true < image)).all(axis=-1)
    swapped = np.median(crossed[:, 5:], axis=1) < np.median(error[:, 5:], axis=1)
    print(f"{len(true)} people, sides of {swapped.mean():.1%} exchanged")
    print("| part | logit | above | below | level | slope | scatter |\n|---|---|---|---|---|---|---|")
    # Where the other side's place fits far better, it is a swap and no error of its own.
    own = np.where(crossed < 0.5 * error, crossed, error)[~swapped]
    for kind in KINDS:
        joints = [j for j, name in enumerate(COCO17.joints) if (name.rpartition("_")[2] == kind) or (
            kind == "face" and j < 5)]  # fmt: skip
        there = inside[~swapped][:, joints]
        figures = fit_part(confident[~swapped][:, joints][there], own[:, joints][there])
        print(f"| {kind} | " + " | ".join(f"{value:.2f}" for value in figures) + " |")


def fit_part(confidences: NDArray[Any], errors: NDArray[Any]) -> tuple[float, ...]:
    """The fields of :class:`unipose_training.mocap.detector_noise.PartNoise`."""
    clipped = np.clip(confidences, 0.02, 0.98)
    logit, log = np.log(clipped / (1 - clipped)), np.log(np.maximum(errors, 1e-3))
    middle = float(np.median(logit))
    above = (np.quantile(logit, 0.84) - np.quantile(logit, 0.16)) / 2
    below = (middle - np.quantile(logit, 0.05)) / 1.645
    bins = np.array_split(np.argsort(confidences), 8)
    means = [confidences[part].mean() for part in bins]
    slope, level = np.polyfit(means, [np.median(log[part]) for part in bins], 1)
    scatter = np.mean([(np.quantile(log[part], 0.9) - np.quantile(log[part], 0.1)) / 2.563 for part in bins])
    return middle, float(above), float(below), float(level), float(slope), float(scatter)


def main() -> None:
    """Detect, keep, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("detections", type=Path, help="file to write, or to read if it is there")
    parser.add_argument("--frames", type=int, default=2, help="of each clip")
    parser.add_argument("--samples", type=Path, help="samples of the clips with MoveNet's keypoints: it need not look")
    given = parser.parse_args()
    if not given.detections.is_file():
        found = collect(given.clips, looking(given.clips, given.samples, given.frames))
        np.savez_compressed(given.detections, **found)  # type: ignore[arg-type]  # its stub takes only bool by name
    with np.load(given.detections) as table:
        report({name: table[name] for name in table.files})


if __name__ == "__main__":
    main()
