"""Reading depth around pixels: which surfaces are there, and how far away the person is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.compiled import compiled, compiled_part

FloatArray = NDArray[np.float64]


#: How many surfaces of a patch are told apart: a limb, what is behind it, and one more.
SURFACES = 3


def _disc(steps: int) -> FloatArray:
    """(G, 2) points of a ``steps`` x ``steps`` grid that lie within the unit disc."""
    axis = np.linspace(-1, 1, steps)
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    inside: FloatArray = points[np.linalg.norm(points, axis=1) <= 1.001]
    return inside


_DISC = _disc(9)
_DISC_WEIGHTS = np.exp(-2 * (_DISC**2).sum(axis=1))
_DISC_WEIGHTS /= _DISC_WEIGHTS.sum()
#: The same as whole numbers, whose sums are exact in single precision: equal crowds are equal, in whatever order.
_DISC_COUNTS = np.rint(2**23 * _DISC_WEIGHTS).astype(np.int64)
#: Part of the squared distance that is added to the thickness of a surface, in 1 / meters.
_NOISE = 0.002
_CROSS = np.array([[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]], np.float64)
#: (64, 2) places within the quadrilateral of shoulders and hips, away from its rim.
_TRUNK = np.stack(np.meshgrid(np.linspace(0.1, 0.9, 8), np.linspace(0.1, 0.9, 8)), axis=-1).reshape(-1, 2)
#: A person's trunk and joints mostly lie within this range of depths, in meters.
_BODY_THICKNESS = 0.5


@dataclass(frozen=True, eq=False)
class Surfaces:
    """What the patches around some pixels show, most prominent surface first.

    Attributes:
        depths: (..., SURFACES) meters along z; NaN where there is no such surface.
        fractions: (..., SURFACES) part of the patch's weight the surface covers, in [0, 1].
        stds: (..., SURFACES) standard deviation of its depths in meters.
    """

    depths: FloatArray
    fractions: FloatArray
    stds: FloatArray

    def __getitem__(self, index: slice) -> Surfaces:
        """The surfaces of some of the joints of all people."""
        return Surfaces(self.depths[:, index], self.fractions[:, index], self.stds[:, index])


def reference_depths(depth: NDArray[np.float32], trunk: FloatArray, joints: FloatArray) -> FloatArray:
    """How far away each person is: the middle of the depths that most of the body shares.

    Depth is read all over the trunk and at every joint, and the densest range of half a meter is
    taken. Holes in the trunk (dark clothes) leave the joints to decide, joints that miss the body
    are outvoted by the trunk. Among equal ranges the nearest wins: a wall is behind people.

    Args:
        trunk: (N, 4, 2) pixels of left and right shoulder, left and right hip; NaN not seen.
        joints: (N, J, 2) pixels; NaN not seen.

    Returns:
        (N,) meters; NaN where nothing was read.
    """
    crosses = joints[:, :, None] + 2 * _CROSS
    pixels = np.concatenate([_trunk_pixels(trunk), crosses.reshape(len(joints), -1, 2)], axis=1)
    ordered = np.sort(depth_at(depth, pixels), axis=1)
    return np.array([_densest_middle(row[np.isfinite(row)]) for row in ordered])


def _trunk_pixels(trunk: FloatArray) -> FloatArray:
    """(N, 4, 2) shoulders and hips -> (N, 64, 2) places between them."""
    across, down = _TRUNK[:, 0, None], _TRUNK[:, 1, None]
    top = trunk[:, None, 0] * (1 - across) + trunk[:, None, 1] * across
    bottom = trunk[:, None, 2] * (1 - across) + trunk[:, None, 3] * across
    samples: FloatArray = top * (1 - down) + bottom * down
    return samples


def _densest_middle(ordered: FloatArray) -> float:
    if len(ordered) == 0:
        return float("nan")
    counts = np.searchsorted(ordered, ordered + _BODY_THICKNESS, side="right") - np.arange(len(ordered))
    first = int(counts.argmax())
    return float(np.median(ordered[first : first + counts[first]]))


def find_surfaces(
    depth: NDArray[np.float32], pixels: FloatArray, radii: FloatArray, near: FloatArray, far: FloatArray, gap: float
) -> Surfaces:
    """The surfaces in a disc around each pixel, told apart by depth and never averaged together.

    The most prominent surface is the depth around which most of the disc's weight lies within
    ``gap``; the next one is what remains outside twice the gap. Single pixels between two surfaces
    ("flying pixels" at a silhouette) belong to neither and have no weight to form one.

    Args:
        pixels: (N, J, 2) centers; NaN gives no surface.
        radii: (N, 2) radius along u and along v in pixels.
        near, far: (N,) range of depths processed, in meters.
        gap: meters.
    """
    pixels, radii, near, far = (np.ascontiguousarray(values, np.float64) for values in (pixels, radii, near, far))
    depths, fractions, stds = _find(np.ascontiguousarray(depth), pixels, radii, near, far, gap)
    return Surfaces(depths, fractions, stds)


def find_by_numpy(
    depth: NDArray[np.float32], pixels: FloatArray, radii: FloatArray, near: FloatArray, far: FloatArray, gap: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Depths, fractions and standard deviations of :func:`find_surfaces`."""
    samples = depth_at(depth, pixels[:, :, None] + radii[:, None, None] * _DISC)
    samples[(samples < near[:, None, None]) | (samples > far[:, None, None])] = np.nan
    # Depth noise grows with the square of the distance (Khoshelham and Elberink, Sensors 2012).
    width = gap + _NOISE * ((near + far) / 2)[:, None, None] ** 2
    # float32: this is the one large array here.
    together = (np.abs(samples[..., :, None] - samples[..., None, :]) <= width[..., None]).astype(np.float32)
    found = []
    for _ in range(SURFACES):
        there = np.isfinite(samples)
        crowd = (together @ np.where(there, _DISC_COUNTS, 0).astype(np.float32)[..., None])[..., 0]
        best = np.where(there, crowd, 0).argmax(axis=-1)[..., None]
        apart = np.abs(samples - np.take_along_axis(samples, best, axis=-1))
        found.append(_moments(samples, np.where(apart <= width, _DISC_WEIGHTS, 0)))
        samples = np.where(apart <= 2 * width, np.nan, samples)
    depths, fractions, stds = (np.stack(part, axis=-1) for part in zip(*found, strict=True))
    return depths, fractions, stds


