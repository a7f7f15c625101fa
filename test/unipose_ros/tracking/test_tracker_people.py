from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from unipose_ros.frame import JointStatus, Skeletons, TrackState, color_index
from unipose_ros.joint_sets import COCO17

NAN = np.nan
MISSING, INFERRED, MEASURED = (np.uint8(status) for status in JointStatus)
NEW, TRACKED, OCCLUDED = TrackState


# Several people


def ids_by_ground_truth(answer: Skeletons, ground_truth: dict[str, np.ndarray]) -> dict[str, str]:
    """Who is nearest to each of the true people."""
    return {
        name: answer.ids[int(np.argmin(np.linalg.norm(answer.positions[:, 8] - person[8], axis=-1)))]
        for name, person in ground_truth.items()
    }


def test_people_in_view_have_colors_of_their_own_also_while_some_come_and_go(world: Any) -> None:
    follower = world.tracker(confirm_hits=1, max_age=0.2)
    places = [world.at(1.5 * place) for place in range(6)]
    seen = set()
    for k in range(120):
        # Each leaves for 6 of 30 frames, in turn: longer than tracks are kept.
        people = [person for n, person in enumerate(places) if (k + 5 * n) % 30 >= 6]
        ids = follower.update(world.seen(k, *people)).ids
        assert len(set(map(color_index, ids))) == len(ids)
        seen.update(ids)
    assert len(seen) > 20


