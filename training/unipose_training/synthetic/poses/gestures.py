"""What arms do: raised, sideways, on the hips, pointing, behind the head, handing over and so on.

An arm is asked for by angles or by where its wrist goes, in the chest's frame as a left arm sees it (see
:mod:`~unipose_training.synthetic.poses.gestures`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_training.synthetic.poses.kinematics import about

Array = NDArray[np.float64]


# Arms over their whole range: by joint angles, or by where the hand is to be.
#
# Everything is in the frame of the chest as a left arm sees it: +x away from the body, -y forwards, z up;
# right arms are mirrored. Angles follow the globe convention of the International Society of Biomechanics (Wu
# et al. 2005): ``elevation`` 0 hangs and 180 points up, ``plane`` 0 is forwards, 90 sideways, beyond 120 backwards;
# ``rotation`` about the upper arm's own length, positive inwards; ``elbow`` 0 is straight.
#
# Ranges: American Academy of Orthopaedic Surgeons (1965): shoulder 180 up, 60 back, 45 across the chest; rotation 90
# inwards and outwards; elbow 150; wrist 80 flexed, 70 extended. The collar bone and shoulder blade follow the arm:
# up to 25 degrees upwards and 20 forwards, so that a raised arm lifts its shoulder (Ludewig et al., "Motion of the
# shoulder complex during multiplanar humeral elevation", J Bone Joint Surg 91, 2009, for the sense; the rig has one
# bone for both, so its angles are fitted to the rise of the joint by 5 to 8 cm).

ELBOW = (0.0, 150.0)
ROTATION = (-95.0, 95.0)
PLANE = (-50.0, 125.0)
#: Backwards the arm goes so far up; across the chest it is raised less than this.
BACKWARDS, ACROSS = 60.0, 140.0
WRIST = (-70.0, 80.0)


@dataclass(frozen=True, eq=False)
class Arms:
    """N arms: (N, 3, 3) turns of shoulder, upper arm, forearm and hand from hanging rest, in the chest's frame."""

    shoulder: Array
    upper: Array
    forearm: Array
    hand: Array

    def __getitem__(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Arms:
        return Arms(self.shoulder[rows], self.upper[rows], self.forearm[rows], self.hand[rows])


@dataclass(frozen=True, eq=False)
class Wrists:
    """(N,) degrees each: of hands bent towards the palm, and turned about the forearm, palm to the back positive."""

    flexion: Array
    pronation: Array


def by_angles(elevation: Array, plane: Array, rotation: Array, elbow: Array, wrists: Wrists) -> Arms:
    """Arms from (N,) degrees."""
    upper = about("z", plane) @ about("x", -elevation) @ about("z", -(plane + rotation))
    return _completed(upper, upper @ about("x", -elbow), wrists)


def by_target(target: Array, lengths: Array, pole: Array, wrists: Wrists) -> Arms:
    """Arms whose wrists reach for a place, as far as they reach.

    Args:
        target: (N, 3) meters from the shoulder's joint.
        lengths: (N, 2) meters of upper arm and forearm.
        pole: (N, 3) where the elbow is to go.
    """
    distance = np.linalg.norm(target, axis=1)
    along = target / np.maximum(distance, 1e-9)[:, None]
    a, b = lengths.T
    # The elbow neither locks nor folds up beyond its range.
    folded = np.sqrt(a**2 + b**2 + 2 * a * b * np.cos(np.radians(ELBOW[1])))
    reach = np.clip(distance, folded, 0.9995 * (a + b))
    before = (a**2 - b**2 + reach**2) / (2 * reach)
    aside = np.sqrt(np.maximum(a**2 - before**2, 0.0))
    off = pole - (pole * along).sum(axis=1, keepdims=True) * along
    # A pole along the arm says nothing: down, or back.
    spare = np.where(np.abs(along[:, 2:]) > 0.9, [[0.0, 1.0, 0.0]], [[0.0, 0.0, -1.0]])
    spare = spare - (spare * along).sum(axis=1, keepdims=True) * along
    off = np.where(np.linalg.norm(off, axis=1, keepdims=True) < 1e-3, spare, off)
    off = off / np.linalg.norm(off, axis=1, keepdims=True)
    elbow = before[:, None] * along + aside[:, None] * off
    wrist = reach[:, None] * along
    upper_z = -elbow / np.linalg.norm(elbow, axis=1, keepdims=True)
    fore_z = -(wrist - elbow) / np.linalg.norm(wrist - elbow, axis=1, keepdims=True)
    # The elbow's axis is across arm and pole; the forearm bends away from the pole.
    x = np.cross(off, along)
    x = -x / np.linalg.norm(x, axis=1, keepdims=True)
    x = x * np.where((np.cross(upper_z, fore_z) * x).sum(axis=1, keepdims=True) > 0, -1.0, 1.0)
    upper = np.stack([x, np.cross(upper_z, x), upper_z], axis=2)
    forearm = np.stack([x, np.cross(fore_z, x), fore_z], axis=2)
    return _completed(upper, forearm, wrists)


def _completed(upper: Array, forearm: Array, wrists: Wrists) -> Arms:
    # A hanging hand's palm faces the thigh.
    hand = forearm @ about("z", -wrists.pronation) @ about("y", wrists.flexion)
    return Arms(shoulders(upper), upper, forearm, hand)


def shoulders(upper: Array) -> Array:
    """(N, 3, 3) turn of the shoulder's bone that goes with an upper arm."""
    direction = -upper[:, :, 2]
    elevation = np.degrees(np.arccos(np.clip(-direction[:, 2], -1, 1)))
    up = 25 * np.clip((elevation - 40) / 130, 0, 1)
    forward = 20 * np.clip(-direction[:, 1], -0.6, 1) * np.clip(elevation / 90, 0, 1)
    return about("z", -forward) @ about("y", -up)


def angles_of(arms: Arms) -> Array:
    """(N, 4) elevation, plane, rotation and elbow of arms."""
    direction = -arms.upper[:, :, 2]
    elevation = np.degrees(np.arccos(np.clip(-direction[:, 2], -1, 1)))
    plane = np.degrees(np.arctan2(direction[:, 0], -direction[:, 1]))
    # Straight across and back through the front are told apart where no arm goes.
    plane = np.where(plane < -120, plane + 360, plane)
    turned = about("x", elevation) @ about("z", -plane) @ arms.upper
    total = -np.degrees(np.arctan2(turned[:, 1, 0], turned[:, 0, 0]))
    rotation = (total - plane + 180) % 360 - 180
    cosine = (arms.upper[:, :, 2] * arms.forearm[:, :, 2]).sum(axis=1)
    return np.stack([elevation, plane, rotation, np.degrees(np.arccos(np.clip(cosine, -1, 1)))], axis=1)


def beyond_limits(arms: Arms) -> Array:
    """(N,) degrees by which arms are beyond what a shoulder and an elbow can do; 0 within."""
    elevation, plane, rotation, elbow = angles_of(arms).T
    raised = np.clip(np.minimum(elevation, 180 - elevation) / 20, 0, 1)
    sideways = np.maximum(plane - PLANE[1], 0) * (elevation > BACKWARDS) + np.maximum(PLANE[0] - plane, 0)
    over = raised * sideways
    over = np.maximum(over, np.where(plane < -15, elevation - ACROSS, 0.0) * raised)
    # About an arm that hangs or points up only the sum of plane and rotation means anything.
    over = np.maximum(over, raised * np.maximum(np.abs(rotation) - ROTATION[1], 0))
    return np.asarray(np.maximum(over, np.maximum(elbow - ELBOW[1] - 1e-3, 0)))


Rng = np.random.Generator


@dataclass(frozen=True, eq=False)
class Landmarks:
    """What N arms find about them, in meters from the shoulder's joint.

    Attributes:
        lengths: (N, 2) of upper arm and forearm.
        head, hip, knee, other: (N, 3) middle of the head, own hip, own knee, the other shoulder.
        girth: (N, 2) half the width and half the depth of the trunk.
        towards: (N, 3) unit direction of what may be pointed at, usually the camera.
        shared: (N, 4) random numbers in [0, 1] that both arms of a body have in common.
    """

    lengths: Array
    head: Array
    hip: Array
    knee: Array
    other: Array
    girth: Array
    towards: Array
    shared: Array

    def __getitem__(self, rows: NDArray[np.int64]) -> Landmarks:
        return Landmarks(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def reach(self) -> Array:
        """(N,) meters from shoulder to wrist."""
        return np.asarray(self.lengths.sum(axis=1))


def _u(rng: Rng, n: int, low: float, high: float) -> Array:
    return rng.uniform(low, high, n)


def _wrists(
    rng: Rng, n: int, flexion: tuple[float, float] = (-15, 25), pronation: tuple[float, float] = (-30, 60)
) -> Wrists:
    return Wrists(rng.uniform(*flexion, n), rng.uniform(*pronation, n))


def _box(
    elevation: tuple[float, float],
    plane: tuple[float, float],
    rotation: tuple[float, float],
    elbow: tuple[float, float],
) -> Callable[[Rng, Landmarks], Arms]:
    def draw(rng: Rng, marks: Landmarks) -> Arms:
        n = len(marks)
        up, across, about, bent = (rng.uniform(*limits, n) for limits in (elevation, plane, rotation, elbow))
        return by_angles(up, across, about, bent, _wrists(rng, n))

    return draw


def _free(rng: Rng, marks: Landmarks) -> Arms:
    """Anywhere: directions of the upper arm evenly over the ball, as far as the shoulder goes."""
    n = len(marks)
    elevation = np.degrees(np.arccos(rng.uniform(-0.99, 0.99, n)))
    back = rng.random(n) < 0.08
    plane = np.where(back, rng.uniform(130, 200, n), rng.uniform(-45, 122, n))
    elevation = np.where(back, rng.uniform(5, 55, n), elevation)
    elbow = np.where(rng.random(n) < 0.35, rng.uniform(0, 20, n), rng.uniform(20, 145, n))
    return by_angles(elevation, plane, rng.uniform(-90, 88, n), elbow, _wrists(rng, n, (-60, 70), (-80, 90)))


def _sideways(rng: Rng, marks: Landmarks) -> Arms:
    n = len(marks)
    bent = rng.random(n) < 0.25
    elbow = np.where(bent, rng.uniform(20, 120, n), rng.uniform(0, 14, n))
    return by_angles(_u(rng, n, 60, 112), _u(rng, n, 68, 115), rng.uniform(-88, 60, n), elbow, _wrists(rng, n))


def _reaching(
    rng: Rng, marks: Landmarks, target: Array, pole: tuple[float, float, float], wrists: Wrists, swing: float = 0.3
) -> Arms:
    poles = np.array(pole) + rng.normal(0, swing, (len(marks), 3))
    return by_target(target, marks.lengths, poles, wrists)


def _akimbo(rng: Rng, marks: Landmarks) -> Arms:
    n, size = len(marks), marks.reach
    target = marks.hip + np.stack(
        [
            _u(rng, n, -0.02, 0.05) * size + marks.girth[:, 0] - 0.08,
            _u(rng, n, -0.10, 0.12) * size,
            _u(rng, n, 0.10, 0.32) * size,
        ],
        1,
    )
    return _reaching(rng, marks, target, (1.0, 0.15, 0.0), _wrists(rng, n, (20, 70), (-20, 60)), 0.28)


def _on_head(rng: Rng, marks: Landmarks) -> Arms:
    """Behind the head, or on top of it: on its outside, about a tenth of a meter from its middle."""
    n = len(marks)
    way = _unit(np.stack([_u(rng, n, 0.05, 0.7), _u(rng, n, 0.2, 1.0), _u(rng, n, -0.25, 1.1)], 1))
    target = marks.head + way * (_u(rng, n, 0.25, 0.30) * marks.reach)[:, None]
    return _reaching(rng, marks, target, (1.0, -0.1, 0.5), _wrists(rng, n, (10, 60)), 0.25)


def _face(rng: Rng, marks: Landmarks) -> Arms:
    n, size = len(marks), marks.reach
    offset = np.stack([_u(rng, n, -0.05, 0.18), _u(rng, n, -0.50, -0.26), _u(rng, n, -0.40, 0.12)], 1)
    return _reaching(
        rng, marks, marks.head + offset * size[:, None], (0.6, -0.3, -1.0), _wrists(rng, n, (0, 50), (-40, 40)), 0.35
    )


def _phone(rng: Rng, marks: Landmarks) -> Arms:
    n, size = len(marks), marks.reach
    offset = np.stack([_u(rng, n, 0.20, 0.32), _u(rng, n, -0.30, -0.10), _u(rng, n, -0.32, -0.10)], 1)
    return _reaching(
        rng, marks, marks.head + offset * size[:, None], (0.8, -0.2, -0.9), _wrists(rng, n, (0, 40), (-40, 20)), 0.35
    )


def _looked_at_phone(rng: Rng, marks: Landmarks) -> Arms:
    """Holding something before the chest to look at it or to photograph with it."""
    n, size = len(marks), marks.reach
    target = (
        marks.other / 2
        + np.stack([_u(rng, n, -0.05, 0.25), _u(rng, n, -0.85, -0.45), _u(rng, n, -0.45, 0.25)], 1) * size[:, None]
    )
    return _reaching(rng, marks, target, (0.6, 0.2, -1.0), _wrists(rng, n, (-20, 30), (-20, 60)), 0.3)


def _crossed(over: float) -> Callable[[Rng, Landmarks], Arms]:
    def draw(rng: Rng, marks: Landmarks) -> Arms:
        n, size = len(marks), marks.reach
        front = -marks.girth[:, 1] - (0.05 + over) * size
        across = marks.other[:, 0] + (0.10 + 0.10 * rng.random(n)) * size
        target = np.stack([across, front, (-0.48 + 0.12 * marks.shared[:, 0] + 0.05 * over) * size], 1)
        return _reaching(rng, marks, target, (1.0, 0.0, -0.6), _wrists(rng, n, (0, 40), (-20, 20)), 0.15)

    return draw


def _carrying(rng: Rng, marks: Landmarks) -> Arms:
    """Both hands at the sides of something before the body; see :func:`carried_width`."""
    n, size = len(marks), marks.reach
    middle = marks.other[:, 0] / 2
    target = np.stack([
        middle + carried_width(marks) / 2, -marks.girth[:, 1] - (0.28 + 0.35 * marks.shared[:, 1]) * size,
        (-0.85 + 0.75 * marks.shared[:, 2]) * size,
    ], 1)  # fmt: skip
    return _reaching(rng, marks, target, (0.6, 0.7, -0.8), _wrists(rng, n, (-10, 20), (-20, 30)), 0.15)


def carried_width(marks: Landmarks) -> Array:
    """(N,) meters between hands that carry something."""
    return np.asarray((0.35 + 0.75 * marks.shared[:, 0]) * marks.reach)


def _clasped(back: bool) -> Callable[[Rng, Landmarks], Arms]:
    def draw(rng: Rng, marks: Landmarks) -> Arms:
        n, size = len(marks), marks.reach
        depth = marks.girth[:, 1] + 0.10 * size
        down = marks.hip[:, 2] + (-0.08 + 0.55 * marks.shared[:, 0]) * size
        target = np.stack([marks.other[:, 0] / 2 + 0.07 * size, depth if back else -depth, down], 1)
        pole = (0.9, 0.6 if back else 0.3, -0.3)
        return _reaching(rng, marks, target, pole, _wrists(rng, n, (0, 40)), 0.2)

    return draw


def _pocket(rng: Rng, marks: Landmarks) -> Arms:
    n, size = len(marks), marks.reach
    target = marks.hip + np.stack(
        [
            _u(rng, n, -0.02, 0.08) * size + marks.girth[:, 0] - 0.10,
            _u(rng, n, -0.20, 0.10) * size,
            _u(rng, n, 0.02, 0.16) * size,
        ],
        1,
    )
    return _reaching(rng, marks, target, (0.7, 0.9, 0.0), _wrists(rng, n, (0, 25)), 0.25)


def _knee(rng: Rng, marks: Landmarks) -> Arms:
    n, size = len(marks), marks.reach
    offset = np.stack([_u(rng, n, -0.10, 0.10), _u(rng, n, -0.02, 0.30), _u(rng, n, 0.08, 0.26)], 1)
    return _reaching(
        rng, marks, marks.knee + offset * size[:, None], (1.0, 0.4, -0.3), _wrists(rng, n, (0, 40), (20, 80)), 0.35
    )


def _forward(rng: Rng, marks: Landmarks) -> Array:
    """(N, 3) directions about level: half of them at the camera where it is before the body."""
    n = len(marks)
    yaw, rise = rng.uniform(-0.6, 0.9, n), rng.normal(0, 0.15, n)
    ahead = np.stack([np.sin(yaw), -np.cos(yaw), rise], 1)
    at = (marks.towards[:, 1] < -0.3) & (rng.random(n) < 0.6)
    return _unit(np.where(at[:, None], marks.towards + rng.normal(0, 0.12, (n, 3)), ahead))


def _unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9))


