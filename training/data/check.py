"""Does a copy of a data set hold what was published, and do its labels lie on its pictures?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import project
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons
from unipose_ros.pictures.drawing import Figure, draw_figure, person_colour
from unipose_ros.pictures.overlay import background, draw_skeletons
from unipose_training.data.labels import IndexedClip, Labels2D
from unipose_training.data.poses import PoseSequence

Image = NDArray[np.uint8]

#: Panels of the overview, pixels, and how many stand in a row.
_PANEL = (320, 240)
_COLUMNS = 4
_CAPTION = 22
_GREY = 40
_WHITE = (235, 235, 235)


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
    """One sample, drawn, with what it measures."""

    caption: str
    picture: Image
    remark: str = ""


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


def spread(total: int, count: int) -> list[int]:
    """At most ``count`` indices below ``total``, evenly spread, always the same."""
    if total <= count:
        return list(range(total))
    return [round(n * (total - 1) / max(1, count - 1)) for n in range(count)]


def sample_clips(clips: Sequence[IndexedClip], count: int) -> list[Panel]:
    """Samples from clips that are spread over all of them, each from the middle of its clip."""
    return [clip_panel(clips[n], _middle(clips[n])) for n in spread(len(clips), count) if len(clips[n])]


def _middle(clip: IndexedClip) -> int:
    """The labelled frame nearest to the middle; the middle where none is labelled."""
    middle = len(clip) // 2
    order = sorted(range(len(clip)), key=lambda index: abs(index - middle))
    return next((index for index in order if clip.truth_at(index) is not None), middle)


def clip_panel(clip: IndexedClip, index: int) -> Panel:
    """A frame with its labels drawn and measured against its picture."""
    frame, truth, labels = clip.frame_at(index), clip.truth_at(index), clip.labels_at(index)
    picture = background(frame)
    remarks = []
    if truth is not None:
        draw_skeletons(picture, truth, frame.camera, _thickness(picture))
        remarks += _depth_remark(frame, truth)
        remarks += _label_remark(frame, truth, labels)
    return Panel(f"{clip.name} #{index}", picture, ", ".join(remarks))


def labels_panel(caption: str, picture: Image, labels: Labels2D) -> Panel:
    """A picture with 2D labels."""
    shown = picture.copy()
    for pixels, status, name in zip(labels.pixels, labels.status, labels.ids, strict=True):
        figure = Figure(pixels, status, person_colour(name))
        draw_figure(shown, figure, labels.joint_set, _thickness(shown))
    return Panel(caption, shown, f"{len(labels)} people")


def pose_panel(sequence: PoseSequence) -> Panel:
    """The middle pose of a sequence without pictures, where its 2D has it."""
    index = len(sequence) // 2
    camera = sequence.camera
    size = (camera.height, camera.width) if camera else (1000, 1000)
    picture = np.full((*size, 3), _GREY, np.uint8)
    status = np.full((1, len(sequence.joint_set)), JointStatus.MEASURED, np.uint8)
    panel = labels_panel(
        f"{sequence.name} #{index}",
        picture,
        Labels2D(sequence.pixels[index : index + 1], status, ("",), sequence.joint_set),
    )
    if camera is None:
        return panel
    off = np.linalg.norm(project(camera, sequence.positions) - sequence.pixels, axis=-1)
    return Panel(panel.caption, panel.picture, f"3D to 2D {np.nanmedian(off):.2f} px")


def _depth_remark(frame: RgbdFrame, truth: Skeletons) -> list[str]:
    if frame.depth is None:
        return []
    seen = truth.positions[truth.status == JointStatus.MEASURED]
    pixels = np.rint(np.nan_to_num(project(frame.camera, seen), nan=-1)).astype(int)
    inside = (pixels >= 0).all(axis=1) & (pixels < [frame.camera.width, frame.camera.height]).all(axis=1)
    surface = frame.depth[pixels[inside, 1], pixels[inside, 0]]
    gaps = (seen[inside, 2] - surface)[surface > 0]
    return [f"joints {100 * np.median(gaps):+.1f} cm behind the surface"] if len(gaps) else ["no joint has depth"]


def _label_remark(frame: RgbdFrame, truth: Skeletons, labels: Labels2D | None) -> list[str]:
    if labels is None or labels.joint_set != truth.joint_set or labels.ids != truth.ids:
        return []
    off = np.linalg.norm(project(frame.camera, truth.positions) - labels.pixels, axis=-1)
    known = off[np.isfinite(off)]
    return [f"3D to 2D {np.median(known):.1f} px"] if len(known) else []


def overview(panels: Sequence[Panel]) -> Image:
    """All panels on one sheet, RGB."""
    width, height = _PANEL[0], _PANEL[1] + _CAPTION
    rows = max(1, math.ceil(len(panels) / _COLUMNS))
    sheet = np.full((rows * height, _COLUMNS * width, 3), _GREY, np.uint8)
    for n, panel in enumerate(panels):
        top, left = n // _COLUMNS * height, n % _COLUMNS * width
        fitted = _fitted(panel.picture)
        y, x = top + (_PANEL[1] - fitted.shape[0]) // 2, left + (_PANEL[0] - fitted.shape[1]) // 2
        sheet[y : y + fitted.shape[0], x : x + fitted.shape[1]] = fitted
        cv2.putText(
            sheet, panel.caption[-44:], (left + 4, top + height - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.42, _WHITE, 1,
            cv2.LINE_AA,
        )  # fmt: skip
    return sheet


def _fitted(picture: Image) -> Image:
    scale = min(_PANEL[0] / picture.shape[1], _PANEL[1] / picture.shape[0])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _thickness(picture: Image) -> int:
    """Bones that are still seen when the picture has shrunk to a panel."""
    return max(2, round(2 * int(picture.shape[1]) / _PANEL[0]))
