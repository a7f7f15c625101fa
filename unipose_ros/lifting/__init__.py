"""Skeletons from 2D keypoints and the camera's calibration alone; depth helps where there is any."""

from __future__ import annotations

from unipose_ros.lifting.lifter import KeypointRefiner, Lifter, LiftingConfig, load_lifter, load_refiner

__all__ = ["KeypointRefiner", "Lifter", "LiftingConfig", "load_lifter", "load_refiner"]
