"""Bone lengths of people who are tracked."""

from __future__ import annotations

import numpy as np
import pytest

from unipose_ros.frame import Skeletons, TrackState
from unipose_ros.fusion.evidence import BONES, LENGTH_STDS, MEAN_LENGTHS, MIRRORED
from unipose_ros.modalities.bodies import Bodies

FRAME_NS = 33_000_000


def tracked(stamp_ns: int, *people: tuple[str, float]) -> Skeletons:
    """People by id and place to the right of the axis, 3 m away."""
    positions = np.zeros((len(people), 15, 3), np.float32)
    for number, (_, x) in enumerate(people):
        positions[number] = [x, 0.0, 3.0]
    count = len(people)
    return Skeletons(
        stamp_ns, "camera", "rgbd", positions, np.ones((count, 15), np.float32), np.full((count, 15), 2, np.uint8),
        np.ones(count, np.float32), ids=tuple(name for name, _ in people),
        states=np.full(count, TrackState.TRACKED, np.uint8), ages_ns=np.ones(count, np.int64),
    )  # fmt: skip


def watch(bodies: Bodies, lengths: np.ndarray, frames: int, std: float = 0.02, name: str = "aaaaa", x: float = 0.0,
          noise: float = 0.02, start: int = 0) -> None:  # fmt: skip
    rng = np.random.default_rng(start)
    for number in range(start, start + frames):
        stamp = 1_000_000_000 + number * FRAME_NS
        joints = np.full((1, 15, 3), [x, 0.0, 3.0])
        bodies.measured(joints, lengths + rng.normal(0, noise, (1, len(BONES))), np.full((1, len(BONES)), std), stamp)
        bodies.follow(tracked(stamp, (name, x)))


def test_strangers_are_of_the_population() -> None:
    body = Bodies().of(np.array([[0.0, 0.0, 3.0], [np.nan] * 3]))
    np.testing.assert_allclose(body.lengths, np.stack([MEAN_LENGTHS] * 2))
    np.testing.assert_allclose(body.stds, np.stack([LENGTH_STDS] * 2))
    assert (body.follows == 1).all()


@pytest.mark.parametrize("size", [0.5, 0.9, 1.2])
def test_a_body_is_learned_within_seconds(size: float) -> None:
    bodies, own = Bodies(), size * MEAN_LENGTHS
    own[1:5] *= 1.1  # long arms
    watch(bodies, own, 90, noise=0.02 * size)
    body = bodies.of(np.array([[0.05, 0.0, 3.1]]))
    np.testing.assert_allclose(body.lengths[0], own, rtol=0.06)
    assert (body.stds < 0.6 * LENGTH_STDS).all()
    assert body.follows[0] == 0
    sizes, stds = bodies.sizes_along(np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 1.0]]))
    assert sizes[0] == pytest.approx(size, rel=0.06)
    assert stds[0] < 0.07
    assert np.isnan(sizes[1])


def test_more_frames_a_second_are_not_more_knowledge() -> None:
    """Errors of successive frames are alike."""
    slow, fast = Bodies(), Bodies()
    for number in range(30):
        stamp = 1_000_000_000 + number * 10 * FRAME_NS
        lengths, stds = MEAN_LENGTHS[None], np.full((1, len(BONES)), 0.05)
        slow.measured(np.full((1, 15, 3), [0.0, 0, 3]), lengths, stds, stamp)
        slow.follow(tracked(stamp, ("aaaaa", 0.0)))
    watch(fast, MEAN_LENGTHS, 300, std=0.05, noise=0.0)
    place = np.array([[0.0, 0.0, 3.0]])
    np.testing.assert_allclose(slow.of(place).stds, fast.of(place).stds, rtol=0.15)


def test_wrong_measurements_do_not_count() -> None:
    bodies = Bodies()
    watch(bodies, MEAN_LENGTHS, 60)
    watch(bodies, 2.5 * MEAN_LENGTHS, 6, start=60)
    np.testing.assert_allclose(bodies.of(np.array([[0.0, 0.0, 3.0]])).lengths[0], MEAN_LENGTHS, rtol=0.08)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0, 0.0])
def test_what_is_no_length_is_left_out(bad: float) -> None:
    bodies = Bodies()
    watch(bodies, np.full(len(BONES), bad), 10, noise=0.0)
    watch(bodies, MEAN_LENGTHS, 10, std=np.inf, start=10)
    body = bodies.of(np.array([[0.0, 0.0, 3.0]]))
    np.testing.assert_allclose(body.lengths[0], MEAN_LENGTHS, rtol=0.01)
    np.testing.assert_allclose(body.stds[0], LENGTH_STDS)
    assert body.follows[0] == 1
    assert np.isnan(bodies.sizes_along(np.array([[0.0, 0.0, 1.0]]))[0]).all()


def test_the_other_side_is_as_long() -> None:
    bodies, own = Bodies(), MEAN_LENGTHS * 1.15
    stds = np.full((1, len(BONES)), 0.02)
    left = next(bone for bone in range(len(BONES)) if MIRRORED[bone] > bone)
    own[left], stds[0, MIRRORED[left]] = 1.3 * MEAN_LENGTHS[left], np.inf
    for number in range(100):
        stamp = 1_000_000_000 + number * FRAME_NS
        bodies.measured(np.full((1, 15, 3), [0.0, 0, 3]), own[None], stds, stamp)
        bodies.follow(tracked(stamp, ("aaaaa", 0.0)))
    body = bodies.of(np.array([[0.0, 0.0, 3.0]]))
    assert body.lengths[0, MIRRORED[left]] == pytest.approx(own[left], rel=0.03)


def test_everyone_has_a_body_of_their_own() -> None:
    bodies = Bodies()
    for number in range(60):
        stamp = 1_000_000_000 + number * FRAME_NS
        joints = np.stack([np.full((15, 3), [0.0, 0, 3]), np.full((15, 3), [1.0, 0, 3])])
        lengths = np.stack([0.8 * MEAN_LENGTHS, 1.1 * MEAN_LENGTHS])
        bodies.measured(joints, lengths, np.full((2, len(BONES)), 0.02), stamp)
        bodies.follow(tracked(stamp, ("bbbbb", 1.0), ("aaaaa", 0.0)))
    body = bodies.of(np.array([[1.0, 0.0, 3.0], [0.0, 0.0, 3.0], [4.0, 0.0, 3.0]]))
    np.testing.assert_allclose(body.lengths[0], 1.1 * MEAN_LENGTHS, rtol=0.04)
    np.testing.assert_allclose(body.lengths[1], 0.8 * MEAN_LENGTHS, rtol=0.04)
    assert body.follows.tolist() == [0, 0, 1]


def test_who_is_gone_is_forgotten() -> None:
    bodies = Bodies()
    watch(bodies, MEAN_LENGTHS, 3)
    assert len(bodies) == 1
    bodies.follow(tracked(10_000_000_000))
    assert len(bodies) == 0
    watch(bodies, MEAN_LENGTHS, 3, start=400)
    bodies.reset()
    assert len(bodies) == 0
