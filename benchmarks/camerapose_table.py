"""Rows of docs/camerapose.md: a lifter on people, motions and cameras that it has not seen.

    python benchmarks/camerapose_table.py lifter.safetensors --heldout heldout.npz --refiner refiner.safetensors

``--detections`` takes the file of ``benchmarks/detector_noise.py`` and adds MoveNet's own keypoints on rendered
people, from the clips that its figures were not taken from. Errors are at the middle of the hips, in
millimetres: as they stand, and after the best similarity.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from unipose_ros.networks.lifter import Lifted
from unipose_ros.networks.registry import load_network
from unipose_training.data.detector_noise import DetectorNoise
from unipose_training.data.motion_pairs import Observation, PairBatch, observe
from unipose_training.data.virtual_views import Sightings, Viewpoints, draw_sightings, posed_joints
from unipose_training.evaluation.pose_metrics import pa_mpjpe
from unipose_training.synthetic.bank import load_bank

_KINDS = ("astra", "femto_bolt", "d455", "zed2")
#: Lenses are unseen in all of them; heights and tilts of the first are those of config/training/camerapose_level.yaml.
VIEWS = {
    "level, 1.2-1.8 m": Viewpoints(_KINDS, (1.2, 1.8), (2.0, 5.0), 0.05),
    "high, 2.2-3 m": Viewpoints(_KINDS, (2.2, 3.0), (1.8, 4.5), 0.1),
    "low, 0.2-0.6 m": Viewpoints(_KINDS, (0.2, 0.6), (1.5, 4.0), 0.1),
}


@dataclass(frozen=True, eq=False)
class Recorded:
    """What a detector said, in the order of the people it is asked about."""

    pixels: NDArray[np.float64]
    confidences: NDArray[np.float64]

    def detect(
        self, rng: np.random.Generator, pixels: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """See :class:`unipose_training.data.motion_pairs.Detector`."""
        return self.pixels, self.confidences


def recorded_people(path: Path) -> tuple[Sightings, Recorded]:
    """Every second clip of a file of detections."""
    with np.load(path) as stored:
        kept = stored["clip"] % 2 == 1
        table = {name: stored[name][kept] for name in ("truth_px", "truth", "px", "conf", "cam", "rot")}
    image = table["cam"][:, 4:]
    sightings = Sightings(
        joints=table["truth"].astype(np.float64),
        pixels=table["truth_px"],
        inside=((table["truth_px"] >= 0) & (table["truth_px"] < image[:, None])).all(axis=-1),
        intrinsics=table["cam"][:, :4],
        image=image,
        gravity=-table["rot"][:, :, 2],
    )
    return sightings, Recorded(table["px"].astype(np.float64), table["conf"].astype(np.float64))


def figures(lifter: torch.nn.Module, batch: PairBatch) -> str:
    """MPJPE, PA-MPJPE and the error of the tilt."""
    with torch.inference_mode():
        lifted = cast(Lifted, lifter(batch.inputs))
    error = (lifted.joints - batch.joints).norm(dim=-1).mean().item()
    aligned = pa_mpjpe(lifted.joints.numpy(), batch.joints.numpy())
    cosine = (lifted.rotation[..., 1] * batch.rotation[..., 1]).sum(-1).clamp(-1, 1)
    return f"{1e3 * error:.1f} | {1e3 * aligned:.1f} | {torch.rad2deg(torch.acos(cosine)).mean().item():.1f}"


def observations(
    noise: Any, repair: Callable[[NDArray[np.float32]], NDArray[np.float64]] | None, detected: str, trusting: bool
) -> Iterator[tuple[str, Observation]]:
    """Clean, detected, and refined 2D."""
    seen = (0.2, 0.2)
    yield "clean", Observation()
    yield detected, Observation(noise, threshold=seen, trusting=trusting)
    if repair is not None:
        yield f"{detected}, refined", Observation(noise, repair, threshold=seen, trusting=trusting)


def main() -> None:
    """Draw, lift, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lifter", type=Path)
    parser.add_argument("--heldout", type=Path, required=True, help="body bank of other people and motions")
    parser.add_argument("--refiner", type=Path)
    parser.add_argument("--detections", type=Path)
    parser.add_argument(
        "--trusting", action="store_true", help="the lifter was taught with true keypoints (noisy=false)"
    )
    parser.add_argument("--people", type=int, default=2000)
    given = parser.parse_args()
    lifter, _ = load_network(given.lifter, "lifter")
    repair = None if given.refiner is None else repaired_by(given.refiner)
    poses = posed_joints(load_bank(given.heldout), 1, seed=0)
    print("| cameras | 2D | MPJPE | PA-MPJPE | tilt |\n|---|---|---|---|---|")
    for name, views in VIEWS.items():
        people = draw_sightings(np.random.default_rng(5), poses, views, given.people)
        print_rows(name, lifter, people, observations(DetectorNoise(), repair, "noisy", given.trusting))
    if given.detections is not None:
        people, recorded = recorded_people(given.detections)
        print_rows("rendered", lifter, people, observations(recorded, repair, "MoveNet", given.trusting))


def print_rows(name: str, lifter: torch.nn.Module, people: Sightings, seen: Iterator[tuple[str, Observation]]) -> None:
    """One row for each way to see the same people."""
    for how, observation in seen:
        batch = observe(np.random.default_rng(6), people, observation, paired=True)
        print(f"| {name} | {how} | {figures(lifter, batch)} |")


def repaired_by(path: Path) -> Callable[[NDArray[np.float32]], NDArray[np.float64]]:
    """A refiner as :class:`Observation` takes it."""
    refiner, _ = load_network(path, "refiner")

    def repair(values: NDArray[np.float32]) -> NDArray[np.float64]:
        with torch.inference_mode():
            return np.asarray(refiner(torch.from_numpy(values)).numpy(), np.float64)

    return repair


if __name__ == "__main__":
    main()
