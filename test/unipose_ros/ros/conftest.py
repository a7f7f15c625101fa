"""Fixtures of this folder, whose tests need ROS."""

from __future__ import annotations

import pytest

for needed in ("rclpy", "unipose_ros.msg", "message_filters", "cv_bridge", "tf2_ros", "tf2_msgs.msg"):
    pytest.importorskip(needed, reason=f"{needed} is not installed: run 'make setup', or source a ROS 2 workspace")


@pytest.fixture
def hand():  # type: ignore[no-untyped-def]
    """A clock that the test moves."""
    from ros_samples import Hand

    return Hand()
