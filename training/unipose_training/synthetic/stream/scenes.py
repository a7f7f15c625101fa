"""Rendered scenes with labels, and depth as sensors measure it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unipose_training.engine.data_loading import seed_of
from unipose_training.synthetic.bank import BodyBank
from unipose_training.synthetic.batch.draw import DrawSettings, draw_scenes
from unipose_training.synthetic.batch.interface import Labels, Rendered, label
from unipose_training.synthetic.batch.scenes import SceneBatch
from unipose_training.synthetic.batch.torch_renderer import TorchRenderer
from unipose_training.synthetic.stream.sensors import IdealImages, SensorSettings, measure

#: Materials of a body: skin, top, bottom, footwear, hair, eyes (see ``synthetic.wardrobe``).
_CLOTHES, _HAIR = (1, 2), 4
#: Range of infrared reflectance of each; of further materials, the last one's.
_REFLECTANCE = ((0.4, 0.7), (0.25, 0.85), (0.25, 0.85), (0.1, 0.6), (0.1, 0.4), (0.3, 0.5))
_DARK = (0.01, 0.06)
#: Fraction of furniture that returns next to no light: screens, black leather.
_DARK_THINGS = 0.1


@dataclass(frozen=True, eq=False)
class Scenes:
    """F rendered scenes.

    Attributes:
        batch: what is in them.
        rendered: without a sensor's faults.
        labels: of all people, in the order of ``batch.people``.
        reflectance: (F, H, W) of infrared light.
    """

    batch: SceneBatch
    rendered: Rendered
    labels: Labels
    reflectance: Tensor

    def measured(self, settings: SensorSettings, generator: torch.Generator) -> Tensor:
        """(F, H, W) meters as sensors measure them, 0 for no reading; every image has another sensor."""
        ideal = IdealImages(self.rendered.depth, self.reflectance, self.batch.cameras.intrinsics)
        return measure(ideal, settings, generator)


def render_scenes(
    renderer: TorchRenderer, bank: BodyBank, settings: DrawSettings, dark: float, seed: int, frames: int
) -> Scenes:
    """Draw, render and label; the same arguments give the same scenes on the same device.

    Args:
        bank: the renderer's.
        dark: fraction of people whose clothes, and fraction whose hair, return next to no light.
    """
    batch = draw_scenes(bank, settings, seed, frames).to(renderer.device)
    rendered = renderer.render(batch)
    assert rendered.things is not None
    table = _reflectances(np.random.default_rng(seed_of(seed, 7)), batch, dark)
    # One more row for nothing, which -1 points at.
    looks = torch.from_numpy(np.append(table, np.float32(0))).to(renderer.device)
    return Scenes(batch, rendered, label(batch, rendered), looks[rendered.things.long()])


def _reflectances(rng: np.random.Generator, batch: SceneBatch, dark: float) -> NDArray[np.float32]:
    """By the numbers of :attr:`Rendered.things`."""
    people, materials = batch.people.colors.shape[:2]
    ranges = np.array([_REFLECTANCE[min(m, len(_REFLECTANCE) - 1)] for m in range(materials)]).reshape(-1, 2)
    worn = rng.uniform(ranges[:, 0], ranges[:, 1], (people, materials))
    for column in (*_CLOTHES, _HAIR):
        if column < materials:
            black = rng.random(people) < dark
            worn[black, column] = rng.uniform(*_DARK, black.sum())
    lost = getattr(batch.people, "no_return", None)
    if lost is not None:
        worn[lost.cpu().numpy()] = 0.0
    blocks, rooms = len(batch.blocks), len(batch)
    things = np.where(rng.random(blocks) < _DARK_THINGS, rng.uniform(*_DARK, blocks), rng.uniform(0.15, 0.9, blocks))
    around = rng.uniform((0.2, 0.5, 0.4), (0.7, 0.95, 0.9), (rooms, 3))
    return np.concatenate([worn.reshape(-1), things, around.reshape(-1)]).astype(np.float32)


def portrait(settings: DrawSettings) -> DrawSettings:
    """The same with width and height exchanged."""
    return replace(settings, width=settings.height, height=settings.width)
