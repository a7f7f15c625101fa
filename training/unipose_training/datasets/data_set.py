"""What a data set offers: clips, the usual splits, and an inventory to compare a copy with the published counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import project
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons
from unipose_ros.visualization.overlay import Figure, background, draw_figure, draw_skeletons, person_color
from unipose_training.datasets.base import IndexedClip, Labels2D
from unipose_training.datasets.cameras import PoseSequence

Image = NDArray[np.uint8]

#: Width of a panel of the overview, pixels.
PANEL_WIDTH = 320
_GRAY = 40


@dataclass(frozen=True)
class Count:
    """How many of something there are.

    Attributes:
        what: was counted.
        found, published: numbers; ``None`` where nothing was published.
    """

    what: str
    found: int
    published: int | None = None

    @property
    def agrees(self) -> bool:
        """Nothing speaks against it."""
        return self.published is None or self.found == self.published


@dataclass(frozen=True, eq=False)
class Panel:
    """One sample, drawn, with what it measures.

    Attributes:
        ground_truth: of its frame; ``None`` where there is none.
    """

    caption: str
    image: Image
    remark: str = ""
    ground_truth: Skeletons | None = None


@dataclass(frozen=True, eq=False)
class Inventory:
    """What was found of a data set.

    Attributes:
        counts: beside the published totals.
        remarks: anything else worth a line.
        panels: samples.
    """

    counts: tuple[Count, ...]
    remarks: tuple[str, ...] = ()
    panels: tuple[Panel, ...] = ()


def evenly_spaced(total: int, count: int) -> list[int]:
    """At most ``count`` indices below ``total``, evenly spread, always the same."""
    if total <= count:
        return list(range(total))
    return [round(n * (total - 1) / max(1, count - 1)) for n in range(count)]


def sample_clips(clips: Sequence[IndexedClip], count: int) -> list[Panel]:
    """Samples from clips that are spread over all of them, each from the middle of its clip."""
    return [clip_panel(clips[n], _middle(clips[n])) for n in evenly_spaced(len(clips), count) if len(clips[n])]


def _middle(clip: IndexedClip) -> int:
    """The labeled frame nearest to the middle; the middle where none is labeled."""
    middle = len(clip) // 2
    order = sorted(range(len(clip)), key=lambda index: abs(index - middle))
    return next((index for index in order if clip.ground_truth_at(index) is not None), middle)


def clip_panel(clip: IndexedClip, index: int) -> Panel:
    """A frame with its labels drawn and measured against its image."""
    frame, ground_truth, labels = clip.frame_at(index), clip.ground_truth_at(index), clip.labels_at(index)
    image = background(frame)
    remarks = []
    if ground_truth is not None:
        draw_skeletons(image, ground_truth, frame.camera, _thickness(image))
        remarks += _depth_remark(frame, ground_truth)
        remarks += _label_remark(frame, ground_truth, labels)
    return Panel(f"{clip.name} #{index}", image, ", ".join(remarks), ground_truth)


def labels_panel(caption: str, image: Image, labels: Labels2D) -> Panel:
    """An image with 2D labels."""
    shown = image.copy()
    for pixels, status, name in zip(labels.pixels, labels.status, labels.ids, strict=True):
        figure = Figure(pixels, status, person_color(name))
        draw_figure(shown, figure, labels.joint_set, _thickness(shown))
    return Panel(caption, shown, f"{len(labels)} people")


def pose_panel(sequence: PoseSequence) -> Panel:
    """The middle pose of a sequence without images, where its 2D has it."""
    index = len(sequence) // 2
    camera = sequence.camera
    size = (camera.height, camera.width) if camera else (1000, 1000)
    image = np.full((*size, 3), _GRAY, np.uint8)
    status = np.full((1, len(sequence.joint_set)), JointStatus.MEASURED, np.uint8)
    panel = labels_panel(
        f"{sequence.name} #{index}",
        image,
        Labels2D(sequence.pixels[index : index + 1], status, ("",), sequence.joint_set),
    )
    if camera is None:
        return panel
    off = np.linalg.norm(project(camera, sequence.positions) - sequence.pixels, axis=-1)
    return Panel(panel.caption, panel.image, f"3D to 2D {np.nanmedian(off):.2f} px")


def _depth_remark(frame: RgbdFrame, ground_truth: Skeletons) -> list[str]:
    if frame.depth is None:
        return []
    seen = ground_truth.positions[ground_truth.status == JointStatus.MEASURED]
    pixels = np.rint(np.nan_to_num(project(frame.camera, seen), nan=-1)).astype(int)
    inside = (pixels >= 0).all(axis=1) & (pixels < [frame.camera.width, frame.camera.height]).all(axis=1)
    surface = frame.depth[pixels[inside, 1], pixels[inside, 0]]
    gaps = (seen[inside, 2] - surface)[surface > 0]
    return [f"joints {100 * np.median(gaps):+.1f} cm behind the surface"] if len(gaps) else ["no joint has depth"]


def _label_remark(frame: RgbdFrame, ground_truth: Skeletons, labels: Labels2D | None) -> list[str]:
    if labels is None or labels.joint_set != ground_truth.joint_set or labels.ids != ground_truth.ids:
        return []
    off = np.linalg.norm(project(frame.camera, ground_truth.positions) - labels.pixels, axis=-1)
    known = off[np.isfinite(off)]
    return [f"3D to 2D {np.median(known):.1f} px"] if len(known) else []


def _thickness(image: Image) -> int:
    """Bones that are still seen when the image has shrunk to a panel."""
    return max(2, round(2 * int(image.shape[1]) / PANEL_WIDTH))


@dataclass(frozen=True)
class DataSet:
    """A data set in its publishers' own files; :data:`unipose_training.datasets.registry.DATA_SETS` lists them.

    Attributes:
        name: as commands and recipes know it.
        open: clips of a root folder and of a part in the data set's own words ("": what results are published for, or
            all); None where there are no frames.
        splits: what ``train``, ``validation`` and ``test`` are in its own words.
        inventory: what is in a root folder, with so many samples drawn; None where nothing is published to compare.
    """

    name: str
    open: Callable[[Path, str], Sequence[IndexedClip]] | None = None
    splits: Mapping[str, str] = field(default_factory=dict)
    inventory: Callable[[Path, int], Inventory] | None = None
