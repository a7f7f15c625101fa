from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from unipose_ros.frame import JointStatus, Skeletons, TrackState
from unipose_ros.skeletons import COCO17, ITOP15
from unipose_ros.tracking import NearestTracker, TrackerConfig

NAN = np.nan
HZ = 10
FRAME_NS = 1_000_000_000 // HZ
START_NS = 1_700_000_000_000_000_000
MISSING, INFERRED, MEASURED = (np.uint8(status) for status in JointStatus)
NEW, TRACKED, OCCLUDED = TrackState

# Head to feet, facing the camera; good enough to be told from noise.
STANDING = np.array(
    [
        [0, -0.75, 0], [0, -0.5, 0], [-0.18, -0.5, 0], [0.18, -0.5, 0], [-0.3, -0.25, 0], [0.3, -0.25, 0],
        [-0.35, 0.05, -0.1], [0.35, 0.05, -0.1], [0, -0.25, 0], [-0.11, 0, 0], [0.11, 0, 0], [-0.12, 0.45, 0],
        [0.12, 0.45, 0], [-0.13, 0.9, 0.05], [0.13, 0.9, 0.05],
    ]
)  # fmt: skip
HAND = ITOP15.index("left_hand")


def at(x: float, z: float = 2.5) -> np.ndarray:
    return STANDING + np.array([x, 0.0, z])


def seen(
    frame: float, *people: np.ndarray, confidence: float | list[float] = 0.8, covariance: float | None = 0.01
) -> Skeletons:
    """The detections of a frame, counted from 0 at 10 Hz; a NaN joint is MISSING."""
    positions = np.array(people, np.float32).reshape(len(people), len(ITOP15), 3)
    given = np.isfinite(positions).all(axis=-1)
    levels = np.broadcast_to(np.reshape(confidence, (-1, 1)), given.shape) if people else np.zeros(given.shape)
    covariances = np.zeros((*given.shape, 6), np.float32)
    covariances[..., [0, 3, 5]] = covariance or 0.0
    return Skeletons(
        stamp_ns=START_NS + round(frame * FRAME_NS),
        frame_id="camera",
        modality="lookup",
        positions=positions,
        confidences=np.where(given, levels, 0).astype(np.float32),
        status=np.where(given, MEASURED, MISSING).astype(np.uint8),
        scores=np.full(len(people), 0.9, np.float32),
        covariances=None if covariance is None else covariances,
    )


def tracker(**settings: float) -> NearestTracker:
    return NearestTracker(TrackerConfig(seed=1, **settings))


def stand(follower: NearestTracker, frames: int, start: int = 0) -> Skeletons:
    """One person who stands still; the last frame's answer."""
    return [follower.update(seen(k, at(0.0))) for k in range(start, start + frames)][-1]


def without(person: np.ndarray, *joints: int) -> np.ndarray:
    person = person.copy()
    person[list(joints)] = NAN
    return person


# States and ages


def test_a_person_is_new_until_seen_three_times() -> None:
    follower = tracker()
    answers = [follower.update(seen(k, at(0.0))) for k in range(4)]
    assert [answer.states[0] for answer in answers] == [NEW, NEW, TRACKED, TRACKED]
    assert len({answer.ids for answer in answers}) == 1


def test_the_answer_keeps_stamp_frame_modality_and_score() -> None:
    people = seen(0, at(0.0))
    answer = tracker().update(people)
    assert (answer.stamp_ns, answer.frame_id, answer.modality) == (people.stamp_ns, "camera", "lookup")
    np.testing.assert_array_equal(answer.scores, people.scores)
    np.testing.assert_array_equal(answer.positions, people.positions)
    np.testing.assert_array_equal(answer.covariances, people.covariances)


def test_ages_come_from_stamps() -> None:
    follower = tracker()
    ages = [int(follower.update(seen(k, at(0.0))).ages_ns[0]) for k in (0, 1, 2.5, 7)]
    assert ages == [0, FRAME_NS, round(2.5 * FRAME_NS), 7 * FRAME_NS]


def test_nobody_stays_nobody() -> None:
    follower = tracker()
    for k in range(3):
        answer = follower.update(seen(k))
        assert (len(answer), answer.ids, answer.positions.shape) == (0, (), (0, 15, 3))


