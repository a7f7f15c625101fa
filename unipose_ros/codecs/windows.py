"""Modalities ``depth`` and ``rgb``: a person's window of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project, rays, unproject
from unipose_ros.codecs.base import CodecContext, JointPredictions, card_integer
from unipose_ros.codecs.instances import OwnPoints
from unipose_ros.detection import Proposals, visible_keypoints
from unipose_ros.frame import RgbdFrame
from unipose_ros.geometry import body_model as body
from unipose_ros.geometry import covariance
from unipose_ros.geometry.covariance import LEAST_COVARIANCE, outer_products, with_scale
from unipose_ros.geometry.crop import Crop
from unipose_ros.joint_sets import COCO17, ITOP15
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.networks.weights import ModelCard, WeightsError

if TYPE_CHECKING:
    from unipose_ros.lifting import Lifter


# Joints as an image network predicts them, in window pixels and meters of depth, in camera coordinates.


FloatArray = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class CropSample:
    """One person in one frame, as an image network takes it.

    Attributes:
        image: (C, S, S) float32.
        window: where in the image it is.
        distance: meters along z; depths are relative to it.
        camera: of the image.
    """

    image: FloatArray
    window: Crop
    distance: float
    camera: Camera

    def to_camera(self, pixels: NDArray[np.floating], depths: NDArray[np.floating]) -> FloatArray:
        """Joints in the camera's optical frame.

        Args:
            pixels: (..., 2) of the window.
            depths: (...) meters relative to ``distance``.

        Returns:
            (..., 3) meters.
        """
        directions = rays(self.camera, self.window.to_image(pixels))
        return np.asarray(directions * (depths + self.distance)[..., None], np.float32)

    def to_sample(self, joints: NDArray[np.floating]) -> tuple[FloatArray, FloatArray]:
        """(..., 3) meters in the camera's optical frame -> pixels of the window and relative depths."""
        pixels = self.window.to_window(project(self.camera, joints))
        return np.asarray(pixels, np.float32), np.asarray(joints[..., 2] - self.distance, np.float32)

    def covariances_to_camera(
        self, pixels: NDArray[np.floating], depths: NDArray[np.floating], covariances: NDArray[np.floating]
    ) -> FloatArray:
        """Covariances in the camera's optical frame, to first order and without what the lens bends.

        Args:
            pixels: (..., 2) of the window.
            depths: (...) meters relative to ``distance``.
            covariances: (..., 6) of (u, v, depth), upper triangle.

        Returns:
            (..., 6) square meters: xx, xy, xz, yy, yz, zz.
        """
        z = np.asarray(depths, np.float64) + self.distance
        change = np.zeros((*z.shape, 3, 3))
        scale = self.window.scale * np.array([self.camera.fx, self.camera.fy])
        change[..., 0, 0], change[..., 1, 1] = z / scale[0], z / scale[1]
        change[..., :, 2] = rays(self.camera, self.window.to_image(pixels))
        return np.asarray(covariance.transformed(covariances, change), np.float32)


# A person's window of a color image for a network.


@dataclass(frozen=True)
class ColorImageConfig:
    """How a person is cut out of a color image.

    Attributes:
        size: pixels of the window's side.
        margin: the window's side as a part of the longer side of the person's box across the rays, at least 1.

    Raises:
        ValueError: a value is out of range.
    """

    size: int = 256
    margin: float = 1.25

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"color_image.size = {self.size}: must be positive")
        if not self.margin >= 1:
            raise ValueError(f"color_image.margin = {self.margin}: must be at least 1")


def encode_color(frame: RgbdFrame, box: NDArray[np.floating], distance: float, config: ColorImageConfig) -> CropSample:
    """Cut a person out, as large in the window as in any other image.

    Args:
        box: (4,) u0, v0, u1, v1 in pixels around the person.
        distance: of the person, along z, in meters, from wherever it is known; the network predicts depths
            relative to it and does not see it.

    Raises:
        ValueError: the frame has no color, or the box is empty.
    """
    if frame.color is None:
        raise ValueError("the frame has no color; the color network uses nothing else")
    low, high = np.asarray(box[:2], np.float64), np.asarray(box[2:], np.float64)
    camera = frame.camera
    # fx and fy need not be equal: the window is a square across the rays, not in pixels.
    side = float(((high - low) / [camera.fx, camera.fy]).max()) * config.margin
    u, v = (low + high) / 2
    window = Crop(float(u), float(v), side * camera.fx, side * camera.fy, config.size)
    image = window.cut(frame.color, smooth=True).astype(np.float32) / 127.5 - 1
    return CropSample(np.ascontiguousarray(image.transpose(2, 0, 1)), window, distance, camera)


