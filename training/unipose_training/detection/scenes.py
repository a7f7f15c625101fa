"""Depth images with the people that a 2D network detected in the color beside them."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.detection import DetectionConfig, visible_keypoints
from unipose_ros.detection.heatmap import canonical_depth, canonical_view
from unipose_ros.detection.keypoints import propose
from unipose_ros.frame import RgbdFrame
from unipose_ros.geometry.crop import Letterbox
from unipose_ros.keypoints import Keypoints2D
from unipose_training.datasets.base import Clip
from unipose_training.datasets.io import read_npz, write_atomic
from unipose_training.datasets.keypoint_files import keypoint_path, read_keypoints
from unipose_training.errors import reading

#: A detection of a lower score is nothing; one between this and a person's is neither person nor scenery.
_UNSURE_SCORE = 0.1


@dataclass(frozen=True, eq=False)
class Scene:
    """One depth image of fixed angular resolution, and who is in it. Pixels are those of the image.

    Attributes:
        depth: (h, w) float16 meters, 0 where there is no reading.
        part: (h, w) uint8 part of the pixel that has readings, 255 for all.
        pixels: (N, 17, 2) float32 keypoints of N people, COCO-17.
        seen: (N, 17) keypoints that are believed.
        distances: (N,) float32 meters along z of the trunk's surface.
        ignore_regions: (M, 4) float32 boxes u0, v0, u1, v1 in which people may be: the loss ignores them.
        source: clip the image is from.
    """

    depth: NDArray[np.float16]
    part: NDArray[np.uint8]
    pixels: NDArray[np.float32]
    seen: NDArray[np.bool_]
    distances: NDArray[np.float32]
    ignore_regions: NDArray[np.float32]
    source: str = ""

    def __len__(self) -> int:
        """How many people there are."""
        return len(self.distances)


def label_scene(
    frame: RgbdFrame, keypoints: Keypoints2D, config: DetectionConfig, focal: float, source: str = ""
) -> Scene:
    """A frame with depth, and what a 2D network detected in its color.

    People are those that ``config`` accepts and that have depth under them. Less certain detections
    are ignored regions: as negatives they would be wrong as often as right.

    Raises:
        ValueError: the frame has no depth.
    """
    if frame.depth is None:
        raise ValueError("the frame has no depth; the person detector uses nothing else")
    view = canonical_view(frame.camera, focal, multiple=1)
    depth, part = canonical_depth(frame.depth, view)
    found = propose(frame, keypoints, config)
    there = np.isfinite(found.distances)
    people = found.select(there).keypoints or Keypoints2D.empty()
    seen = visible_keypoints(people, frame.camera.width, frame.camera.height, config)
    return Scene(
        depth=depth.astype(np.float16),
        part=np.rint(255 * part).astype(np.uint8),
        pixels=view.to_padded(people.pixels),
        seen=seen,
        distances=found.distances[there],
        ignore_regions=_ignore_regions(keypoints, people, view),
        source=source,
    )


def _ignore_regions(keypoints: Keypoints2D, people: Keypoints2D, view: Letterbox) -> NDArray[np.float32]:
    """Boxes of detections that are no people but may be, in the view's pixels."""
    believed = np.isin(keypoints.scores, people.scores)
    unsure = keypoints.boxes[(keypoints.scores >= _UNSURE_SCORE) & ~believed]
    return np.asarray(view.to_padded(unsure.reshape(-1, 2, 2)), np.float32).reshape(-1, 4)


def read_scenes(clip: Clip, labels: Path, config: DetectionConfig, focal: float) -> Iterator[Scene]:
    """The labeled frames of a clip; nothing when it has no labels.

    Args:
        labels: folder of keypoint files.

    Raises:
        DataError: the labels are damaged.
    """
    path = keypoint_path(labels, clip.name)
    if not path.exists():
        return
    known = read_keypoints(path)
    for frame in clip.frames():
        keypoints = known.keypoints_of(frame.stamp_ns)
        if keypoints is not None and frame.depth is not None:
            yield label_scene(frame, keypoints, config, focal, clip.name)


# Scenes on disk: reading a clip's images takes longer than all else that is done to make a scene of them.


_ARRAYS = tuple(field.name for field in fields(Scene) if field.name != "source")


def write_scenes(path: Path, scenes: Sequence[Scene], made_with: str) -> None:
    """Write the scenes of a clip; the file appears when it is complete.

    Args:
        made_with: all settings that the scenes depend on, in words.
    """
    buffer = io.BytesIO()
    arrays = {f"{name}_{number}": getattr(scene, name) for number, scene in enumerate(scenes) for name in _ARRAYS}
    sources = np.array([scene.source for scene in scenes], "U")
    np.savez(buffer, made_with=made_with, sources=sources, **arrays)
    write_atomic(path, buffer.getvalue())


