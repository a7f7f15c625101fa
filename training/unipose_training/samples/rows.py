"""One row of a sample store: a person in a frame, cut out, with what the 2D network and the ground truth say."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project, rectify_pixels
from unipose_ros.codecs.points import PointCloudConfig, encode_person
from unipose_ros.codecs.windows import ColorImageConfig, CropSample, DepthImageConfig, encode_color, encode_depth
from unipose_ros.detection import DetectionConfig, select_people, visible_keypoints
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons
from unipose_ros.geometry.body_model import BODY13, body_pixels
from unipose_ros.geometry.crop import Crop
from unipose_ros.joint_sets import COCO17, ITOP15
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.lookup import LookupConfig, lift_people
from unipose_ros.lookup.lift import to_skeletons
from unipose_training.datasets.joint_sets import in_joint_set
from unipose_training.evaluation.matching import MIN_VISIBLE_JOINTS, match_people

# Frames of lenses that bend, as an ideal pinhole would see them.


def rectified(frame: RgbdFrame) -> RgbdFrame:
    """The frame with the same K and without distortion; the same frame where there is none.

    Depth takes the nearest pixel: a mixture of two depths is a place where nothing is.
    """
    camera = frame.camera
    if not camera.distortion:
        return frame
    coefficients, size = np.asarray(camera.distortion), (camera.width, camera.height)
    if camera.model == "equidistant":
        maps = cv2.fisheye.initUndistortRectifyMap(camera.K, coefficients, np.eye(3), camera.K, size, cv2.CV_32FC1)
    else:
        maps = cv2.initUndistortRectifyMap(camera.K, coefficients, None, camera.K, size, cv2.CV_32FC1)
    depth, color = frame.depth, frame.color
    return replace(
        frame,
        camera=replace(camera, distortion=()),
        depth=None if depth is None else np.asarray(cv2.remap(depth, *maps, cv2.INTER_NEAREST)),
        color=None if color is None else np.asarray(cv2.remap(color, *maps, cv2.INTER_LINEAR)),
    )


# How people are cut out of clips for training.


@dataclass(frozen=True)
class SampleSettings:
    """What a row of a :class:`~unipose_training.samples.store.SampleStore` holds.

    Attributes:
        points, depth, color: how the networks' inputs are cut out.
        people: which of the 2D network's people count.
        lookup: how their keypoints are lifted: for the reference distance and the surface behind each.
        with_points, with_depth, with_color: which inputs are kept; color takes most of the room.

    Raises:
        ValueError: nothing is kept.
    """

    points: PointCloudConfig = field(default_factory=PointCloudConfig)
    depth: DepthImageConfig = field(default_factory=DepthImageConfig)
    color: ColorImageConfig = field(default_factory=lambda: ColorImageConfig(size=224))
    detection: DetectionConfig = field(default_factory=DetectionConfig)
    lookup: LookupConfig = field(default_factory=LookupConfig)
    with_points: bool = True
    with_depth: bool = True
    with_color: bool = True

    def __post_init__(self) -> None:
        if not (self.with_points or self.with_depth or self.with_color):
            raise ValueError("samples: keep at least one of points, depth and color")
        if self.points.paint:
            raise ValueError("samples: points are painted when they are read; set points.paint = 0")


Row = dict[str, NDArray[Any]]

#: ITOP joints that a 2D network points at, and where they are among the lifted 13. Neck and torso
#: have no keypoint: a network learns them from shoulders and hips.
POINTED = np.array([ITOP15.index(name) for name in ITOP15.joints if name not in ("neck", "torso")])
_TRUNK = [ITOP15.index(name) for name in ("left_shoulder", "right_shoulder", "left_hip", "right_hip")]
_AMONG_13 = np.array([BODY13.landmarks.index(ITOP15.landmarks[joint]) for joint in POINTED])


@dataclass(frozen=True, eq=False)
class FoundPeople:
    """People of one frame, cut out.

    Attributes:
        rows: one dictionary of arrays per person.
        skeletons: where they are, in the order of ``rows``; for following them from frame to frame.
        dropped: people that could not be used.
    """

    rows: list[Row]
    skeletons: Skeletons
    dropped: int


def find_rows(
    raw: RgbdFrame, keypoints: Keypoints2D, ground_truth: Skeletons | None, settings: SampleSettings
) -> FoundPeople:
    """The people of a frame that can be lifted, as rows.

    Args:
        raw: with depth, as the camera's lens shows it.
        keypoints: COCO-17 people of the frame.
        ground_truth: ITOP-15; a person gets that of the nearest one, within half a meter.
    """
    camera = raw.camera
    chosen = select_people(keypoints, camera.width, camera.height, settings.detection)
    seen = visible_keypoints(chosen, camera.width, camera.height, settings.detection)
    frame, chosen = rectified(raw), _rectified_keypoints(chosen, camera)
    rows, lifted = [], []
    for person in range(len(chosen)):
        one = np.array([person])
        row_and_lift = _row(frame, chosen.select(one), seen[one], settings)
        if row_and_lift is not None:
            rows.append(row_and_lift[0])
            lifted.append(row_and_lift[1])
    skeletons = Skeletons.concat([Skeletons.empty(frame.stamp_ns, frame.frame_id, "lookup"), *lifted])
    _add_ground_truth(rows, skeletons, ground_truth)
    return FoundPeople(rows, skeletons, len(chosen) - len(rows))


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
    """Meters along z at which a person is cut out: that of the (15, 3) joints which are MEASURED.

    Those of the trunk if there are any. At run time the person detector's surface and the trunk's depth behind
    it give the same (:mod:`unipose_ros.detection.temporal`).
    """
    for joints in (_TRUNK, list(range(len(ITOP15)))):
        sure = [joint for joint in joints if status[joint] == JointStatus.MEASURED]
        if sure:
            return float(np.median(positions[sure, 2]))
    return float(np.nanmedian(positions[:, 2]))


def cut_out(frame: RgbdFrame, box: NDArray[np.float32], distance: float, settings: SampleSettings) -> Row | None:
    """The networks' inputs for a person, and how they were cut; ``None`` when no person can be cut out.

    Args:
        frame: rectified, with depth.
        box: (4,) u0, v0, u1, v1 in pixels.
        distance: meters along z; NaN is no person.
    """
    if not distance > 0:
        return None
    row: Row = {}
    if settings.with_points:
        sample = encode_person(frame, box, distance, settings.points)
        if sample is None:
            return None
        row |= {"points": sample.features.astype(np.float16), "center": sample.center}
    if settings.with_depth:
        view = encode_depth(frame, box, distance, settings.depth)
        row |= {"depth": _raw_depth(frame, view), "depth_window": _four(view.window)}
    if settings.with_color and frame.color is not None:
        view = encode_color(frame, box, distance, settings.color)
        row |= {"color": view.window.cut(frame.color, smooth=True), "color_window": _four(view.window)}
    return row | {
        "box": box,
        "distance": np.array(distance, np.float32),
        "camera": np.array([getattr(frame.camera, name) for name in ("fx", "fy", "cx", "cy")], np.float32),
        "image_size": np.array([frame.camera.width, frame.camera.height], np.int32),
        "stamp_ns": np.array(frame.stamp_ns, np.int64),
    }


def _raw_depth(frame: RgbdFrame, view: CropSample) -> NDArray[np.uint16]:
    """(S, S) millimeters, not yet made relative: training changes the distance."""
    assert frame.depth is not None
    depth = np.nan_to_num(view.window.cut(frame.depth, smooth=False), nan=0, posinf=0, neginf=0)
    return np.asarray(np.clip(np.rint(depth * 1000), 0, 65535), np.uint16)


def _four(window: Crop) -> NDArray[np.float32]:
    return np.array([window.u, window.v, window.width, window.height], np.float32)


def _two_d(
    keypoints: Keypoints2D, pixels: NDArray[np.float64], confidences: NDArray[np.float64], there: NDArray[np.bool_]
) -> Row:
    """Keypoints as the 2D network predicted them, and those of ITOP's joints that it points at."""
    targets = np.full((len(ITOP15), 2), np.nan, np.float32)
    confidence = np.zeros(len(ITOP15), np.float32)
    targets[POINTED] = np.where(there[_AMONG_13, None], pixels[_AMONG_13], np.nan)
    confidence[POINTED] = np.where(there[_AMONG_13], confidences[_AMONG_13], 0)
    every = np.concatenate([keypoints.pixels[0], keypoints.confidences[0][:, None]], axis=1).astype(np.float32)
    return {"pixels": targets, "confidence": confidence, "keypoints": every, "score": keypoints.scores[0]}


