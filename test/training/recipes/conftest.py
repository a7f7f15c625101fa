"""Tiny networks to train in tests."""

from __future__ import annotations

import pytest

from unipose_ros.networks.points import SIZES, PointNetworkConfig


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a size of point network that tests have the time for."""
    config = PointNetworkConfig(
        points=128, centers=16, neighbors=8, edge=(16,), width=32, layers=1, heads=2, head_width=16, hidden=64
    )
    monkeypatch.setitem(SIZES, "tiny", config)
    return "tiny"
