"""Boxes and distances as detectors give them: by keypoints, by depth, and around the joints of a first look."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from unipose_ros.detection import DetectionConfig, visible_keypoints
from unipose_ros.detection.keypoints import keypoint_boxes
from unipose_ros.geometry import body_model as body
from unipose_ros.geometry.crop import square_boxes
from unipose_ros.joint_sets import COCO17
from unipose_ros.keypoints import Keypoints2D
from unipose_training.errors import SyntheticError
from unipose_training.mocap.detector_noise import DetectorNoise

Array = NDArray[np.float64]


_TRUNK = [COCO17.index(f"{side}_{part}") for part in ("shoulder", "hip") for side in ("left", "right")]
#: What the estimator adds to the distance of the trunk's surface; see :mod:`unipose_ros.detection.temporal`.
_TRUNK_DEPTH = float(body.SURFACE_OFFSETS[[*body.SHOULDERS, *body.HIPS]].mean())
#: Places within the quadrilateral of shoulders and hips at which depth is read.
_ACROSS, _DOWN = (grid.reshape(-1) for grid in np.meshgrid(np.linspace(0.1, 0.9, 5), np.linspace(0.1, 0.9, 5)))
#: Readings farther than this from the trunk are not the person's, in meters.
_THICKNESS = 0.4


@dataclass(frozen=True)
class BoxSettings:
    """How people are found.

    Attributes:
        by_keypoints: fraction of people found by a 2D detector, in a box around the keypoints that count as seen; the
            others are found in depth.
        around_joints: of these, the fraction in a box around joints, as after a first look.
        jitter: standard deviation of each side of a box around joints, as a fraction of the box.
        loose: the same of a depth detector's box.
        square: fraction of the boxes that are not from keypoints that are squares of 0.85 to 1.3 times the longer side:
            a first pass takes squares, as a detector's box may leave out the legs of who sits on the floor.
        cut: fraction of boxes of which a piece of up to a third is missing on one side.
        distance: meters, standard deviation of the distance.
        astray: fraction of distances that are wrong by up to half a meter.

    Raises:
        SyntheticError: a value is negative, or a fraction above 1.
    """

    by_keypoints: float = 0.5
    around_joints: float = 0.7
    jitter: float = 0.03
    loose: float = 0.08
    square: float = 0.3
    cut: float = 0.05
    distance: float = 0.03
    astray: float = 0.03

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value <= 1:
                raise SyntheticError(f"stream.boxes.{name} = {value}: must be within [0, 1]")


@dataclass(frozen=True, eq=False)
class Seen:
    """What is known of N people when they are found.

    Attributes:
        joints: (N, J, 2) true pixels of the network's joints; NaN behind the camera.
        keypoints: (N, 17, 3) as the 2D detector reports them.
        trunk: (N,) meters along z of the trunk's joints.
        frames: (N,) number of each person's depth image.
    """

    joints: Array
    keypoints: Array
    trunk: Array
    frames: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Boxes:
    """N boxes u0, v0, u1, v1 in pixels, (N, 4), and distances in meters, (N,); and who has both, (N,)."""

    boxes: Array
    distances: Array
    valid: NDArray[np.bool_]


def draw_boxes(rng: np.random.Generator, seen: Seen, depth: NDArray[np.float32], settings: BoxSettings) -> Boxes:
    """A box and a distance for all people.

    Args:
        depth: (F, H, W) as measured.
    """
    people = len(seen.trunk)
    if not people:
        return Boxes(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.bool_))
    height, width = depth.shape[1:]
    limits = np.array([width, height, width, height]) - 1.0
    by_joints = _around(seen.joints)
    side = np.tile(np.maximum(by_joints[:, 2:] - by_joints[:, :2], 1), 2)
    first_look = rng.random(people) < settings.around_joints
    std = np.where(first_look, settings.jitter, settings.loose)[:, None]
    boxes = by_joints + side * std * rng.standard_normal((people, 4))
    # A detector's box ends at the image's border; one around joints need not.
    boxes = np.where(first_look[:, None], boxes, np.clip(boxes, 0, limits))
    found, by_keypoints = _by_keypoints(seen.keypoints, width, height)
    found &= rng.random(people) < settings.by_keypoints
    square = square_boxes(boxes, rng.uniform(0.85, 1.3, people))
    boxes = np.where((rng.random(people) < settings.square)[:, None], np.clip(square, 0, limits), boxes)
    boxes = np.where(found[:, None], by_keypoints, boxes)
    surface = _trunk_surface(seen, depth)
    distances = np.where(found | ~first_look, surface, seen.trunk)
    distances = distances + settings.distance * rng.standard_normal(people)
    astray = rng.random(people) < settings.astray
    distances = distances + np.where(astray, rng.uniform(-0.5, 0.5, people), 0.0)
    boxes = _cut(rng, boxes, settings.cut)
    inside = ((boxes[:, 2:] - boxes[:, :2]) >= 2).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1)
    inside &= (boxes[:, :2] < limits[:2]).all(axis=1) & (distances > 0.2)
    return Boxes(np.nan_to_num(boxes), np.nan_to_num(distances, nan=1.0), inside)


def _around(pixels: Array) -> Array:
    low = np.where(np.isfinite(pixels), pixels, np.inf).min(axis=1)
    high = np.where(np.isfinite(pixels), pixels, -np.inf).max(axis=1)
    return np.concatenate([low, high], axis=1)


def _by_keypoints(keypoints: Array, width: int, height: int) -> tuple[NDArray[np.bool_], Array]:
    """Who is found by enough keypoints that count as seen, and the boxes around these."""
    config, people = DetectionConfig(), len(keypoints)
    ones, boxes = np.ones(people, np.float32), np.zeros((people, 4), np.float32)
    pixels, confidences = keypoints[..., :2].astype(np.float32), keypoints[..., 2].astype(np.float32)
    seen = visible_keypoints(Keypoints2D(pixels, confidences, ones, boxes), width, height, config)
    enough = seen.sum(axis=1) >= config.min_keypoints
    boxes[enough] = keypoint_boxes(pixels[enough], seen[enough])
    return enough, boxes.astype(np.float64)


def _trunk_surface(seen: Seen, depth: NDArray[np.float32]) -> Array:
    """(N,) the median reading between shoulders and hips, as far behind as the estimator takes the joints to be."""
    height, width = depth.shape[1:]
    corners = np.nan_to_num(seen.keypoints[:, _TRUNK, :2], nan=-1.0)
    top = corners[:, None, 0] * (1 - _ACROSS)[:, None] + corners[:, None, 1] * _ACROSS[:, None]
    bottom = corners[:, None, 2] * (1 - _ACROSS)[:, None] + corners[:, None, 3] * _ACROSS[:, None]
    places = np.rint(top * (1 - _DOWN)[:, None] + bottom * _DOWN[:, None]).astype(np.int64)
    u, v = np.clip(places[..., 0], 0, width - 1), np.clip(places[..., 1], 0, height - 1)
    read = depth[seen.frames[:, None], v, u].astype(np.float64)
    own = (read > 0) & (np.abs(read - seen.trunk[:, None]) < _THICKNESS)
    known = own.sum(axis=1) >= 3
    read[~own] = np.nan
    read[~known] = 0.0
    return np.where(known, np.nanmedian(read, axis=1) + _TRUNK_DEPTH, seen.trunk)


def _cut(rng: np.random.Generator, boxes: Array, fraction: float) -> Array:
    """A piece of one side is missing of some boxes."""
    side = rng.integers(4, size=len(boxes))
    length = np.tile(boxes[:, 2:] - boxes[:, :2], 2) * rng.uniform(0.05, 0.33, (len(boxes), 1))
    moved = boxes + np.array([1.0, 1.0, -1.0, -1.0]) * length
    chosen = (np.arange(4) == side[:, None]) & (rng.random(len(boxes)) < fraction)[:, None]
    return np.where(chosen, moved, boxes)


# Keypoints of rendered people as a 2D detector reports them: errors, confidences, swapped sides, limbs of others.

Mask = NDArray[np.bool_]


def _of(*names: str) -> list[int]:
    return [COCO17.index(name) for name in names]


#: Keypoints that a detector takes from a neighbor together.
_LIMBS = (
    _of("left_elbow", "left_wrist"),
    _of("right_elbow", "right_wrist"),
    _of("left_knee", "left_ankle"),
    _of("right_knee", "right_ankle"),
    _of("left_wrist", "right_wrist"),
    _of("left_knee", "left_ankle", "right_knee", "right_ankle", "left_hip", "right_hip"),
    _of("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
)
_LIMB_TABLE = np.stack([np.isin(np.arange(len(COCO17)), limb) for limb in _LIMBS])


@dataclass(frozen=True)
class KeypointSettings:
    """What keypoints are like.

    Attributes:
        noise: of a keypoint and its confidence.
        seen, occluded, outside: added to the confidence's logit of a keypoint that is in view, occluded, or outside
            of the image, where it is reported at the border.
        dropped: fraction of keypoints that the detector overlooks.
        borrowed: fraction of people near others who get some of their limbs from a neighbor.
        missing: fraction of people whom the detector does not see at all.

    Raises:
        SyntheticError: a fraction is not within [0, 1].
    """

    noise: DetectorNoise = field(default_factory=DetectorNoise)
    seen: float = 0.3
    occluded: float = -1.0
    outside: float = -2.5
    dropped: float = 0.04
    borrowed: float = 0.12
    missing: float = 0.03

    def __post_init__(self) -> None:
        for name in ("dropped", "borrowed", "missing"):
            if not 0 <= getattr(self, name) <= 1:
                raise SyntheticError(f"stream.keypoints.{name} = {getattr(self, name)}: must be within [0, 1]")


@dataclass(frozen=True, eq=False)
class TrueKeypoints:
    """COCO-17 keypoints of N people.

    Attributes:
        pixels: (N, 17, 2); NaN behind the camera.
        seen: (N, 17) nothing is in front of them.
        frames: (N,) number of each person's image.
        size: width and height of the images.
    """

    pixels: Array
    seen: Mask
    frames: NDArray[np.int64]
    size: tuple[int, int]


def detect(rng: np.random.Generator, true: TrueKeypoints, settings: KeypointSettings) -> Array:
    """(N, 17, 3) u, v and confidence, as the detector might report them."""
    people = len(true.pixels)
    if not people:
        return np.zeros((0, len(COCO17), 3))
    limits = np.array(true.size, np.float64) - 1
    known: Mask = np.asarray(np.isfinite(true.pixels).all(axis=-1))
    with np.errstate(invalid="ignore"):
        inside: Mask = np.asarray(((true.pixels >= 0) & (true.pixels <= limits)).all(axis=-1)) & known
    there = np.where(known[..., None], np.clip(true.pixels, -limits, 2 * limits), np.nan)
    middle = np.nan_to_num(np.nanmean(np.where(known[..., None], there, limits / 2), axis=1, keepdims=True))
    there = np.where(known[..., None], there, middle)
    sources, wrong = settings.noise.swaps(rng, people)
    # A detector sees no more of a person than the image: there it looks for limbs.
    visible = np.clip(there, 0, limits)
    size = np.linalg.norm(np.ptp(visible, axis=1), axis=-1)
    shift = np.where(inside, np.where(true.seen, settings.seen, settings.occluded), settings.outside)
    confidences = _shifted(settings.noise.confidences(rng, people), shift)
    confidences = np.where(wrong, settings.noise.swap_confidence, 1.0) * np.take_along_axis(
        confidences, sources, axis=1
    )
    reported = np.take_along_axis(visible, sources[..., None], axis=1)
    reported = np.clip(reported + settings.noise.errors(rng, confidences) * size[:, None, None], 0, limits)
    overlooked = rng.random(confidences.shape) < settings.dropped
    confidences = confidences * np.where(overlooked, rng.uniform(0, 0.3, confidences.shape), 1.0)
    found = np.concatenate([reported, confidences[..., None]], axis=-1)
    found = _borrow(rng, found, visible, size, true.frames, settings.borrowed)
    found[rng.random(people) < settings.missing] = (np.nan, np.nan, 0.0)
    return found


def _shifted(confidences: Array, shift: Array) -> Array:
    logit = np.log(confidences) - np.log1p(-confidences) + shift
    result: Array = 1 / (1 + np.exp(-logit))
    return result


def _borrow(
    rng: np.random.Generator, found: Array, true: Array, size: Array, frames: NDArray[np.int64], fraction: float
) -> Array:
    """Limbs of a near neighbor in place of one's own, for a fraction of the people who have one."""
    middles = true.mean(axis=1)
    apart = np.linalg.norm(middles[:, None] - middles[None], axis=-1)
    apart[(frames[:, None] != frames[None]) | np.eye(len(frames), dtype=bool)] = np.inf
    other = apart.argmin(axis=1)
    near = apart[np.arange(len(other)), other] < 0.7 * size
    chosen = near & (rng.random(len(frames)) < fraction)
    limbs = _LIMB_TABLE[rng.integers(len(_LIMBS), size=len(frames))]
    second = _LIMB_TABLE[rng.integers(len(_LIMBS), size=len(frames))]
    limbs = limbs | (second & (rng.random(len(frames)) < 0.3)[:, None])
    taken = chosen[:, None] & limbs
    theirs = found[other].copy()
    theirs[..., 2] *= rng.uniform(0.4, 1.0, (len(frames), 1))
    return np.where(taken[..., None], theirs, found)
