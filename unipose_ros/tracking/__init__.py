"""Who is who from frame to frame: ids, states, prediction and smoothing. No ROS is needed."""

from unipose_ros.config import TrackerConfig, TrackerConfigError
from unipose_ros.tracking.tracker import IdGenerator, NearestTracker, Tracker

__all__ = ["IdGenerator", "NearestTracker", "Tracker", "TrackerConfig", "TrackerConfigError"]
