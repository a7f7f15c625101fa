"""Keypoints between two runs of the 2D network: followed in the image by optical flow."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.keypoints import KeypointDetector, Keypoints2D

#: The image is followed at about this many pixels of its longer side, in windows of so many pixels and pyramid levels.
_LONG_SIDE, _WINDOW, _LEVELS = 320, 15, 3
#: A point that comes back to where it was within so many pixels of the small image was followed; beyond, its
#: confidence falls to 1/e per so many.
_RETURNS = 0.7
#: Keypoints that the 2D network does not believe in are not followed, but stay where they were.
_LEAST_CONFIDENCE = 0.1
_CRITERIA = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 10, 0.03)


class KeypointFlow:
    """A detector that runs its network in every so many images, and follows the keypoints in between.

    Pyramidal Lucas-Kanade (Bouguet 2000), forward and backward (Kalal et al., ICPR 2010): a keypoint that does not
    come back where it was, for it was hidden or left the image, loses its confidence.

    Args:
        detector: the 2D network.
        every: it is run in every so many images; 1 runs it in each.

    Raises:
        ValueError: ``every`` is less than 1.
    """

    def __init__(self, detector: KeypointDetector, every: int = 1) -> None:
        if every < 1:
            raise ValueError(f"every = {every}: use at least 1")
        self._detector = detector
        self._every = every
        self._age = 0
        self._small: NDArray[np.uint8] | None = None
        self._known = Keypoints2D.empty()

    @property
    def runtime(self) -> str:
        """What runs the detector, and where, if it says so."""
        return str(getattr(self._detector, "runtime", type(self._detector).__name__))

    def __call__(self, image: NDArray[np.uint8]) -> Keypoints2D:
        """(H, W, 3) uint8 RGB -> all people in it; in between, those of the last image, moved."""
        if self._every == 1:
            return self._detector(image)
        small = _shrunk(image)
        fits = self._small is not None and self._small.shape == small.shape
        if not fits or self._age + 1 >= self._every or not len(self._known):
            self._known, self._age = self._detector(image), 0
        else:
            assert self._small is not None
            self._known = _followed(self._known, self._small, small, small.shape[1] / image.shape[1])
            self._age += 1
        self._small = small
        return self._known

    def reset(self) -> None:
        """Run the network in the next image."""
        self._small = None


def _shrunk(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    scale = min(1.0, _LONG_SIDE / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)


def _followed(people: Keypoints2D, before: NDArray[np.uint8], now: NDArray[np.uint8], scale: float) -> Keypoints2D:
    """The same people in the next image.

    Args:
        before, now: gray images.
        scale: their pixels per pixel of the keypoints' image.
    """
    chosen = np.isfinite(people.pixels).all(axis=-1) & (people.confidences >= _LEAST_CONFIDENCE)
    if not chosen.any():
        return people
    start = (people.pixels[chosen] * scale).astype(np.float32).reshape(-1, 1, 2)
    moved, found = _flow(before, now, start)
    back, returned = _flow(now, before, moved)
    off = np.linalg.norm(back - start, axis=-1)[:, 0]
    good = found & returned & np.isfinite(off)
    reliability = np.where(good, np.exp(-np.maximum(np.where(good, off, 0.0) - _RETURNS, 0.0) / _RETURNS), 0.0)
    pixels, confidences = people.pixels.copy(), people.confidences.copy()
    pixels[chosen] = np.where(reliability[:, None] > 0, moved[:, 0] / scale, pixels[chosen])
    confidences[chosen] *= reliability.astype(np.float32)
    shift = np.zeros((len(people), 2), np.float32)
    for person in range(len(people)):
        steps = (pixels - people.pixels)[person][chosen[person]]
        shift[person] = np.median(steps, axis=0) if len(steps) else 0.0
    return replace(people, pixels=pixels, confidences=confidences, boxes=people.boxes + np.tile(shift, 2))


def _flow(
    before: NDArray[np.uint8], now: NDArray[np.uint8], points: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(K, 1, 2) pixels of one image -> where they are in the next, and (K,) which were found."""
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        before, now, points, points.copy(), winSize=(_WINDOW, _WINDOW), maxLevel=_LEVELS, criteria=_CRITERIA
    )
    return np.asarray(moved, np.float32), np.asarray(found)[:, 0] == 1
