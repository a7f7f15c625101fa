"""One row of a sample store: a person in a frame, cut out, with what the 2D network and the truth say."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, rectify_pixels
from unipose_ros.codecs.anchors import WindowSample
from unipose_ros.codecs.colour_image import encode_colour
from unipose_ros.codecs.crop import Window
from unipose_ros.codecs.depth_image import encode_depth
from unipose_ros.codecs.point_cloud import encode_person
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.lookup import lift_people
from unipose_ros.lookup.body import BODY13, body_pixels
from unipose_ros.lookup.convert import to_skeletons
from unipose_ros.people import seen_keypoints, select_people
from unipose_ros.skeletons import ITOP15
from unipose_training.evaluation.matching import match_people
from unipose_training.samples.rectify import rectified
from unipose_training.samples.settings import SampleSettings

Row = dict[str, NDArray[Any]]

#: ITOP joints that a 2D network points at, and where they are among the lifted 13. Neck and torso
#: have no keypoint: a network learns them from shoulders and hips.
POINTED = np.array([ITOP15.index(name) for name in ITOP15.joints if name not in ("neck", "torso")])
_TRUNK = [ITOP15.index(name) for name in ("left_shoulder", "right_shoulder", "left_hip", "right_hip")]
_AMONG_13 = np.array([BODY13.landmarks.index(ITOP15.landmarks[joint]) for joint in POINTED])


@dataclass(frozen=True, eq=False)
class Found:
    """People of one frame, cut out.

    Attributes:
        rows: one dictionary of arrays per person.
        skeletons: where they are, in the order of ``rows``; for following them from frame to frame.
        dropped: people that could not be used.
    """

    rows: list[Row]
    skeletons: Skeletons
    dropped: int


def find_rows(raw: RgbdFrame, keypoints: Keypoints2D, truth: Skeletons | None, settings: SampleSettings) -> Found:
    """The people of a frame that can be lifted, as rows.

    Args:
        raw: with depth, as the camera's lens shows it.
        keypoints: COCO-17 people of the frame.
        truth: ITOP-15; a person gets that of whoever is nearest, within half a metre.
    """
    camera = raw.camera
    chosen = select_people(keypoints, camera.width, camera.height, settings.people)
    seen = seen_keypoints(chosen, camera.width, camera.height, settings.people)
    frame, chosen = rectified(raw), _rectified_keypoints(chosen, camera)
    rows, lifted = [], []
    for person in range(len(chosen)):
        one = np.array([person])
        row_and_lift = _row(frame, chosen.select(one), seen[one], settings)
        if row_and_lift is not None:
            rows.append(row_and_lift[0])
            lifted.append(row_and_lift[1])
    skeletons = _stacked(frame, lifted)
    _add_truth(rows, skeletons, truth)
    return Found(rows, skeletons, len(chosen) - len(rows))


def _rectified_keypoints(keypoints: Keypoints2D, camera: Camera) -> Keypoints2D:
    if not camera.distortion:
        return keypoints
    return replace(keypoints, pixels=rectify_pixels(camera, keypoints.pixels).astype(np.float32))


def _row(
    frame: RgbdFrame, keypoints: Keypoints2D, seen: NDArray[np.bool_], settings: SampleSettings
) -> tuple[Row, Skeletons] | None:
    assert frame.depth is not None
    people = lift_people(frame.camera, frame.depth, keypoints, seen, settings.lookup)
    if len(people.scores) == 0:
        return None
    lifted = to_skeletons(people, frame.stamp_ns, frame.frame_id, "lookup")
    pixels, confidences, there = body_pixels(keypoints.pixels, keypoints.confidences, seen)
    box = _box(keypoints.pixels[0][seen[0]])
    inputs = cut_out(frame, box, trunk_distance(lifted.positions[0], lifted.status[0]), settings)
    if inputs is None:
        return None
    return {
        **inputs,
        **_two_d(keypoints, pixels[0], confidences[0], there[0]),
        **_lifted(lifted, people.sizes),
    }, lifted


def _box(pixels: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.concatenate([pixels.min(axis=0), pixels.max(axis=0)]).astype(np.float32)


def trunk_distance(positions: NDArray[np.floating], status: NDArray[np.uint8]) -> float:
    """Metres along z at which a person is cut out: that of the (15, 3) joints which are MEASURED.

    Those of the trunk if there are any. At run time the finder's surface and the trunk's depth behind
    it give the same (:mod:`unipose_ros.learned.places`).
    """
    for joints in (_TRUNK, list(range(len(ITOP15)))):
        sure = [joint for joint in joints if status[joint] == JointStatus.MEASURED]
        if sure:
            return float(np.median(positions[sure, 2]))
    return float(np.nanmedian(positions[:, 2]))


def cut_out(frame: RgbdFrame, box: NDArray[np.float32], distance: float, settings: SampleSettings) -> Row | None:
    """The networks' inputs for a person, and how they were cut; ``None`` when nobody can be cut out.

    Args:
        frame: rectified, with depth.
        box: (4,) u0, v0, u1, v1 in pixels.
        distance: metres along z; NaN is nobody.
    """
    if not distance > 0:
        return None
    row: Row = {}
    if settings.with_points:
        sample = encode_person(frame, box, distance, settings.points)
        if sample is None:
            return None
        row |= {"points": sample.features.astype(np.float16), "centre": sample.centre}
    if settings.with_depth:
        view = encode_depth(frame, box, distance, settings.depth)
        row |= {"depth": _raw_depth(frame, view), "depth_window": _four(view.window)}
    if settings.with_colour and frame.colour is not None:
        view = encode_colour(frame, box, distance, settings.colour)
        row |= {"colour": view.window.cut(frame.colour, smooth=True), "colour_window": _four(view.window)}
    return row | {
        "box": box,
        "distance": np.array(distance, np.float32),
        "camera": np.array([getattr(frame.camera, name) for name in ("fx", "fy", "cx", "cy")], np.float32),
        "image_size": np.array([frame.camera.width, frame.camera.height], np.int32),
        "stamp_ns": np.array(frame.stamp_ns, np.int64),
    }


def _raw_depth(frame: RgbdFrame, view: WindowSample) -> NDArray[np.uint16]:
    """(S, S) millimetres, not yet made relative: training changes the distance."""
    assert frame.depth is not None
    depth = np.nan_to_num(view.window.cut(frame.depth, smooth=False), nan=0, posinf=0, neginf=0)
    return np.asarray(np.clip(np.rint(depth * 1000), 0, 65535), np.uint16)


def _four(window: Window) -> NDArray[np.float32]:
    return np.array([window.u, window.v, window.width, window.height], np.float32)


def _two_d(
    keypoints: Keypoints2D, pixels: NDArray[np.float64], confidences: NDArray[np.float64], there: NDArray[np.bool_]
) -> Row:
    """Keypoints as the 2D network said them, and those of ITOP's joints that it points at."""
    targets = np.full((len(ITOP15), 2), np.nan, np.float32)
    trust = np.zeros(len(ITOP15), np.float32)
    targets[POINTED] = np.where(there[_AMONG_13, None], pixels[_AMONG_13], np.nan)
    trust[POINTED] = np.where(there[_AMONG_13], confidences[_AMONG_13], 0)
    every = np.concatenate([keypoints.pixels[0], keypoints.confidences[0][:, None]], axis=1)
    return {"pixels": targets, "trust": trust, "keypoints": every.astype(np.float32), "score": keypoints.scores[0]}


