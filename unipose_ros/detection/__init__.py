"""Who is there: people picked from what a detector says, or found in depth alone."""

from __future__ import annotations

from unipose_ros.detection.proposals import PersonDetector, Proposals
from unipose_ros.detection.selection import DetectionConfig, select_people, visible_keypoints

__all__ = ["DetectionConfig", "PersonDetector", "Proposals", "select_people", "visible_keypoints"]
