"""What the depth image says about people whose pose is known already but for its place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera
from unipose_ros.lookup import body
from unipose_ros.lookup.patches import find_surfaces
from unipose_ros.skeletons import ITOP15

FloatArray = NDArray[np.float64]

#: Places in ITOP15 of the 13 joints that depth is read at.
BODY_PLACES = np.array([ITOP15.landmarks.index(name) for name in body.BODY13.landmarks])
#: Metres: readings of one person agree so well on where it is, or are of something else.
_AGREE = 0.25
#: The same surface within a patch; how far around a joint depth is read; and the least radius in pixels.
_GAP, _RADIUS, _LEAST_PIXELS = 0.03, 0.05, 2.0
#: Readings more than so many standard deviations from where the picture puts the person are of something else.
_GATE = 3.0
#: However little the picture says, nobody is nearer or farther than it says by more than this part: furniture is.
_FARTHEST = 0.3


def joint_readings(
    camera: Camera,
    depth: NDArray[np.float32],
    pixels: FloatArray,
    expected: FloatArray,
    spreads: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Where joints are along z by the surfaces in front of them.

    A surface is read at each joint near where the picture alone puts it. Those that disagree with most
    of the person's others about where the whole person is are dropped: furniture, other people.

    Args:
        depth: (H, W) metres.
        pixels: (N, 13, 2) of BODY13; NaN not seen.
        expected: (N, 13) metres along z, from the picture alone.
        spreads: (N,) standard deviation in metres of the whole person's distance.

    Returns:
        (N, 15) depths of ITOP's joints in metres, NaN without a reading, and their standard deviations.
    """
    people = len(pixels)
    depths, errors = np.full((people, len(ITOP15)), np.nan), np.ones((people, len(ITOP15)))
    middle = np.nanmedian(np.where(np.isfinite(pixels[..., 0]), expected, np.nan), axis=1)
    gate = np.minimum(_GATE * spreads, _FARTHEST * middle) + _AGREE
    near, far = middle - gate, middle + gate
    radii = np.maximum(_RADIUS * np.array([camera.fx, camera.fy]) / middle[:, None], _LEAST_PIXELS)
    surfaces = find_surfaces(depth, pixels, radii, np.maximum(near, 0.05), far, _GAP)
    read = surfaces.depths[..., 0] + body.SURFACE_OFFSETS
    off = read - expected
    good = np.abs(off - _crowd(off, gate)) <= _AGREE
    depths[:, BODY_PLACES] = np.where(good, read, np.nan)
    errors[:, BODY_PLACES] = np.hypot(body.SURFACE_SPREADS, np.nan_to_num(surfaces.spreads[..., 0]))
    return depths, errors


def _crowd(off: FloatArray, gate: FloatArray) -> FloatArray:
    """(N, 1) the shift of a person that most readings agree on; NaN where none is believable."""
    close = np.abs(off) <= gate[:, None]
    agree = np.abs(off[:, :, None] - off[:, None]) <= _AGREE
    votes = np.where(close, (agree & close[:, None]).sum(axis=-1), -1)
    best = votes.argmax(axis=1)
    there = votes.max(axis=1) > 0
    # The mean of those that agree with the best; one that nobody supports counts alone.
    mates = agree[np.arange(len(off)), best] & close
    mean = np.where(mates, off, 0.0).sum(axis=1) / np.maximum(mates.sum(axis=1), 1)
    return np.where(there, mean, np.nan)[:, None]
