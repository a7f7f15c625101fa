"""Accuracy of ordinal depth labels and of networks trained on them; prints tables of docs/methods/wsp.md.

    python benchmarks/ordinal_depth.py labels --clips CLIPS --samples SAMPLES
    python benchmarks/ordinal_depth.py network --samples SAMPLES RUN/rgb.safetensors ...

``labels``: perspective on perfect 2D keypoints (the true joints of rendered clips, one frame each), on what
a 2D network detected, and the order as a depth camera measures it. The ground truth evaluates, it labels nothing.
``network``: what networks predict about every pair of true joints of the clips kept for validation.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader
from tqdm import tqdm

from unipose_ros.camera import project
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons, in_image
from unipose_ros.joint_sets import COCO17
from unipose_ros.networks.anchors import AnchorNetwork
from unipose_ros.networks.registry import load_network
from unipose_training.datasets.base import Labels2D, joint_status, open_clips
from unipose_training.datasets.joint_sets import in_joint_set
from unipose_training.ordinal_depth.pairs import DepthPairs, perspective_pairs, rules
from unipose_training.ordinal_depth.rules import PerspectiveSettings
from unipose_training.ordinal_depth.windows import Kind, OrderSettings, StoreOrders, joined, scene_of_rows
from unipose_training.samples.dataset import split_rows
from unipose_training.samples.store import SampleStore
from unipose_training.tasks.wsp import EDGES, depths_at, evaluate_orders, predict_ordinal, resized

#: People of fewer visible keypoints are not what a person would label.
LEAST_VISIBLE = 5
KINDS: tuple[Kind, ...] = ("perspective", "measured")


@dataclass
class Found:
    """Orders by name, with meters by which the second is farther.

    Attributes:
        people: that were processed.
    """

    people: int = 0
    orders: dict[str, list[NDArray[np.floating]]] = field(default_factory=lambda: defaultdict(list))
    farther: dict[str, list[NDArray[np.floating]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, name: str, orders: NDArray[np.floating], farther: NDArray[np.floating]) -> None:
        """Some pairs."""
        self.orders[name].append(orders)
        self.farther[name].append(farther)

    def add_pairs(self, name: str, pairs: DepthPairs, depths: NDArray[np.floating]) -> None:
        """Pairs of people with (N, J) true depths, within and across apart."""
        farther = depths[tuple(pairs.second.T)] - depths[tuple(pairs.first.T)]
        for kind, chosen in (("within", ~pairs.across), ("across", pairs.across)):
            self.add(f"{name}, {kind}", pairs.order[chosen].astype(float), farther[chosen])

    def rows(self) -> Iterator[str]:
        """Markdown, a row for every name."""
        for name in self.orders:
            orders, farther = np.concatenate(self.orders[name]), np.concatenate(self.farther[name])
            scores = evaluate_orders(orders.astype(np.int8), farther)
            cells = [name, f"{np.isfinite(farther).sum() / max(1, self.people):.2f}", _part(scores.pairs, scores.right)]
            cells += [_part(count, right) for count, right in scores.bins]
            yield "| " + " | ".join([*cells, _part(scores.level, scores.level_right)]) + " |"


def _part(count: int, right: float) -> str:
    return f"{right:.1%} ({count})" if count else "-"


def header() -> str:
    """Of the tables."""
    ends = [*(f"{100 * edge:g}" for edge in EDGES[1:]), ""]
    bins = [
        f"{100 * low:g}-{high} cm" if high else f"> {100 * low:g} cm" for low, high in zip(EDGES, ends, strict=True)
    ]
    names = ["labels", "a person", "right order", *bins, "'equal' within 10 cm"]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (names, ["---"] * len(names)))


def perfect(clips: Iterable[tuple[RgbdFrame, Skeletons]], found: Found) -> None:
    """Perspective on the true joints, seen in the image, as a person would label them."""
    settings = PerspectiveSettings()
    for frame, ground_truth in clips:
        ground_truth = in_joint_set(ground_truth, COCO17)
        inside = in_image(frame.camera, ground_truth.positions)
        visible = inside & (ground_truth.status == JointStatus.MEASURED)
        kept = visible.sum(axis=1) >= LEAST_VISIBLE
        pixels = np.where(inside[..., None], project(frame.camera, ground_truth.positions), np.nan)[kept]
        people = Labels2D(
            pixels.astype(np.float32), joint_status(inside, visible)[kept], ("",) * int(kept.sum()), COCO17
        )
        found.people += len(people)
        depths = ground_truth.positions[kept][..., 2]
        found.add_pairs("perspective, true 2D", perspective_pairs(people, settings), depths)
        with np.errstate(invalid="ignore"):
            every = rules(pixels, visible[kept], (inside & ~visible)[kept], settings)
        for name, (ends, orders) in every.items():
            chosen = np.isfinite(orders)
            found.add(f"- {name}", orders[chosen], (depths[:, ends[:, 1]] - depths[:, ends[:, 0]])[chosen])


def stored(store: SampleStore, found: Found) -> None:
    """Perspective on a 2D network's keypoints, and the measured order, of every frame of a store."""
    settings = OrderSettings()
    frames = np.stack([store["clip"], store["frame"]], axis=1)
    starts = np.flatnonzero(np.r_[True, (frames[1:] != frames[:-1]).any(axis=1)])
    # Frames of a clip look alike: a third of them says as much.
    for start, end in tqdm(list(zip(starts, [*starts[1:], len(store)], strict=True))[::3], desc="samples"):
        rows = np.arange(start, end)
        found.people += len(rows)
        z = store["ground_truth"][rows][..., 2]
        for kind in KINDS:
            found.add_pairs(f"{kind}, 2D network", scene_of_rows(store, rows, kind, settings).pairs, z)


