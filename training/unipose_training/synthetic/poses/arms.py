"""Arms over their whole range: by joint angles, or by where the hand is to be.

Everything is in the frame of the chest as a left arm sees it: +x away from the body, -y forwards, z up;
right arms are mirrored. Angles follow the globe convention of the International Society of Biomechanics (Wu
et al. 2005): ``elevation`` 0 hangs and 180 points up, ``plane`` 0 is forwards, 90 sideways, beyond 120 backwards;
``rotation`` about the upper arm's own length, positive inwards; ``elbow`` 0 is straight.

Ranges: American Academy of Orthopaedic Surgeons (1965): shoulder 180 up, 60 back, 45 across the chest; rotation 90
inwards and outwards; elbow 150; wrist 80 flexed, 70 extended. The collar bone and shoulder blade follow the arm:
up to 25 degrees upwards and 20 forwards, so that a raised arm lifts its shoulder (Ludewig et al., "Motion of the
shoulder complex during multiplanar humeral elevation", J Bone Joint Surg 91, 2009, for the sense; the rig has one
bone for both, so its angles are fitted to the rise of the joint by 5 to 8 cm).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_training.synthetic.poses.rotations import about

Array = NDArray[np.float64]
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
