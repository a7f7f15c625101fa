"""Recordings (rosbag2: mcap and sqlite3), read and written without ROS."""

from unipose_ros.recordings.messages import RecordingError
from unipose_ros.recordings.reader import BagReader, Message, RawMessage, Topic
from unipose_ros.recordings.rgbd import RgbdRecording
from unipose_ros.recordings.topics import RgbdTopics, detect_topics
from unipose_ros.recordings.writer import BagWriter

__all__ = [
    "BagReader",
    "BagWriter",
    "Message",
    "RawMessage",
    "RecordingError",
    "RgbdRecording",
    "RgbdTopics",
    "Topic",
    "detect_topics",
]
