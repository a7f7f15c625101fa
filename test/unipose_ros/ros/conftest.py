"""Fixtures of this folder, whose tests need ROS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from ros_needed import skip_without_ros

skip_without_ros()

if TYPE_CHECKING:
    from rclpy.node import Node


@pytest.fixture
def node() -> Iterator[Node]:
    """A plain node in the default context."""
    import rclpy

    rclpy.init()
    made = rclpy.create_node("tested")
    yield made
    made.destroy_node()
    rclpy.try_shutdown()


@pytest.fixture
def hand():  # type: ignore[no-untyped-def]
    """A clock that the test moves."""
    from ros_samples import Hand

    return Hand()
