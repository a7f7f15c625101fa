"""Who is there: people picked from what a detector says."""

from __future__ import annotations

from unipose_ros.people.selection import PeopleConfig, select_people

__all__ = ["PeopleConfig", "select_people"]