@pytest.mark.parametrize("separation", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("hidden_frames", [0, 4])
def test_crossing_people_keep_their_ids(world: Any, separation: float, hidden_frames: int) -> None:
    """They pass each other at 1 m/s; the far one may be hidden by the near one meanwhile."""
    rng = np.random.default_rng(3)
    follower = world.tracker(duplicate_distance=0.05)
    meeting = 20.5
    for k in range(41):
        offset = (k - meeting) * 0.1
        ground_truth = {"near": world.at(offset, 2.5), "far": world.at(-offset, 2.5 + separation)}
        visible = dict(ground_truth)
        if abs(k - meeting) < hidden_frames / 2:
            del visible["far"]
        order = rng.permutation(list(visible))
        people = [visible[name] + rng.normal(0, 0.01, (15, 3)) for name in order]
        answer = follower.update(world.seen(k, *people))
        if k == 5:
            before = ids_by_ground_truth(answer, ground_truth)
    assert len(set(before.values())) == 2
    assert ids_by_ground_truth(answer, ground_truth) == before
    assert len(answer) == 2


@pytest.mark.parametrize("rate", [5, 10, 30])
def test_ids_survive_a_second_behind_a_person_who_comes_the_other_way(world: Any, rate: int) -> None:
    rng = np.random.default_rng(5)
    follower = world.tracker()
    for k in range(6 * rate + 1):
        time = k / rate - 3
        truth = {"near": world.at(1.2 * time, 2.5), "far": world.at(-1.2 * time, 3.2)}
        hidden = {"far"} if abs(time) < 0.51 else set()
        people = [person + rng.normal(0, 0.02, (15, 3)) for name, person in truth.items() if name not in hidden]
        answer = follower.update(world.seen(k * world.HZ / rate, *people))
        if time == -1:
            before = ids_by_ground_truth(answer, truth)
    assert len(set(before.values())) == 2
    assert ids_by_ground_truth(answer, truth) == before


def test_who_stands_in_front_is_not_taken_for_who_is_hidden_behind(world: Any) -> None:
    follower = world.tracker()
    for k in range(10):
        first = follower.update(world.seen(k, world.at(0.0, 2.5), world.at(0.0, 3.1)))
    for k in range(10, 20):
        # The one in front is seen 0.25 m nearer to the other all of a sudden.
        answer = follower.update(world.seen(k, world.at(0.0, 2.75)))
    assert answer.ids[int(np.argmax(answer.states == TRACKED))] == first.ids[0]


# Moving cameras


def pose(yaw: float, x: float = 0.0) -> np.ndarray:
    """(4, 4) a camera that is turned to the right and has driven to the side."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, 0, s, x], [0, 1, 0, 0], [-s, 0, c, 0], [0, 0, 0, 1.0]])


def test_people_stand_still_while_the_camera_turns_and_drives(world: Any) -> None:
    follower, poses = world.tracker(), [pose(0.15 * k, 0.05 * k) for k in range(15)]
    where = [np.linalg.inv(each) for each in poses]
    people = [[person @ turn[:3, :3].T + turn[:3, 3] for person in (world.at(0.0), world.at(0.8))] for turn in where]
    for k in range(10):
        answer = follower.update(world.seen(k, *people[k]), poses[k])
        if k == 3:
            before = answer.ids
    assert answer.ids == before
    np.testing.assert_allclose(answer.velocities, 0, atol=1e-3)
    for k in range(10, 14):
        # No person is seen: the predictions stay on the ground.
        answer = follower.update(world.seen(k), poses[k])
    np.testing.assert_allclose(answer.positions, people[13], atol=1e-3)


def test_without_a_pose_the_camera_stands_where_it_was(world: Any) -> None:
    follower = world.tracker()
    follower.update(world.seen(0, world.at(0.0)), pose(0.0, 5.0))
    follower.update(world.seen(1, world.at(0.0)))
    answer = follower.update(world.seen(2, world.at(0.0)), pose(0.0, 5.0))
    np.testing.assert_allclose(answer.positions[0], world.at(0.0), atol=1e-6)
    assert follower.counters["poses_missing"] == 1


def test_covariances_turn_with_the_camera(world: Any) -> None:
    people = world.seen(0, world.at(0.0))
    people.covariances[..., :] = [0.01, 0, 0, 0.02, 0, 0.09]
    follower = world.tracker(confirm_hits=1)
    follower.update(people, pose(0.0))
    answer = follower.update(world.seen(1), pose(np.pi / 2))
    variances = np.array([0.09, 0.02, 0.01]) + 0.5**2 / world.HZ
    np.testing.assert_allclose(answer.covariances[0, 0, [0, 3, 5]], variances, rtol=1e-5)


def test_the_order_of_detections_does_not_matter(world: Any) -> None:
    follower = world.tracker()
    first = follower.update(world.seen(0, world.at(0.0), world.at(1.0), world.at(2.0)))
    second = follower.update(world.seen(1, world.at(2.0), world.at(0.0), world.at(1.0)))
    assert second.ids == first.ids
    np.testing.assert_allclose(second.positions, first.positions, atol=1e-6)


def test_a_person_detected_twice_is_one_track(world: Any) -> None:
    follower = world.tracker()
    fragment = world.without(world.at(0.05), *range(9, 15))
    for k in range(5):
        answer = follower.update(world.seen(k, fragment, world.at(0.0)))
    assert len(answer) == 1
    assert (answer.status == MEASURED).all()  # the fuller of the two
    assert follower.counters["duplicates"] == 5


def test_a_person_without_any_joint_is_dropped_and_counted(world: Any) -> None:
    follower = world.tracker()
    answer = follower.update(world.seen(0, np.full((15, 3), NAN), world.at(0.0)))
    assert len(answer) == 1
    assert follower.counters["positionless"] == 1
    assert follower.counters["duplicates"] == 0


# Breaks


@pytest.mark.parametrize("step", [0.0, -1.0, -100.0])
def test_a_stamp_that_is_not_later_starts_anew(world: Any, step: float) -> None:
    follower = world.tracker()
    (first,) = world.stand(follower, 5).ids
    answer = follower.update(world.seen(4 + step, world.at(0.0)))
    assert answer.ids != (first,)
    assert (list(answer.states), list(answer.ages_ns)) == ([NEW], [0])
    assert follower.counters["time_jumps"] == 1
    assert follower.update(world.seen(5 + step, world.at(0.0))).ids == answer.ids


def test_a_long_gap_starts_anew(world: Any) -> None:
    follower = world.tracker(max_gap=0.7)
    (first,) = world.stand(follower, 5).ids
    assert follower.update(world.seen(4 + 7, world.at(0.0))).ids == (first,)
    assert follower.update(world.seen(11 + 7.1, world.at(0.0))).ids != (first,)
    assert follower.counters["gaps"] == 1


def test_another_camera_frame_starts_anew(world: Any) -> None:
    follower = world.tracker()
    (first,) = world.stand(follower, 5).ids
    answer = follower.update(replace(world.seen(5, world.at(0.0)), frame_id="other"))
    assert (answer.frame_id, answer.ids != (first,)) == ("other", True)
    assert follower.counters["frame_changes"] == 1


def test_another_joint_set_starts_anew(world: Any) -> None:
    follower = world.tracker()
    world.stand(follower, 5)
    answer = follower.update(Skeletons.empty(world.START_NS + 5 * world.FRAME_NS, "camera", "points", COCO17))
    assert answer.positions.shape == (0, 17, 3)
    assert follower.counters["joint_set_changes"] == 1


def test_reset_forgets_people_but_not_ids(world: Any) -> None:
    follower = world.tracker()
    used = set()
    for k in range(200):
        used |= set(follower.update(world.seen(k, world.at(0.0))).ids)
        follower.reset()
    assert len(used) == 200
    assert sum(follower.counters.values()) == 0


def test_a_seed_makes_runs_alike(world: Any) -> None:
    def run() -> list[tuple[str, ...]]:
        follower = world.tracker()
        return [follower.update(world.seen(k, world.at(0.0), world.at(1.0))).ids for k in range(3)]

    assert run() == run()
