"""Who is who from frame to frame: ids, states, prediction and smoothing. No ROS is needed."""

from unipose_ros.tracking.config import TrackerConfig, TrackerConfigError
from unipose_ros.tracking.ids import IdGenerator
from unipose_ros.tracking.nearest import NearestTracker
from unipose_ros.tracking.protocol import Tracker

__all__ = ["IdGenerator", "NearestTracker", "Tracker", "TrackerConfig", "TrackerConfigError"]
