"""Postures of everyday life, drawn by family: standing, reaching, pointing, sitting, crouching, ..."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from unipose_training.synthetic.errors import SyntheticError
from unipose_training.synthetic.variety.postures import Arm, Leg, Posture

Rng = np.random.Generator


def draw_posture(rng: Rng, family: str) -> Posture:
    """A posture of a family of :data:`FAMILIES`.

    Raises:
        SyntheticError: there is no such family.
    """
    if family not in FAMILIES:
        raise SyntheticError(f"posture family '{family}': use one of {', '.join(FAMILIES)}")
    return FAMILIES[family](rng)


def with_arms(posture: Posture, rng: Rng, family: str) -> Posture:
    """The same legs and trunk with the arms and the head of another family."""
    other = draw_posture(rng, family)
    return replace(posture, left_arm=other.left_arm, right_arm=other.right_arm, nod=other.nod, look=other.look)


def _u(rng: Rng, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def _arm(rng: Rng, elevation: tuple[float, float], plane: tuple[float, float], rotation: tuple[float, float],
         elbow: tuple[float, float]) -> Arm:  # fmt: skip
    return Arm(_u(rng, *elevation), _u(rng, *plane), _u(rng, *rotation), _u(rng, *elbow))


def _hanging(rng: Rng) -> Arm:
    return _arm(rng, (3, 16), (30, 90), (-10, 40), (4, 35))


def _standing(rng: Rng) -> Posture:
    shift = _u(rng, -6, 6)
    left, right = (
        Leg(_u(rng, -6, 10), _u(rng, 2, 9), _u(rng, 0, 15), _u(rng, 0, 10 + max(0.0, side * shift))) for side in (1, -1)
    )
    return Posture(
        pitch=_u(rng, -4, 6), lean=_u(rng, -3, 10), bend=shift, twist=_u(rng, -15, 15), nod=_u(rng, -10, 25),
        look=_u(rng, -45, 45), left_arm=_hanging(rng), right_arm=_hanging(rng), left_leg=left, right_leg=right,
    )  # fmt: skip


def _one_or_both(rng: Rng, posture: Posture, draw: Callable[[Rng], Arm], both: float) -> Posture:
    """Put an arm on a random side, or on both with that probability."""
    side = rng.random()
    if side < both:
        return replace(posture, left_arm=draw(rng), right_arm=draw(rng))
    if side < (1 + both) / 2:
        return replace(posture, left_arm=draw(rng))
    return replace(posture, right_arm=draw(rng))


def _reaching(rng: Rng) -> Posture:
    base = replace(_standing(rng), lean=_u(rng, 0, 30), twist=_u(rng, -30, 30))
    return _one_or_both(rng, base, lambda r: _arm(r, (45, 125), (-20, 60), (-30, 40), (0, 60)), 0.4)


def _pointing(rng: Rng) -> Posture:
    return _one_or_both(rng, _standing(rng), lambda r: _arm(r, (65, 130), (-35, 100), (-40, 40), (0, 12)), 0.1)


def _overhead(rng: Rng) -> Posture:
    return _one_or_both(rng, _standing(rng), lambda r: _arm(r, (135, 178), (0, 90), (-40, 30), (0, 80)), 0.6)


def _gesturing(rng: Rng) -> Posture:
    return _one_or_both(rng, _standing(rng), lambda r: _arm(r, (5, 60), (-10, 80), (-40, 75), (45, 130)), 0.7)


def _waving(rng: Rng) -> Posture:
    return _one_or_both(rng, _standing(rng), lambda r: _arm(r, (50, 110), (70, 105), (-90, -55), (40, 110)), 0.15)


def _crossed(rng: Rng) -> Posture:
    arms = [_arm(rng, (18, 35), (0, 25), (58, 80), (95, 118)) for _ in range(2)]
    return replace(_standing(rng), left_arm=arms[0], right_arm=arms[1])


def _hands_on_hips(rng: Rng) -> Posture:
    return _one_or_both(rng, _standing(rng), lambda r: _arm(r, (35, 50), (85, 110), (60, 85), (80, 105)), 0.8)


def _carrying(rng: Rng) -> Posture:
    arm = _arm(rng, (10, 30), (0, 40), (0, 35), (70, 105))
    return replace(_standing(rng), left_arm=arm, right_arm=arm, lean=_u(rng, -10, 5))


def _bending(rng: Rng) -> Posture:
    legs = [Leg(_u(rng, 5, 25), _u(rng, 2, 10), _u(rng, 0, 12), _u(rng, 5, 40)) for _ in range(2)]
    arms = [_arm(rng, (30, 95), (-10, 50), (-10, 30), (0, 50)) for _ in range(2)]
    return Posture(
        pitch=_u(rng, 10, 45), lean=_u(rng, 15, 60), twist=_u(rng, -20, 20), nod=_u(rng, -25, 15),
        look=_u(rng, -30, 30), left_arm=arms[0], right_arm=arms[1], left_leg=legs[0], right_leg=legs[1],
    )  # fmt: skip


def _sitting(rng: Rng) -> Posture:
    spread, arms = _u(rng, 0, 22), _u(rng, 0, 1)
    legs = [Leg(_u(rng, 78, 98), 0.0, spread + _u(rng, -3, 3), _u(rng, 65, 105)) for _ in range(2)]
    on_lap = [_arm(rng, (10, 40), (-5, 45), (5, 45), (40, 95)) for _ in range(2)]
    free = [_arm(rng, (5, 95), (0, 70), (-20, 50), (10, 110)) for _ in range(2)]
    left, right = on_lap if arms < 0.6 else (free[0], on_lap[1]) if arms < 0.8 else free
    return Posture(
        pitch=_u(rng, -18, 4), lean=_u(rng, 0, 30), bend=_u(rng, -8, 8), twist=_u(rng, -15, 15), nod=_u(rng, -10, 30),
        look=_u(rng, -50, 50), left_arm=left, right_arm=right, left_leg=legs[0], right_leg=legs[1],
    )  # fmt: skip


def _crouching(rng: Rng) -> Posture:
    deep = _u(rng, 0, 1)
    legs = [Leg(60 + 58 * deep + _u(rng, -6, 6), 0.0, _u(rng, 5, 30), 75 + 55 * deep + _u(rng, -6, 6)) for _ in "lr"]
    arms = [_arm(rng, (25, 90), (-10, 60), (-10, 45), (20, 100)) for _ in range(2)]
    return Posture(
        pitch=_u(rng, 5, 30), lean=_u(rng, 10, 45), twist=_u(rng, -20, 20), nod=_u(rng, -30, 15),
        look=_u(rng, -40, 40), left_arm=arms[0], right_arm=arms[1], left_leg=legs[0], right_leg=legs[1],
    )  # fmt: skip


def _anyhow(rng: Rng) -> Posture:
    """Arms anywhere in their range, trunk and legs nearly so."""
    arms = [_arm(rng, (-20, 170), (-30, 110), (-60, 70), (0, 135)) for _ in range(2)]
    legs = [Leg(_u(rng, -15, 70), _u(rng, -5, 30), _u(rng, -5, 25), _u(rng, 0, 100)) for _ in range(2)]
    return Posture(
        pitch=_u(rng, -15, 25), lean=_u(rng, -15, 40), bend=_u(rng, -25, 25), twist=_u(rng, -35, 35),
        nod=_u(rng, -30, 30), look=_u(rng, -60, 60), left_arm=arms[0], right_arm=arms[1], left_leg=legs[0],
        right_leg=legs[1],
    )  # fmt: skip


FAMILIES: dict[str, Callable[[Rng], Posture]] = {
    "standing": _standing, "reaching": _reaching, "pointing": _pointing, "overhead": _overhead,
    "gesturing": _gesturing, "waving": _waving, "crossed": _crossed, "hands_on_hips": _hands_on_hips,
    "carrying": _carrying, "bending": _bending, "sitting": _sitting, "crouching": _crouching, "anyhow": _anyhow,
}  # fmt: skip
