"""What sensors and rooms do to depth: people in front of people, things in front of them, holes, noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from unipose_training.people.placing import View

FloatArray = NDArray[np.float32]
#: A person's surface lies within this many metres of the trunk's.
_THICKNESS = 0.45
#: Of a person's surface that was seen, less than this part is left: somebody else would not see the person.
_LEAST_LEFT = 0.4


def paste(view: View, other: View) -> View:
    """The people of another view put among those of this one; what is nearer hides what is farther."""
    mask = np.zeros(view.image.shape[1:], np.bool_)
    for box, distance in zip(other.boxes, other.distances, strict=True):
        mask |= person_mask(other.image, box, distance)
    image = _in_front(view.image, other.image, mask)
    joined = View(
        image=image,
        centres=np.concatenate([view.centres, other.centres]),
        boxes=np.concatenate([view.boxes, other.boxes]),
        distances=np.concatenate([view.distances, other.distances]),
        doubts=view.doubts,
    )
    before = np.concatenate([visible_area(view.image, view), visible_area(other.image, other)])
    return hide(joined, before)


def person_mask(image: FloatArray, box: FloatArray, distance: float) -> NDArray[np.bool_]:
    """(h, w) pixels in and just around a box whose depth is the person's."""
    margin = 0.15 * max(box[2] - box[0], 0.3 * (box[3] - box[1]))
    rows, columns = np.ogrid[: image.shape[1], : image.shape[2]]
    inside = (columns > box[0] - margin) & (columns < box[2] + margin)
    inside = inside & (rows > box[1] - margin) & (rows < box[3] + margin)
    return np.asarray(inside & (image[1] > 0) & (np.abs(image[0] - distance) < _THICKNESS))


def _in_front(image: FloatArray, other: FloatArray, mask: NDArray[np.bool_]) -> FloatArray:
    nearer = mask & ((other[0] < image[0]) | (image[1] == 0))
    return np.where(nearer, other, image)


def visible_area(image: FloatArray, view: View) -> FloatArray:
    """(N,) pixels with each person's depth in each person's box."""
    pairs = zip(view.boxes, view.distances, strict=True)
    return np.array([person_mask(image, box, distance).sum() for box, distance in pairs], np.float32)


def hide(view: View, before: FloatArray) -> View:
    """People of whom little is left become doubts.

    Args:
        before: (N,) visible area before things were put in front.
    """
    left = visible_area(view.image, view) >= _LEAST_LEFT * before
    doubts = np.concatenate([view.doubts, view.boxes[~left]])
    return View(view.image, view.centres[left], view.boxes[left], view.distances[left], doubts)


def put_things(view: View, rng: np.random.Generator) -> View:
    """Flat, tilted, rectangular things at random depths, nearer than what they hide."""
    before, image = visible_area(view.image, view), view.image
    for _ in range(rng.integers(1, 4)):
        height, width = image.shape[1:]
        sides = rng.uniform(0.05, 0.4, 2) * [width, height]
        middle = rng.uniform(0, 1, 2) * [width, height]
        rows, columns = np.ogrid[:height, :width]
        mask = (np.abs(columns - middle[0]) < sides[0] / 2) & (np.abs(rows - middle[1]) < sides[1] / 2)
        slope = rng.normal(0, 0.3, 2) / [width, height]
        depth = rng.uniform(0.6, 4.5) * (1 + slope[0] * (columns - middle[0]) + slope[1] * (rows - middle[1]))
        thing = np.stack([depth, np.ones_like(depth)]).astype(np.float32)
        image = _in_front(image, thing, mask)
    return hide(replace(view, image=image), before)


def lose_background(view: View, rng: np.random.Generator) -> View:
    """No readings beyond a random depth, as outdoors or where a sensor's range ends; people stay."""
    farthest = view.distances.max() + rng.uniform(0.3, 1.5) if len(view.distances) else rng.uniform(2, 6)
    return replace(view, image=np.where(view.image[0] < farthest, view.image, 0))


def lose_surroundings(view: View) -> View:
    """Readings on people only, as where the scenery is sunlit or has been cut away."""
    mask = np.zeros(view.image.shape[1:], np.bool_)
    for box, distance in zip(view.boxes, view.distances, strict=True):
        mask |= person_mask(view.image, box, distance)
    return replace(view, image=np.where(mask, view.image, 0))


def lose_patches(view: View, rng: np.random.Generator) -> View:
    """Elliptic holes, some of them on people: dark clothes give no reading."""
    image = view.image.copy()
    height, width = image.shape[1:]
    rows, columns = np.ogrid[:height, :width]
    for _ in range(rng.integers(1, 6)):
        middle, radii = rng.uniform(0, 1, 2) * [width, height], rng.uniform(2, 16, 2)
        if len(view.boxes) and rng.random() < 0.6:
            box = view.boxes[rng.integers(len(view.boxes))]
            middle = rng.uniform(box[:2], np.maximum(box[2:], box[:2] + 1))
            radii = rng.uniform(0.05, 0.3, 2) * np.maximum(box[2:] - box[:2], 4)
        inside = ((columns - middle[0]) / radii[0]) ** 2 + ((rows - middle[1]) / radii[1]) ** 2 < 1
        image[:, inside] = 0
    return replace(view, image=image)


def add_noise(view: View, rng: np.random.Generator) -> View:
    """Noise that grows with the square of the distance (Khoshelham and Elberink, Sensors 2012), and single holes."""
    depth, part = view.image
    noise = rng.uniform(0, 0.004) * rng.standard_normal(depth.shape, np.float32) * depth**2
    lost = rng.random(depth.shape, np.float32) < rng.uniform(0, 0.15) ** 2
    # Thinned out readings, as after registration of a small depth image to a large colour image.
    part = np.where(lost, 0, part * rng.uniform(0.3, 1) if rng.random() < 0.3 else part)
    depth = np.where(part > 0, np.maximum(depth + noise, 0.2), 0)
    return replace(view, image=np.stack([depth, part]).astype(np.float32))
