"""Fixtures of this folder, whose tests need ROS."""

from __future__ import annotations

import pytest
from ros_needed import skip_without_ros

skip_without_ros()


@pytest.fixture
def hand():  # type: ignore[no-untyped-def]
    """A clock that the test moves."""
    from ros_samples import Hand

    return Hand()
