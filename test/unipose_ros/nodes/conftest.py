"""The tests of this folder need ROS."""

from __future__ import annotations

from ros_needed import skip_without_ros

skip_without_ros()