def test_an_unconfirmed_person_who_is_missed_is_not_shown_but_keeps_the_id() -> None:
    follower = tracker()
    (first,) = follower.update(seen(0, at(0.0))).ids
    assert len(follower.update(seen(1))) == 0
    again = follower.update(seen(2, at(0.0)))
    assert (again.ids, list(again.states)) == ((first,), [NEW])


def test_people_come_in_the_order_they_appeared() -> None:
    follower = tracker(confirm_hits=1)
    (first,) = follower.update(seen(0, at(0.0))).ids
    second = follower.update(seen(1, at(2.0), at(0.0))).ids
    assert second[0] == first
    assert follower.update(seen(2, at(2.0), at(0.0))).ids == second


# Not seen


def test_an_occluded_person_is_predicted_with_fading_certainty_until_max_age() -> None:
    follower = tracker(max_age=0.45)
    before = stand(follower, 5)
    answers = [follower.update(seen(k)) for k in range(5, 11)]
    assert [len(answer) for answer in answers] == [1, 1, 1, 1, 0, 0]
    hidden = answers[:4]
    assert all(answer.ids == before.ids and answer.states[0] == OCCLUDED for answer in hidden)
    assert all((answer.status == INFERRED).all() for answer in hidden)
    confidences = [before.confidences[0, 0], *(answer.confidences[0, 0] for answer in hidden)]
    assert all(later < earlier for earlier, later in pairwise(confidences))
    assert hidden[3].scores[0] < before.scores[0]
    variances = [before.covariances[0, 0, 0], *(answer.covariances[0, 0, 0] for answer in hidden)]
    np.testing.assert_allclose(np.diff(variances), 0.5**2 / HZ, rtol=1e-4)
    np.testing.assert_array_equal(hidden[3].covariances[..., [1, 2, 4]], 0)


def test_max_age_counts_time_not_frames() -> None:
    follower = tracker(max_age=0.45)
    stand(follower, 5)
    shown = [len(follower.update(seen(4 + k / 10))) for k in range(1, 50)]  # 100 Hz
    assert sum(shown) == 45


def test_an_occluded_person_goes_on_walking_and_is_found_again() -> None:
    follower = tracker()
    walk = [follower.update(seen(k, at(0.1 * k))) for k in range(20)]  # 1 m/s
    hidden = follower.update(seen(20))
    assert hidden.positions[0, 0, 0] == pytest.approx(2.0, abs=0.03)
    for k in range(21, 25):
        follower.update(seen(k))
    back = follower.update(seen(25, at(2.5)))
    assert (back.ids, list(back.states)) == (walk[-1].ids, [TRACKED])


def test_a_prediction_slows_down() -> None:
    follower = tracker(max_age=5.0, velocity_decay=0.2)
    for k in range(20):
        follower.update(seen(k, at(0.1 * k)))
    far = [follower.update(seen(k)).positions[0, 0, 0] for k in range(20, 60)]
    # 1 m/s: whole in the first frame without sight, from then on dying away with 0.2 s.
    assert far[-1] == pytest.approx(1.9 + 0.1 + 0.2, abs=0.01)


def test_somebody_elsewhere_is_somebody_else() -> None:
    follower = tracker()
    (first,) = stand(follower, 5).ids
    answer = follower.update(seen(5, at(1.0)))
    assert answer.ids[0] == first
    assert answer.ids[1] != first
    assert list(answer.states) == [OCCLUDED, NEW]


# Joints that are missing


def test_a_missing_joint_is_predicted_for_a_short_time_then_missing() -> None:
    follower = tracker(joint_hold=0.2)
    stand(follower, 5)
    answers = [follower.update(seen(k, without(at(0.0), HAND))) for k in range(5, 9)]
    assert [answer.status[0, HAND] for answer in answers] == [INFERRED, INFERRED, MISSING, MISSING]
    assert all(answer.states[0] == TRACKED for answer in answers)
    np.testing.assert_allclose(answers[1].positions[0, HAND], at(0.0)[HAND], atol=1e-6)
    assert 0 < answers[1].confidences[0, HAND] < answers[0].confidences[0, HAND] < 0.8
    assert np.isnan(answers[2].positions[0, HAND]).all()
    assert answers[2].confidences[0, HAND] == 0
    others = np.arange(15) != HAND
    assert (answers[3].status[0, others] == MEASURED).all()


