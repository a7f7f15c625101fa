"""Makes the helper module beside the tests importable, which pytest's importlib mode does not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

for needed in ("rclpy", "unipose_ros.msg", "message_filters", "cv_bridge", "tf2_ros", "tf2_msgs.msg"):
    pytest.importorskip(needed, reason=f"{needed} is not installed: run 'make setup', or source a ROS 2 workspace")

sys.path.insert(0, str(Path(__file__).resolve().parent))


@pytest.fixture
def hand():  # type: ignore[no-untyped-def]
    """A clock that the test moves."""
    from ros_samples import Hand

    return Hand()
