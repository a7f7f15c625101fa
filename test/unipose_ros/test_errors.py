"""What has been closed is refused."""

from __future__ import annotations

import pytest

from unipose_ros.errors import Closable, EstimatorError


def test_a_closed_resource_is_refused_and_closing_twice_is_harmless() -> None:
    network: Closable[str] = Closable("network", "the detector")
    assert network.get() == "network"
    network.close()
    network.close()
    with pytest.raises(EstimatorError, match="detector is closed"):
        network.get()
