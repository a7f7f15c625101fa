"""What the color image says of people found otherwise: whether one stands there, and how keypoints move."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project
from unipose_ros.frame import in_image
from unipose_ros.joint_sets import COCO17, ITOP15
from unipose_ros.keypoints import KeypointDetector, Keypoints2D

FloatArray = NDArray[np.float64]

#: Meters around a joint in which a keypoint of its kind speaks for it.
_NEAR = 0.12
#: ITOP's joints that are a keypoint each, and both sides' keypoints: uncertain about the side, one will do.
_JOINTS = [joint for joint, side in enumerate(ITOP15.sides) if side != "middle"]
_KEYPOINTS = [[COCO17.landmarks.index(ITOP15.landmarks[j]) for j in (joint, ITOP15.mirror[joint])] for joint in _JOINTS]
#: An image whose brightest parts (this percentile) are darker than this shows no person; of 255.
_PERCENTILE, _DARK = 99, 20
#: Every so many pixels along both sides tell enough about the light.
_STEP = 8


@runtime_checkable
class HeatDetector(Protocol):
    """A 2D network that also says what it sees of keypoints that it gives to no person."""

    def heat_near(self, pixels: NDArray[np.floating], radius: float) -> NDArray[np.float32]:
        """(N, 17, 2) pixels of the last image -> (N, 17) greatest heat within a radius in pixels, in [0, 1]."""
        ...


@runtime_checkable
class WindowDetector(Protocol):
    """A 2D network that need not look at the whole image."""

    def within(self, image: NDArray[np.uint8], boxes: NDArray[np.floating]) -> Keypoints2D:
        """(H, W, 3) uint8 RGB, (N, 4) boxes in its pixels -> the people in and around them."""
        ...

    def glance(self, image: NDArray[np.uint8]) -> Keypoints2D:
        """All people in an image, in any thread; it does not become the last image."""
        ...

    def enlarged(self, image: NDArray[np.uint8], people: Keypoints2D, most: int) -> Keypoints2D:
        """The people found in an image; at most so many who are small in it by a second look."""
        ...

    def warm_up(self, width: int, height: int) -> None:
        """Run everything once for images of a size."""
        ...


def color_support(
    detector: KeypointDetector, found: Keypoints2D, camera: Camera, joints: NDArray[np.floating]
) -> FloatArray:
    """(N,) mean confidence of the 2D network near the joints of people who were found without it, in [0, 1].

    On real frames furniture that looks like a person in depth gets at most 0.21, people get 0.3 or more.

    Args:
        detector: has seen the image; it is asked for heat if it has any to show.
        found: its people in the image, however unsure.
        joints: (N, 15, 3) ITOP joints in meters.
    """
    pixels = project(camera, joints)[:, _JOINTS]
    inside = in_image(camera, joints[:, _JOINTS])
    radius = _NEAR * camera.fx / np.maximum(np.nan_to_num(np.nanmedian(joints[..., 2], axis=1), nan=1.0), 0.2)
    heat = _heat(detector, found, pixels, radius)
    return np.asarray(np.where(inside, heat, 0.0).sum(axis=1) / np.maximum(inside.sum(axis=1), 1))


def _heat(detector: KeypointDetector, found: Keypoints2D, pixels: FloatArray, radius: FloatArray) -> FloatArray:
    """(N, 12) confidence near each joint."""
    result = np.zeros(pixels.shape[:2])
    if isinstance(detector, HeatDetector):
        for side in range(2):
            inside = np.full((len(pixels), len(COCO17), 2), np.nan)
            chosen = [pair[side] for pair in _KEYPOINTS]
            inside[:, chosen] = pixels
            for person in range(len(pixels)):
                heat = detector.heat_near(inside[person : person + 1], float(radius[person]))
                result[person] = np.maximum(result[person], heat[0, chosen])
        return result
    for side in range(2):
        chosen = [pair[side] for pair in _KEYPOINTS]
        apart = np.linalg.norm(pixels[:, None] - found.pixels[None, :, chosen], axis=-1)
        near = apart < radius[:, None, None]  # NaN compares false
        support = np.where(near, found.confidences[None, :, chosen], 0.0).max(axis=1, initial=0.0)
        result = np.maximum(result, support)
    return result


def is_dark(image: NDArray[np.uint8]) -> bool:
    """Is an RGB image too dark for any person to be seen in it?"""
    red, green, blue = np.moveaxis(image[::_STEP, ::_STEP], -1, 0)
    brightest = np.maximum(np.maximum(red, green), blue).ravel()
    # As np.percentile does, in a fifth of the time.
    place = _PERCENTILE / 100 * (len(brightest) - 1)
    low, high = int(place), min(int(place) + 1, len(brightest) - 1)
    ordered = np.partition(brightest, (low, high))
    return bool(np.interp(place, [low, low + 1], ordered[[low, high]]) < _DARK)


# Keypoints between two runs of the 2D network: followed in the image by optical flow.

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