def _lifted(lifted: Skeletons, sizes: NDArray[np.float64]) -> Row:
    assert lifted.covariances is not None
    return {
        "lifted": lifted.positions[0],
        "lifted_variance": lifted.covariances[0][:, 5],
        "lifted_status": lifted.status[0],
        "lifted_confidence": lifted.confidences[0],
        "size": sizes[0].astype(np.float32),
    }


def _add_ground_truth(rows: list[Row], skeletons: Skeletons, ground_truth: Skeletons | None) -> None:
    """Put the true joints into the rows; NaN where no person fits or nothing is known."""
    joints = len(ITOP15)
    for row in rows:
        row["ground_truth"] = np.full((joints, 3), np.nan, np.float32)
        row["visible"] = np.zeros(joints, np.uint8)
    if ground_truth is None:
        return
    matches = match_people(skeletons, ground_truth)
    for person, true in zip(matches.predicted, matches.true, strict=True):
        rows[person]["ground_truth"] = ground_truth.positions[true]
        rows[person]["visible"] = (ground_truth.status[true] == JointStatus.MEASURED).astype(np.uint8)


# Rows of people whom no one looked for: where the ground truth says they are. For data sets without color.
#
# Keypoints are projected ground truth then, so that whatever claims to learn without 3D labels must not read
# them; the store says so (:data:`unipose_training.samples.store.GROUND_TRUTH`).


