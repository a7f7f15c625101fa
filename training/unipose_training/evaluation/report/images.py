"""The report's video and gallery: the recordings are read once more, now for their images."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import project
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons
from unipose_ros.tracking.assignment import match, mean_distances
from unipose_ros.visualization.overlay import Image, background, draw_skeletons, drawn_text
from unipose_ros.visualization.video import write_video
from unipose_ros.visualization.view3d import Viewpoint, point_of_view, render_scene, side_view
from unipose_training.datasets.base import Clip
from unipose_training.evaluation.matching import match_people
from unipose_training.evaluation.replay import ReplayedFrame
from unipose_training.evaluation.report.html import figure, section
from unipose_training.evaluation.results import Results

_TEXT, _QUIET, _GROUND = (235, 235, 240), (165, 170, 182), (14, 15, 19)


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


# Prediction and ground truth in one image: over the color image, and in the scene from the side.

_WIDTH, _HEIGHT = 720, 540
_HEADER = 44
#: Seen from the left and from above: depth errors, which the camera cannot see, show as shifts.
_YAW, _PITCH = 0.9, 0.25
_TRUE, _HIDDEN, _WRONG = (255, 255, 255), (150, 155, 165), (235, 40, 40)
_OUTLINE = (250, 220, 40)
_TITLE_WIDTH = 300
#: Errors from this on are marked, meters.
LARGE_ERROR = 0.10

Points = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class View:
    """From where the side view of a whole recording is taken."""

    viewpoint: Viewpoint

    @classmethod
    def around(cls, frames: list[ReplayedFrame]) -> View:
        """So that all people in these frames fit, true or predicted."""
        people = [s for f in frames for s in (f.ground_truth, f.predicted) if s is not None]
        target, distance = point_of_view(people)
        return cls(side_view(target, distance, _YAW, _PITCH, _WIDTH, _HEIGHT))


def compose(
    frame: RgbdFrame,
    replayed: ReplayedFrame,
    view: View,
    title: str,
    mask: NDArray[np.uint8] | None = None,
    remark: str | None = None,
) -> Image:
    """(584, 1440, 3) RGB: color on the left, side view on the right, a line of text above.

    Predictions are in their colors; the ground truth is white, gray where it is hidden; red lines join
    joints that are at least :data:`LARGE_ERROR` apart with their true places.

    Args:
        mask: (H, W) numbers of people, outlined in yellow; ``None`` for none.
        remark: beside the title; :func:`describe` by default.
    """
    scene = render_scene(frame, replayed.predicted, view.viewpoint)
    viewpoint = view.viewpoint
    _add_ground_truth(scene, replayed, lambda positions: project(viewpoint.camera, viewpoint.transform(positions)))
    body = np.hstack([_color_panel(frame, replayed, mask), scene])
    return np.vstack([_header(body.shape[1], describe(replayed) if remark is None else remark, title), body])


def _color_panel(frame: RgbdFrame, replayed: ReplayedFrame, mask: NDArray[np.uint8] | None) -> Image:
    """The image with all people, fitted into the panel with bars if its shape differs."""
    scale = min(_WIDTH / frame.camera.width, _HEIGHT / frame.camera.height)
    width, height = round(frame.camera.width * scale), round(frame.camera.height * scale)
    image = np.asarray(cv2.resize(background(frame), (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    if mask is not None:
        _draw_outlines(image, mask)
    draw_skeletons(image, replayed.predicted, frame.camera)
    seen_by = frame.camera.scaled(width, height)
    _add_ground_truth(image, replayed, lambda positions: project(seen_by, positions))
    panel = np.full((_HEIGHT, _WIDTH, 3), _GROUND, np.uint8)
    top, left = (_HEIGHT - height) // 2, (_WIDTH - width) // 2
    panel[top : top + height, left : left + width] = image
    return panel


def _draw_outlines(image: Image, mask: NDArray[np.uint8]) -> None:
    for label in np.unique(mask[mask > 0]):
        whole = cv2.resize((mask == label).astype(np.uint8), image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        outlines, _ = cv2.findContours(whole, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(image, outlines, -1, _OUTLINE, 1, cv2.LINE_AA)


def _add_ground_truth(image: Image, replayed: ReplayedFrame, projection: Callable[[Points], Points]) -> None:
    if replayed.ground_truth is not None:
        true, found = projection(replayed.ground_truth.positions), projection(replayed.predicted.positions)
        _draw_ground_truth(image, true, replayed.ground_truth)
        _draw_errors(image, true, found, replayed)


def _draw_ground_truth(image: Image, pixels: NDArray[np.floating], ground_truth: Skeletons) -> None:
    """Thin white lines without joints, so that the predictions below stay visible; hidden bones are gray."""
    for person in ground_truth:
        for bone in ground_truth.joint_set.bones:
            ends = [bone.parent, bone.child]
            seen = bool((ground_truth.status[person, ends] == JointStatus.MEASURED).all())
            _line(image, pixels[person, ends], _TRUE if seen else _HIDDEN)


def _draw_errors(
    image: Image, true: NDArray[np.floating], found: NDArray[np.floating], replayed: ReplayedFrame
) -> None:
    """Red lines from where joints are to where they were put, for the large errors."""
    for person, other, joint in large_errors(replayed):
        _line(image, np.stack([true[person, joint], found[other, joint]]), _WRONG)


def _line(image: Image, ends: NDArray[np.floating], color: tuple[int, int, int]) -> None:
    # Points behind the camera are NaN; far outside the image cv2's integers would overflow.
    if np.isfinite(ends).all() and np.abs(ends).max() < 10_000:
        start, end = np.rint(ends).astype(int).tolist()
        cv2.line(image, start, end, _GROUND, 4, cv2.LINE_AA)
        cv2.line(image, start, end, color, 2, cv2.LINE_AA)


def large_errors(replayed: ReplayedFrame) -> list[tuple[int, int, int]]:
    """True person, predicted person and joint of every error of at least 10 cm, the largest first."""
    if replayed.ground_truth is None:
        return []
    matches = match_people(replayed.predicted, replayed.ground_truth)
    true, found = replayed.ground_truth.positions[matches.true], replayed.predicted.positions[matches.predicted]
    errors = np.nan_to_num(np.linalg.norm(true - found, axis=-1))
    indices = np.argwhere(errors >= LARGE_ERROR)
    indices = indices[np.argsort(-errors[indices[:, 0], indices[:, 1]], kind="stable")]
    return [(int(matches.true[pair]), int(matches.predicted[pair]), int(joint)) for pair, joint in indices]


def _header(width: int, remark: str, title: str) -> Image:
    bar = np.full((_HEADER, width, 3), _GROUND, np.uint8)
    cv2.putText(bar, drawn_text(title), (16, 29), cv2.FONT_HERSHEY_DUPLEX, 0.6, _TEXT, 1, cv2.LINE_AA)
    (taken, _), _ = cv2.getTextSize(drawn_text(title), cv2.FONT_HERSHEY_DUPLEX, 0.6, 1)
    at = (max(_TITLE_WIDTH, taken + 40), 28)
    cv2.putText(bar, drawn_text(remark), at, cv2.FONT_HERSHEY_SIMPLEX, 0.55, _QUIET, 1, cv2.LINE_AA)
    return bar


def describe(replayed: ReplayedFrame) -> str:
    """One line about a frame."""
    count = len(replayed.predicted)
    people = f"{count} {'person' if count == 1 else 'people'} predicted"
    if replayed.ground_truth is None:
        return f"{people}, ground truth unknown"
    matches = match_people(replayed.predicted, replayed.ground_truth)
    distances = mean_distances(replayed.ground_truth.positions, replayed.predicted.positions)
    errors = distances[matches.true, matches.predicted]
    parts = [people]
    parts += [f"mean error {1e3 * errors.mean():.0f} mm"] if len(errors) else []
    parts += [f"{len(matches.missed)} missed"] if len(matches.missed) else []
    parts += [f"{len(matches.extra)} invented"] if len(matches.extra) else []
    return ", ".join(parts)


def worst_joints(replayed: ReplayedFrame, count: int = 3) -> str:
    """The largest errors by name; "" when there is none of 10 cm."""
    if replayed.ground_truth is None:
        return ""
    true, found = replayed.ground_truth, replayed.predicted
    names = []
    for person, other, joint in large_errors(replayed)[:count]:
        error = np.linalg.norm(true.positions[person, joint] - found.positions[other, joint])
        names.append(f"{true.joint_set.joints[joint].replace('_', ' ')} {100 * error:.0f} cm")
    return "worst: " + ", ".join(names) if names else ""


# The same frames with two sets of weights, side by side.

#: Number of the clip, and its people.
FramePeople = tuple[int, Skeletons]
#: Images: of the frames that change most, and of some evenly over time.
_CHANGED, _EVEN = 4, 4
_PANEL_WIDTH = 520


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
                image = _pair(frame, (before[k][1], after[k][1]), names)
                seconds = (frame.stamp_ns - before[0][1].stamp_ns) * 1e-9
                figures[k] = figure(to_jpeg(image), f"{clip.name}, {seconds:.1f} s: {names[0]}, {names[1]}", "jpeg")
    return section(title, "The same frames; the first ones change most.", *(figures[k] for k in chosen if k in figures))


def chosen_frames(before: Sequence[FramePeople], after: Sequence[FramePeople]) -> list[int]:
    """Numbers of the frames that are shown: those with the largest change, then some evenly over time."""
    changes = np.array([_change(old, new) for (_, old), (_, new) in zip(before, after, strict=True)])
    people = np.array([max(len(old), len(new)) for (_, old), (_, new) in zip(before, after, strict=True)])
    order = [int(k) for k in np.argsort(-changes, kind="stable")[:_CHANGED]]
    there = np.flatnonzero(people > 0)
    even = there[np.linspace(0, len(there) - 1, _EVEN).astype(int)] if len(there) else there
    return list(dict.fromkeys([*order, *(int(k) for k in even)]))


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
        height = round(_PANEL_WIDTH * frame.camera.height / frame.camera.width)
        panel = np.asarray(cv2.resize(image, (_PANEL_WIDTH, height), interpolation=cv2.INTER_AREA), np.uint8)
        for color, thick in ((_GROUND, 4), (_TEXT, 1)):
            cv2.putText(panel, drawn_text(text), (10, 24), cv2.FONT_HERSHEY_DUPLEX, 0.7, color, thick, cv2.LINE_AA)
        panels.append(panel)
    return np.hstack(panels)