def test_a_held_joint_moves_with_the_body() -> None:
    follower = tracker()
    for k in range(20):
        follower.update(seen(k, at(0.1 * k)))
    answer = follower.update(seen(20, without(at(2.0), HAND)))
    np.testing.assert_allclose(answer.positions[0, HAND], at(2.0)[HAND], atol=0.03)


def test_a_joint_comes_back_where_it_is_seen() -> None:
    follower = tracker(joint_hold=0.0)
    stand(follower, 5)
    assert follower.update(seen(5, without(at(0.0), HAND))).status[0, HAND] == MISSING
    moved = at(0.0)
    moved[HAND] += 0.1
    answer = follower.update(seen(6, moved))
    np.testing.assert_allclose(answer.positions[0, HAND], moved[HAND], atol=1e-6)


def test_a_joint_never_seen_is_missing_also_while_occluded() -> None:
    follower = tracker()
    for k in range(4):
        answer = follower.update(seen(k, without(at(0.0), HAND)))
        assert answer.status[0, HAND] == MISSING
    hidden = follower.update(seen(4))
    assert hidden.status[0, HAND] == MISSING
    assert np.isnan(hidden.positions[0, HAND]).all()


def test_the_estimators_own_inference_stays_marked() -> None:
    people = seen(0, at(0.0))
    people.status[0, HAND] = INFERRED
    assert tracker().update(people).status[0, HAND] == INFERRED


def test_no_published_joint_is_half_missing_or_infinite() -> None:
    person = at(0.0)
    person[HAND, 1] = np.inf
    person[0, 2] = NAN
    people = seen(0, person)
    people.status[:] = MEASURED  # the estimator lies
    people.confidences[:] = 0.8
    answer = tracker().update(people)
    for joint in (HAND, 0):
        assert np.isnan(answer.positions[0, joint]).all()
        assert (answer.status[0, joint], answer.confidences[0, joint]) == (MISSING, 0)


# Smoothing


def test_noise_of_a_standing_person_is_reduced() -> None:
    rng = np.random.default_rng(0)
    follower = tracker(max_age=1.0)
    noise = rng.normal(0, 0.02, (100, 15, 3))
    answers = [follower.update(seen(k / 3, at(0.0) + noise[k])) for k in range(100)]  # 30 Hz
    left = np.array([answer.positions[0] for answer in answers[10:]]) - at(0.0)
    assert left.std() < 0.6 * noise[10:].std()


def test_a_runner_is_not_lagged() -> None:
    follower = tracker()
    for k in range(30):
        answer = follower.update(seen(k / 3, at(3.0 * k / 30)))  # 3 m/s at 30 Hz
    np.testing.assert_allclose(answer.positions[0], at(3.0 * 29 / 30), atol=0.03)


def test_a_fast_hand_is_not_lagged() -> None:
    follower = tracker()
    person = at(0.0)
    for k in range(30):
        follower.update(seen(k / 3, person))
    for k in range(30, 36):
        person = person.copy()
        person[HAND, 0] += 0.1  # 3 m/s at 30 Hz
        answer = follower.update(seen(k / 3, person))
    lag = person[HAND, 0] - answer.positions[0, HAND, 0]
    assert 0 <= lag < 0.08
    np.testing.assert_allclose(answer.positions[0, 0], at(0.0)[0], atol=1e-3)


def test_without_smoothing_positions_pass_through() -> None:
    rng = np.random.default_rng(0)
    follower = tracker(smoothing=0.0)
    for k in range(10):
        people = seen(k, at(0.0) + rng.normal(0, 0.02, (15, 3)))
        np.testing.assert_allclose(follower.update(people).positions, people.positions, atol=1e-6)


def test_the_input_is_left_alone() -> None:
    follower = tracker()
    people = [seen(k, at(0.02 * k)) for k in range(3)]
    copies = [person.positions.copy() for person in people]
    for person in people:
        follower.update(person)
    for person, copy in zip(people, copies, strict=True):
        np.testing.assert_array_equal(person.positions, copy)


# Several people


def ids_by_truth(answer: Skeletons, truth: dict[str, np.ndarray]) -> dict[str, str]:
    """Who is nearest to each of the true people."""
    return {
        name: answer.ids[int(np.argmin(np.linalg.norm(answer.positions[:, 8] - person[8], axis=-1)))]
        for name, person in truth.items()
    }