def read_scene_file(path: Path, made_with: str) -> list[Scene] | None:
    """The scenes of a file; ``None`` when it is not there or they were made with other settings.

    Raises:
        DataError: the file is damaged.
    """
    if not path.exists():
        return None
    remedy, what = "delete it, it is made again", "no readable scenes"
    with reading(path, remedy, what):
        if str(read_npz(path, ("made_with",), remedy, what)["made_with"]) != made_with:
            return None
        stored = read_npz(path, None, remedy, what)
        sources = stored["sources"].tolist()
        return [
            Scene(**{name: stored[f"{name}_{number}"] for name in _ARRAYS}, source=source)
            for number, source in enumerate(sources)
        ]


# What sensors and rooms do to depth: people in front of people, things in front of them, holes, noise.

# Scenes seen from elsewhere: turned, mirrored, nearer or farther, and put into the network's window.


FloatArray = NDArray[np.float32]
#: COCO-17 keypoints of shoulders and hips.
_TRUNK = [5, 6, 11, 12]
#: A person with fewer keypoints in the window is neither person nor scenery there: a face alone has five.
_LEAST_KEYPOINTS = 6


@dataclass(frozen=True, eq=False)
class TrainingView:
    """What the network sees, and which people are present; pixels of the window.

    Attributes:
        image: (2, h, w) float32 meters, 0 without reading, and the part of the pixel with readings.
        centers: (N, 2) float32 u, v of the trunks' centers, as the 2D network has them also where they
            are hidden; within the boxes, also where the trunk is cut by the window's border.
        boxes: (N, 4) float32 u0, v0, u1, v1 around the keypoints seen.
        distances: (N,) float32 meters.
        ignore_regions: (M, 4) float32 boxes that the loss ignores.
    """

    image: FloatArray
    centers: FloatArray
    boxes: FloatArray
    distances: FloatArray
    ignore_regions: FloatArray


@dataclass(frozen=True)
class ViewTransform:
    """Where a scene lands in the window.

    Attributes:
        zoom: pixels of the window per pixel of the scene at equal focal lengths. The scene is also
            brought so much nearer, so that lengths across the view stay; depths within it shrink alike.
        turn: radians about the optical axis.
        mirror: left becomes right.
        source, target: (u, v) in the scene that lands at (u, v) in the window.
    """

    zoom: float
    turn: float
    mirror: bool
    source: tuple[float, float]
    target: tuple[float, float]


def sample_view(scene: Scene, size: tuple[int, int], rng: np.random.Generator) -> ViewTransform:
    """A random placing; mostly one of the people lands in the window.

    Args:
        size: width and height of the window.
    """
    height, width = scene.depth.shape
    source = rng.uniform(0, 1, 2) * [width, height]
    if len(scene) and rng.random() < 0.8:
        source = scene.pixels[rng.integers(len(scene)), _TRUNK].mean(axis=0)
    target = rng.uniform(0.1, 0.9, 2) * size
    # Recordings show few people within two meters; a robot meets many there.
    zoom = float(np.exp(rng.uniform(np.log(0.6), np.log(2.5))))
    turn = float(np.deg2rad(rng.normal(0, 5)))
    u, v = (float(value) for value in source)
    return ViewTransform(zoom, turn, bool(rng.random() < 0.5), (u, v), (float(target[0]), float(target[1])))


def apply_view(scene: Scene, placing: ViewTransform, ratio: float, size: tuple[int, int]) -> TrainingView:
    """Put a scene into the window.

    Args:
        ratio: the window's focal length by the scene's.
        size: width and height of the window.
    """
    matrix = _matrix(placing, ratio)
    part = _warp(scene.part.astype(np.float32) / np.float32(255), matrix, size)
    valid = (scene.part > 0).astype(np.float32)
    total, covered = _warp(scene.depth * valid, matrix, size), _warp(valid, matrix, size)
    depth = np.where(part > 0.02, total / np.maximum(covered, 1e-3) / placing.zoom, 0)
    image = np.stack([depth, np.where(part > 0.02, part, 0)]).astype(np.float32)
    return _label(scene, matrix, image, placing.zoom)


def _label(scene: Scene, matrix: NDArray[np.float64], image: FloatArray, zoom: float) -> TrainingView:
    """Who is in the window, as if the 2D network had seen no more of the scene."""
    pixels = _moved(scene.pixels, matrix)
    size = np.array(image.shape[:0:-1])
    seen = scene.seen & ((pixels >= 0) & (pixels <= size - 1)).all(axis=2)
    there = seen.sum(axis=1) >= _LEAST_KEYPOINTS
    boxes = _bounds(pixels[there], seen[there])
    corners = _moved(_corners(scene.ignore_regions), matrix)
    ignore_regions = _bounds(corners, np.ones(corners.shape[:2], np.bool_))
    return TrainingView(
        image=image,
        centers=np.clip(pixels[there][:, _TRUNK].mean(axis=1), boxes[:, :2], boxes[:, 2:]),
        boxes=boxes,
        distances=scene.distances[there] / np.float32(zoom),
        ignore_regions=np.concatenate([ignore_regions, _bounds(pixels[~there], scene.seen[~there])]),
    )