def _hand_over(rng: Rng, marks: Landmarks) -> Arms:
    n, size = len(marks), marks.reach
    target = _forward(rng, marks) * (_u(rng, n, 0.55, 0.97) * size)[:, None]
    target[:, 2] = _u(rng, n, -0.65, 0.10) * size
    return _reaching(rng, marks, target, (0.5, 0.4, -1.0), _wrists(rng, n, (-20, 20), (-70, 20)), 0.35)


def _stop(rng: Rng, marks: Landmarks) -> Arms:
    n, size = len(marks), marks.reach
    target = _forward(rng, marks) * (_u(rng, n, 0.6, 0.99) * size)[:, None]
    target[:, 2] += _u(rng, n, -0.10, 0.30) * size
    return _reaching(rng, marks, target, (0.6, 0.3, -0.9), _wrists(rng, n, (-70, -40), (70, 100)), 0.35)


def _pointing(sign: float) -> Callable[[Rng, Landmarks], Arms]:
    """Straight arms: at the camera (1), away from it (-1), anywhere (0)."""

    def draw(rng: Rng, marks: Landmarks) -> Arms:
        n = len(marks)
        yaw, rise = rng.uniform(-0.7, 2.0, n), rng.normal(0.05, 0.35, n)
        anywhere = _unit(np.stack([np.sin(yaw), -np.cos(yaw), rise], 1))
        wanted = _unit(sign * marks.towards + rng.normal(0, 0.10, (n, 3))) if sign else anywhere
        # Who would have to point through the own back points somewhere else.
        direction = np.where((wanted[:, 1:2] > 0.45) | (wanted[:, :1] < -0.75), anywhere, wanted)
        straight = np.where(rng.random(n) < 0.8, rng.uniform(0.985, 1.0, n), rng.uniform(0.85, 0.985, n))
        target = direction * (straight * marks.reach)[:, None]
        return _reaching(rng, marks, target, (0.7, 0.4, -0.8), _wrists(rng, n, (-10, 15), (0, 80)), 0.4)

    return draw


