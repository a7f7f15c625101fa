"""Recordings of robots unlike those in training: what is planned, without rendering it."""

from __future__ import annotations

import numpy as np
import pytest

from unipose_training.errors import SyntheticError
from unipose_training.synthetic.other_robot import DOMAINS, RobotSettings, robot_plans


@pytest.mark.parametrize("domain", sorted(DOMAINS))
def test_one_camera_several_places_and_one_of_them_empty(domain: str) -> None:
    settings = RobotSettings(domain, seconds=18, rate_hz=5, places=3)
    plans = robot_plans(settings)
    assert plans == robot_plans(settings)
    assert [plan.frames for plan in plans] == [30, 30, 30]
    assert [bool(plan.roles) for plan in plans] == [True, False, True]
    assert len({plan.camera for plan in plans}) == 1
    assert np.degrees(plans[0].camera.tilt) == pytest.approx(DOMAINS[domain].tilt)
    assert all(plan.room.height > plan.camera.height for plan in plans)
    people = [role.person for plan in plans for role in plan.roles]
    assert len({repr(person) for person in people}) == len(people)


def test_another_seed_gives_other_people() -> None:
    first, second = (robot_plans(RobotSettings("low", 18, 5, 3, seed)) for seed in (1, 2))
    assert first[0].roles != second[0].roles


@pytest.mark.parametrize("wrong", [{"domain": "moon"}, {"places": 1}, {"seconds": 0.5}])
def test_settings_that_cannot_be_used(wrong: dict[str, object]) -> None:
    with pytest.raises(SyntheticError, match=str(next(iter(wrong.values())))):
        RobotSettings(**{"domain": "low", **wrong})  # type: ignore[arg-type]
