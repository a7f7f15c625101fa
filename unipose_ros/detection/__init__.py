"""Person detection: people picked from what a detector predicts, or found in depth alone."""

from __future__ import annotations

from unipose_ros.config import DetectionConfig
from unipose_ros.detection.proposals import DepthOf, PersonDetector, Proposals, select_people, visible_keypoints

__all__ = ["DepthOf", "DetectionConfig", "PersonDetector", "Proposals", "select_people", "visible_keypoints"]
