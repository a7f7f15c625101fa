"""The report's video and gallery: the recordings are read once more, now for their images."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from unipose_ros.visualization.overlay import Image
from unipose_ros.visualization.video import write_video
from unipose_training.datasets.base import Clip
from unipose_training.evaluation.replay import ReplayedFrame
from unipose_training.evaluation.report.comparison import View, compose, describe, worst_joints
from unipose_training.evaluation.results import Results

#: Number of the recording, stamp of the frame in nanoseconds.
FrameKey = tuple[int, int]

#: The video ends after so many frames of all recordings together.
VIDEO_FRAMES = 1500
_QUALITY = 88


@dataclass(frozen=True)
class Shown:
    """One image of the gallery.

    Attributes:
        caption: recording and number of the frame, and what is to be seen.
        jpeg: the image as base64.
    """

    caption: str
    jpeg: str


@dataclass(frozen=True)
class Images:
    """What was drawn.

    Attributes:
        video_frames: how many frames the video has; 0 when there is none.
        gallery: in the order of the frames asked for.
    """

    video_frames: int
    gallery: tuple[Shown, ...]


def draw(
    clips: Sequence[Clip],
    frames: Sequence[ReplayedFrame],
    chosen: Sequence[FrameKey],
    video: Path | None,
    rate_hz: float,
    advance: Callable[[], object] = lambda: None,
) -> Images:
    """Write the video, and keep the chosen frames.

    Args:
        frames: results of the same recordings.
        chosen: for the gallery.
        video: file to write; ``None`` draws only the gallery.
        rate_hz: of the video.
        advance: called after every frame read.
    """
    kept: dict[FrameKey, Shown] = {}
    limit = VIDEO_FRAMES if video is not None else 0
    images = _images(clips, frames, set(chosen), kept, limit, advance)
    count = sum(1 for _ in images) if video is None else write_video(video, images, rate_hz)
    return Images(video_frames=count, gallery=tuple(kept[key] for key in chosen if key in kept))


def _images(
    clips: Sequence[Clip],
    frames: Sequence[ReplayedFrame],
    wanted: set[FrameKey],
    kept: dict[FrameKey, Shown],
    limit: int,
    advance: Callable[[], object],
) -> Iterator[Image]:
    """The video's frames; those wanted for the gallery are put into ``kept`` in passing."""
    shown = 0
    for number, clip in enumerate(clips):
        results = [f for f in frames if f.clip == number]
        by_stamp = {f.predicted.stamp_ns: f for f in results}
        view = View.around(results)
        for index, frame in enumerate(islice(clip.frames(), len(results))):
            advance()
            key = (number, frame.stamp_ns)
            if frame.stamp_ns not in by_stamp or (shown >= limit and key not in wanted):
                continue
            title = f"{clip.name}  frame {index + 1}"
            image = compose(frame, by_stamp[frame.stamp_ns], view, title)
            if key in wanted:
                texts = (title, describe(by_stamp[frame.stamp_ns]), worst_joints(by_stamp[frame.stamp_ns]))
                kept[key] = Shown("; ".join(text for text in texts if text), to_jpeg(image))
            if shown < limit:
                shown += 1
                yield image


def to_jpeg(image: Image) -> str:
    """RGB -> JPEG as base64."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return base64.b64encode(data.tobytes()).decode()


# Which frames the gallery shows.


def gallery_frames(results: Results, frames: Sequence[ReplayedFrame], count: int = 4) -> list[FrameKey]:
    """The worst frames; without ground truth or faults, frames with people at equal distances over everything."""
    if results.accuracy is not None and results.accuracy.worst:
        return [(frame.clip, frame.stamp_ns) for frame in results.accuracy.worst]
    peopled = [f for f in frames if len(f.predicted)] or list(frames)
    indices = np.linspace(0, max(0, len(peopled) - 1), count + 2).astype(int)[1:-1]
    chosen = [peopled[i] for i in np.unique(indices)] if peopled else []
    return [(frame.clip, frame.predicted.stamp_ns) for frame in chosen]