# A person's window of a depth image for a network.


@dataclass(frozen=True)
class DepthImageConfig:
    """How a person is cut out of a depth image.

    Attributes:
        size: pixels of the window's side.
        extent: meters that the window shows at the person's distance.
        unit: meters of depth that become 1.
        clip: nothing is nearer or farther than this many units; no reading counts as farthest.

    Raises:
        ValueError: a value is not positive.
    """

    size: int = 192
    extent: float = 2.4
    unit: float = 0.5
    clip: float = 2.0

    def __post_init__(self) -> None:
        for name in ("size", "extent", "unit", "clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"depth_image.{name} = {getattr(self, name)}: must be positive")


def encode_depth(
    frame: RgbdFrame,
    box: NDArray[np.floating],
    distance: float,
    config: DepthImageConfig,
    own: OwnPoints | None = None,
) -> CropSample:
    """Cut a person out; depth is relative to the person's, so that the range is free.

    Args:
        box: (4,) u0, v0, u1, v1 in pixels around the person.
        distance: of the person, along z, in meters.
        own: which points may be the person's own, where others stand close by; ``None`` keeps all.

    Raises:
        ValueError: the frame has no depth, or box and distance give no window.
    """
    if frame.depth is None:
        raise ValueError("the frame has no depth; the depth network uses nothing else")
    if not distance > 0:
        raise ValueError(f"distance = {distance}: a person is at a positive distance; drop the proposal")
    middle = (np.asarray(box[:2], np.float64) + box[2:]) / 2
    window = Crop.of_extent(frame.camera, middle, distance, config.extent, config.size)
    depth = window.cut(frame.depth, smooth=False)
    if own is not None:
        depth = _own_depth(depth, window, frame.camera, distance, config, own)
    relative = np.where(depth > 0, (depth - distance) / config.unit, config.clip)  # False for NaN
    image = np.clip(relative, -config.clip, config.clip).astype(np.float32)
    return CropSample(image[None], window, distance, frame.camera)


def _own_depth(
    depth: FloatArray, window: Crop, camera: Camera, distance: float, config: DepthImageConfig, own: OwnPoints
) -> FloatArray:
    """The window's depth (size, size) in meters without what is another person's."""
    rows, columns = np.nonzero(np.abs(depth - distance) < config.clip * config.unit)  # False for NaN
    pixels = window.to_image(np.stack([columns, rows], axis=-1))
    others = ~own(unproject(camera, pixels, depth[rows, columns]).astype(np.float32))
    kept = depth.copy()
    kept[rows[others], columns[others]] = 0.0
    return kept


DoubleArray = NDArray[np.float64]

#: A smaller part of a depth window with readings near the person is no person: a decimeter squared of 2.4 m.
_MIN_VALID_FRACTION = 0.002


class DepthCodec:
    """Windows for an :class:`~unipose_ros.networks.anchors.AnchorNetwork` that uses depth.

    Raises:
        WeightsError: the record lacks a size, or the network wants keypoints, too.
    """

    square_first_pass: ClassVar[bool] = False
    fits_bones: ClassVar[bool] = False

    def __init__(self, record: ModelCard, context: CodecContext) -> None:
        del context
        _refuse_keypoints(record)
        self._config = DepthImageConfig(size=card_integer(record, "size"))

    def encode(
        self, frame: RgbdFrame, people: Proposals, person: int, own: OwnPoints | None = None
    ) -> CropSample | None:
        """The person's window; ``None`` where hardly anything is near its distance."""
        sample = encode_depth(frame, people.boxes[person], float(people.distances[person]), self._config, own)
        near = np.abs(sample.image) < self._config.clip
        return sample if near.mean() >= _MIN_VALID_FRACTION else None

    def dummy_input(self, people: int) -> NDArray[np.float32]:
        """An input of so many people with nothing to see."""
        return np.zeros((people, 1, self._config.size, self._config.size), np.float32)

    def collate(self, samples: Sequence[CropSample]) -> NDArray[np.float32]:
        """(N, 1, size, size)."""
        return np.stack([sample.image for sample in samples])

    def decode(self, samples: Sequence[CropSample], outputs: Sequence[NDArray[Any]]) -> JointPredictions:
        """Outputs: those of :class:`~unipose_ros.networks.anchors.AnchorVotes`."""
        return decode_windows(samples, outputs)


@dataclass(frozen=True, eq=False)
class ColorSample:
    """A window, and how well the person's distance is known.

    Attributes:
        window: as the network takes it.
        std: standard deviation of the distance in meters.
    """

    window: CropSample
    std: float


class ColorCodec:
    """Windows for an :class:`~unipose_ros.networks.anchors.AnchorNetwork` that uses color.

    Distances are told by the context's lifter; without it by the detector, or by people's sizes.

    Raises:
        WeightsError: the record lacks a size, or the network wants keypoints, too.
    """

    square_first_pass: ClassVar[bool] = False
    fits_bones: ClassVar[bool] = False

    def __init__(self, record: ModelCard, context: CodecContext) -> None:
        _refuse_keypoints(record)
        self._config = ColorImageConfig(size=card_integer(record, "size"))
        self._people = context.detection
        self._lifter = context.lifter

    def encode(
        self, frame: RgbdFrame, people: Proposals, person: int, own: OwnPoints | None = None
    ) -> ColorSample | None:
        """The person's window; ``None`` where neither depth nor size tells a distance."""
        del own
        distance, std = self._distance(frame, people, person)
        if not distance > 0:
            return None
        return ColorSample(encode_color(frame, people.boxes[person], distance, self._config), std)

    def _distance(self, frame: RgbdFrame, people: Proposals, person: int) -> tuple[float, float]:
        """Of one person, and its standard deviation; NaN where it is not known."""
        keypoints = None if people.keypoints is None else people.keypoints.select(np.array([person]))
        if keypoints is not None and self._lifter is not None:
            distance, std = lifted_distance(self._lifter, frame, keypoints)
            if np.isfinite(distance):
                return distance, std
        distance = float(people.distances[person])
        if np.isfinite(distance) or keypoints is None:
            return distance, 0.0
        camera = frame.camera
        (seen,) = visible_keypoints(keypoints, camera.width, camera.height, self._people)
        return size_distance(camera, keypoints.pixels[0], seen)

    def dummy_input(self, people: int) -> NDArray[np.float32]:
        """An input of so many people with nothing to see."""
        return np.zeros((people, 3, self._config.size, self._config.size), np.float32)

    def collate(self, samples: Sequence[ColorSample]) -> NDArray[np.float32]:
        """(N, 3, size, size)."""
        return np.stack([sample.window.image for sample in samples])

    def decode(self, samples: Sequence[ColorSample], outputs: Sequence[NDArray[Any]]) -> JointPredictions:
        """Outputs: those of :class:`~unipose_ros.networks.anchors.AnchorVotes`.

        A person at another distance than was believed lies farther along the same rays.
        """
        predictions = decode_windows([sample.window for sample in samples], outputs)
        stds = np.array([sample.std for sample in samples])
        along = predictions.positions / predictions.positions[..., 2:]
        covariances = predictions.covariances + stds[:, None, None] ** 2 * outer_products(along)
        # Laplace's variance is 2 s^2 in each of three coordinates.
        scales = np.sqrt(predictions.scales**2 + stds[:, None] ** 2 * (along**2).sum(axis=-1) / 6)
        return JointPredictions(predictions.positions, scales.astype(np.float32), covariances.astype(np.float32))


def _refuse_keypoints(record: ModelCard) -> None:
    """The lifting variant would run without its keypoints, and worse than it was trained to.

    Raises:
        WeightsError: the network is one.
    """
    if record.config.get("local", 0):
        raise WeightsError(
            f"weights record of {record.network}: local = {record.config['local']}: this network wants 2D keypoints "
            "beside the window, which is for training and evaluation; train one with local = 0"
        )


def decode_windows(samples: Sequence[CropSample], outputs: Sequence[NDArray[Any]]) -> JointPredictions:
    """What anchors voted, in the camera's frame; covariances have the votes' shape and the scale's size."""
    pixels, depths, log_scales, std = outputs[:4]
    scales = np.exp(log_scales)
    people = range(len(samples))
    turned = np.stack([samples[i].covariances_to_camera(pixels[i], depths[i], std[i]) for i in people])
    covariances = with_scale(turned, np.array(LEAST_COVARIANCE, np.float32), scales)
    positions = np.stack([samples[i].to_camera(pixels[i], depths[i]) for i in people])
    return JointPredictions(positions, scales, covariances.astype(np.float32))


# How far away a person is by its size in the image, where no depth says so.

_BONES = (
    ("left_shoulder", "left_elbow", body.LIMB_LENGTHS[0, 0]),
    ("right_shoulder", "right_elbow", body.LIMB_LENGTHS[1, 0]),
    ("left_elbow", "left_wrist", body.LIMB_LENGTHS[0, 1]),
    ("right_elbow", "right_wrist", body.LIMB_LENGTHS[1, 1]),
    ("left_hip", "left_knee", body.LIMB_LENGTHS[2, 0]),
    ("right_hip", "right_knee", body.LIMB_LENGTHS[3, 0]),
    ("left_knee", "left_ankle", body.LIMB_LENGTHS[2, 1]),
    ("right_knee", "right_ankle", body.LIMB_LENGTHS[3, 1]),
    ("left_shoulder", "right_shoulder", body.SHOULDER_WIDTH),
    ("left_shoulder", "left_hip", body.FLANK_LENGTH),
    ("right_shoulder", "right_hip", body.FLANK_LENGTH),
)
_STARTS = np.array([COCO17.index(start) for start, _, _ in _BONES])
_ENDS = np.array([COCO17.index(end) for _, end, _ in _BONES])
_LENGTHS = np.array([length for _, _, length in _BONES])
#: A bone looks at most as long as it is, so the true distance is among the nearest that bones allow;
#: not the nearest, for keypoints are not exact and people are not average. This part of the bones (by
#: length) says a nearer one: on 129 rendered people seen by MoveNet the median error is then least.
_NEARER = 0.25
#: Standard deviation of the distance as a part of it; measured on the same people.
_DISTANCE_STD = 0.09
_TRUNK = [ITOP15.index(f"{side}_{part}") for part in ("shoulder", "hip") for side in ("left", "right")]


def size_distance(camera: Camera, pixels: NDArray[np.floating], seen: NDArray[np.bool_]) -> tuple[float, float]:
    """Distance along z in meters and its standard deviation; NaN where no bone is seen.

    Args:
        pixels: (17, 2) COCO keypoints.
        seen: (17,) those that are believed.
    """
    there = np.flatnonzero(seen[_STARTS] & seen[_ENDS])
    directions = rays(camera, np.where(seen[:, None], pixels, 0))
    apart = np.linalg.norm(directions[_STARTS[there]] - directions[_ENDS[there]], axis=-1)
    there, apart = there[apart > 0], apart[apart > 0]
    if len(there) == 0:
        return float("nan"), float("nan")
    distances, weights = _LENGTHS[there] / apart, _LENGTHS[there]
    order = np.argsort(distances)
    below = np.cumsum(weights[order])
    distance = float(distances[order[np.searchsorted(below, _NEARER * below[-1])]])
    return distance, _DISTANCE_STD * distance


def lifted_distance(lifter: Lifter, frame: RgbdFrame, keypoints: Keypoints2D) -> tuple[float, float]:
    """Distance along z of one person's trunk in meters by the lifter's pose, and its standard deviation.

    Depth readings of the frame are fused in. NaN where the person shows too few keypoints, or no trunk.
    """
    found = lifter.lift(keypoints, frame.camera, frame.depth)
    if len(found) == 0 or found.covariances is None:
        return float("nan"), float("nan")
    seen = np.flatnonzero(np.isfinite(found.positions[0, _TRUNK, 2]))
    if len(seen) == 0:
        return float("nan"), float("nan")
    joints = np.array(_TRUNK)[seen]
    std = np.sqrt(found.covariances[0, joints, 5].mean())
    return float(found.positions[0, joints, 2].mean()), float(std)
