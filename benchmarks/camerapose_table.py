"""Rows of docs/methods/camerapose.md: lifters on people, motions and cameras that they have not seen.

    python benchmarks/camerapose_table.py A.safetensors B.safetensors --heldout heldout.npz \\
        --refiner refiner.safetensors --detections benchmark.npz

``--detections`` takes a file of ``benchmarks/detector_noise.py``, made of clips that were not trained on: noise is then
what MoveNet did there to people in like poses, and its own keypoints have rows of their own.

Errors are at the middle of the hips, in millimeters: as they stand, and after the best similarity; tilts in
degrees. ``recovered`` is the part of what noise costs that the refiner brings back.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray

from unipose_ros.codecs.keypoints import REFINER_INPUT
from unipose_ros.lifting import LiftingConfig
from unipose_ros.networks.lifter import Lifted
from unipose_ros.networks.registry import load_network
from unipose_training.evaluation.metrics.pose import pa_mpjpe
from unipose_training.losses.robust import length
from unipose_training.mocap.detector_noise import DetectorNoise, EmpiricalErrors, load_detections
from unipose_training.mocap.pairs import Detector, Observation, PairBatch, observe
from unipose_training.mocap.virtual_cameras import Sightings, Viewpoints, posed_joints, sample_sightings
from unipose_training.synthetic.bank import load_bank

_UNSEEN = ("astra", "femto_bolt", "d455", "zed2")
#: The first are those of the pairs in docs/methods/camerapose.md's comparison; no run has seen the others' lenses.
VIEWS = {
    "level, seen lenses": Viewpoints(("kinect_v1", "d435"), (1.2, 1.6), (2.0, 5.0), 0.05),
    "level, 1.2-1.6 m": Viewpoints(_UNSEEN, (1.2, 1.6), (2.0, 5.0), 0.05),
    "high, 2.2-3 m": Viewpoints(_UNSEEN, (2.2, 3.0), (1.8, 4.5), 0.1),
    "low, 0.2-0.6 m": Viewpoints(_UNSEEN, (0.2, 0.6), (1.5, 4.0), 0.1),
}
#: Keypoints below this confidence are not seen.
_THRESHOLD = (0.2, 0.2)

Repair = Callable[[NDArray[np.float32]], NDArray[np.float64]]


class Errors(NamedTuple):
    """Millimeters, millimeters, degrees."""

    mpjpe: float
    pa_mpjpe: float
    tilt: float


def errors(lifter: torch.nn.Module, batch: PairBatch) -> Errors:
    """Means over all people."""
    with torch.inference_mode():
        lifted = cast(Lifted, lifter(batch.inputs))
    error = (lifted.joints - batch.joints).norm(dim=-1).mean().item()
    aligned = pa_mpjpe(lifted.joints.numpy(), batch.joints.numpy())
    cosine = (lifted.rotation[..., 1] * batch.rotation[..., 1]).sum(-1).clamp(-1, 1)
    return Errors(1e3 * error, 1e3 * float(aligned), torch.rad2deg(torch.acos(cosine)).mean().item())


def observations(noise: Detector, repair: Repair | None, trusting: bool) -> Iterator[tuple[str, Observation]]:
    """Clean, detected, and refined 2D."""
    yield "clean", Observation()
    yield "detected", Observation(noise, threshold=_THRESHOLD, trusting=trusting)
    if repair is not None:
        yield "refined", Observation(noise, repair, threshold=_THRESHOLD, trusting=trusting)


def row(lifter: torch.nn.Module, people: Sightings, noise: Detector, repair: Repair | None, trusting: bool) -> str:
    """The same people, seen in two or three ways."""
    seen = {how: watched(people, each) for how, each in observations(noise, repair, trusting)}
    enough = seen["detected"].seen.sum(-1) >= LiftingConfig.min_keypoints
    figures = {how: errors(lifter, PairBatch(*(value[enough] for value in batch))) for how, batch in seen.items()}
    cells = [f"{value.mpjpe:.1f} / {value.pa_mpjpe:.1f}" for value in figures.values()]
    if repair is not None:
        clean, detected, refined = (np.array(value) for value in figures.values())
        back = 100 * (detected - refined)[:2] / (detected - clean)[:2]
        cells.append(f"{back[0]:.0f} / {back[1]:.0f} %")
    return " | ".join([*cells, f"{figures['clean'].tilt:.1f}"])


def watched(people: Sightings, observation: Observation) -> PairBatch:
    """The same noise for every caller."""
    return observe(np.random.default_rng(6), people, observation, paired=True)


def keypoint_error(people: Sightings, noise: Detector, repair: Repair) -> str:
    """Error of visible keypoints in hundredths of the person's size (the box's diagonal), before and after."""
    batch = watched(people, Observation(noise, threshold=_THRESHOLD))
    values = batch.inputs[:, :REFINER_INPUT]
    given = values.reshape(len(values), -1, 3)[..., :2]
    refined = torch.from_numpy(repair(values.numpy())).to(given.dtype)
    counted = batch.seen & batch.labeled & (batch.seen.sum(-1, keepdim=True) >= LiftingConfig.min_keypoints)
    unit = (batch.keypoints.amax(1) - batch.keypoints.amin(1)).norm(dim=-1)[:, None]
    cells = []
    for keypoints in (given, refined):
        off = (100 * length(keypoints - batch.keypoints) / unit)[counted]
        cells.append(f"{off.median():.2f}, {off.mean():.2f}, {off.quantile(0.9):.2f}")
    return " | ".join(cells)


def main() -> None:
    """Draw, lift, print."""
    given = _options()
    repair = None if given.refiner is None else repaired_by(given.refiner)
    scenes = _scenes(given)
    kinds = ["clean 2D", "detected", *(["refined", "recovered"] if repair else [])]
    print(f"| lifter | cameras | {' | '.join(kinds)} | tilt, clean |\n|---|---|{'---|' * len(kinds)}---|")
    for path in given.lifters:
        lifter, _ = load_network(path, "lifter")
        for name, (people, noise) in scenes.items():
            print(f"| {path.parent.name} | {name} | {row(lifter, people, noise, repair, given.trusting)} |")
    if repair is not None:
        print("\n| keypoints, % of the person: median, mean, 90th percentile | detected | refined |\n|---|---|---|")
        for name, (people, noise) in scenes.items():
            print(f"| {name} | {keypoint_error(people, noise, repair)} |")


def _scenes(given: argparse.Namespace) -> dict[str, tuple[Sightings, Detector]]:
    """People by cameras, and who sees them."""
    poses = posed_joints(load_bank(given.heldout), 1, seed=0)
    detections = None if given.detections is None else load_detections(given.detections)
    noise = DetectorNoise() if detections is None else EmpiricalErrors(detections)
    scenes: dict[str, tuple[Sightings, Detector]] = {
        name: (sample_sightings(np.random.default_rng(5), poses, views, given.people), noise)
        for name, views in VIEWS.items()
    }
    if detections is not None:
        scenes["MoveNet on renders"] = (detections.people, detections)
    return scenes


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lifters", type=Path, nargs="+", help="weights; the folder's name is the row's")
    parser.add_argument("--heldout", type=Path, required=True, help="body bank of other people and motions")
    parser.add_argument("--refiner", type=Path)
    parser.add_argument("--detections", type=Path, help="of benchmarks/detector_noise.py")
    parser.add_argument("--trusting", action="store_true", help="the lifters know true keypoints only (noisy=false)")
    parser.add_argument("--people", type=int, default=2000)
    return parser.parse_args()


def repaired_by(path: Path) -> Repair:
    """A refiner as :class:`Observation` takes it."""
    refiner, _ = load_network(path, "refiner")

    def repair(values: NDArray[np.float32]) -> NDArray[np.float64]:
        with torch.inference_mode():
            return np.asarray(refiner(torch.from_numpy(values)).numpy(), np.float64)

    return repair


if __name__ == "__main__":
    main()
