"""Folders whose tests need ROS are skipped without it."""

from __future__ import annotations

import pytest


def skip_without_ros() -> None:
    """Called by a conftest when it is imported."""
    for needed in ("rclpy", "unipose_ros.msg", "message_filters", "cv_bridge", "tf2_ros", "tf2_msgs.msg"):
        reason = f"{needed} is not installed: run 'make setup', or source a ROS 2 workspace"
        pytest.importorskip(needed, reason=reason)