def frames_of(folder: Path, every: int) -> Iterator[tuple[RgbdFrame, Skeletons]]:
    """The first frame of every so many clips."""
    for clip in tqdm(sorted(open_clips(folder), key=lambda clip: clip.name)[::every], desc="clips"):
        frame = next(clip.frames())
        yield from (
            (frame, ground_truth) for ground_truth in clip.ground_truth() if ground_truth.stamp_ns == frame.stamp_ns
        )


@torch.no_grad()
def networks(store: SampleStore, weights: list[Path], most: int) -> Iterator[str]:
    """One row per network, of its depth map at the joints' places and of the joints that it votes for.

    The first row knows no image: every joint is as far from the person's surface as it usually is.
    """
    training, rows = split_rows(store, 20)
    rows = rows[:: max(1, len(rows) // most)]
    people = StoreOrders(store, rows, "ground_truth", OrderSettings())
    yield from _usual(store, training, people)
    for path in weights:
        network, _ = load_network(path, "rgb")
        assert isinstance(network, AnchorNetwork)
        found = Found(people=len(rows))
        for loaded in DataLoader(people, 16, collate_fn=joined):
            batch = resized(loaded, network.config.size)
            prediction = predict_ordinal(network, batch)
            voted = prediction.votes.depths[batch.window[:, None], batch.joints]
            for name, depths, chosen in (
                ("within", depths_at(prediction.depths, batch), batch.own),
                ("across", depths_at(prediction.depths, batch), ~batch.own),
                ("votes", voted, batch.own),
            ):
                # What the network predicts is the label here.
                order = (depths[:, 1] - depths[:, 0]).sign()[chosen]
                found.add(f"{path.parent.name}, {name}", order.numpy(), batch.farther[chosen].numpy())
        yield from found.rows()


def _usual(store: SampleStore, training: NDArray[np.integer], people: StoreOrders) -> Iterator[str]:
    z = np.where(store["lifted_status"] == JointStatus.MEASURED, store["lifted"][..., 2], np.nan)
    usual = torch.from_numpy(np.nan_to_num(np.nanmean((z - store["distance"][:, None])[training], axis=0)))
    found = Found(people=len(people))
    for batch in DataLoader(people, 16, collate_fn=joined):
        depths = usual[batch.joints[batch.own]]
        found.add(
            "usual depths, within", (depths[:, 1] - depths[:, 0]).sign().numpy(), batch.farther[batch.own].numpy()
        )
    yield from found.rows()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    labels = actions.add_parser("labels")
    labels.add_argument("--clips", type=Path)
    labels.add_argument("--every", type=int, default=2, help="of so many clips, one is processed")
    labels.add_argument("--samples", type=Path)
    network = actions.add_parser("network")
    network.add_argument("--samples", type=Path, required=True)
    network.add_argument("--people", type=int, default=500)
    network.add_argument("weights", nargs="+", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[str] = []
    if given.action == "network":
        rows += networks(SampleStore(given.samples), given.weights, given.people)
    elif given.clips:
        found = Found()
        perfect(frames_of(given.clips, given.every), found)
        rows += found.rows()
    if given.action == "labels" and given.samples:
        found = Found()
        stored(SampleStore(given.samples), found)
        rows += found.rows()
    print("\n".join([header(), *rows]))


if __name__ == "__main__":
    main()
