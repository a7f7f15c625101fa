"""A person's points for a network, and its joints back in camera coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, pinhole_rays, project, unproject, unproject_pixels
from unipose_ros.codecs.base import CodecContext, JointPredictions, card_integer
from unipose_ros.codecs.instances import OwnPoints
from unipose_ros.codecs.thinning import farthest_first, largest_component, voxel_downsample
from unipose_ros.compiled import compiled
from unipose_ros.detection import Proposals
from unipose_ros.frame import RgbdFrame
from unipose_ros.joint_sets import COCO17
from unipose_ros.networks.weights import ModelCard, WeightsError

if TYPE_CHECKING:
    import torch

FloatArray = NDArray[np.float32]
DoubleArray = NDArray[np.float64]


@dataclass(frozen=True)
class PointCloudConfig:
    """How a person is cut out of a frame.

    Attributes:
        points: number of points a network gets.
        centers: so many of them come first and are spread evenly; a network's anchors.
        margin: the person's box is grown by this factor about its middle, at least 1.
        reach: points farther than this from the person's distance are left out, in meters.
        cluster: the largest cluster of cells of this width is kept, in meters; 0 keeps all points.
        cell: width of the finest grid that points are averaged in, in meters.
        max_pixels: a larger crop is read at every second (third, ...) pixel.
        min_points: fewer points than this are no person.
        paint: channels of 2D confidence per point; 0 for points alone.
        paint_std: how far a keypoint shines at the person's distance, in meters.

    Raises:
        ValueError: a value is out of range.
    """

    points: int = 2048
    centers: int = 128
    margin: float = 1.25
    reach: float = 1.0
    cluster: float = 0.075
    cell: float = 0.02
    max_pixels: int = 20000
    min_points: int = 64
    paint: int = 0
    paint_std: float = 0.05

    def __post_init__(self) -> None:
        for name in ("points", "centers", "min_points", "max_pixels", "reach", "cell", "paint_std"):
            if not getattr(self, name) > 0:
                raise ValueError(f"point_cloud.{name} = {getattr(self, name)}: must be positive")
        for name, least in (("cluster", 0), ("paint", 0), ("margin", 1)):
            if not getattr(self, name) >= least:
                raise ValueError(f"point_cloud.{name} = {getattr(self, name)}: must be at least {least}")
        if self.centers > self.points:
            raise ValueError(f"point_cloud.centers = {self.centers}: there are only {self.points} points")


@dataclass(frozen=True, eq=False)
class Paint:
    """What a 2D network predicted about the person, to be painted onto the points.

    Attributes:
        pixels: (C, 2) of the raw image; NaN for what was not found.
        confidences: (C,) in [0, 1].
    """

    pixels: NDArray[np.floating]
    confidences: NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class PointSample:
    """One person in one frame, as a network takes it.

    Attributes:
        features: (N, 3 + C) float32: meters from ``center``, then the painted confidences. Points
            are repeated if the person has too few. The first ones are spread evenly.
        center: (3,) float32 meters in the camera's optical frame.
    """

    features: FloatArray
    center: FloatArray

    def to_camera(self, joints: NDArray[np.floating]) -> FloatArray:
        """(..., 3) meters as the network puts them out -> meters in the camera's optical frame."""
        return np.asarray(joints + self.center, np.float32)

    def to_sample(self, joints: NDArray[np.floating]) -> FloatArray:
        """(..., 3) meters in the camera's optical frame -> meters as the network puts them out."""
        return np.asarray(joints - self.center, np.float32)


