"""Random numbers as functions of where a run stands, so that nothing need be kept to go on."""

from __future__ import annotations

import random

import numpy as np
import torch


def seed_of(*parts: int) -> int:
    """A 63 bit seed from whole numbers from 0, unlike that of any others."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


def seed_everything(*parts: int) -> None:
    """Seed torch, NumPy's global generator and Python's with :func:`seed_of`."""
    seed = seed_of(*parts)
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  # for libraries that draw from it
    random.seed(seed)
