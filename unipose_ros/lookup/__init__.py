"""Modality ``lookup``: 2D keypoints plus the depth under them, resolved with what bodies allow."""

from __future__ import annotations

from unipose_ros.config import LookupConfig
from unipose_ros.lookup.lift import LiftedPeople, lift_people

__all__ = ["LiftedPeople", "LookupConfig", "lift_people"]
