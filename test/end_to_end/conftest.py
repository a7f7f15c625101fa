"""Fixtures of the end-to-end tests: each test talks to processes of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

for needed in ("rclpy", "unipose_ros.msg", "message_filters", "cv_bridge", "tf2_ros", "tf2_msgs.msg"):
    pytest.importorskip(needed, reason=f"{needed} is not installed: run 'make setup', or source a ROS 2 workspace")

from rig import Rig  # noqa: E402


@pytest.fixture
def rig() -> Iterator[Rig]:
    """A camera and listener in the root namespace."""
    made = Rig()
    yield made
    made.close()
