"""Skeletons -> what REP-155 (ROS4HRI) says of bodies: regions and keypoints in the image, places, links and angles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project
from unipose_ros.frame import JointStatus, Skeletons, TrackState
from unipose_ros.joint_frames import person_frames
from unipose_ros.joint_sets import ITOP15, REP155, convert_joints
from unipose_ros.ros.human_model import Link, body_lengths, joint_angles, link_frames

#: A body reaches beyond its joints by this part of their extent.
_MARGIN = 0.12


@dataclass(frozen=True, eq=False)
class Body:
    """One body.

    Attributes:
        id: as in the skeletons.
        position: (3,) meters, the middle of the hips or, where they are not known, of all joints.
        velocity: (3,) meters a second; NaN where not known.
        links: REP-155's link names without the id, and their poses in ``body_<id>``; none without a body frame.
        angles: of the movable joints that are known, radians, by name without the id.
        lengths: of the model's links in meters; empty without a body frame.
        region: xmin, ymin, xmax, ymax as parts of the image's size; ``None`` for who is not seen in the image now.
        keypoints: (18, 3) x and y as parts of the image's size and confidence, in the order of ``hri_msgs/Skeleton2D``;
            confidence 0 and NaN where there is none. ``None`` with the region.
        score: that this is a person.
    """

    id: str
    position: NDArray[np.float64]
    velocity: NDArray[np.float64]
    links: dict[str, Link]
    angles: dict[str, float]
    lengths: dict[str, float]
    region: tuple[float, float, float, float] | None
    keypoints: NDArray[np.float64] | None
    score: float


def bodies(skeletons: Skeletons, camera: Camera | None) -> list[Body]:
    """All people whose track is confirmed.

    Args:
        camera: of the image that the skeletons' frame is the optical frame of; ``None`` where it is not known.
    """
    return [_body(skeletons, k, camera) for k in skeletons if skeletons.states[k] != TrackState.NEW]


def _body(skeletons: Skeletons, index: int, camera: Camera | None) -> Body:
    positions = skeletons.positions[index].astype(np.float64)
    frames = person_frames(skeletons, index)
    places: dict[str, NDArray[np.float64]] = {}
    if frames.body is not None:
        joints, _ = convert_joints(positions, skeletons.joint_set, ITOP15)
        inside = (joints - frames.body.origin) @ frames.body.rotation
        places = {mark: at for mark, at in zip(ITOP15.landmarks, inside, strict=True) if np.isfinite(at).all()}
    angles = joint_angles(frames, skeletons.joint_set)
    velocities = skeletons.velocities
    seen = camera is not None and skeletons.states[index] == TrackState.TRACKED
    region = _region(camera, positions) if seen and camera is not None else None
    return Body(
        id=skeletons.ids[index],
        position=_middle(positions) if frames.body is None else frames.body.origin,
        velocity=np.full(3, np.nan) if velocities is None else velocities[index].astype(np.float64),
        links=link_frames(angles, places) if places else {},
        angles=angles,
        lengths=body_lengths(places) if places else {},
        region=region,
        keypoints=None if region is None or camera is None else _keypoints(skeletons, index, camera),
        score=float(skeletons.scores[index]),
    )


def _middle(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    known = positions[np.isfinite(positions).all(axis=1)]
    return known.mean(axis=0) if len(known) else np.full(3, np.nan)


def _region(camera: Camera, positions: NDArray[np.float64]) -> tuple[float, float, float, float] | None:
    pixels = project(camera, positions)
    pixels = pixels[np.isfinite(pixels).all(axis=1)]
    if not len(pixels):
        return None
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    margin = _MARGIN * float((high - low).max())
    size = np.array([camera.width, camera.height])
    corners = np.clip(np.concatenate([(low - margin) / size, (high + margin) / size]), 0, 1)
    xmin, ymin, xmax, ymax = (float(value) for value in corners)
    return (xmin, ymin, xmax, ymax) if xmin < xmax and ymin < ymax else None


def _keypoints(skeletons: Skeletons, index: int, camera: Camera) -> NDArray[np.float64]:
    """Joints outside of the image have no keypoint: REP-155's coordinates are within [0, 1]."""
    positions = skeletons.positions[index].astype(np.float64)
    confidences = np.where(skeletons.status[index] == JointStatus.MISSING, np.nan, skeletons.confidences[index])
    points, _ = convert_joints(positions, skeletons.joint_set, REP155)
    values, _ = convert_joints(confidences[:, None].astype(np.float64), skeletons.joint_set, REP155)
    pixels = project(camera, points) / [camera.width, camera.height]
    shown = ((pixels >= 0) & (pixels <= 1)).all(axis=1) & np.isfinite(values[:, 0])
    return np.column_stack(
        [np.where(shown[:, None], pixels, np.nan), np.where(shown, np.clip(values[:, 0], 0, 1), 0.0)]
    )


def cropped(image: NDArray[np.uint8], region: tuple[float, float, float, float]) -> NDArray[np.uint8]:
    """The part of an (H, W, 3) image in a region; at least one pixel."""
    height, width = image.shape[:2]
    left, top = min(int(region[0] * width), width - 1), min(int(region[1] * height), height - 1)
    right, bottom = max(int(np.ceil(region[2] * width)), left + 1), max(int(np.ceil(region[3] * height)), top + 1)
    return image[top:bottom, left:right]