def encode_person(
    frame: RgbdFrame,
    box: NDArray[np.floating],
    distance: float,
    config: PointCloudConfig,
    paint: Paint | None = None,
    own: OwnPoints | None = None,
) -> PointSample | None:
    """Cut a person out of a frame; its origin is the middle of the box at the person's distance.

    Args:
        box: (4,) u0, v0, u1, v1 in pixels around the person.
        distance: of the person, along z, in meters.
        paint: the person's keypoints, where the configuration has channels for them.
        own: (M, 3) points -> (M,) which may be the person's own, where others stand close by; ``None`` keeps all.

    Returns:
        The sample, or None where there are too few points to be a person.

    Raises:
        ValueError: the frame has no depth, or ``paint`` does not fit the configuration.
    """
    if (0 if paint is None else len(paint.confidences)) != config.paint:
        raise ValueError(f"paint: {paint and len(paint.confidences)} keypoints for {config.paint} channels")
    points = _points_in_box(frame, box, distance, config)
    if own is not None and len(points):
        points = points[own(points)]
    if config.cluster and not (kept := largest_component(points, config.cluster)).all():
        points = points[kept]
    if len(points) < config.min_points:
        return None
    points = farthest_first(voxel_downsample(points, config.points, config.cell), config.centers)
    points = points[np.arange(config.points) % len(points)]
    # The proposal says who is meant: where people stand together, the points' own middle would not.
    center = unproject(frame.camera, (np.asarray(box[:2], np.float64) + box[2:]) / 2, distance).astype(np.float32)
    if not np.isfinite(center).all():
        # The box reaches beyond what the lens shows.
        center = np.median(points, axis=0)
    features = points - center
    if paint is not None:
        std = config.paint_std * frame.camera.fy / distance
        features = np.concatenate([features, _painted(frame.camera, points, paint, std)], axis=1)
    return PointSample(features, center)


def stack_clip(samples: Sequence[PointSample]) -> PointSample:
    """Samples of one person in T frames, oldest first -> (T, N, 3 + C) about the last one's center.

    The camera is taken to stand still meanwhile, or the samples to be moved into one frame before.
    """
    last = samples[-1].center
    features = np.stack([sample.features for sample in samples])
    features[..., :3] += np.stack([sample.center - last for sample in samples])[:, None]
    return PointSample(features, last)


def collate(samples: Sequence[PointSample]) -> torch.Tensor:
    """B samples of frames (N, 3 + C) or of clips (T, N, 3 + C) -> (B, T, N, 3 + C); T is 1 for frames."""
    import torch

    batch = torch.from_numpy(np.stack([sample.features for sample in samples]))
    return batch if batch.ndim == 4 else batch[:, None]


def _points_in_box(
    frame: RgbdFrame, box: NDArray[np.floating], distance: float, config: PointCloudConfig
) -> FloatArray:
    """(M, 3) meters: what lies in the grown box, near the person's distance."""
    if frame.depth is None:
        raise ValueError("the frame has no depth; point clouds are made of it")
    rows, columns = _grown(box, frame.camera, config)
    window = frame.depth[rows, columns]
    if frame.camera.lens is not None:
        return _readings_near(frame.camera, window, rows, columns, distance, config.reach)
    across, down = pinhole_rays(frame.camera)
    return _points_near(window, across[columns], down[rows], distance, config.reach)


def _readings_near(
    camera: Camera, window: FloatArray, rows: slice, columns: slice, distance: float, reach: float
) -> FloatArray:
    row, column = np.nonzero(_is_near(window, distance, reach))
    u, v = columns.start + columns.step * column, rows.start + rows.step * row
    return unproject_pixels(camera, u, v, window[row, column])


def _is_near(window: FloatArray, distance: float, reach: float) -> NDArray[np.bool_]:
    near = np.abs(window - np.float32(distance)) < np.float32(reach)  # False for NaN
    return np.asarray(near & (window > 0))


def points_near_by_numpy(
    window: FloatArray, across: DoubleArray, down: DoubleArray, distance: float, reach: float
) -> FloatArray:
    """(M, 3) points of those readings (H, W) of a pinhole that are near.

    Args:
        across, down: (W,), (H,) x and y of the rays of the columns and rows.
        distance, reach: meters.
    """
    row, column = np.nonzero(_is_near(window, distance, reach))
    z = window[row, column]
    return np.stack([across[column] * z, down[row] * z, z], axis=1).astype(np.float32)


@compiled(points_near_by_numpy, "f4[:,::1](f4[:,:],f8[:],f8[:],f8,f8)")
def _points_near(
    window: FloatArray, across: DoubleArray, down: DoubleArray, distance: float, reach: float
) -> FloatArray:
    middle, most = np.float32(distance), np.float32(reach)
    points = np.empty((window.size, 3), np.float32)
    count = 0
    for row in range(window.shape[0]):
        for column in range(window.shape[1]):
            z = window[row, column]
            if z > 0 and abs(z - middle) < most:
                points[count, 0] = across[column] * z
                points[count, 1] = down[row] * z
                points[count, 2] = z
                count += 1
    return points[:count].copy()


