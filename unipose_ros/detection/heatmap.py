"""Person detection by depth alone: a small network's map of trunk centers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.backends import Backend
from unipose_ros.camera import Camera
from unipose_ros.detection.proposals import Proposals
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
    valid = (depth > NEAREST) & (depth < FARTHEST)  # False for NaN
    # As np.where(valid, depth, 0), which takes longer than the resizing.
    kept = cv2.copyTo(np.ascontiguousarray(depth, np.float32), valid.view(np.uint8))
    # Two channels at once: the same numbers in two thirds of the time.
    both = cv2.resize(cv2.merge([kept, valid.astype(np.float32)]), view.content, interpolation=cv2.INTER_AREA)
    total, part = both[..., 0], both[..., 1]
    result = np.zeros((2, view.padded[1], view.padded[0]), np.float32)
    inside = result[:, : view.content[1], : view.content[0]]
    np.divide(total, part, out=inside[0], where=part > 0)
    inside[1] = part
    return result


def network_input(canonical: NDArray[np.float32], log_middle: float) -> NDArray[np.float32]:
    """(..., 2, h, w) meters and parts -> log meters relative to a middle distance, 0 without readings, and parts."""
    depth, part = canonical[..., 0, :, :], canonical[..., 1, :, :]
    log_depth = np.where(part > 0, np.log(np.maximum(depth, NEAREST)) - log_middle, 0)
    return np.stack([log_depth, part], axis=-3).astype(np.float32)


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
    rows, columns = np.nonzero((heat >= _around(heat)) & (heat >= config.min_score))
    best = np.argsort(-heat[rows, columns], kind="stable")[: config.max_people]
    rows, columns = rows[best], columns[best]
    # No more than 20 m: an extreme output must not overflow.
    distances = np.exp(np.clip(maps[LOG_DISTANCE, rows, columns] + LOG_MIDDLE, -2, 3))
    centers = (np.stack([columns, rows], axis=1) + 0.5) * STRIDE - 0.5
    sides = np.maximum(maps[SIDES, rows, columns].T, 0.02) * (focal / distances)[:, None]
    boxes = np.concatenate([centers - sides[:, :2], centers + sides[:, 2:]], axis=1)
    return Proposals(boxes.astype(np.float32), distances.astype(np.float32), heat[rows, columns].astype(np.float32))


def _around(heat: FloatArray) -> FloatArray:
    """The greatest heat in the 3 x 3 cells around each cell."""
    padded = np.pad(heat, 1, constant_values=0)
    height, width = heat.shape
    shifted = [padded[row : row + height, column : column + width] for row in range(3) for column in range(3)]
    return np.asarray(np.maximum.reduce(shifted), np.float32)


def visible_depths(image: FloatArray, people: Proposals, reach: float) -> FloatArray:
    """(N,) what the depth image says in the middle of each box, where it is near what the network predicts.

    Args:
        image: (2, h, w) from :func:`canonical_depth`.
        people: with boxes in its pixels.
        reach: as in :class:`CenterNetConfig`.
    """
    distances = people.distances.copy()
    left, top, right, bottom = people.boxes.T
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


def _in_frame(boxes: FloatArray, view: Letterbox, camera: Camera) -> FloatArray:
    """Boxes in pixels of the network's image -> boxes in the camera's image, cut at its border."""
    corners = view.to_image(boxes.reshape(-1, 2, 2))
    return np.clip(corners, 0, np.array([camera.width - 1, camera.height - 1])).reshape(-1, 4).astype(np.float32)