def _lifted(lifted: Skeletons, sizes: NDArray[np.float64]) -> Row:
    assert lifted.covariances is not None
    return {
        "lifted": lifted.positions[0],
        "lifted_variance": lifted.covariances[0][:, 5],
        "lifted_status": lifted.status[0],
        "lifted_confidence": lifted.confidences[0],
        "size": sizes[0].astype(np.float32),
    }


def _stacked(frame: RgbdFrame, people: list[Skeletons]) -> Skeletons:
    if not people:
        return Skeletons.empty(frame.stamp_ns, frame.frame_id, "lookup")
    return Skeletons(
        stamp_ns=frame.stamp_ns,
        frame_id=frame.frame_id,
        modality="lookup",
        positions=np.concatenate([person.positions for person in people]),
        confidences=np.concatenate([person.confidences for person in people]),
        status=np.concatenate([person.status for person in people]),
        scores=np.concatenate([person.scores for person in people]),
    )


def _add_truth(rows: list[Row], skeletons: Skeletons, truth: Skeletons | None) -> None:
    """Put the true joints into the rows; NaN where nobody fits or nothing is known."""
    joints = len(ITOP15)
    for row in rows:
        row["truth"] = np.full((joints, 3), np.nan, np.float32)
        row["visible"] = np.zeros(joints, np.uint8)
    if truth is None:
        return
    matches = match_people(skeletons, truth)
    for person, true in zip(matches.predicted, matches.true, strict=True):
        rows[person]["truth"] = truth.positions[true]
        rows[person]["visible"] = (truth.status[true] == JointStatus.MEASURED).astype(np.uint8)
