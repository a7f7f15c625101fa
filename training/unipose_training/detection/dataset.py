"""Views of scenes with their targets, ready for training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from unipose_ros.detection.heatmap import network_input
from unipose_ros.networks.registry import LOG_MIDDLE, STRIDE
from unipose_training.detection import scenes as disturb
from unipose_training.detection.scenes import Scene, TrainingView, ViewTransform, apply_view, sample_view

# What the people maps should show for a view, and where nothing is asked.


FloatArray = NDArray[np.float32]
#: Meters around a trunk's center in which heat falls off, and its least and greatest extent in cells.
_SIGMA, _LEAST, _MOST = 0.08, 0.7, 3.0
#: Cells of more heat than this also say box and distance.
_ANSWERING = 0.4


class MapTargets(NamedTuple):
    """Targets of one view, cells (h, w) of stride 4.

    Attributes:
        heat: (h, w) in [0, 1]; 1 in the cell of a trunk's center, falling off around it.
        loss_mask: (h, w) 1 where the heat map has a target, 0 in ignored regions.
        sides: (4, h, w) meters from the cell's center to the sides of the box.
        log_distances: (h, w) log meters.
        positive_mask: (h, w) weight of sides and distance, 0 away from people.
    """

    heat: FloatArray
    loss_mask: FloatArray
    sides: FloatArray
    log_distances: FloatArray
    positive_mask: FloatArray


def draw_targets(view: TrainingView, focal: float) -> MapTargets:
    """Targets for a view.

    Args:
        focal: focal length of the window in pixels.
    """
    height, width = (side // STRIDE for side in view.image.shape[1:])
    columns, rows = (np.arange(count) * STRIDE + (STRIDE - 1) / 2 for count in (width, height))
    heat, positive_mask, log_distances = (np.zeros((height, width), np.float32) for _ in range(3))
    sides, loss_mask = np.zeros((4, height, width), np.float32), np.ones((height, width), np.float32)
    for left, top, right, bottom in view.ignore_regions:
        loss_mask[np.ix_((rows > top) & (rows < bottom), (columns > left) & (columns < right))] = 0
    for person in range(len(view.boxes)):
        distance = view.distances[person]
        bump = _bump(columns, rows, view.centers[person], focal * _SIGMA / distance / STRIDE)
        own = (bump > _ANSWERING) & (bump > positive_mask)
        log_distances[own], positive_mask[own] = np.log(distance), bump[own]
        sides[:, own] = _sides(columns, rows, view.boxes[person], float(distance) / focal)[:, own]
        heat = np.maximum(heat, bump)
    loss_mask[heat > _ANSWERING] = 1
    return MapTargets(heat, loss_mask, sides, log_distances, positive_mask)


def _bump(columns: NDArray[np.float64], rows: NDArray[np.float64], center: FloatArray, radius: float) -> FloatArray:
    """(h, w) a Gaussian that is 1 in the center's own cell."""
    cell = (np.rint((center - (STRIDE - 1) / 2) / STRIDE)).clip(0, [len(columns) - 1, len(rows) - 1]).astype(int)
    sigma = STRIDE * float(np.clip(radius, _LEAST, _MOST))
    across, down = columns - columns[cell[0]], rows - rows[cell[1]]
    return np.asarray(np.exp(-(across[None] ** 2 + down[:, None] ** 2) / (2 * sigma**2)), np.float32)


def _sides(columns: NDArray[np.float64], rows: NDArray[np.float64], box: FloatArray, meters: float) -> FloatArray:
    """(4, h, w) meters from each cell to the box's left, upper, right and lower side."""
    across, down = np.meshgrid(columns, rows)
    sides = np.stack([across - box[0], down - box[1], box[2] - across, box[3] - down])
    return np.asarray(meters * sides, np.float32)


#: Width and height of the window: a whole image of a usual camera.
WINDOW = (128, 96)


class DetectorBatch(NamedTuple):
    """Views and what the maps should show, B of them; see :class:`~unipose_training.detection.dataset.MapTargets`.

    Attributes:
        images: (B, 2, H, W) as the network takes them.
        heat, loss_mask, log_distances, positive_mask: (B, h, w).
        sides: (B, 4, h, w).
    """

    images: Tensor
    heat: Tensor
    loss_mask: Tensor
    sides: Tensor
    log_distances: Tensor
    positive_mask: Tensor


class DetectorDataset(Dataset[Any]):
    """One view for every scene.

    Args:
        scenes: what to show.
        scene_focal, focal: focal lengths of scenes and window in pixels.
        varied: put the scenes elsewhere, among other people, behind things and with holes, by random
            numbers from NumPy's global generator; else the middle of each scene is shown as it is.
    """

    def __init__(self, scenes: Sequence[Scene], scene_focal: float, focal: float, varied: bool) -> None:
        self._scenes, self._focal, self._ratio, self._varied = scenes, focal, focal / scene_focal, varied
        self._peopled = [scene for scene in scenes if len(scene)]

    def __len__(self) -> int:
        return len(self._scenes)

    def __getitem__(self, index: int) -> DetectorBatch:
        """One sample: the fields of a batch without its first side, as arrays."""
        view = self.view(index)
        targets = draw_targets(view, self._focal)
        return DetectorBatch(network_input(view.image, LOG_MIDDLE), *targets)  # type: ignore[arg-type]  # collated later

    def view(self, index: int) -> TrainingView:
        """What the network is shown of a scene."""
        scene = self._scenes[index]
        if not self._varied:
            return apply_view(scene, _middle(scene), self._ratio, WINDOW)
        rng = np.random.default_rng(np.random.randint(2**31))  # noqa: NPY002 - the engine seeds the global one
        view = apply_view(scene, sample_view(scene, WINDOW, rng), self._ratio, WINDOW)
        if self._peopled and rng.random() < 0.5:
            other = self._peopled[rng.integers(len(self._peopled))]
            view = disturb.paste(view, apply_view(other, sample_view(other, WINDOW, rng), self._ratio, WINDOW))
        return _disturbed(view, rng)


def _middle(scene: Scene) -> ViewTransform:
    height, width = scene.depth.shape
    return ViewTransform(
        1.0, 0.0, False, ((width - 1) / 2, (height - 1) / 2), ((WINDOW[0] - 1) / 2, (WINDOW[1] - 1) / 2)
    )


def _disturbed(view: TrainingView, rng: np.random.Generator) -> TrainingView:
    if rng.random() < 0.4:
        view = disturb.paste_objects(view, rng)
    lost = rng.random()
    if lost < 0.15:
        view = disturb.lose_background(view, rng)
    elif lost < 0.25:
        view = disturb.lose_surroundings(view)
    if rng.random() < 0.5:
        view = disturb.lose_patches(view, rng)
    return disturb.add_noise(view, rng)
