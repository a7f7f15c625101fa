"""Scenes for the person detector: whole depth images with all people in them, drawn on the fly."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from unipose_ros.detection.heatmap import canonical_depth, canonical_view
from unipose_ros.geometry import body_model as body
from unipose_ros.joint_sets import COCO17, COCO23, ITOP15
from unipose_training.detection.dataset import DetectorDataset
from unipose_training.detection.scenes import Scene
from unipose_training.engine.config import RunSettings
from unipose_training.engine.data_loading import loader_of, seed_of
from unipose_training.synthetic.bank import BodyBank, load_bank
from unipose_training.synthetic.batch.torch_renderer import TorchRenderer
from unipose_training.synthetic.stream.dataset import StreamBatches, stream_device
from unipose_training.synthetic.stream.people import divided
from unipose_training.synthetic.stream.scenes import Scenes, portrait, render_scenes
from unipose_training.synthetic.stream.settings import StreamSettings

_COCO = [COCO23.index(name) for name in COCO17.joints]
_TRUNK = [ITOP15.index(f"{side}_{part}") for part in ("shoulder", "hip") for side in ("left", "right")]
#: Meters from the trunk's visible surface, whose distance the detector is to say, to its joints.
_TRUNK_DEPTH = float(body.SURFACE_OFFSETS[[*body.SHOULDERS, *body.HIPS]].mean())
#: Of a person who is to be found at least so many pixels of the rendered image and joints are visible; who shows less,
#: but anything, is neither to be found nor to be denied.
_LEAST_PIXELS, _LEAST_JOINTS = 60, 4
#: Parts of seeds: training and validation.
_TRAINING, _VALIDATION = 13, 14


class SceneMaker:
    """Makes scenes of a fixed angular resolution, chunk by chunk.

    Args:
        focal: focal length in pixels of the scenes' depth images.
    """

    def __init__(self, bank: BodyBank, settings: StreamSettings, focal: float, device: torch.device) -> None:
        self._bank, self._settings, self._focal = bank, settings, focal
        self._renderer = TorchRenderer(bank, device, cull=True)

    def make(self, seed: int) -> list[Scene]:
        """``settings.frames`` scenes; the same seed gives the same scenes."""
        settings = self._settings
        rng = np.random.default_rng(seed_of(seed, 0))
        draw = portrait(settings.draw) if rng.random() < settings.portrait else settings.draw
        drawn = int(rng.integers(2**31))
        scenes = render_scenes(self._renderer, self._bank, draw, settings.sensors.dark, drawn, settings.frames)
        generator = torch.Generator(self._renderer.device).manual_seed(seed_of(seed, 1) % 2**62)
        return labeled_scenes(scenes, scenes.measured(settings.sensors, generator), self._focal)


def labeled_scenes(scenes: Scenes, depth: Tensor, focal: float) -> list[Scene]:
    """Measured images with all people who can be seen.

    Args:
        depth: (F, H, W) meters as measured.
        focal: focal length in pixels of the images to make.
    """
    labels, batch = scenes.labels, scenes.batch
    frames = batch.people.frames.cpu().numpy()
    pixels = labels.coco23_pixels[:, _COCO].cpu().numpy()
    found = ((labels.pixels >= _LEAST_PIXELS) & (labels.itop15_seen.sum(dim=1) >= _LEAST_JOINTS)).cpu().numpy()
    shown = (labels.pixels > 0).cpu().numpy()
    distances = labels.itop15[:, _TRUNK, 2].median(dim=1).values.cpu().numpy() - np.float32(_TRUNK_DEPTH)
    boxes, measured = labels.boxes.cpu().numpy(), depth.cpu().numpy()
    limits = np.array([batch.cameras.width, batch.cameras.height]) - 1.0
    inside = np.isfinite(pixels).all(axis=-1) & ((pixels >= 0) & (pixels <= limits)).all(axis=-1)
    result = []
    for frame in range(len(batch)):
        view = canonical_view(batch.cameras.camera(frame), focal, multiple=1)
        image, part = canonical_depth(measured[frame], view)
        here = frames == frame
        people, unsure = here & found & (distances > 0), here & shown & ~found
        result.append(
            Scene(
                depth=image.astype(np.float16),
                part=np.rint(255 * part).astype(np.uint8),
                pixels=np.nan_to_num(view.to_padded(pixels[people])),
                seen=inside[people],
                distances=distances[people].astype(np.float32),
                ignore_regions=np.asarray(view.to_padded(boxes[unsure].reshape(-1, 2, 2)), np.float32).reshape(-1, 4),
            )
        )
    return result


class DetectionStream(Dataset[Any]):
    """Views of ever new scenes; each scene is shown ``views * replays`` times, elsewhere and among others.

    Args:
        settings: of the stream.
        scene_focal, focal: focal lengths of scenes and windows in pixels.
        run: whose steps, batch, seed and accelerator these are.
    """

    def __init__(self, settings: StreamSettings, scene_focal: float, focal: float, run: RunSettings) -> None:
        self._settings, self._run = settings, run
        self._scene_focal, self._focal = scene_focal, focal
        self._maker: SceneMaker | None = None
        self._chunks: OrderedDict[int, DetectorDataset] = OrderedDict()

    def __len__(self) -> int:
        return self._run.steps * self._run.batch

    def __getitem__(self, index: int) -> Any:
        """One sample, varied by NumPy's global generator as the engine seeds it."""
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """The samples of some numbers; this is what a DataLoader calls."""
        return [self._sample(index) for index in indices]

    def _sample(self, index: int) -> Any:
        # Steps take turns among chunks, so that every reading process makes its own.
        settings, size = self._settings, self._run.batch
        step, place = divmod(index, size)
        steps = max(1, settings.frames * settings.views * settings.replays // size)
        turn, within = divmod(step, steps * settings.interleave)
        number = turn * settings.interleave + within % settings.interleave
        views = self._chunk(number)
        return views[(within // settings.interleave * size + place) % len(views)]

    def _chunk(self, number: int) -> DetectorDataset:
        if number not in self._chunks:
            if self._maker is None:
                bank = divided(load_bank(self._settings.bank_file), self._settings.validation_bodies, validation=False)
                device = stream_device(self._settings.device, self._run.accelerator)
                self._maker = SceneMaker(bank, self._settings, self._scene_focal, device)
            scenes = self._maker.make(seed_of(self._run.seed, _TRAINING, number))
            self._chunks[number] = DetectorDataset(scenes, self._scene_focal, self._focal, varied=True)
            while len(self._chunks) > self._settings.interleave:
                self._chunks.popitem(last=False)
        self._chunks.move_to_end(number)
        return self._chunks[number]

    def __getstate__(self) -> dict[str, object]:
        """Workers make their own chunks."""
        return {**self.__dict__, "_maker": None, "_chunks": OrderedDict()}


def validation_scenes(settings: StreamSettings, scene_focal: float, run: RunSettings) -> list[Scene]:
    """About ``validation_people`` people of bodies and motions that the stream keeps back, and who is around."""
    bank = divided(load_bank(settings.bank_file), settings.validation_bodies, validation=True)
    device = stream_device(settings.device, run.accelerator)
    maker = SceneMaker(bank, replace(settings, frames=16), scene_focal, device)
    scenes: list[Scene] = []
    for number in range(settings.validation_people):
        scenes += maker.make(seed_of(_VALIDATION, number))
        if sum(map(len, scenes)) >= settings.validation_people:
            break
    return scenes


def detection_loader(stream: DetectionStream, run: RunSettings) -> DataLoader[Any]:
    """What :func:`unipose_training.engine.loop.train` reads."""
    return loader_of(stream, StreamBatches(len(stream), run.steps, run.batch, run.seed), run)
