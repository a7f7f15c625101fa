"""What one wrong keypoint does to networks of the lifting variant; prints a table.

    python benchmarks/lifting_robustness.py --samples SAMPLES RUN/depth.safetensors [RUN/rgb.safetensors ...]

Of all people in the clips kept for validation, one keypoint that the 2D network found is displaced by
60 pixels of the image, in a direction drawn at random; its confidence stays. ``2D alone`` is what any lifter
does at least that puts a joint on its keypoint's viewing ray: there, at the depth it had before. A network
without the lifting variant does not look at keypoints.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from unipose_ros.codecs.windows import DepthImageConfig
from unipose_ros.networks.anchors import AnchorNetwork
from unipose_ros.networks.registry import load_network
from unipose_training.samples.augment_windows import NO_AUGMENTATION, NO_NOISE
from unipose_training.samples.dataset import PersonBatch, PersonDataset, split_rows
from unipose_training.samples.store import SampleStore
from unipose_training.tasks.students import StudentLossWeights, WindowStudent

_BATCH = 32
#: A keypoint below this confidence is not displaced: it counted little before.
_FOUND = 0.3


class Displaced(NamedTuple):
    """What happened to the joint whose keypoint was displaced, in millimeters, (B,) each.

    Attributes:
        moved: how far the joint went.
        before, after: its distance from the ground truth.
    """

    moved: Tensor
    before: Tensor
    after: Tensor


def main() -> None:
    """Print one row per network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="+", type=Path)
    parser.add_argument("--samples", type=Path, required=True)
    parser.add_argument("--validate-clips", type=int, default=20, help="as in training (default: 20)")
    parser.add_argument("--pixels", type=float, default=60.0, help="how far keypoints are displaced (default: 60)")
    parser.add_argument("--limit", type=int, help="only so many people")
    options = parser.parse_args()
    store = SampleStore(options.samples)
    rows = split_rows(store, options.val_every_nth_clip)[1][: options.limit]
    print("| network | joint moves, median | error before | error after |\n|---|---|---|---|")
    for index, path in enumerate(options.weights):
        student, name = _student(path)
        window = "color" if name == "rgb" else "depth"
        people = PersonDataset(store, rows, [window], sizes={window: student.network.config.size})
        parts = [measured(student, *each, options.pixels) for each in _batches(people)]
        if not index:
            _print("2D alone", [alone for alone, _ in parts])
        kind = "lifting" if student.network.config.local else "without keypoints"
        _print(f"{path.parent.name}/{name}, {kind}", [network for _, network in parts])


def measured(
    student: WindowStudent, batch: PersonBatch, joints: Tensor, shifts: Tensor, pixels: float
) -> tuple[Displaced, Displaced]:
    """2D alone, and the network.

    Args:
        joints: (B,) whose keypoint is displaced.
        shifts: (B, 2) directions.
    """
    people = torch.arange(len(joints))
    wrong = batch.pixels.clone()
    wrong[people, -1, joints] += pixels * shifts
    ground_truth = batch.ground_truth[people, -1, joints]
    lifted = batch.lifted[people, -1, joints]
    across = pixels * shifts * lifted[:, 2:] / batch.camera[:, -1, :2]
    beside = lifted + torch.cat([across, torch.zeros(len(joints), 1)], dim=-1)
    right = student.predict_ema(batch).joints[people, 0, joints]
    misled = student.predict_ema(batch._replace(pixels=wrong)).joints[people, 0, joints]
    return _compared(lifted, beside, ground_truth), _compared(right, misled, ground_truth)


def _compared(before: Tensor, after: Tensor, ground_truth: Tensor) -> Displaced:
    return Displaced(
        *(1000 * apart.norm(dim=-1) for apart in (after - before, before - ground_truth, after - ground_truth))
    )


def _student(path: Path) -> tuple[WindowStudent, str]:
    name = "rgb" if path.stem == "rgb" else "depth"
    network, _ = load_network(path, name)
    assert isinstance(network, AnchorNetwork)
    depth = DepthImageConfig(size=network.config.size) if name == "depth" else None
    return WindowStudent(network, NO_AUGMENTATION, depth, NO_NOISE, StudentLossWeights()).eval(), name


def _batches(people: PersonDataset) -> Iterator[tuple[PersonBatch, Tensor, Tensor]]:
    """Batches with one found joint of all people, the same for every network, and a direction."""
    generator = torch.Generator().manual_seed(0)
    for start in range(0, len(people), _BATCH):
        batch = people.__getitems__(range(start, min(start + _BATCH, len(people))))
        known = batch.ground_truth[:, -1].isfinite().all(-1) & batch.lifted[:, -1].isfinite().all(-1)
        found = (batch.confidence[:, -1] >= _FOUND) & known
        whole = found.any(-1)
        joints = torch.multinomial(found.float() + 1e-9, 1, generator=generator)[:, 0]
        angles = 2 * torch.pi * torch.rand(len(joints), generator=generator)
        batch = PersonBatch(*(value[whole] if len(value) else value for value in batch))
        yield batch, joints[whole], torch.stack([angles.cos(), angles.sin()], dim=-1)[whole]


def _print(name: str, parts: list[Displaced]) -> None:
    moved, before, after = (torch.cat(values) for values in zip(*parts, strict=True))
    print(f"| {name} | {moved.median():.0f} mm | {before.mean():.0f} mm | {after.mean():.0f} mm |")


if __name__ == "__main__":
    main()
