"""Prediction and ground truth in one image: over the color image, and in the scene from the side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import project
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons
from unipose_ros.tracking.assignment import mean_distances
from unipose_ros.visualization.overlay import Image, background, draw_skeletons, drawn_text
from unipose_ros.visualization.view3d import Viewpoint, point_of_view, render_scene, side_view
from unipose_training.evaluation.matching import match_people
from unipose_training.evaluation.replay import ReplayedFrame

_WIDTH, _HEIGHT = 720, 540
_HEADER = 44
#: Seen from the left and from above: depth errors, which the camera cannot see, show as shifts.
_YAW, _PITCH = 0.9, 0.25
_TRUE, _HIDDEN, _WRONG = (255, 255, 255), (150, 155, 165), (235, 40, 40)
_TEXT, _QUIET, _GROUND = (235, 235, 240), (165, 170, 182), (14, 15, 19)
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
