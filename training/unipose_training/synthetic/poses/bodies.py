"""Families of what trunk and legs do: standing, kicking, kneeling, sitting, lying and so on, many at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from unipose_training.errors import SyntheticError
from unipose_training.synthetic.poses.kinematics import COLUMNS, LEG, RANGES, TRUNK, mirrored, table, within_limits

Array = NDArray[np.float64]
Columns = dict[str, Array]
Rng = np.random.Generator
#: Thigh, shin, and ankle above the floor as fractions of the leg from hip to floor.
_THIGH, _SHIN, _ANKLE = 0.49, 0.45, 0.06


def draw_bodies(rng: Rng, family: str, count: int) -> Array:
    """(N, C) angles of a family of :data:`FAMILIES`, all within the limits of joints, half of them mirrored.

    Raises:
        SyntheticError: there is no such family.
    """
    if family not in FAMILIES:
        raise SyntheticError(f"body family '{family}': use one of {', '.join(FAMILIES)}")
    drawn = np.zeros((0, len(COLUMNS)))
    for _ in range(40):
        columns = FAMILIES[family](rng, 2 * count)
        flat = {name: _flat(columns, name) for name in ("left", "right") if f"{name}_ankle" not in columns}
        angles = table(2 * count, columns | {f"{name}_ankle": values for name, values in flat.items()})
        drawn = np.concatenate([drawn, _clipped(angles)])[: 2 * count]
        drawn = drawn[within_limits(drawn)]
        if len(drawn) >= count:
            break
    else:
        raise SyntheticError(f"body family '{family}': most of what it draws is beyond the limits of joints")
    drawn = drawn[:count]
    return np.where((rng.random(count) < 0.5)[:, None], mirrored(drawn), drawn)


def _clipped(angles: Array) -> Array:
    low, high = np.array([RANGES[name] for name in COLUMNS]).T
    # What is a little beyond is pulled in; what is far beyond stays there and is left out.
    return np.where((angles > low - 8) & (angles < high + 8), np.clip(angles, low, high), angles)


def _flat(columns: Mapping[str, Array], side: str) -> Array:
    """The ankle that puts the sole on the floor, as far as it bends."""
    return np.clip(_get(columns, f"{side}_flexion") - _get(columns, f"{side}_knee"), *LEG["ankle"])


def _get(columns: Mapping[str, Array], name: str) -> Array:
    return np.asarray(columns.get(name, 0.0), np.float64)


def _head(rng: Rng, n: int, nod: tuple[float, float] = (-15, 28), look: float = 60.0) -> Columns:
    return {
        "nod": rng.uniform(*nod, n),
        "look": look * rng.uniform(-1, 1, n) * rng.random(n),
        "tilt": rng.normal(0, 6, n),
    }


def _trunk(rng: Rng, n: int, lean: tuple[float, float] = (-4, 12), side: float = 7.0, turned: float = 15.0) -> Columns:
    return {
        "lean": rng.uniform(*lean, n), "bend": rng.normal(0, side, n).clip(-30, 30),
        "twist": rng.normal(0, turned, n).clip(-45, 45),
    }  # fmt: skip


def _leg(side: str, **values: Array | float) -> Columns:
    return {f"{side}_{name}": np.asarray(value, np.float64) for name, value in values.items()}


def _stance(rng: Rng, n: int, side: str, knee: float = 14.0) -> Columns:
    bent = rng.uniform(0, knee, n)
    return _leg(
        side, flexion=0.5 * bent + rng.normal(0, 3, n), abduction=rng.uniform(-2, 10, n), turn=rng.uniform(-4, 18,
        n), knee=bent,
    )  # fmt: skip


def _standing(rng: Rng, n: int) -> Columns:
    wide = rng.uniform(0, 22, n) * (rng.random(n) < 0.3)
    shift = rng.normal(0, 4, n)
    legs = _stance(rng, n, "left") | _stance(rng, n, "right")
    legs["left_abduction"], legs["right_abduction"] = (
        legs["left_abduction"] + wide + shift,
        legs["right_abduction"] + wide - shift,
    )
    return legs | {"pelvis": rng.normal(2, 4, n)} | _trunk(rng, n) | _head(rng, n)


def _gait(rng: Rng, n: int) -> Columns:
    """Walking and running: hips swing against each other, the swinging knee bends (Winter, "Biomechanics and Motor
    Control of Human Movement", for the size of the angles)."""
    phase, speed = rng.uniform(0, 2 * np.pi, n), rng.uniform(0, 1, n)
    columns: Columns = {}
    for side, turn in (("left", 0.0), ("right", np.pi)):
        at = phase + turn
        swing = 14 + 26 * speed
        flexion = 8 + 10 * speed + swing * np.cos(at) + rng.normal(0, 2, n)
        # The knee is bent most while the thigh comes forwards.
        knee = 8 + 12 * speed + (45 + 55 * speed) * np.clip(np.cos(at + 0.95), 0, 1) ** 2 + rng.uniform(0, 6, n)
        lifted = np.clip(flexion - knee, -20, 35)
        columns |= _leg(
            side,
            flexion=flexion,
            abduction=rng.uniform(-1, 5, n),
            turn=rng.uniform(-3, 12, n),
            knee=knee,
            ankle=0.75 * lifted,
        )
    return columns | {"pelvis": 2 + 5 * speed} | _trunk(rng, n, (-2, 14)) | _head(rng, n)


def _kick(rng: Rng, n: int) -> Columns:
    kind = rng.integers(4, size=n)
    front = _leg(
        "left",
        flexion=rng.uniform(25, 110, n),
        abduction=rng.uniform(-5, 15, n),
        turn=rng.uniform(-5, 20, n),
        knee=rng.uniform(0, 55, n),
    )
    aside = _leg(
        "left",
        flexion=rng.uniform(-5, 35, n),
        abduction=rng.uniform(25, 60, n),
        turn=rng.uniform(0, 20, n),
        knee=rng.uniform(0, 60, n),
    )
    back = _leg(
        "left",
        flexion=rng.uniform(-35, -12, n),
        abduction=rng.uniform(0, 15, n),
        turn=rng.uniform(0, 15, n),
        knee=rng.uniform(0, 90, n),
    )
    chamber = _leg(
        "left",
        flexion=rng.uniform(75, 125, n),
        abduction=rng.uniform(-5, 30, n),
        turn=rng.uniform(-5, 30, n),
        knee=rng.uniform(60, 145, n),
    )
    leg = {name: np.choose(kind, [front[name], aside[name], back[name], chamber[name]]) for name in front}
    leg["left_ankle"] = rng.uniform(-20, 50, n)
    lean = np.choose(
        kind, [rng.uniform(-20, 12, n), rng.uniform(-8, 10, n), rng.uniform(15, 55, n), rng.uniform(-15, 20, n)]
    )
    bend = np.choose(kind, [rng.normal(0, 5, n), rng.uniform(-30, 0, n), rng.normal(0, 5, n), rng.normal(0, 8, n)])
    return (
        leg
        | _stance(rng, n, "right", 25)
        | {"pelvis": np.clip(0.4 * lean, -20, 20)}
        | _trunk(rng, n)
        | {"lean": lean, "bend": bend.clip(-30, 30)}
        | _head(rng, n)
    )


def _step_over(rng: Rng, n: int) -> Columns:
    """Over things and up stairs: one foot high, or far before the other."""
    knee = rng.uniform(35, 120, n)
    flexion = np.clip(knee * rng.uniform(0.55, 1.0, n), 25, 115)
    return (
        _leg("left", flexion=flexion, abduction=rng.uniform(-4, 28, n), turn=rng.uniform(-8, 30, n), knee=knee,
        ankle=rng.uniform(-20, 30, n))
        | _stance(rng, n, "right", 35) | {"right_flexion": rng.uniform(-15, 18, n), "pelvis": rng.uniform(-4, 18, n)}
        | _trunk(rng, n, (-4, 30), 9, 18) | _head(rng, n, (-10, 40))
    )  # fmt: skip


def _knee_for_drop(drop: Array, flexion: Array) -> Array:
    """Degrees by which a knee bends so that the ankle is ``drop`` (fractions of the leg) below the hip, shin forwards
    or straight down; NaN where it cannot be."""
    cosine = (drop - _THIGH * np.cos(np.radians(flexion))) / _SHIN
    with np.errstate(invalid="ignore"):
        return np.asarray(flexion + np.degrees(np.arccos(np.where(np.abs(cosine) <= 1, cosine, np.nan))))


def _lunge(rng: Rng, n: int) -> Columns:
    front_flexion, front_knee = rng.uniform(35, 95, n), rng.uniform(40, 105, n)
    drop = _THIGH * np.cos(np.radians(front_flexion)) + _SHIN * np.cos(np.radians(front_knee - front_flexion))
    rear_flexion = rng.uniform(-30, 5, n)
    rear_knee = np.nan_to_num(_knee_for_drop(drop - 0.05, rear_flexion), nan=999.0)
    sideways = rng.random(n) < 0.35
    # Sideways the straight leg is spread as far as the bent one lowers the hip.
    straight = np.degrees(np.arccos(np.clip(drop / (_THIGH + _SHIN), 0.5, 1)))
    rear = _leg("right", flexion=np.where(sideways, rng.uniform(0, 12, n), rear_flexion),
    abduction=np.where(sideways, straight, rng.uniform(-3, 8, n)),
                turn=rng.uniform(0, 20, n), knee=np.where(sideways, rng.uniform(0, 8, n), rear_knee))  # fmt: skip
    front = _leg(
        "left",
        flexion=front_flexion,
        abduction=np.where(sideways, rng.uniform(5, 20, n), rng.uniform(-3, 10, n)),
        turn=rng.uniform(-5, 25, n),
        knee=front_knee,
    )
    return front | rear | {"pelvis": rng.uniform(0, 25, n)} | _trunk(rng, n, (-5, 40), 8, 20) | _head(rng, n)


def _half_kneeling(rng: Rng, n: int) -> Columns:
    rear = rng.uniform(-15, 25, n)
    drop = _THIGH * np.cos(np.radians(rear)) + 0.06 - _ANKLE
    front = rng.uniform(70, 115, n)
    knee = np.nan_to_num(_knee_for_drop(drop, front), nan=999.0)
    knee = np.where(rng.random(n) < 0.3, 2 * front - knee, knee)
    return (
        _leg("left", flexion=front, abduction=rng.uniform(-3, 15, n), turn=rng.uniform(-5, 30, n), knee=knee)
        | _leg("right", flexion=rear, abduction=rng.uniform(0, 12, n), turn=rng.uniform(-5, 10, n),
        knee=rear + rng.uniform(82, 95, n),
               ankle=np.where(rng.random(n) < 0.5, rng.uniform(40, 55, n), -22.0))
        | {"pelvis": rng.uniform(-5, 25, n)} | _trunk(rng, n, (-4, 45), 8, 20) | _head(rng, n)
    )  # fmt: skip


def _kneeling(rng: Rng, n: int) -> Columns:
    heels = rng.random(n) < 0.5
    columns: Columns = {}
    base = np.where(heels, rng.uniform(60, 75, n), rng.uniform(-8, 35, n))
    ankle = np.where(rng.random(n) < 0.7, rng.uniform(42, 55, n), -22.0)
    for side in ("left", "right"):
        flexion = base + rng.normal(0, 2, n)
        columns |= _leg(
            side,
            flexion=flexion,
            abduction=rng.uniform(0, 8, n),
            turn=rng.uniform(-8, 15, n),
            knee=np.minimum(flexion + rng.uniform(84, 94, n), 154),
            ankle=ankle,
        )
    return columns | {"pelvis": rng.uniform(-8, 35, n)} | _trunk(rng, n, (-4, 50), 8, 18) | _head(rng, n)


def _crouching(rng: Rng, n: int) -> Columns:
    columns: Columns = {}
    deep = rng.uniform(0, 1, n)
    wide = rng.uniform(0, 30, n)
    for side in ("left", "right"):
        flexion = 45 + 78 * deep + rng.normal(0, 4, n)
        columns |= _leg(
            side,
            flexion=flexion,
            abduction=rng.uniform(0, 6, n),
            turn=wide + rng.normal(0, 3, n),
            knee=np.clip(70 + 78 * deep + rng.normal(0, 5, n), 0, 153),
        )
    return (
        columns
        | {"pelvis": rng.uniform(0, 25, n) * (1 - 0.7 * deep)}
        | _trunk(rng, n, (5, 50), 6, 18)
        | _head(rng, n, (-35, 20))
    )


def _bending(rng: Rng, n: int) -> Columns:
    columns: Columns = {}
    knees = rng.uniform(3, 60, n)
    for side in ("left", "right"):
        columns |= _leg(
            side,
            flexion=0.55 * knees + rng.uniform(-8, 8, n),
            abduction=rng.uniform(0, 12, n),
            turn=rng.uniform(-3, 18, n),
            knee=knees + rng.normal(0, 4, n).clip(-3, 30),
        )
    aside = rng.random(n) < 0.2
    return columns | {"pelvis": np.where(aside, rng.uniform(-3, 15, n), rng.uniform(10, 70, n))} | _trunk(rng, n) | {
        "lean": np.where(aside, rng.uniform(-22, 15, n), rng.uniform(10, 70, n)),
        "bend": np.where(aside, rng.choice([-1, 1], n) * rng.uniform(15, 35, n), rng.normal(0, 8, n).clip(-30, 30)),
    } | _head(rng, n, (-35, 20))  # fmt: skip


def _seated(rng: Rng, n: int) -> Columns:
    """On chairs, sofas and stools; the seat's height follows from the legs."""
    spread = rng.uniform(0, 32, n) * rng.random(n)
    columns: Columns = {}
    base, shins = rng.uniform(72, 100, n), rng.uniform(-28, 32, n)
    for side in ("left", "right"):
        flexion = base + rng.normal(0, 3, n)
        columns |= _leg(
            side,
            flexion=flexion,
            abduction=rng.uniform(0, 3, n),
            turn=spread + rng.normal(0, 3, n),
            knee=np.clip(flexion + shins + rng.normal(0, 5, n), 15, 140),
        )
    crossed = rng.random(n)
    over, ankle_on_knee = crossed < 0.14, (crossed > 0.14) & (crossed < 0.2)
    changes = {
        "flexion": (rng.uniform(100, 115, n), rng.uniform(88, 100, n)), "turn": (rng.uniform(-14, -4, n),
        rng.uniform(20, 34, n)),
        "rotation": (rng.uniform(-5, 10, n), rng.uniform(48, 60, n)), "knee": (rng.uniform(70, 100, n),
        rng.uniform(95, 115, n)),
    }  # fmt: skip
    columns["left_rotation"] = np.zeros(n)
    for name, (crossing, resting) in changes.items():
        key = f"left_{name}"
        columns[key] = np.where(over, crossing, np.where(ankle_on_knee, resting, columns[key]))
    return columns | {"pelvis": rng.uniform(-22, 8, n)} | _trunk(rng, n, (-8, 32), 8, 16) | _head(rng, n)


def _perched(rng: Rng, n: int) -> Columns:
    """On high stools, tables and rails."""
    columns: Columns = {}
    base = rng.uniform(35, 75, n)
    for side in ("left", "right"):
        flexion = base + rng.normal(0, 6, n)
        columns |= _leg(
            side,
            flexion=flexion,
            abduction=rng.uniform(0, 6, n),
            turn=rng.uniform(-3, 25, n),
            knee=np.clip(flexion + rng.uniform(-20, 20, n), 5, 120),
        )
    return columns | {"pelvis": rng.uniform(-15, 5, n)} | _trunk(rng, n, (-8, 25), 8, 16) | _head(rng, n)


def _floor_sitting(rng: Rng, n: int) -> Columns:
    """Legs crossed, stretched, straddled, drawn up, or both to one side."""
    kind = rng.integers(6, size=n)

    def pick(*choices: Array) -> Array:
        return np.choose(kind, choices)

    def u(low: float, high: float) -> Array:
        return rng.uniform(low, high, n)

    up = u(105, 124)
    drawn = np.nan_to_num(up - (_knee_for_drop(np.full(n, 0.03), up) - up), nan=62.0)
    left = _leg(
        "left",
        flexion=pick(u(88, 105), u(80, 95), u(80, 95), up, u(85, 100), up), abduction=np.zeros(n),
        turn=pick(u(38, 52), u(0, 14), u(18, 45), u(-5, 15), u(30, 50), u(-5, 15)),
        rotation=pick(u(46, 60), u(-5, 20), u(0, 20), u(-5, 8), u(46, 60), u(-5, 8)),
        knee=pick(u(112, 138), u(0, 18), u(0, 20), drawn, u(95, 135), drawn),
        ankle=pick(u(20, 50), u(-10, 40), u(-10, 40), u(5, 35), u(20, 50), u(5, 35)),
    )  # fmt: skip
    right = _leg(
        "right",
        flexion=pick(u(88, 105), u(80, 95), u(80, 95), up + rng.normal(0, 3, n), u(80, 95), u(82, 95)),
        abduction=np.zeros(n),
        turn=pick(u(38, 52), u(0, 14), u(18, 45), u(-5, 15), u(-25, -8), u(0, 25)),
        rotation=pick(u(46, 60), u(-5, 20), u(0, 20), u(-5, 8), u(-45, -34), u(-5, 15)),
        knee=pick(u(112, 138), u(0, 18), u(0, 20), drawn + rng.normal(0, 4, n), u(85, 125), u(0, 25)),
        ankle=pick(u(20, 50), u(-10, 40), u(-10, 40), u(5, 35), u(20, 50), u(-10, 40)),
    )  # fmt: skip
    return left | right | {"pelvis": u(-32, -5)} | _trunk(rng, n, (0, 42), 7, 16) | _head(rng, n)


def _lying(rng: Rng, n: int) -> Columns:
    """On the back, on the belly, on one side; legs stretched or drawn up."""
    kind = rng.choice(3, n, p=[0.45, 0.2, 0.35])
    back, belly = kind == 0, kind == 1
    columns: Columns = {
        "tip": np.choose(kind, [np.full(n, -90.0), np.full(n, 90.0), rng.uniform(-12, 12, n)]),
        "roll": np.where(kind == 2, 90.0, 0.0),
    }
    drawn = rng.random(n) * (rng.random(n) < 0.5)
    for side in ("left", "right"):
        up = np.where(rng.random(n) < 0.6, drawn, 0.0)
        flexion = np.choose(
            kind, [50 * up + rng.uniform(0, 6, n), rng.uniform(-4, 3, n), 85 * drawn + rng.uniform(0, 25, n)]
        )
        knee = np.choose(
            kind,
            [
                2 * flexion + rng.uniform(-4, 5, n),
                rng.uniform(0, 12, n) + 70 * (rng.random(n) < 0.1),
                95 * drawn + rng.uniform(0, 35, n),
            ],
        )
        columns |= _leg(
            side, flexion=flexion, abduction=np.where(kind == 2, 0.0, rng.uniform(0, 20, n)), turn=np.zeros(n),
            rotation=np.where(kind == 2, 0.0, rng.uniform(0, 35, n)), knee=knee.clip(0, 150), ankle=np.where(belly,
            50.0, rng.uniform(10, 45, n)),
        )  # fmt: skip
    look = np.where(belly, rng.choice([-1, 1], n) * rng.uniform(45, 75, n), rng.uniform(-40, 40, n))
    return columns | {
        "pelvis": np.where(back, rng.uniform(-4, 2, n), 0.0), "lean": np.where(kind == 2, rng.uniform(0, 25, n),
        rng.uniform(-3, 5, n)),
        "bend": rng.normal(0, 5, n).clip(-15, 15), "twist": np.where(kind == 2, rng.normal(0, 10, n), rng.normal(0,
        4, n)).clip(-30, 30),
        "nod": np.where(belly, rng.uniform(-20, 0, n), rng.uniform(-5, 25, n)), "look": look, "tilt": rng.normal(0,
        6, n),
    }  # fmt: skip


def _reclining(rng: Rng, n: int) -> Columns:
    """Leaning back on the floor, on hands or elbows, and half lying on one side."""
    columns = _floor_sitting(rng, n)
    return columns | {"pelvis": rng.uniform(-40, -25, n), "lean": rng.uniform(-15, 10, n)}


def _anyhow(rng: Rng, n: int) -> Columns:
    columns: Columns = {}
    for side in ("left", "right"):
        columns |= _leg(
            side, flexion=rng.uniform(-20, 80, n), abduction=rng.uniform(-8, 35, n), turn=rng.uniform(-8, 25, n),
            rotation=rng.uniform(-15, 20, n), knee=rng.uniform(0, 110, n), ankle=rng.uniform(-15, 35, n),
        )  # fmt: skip
    return columns | {"pelvis": rng.uniform(-15, 30, n)} | _trunk(rng, n, (-18, 45), 13, 22) | _head(rng, n, (-35, 35))


FAMILIES: dict[str, Callable[[Rng, int], Columns]] = {
    "standing": _standing, "gait": _gait, "kick": _kick, "step_over": _step_over, "lunge": _lunge,
    "half_kneeling": _half_kneeling, "kneeling": _kneeling, "crouching": _crouching, "bending": _bending,
    "seated": _seated, "perched": _perched, "floor_sitting": _floor_sitting, "lying": _lying, "reclining": _reclining,
    "anyhow": _anyhow,
}  # fmt: skip
#: Families that need something to sit on.
SEATED = ("seated", "perched")
#: Families that rest on more of the body than the feet, and are laid to rest by their weight.
RESTING = ("half_kneeling", "kneeling", "floor_sitting", "lying", "reclining")
assert set(TRUNK).isdisjoint(LEG)