def _moments(samples: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Weighted mean over the last axis, sum of the weights, standard deviation."""
    values = np.where(weights > 0, samples, 0)
    fraction = weights.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (weights * values).sum(axis=-1) / fraction
        std = np.sqrt((weights * (values - mean[..., None]) ** 2).sum(axis=-1) / fraction)
    return mean, fraction, std


@compiled_part()
def _sample(
    depth: NDArray[np.float32], pixel: FloatArray, radii: FloatArray, near: float, far: float, samples: FloatArray
) -> None:
    """Depth in the disc around a pixel; NaN where there is none in the range."""
    height, width = depth.shape
    for k in range(len(_DISC)):
        samples[k] = math.nan
        u, v = np.rint(pixel[0] + radii[0] * _DISC[k, 0]), np.rint(pixel[1] + radii[1] * _DISC[k, 1])
        if 0 <= u < width and 0 <= v < height:  # not of NaN
            value = depth[int(v), int(u)]
            if 0 < value < math.inf and not (value < near or value > far):
                samples[k] = value


@compiled_part()
def _fullest(samples: FloatArray, width: float) -> float:
    """The depth around which most of the disc lies; NaN without any."""
    most, best = 0, math.nan
    for k in range(len(samples)):
        if samples[k] == samples[k]:
            crowd = 0
            for other in range(len(samples)):
                crowd += _DISC_COUNTS[other] if abs(samples[k] - samples[other]) <= width else 0
            if crowd > most:
                most, best = crowd, samples[k]
    return best


@compiled(
    find_by_numpy,
    "UniTuple(f8[:,:,::1],3)(f4[:,::1],f8[:,:,::1],f8[:,::1],f8[::1],f8[::1],f8)",
)
def _find(
    depth: NDArray[np.float32], pixels: FloatArray, radii: FloatArray, near: FloatArray, far: FloatArray, gap: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    people, joints = pixels.shape[0], pixels.shape[1]
    depths, stds = np.empty((people, joints, SURFACES)), np.empty((people, joints, SURFACES))
    fractions, samples = np.empty((people, joints, SURFACES)), np.empty(len(_DISC))
    for person in range(people):
        middle = (near[person] + far[person]) / 2
        width = gap + _NOISE * middle * middle
        for joint in range(joints):
            _sample(depth, pixels[person, joint], radii[person], near[person], far[person], samples)
            for surface in range(SURFACES):
                best = _fullest(samples, width)
                fraction, total, squares = 0.0, 0.0, 0.0
                for k in range(len(samples)):
                    if abs(samples[k] - best) <= width:
                        fraction += _DISC_WEIGHTS[k]
                        total += _DISC_WEIGHTS[k] * samples[k]
                mean = total / fraction
                for k in range(len(samples)):
                    apart = abs(samples[k] - best)
                    if apart <= width:
                        squares += _DISC_WEIGHTS[k] * (samples[k] - mean) ** 2
                    if apart <= 2 * width:
                        samples[k] = math.nan
                depths[person, joint, surface], fractions[person, joint, surface] = mean, fraction
                stds[person, joint, surface] = math.sqrt(squares / fraction)
    return depths, fractions, stds


# Reading a depth image near a pixel: 0, NaN, infinity and what lies outside are no reading.

#: Pixels on each side in which the nearest surface is looked for: limbs are thin and silhouettes ragged.
_WINDOW = 2


def depth_at(depth: NDArray[np.float32], pixels: NDArray[np.floating]) -> FloatArray:
    """The nearest pixel's depth at (..., 2) pixels; NaN outside the image and where none was read.

    Training reads so as well: :func:`unipose_training.losses.projection.sample_depth`.
    """
    height, width = depth.shape
    u, v = np.rint(pixels[..., 0]), np.rint(pixels[..., 1])
    # NaN compares false, so a pixel that is not a number is never inside.
    inside = (u >= 0) & (v >= 0) & (u < width) & (v < height)
    values = depth[np.where(inside, v, 0).astype(np.intp), np.where(inside, u, 0).astype(np.intp)]
    return np.where(inside & (values > 0) & (values < np.inf), values, np.nan).astype(np.float64)


def nearest_surface(depth: NDArray[np.float32], pixels: NDArray[np.intp], coverage: float = 0.0) -> FloatArray:
    """(K, 2) pixels u, v -> (K,) least depth in the 5 x 5 window around each; NaN without any reading.

    Of a pixel outside of the image, the window at the border counts.

    Args:
        coverage: fraction of a window's pixels that must have readings; NaN where fewer have.
    """
    window = np.arange(-_WINDOW, _WINDOW + 1)
    v = np.clip(pixels[:, 1, None, None] + window[:, None], 0, depth.shape[0] - 1)
    u = np.clip(pixels[:, 0, None, None] + window[None], 0, depth.shape[1] - 1)
    values = depth_at(depth, np.stack(np.broadcast_arrays(u, v), axis=-1)).reshape(len(pixels), len(window) ** 2)
    read = np.isfinite(values)
    least = np.where(read, values, np.inf).min(axis=1, initial=np.inf)
    known = np.isfinite(least) & (read.mean(axis=1) >= coverage)
    return np.asarray(np.where(known, least, np.nan))