def _embrace(rng: Rng, marks: Landmarks) -> Arms:
    """Round a person who stands before the body."""
    n, size = len(marks), marks.reach
    high = np.where(marks.shared[:, 3] < 0.5, 0.10, -0.45) + rng.uniform(-0.15, 0.15, n)
    target = np.stack(
        [marks.other[:, 0] / 2 + _u(rng, n, -0.05, 0.25) * size, -_u(rng, n, 0.62, 0.80) * size, high * size], 1
    )
    return _reaching(rng, marks, target, (1.0, -0.2, -0.3), _wrists(rng, n, (20, 60), (0, 60)), 0.15)


def _around_neighbor(rng: Rng, marks: Landmarks) -> Arms:
    """Round the shoulders of a person at one's side."""
    n, size = len(marks), marks.reach
    target = np.stack([_u(rng, n, 0.72, 0.95), _u(rng, n, 0.05, 0.30), _u(rng, n, -0.12, 0.22)], 1) * size[:, None]
    return _reaching(rng, marks, target, (0.2, 0.9, -0.6), _wrists(rng, n, (20, 60)), 0.2)


GESTURES: dict[str, Callable[[Rng, Landmarks], Arms]] = {
    "hanging": _box((3, 20), (30, 95), (-15, 40), (4, 40)), "free": _free,
    "raised": _box((118, 179), (-10, 105), (-60, 45), (0, 100)), "sideways": _sideways, "akimbo": _akimbo,
    "on_head": _on_head, "face": _face, "phone": _phone, "looked_at_phone": _looked_at_phone,
    "crossed_under": _crossed(0.0), "crossed_over": _crossed(0.10), "carrying": _carrying,
    "clasped_front": _clasped(False), "clasped_back": _clasped(True), "pocket": _pocket, "knee": _knee,
    "hand_over": _hand_over, "stop": _stop, "point_at_camera": _pointing(1.0), "point_away": _pointing(-1.0),
    "pointing": _pointing(0.0), "waving": _box((45, 118), (55, 108), (-92, -45), (35, 125)), "embrace": _embrace,
    "around_neighbor": _around_neighbor,
    "working": _box((10, 75), (-20, 75), (-40, 75), (35, 125)),
}  # fmt: skip
#: Both arms, either way round, and how often: away from the body in four of five.
PAIRS: tuple[tuple[str, str, float], ...] = (
    ("free", "free", 0.16), ("free", "hanging", 0.06), ("raised", "raised", 0.07), ("raised", "hanging", 0.05),
    ("raised", "free", 0.02), ("sideways", "sideways", 0.06), ("sideways", "hanging", 0.03), ("sideways", "free", 0.02),
    ("akimbo", "akimbo", 0.06), ("akimbo", "hanging", 0.02), ("akimbo", "free", 0.02), ("point_at_camera", "hanging",
    0.05),
    ("point_at_camera", "free", 0.02), ("point_away", "hanging", 0.02), ("pointing", "hanging", 0.05),
    ("pointing", "akimbo", 0.01), ("pointing", "pointing", 0.01), ("on_head", "on_head", 0.04), ("on_head",
    "hanging", 0.015),
    ("hand_over", "hanging", 0.04), ("hand_over", "hand_over", 0.02), ("stop", "hanging", 0.04), ("stop", "stop", 0.01),
    ("face", "hanging", 0.03), ("face", "face", 0.015), ("phone", "hanging", 0.03), ("phone", "free", 0.01),
    ("looked_at_phone", "hanging", 0.02), ("looked_at_phone", "looked_at_phone", 0.02), ("crossed_under",
    "crossed_over", 0.03),
    ("clasped_front", "clasped_front", 0.02), ("clasped_back", "clasped_back", 0.015), ("pocket", "pocket", 0.02),
    ("pocket", "hanging", 0.01), ("waving", "hanging", 0.04), ("working", "working", 0.05), ("hanging", "hanging",
    0.05),
)  # fmt: skip
#: The same for people who sit, kneel, crouches or bends.
LOW_PAIRS: tuple[tuple[str, str, float], ...] = (
    *PAIRS,
    ("knee", "knee", 0.15),
    ("knee", "free", 0.05),
    ("knee", "face", 0.04),
)
CARRYING_PAIRS: tuple[tuple[str, str, float], ...] = (("carrying", "carrying", 1.0),)