def _matrix(placing: ViewTransform, ratio: float) -> NDArray[np.float64]:
    """(2, 3) pixels of the scene -> pixels of the window."""
    scale, turn = placing.zoom * ratio, placing.turn
    turned = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    if placing.mirror:
        turned[:, 0] *= -1
    return np.concatenate([turned, (np.array(placing.target) - turned @ placing.source)[:, None]], axis=1)


def _warp(image: FloatArray, matrix: NDArray[np.float64], size: tuple[int, int]) -> FloatArray:
    return np.asarray(cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR), np.float32)


def _moved(pixels: FloatArray, matrix: NDArray[np.float64]) -> FloatArray:
    return np.asarray(pixels @ matrix[:, :2].T + matrix[:, 2], np.float32)


def _corners(boxes: FloatArray) -> FloatArray:
    """(M, 4) -> (M, 4, 2) corners."""
    return boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)


def _bounds(pixels: FloatArray, seen: NDArray[np.bool_]) -> FloatArray:
    """(N, K, 2) pixels -> (N, 4) boxes around those that are seen."""
    low = np.where(seen[..., None], pixels, np.inf).min(axis=1)
    high = np.where(seen[..., None], pixels, -np.inf).max(axis=1)
    return np.concatenate([low, high], axis=1).astype(np.float32)


#: A person's surface lies within this many meters of the trunk's.
_THICKNESS = 0.45
#: Of a person's surface that was seen, less than this part is left: another person would not see the person.
_LEAST_LEFT = 0.4


def paste(view: TrainingView, other: TrainingView) -> TrainingView:
    """The people of another view put among those of this one; what is nearer hides what is farther."""
    mask = np.zeros(view.image.shape[1:], np.bool_)
    for box, distance in zip(other.boxes, other.distances, strict=True):
        mask |= person_mask(other.image, box, distance)
    image = _in_front(view.image, other.image, mask)
    joined = TrainingView(
        image=image,
        centers=np.concatenate([view.centers, other.centers]),
        boxes=np.concatenate([view.boxes, other.boxes]),
        distances=np.concatenate([view.distances, other.distances]),
        ignore_regions=view.ignore_regions,
    )
    before = np.concatenate([visible_area(view.image, view), visible_area(other.image, other)])
    return occlude(joined, before)


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


def visible_area(image: FloatArray, view: TrainingView) -> FloatArray:
    """(N,) pixels with each person's depth in each person's box."""
    pairs = zip(view.boxes, view.distances, strict=True)
    return np.array([person_mask(image, box, distance).sum() for box, distance in pairs], np.float32)


def occlude(view: TrainingView, before: FloatArray) -> TrainingView:
    """People of whom little is left become ignored regions.

    Args:
        before: (N,) visible area before things were put in front.
    """
    left = visible_area(view.image, view) >= _LEAST_LEFT * before
    ignore_regions = np.concatenate([view.ignore_regions, view.boxes[~left]])
    return TrainingView(view.image, view.centers[left], view.boxes[left], view.distances[left], ignore_regions)


def paste_objects(view: TrainingView, rng: np.random.Generator) -> TrainingView:
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
    return occlude(replace(view, image=image), before)


def lose_background(view: TrainingView, rng: np.random.Generator) -> TrainingView:
    """No readings beyond a random depth, as outdoors or where a sensor's range ends; people stay."""
    farthest = view.distances.max() + rng.uniform(0.3, 1.5) if len(view.distances) else rng.uniform(2, 6)
    return replace(view, image=np.where(view.image[0] < farthest, view.image, 0))


def lose_surroundings(view: TrainingView) -> TrainingView:
    """Readings on people only, as where the scenery is sunlit or has been cut away."""
    mask = np.zeros(view.image.shape[1:], np.bool_)
    for box, distance in zip(view.boxes, view.distances, strict=True):
        mask |= person_mask(view.image, box, distance)
    return replace(view, image=np.where(mask, view.image, 0))


def lose_patches(view: TrainingView, rng: np.random.Generator) -> TrainingView:
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


def add_noise(view: TrainingView, rng: np.random.Generator) -> TrainingView:
    """Noise that grows with the square of the distance (Khoshelham and Elberink, Sensors 2012), and single holes."""
    depth, part = view.image
    noise = rng.uniform(0, 0.004) * rng.standard_normal(depth.shape, np.float32) * depth**2
    lost = rng.random(depth.shape, np.float32) < rng.uniform(0, 0.15) ** 2
    # Thinned out readings, as after registration of a small depth image to a large color image.
    part = np.where(lost, 0, part * rng.uniform(0.3, 1) if rng.random() < 0.3 else part)
    depth = np.where(part > 0, np.maximum(depth + noise, 0.2), 0)
    return replace(view, image=np.stack([depth, part]).astype(np.float32))
