"""The demo's image and video: skeletons over the color image beside the scene from the side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.frame import RgbdFrame, Skeletons, TrackState
from unipose_ros.images import write_image
from unipose_ros.tracking.assignment import match, mean_distances
from unipose_ros.visualization.overlay import Image, background, draw_skeletons, drawn_text
from unipose_ros.visualization.video import write_video
from unipose_ros.visualization.view3d import point_of_view, render_scene, side_view

#: Height of a row, with one modality and with more; the scene is wider than high.
_PANEL_HEIGHT = {1: 600}
_LOWER_PANEL = 440
_SCENE_SHAPE = 1.2
_HEADER = 44
_YAW_RANGE = (0.55, 0.95)
_PITCH = 0.3
_TEXT = (235, 235, 240)
_QUIET = (150, 155, 168)
_GROUND = (14, 15, 19)
#: People are shown for so long in frames that were skipped.
_HELD_NS = 500_000_000


def write_images(
    folder: Path, frames: Iterable[RgbdFrame], received: Mapping[str, Mapping[int, Received]], fps: float
) -> dict[str, str]:
    """Write ``demo.mp4`` with all frames and ``demo.png`` with the one that shows most.

    Args:
        frames: the recording's frames in order; taken one at a time.
        received: for every modality the node's messages by stamp; a frame without one is shown with the people before.

    Returns:
        File names by kind; empty when there was no frame.
    """
    everything = [message.skeletons for messages in received.values() for message in messages.values()]
    target, distance = point_of_view(everything)
    best = best_stamp(list(received.values()))
    turns = max(1, *(len(messages) for messages in received.values()))
    still: list[Image] = []
    newest: dict[str, Received | None] = {}

    def panels() -> Iterator[Image]:
        for number, frame in enumerate(frames):
            yaw = _YAW_RANGE[0] + (_YAW_RANGE[1] - _YAW_RANGE[0]) * number / turns
            for modality, by_stamp in received.items():
                newest[modality] = by_stamp.get(frame.stamp_ns) or _recent(newest.get(modality), frame.stamp_ns)
            panel = compose(frame, newest, target, distance, yaw)
            if frame.stamp_ns == best or not still:
                still[:] = [panel]
            yield panel

    if not write_video(folder / "demo.mp4", panels(), fps):
        return {}
    write_image(folder / "demo.png", still[0])
    return {"image": "demo.png", "video": "demo.mp4"}


def compose(
    frame: RgbdFrame,
    messages: Mapping[str, Received | None],
    target: NDArray[np.floating],
    distance: float,
    yaw: float,
) -> Image:
    """One panel: for every modality color with skeletons, the scene from the side, a line of text above.

    Args:
        messages: of this frame, or the newest before it.
    """
    height = _PANEL_HEIGHT.get(len(messages), _LOWER_PANEL)
    width = round(frame.camera.width * height / frame.camera.height / 2) * 2
    plain = np.asarray(cv2.resize(background(frame), (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    view = side_view(target, distance, yaw, _PITCH, round(height * _SCENE_SHAPE / 2) * 2, height)
    rows: list[Image] = []
    for modality, message in messages.items():
        skeletons = message.skeletons if message else Skeletons.empty(frame.stamp_ns, frame.frame_id, "")
        color = plain.copy()
        draw_skeletons(color, skeletons, frame.camera)
        body = np.hstack([color, render_scene(frame, skeletons, view)])
        rows += [_header(body.shape[1], modality, message, frame.stamp_ns), body]
    return np.vstack(rows)


def _recent(message: Received | None, stamp_ns: int) -> Received | None:
    """A message that may still be shown at a later frame."""
    return message if message is not None and 0 <= stamp_ns - message.stamp_ns < _HELD_NS else None


def _header(width: int, modality: str, message: Received | None, stamp_ns: int) -> Image:
    bar = np.full((_HEADER, width, 3), _GROUND, np.uint8)
    cv2.putText(bar, "unipose_ros", (16, 29), cv2.FONT_HERSHEY_DUPLEX, 0.7, _TEXT, 1, cv2.LINE_AA)
    text = f"{modality}   no message for this frame"
    if message is not None:
        count = len(message.skeletons)
        noun = "person" if count == 1 else "people"
        used = message.skeletons.modality
        name = modality if used == modality else f"{modality}: {used}"
        age = (stamp_ns - message.stamp_ns) / 1e6
        when = f"{message.latency_ms:.0f} ms after acquisition" if age == 0 else f"of {age:.0f} ms ago: frame skipped"
        text = f"{name}   {count} {noun}   {when}"
    cv2.putText(bar, drawn_text(text), (190, 28), cv2.FONT_HERSHEY_SIMPLEX, 0.55, _QUIET, 1, cv2.LINE_AA)
    return bar


def best_stamp(received: Sequence[Mapping[int, Received]]) -> int | None:
    """The frame with most measured joints; of equals the middle one, where people have settled.

    Args:
        received: of all modalities; a frame that all have processed is preferred, and the first one's joints count.
    """
    shown = set.intersection(*(set(by_stamp) for by_stamp in received)) if received else set()
    first = {
        stamp: message for stamp, message in (received[0] if received else {}).items() if stamp in shown or not shown
    }
    if not first:
        return None
    counts = {stamp: int((message.skeletons.status == 2).sum()) for stamp, message in first.items()}
    equals = [stamp for stamp, count in sorted(counts.items()) if count == max(counts.values())]
    return equals[len(equals) // 2]


# What the demo measured, as numbers.

#: A person and a true person further apart than this are not the same, meters.
MATCH_DISTANCE = 0.5


@dataclass(frozen=True, eq=False)
class Received:
    """One message of the node.

    Attributes:
        stamp_ns: acquisition time in the recording (not moved to the time of playing).
        latency_ms: from acquisition to its arrival at the recorder.
        skeletons: its estimate.
    """

    stamp_ns: int
    latency_ms: float
    skeletons: Skeletons


def summarize(
    frame_stamps: Sequence[int],
    received: Sequence[Received],
    published_ms: Mapping[str, float],
    stages_ms: Mapping[str, Mapping[str, float]],
    ground_truth: Mapping[int, Skeletons],
) -> dict[str, Any]:
    """The content of ``summary.json``.

    Args:
        frame_stamps: acquisition times of the frames in the recording.
        received: all messages of the node.
        published_ms: acquisition to publication, as the node measured it (p50, p95).
        stages_ms: the same for every stage of the node.
        ground_truth: true people by stamp; empty when the recording has none.
    """
    processed = set(frame_stamps) & {message.stamp_ns for message in received}
    summary: dict[str, Any] = {
        "frames_in": len(frame_stamps),
        "skeleton_messages": len(received),
        "delivered_fraction": round(len(processed) / len(frame_stamps), 4) if frame_stamps else 0.0,
        "people_max": max((len(message.skeletons) for message in received), default=0),
        "ids": sorted(_confirmed_ids(received)),
        "latency_ms": {
            **published_ms,
            "stages": stages_ms,
            "received": percentiles([message.latency_ms for message in received]),
        },
    }
    if ground_truth:
        summary["against_ground_truth"] = score(received, ground_truth)
    return summary


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """p50 and p95; empty for no values."""
    if not values:
        return {}
    p50, p95 = np.percentile(np.asarray(values), [50, 95])
    return {"p50": round(float(p50), 2), "p95": round(float(p95), 2)}


def _confirmed_ids(received: Sequence[Received]) -> set[str]:
    return {
        person_id
        for message in received
        for person_id, state in zip(message.skeletons.ids, message.skeletons.states, strict=True)
        if state == TrackState.TRACKED
    }


def score(received: Sequence[Received], ground_truth: Mapping[int, Skeletons]) -> dict[str, Any]:
    """Mean joint position error (MPJPE, no alignment) and how many of the true people were found.

    People are matched to true people frame by frame, by least mean distance, within
    :data:`MATCH_DISTANCE`; joints that were not found do not count into the error, so the
    fraction of joints found stands beside it.
    """
    errors: list[NDArray[np.floating]] = []
    people, wanted_joints = 0, 0
    for message in received:
        if message.stamp_ns not in ground_truth:
            continue
        wanted = ground_truth[message.stamp_ns]
        people += len(wanted)
        wanted_joints += int(np.isfinite(wanted.positions).all(axis=-1).sum())
        errors.extend(_matched_errors(message.skeletons.positions, wanted.positions))
    joints = np.concatenate(errors) if errors else np.zeros(0)
    joints = joints[np.isfinite(joints)]
    return {
        "people_found_fraction": round(len(errors) / people, 4) if people else 0.0,
        "joints_found_fraction": round(len(joints) / wanted_joints, 4) if wanted_joints else 0.0,
        "mpjpe_mm": round(float(joints.mean()) * 1e3, 1) if len(joints) else None,
        "median_mm": round(float(np.median(joints)) * 1e3, 1) if len(joints) else None,
    }


def _matched_errors(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> list[NDArray[np.floating]]:
    """Joint errors (J,) in meters of every matched person; NaN where a joint is missing."""
    rows, columns = match(mean_distances(wanted, found), np.full(len(wanted), MATCH_DISTANCE))
    return list(np.linalg.norm(found[columns] - wanted[rows], axis=-1))
