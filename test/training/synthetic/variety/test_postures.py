from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unipose_training.errors import SyntheticError
from unipose_training.synthetic.motion import Motion
from unipose_training.synthetic.variety.postures import (
    FAMILIES,
    Arm,
    Leg,
    Posture,
    articulate,
    between,
    blend,
    draw_posture,
    with_arms,
    with_arms_of,
)

STRAIGHT = Arm(0, 0, 0, 0)
UPRIGHT = Posture(left_arm=STRAIGHT, right_arm=STRAIGHT, left_leg=Leg(0, 0, 0, 0), right_leg=Leg(0, 0, 0, 0))
DOWN = np.array([0.0, 0.0, -1.0])
AHEAD, LEFT, UP = np.array([0.0, -1.0, 0.0]), np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])


def hanging(motion: Motion, bone: str, pose: int = 0) -> np.ndarray:
    """Where a limb that hangs at rest points."""
    return motion.rotations[pose, motion.bones.index(bone)] @ DOWN


def arms(left: Arm, right: Arm = STRAIGHT) -> Motion:
    from dataclasses import replace

    return articulate([replace(UPRIGHT, left_arm=left, right_arm=right)] * 2, 0.1)


def test_an_upright_posture_does_not_turn_anything() -> None:
    motion = articulate([UPRIGHT, UPRIGHT], 0.1)
    np.testing.assert_allclose(motion.rotations, np.broadcast_to(np.eye(3), motion.rotations.shape), atol=1e-12)


@pytest.mark.parametrize(
    ("arm", "points"),
    [
        (Arm(90, 0, 0, 0), AHEAD),
        (Arm(90, 90, 0, 0), LEFT),
        (Arm(180, 0, 0, 0), UP),
        (Arm(0, 60, 0, 0), DOWN),
        (Arm(-45, 0, 0, 0), (DOWN - AHEAD) / np.sqrt(2)),
    ],
)
def test_where_the_left_arm_points(arm: Arm, points: np.ndarray) -> None:
    motion = arms(arm)
    np.testing.assert_allclose(hanging(motion, "LeftArm"), points, atol=1e-12)
    np.testing.assert_allclose(hanging(motion, "LeftForeArm"), points, atol=1e-12)


def test_the_right_arm_mirrors_the_left() -> None:
    motion = arms(Arm(70, 40, 20, 50), Arm(70, 40, 20, 50))
    for bone in ("Arm", "ForeArm"):
        mirrored = hanging(motion, f"Left{bone}") * [-1, 1, 1]
        np.testing.assert_allclose(hanging(motion, f"Right{bone}"), mirrored, atol=1e-12)


def test_elbow_and_turn_of_the_upper_arm() -> None:
    np.testing.assert_allclose(hanging(arms(Arm(0, 0, 0, 90)), "LeftForeArm"), AHEAD, atol=1e-12)
    # Turned inwards, the bent forearm lies across the belly.
    np.testing.assert_allclose(hanging(arms(Arm(0, 0, 90, 90)), "LeftForeArm"), -LEFT, atol=1e-12)


def test_sitting_legs() -> None:
    motion = articulate([Posture(left_leg=Leg(90, 0, 0, 90), right_leg=Leg(90, 0, 30, 90))] * 2, 0.1)
    np.testing.assert_allclose(hanging(motion, "LeftUpLeg"), AHEAD, atol=1e-12)
    np.testing.assert_allclose(hanging(motion, "LeftLeg"), DOWN, atol=1e-12)
    outward = hanging(motion, "RightUpLeg")
    assert outward[0] == pytest.approx(-np.sin(np.pi / 6))
    assert outward[2] == pytest.approx(0)


@given(st.sampled_from(sorted(FAMILIES)), st.integers(0, 2**32))
def test_every_draw_is_within_the_range_of_a_body(family: str, seed: int) -> None:
    first, second = (draw_posture(np.random.default_rng((seed, n)), family) for n in range(2))
    # The ranges are checked on construction; between two postures they hold as well.
    mixed = blend(first, second, 0.3)
    np.testing.assert_allclose(mixed.angles(), 0.7 * first.angles() + 0.3 * second.angles())


def test_a_seed_draws_the_same_again() -> None:
    once, again = (draw_posture(np.random.default_rng(4), "reaching") for _ in range(2))
    assert once == again != draw_posture(np.random.default_rng(5), "reaching")


def test_other_arms_leave_the_legs() -> None:
    seated = draw_posture(np.random.default_rng(1), "sitting")
    pointing = with_arms(seated, np.random.default_rng(2), "pointing")
    assert pointing.left_leg == seated.left_leg
    assert pointing.lean == seated.lean
    assert (pointing.left_arm, pointing.right_arm) != (seated.left_arm, seated.right_arm)


def test_from_key_to_key() -> None:
    raised = Posture(left_arm=Arm(90, 0, 0, 0))
    motion = between([UPRIGHT, raised, UPRIGHT], 5, 0.1)
    assert len(motion) == 5
    np.testing.assert_allclose(hanging(motion, "LeftArm", 0), DOWN, atol=1e-12)
    np.testing.assert_allclose(hanging(motion, "LeftArm", 2), AHEAD, atol=1e-12)
    np.testing.assert_allclose(hanging(motion, "LeftArm", 4), DOWN, atol=1e-12)


def test_arms_are_held_to_the_other_body_as_to_their_own() -> None:
    leaning = articulate([Posture(lean=60)] * 2, 0.1)
    moved = with_arms_of(leaning, arms(Arm(90, 90, 0, 0)))
    chest = leaning.rotations[0, leaning.bones.index("Spine1")]
    np.testing.assert_allclose(hanging(moved, "LeftArm"), chest @ LEFT, atol=1e-12)
    legs = leaning.bones.index("LeftUpLeg")
    np.testing.assert_array_equal(moved.rotations[:, legs], leaning.rotations[:, legs])


@pytest.mark.parametrize("make", [lambda: Arm(elbow=170), lambda: Leg(knee=-5), lambda: Posture(lean=100)])
def test_no_body_bends_so(make) -> None:
    with pytest.raises(SyntheticError, match=r"degrees: a body bends from"):
        make()


def test_an_unknown_family_is_named() -> None:
    with pytest.raises(SyntheticError, match="'flying': use one of standing"):
        draw_posture(np.random.default_rng(0), "flying")
