"""Keypoints of rendered people as a 2D detector reports them: errors, confidences, swapped sides, limbs of others."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from unipose_ros.joint_sets import COCO17
from unipose_training.mocap.detector_noise import DetectorNoise
from unipose_training.synthetic.errors import SyntheticError

Array = NDArray[np.float64]
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
