from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from unipose_ros.frame import JointStatus, TrackState
from unipose_ros.joint_sets import ITOP15

NAN = np.nan
HAND = ITOP15.index("left_hand")
MISSING, INFERRED, MEASURED = (np.uint8(status) for status in JointStatus)
NEW, TRACKED, OCCLUDED = TrackState


# States and ages


def test_a_person_is_new_until_seen_three_times(world: Any) -> None:
    follower = world.tracker()
    results = [follower.update(world.seen(k, world.at(0.0))) for k in range(4)]
    assert [result.states[0] for result in results] == [NEW, NEW, TRACKED, TRACKED]
    assert len({result.ids for result in results}) == 1


def test_the_answer_keeps_stamp_frame_modality_and_score(world: Any) -> None:
    people = world.seen(0, world.at(0.0))
    result = world.tracker().update(people)
    assert (result.stamp_ns, result.frame_id, result.modality) == (people.stamp_ns, "camera", "lookup")
    np.testing.assert_array_equal(result.scores, people.scores)
    np.testing.assert_array_equal(result.positions, people.positions)
    np.testing.assert_array_equal(result.covariances, people.covariances)


def test_ages_come_from_stamps(world: Any) -> None:
    follower = world.tracker()
    ages = [int(follower.update(world.seen(k, world.at(0.0))).ages_ns[0]) for k in (0, 1, 2.5, 7)]
    assert ages == [0, world.FRAME_NS, round(2.5 * world.FRAME_NS), 7 * world.FRAME_NS]


def test_no_people_stay_none(world: Any) -> None:
    follower = world.tracker()
    for k in range(3):
        result = follower.update(world.seen(k))
        assert (len(result), result.ids, result.positions.shape) == (0, (), (0, 15, 3))


def test_an_unconfirmed_person_who_is_missed_is_not_shown_but_keeps_the_id(world: Any) -> None:
    follower = world.tracker()
    (first,) = follower.update(world.seen(0, world.at(0.0))).ids
    assert len(follower.update(world.seen(1))) == 0
    again = follower.update(world.seen(2, world.at(0.0)))
    assert (again.ids, list(again.states)) == ((first,), [NEW])


def test_people_come_in_the_order_they_appeared(world: Any) -> None:
    follower = world.tracker(confirm_hits=1)
    (first,) = follower.update(world.seen(0, world.at(0.0))).ids
    second = follower.update(world.seen(1, world.at(2.0), world.at(0.0))).ids
    assert second[0] == first
    assert follower.update(world.seen(2, world.at(2.0), world.at(0.0))).ids == second


# Not seen


def test_an_occluded_person_is_predicted_with_fading_certainty_until_max_age(world: Any) -> None:
    follower = world.tracker(max_age=0.45)
    before = world.stand(follower, 5)
    results = [follower.update(world.seen(k)) for k in range(5, 11)]
    assert [len(result) for result in results] == [1, 1, 1, 1, 0, 0]
    hidden = results[:4]
    assert all(result.ids == before.ids and result.states[0] == OCCLUDED for result in hidden)
    assert all((result.status == INFERRED).all() for result in hidden)
    confidences = [before.confidences[0, 0], *(result.confidences[0, 0] for result in hidden)]
    assert all(later < earlier for earlier, later in pairwise(confidences))
    assert hidden[3].scores[0] < before.scores[0]
    variances = [before.covariances[0, 0, 0], *(result.covariances[0, 0, 0] for result in hidden)]
    np.testing.assert_allclose(np.diff(variances), 0.5**2 / world.HZ, rtol=1e-4)
    np.testing.assert_array_equal(hidden[3].covariances[..., [1, 2, 4]], 0)


def test_a_person_is_shown_for_less_time_than_kept(world: Any) -> None:
    follower = world.tracker(max_age=1.5, occluded_max_age=0.3)
    (first,) = world.stand(follower, 5).ids
    assert [len(follower.update(world.seen(k))) for k in range(5, 15)] == [1] * 3 + [0] * 7
    back = follower.update(world.seen(15, world.at(0.0)))
    assert (back.ids, list(back.states)) == ((first,), [TRACKED])


def test_max_age_counts_time_not_frames(world: Any) -> None:
    follower = world.tracker(max_age=0.45)
    world.stand(follower, 5)
    shown = [len(follower.update(world.seen(4 + k / 10))) for k in range(1, 50)]  # 100 Hz
    assert sum(shown) == 45


def test_an_occluded_person_goes_on_walking_and_is_found_again(world: Any) -> None:
    follower = world.tracker()
    walk = [follower.update(world.seen(k, world.at(0.1 * k))) for k in range(20)]  # 1 m/s
    hidden = follower.update(world.seen(20))
    assert hidden.positions[0, 0, 0] == pytest.approx(2.0, abs=0.03)
    for k in range(21, 25):
        follower.update(world.seen(k))
    back = follower.update(world.seen(25, world.at(2.5)))
    assert (back.ids, list(back.states)) == (walk[-1].ids, [TRACKED])


@pytest.mark.parametrize("period", [0.5, 1.0, 2.0, 2.9])
def test_everyone_keeps_the_id_at_low_rates(world: Any, period: float) -> None:
    follower = world.tracker()
    results = [
        follower.update(world.seen(k * period * world.HZ, world.at(0.3 * k), world.at(-2.0 - 0.1 * k)))
        for k in range(6)
    ]
    assert len({name for result in results for name in result.ids}) == 2
    assert [*results[-1].states] == [TRACKED, TRACKED]


