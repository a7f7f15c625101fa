"""People behind or beside others: a person detector looks again at depth from which those others are removed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project, unproject_pixels
from unipose_ros.codecs.instances import RoughBody
from unipose_ros.detection.heatmap import CenterNetConfig
from unipose_ros.detection.proposals import PersonDetector, Proposals
from unipose_ros.frame import RgbdFrame
from unipose_ros.geometry.nms import box_iou

#: Once in so many nanoseconds: a person once found is tracked from frame to frame.
_INTERVAL_NS = 200_000_000
#: Readings within this many meters of a known person's skin are that person's.
_SKIN = 0.14
#: A proposal must share this fraction of the boxes' union with a known person's box: furniture elsewhere is what the
#: first look has already judged.
_SHARED = 0.02
#: Pixels are judged in blocks of about this many per meter at one meter, which suits the detector's own resolution.
_PIXELS_PER_METER = 100.0
#: Meters; what is nearer than this along z is not in any image.
_NEAREST = 0.2


class OccludedPersonDetector:
    """A heat map has one peak where two people overlap in the image; without the front one there is another.

    Args:
        detector: of people in depth.
        min_score: least of its scores that counts.
    """

    def __init__(self, detector: PersonDetector, min_score: float = CenterNetConfig.min_score) -> None:
        self._detector = detector
        self._min_score = min_score
        self._stamp_ns: int | None = None

    def is_due(self, frame: RgbdFrame) -> bool:
        """Whether to look again in this frame; a stamp that went back says nothing of the time since."""
        return self._stamp_ns is None or not 0 <= frame.stamp_ns - self._stamp_ns < _INTERVAL_NS

    def __call__(self, frame: RgbdFrame, known: Proposals) -> tuple[RgbdFrame, Proposals]:
        """People who overlap known ones in the image.

        Args:
            frame: with depth.
            known: with joints.

        Returns:
            The frame without the known people's readings, and the people found in it.

        Raises:
            EstimatorError: the detector is closed.
        """
        self._stamp_ns = frame.stamp_ns
        assert frame.depth is not None
        assert known.joints is not None
        remaining = replace(frame, depth=without_people(frame.camera, frame.depth, known.joints))
        found = self._detector(remaining).at_joints()
        found = found.select(found.scores >= self._min_score)
        beside = np.asarray((box_iou(found.boxes, known.boxes) > _SHARED).any(axis=1))
        return remaining, found.select(beside)

    def reset(self) -> None:
        """Look in the next frame."""
        self._stamp_ns = None


def without_people(camera: Camera, depth: NDArray[np.float32], joints: NDArray[np.floating]) -> NDArray[np.float32]:
    """A depth image without the readings on some people's skin, which become no reading (0).

    Args:
        depth: (H, W) meters.
        joints: (N, 15, 3) meters, ITOP-15; NaN where unknown.
    """
    step = max(1, int(camera.fx / _PIXELS_PER_METER))
    height, width = depth.shape
    remaining = depth.copy()
    for person in joints:
        body = RoughBody.of_joints(person)
        if not len(body):
            continue
        low, high = _extent(camera, body)
        # A block is judged by its middle pixel.
        columns = np.arange(low[0] + step // 2, min(high[0], width), step)
        rows = np.arange(low[1] + step // 2, min(high[1], height), step)
        z = depth[np.ix_(rows, columns)]
        near, far = _depth_range(body)
        v, u = np.nonzero((z > near) & (z < far))  # False for NaN
        points = unproject_pixels(camera, columns[u], rows[v], z[v, u])
        on_skin = np.zeros(z.shape, np.bool_)
        on_skin[v, u] = body.distances(points) < _SKIN
        region = remaining[low[1] : low[1] + step * len(rows), low[0] : low[0] + step * len(columns)]
        blocks = on_skin.repeat(step, axis=0).repeat(step, axis=1)
        region[blocks[: region.shape[0], : region.shape[1]]] = 0.0
    return remaining


def _depth_range(body: RoughBody) -> tuple[float, float]:
    """Least and greatest depth of readings that may be a body's."""
    z, reach = body.ends[..., 2], body.radii.max() + _SKIN
    return max(float(z.min() - reach), 0.0), float(z.max() + reach)


def _extent(camera: Camera, body: RoughBody) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First and last pixel (u, v) of what a body may cover."""
    ends = body.ends.reshape(-1, 3)
    pixels = project(camera, ends[ends[:, 2] > _NEAREST])
    if not len(pixels):  # behind the camera
        return np.zeros(2, np.intp), np.zeros(2, np.intp)
    reach = (body.radii.max() + _SKIN) * max(camera.fx, camera.fy) / max(float(ends[:, 2].min()), _NEAREST)
    low, high = pixels.min(axis=0) - reach, pixels.max(axis=0) + reach
    limit = np.array([camera.width, camera.height])
    return np.clip(low, 0, limit).astype(np.intp), np.clip(np.ceil(high), 0, limit).astype(np.intp)
