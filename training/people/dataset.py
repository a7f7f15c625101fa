"""Views of scenes with their targets, ready for training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from unipose_ros.networks.finder import LOG_MIDDLE
from unipose_ros.people.canonical import network_input
from unipose_training.people import disturb
from unipose_training.people.placing import Placing, View, draw_placing, place
from unipose_training.people.scenes import Scene
from unipose_training.people.targets import draw_targets

#: Width and height of the window: a whole image of a usual camera.
WINDOW = (128, 96)


class FinderBatch(NamedTuple):
    """Views and what the maps should show, B of them; see :class:`~unipose_training.people.targets.MapTargets`.

    Attributes:
        images: (B, 2, H, W) as the network takes them.
        heat, asked, log_distances, answering: (B, h, w).
        sides: (B, 4, h, w).
    """

    images: Tensor
    heat: Tensor
    asked: Tensor
    sides: Tensor
    log_distances: Tensor
    answering: Tensor


class FinderDataset(Dataset[Any]):
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

    def __getitem__(self, index: int) -> FinderBatch:
        """One sample: the fields of a batch without its first side, as arrays."""
        view = self.view(index)
        targets = draw_targets(view, self._focal)
        return FinderBatch(network_input(view.image, LOG_MIDDLE), *targets)  # type: ignore[arg-type]  # collated later

    def view(self, index: int) -> View:
        """What the network is shown of a scene."""
        scene = self._scenes[index]
        if not self._varied:
            return place(scene, _middle(scene), self._ratio, WINDOW)
        rng = np.random.default_rng(np.random.randint(2**31))  # noqa: NPY002 - the engine seeds the global one
        view = place(scene, draw_placing(scene, WINDOW, rng), self._ratio, WINDOW)
        if self._peopled and rng.random() < 0.5:
            other = self._peopled[rng.integers(len(self._peopled))]
            view = disturb.paste(view, place(other, draw_placing(other, WINDOW, rng), self._ratio, WINDOW))
        return _disturbed(view, rng)


def _middle(scene: Scene) -> Placing:
    height, width = scene.depth.shape
    return Placing(1.0, 0.0, False, ((width - 1) / 2, (height - 1) / 2), ((WINDOW[0] - 1) / 2, (WINDOW[1] - 1) / 2))


def _disturbed(view: View, rng: np.random.Generator) -> View:
    if rng.random() < 0.4:
        view = disturb.put_things(view, rng)
    lost = rng.random()
    if lost < 0.15:
        view = disturb.lose_background(view, rng)
    elif lost < 0.25:
        view = disturb.lose_surroundings(view)
    if rng.random() < 0.5:
        view = disturb.lose_patches(view, rng)
    return disturb.add_noise(view, rng)
