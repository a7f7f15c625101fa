"""Who is there: people picked from what a detector says, or found in depth alone."""

from __future__ import annotations

from unipose_ros.people.proposals import PeopleFinder, Proposals
from unipose_ros.people.selection import PeopleConfig, seen_keypoints, select_people

__all__ = ["PeopleConfig", "PeopleFinder", "Proposals", "seen_keypoints", "select_people"]
