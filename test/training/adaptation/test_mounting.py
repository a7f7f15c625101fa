"""Height and tilt of a camera from people who stand before it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from track_store import standing

from unipose_training.adaptation.mounting import estimate_mounting
from unipose_training.errors import SyntheticError
from unipose_training.synthetic.batch.placing import Mounting, Standpoints, mounted


def seen_by(height: float, pitch: float, roll: float, people: int = 60) -> NDArray[np.float64]:
    """Standing people (level frame: x right, y down, z forward) in the optical frame of a camera."""
    rng = np.random.default_rng(0)
    hips = np.column_stack([rng.uniform(-1, 1, people), np.full(people, height - 1.03), rng.uniform(2, 4, people)])
    level = standing() + hips[:, None] + rng.normal(0, 0.01, (people, 15, 3))
    p, r = np.radians([pitch, roll])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), np.sin(r), 0], [-np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return level @ (about_z @ about_x).T


@pytest.mark.parametrize(("height", "pitch", "roll"), [(1.2, 0, 0), (0.4, -25, 0), (2.8, 45, 0), (1.0, 5, 10)])
def test_mounting_of_standing_people(height: float, pitch: float, roll: float) -> None:
    found = estimate_mounting(seen_by(height, pitch, roll))
    assert found is not None
    assert found.pitch == pytest.approx(pitch, abs=1.5)
    assert found.roll == pytest.approx(roll, abs=1.5)
    assert found.height == pytest.approx(height, abs=0.08)


def test_people_who_do_not_stand_says_nothing() -> None:
    people = seen_by(1.0, 0, 0, 30)
    people[:, [11, 12, 13, 14]] = people[:, [9, 10, 9, 10]] + 0.01  # no legs
    assert estimate_mounting(people) is None
    assert estimate_mounting(np.full((50, 15, 3), np.nan)) is None


def test_a_part_of_the_cameras_is_mounted_alike() -> None:
    frames = 400
    zero = np.zeros(frames)
    before = Standpoints(zero + 300, zero, zero, zero + 1.0, zero, zero, zero, np.zeros(frames, bool))
    mounting = Mounting(0.5, 0.4, -25.0, 0.0, 0.96)
    after = mounted(np.random.default_rng(0), before, mounting, 320, 240)
    chosen = after.height != 1.0
    assert 0.4 < chosen.mean() < 0.6
    assert np.degrees(after.pitch[chosen]).mean() == pytest.approx(-25, abs=1)
    assert after.height[chosen].mean() == pytest.approx(0.4, abs=0.02)
    assert after.focal[chosen].mean() == pytest.approx(0.96 * 320, rel=0.01)
    assert (after.pitch[~chosen] == 0).all()
    assert (after.focal[~chosen] == 300).all()


def test_impossible_mountings_are_refused() -> None:
    with pytest.raises(SyntheticError, match="mounting"):
        Mounting(0.5, height=-1.0)