def _grown(box: NDArray[np.floating], camera: Camera, config: PointCloudConfig) -> tuple[slice, slice]:
    """Rows and columns of the grown box, inside of the image, thinned out if they are too many."""
    low, high = np.asarray(box[:2], np.float64), np.asarray(box[2:], np.float64)
    middle, half = (low + high) / 2, (high - low) / 2 * config.margin
    limits = np.array([camera.width, camera.height])
    first = np.clip(np.floor(middle - half), 0, limits).astype(int).tolist()
    last = np.clip(np.ceil(middle + half) + 1, 0, limits).astype(int).tolist()
    area = (last[0] - first[0]) * (last[1] - first[1])
    step = int(np.ceil(np.sqrt(max(area, 1) / config.max_pixels)))
    return slice(first[1], last[1], step), slice(first[0], last[0], step)


def _painted(camera: Camera, points: FloatArray, paint: Paint, std: float) -> FloatArray:
    """(N, C) confidence of each keypoint, fading with the pixels between it and the point.

    Points painted with a 2D network's outputs: RGB-D fusion (ICIP 2021) does so with heat maps.
    """
    apart = project(camera, points)[:, None] - np.asarray(paint.pixels, np.float64)
    shine = np.exp(-0.5 * (apart**2).sum(axis=-1) / std**2) * paint.confidences
    return np.asarray(np.nan_to_num(shine), np.float32)


# Modality ``points``: a person's cloud of points.


class PointsCodec:
    """Clouds for a :class:`~unipose_ros.networks.points.PointNetwork`, one frame at a time.

    Raises:
        WeightsError: the record lacks a size, or the network wants other paint than COCO keypoints.
    """

    square_first_pass: ClassVar[bool] = True
    fits_bones: ClassVar[bool] = True

    def __init__(self, record: ModelCard, context: CodecContext) -> None:
        del context
        names = ("points", "centers", "paint")
        self._config = PointCloudConfig(**{name: card_integer(record, name) for name in names})
        if self._config.paint not in (0, len(COCO17)):
            raise WeightsError(
                f"weights record of {record.network}: paint = {self._config.paint}; there are {len(COCO17)} keypoints"
            )

    def encode(
        self, frame: RgbdFrame, people: Proposals, person: int, own: OwnPoints | None = None
    ) -> PointSample | None:
        """The person's points; ``None`` where there are too few.

        Args:
            own: (M, 3) points -> (M,) which may be the person's own, where others stand close by.
        """
        distance = float(people.distances[person])
        return encode_person(frame, people.boxes[person], distance, self._config, self._paint(people, person), own)

    def _paint(self, people: Proposals, person: int) -> Paint | None:
        if not self._config.paint:
            return None
        if people.keypoints is None:
            # Found without a 2D network: nothing is painted, as in training where it saw nothing.
            return Paint(np.full((len(COCO17), 2), np.nan), np.zeros(len(COCO17)))
        return Paint(people.keypoints.pixels[person], people.keypoints.confidences[person])

    def dummy_input(self, people: int) -> NDArray[np.float32]:
        """An input of so many people with all points in one place."""
        return np.zeros((people, 1, self._config.points, 3 + self._config.paint), np.float32)

    def collate(self, samples: Sequence[PointSample]) -> NDArray[np.float32]:
        """(N, 1, points, 3 + paint)."""
        return np.stack([sample.features for sample in samples])[:, None]

    def decode(self, samples: Sequence[PointSample], outputs: Sequence[NDArray[Any]]) -> JointPredictions:
        """Outputs: those of :class:`~unipose_ros.networks.layers.Votes` with one frame."""
        joints, log_scales, covariances = (output[:, -1] for output in outputs)
        centers = np.stack([sample.center for sample in samples])
        return JointPredictions((joints + centers[:, None]).astype(np.float32), np.exp(log_scales), covariances)