def test_at_low_rates_a_person_may_be_missed_twice(world: Any) -> None:
    follower = world.tracker()
    for k in range(4):
        (first,) = follower.update(world.seen(10 * k, world.at(0.0))).ids
    assert follower.update(world.seen(40)).states.tolist() == [OCCLUDED]
    follower.update(world.seen(50))
    assert follower.update(world.seen(60, world.at(0.0))).ids == (first,)


@pytest.mark.parametrize(("missed", "same"), [(0, False), (5, True)])
def test_the_longer_unseen_the_farther_may_a_person_have_gone(world: Any, missed: int, same: bool) -> None:
    follower = world.tracker()
    (first,) = world.stand(follower, 5).ids
    for k in range(5, 5 + missed):
        follower.update(world.seen(k))
    result = follower.update(world.seen(5 + missed, world.at(0.9)))
    assert (result.ids == (first,)) is same


def test_a_prediction_slows_down(world: Any) -> None:
    follower = world.tracker(max_age=5.0, occluded_max_age=5.0, velocity_decay=0.2)
    for k in range(20):
        follower.update(world.seen(k, world.at(0.1 * k)))
    far = [follower.update(world.seen(k)).positions[0, 0, 0] for k in range(20, 60)]
    # 1 m/s: whole in the first frame without sight, from then on dying away with 0.2 s.
    assert far[-1] == pytest.approx(1.9 + 0.1 + 0.2, abs=0.01)


def test_another_onewhere_is_another_one(world: Any) -> None:
    follower = world.tracker()
    (first,) = world.stand(follower, 5).ids
    result = follower.update(world.seen(5, world.at(1.0)))
    assert result.ids[0] == first
    assert result.ids[1] != first
    assert list(result.states) == [OCCLUDED, NEW]


# Joints that are missing


def test_a_missing_joint_is_predicted_for_a_short_time_then_missing(world: Any) -> None:
    follower = world.tracker(joint_max_age=0.2)
    world.stand(follower, 5)
    results = [follower.update(world.seen(k, world.without(world.at(0.0), HAND))) for k in range(5, 9)]
    assert [result.status[0, HAND] for result in results] == [INFERRED, INFERRED, MISSING, MISSING]
    assert all(result.states[0] == TRACKED for result in results)
    np.testing.assert_allclose(results[1].positions[0, HAND], world.at(0.0)[HAND], atol=1e-6)
    assert 0 < results[1].confidences[0, HAND] < results[0].confidences[0, HAND] < 0.8
    assert np.isnan(results[2].positions[0, HAND]).all()
    assert results[2].confidences[0, HAND] == 0
    others = np.arange(15) != HAND
    assert (results[3].status[0, others] == MEASURED).all()


def test_a_held_joint_moves_with_the_body(world: Any) -> None:
    follower = world.tracker()
    for k in range(20):
        follower.update(world.seen(k, world.at(0.1 * k)))
    result = follower.update(world.seen(20, world.without(world.at(2.0), HAND)))
    np.testing.assert_allclose(result.positions[0, HAND], world.at(2.0)[HAND], atol=0.03)


def test_a_joint_comes_back_where_it_is_seen(world: Any) -> None:
    follower = world.tracker(joint_max_age=0.0)
    world.stand(follower, 5)
    assert follower.update(world.seen(5, world.without(world.at(0.0), HAND))).status[0, HAND] == MISSING
    moved = world.at(0.0)
    moved[HAND] += 0.1
    result = follower.update(world.seen(6, moved))
    np.testing.assert_allclose(result.positions[0, HAND], moved[HAND], atol=1e-6)


def test_a_joint_never_seen_is_missing_also_while_occluded(world: Any) -> None:
    follower = world.tracker()
    for k in range(4):
        result = follower.update(world.seen(k, world.without(world.at(0.0), HAND)))
        assert result.status[0, HAND] == MISSING
    hidden = follower.update(world.seen(4))
    assert hidden.status[0, HAND] == MISSING
    assert np.isnan(hidden.positions[0, HAND]).all()


def test_the_estimators_own_inference_stays_marked(world: Any) -> None:
    people = world.seen(0, world.at(0.0))
    people.status[0, HAND] = INFERRED
    assert world.tracker().update(people).status[0, HAND] == INFERRED


def test_no_published_joint_is_half_missing_or_infinite(world: Any) -> None:
    person = world.at(0.0)
    person[HAND, 1] = np.inf
    person[0, 2] = NAN
    people = world.seen(0, person)
    people.status[:] = MEASURED  # the estimator lies
    people.confidences[:] = 0.8
    result = world.tracker().update(people)
    for joint in (HAND, 0):
        assert np.isnan(result.positions[0, joint]).all()
        assert (result.status[0, joint], result.confidences[0, joint]) == (MISSING, 0)


# Covariances


def test_covariances_are_none_only_when_no_people_has_one(world: Any) -> None:
    follower = world.tracker()
    assert follower.update(world.seen(0, world.at(0.0), covariance=None)).covariances is None
    follower = world.tracker()
    world.stand(follower, 5)
    hidden = follower.update(world.seen(5, covariance=None))  # an empty frame brings no covariances
    assert hidden.covariances is not None
    assert np.isfinite(hidden.covariances).all()
