"""A small stream."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from unipose_ros.codecs.points import PointCloudConfig
from unipose_training.synthetic.bank import BodyBank, load_bank
from unipose_training.synthetic.batch.draw import DrawSettings
from unipose_training.synthetic.batch.torch_renderer import TorchRenderer
from unipose_training.synthetic.stream.people import Inputs
from unipose_training.synthetic.stream.scenes import Scenes, render_scenes
from unipose_training.synthetic.stream.settings import StreamSettings

BANK = Path(__file__).resolve().parents[3] / "data" / "body_bank.npz"


@pytest.fixture(scope="session")
def stream_bank() -> BodyBank:
    return load_bank(BANK)


@pytest.fixture(scope="session")
def stream_settings() -> StreamSettings:
    """Few and small scenes, each person used twice by two sensors."""
    return StreamSettings(
        bank=BANK,
        draw=DrawSettings(width=160, height=120, people=3),
        frames=4,
        views=2,
        replays=2,
        batches=2,
        interleave=2,
        min_pixels=100,
        validation_people=6,
    )


@pytest.fixture(scope="session")
def stream_inputs() -> Inputs:
    return Inputs(points=PointCloudConfig(points=256, centers=16))


@pytest.fixture(scope="session")
def stream_scenes(stream_bank: BodyBank) -> Scenes:
    """Twelve scenes of 256 x 192 pixels."""
    renderer = TorchRenderer(stream_bank, torch.device("cpu"), cull=True)
    return render_scenes(renderer, stream_bank, DrawSettings(width=256, height=192, people=3), 0.3, 11, 12)
