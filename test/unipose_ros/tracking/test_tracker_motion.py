from __future__ import annotations

from typing import Any

import numpy as np

from unipose_ros.joint_sets import ITOP15

HAND = ITOP15.index("left_hand")


def test_noise_of_a_standing_person_is_reduced(world: Any) -> None:
    rng = np.random.default_rng(0)
    follower = world.tracker(max_age=1.0)
    noise = rng.normal(0, 0.02, (100, 15, 3))
    estimates = [follower.update(world.seen(k / 3, world.at(0.0) + noise[k])) for k in range(100)]  # 30 Hz
    left = np.array([estimate.positions[0] for estimate in estimates[10:]]) - world.at(0.0)
    assert left.std() < 0.6 * noise[10:].std()


def test_a_runner_is_not_lagged(world: Any) -> None:
    follower = world.tracker()
    for k in range(30):
        estimate = follower.update(world.seen(k / 3, world.at(3.0 * k / 30)))  # 3 m/s at 30 Hz
    np.testing.assert_allclose(estimate.positions[0], world.at(3.0 * 29 / 30), atol=0.03)


def test_a_fast_hand_is_not_lagged(world: Any) -> None:
    follower = world.tracker()
    person = world.at(0.0)
    for k in range(30):
        follower.update(world.seen(k / 3, person))
    for k in range(30, 36):
        person = person.copy()
        person[HAND, 0] += 0.1  # 3 m/s at 30 Hz
        estimate = follower.update(world.seen(k / 3, person))
    lag = person[HAND, 0] - estimate.positions[0, HAND, 0]
    assert 0 <= lag < 0.08
    np.testing.assert_allclose(estimate.positions[0, 0], world.at(0.0)[0], atol=1e-3)


def test_without_smoothing_positions_pass_through(world: Any) -> None:
    rng = np.random.default_rng(0)
    follower = world.tracker(smoothing=0.0)
    for k in range(10):
        people = world.seen(k, world.at(0.0) + rng.normal(0, 0.02, (15, 3)))
        np.testing.assert_allclose(follower.update(people).positions, people.positions, atol=1e-6)


def test_the_input_is_left_alone(world: Any) -> None:
    follower = world.tracker()
    people = [world.seen(k, world.at(0.02 * k)) for k in range(3)]
    copies = [person.positions.copy() for person in people]
    for person in people:
        follower.update(person)
    for person, copy in zip(people, copies, strict=True):
        np.testing.assert_array_equal(person.positions, copy)