_BONES = np.array([(bone.parent, bone.child) for bone in ITOP15.bones])
_LENGTHS = np.array([bone.length for bone in ITOP15.bones])


def ground_truth_rows(raw: RgbdFrame, ground_truth: Skeletons, settings: SampleSettings) -> FoundPeople:
    """The people of whom at least three joints are visible and who have points, as rows.

    Args:
        raw: with depth, as the camera's lens shows it.
        ground_truth: in any joint set.
    """
    frame = rectified(raw)
    people, keypoints = in_joint_set(ground_truth, ITOP15), in_joint_set(ground_truth, COCO17)
    found = [(person, _ground_truth_row(frame, people, keypoints, person, settings)) for person in range(len(people))]
    rows = [row for _, row in found if row is not None]
    kept = np.array([person for person, row in found if row is not None], np.intp)
    return FoundPeople(rows, people.select(kept), len(people) - len(rows))


def _ground_truth_row(
    frame: RgbdFrame, people: Skeletons, keypoints: Skeletons, person: int, settings: SampleSettings
) -> Row | None:
    joints, status = people.positions[person], people.status[person]
    visible = status == JointStatus.MEASURED
    pixels = project(frame.camera, joints).astype(np.float32)
    box = _ground_truth_box(frame.camera, pixels)
    if visible.sum() < MIN_VISIBLE_JOINTS or box is None:
        return None
    inputs = cut_out(frame, box, trunk_distance(joints, status), settings)
    if inputs is None:
        return None
    return {
        **inputs,
        **_nothing_lifted(),
        **_projected(pixels, visible),
        "keypoints": _all_keypoints(frame.camera, keypoints, person),
        "score": np.array(1, np.float32),
        "size": np.array(_size(joints), np.float32),
        "ground_truth": joints,
        "visible": visible.astype(np.uint8),
    }


def _ground_truth_box(camera: Camera, pixels: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """(4,) around the joints, cut at the image's border; ``None`` when nothing of it is left."""
    there = pixels[np.isfinite(pixels).all(axis=-1)]
    if not len(there):
        return None
    size = np.array([camera.width - 1, camera.height - 1])
    low, high = np.clip(there.min(axis=0), 0, size), np.clip(there.max(axis=0), 0, size)
    return np.concatenate([low, high]).astype(np.float32) if (high > low).all() else None


def _projected(pixels: NDArray[np.float32], visible: NDArray[np.bool_]) -> Row:
    targets, confidence = np.full((len(ITOP15), 2), np.nan, np.float32), np.zeros(len(ITOP15), np.float32)
    targets[POINTED], confidence[POINTED] = pixels[POINTED], visible[POINTED]
    return {"pixels": targets, "confidence": confidence}


def _all_keypoints(camera: Camera, keypoints: Skeletons, person: int) -> NDArray[np.float32]:
    """(17, 3) u, v and 1 where it is seen, else 0; NaN for what the ground truth does not have."""
    seen = keypoints.status[person] == JointStatus.MEASURED
    pixels = project(camera, keypoints.positions[person])
    return np.concatenate([pixels, seen[:, None]], axis=1).astype(np.float32)


def _nothing_lifted() -> Row:
    joints = len(ITOP15)
    return {
        "lifted": np.full((joints, 3), np.nan, np.float32),
        "lifted_variance": np.full(joints, np.nan, np.float32),
        "lifted_status": np.full(joints, JointStatus.MISSING, np.uint8),
        "lifted_confidence": np.zeros(joints, np.float32),
    }


def _size(joints: NDArray[np.floating]) -> float:
    """As a part of an average adult, by the bones that are known; 1 where none is."""
    lengths = np.linalg.norm(joints[_BONES[:, 1]] - joints[_BONES[:, 0]], axis=-1) / _LENGTHS
    lengths = lengths[np.isfinite(lengths)]
    return float(np.median(lengths)) if len(lengths) else 1.0
