"""What every batch renderer offers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from unipose_ros.joint_sets import COCO23, ITOP15, convert_joints
from unipose_training.synthetic.bank.posing import PosedPeople
from unipose_training.synthetic.batch.scenes import SceneBatch
from unipose_training.synthetic.renderer import DEEPEST

#: Owner of a pixel that shows nothing; ``surfaces.ROOM`` and 1, 2, ... are the others.
NOTHING = -1


@dataclass(frozen=True, eq=False)
class Rendered:
    """Images of F scenes without a sensor's faults.

    Attributes:
        depth: (F, H, W) float32 meters along the optical axis, 0 where there is nothing.
        owner: (F, H, W) int16: :data:`NOTHING`, ``surfaces.ROOM`` or the owner number of a person.
        color: (F, H, W, 3) uint8 RGB, or None.
        people: vertices and joints of all people in the world.
        things: (F, H, W) int32: -1 for nothing; then the materials of all people, as many of each as the bank's
            bodies have, the blocks, and three (floor, ceiling, walls) of each room. None where a renderer
            cannot tell.
    """

    depth: Tensor
    owner: Tensor
    color: Tensor | None
    people: PosedPeople
    things: Tensor | None = None


class Renderer(Protocol):
    """Makes images of scenes; the same scenes give the same images."""

    def render(self, scenes: SceneBatch, color: bool = False) -> Rendered:
        """Render a batch.

        Raises:
            SyntheticError: a person or a pose is not in the renderer's bank.
        """
        ...


# Labels of a rendered batch: joints in two sets, what is seen of them, boxes.


@dataclass(frozen=True, eq=False)
class Labels:
    """Ground truth about N people, in the order of ``SceneBatch.people``.

    Attributes:
        coco23, itop15: (N, J, 3) meters, optical frame.
        coco23_pixels: (N, 23, 2) places in the image; NaN behind the camera.
        coco23_seen, itop15_seen: (N, J) the camera sees the person's own skin in front of the joint, less
            than 18 cm nearer; a mixed joint is seen when all that it is mixed of are.
        boxes: (N, 4) first and last column and row that show the person, as u0, v0, u1, v1; NaN if none does.
        pixels: (N,) how many show the person.
    """

    coco23: Tensor
    itop15: Tensor
    coco23_pixels: Tensor
    coco23_seen: Tensor
    itop15_seen: Tensor
    boxes: Tensor
    pixels: Tensor


def label(scenes: SceneBatch, rendered: Rendered) -> Labels:
    """Label a batch; all results are on the device of the images."""
    scenes = scenes.to(rendered.depth.device)
    people = scenes.people
    joints = scenes.cameras.to_optical(rendered.people.joints, people.frames)
    pixels = scenes.cameras.project(joints, people.frames)
    pixels = pixels.masked_fill((joints[..., 2:] <= 0), torch.nan)
    seen = _seen(joints[..., 2], pixels, people.frames, people.owners, rendered)
    mixing = _mixing().to(joints.device)
    boxes, count = _boxes(people.frames, people.owners, rendered.owner)
    # Mixed of unseen and visible joints, the share of the seen ones tells whether all are.
    mixed_seen = mixing @ seen.float()[..., None] > 0.99
    return Labels(joints, mixing @ joints, pixels, seen, mixed_seen[..., 0], boxes, count)


@cache
def _mixing() -> Tensor:
    """(15, 23) weights from COCO-23 to ITOP-15."""
    return torch.from_numpy(convert_joints(np.eye(len(COCO23), dtype=np.float32), COCO23, ITOP15)[0])


def _seen(depth: Tensor, pixels: Tensor, frames: Tensor, owners: Tensor, rendered: Rendered) -> Tensor:
    """(N, J) depths and (N, J, 2) pixels of joints -> (N, J) whether they are seen."""
    height, width = rendered.depth.shape[1:]
    u, v = pixels.nan_to_num(-1).round().clamp(-1, 1e6).long().unbind(-1)
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    place = (frames[:, None] * height + torch.where(inside, v, 0)) * width + torch.where(inside, u, 0)
    own = rendered.owner.flatten()[place] == owners[:, None]
    return inside & own & (depth - rendered.depth.flatten()[place] < DEEPEST)


def _boxes(frames: Tensor, owners: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
    """(N, 4) boxes and (N,) numbers of pixels."""
    of_person = _person_table(frames, owners, len(image))
    frame, v, u = (image > 0).nonzero().unbind(1)
    person = of_person[frame, image[frame, v, u].long()]
    count = torch.zeros(len(frames), dtype=torch.int64, device=image.device)
    count.scatter_add_(0, person, torch.ones_like(person))
    boxes = torch.full((len(frames), 4), torch.nan, device=image.device)
    for column, values, side in ((0, u, "amin"), (1, v, "amin"), (2, u, "amax"), (3, v, "amax")):
        boxes[:, column].scatter_reduce_(0, person, values.float(), side, include_self=False)
    return boxes, count


def _person_table(frames: Tensor, owners: Tensor, count: int) -> Tensor:
    """(F, O) number of the person by frame and owner."""
    table = torch.zeros((count, int(owners.max()) + 1 if len(owners) else 1), dtype=torch.int64, device=frames.device)
    table[frames, owners] = torch.arange(len(frames), device=frames.device)
    return table
