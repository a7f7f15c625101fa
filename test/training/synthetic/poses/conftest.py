"""Skeletons of the shipped bank."""

from __future__ import annotations

from pathlib import Path

import pytest

from unipose_training.synthetic.bank import BodyBank, load_bank
from unipose_training.synthetic.poses.sampler import PoseSampler

SHIPPED = Path(__file__).resolve().parents[4] / "weights" / "body_bank.npz"


@pytest.fixture(scope="session")
def shipped() -> BodyBank:
    return load_bank(SHIPPED)


@pytest.fixture(scope="session")
def sampler(shipped: BodyBank) -> PoseSampler:
    return PoseSampler(shipped)