@pytest.mark.parametrize("separation", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("hidden_frames", [0, 4])
def test_crossing_people_keep_their_ids(separation: float, hidden_frames: int) -> None:
    """They pass each other at 1 m/s; the far one may be hidden by the near one meanwhile."""
    rng = np.random.default_rng(3)
    follower = tracker(duplicate_distance=0.05)
    meeting = 20.5
    for k in range(41):
        offset = (k - meeting) * 0.1
        truth = {"near": at(offset, 2.5), "far": at(-offset, 2.5 + separation)}
        visible = dict(truth)
        if abs(k - meeting) < hidden_frames / 2:
            del visible["far"]
        order = rng.permutation(list(visible))
        people = [visible[name] + rng.normal(0, 0.01, (15, 3)) for name in order]
        answer = follower.update(seen(k, *people))
        if k == 5:
            before = ids_by_truth(answer, truth)
    assert len(set(before.values())) == 2
    assert ids_by_truth(answer, truth) == before
    assert len(answer) == 2


def test_the_order_of_detections_does_not_matter() -> None:
    follower = tracker()
    first = follower.update(seen(0, at(0.0), at(1.0), at(2.0)))
    second = follower.update(seen(1, at(2.0), at(0.0), at(1.0)))
    assert second.ids == first.ids
    np.testing.assert_allclose(second.positions, first.positions, atol=1e-6)


def test_a_person_detected_twice_is_one_track() -> None:
    follower = tracker()
    fragment = without(at(0.05), *range(9, 15))
    for k in range(5):
        answer = follower.update(seen(k, fragment, at(0.0)))
    assert len(answer) == 1
    assert (answer.status == MEASURED).all()  # the fuller of the two
    assert follower.counters["duplicates"] == 5


def test_a_person_without_any_joint_is_dropped_and_counted() -> None:
    follower = tracker()
    answer = follower.update(seen(0, np.full((15, 3), NAN), at(0.0)))
    assert len(answer) == 1
    assert follower.counters["positionless"] == 1
    assert follower.counters["duplicates"] == 0


# Breaks


@pytest.mark.parametrize("step", [0.0, -1.0, -100.0])
def test_a_stamp_that_is_not_later_starts_anew(step: float) -> None:
    follower = tracker()
    (first,) = stand(follower, 5).ids
    answer = follower.update(seen(4 + step, at(0.0)))
    assert answer.ids != (first,)
    assert (list(answer.states), list(answer.ages_ns)) == ([NEW], [0])
    assert follower.counters["time_jumps"] == 1
    assert follower.update(seen(5 + step, at(0.0))).ids == answer.ids


def test_a_long_gap_starts_anew() -> None:
    follower = tracker(max_age=0.7)
    (first,) = stand(follower, 5).ids
    assert follower.update(seen(4 + 7, at(0.0))).ids == (first,)
    assert follower.update(seen(11 + 7.1, at(0.0))).ids != (first,)
    assert follower.counters["gaps"] == 1


def test_another_camera_frame_starts_anew() -> None:
    follower = tracker()
    (first,) = stand(follower, 5).ids
    answer = follower.update(replace(seen(5, at(0.0)), frame_id="other"))
    assert (answer.frame_id, answer.ids != (first,)) == ("other", True)
    assert follower.counters["frame_changes"] == 1


def test_another_joint_set_starts_anew() -> None:
    follower = tracker()
    stand(follower, 5)
    answer = follower.update(Skeletons.empty(START_NS + 5 * FRAME_NS, "camera", "points", COCO17))
    assert answer.positions.shape == (0, 17, 3)
    assert follower.counters["joint_set_changes"] == 1


def test_reset_forgets_people_but_not_ids() -> None:
    follower = tracker()
    used = set()
    for k in range(200):
        used |= set(follower.update(seen(k, at(0.0))).ids)
        follower.reset()
    assert len(used) == 200
    assert sum(follower.counters.values()) == 0


def test_a_seed_makes_runs_alike() -> None:
    def run() -> list[tuple[str, ...]]:
        follower = tracker()
        return [follower.update(seen(k, at(0.0), at(1.0))).ids for k in range(3)]

    assert run() == run()


# Covariances


def test_covariances_are_none_only_when_nobody_has_one() -> None:
    follower = tracker()
    assert follower.update(seen(0, at(0.0), covariance=None)).covariances is None
    follower = tracker()
    stand(follower, 5)
    hidden = follower.update(seen(5, covariance=None))  # an empty frame brings no covariances
    assert hidden.covariances is not None
    assert np.isfinite(hidden.covariances).all()
