"""Person detection by depth alone: a small network's map of trunk centers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.backends import Backend
from unipose_ros.camera import Camera
from unipose_ros.compiled import compiled, compiled_part
from unipose_ros.detection.proposals import Proposals
from unipose_ros.detection.selection import select_median
from unipose_ros.errors import Closable, EstimatorError
from unipose_ros.frame import RgbdFrame
from unipose_ros.geometry.crop import Letterbox
from unipose_ros.geometry.medians import median
from unipose_ros.networks.registry import HEAT, LOG_DISTANCE, LOG_MIDDLE, MULTIPLE, SIDES, STRIDE

# A depth image as the person detector's network uses it: any camera, one angular resolution.
#
# Resizing to a fixed focal length is how the intrinsics enter: afterwards a pixel at a distance
# is a length, whatever the camera. Lens distortion is left as it is; people do not need it undone
# to be found.


#: Readings outside of this range in meters are none: people to 6 m are looked for, with scenery behind them.
NEAREST, FARTHEST = 0.2, 10.0


def canonical_view(camera: Camera, focal: float, multiple: int) -> Letterbox:
    """How a camera's image is resized so that both focal lengths are ``focal`` pixels."""
    content = (
        max(1, round(camera.width * focal / camera.fx)),
        max(1, round(camera.height * focal / camera.fy)),
    )
    padded = (-(-content[0] // multiple) * multiple, -(-content[1] // multiple) * multiple)
    return Letterbox((camera.width, camera.height), content, padded)


def canonical_depth(depth: NDArray[np.float32], view: Letterbox) -> NDArray[np.float32]:
    """Resize a depth image without mixing readings with holes.

    Args:
        depth: (H, W) meters; 0, NaN and what is out of range are no reading.
        view: from :func:`canonical_view`.

    Returns:
        (2, h, w) mean of the readings in meters, 0 without any, and the part of the pixel that has
        readings; nothing in the padding.
    """
    depth, (columns, rows) = np.ascontiguousarray(depth, np.float32), view.content
    shrinks = depth.shape[0] >= rows and depth.shape[1] >= columns
    return (_shrunk if shrinks else _resized)(depth, columns, rows, *view.padded)


def _resized(
    depth: NDArray[np.float32], columns: int, rows: int, padded_columns: int, padded_rows: int
) -> NDArray[np.float32]:
    valid = (depth > NEAREST) & (depth < FARTHEST)  # False for NaN
    # As np.where(valid, depth, 0), which takes longer than the resizing.
    kept = cv2.copyTo(depth, valid.view(np.uint8))
    # Two channels at once: the same numbers in two thirds of the time.
    both = cv2.resize(cv2.merge([kept, valid.astype(np.float32)]), (columns, rows), interpolation=cv2.INTER_AREA)
    total, part = both[..., 0], both[..., 1]
    result = np.zeros((2, padded_rows, padded_columns), np.float32)
    inside = result[:, :rows, :columns]
    np.divide(total, part, out=inside[0], where=part > 0)
    inside[1] = part
    return result


@compiled_part()
def _area_weights(size: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Which of ``size`` pixels in a line each of ``count`` larger ones covers, as OpenCV's INTER_AREA counts them.

    Returns:
        (count,) the first of them, and (count, 4 K) the fraction that it and each of the next is of the larger one.
    """
    scale = 1 / (count / size)
    first, weights = np.zeros(count, np.int64), np.zeros((count, (int(scale) + 6) // 4 * 4), np.float32)
    for pixel in range(count):
        low = pixel * scale
        high, cell = low + scale, min(scale, size - low)
        stop = min(int(np.floor(high)), size - 1)
        start = min(int(np.ceil(low)), stop)
        taps = 0
        first[pixel] = start
        if start - low > 1e-3:  # less is left out
            first[pixel], weights[pixel, 0], taps = start - 1, (start - low) / cell, 1
        for _ in range(start, stop):
            weights[pixel, taps] = 1 / cell
            taps += 1
        if high - stop > 1e-3:
            weights[pixel, taps] = min(min(high - stop, 1.0), cell) / cell
    return first, weights


@compiled(_resized, "f4[:,:,::1](f4[:,::1],i8,i8,i8,i8)")
def _shrunk(
    depth: NDArray[np.float32], columns: int, rows: int, padded_columns: int, padded_rows: int
) -> NDArray[np.float32]:
    """In one pass; all sums in OpenCV's order, for what finds planes takes other samples where the last bit differs."""
    width = depth.shape[1]
    top, down = _area_weights(depth.shape[0], rows)
    left, across = _area_weights(width, columns)
    none, nearest, farthest = np.float32(0), np.float32(NEAREST), np.float32(FARTHEST)
    result = np.zeros((2, padded_rows, padded_columns), np.float32)
    # Weights beyond the last pixel are 0.
    kept, valid = np.zeros(width + across.shape[1], np.float32), np.zeros(width + across.shape[1], np.float32)
    for row in range(rows):
        for tap in range(down.shape[1]):
            weight = down[row, tap]
            if weight == none:
                break
            line = depth[top[row] + tap]
            for column in range(width):
                value = line[column]
                within = (value > nearest) & (value < farthest)  # False for NaN
                kept[column] = value if within else none
                valid[column] = np.float32(1) if within else none
            for column in range(columns):
                total, part = none, none
                meters, there, share = kept[left[column] :], valid[left[column] :], across[column]
                for one in range(0, len(share), 4):  # written out, which is faster by half
                    total += meters[one] * share[one]
                    total += meters[one + 1] * share[one + 1]
                    total += meters[one + 2] * share[one + 2]
                    total += meters[one + 3] * share[one + 3]
                    part += there[one] * share[one]
                    part += there[one + 1] * share[one + 1]
                    part += there[one + 2] * share[one + 2]
                    part += there[one + 3] * share[one + 3]
                result[0, row, column] += weight * total
                result[1, row, column] += weight * part
        for column in range(columns):
            if result[1, row, column] > none:
                result[0, row, column] /= result[1, row, column]
    return result


def network_input(canonical: NDArray[np.float32], log_middle: float) -> NDArray[np.float32]:
    """(..., 2, h, w) meters and parts -> log meters relative to a middle distance, 0 without readings, and parts."""
    depth, part = canonical[..., 0, :, :], canonical[..., 1, :, :]
    result = np.array(canonical, np.float32)
    result[..., 0, :, :] = np.where(part > 0, np.log(np.maximum(depth, NEAREST)) - log_middle, 0)
    return result


FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class CenterNetConfig:
    """What of the map counts as a person.

    Attributes:
        min_score: least heat, in (0, 1).
        max_people: at most so many are proposed.
        reach: depth farther than this from the distance that the network predicts is not the person's,
            as a part of that distance.

    Raises:
        ValueError: a value is out of range.
    """

    min_score: float = 0.2
    max_people: int = 20
    reach: float = 0.15

    def __post_init__(self) -> None:
        if not 0 < self.min_score < 1:
            raise ValueError(f"heat_map.min_score = {self.min_score}: must be within (0, 1)")
        if self.max_people < 1 or not self.reach > 0:
            raise ValueError(f"heat_map: max_people = {self.max_people}, reach = {self.reach}: must be positive")


class CenterNetDetector:
    """Finds people in depth with the network of :mod:`unipose_ros.networks.detector`.

    Args:
        run: the network, (1, 2, H, W) float32 -> (1, 6, H / 4, W / 4).
        focal: focal length in pixels that it was trained for.
        config: what counts as a person.
    """

    def __init__(self, run: Backend, focal: float, config: CenterNetConfig | None = None) -> None:
        self._run = Closable(run, "the detector")
        self._runtime = run.description
        self._focal = focal
        self._config = config or CenterNetConfig()

    @property
    def runtime(self) -> str:
        """What runs the network, and where."""
        return self._runtime

    def __call__(self, frame: RgbdFrame, least: float = 0.0) -> Proposals:
        """All people in the frame, best first.

        Args:
            least: those with a lower score are left out, which is faster than leaving them out afterwards.

        Raises:
            EstimatorError: the frame has no depth, or the person detector is closed.
        """
        if frame.depth is None:
            raise EstimatorError("the frame has no depth; people are found in it. Find them in color instead")
        run = self._run.get()
        view = canonical_view(frame.camera, self._focal, MULTIPLE)
        image = canonical_depth(frame.depth, view)
        (maps,) = run(network_input(image, LOG_MIDDLE)[None])
        config = replace(self._config, min_score=least) if least > self._config.min_score else self._config
        people = read_maps(maps[0], self._focal, config)
        distances = visible_depths(image, people, self._config.reach)
        people = Proposals(_in_frame(people.boxes, view, frame.camera), distances, people.scores)
        return people.without_duplicates(frame.camera)

    def twin(self) -> CenterNetDetector:
        """Itself: there is no state."""
        return self

    def reset(self) -> None:
        """There is no state."""

    def close(self) -> None:
        """Let the network go."""
        self._run.close()


def read_maps(maps: FloatArray, focal: float, config: CenterNetConfig) -> Proposals:
    """The peaks of the heat, best first, with boxes in pixels of the network's image.

    Args:
        maps: (6, h, w) of the network.
        focal: focal length of its image in pixels.
    """
    heat = 1 / (1 + np.exp(-maps[HEAT]))
    # No more than 20 m: an extreme output must not overflow.
    distances = np.exp(np.clip(maps[LOG_DISTANCE] + LOG_MIDDLE, -2, 3))
    people = _peaks(heat, distances, np.ascontiguousarray(maps[SIDES]), focal, config.min_score, config.max_people)
    boxes, distances, scores = people[:, :4].copy(), people[:, 4].copy(), people[:, 5].copy()
    return Proposals(boxes, distances, scores)


def _peaks_by_numpy(
    heat: FloatArray, distances: FloatArray, sides: FloatArray, focal: float, min_score: float, most: int
) -> FloatArray:
    rows, columns = np.nonzero((heat >= _around(heat)) & (heat >= min_score))
    best = np.argsort(-heat[rows, columns], kind="stable")[:most]
    rows, columns = rows[best], columns[best]
    centers = (np.stack([columns, rows], axis=1) + 0.5) * STRIDE - 0.5
    lengths = np.maximum(sides[:, rows, columns].T, np.float32(0.02)) * (focal / distances[rows, columns])[:, None]
    boxes = np.concatenate([centers - lengths[:, :2], centers + lengths[:, 2:]], axis=1)
    others = [each[rows, columns][:, None] for each in (distances, heat)]
    return np.concatenate([boxes, *others], axis=1).astype(np.float32)


def _around(heat: FloatArray) -> FloatArray:
    """The greatest heat in the 3 x 3 cells around each cell."""
    padded = np.pad(heat, 1, constant_values=0)
    height, width = heat.shape
    shifted = [padded[row : row + height, column : column + width] for row in range(3) for column in range(3)]
    return np.asarray(np.maximum.reduce(shifted), np.float32)


@compiled(_peaks_by_numpy, "f4[:,::1](f4[:,::1],f4[:,::1],f4[:,:,::1],f8,f8,i8)")
def _peaks(
    heat: FloatArray, distances: FloatArray, sides: FloatArray, focal: float, min_score: float, most: int
) -> FloatArray:
    """(N, 6) boxes, distances and scores of the peaks, best first."""
    height, width = heat.shape
    best, count = np.empty((most, 2), np.int64), 0
    for row in range(height):
        for column in range(width):
            score = heat[row, column]
            is_peak = score >= np.float32(min_score)
            if is_peak:
                for v in range(max(row - 1, 0), min(row + 2, height)):
                    for u in range(max(column - 1, 0), min(column + 2, width)):
                        is_peak = is_peak and score >= heat[v, u]  # False for NaN
            if not is_peak:
                continue
            # Of equal ones the first stays ahead.
            place = count
            while place > 0 and heat[best[place - 1, 0], best[place - 1, 1]] < score:
                place -= 1
            if place < most:
                count = min(count + 1, most)
                for later in range(count - 1, place, -1):
                    best[later] = best[later - 1]
                best[place, 0], best[place, 1] = row, column
    people = np.empty((count, 6), np.float32)
    for person in range(count):
        row, column = best[person]
        scale = np.float32(focal) / distances[row, column]
        for side in range(4):
            middle = ((column if side % 2 == 0 else row) + 0.5) * STRIDE - 0.5
            length = max(sides[side, row, column], np.float32(0.02)) * scale
            people[person, side] = middle - length if side < 2 else middle + length
        people[person, 4], people[person, 5] = distances[row, column], heat[row, column]
    return people


def visible_depths(image: FloatArray, people: Proposals, reach: float) -> FloatArray:
    """(N,) what the depth image says in the middle of each box, where it is near what the network predicts.

    Args:
        image: (2, h, w) from :func:`canonical_depth`.
        people: with boxes in its pixels.
        reach: as in :class:`CenterNetConfig`.
    """
    return _trunk_depths(np.ascontiguousarray(image, np.float32), people.boxes, people.distances, reach)


def _trunk_depths_by_numpy(image: FloatArray, boxes: FloatArray, distances: FloatArray, reach: float) -> FloatArray:
    distances = distances.copy()
    left, top, right, bottom = boxes.T
    # The trunk is in the upper middle of a box around joints: below are legs, and floor between them.
    columns = _spans(left + 0.3 * (right - left), left + 0.7 * (right - left), image.shape[2])
    rows = _spans(top + 0.1 * (bottom - top), top + 0.6 * (bottom - top), image.shape[1])
    for person, window in enumerate(zip(rows, columns, strict=True)):
        depth, part = image[(0, *window)], image[(1, *window)]
        near = depth[(part > 0) & (np.abs(depth / distances[person] - 1) < reach)]
        if near.size:
            distances[person] = median(near)
    return distances


def _spans(low: FloatArray, high: FloatArray, size: int) -> list[slice]:
    """(N,) pixels from low to high, at least one, within an image of that size."""
    first = np.clip(np.nan_to_num(np.rint(low)), 0, size - 1).astype(np.intp)
    last = np.clip(np.nan_to_num(np.rint(high)), first, size - 1).astype(np.intp)
    return [slice(start, end + 1) for start, end in zip(first.tolist(), last.tolist(), strict=True)]


@compiled_part()
def _span(low: float, high: float, size: int) -> tuple[int, int]:
    """As one of :func:`_spans`: the first pixel, and the one after the last."""
    first = 0 if np.isnan(low) else int(min(max(np.rint(low), 0.0), size - 1.0))
    last = 0 if np.isnan(high) else int(min(max(np.rint(high), 0.0), size - 1.0))
    return first, max(first, last) + 1


@compiled(_trunk_depths_by_numpy, "f4[::1](f4[:,:,::1],f4[:,::1],f4[::1],f8)")
def _trunk_depths(image: FloatArray, boxes: FloatArray, distances: FloatArray, reach: float) -> FloatArray:
    result, near = distances.copy(), np.empty(image.shape[1] * image.shape[2], np.float32)
    for person in range(len(boxes)):
        left, top, right, bottom = boxes[person]
        wide, tall, own = right - left, bottom - top, distances[person]
        first, last = _span(left + np.float32(0.3) * wide, left + np.float32(0.7) * wide, image.shape[2])
        highest, lowest = _span(top + np.float32(0.1) * tall, top + np.float32(0.6) * tall, image.shape[1])
        count = 0
        for row in range(highest, lowest):
            for column in range(first, last):
                depth = image[0, row, column]
                if image[1, row, column] > 0 and abs(depth / own - np.float32(1)) < np.float32(reach):
                    near[count] = depth
                    count += 1
        if count:
            result[person] = select_median(near[:count])
    return result


def _in_frame(boxes: FloatArray, view: Letterbox, camera: Camera) -> FloatArray:
    """Boxes in pixels of the network's image -> boxes in the camera's image, cut at its border."""
    corners = view.to_image(boxes.reshape(-1, 2, 2))
    return np.clip(corners, 0, np.array([camera.width - 1, camera.height - 1])).reshape(-1, 4).astype(np.float32)
