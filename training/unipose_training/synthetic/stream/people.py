"""Chunks of the stream: people rendered, measured, found and cut out, as :class:`PersonBatch`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unipose_ros.codecs.points import PointCloudConfig
from unipose_ros.codecs.windows import DepthImageConfig
from unipose_ros.frame import JointStatus
from unipose_ros.joint_sets import COCO17, COCO23, ITOP15
from unipose_training.engine.data_loading import seed_of
from unipose_training.errors import SyntheticError
from unipose_training.samples.dataset import PersonBatch
from unipose_training.synthetic.bank import BodyBank, PoseClips
from unipose_training.synthetic.batch.torch_renderer import TorchRenderer
from unipose_training.synthetic.stream.boxes import Seen, TrueKeypoints, detect, draw_boxes
from unipose_training.synthetic.stream.clouds import Crops, cut_clouds, cut_windows
from unipose_training.synthetic.stream.scenes import Scenes, portrait, render_scenes
from unipose_training.synthetic.stream.settings import StreamSettings

_COCO = [COCO23.index(name) for name in COCO17.joints]
_TRUNK = [ITOP15.index(f"{side}_{part}") for part in ("shoulder", "hip") for side in ("left", "right")]
_BONES = torch.tensor([(bone.parent, bone.child) for bone in ITOP15.bones])
_LENGTHS = torch.tensor([bone.length for bone in ITOP15.bones])
#: People with fewer visible joints are thinned out; see :attr:`StreamSettings.occluded`.
_PLAIN_JOINTS = 8
#: Meters; a shorter person counts as a child.
_CHILD = 1.45
#: A chunk for which so many rounds of rendering give too few people is given up.
_MOST_ROUNDS = 40


@dataclass(frozen=True)
class Inputs:
    """What is cut out of each person.

    Attributes:
        points: how clouds are cut out; None for none.
        depth: how windows of depth are cut out; None for none.
    """

    points: PointCloudConfig | None = None
    depth: DepthImageConfig | None = None


class PeopleMaker:
    """Makes people, chunk by chunk.

    Args:
        bank: whom to draw; see :func:`divided`.
        settings: of the stream.
        inputs: what is cut out.
        device: what renders.
    """

    def __init__(self, bank: BodyBank, settings: StreamSettings, inputs: Inputs, device: torch.device) -> None:
        self._bank, self._settings, self._inputs = bank, settings, inputs
        self._renderer = TorchRenderer(bank, device, cull=True)

    def make(self, seed: int, people: int) -> PersonBatch:
        """So many people, in any order; the same seed gives the same people.

        Raises:
            SyntheticError: scenes show next to no person.
        """
        settings = self._settings
        rows: list[PersonBatch] = []
        wanted, found = -(-people // settings.replays), 0
        for number in range(_MOST_ROUNDS):
            for part in self._round(seed_of(seed, number)):
                rows.append(part)
                found += len(part.rows)
            if found >= wanted:
                break
        else:
            raise SyntheticError(f"stream: {_MOST_ROUNDS} rounds show {found} people of {wanted}; change stream.draw")
        rng = np.random.default_rng(seed_of(seed, _MOST_ROUNDS))
        order = np.concatenate([rng.permutation(found) for _ in range(-(-people // found))])[:people]
        together = PersonBatch(*(torch.cat(parts) for parts in zip(*rows, strict=True)))
        return select(together, torch.from_numpy(order).to(together.rows.device))

    def _round(self, seed: int) -> Iterator[PersonBatch]:
        settings = self._settings
        rng = np.random.default_rng(seed_of(seed, 0))
        draw = portrait(settings.draw) if rng.random() < settings.portrait else settings.draw
        drawn = int(rng.integers(2**31))
        scenes = render_scenes(self._renderer, self._bank, draw, settings.sensors.dark, drawn, settings.frames)
        chosen = usable(scenes, settings.min_pixels, settings.min_joints)
        visible = scenes.labels.itop15_seen[chosen].sum(dim=1).cpu().numpy()
        kept = (visible >= _PLAIN_JOINTS) | (rng.random(len(visible)) < settings.occluded)
        chosen = chosen[torch.from_numpy(kept).to(chosen.device)]
        for view in range(settings.views):
            yield self._view(scenes, chosen, seed_of(seed, 1, view))

    def _view(self, scenes: Scenes, chosen: Tensor, seed: int) -> PersonBatch:
        """The people who can be cut out, measured once."""
        settings, device = self._settings, self._renderer.device
        rng = np.random.default_rng(seed)
        depth = scenes.measured(settings.sensors, torch.Generator(device).manual_seed(seed % 2**62))
        frames, cameras = scenes.batch.people.frames[chosen], scenes.batch.cameras
        joints = scenes.labels.itop15[chosen]
        # A person who is not trained on may still be there for the detector to take for another person.
        keypoints = keypoints_of(scenes, rng, settings)[chosen.cpu().numpy()]
        pixels = cameras.project(joints, frames).masked_fill(joints[..., 2:] <= 0.05, torch.nan)
        trunk = joints[:, _TRUNK, 2].median(dim=1).values
        seen = Seen(_numbers(pixels), keypoints, _numbers(trunk), frames.cpu().numpy())
        boxes = draw_boxes(rng, seen, depth.cpu().numpy(), settings.boxes)
        low, high = settings.max_pixels
        most = np.exp(rng.uniform(np.log(low), np.log(high), len(frames))).astype(np.int64)
        kept = torch.from_numpy(np.flatnonzero(boxes.valid)).to(device)

        def given(values: NDArray[np.floating] | NDArray[np.int64]) -> Tensor:
            return torch.from_numpy(values.astype(np.int64 if values.dtype == np.int64 else np.float32)).to(device)

        crops = Crops(frames, given(boxes.boxes), given(boxes.distances), given(most))
        crops = Crops(*(getattr(crops, name)[kept] for name in ("frames", "boxes", "distances", "max_pixels")))
        points, centers, valid = self._clouds(depth, cameras.intrinsics, crops)
        batch = PersonBatch(
            rows=chosen[kept],
            valid=torch.ones(len(kept), 1, dtype=torch.bool, device=device),
            points=points,
            centers=centers,
            **self._windows(depth, cameras.intrinsics, crops),
            color=torch.zeros(len(kept), 0, device=device),
            color_camera=torch.zeros(len(kept), 0, device=device),
            distances=crops.distances[:, None],
            camera=cameras.intrinsics[crops.frames][:, None],
            pixels=pixels[kept][:, None],
            confidence=torch.zeros(len(kept), 1, len(ITOP15), device=device),
            keypoints=given(keypoints)[kept][:, None],
            **_nothing_lifted(len(kept), device),
            size=_sizes(joints[kept])[:, None],
            ground_truth=joints[kept][:, None],
            visible=scenes.labels.itop15_seen[chosen][kept][:, None],
        )
        return select(batch, valid.nonzero()[:, 0])

    def _clouds(self, depth: Tensor, intrinsics: Tensor, crops: Crops) -> tuple[Tensor, Tensor, Tensor]:
        if self._inputs.points is None:
            count = len(crops.frames)
            return depth.new_zeros(count, 0), depth.new_zeros(count, 0), torch.ones_like(crops.frames, dtype=torch.bool)
        clouds = cut_clouds(depth, intrinsics, crops, self._inputs.points)
        return clouds.points[:, None], clouds.centers, clouds.valid

    def _windows(self, depth: Tensor, intrinsics: Tensor, crops: Crops) -> dict[str, Tensor]:
        if self._inputs.depth is None:
            empty = depth.new_zeros(len(crops.frames), 0)
            return {"depth": empty, "depth_camera": empty}
        windows, camera = cut_windows(depth, intrinsics, crops, self._inputs.depth)
        return {"depth": windows[:, None], "depth_camera": camera[:, None]}


def usable(scenes: Scenes, min_pixels: int, min_joints: int) -> Tensor:
    """(N,) numbers of the people of whom enough is seen."""
    labels = scenes.labels
    seen = (labels.pixels >= min_pixels) & (labels.itop15_seen.sum(dim=1) >= min_joints)
    return seen.nonzero()[:, 0]


Batch = TypeVar("Batch", bound=tuple[Any, ...])


def select(batch: Batch, rows: Tensor) -> Batch:
    """Some people of a batch: of a named tuple of tensors, of which empty ones stay so."""
    return type(batch)(*(values[rows] if len(values) else values for values in batch))


def divided(bank: BodyBank, every: int, validation: bool) -> BodyBank:
    """The people and clips for validation, one of so many, or all others.

    Raises:
        SyntheticError: the bank has fewer than two people.
    """
    people = len(bank.people)
    if people < 2:
        raise SyntheticError(f"body bank: {people} person; one is needed to train and another to validate")
    kept = np.arange(people) % min(every, people) == 0
    clips = bank.poses
    poses = clips.clip_of_poses() % min(every, len(clips.names)) == 0
    if len(clips.names) < 2:
        poses = np.full(len(clips), validation)
    kept, poses = (kept, poses) if validation else (~kept, ~poses)
    return replace(
        bank,
        people=tuple(person for person, chosen in zip(bank.people, kept, strict=True) if chosen),
        poses=_some_poses(bank, np.flatnonzero(poses)),
    )


def with_fewer_children(bank: BodyBank, fraction: float) -> BodyBank:
    """The bank with as many of its children as make up at most a fraction of the bodies; always the same ones."""
    heights = np.array([np.ptp(person.vertices[:, 2]) for person in bank.people])
    child = heights < _CHILD
    adults = int((~child).sum())
    if not adults:
        return bank
    most = int(fraction / (1 - fraction) * adults) if fraction < 1 else len(heights)
    # Spread over all of them, so that every age is among those that stay.
    children = np.flatnonzero(child)
    stay = children[np.linspace(0, len(children) - 1, min(most, len(children))).astype(int)]
    kept = ~child
    kept[stay] = True
    return replace(bank, people=tuple(person for person, chosen in zip(bank.people, kept, strict=True) if chosen))


def _some_poses(bank: BodyBank, chosen: NDArray[np.intp]) -> PoseClips:
    clips = bank.poses
    numbers = clips.clip_of_poses()[chosen]
    names, starts = np.unique(numbers, return_index=True)
    return replace(
        clips,
        rotations=clips.rotations[chosen],
        airborne=clips.airborne[chosen],
        starts=starts.astype(np.int64),
        sources=clips.sources[names],
        names=tuple(clips.names[name] for name in names),
    )


def keypoints_of(scenes: Scenes, rng: np.random.Generator, settings: StreamSettings) -> NDArray[np.float64]:
    """(N, 17, 3) of all people in the scenes."""
    labels, cameras = scenes.labels, scenes.batch.cameras
    true = TrueKeypoints(
        pixels=_numbers(labels.coco23_pixels[:, _COCO]),
        seen=labels.coco23_seen[:, _COCO].cpu().numpy(),
        frames=scenes.batch.people.frames.cpu().numpy(),
        size=(cameras.width, cameras.height),
    )
    return detect(rng, true, settings.keypoints)


def _numbers(values: Tensor) -> NDArray[np.float64]:
    return values.double().cpu().numpy()


def _nothing_lifted(people: int, device: torch.device) -> dict[str, Tensor]:
    joints = len(ITOP15)
    missing = int(JointStatus.MISSING)
    return {
        "lifted": torch.full((people, 1, joints, 3), torch.nan, device=device),
        "lifted_variance": torch.full((people, 1, joints), torch.nan, device=device),
        "lifted_confidence": torch.zeros(people, 1, joints, device=device),
        "lifted_status": torch.full((people, 1, joints), missing, dtype=torch.uint8, device=device),
    }


def _sizes(joints: Tensor) -> Tensor:
    """(N,) of each person as a fraction of an average adult, by the bones whose length is known."""
    bones, lengths = _BONES.to(joints.device), _LENGTHS.to(joints.device)
    known = lengths > 0
    measured = (joints[:, bones[known, 1]] - joints[:, bones[known, 0]]).norm(dim=-1)
    sizes: Tensor = (measured / lengths[known]).median(dim=1).values
    return sizes
