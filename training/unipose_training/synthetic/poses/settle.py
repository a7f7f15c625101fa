"""Bodies laid to rest on the floor by their weight: a body that sits, kneels or lies tips until it holds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unipose_training.synthetic.poses.rotations import about_vector

Array = NDArray[np.float64]
#: Meters above the lowest point that still touch: flesh gives way.
_TOUCHING = 0.012
_STEPS, _LARGEST_STEP = 40, 4.0


def settled(vertices: Array, masses: Array) -> tuple[Array, float]:
    """Tip a rigid body about its edges until its center of mass is above what it stands on.

    Args:
        vertices: (V, 3) meters, anywhere.
        masses: (V,) weights of the vertices.

    Returns:
        (3, 3) the rotation that was needed, and its angle in degrees.
    """
    whole, points = np.eye(3), vertices.copy()
    for _ in range(_STEPS):
        center = masses @ points / masses.sum()
        low = points[:, 2].min()
        touching = points[points[:, 2] < low + _TOUCHING]
        support = _nearest_in_hull(touching[:, :2], center[:2])
        off = center[:2] - support
        distance = float(np.linalg.norm(off))
        if distance < 0.005:
            break
        # About the horizontal axis across the way from the support to the center of mass.
        axis = np.array([-off[1], off[0], 0.0]) / distance
        pivot = np.array([*support, low])
        angle = min(_first_touch(points - pivot, off / distance), _LARGEST_STEP)
        turn = about_vector(axis[None], np.array([max(angle, 0.15)]))[0]
        points = (points - pivot) @ turn.T + pivot
        whole = turn @ whole
    angle = np.degrees(np.arccos(np.clip((np.trace(whole) - 1) / 2, -1, 1)))
    return whole, float(angle)


def _first_touch(points: Array, direction: Array) -> float:
    """Degrees of tipping towards a direction until the next point touches the floor."""
    ahead, height = points[:, :2] @ direction, points[:, 2]
    falling = (ahead > 0.01) & (height > _TOUCHING)
    if not falling.any():
        return _LARGEST_STEP
    return float(np.degrees(np.arctan2(height[falling] - 0.5 * _TOUCHING, ahead[falling]).min()))


def _nearest_in_hull(points: Array, place: Array) -> Array:
    """The place in the convex hull of (N, 2) points that is nearest to a place (Frank-Wolfe: a few steps do)."""
    best = points[np.argmin(((points - place) ** 2).sum(axis=1))].copy()
    for _ in range(60):
        gradient = best - place
        corner = points[np.argmin(points @ gradient)]
        way = corner - best
        gain = -(gradient @ way)
        if gain < 1e-8:
            break
        best = best + np.clip(gain / max(way @ way, 1e-12), 0, 1) * way
    return np.asarray(best)
