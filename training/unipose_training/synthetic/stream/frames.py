"""Whole depth frames of the stream with everybody's 3D ground truth: for fitting verifiers and calibrations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.joint_sets import ITOP15
from unipose_training.datasets.base import FIRST_STAMP_NS, true_skeletons
from unipose_training.engine.data_loading import seed_of
from unipose_training.synthetic.bank import load_bank
from unipose_training.synthetic.batch.torch_renderer import TorchRenderer
from unipose_training.synthetic.stream.people import divided
from unipose_training.synthetic.stream.scenes import Scenes, portrait, render_scenes
from unipose_training.synthetic.stream.settings import StreamSettings

_FRAME_ID = "camera"
#: Part of seeds: these frames.
_FRAMES = 15
#: Scenes rendered together, and nanoseconds between frames, which have nothing to do with each other.
_TOGETHER, _APART_NS = 8, 10_000_000_000


def rendered_frames(settings: StreamSettings, seed: int, count: int) -> Iterator[tuple[RgbdFrame, Skeletons]]:
    """So many frames of bodies and motions that no network was trained on, with depth alone.

    Args:
        settings: of the stream; its sensors, portrait images, and scenes without people.
        seed: the same seed gives the same frames on the same device.

    Raises:
        SyntheticError: the body bank cannot be read.
    """
    bank = divided(load_bank(settings.bank_file), settings.validation_bodies, validation=True)
    renderer = TorchRenderer(bank, torch.device("cpu"), cull=True)
    for number in range(-(-count // _TOGETHER)):
        part = seed_of(seed, _FRAMES, number)
        rng = np.random.default_rng(seed_of(part, 0))
        draw = portrait(settings.draw) if rng.random() < settings.portrait else settings.draw
        scenes = render_scenes(renderer, bank, draw, settings.sensors.dark, int(rng.integers(2**31)), _TOGETHER)
        depth = scenes.measured(settings.sensors, torch.Generator().manual_seed(seed_of(part, 1) % 2**62))
        for frame in range(min(_TOGETHER, count - number * _TOGETHER)):
            stamp_ns = FIRST_STAMP_NS + (number * _TOGETHER + frame) * _APART_NS
            yield (
                RgbdFrame(stamp_ns, _FRAME_ID, scenes.batch.cameras.camera(frame), depth[frame].numpy()),
                replace(_truth(scenes, frame), stamp_ns=stamp_ns),
            )


def _truth(scenes: Scenes, frame: int) -> Skeletons:
    """Those of a frame of whom anything is in view."""
    labels = scenes.labels
    here = (scenes.batch.people.frames == frame) & (labels.pixels > 0)
    ids = tuple(str(person) for person in range(int(here.sum())))
    return true_skeletons(0, _FRAME_ID, labels.itop15[here].numpy(), labels.itop15_seen[here].numpy(), ids, ITOP15)
