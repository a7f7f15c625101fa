"""The same frames with two sets of weights, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.tracking.assignment import match, mean_distances
from unipose_ros.visualization.overlay import background, draw_skeletons, drawn_text
from unipose_training.datasets.base import Clip
from unipose_training.evaluation.report.html import figure, section
from unipose_training.evaluation.report.images import to_jpeg

#: Number of the clip, and its people.
FramePeople = tuple[int, Skeletons]
#: Pictures: of the frames that change most, and of some spread over time.
_CHANGED, _SPREAD = 4, 4
_WIDTH = 520
_TEXT, _GROUND = (235, 235, 240), (14, 15, 19)


def before_after(
    title: str,
    clips: Sequence[Clip],
    before: Sequence[FramePeople],
    after: Sequence[FramePeople],
    names: tuple[str, str],
) -> str:
    """A section of a page.

    Args:
        clips: that the frames are of; they are read once more for their images.
        before, after: the same frames with either set of weights.
        names: of the two.
    """
    chosen = chosen_frames(before, after)
    wanted = {(before[k][0], before[k][1].stamp_ns): k for k in chosen}
    figures = {}
    for number, clip in enumerate(clips):
        for frame in clip.frames():
            k = wanted.get((number, frame.stamp_ns))
            if k is not None:
                picture = _pair(frame, (before[k][1], after[k][1]), names)
                seconds = (frame.stamp_ns - before[0][1].stamp_ns) * 1e-9
                figures[k] = figure(to_jpeg(picture), f"{clip.name}, {seconds:.1f} s: {names[0]}, {names[1]}", "jpeg")
    return section(title, "The same frames; the first ones change most.", *(figures[k] for k in chosen if k in figures))


def chosen_frames(before: Sequence[FramePeople], after: Sequence[FramePeople]) -> list[int]:
    """Numbers of the frames that are shown: those with the largest change, then some spread over time."""
    changes = np.array([_change(old, new) for (_, old), (_, new) in zip(before, after, strict=True)])
    people = np.array([max(len(old), len(new)) for (_, old), (_, new) in zip(before, after, strict=True)])
    order = [int(k) for k in np.argsort(-changes, kind="stable")[:_CHANGED]]
    there = np.flatnonzero(people > 0)
    spread = there[np.linspace(0, len(there) - 1, _SPREAD).astype(int)] if len(there) else there
    return list(dict.fromkeys([*order, *(int(k) for k in spread)]))


def _change(old: Skeletons, new: Skeletons) -> float:
    if not len(old) or not len(new):
        return 0.0
    apart = mean_distances(old.positions, new.positions)
    rows, columns = match(apart, np.full(len(old), 1.0))
    return float(apart[rows, columns].max(initial=0.0))


def _pair(frame: RgbdFrame, both: tuple[Skeletons, Skeletons], names: tuple[str, str]) -> NDArray[np.uint8]:
    panels = []
    for text, people in zip(names, both, strict=True):
        image = background(frame).copy()
        draw_skeletons(image, people, frame.camera)
        height = round(_WIDTH * frame.camera.height / frame.camera.width)
        panel = np.asarray(cv2.resize(image, (_WIDTH, height), interpolation=cv2.INTER_AREA), np.uint8)
        for color, thick in ((_GROUND, 4), (_TEXT, 1)):
            cv2.putText(panel, drawn_text(text), (10, 24), cv2.FONT_HERSHEY_DUPLEX, 0.7, color, thick, cv2.LINE_AA)
        panels.append(panel)
    return np.hstack(panels)
