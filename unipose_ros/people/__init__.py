"""Who is there: people picked from what a detector says."""

from __future__ import annotations

from unipose_ros.people.selection import PeopleConfig, seen_keypoints, select_people

__all__ = ["PeopleConfig", "seen_keypoints", "select_people"]
