from __future__ import annotations

import math

import pytest

from unipose_ros.tracking import TrackerConfig, TrackerConfigError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_age", 0.0),
        ("max_gap", 0.0),
        ("occluded_max_age", -0.1),
        ("confirm_hits", 0),
        ("confirm_hits", 1.5),
        ("gate", 0.0),
        ("gate_growth", -1.0),
        ("duplicate_distance", -0.1),
        ("joint_max_age", -0.1),
        ("smoothing", math.nan),
        ("fast_motion_threshold", 0.0),
        ("velocity_decay", 0.0),
        ("max_speed", math.inf),
        ("process_noise_std", -0.1),
        ("confidence_decay", 0.0),
    ],
)
def test_a_bad_setting_is_named(name: str, value: float) -> None:
    with pytest.raises(TrackerConfigError, match=rf"^{name} = {value}: give"):
        TrackerConfig(**{name: value})


def test_zero_switches_off_what_can_be_switched_off() -> None:
    TrackerConfig(smoothing=0.0, joint_max_age=0.0, duplicate_distance=0.0, gate_growth=0.0, process_noise_std=0.0)
