"""The depths each joint may have, and what each costs by the joint's own evidence.

A joint lies behind a surface seen at its pixel (MEASURED), or its own surface is not seen and it
may be anywhere within the body's reach (INFERRED): hidden behind what is seen, in a hole of the
depth image, or, if the keypoint misses a thin limb, even in front of the background that was hit.
Costs are negative log probabilities up to a constant.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.config import LookupConfig
from unipose_ros.geometry.body_model import SURFACE_OFFSETS
from unipose_ros.geometry.surfaces import SURFACES, Surfaces

FloatArray = NDArray[np.float64]

#: Joints are searched this far in front of and behind the trunk when their surface is not seen.
_GRID_REACH = 0.65
#: A surface that covers less of the patch than this is noise.
_LEAST_SHARE = 0.05
#: Cost of a joint that hides behind the surface seen at its pixel: the more confident the 2D
#: network is, the less likely it is hidden.
_HIDDEN = 0.5
_HIDDEN_BY_CONFIDENCE = 2.0
#: Cost of a joint in front of the surface seen at its pixel: against the free-space rule, so only
#: a keypoint beside its limb explains it.
_IN_FRONT = 5.0
#: Cost of a joint at whose pixel no depth was read.
_UNREAD = 1.0
#: Depth and offsets are not exact: this little in front of the expected joint is not "in front".
_TOLERANCE = 0.03


@dataclass(frozen=True, eq=False)
class Candidates:
    """K depths for each of N people's J joints.

    The first :data:`~unipose_ros.geometry.surfaces.SURFACES` of them lie behind a seen surface.

    Attributes:
        points: (N, J, K, 3) meters in the optical frame; anything finite where ``costs`` is inf.
        costs: (N, J, K); inf where there is no such candidate, 0 throughout for an unseen joint.
        rays: (N, J, 3) viewing rays with z = 1.
        seen: (N, J) the 2D network detects the joint.
        stds: (N, J, K) standard deviation along z in meters that the surface itself shows.
    """

    points: FloatArray
    costs: FloatArray
    rays: FloatArray
    seen: NDArray[np.bool_]
    stds: FloatArray


def make_candidates(
    rays: FloatArray,
    confidences: FloatArray,
    seen: NDArray[np.bool_],
    surfaces: Surfaces,
    references: FloatArray,
    config: LookupConfig,
) -> Candidates:
    """Candidates of all joints.

    Args:
        rays: (N, J, 3) viewing rays with z = 1, anything where not seen.
        confidences, seen: (N, J) of the keypoints.
        surfaces: (N, J, SURFACES) what the patches show.
        references: (N,) depth of the trunks in meters.
    """
    on_surface = joint_depths(rays, surfaces.depths, SURFACE_OFFSETS)
    grid = np.arange(-_GRID_REACH, _GRID_REACH + config.grid_step, config.grid_step)
    hidden = np.broadcast_to(references[:, None, None] + grid, (*seen.shape, len(grid)))
    hidden = np.maximum(hidden, 0.1)
    costs = np.concatenate([surface_costs(surfaces), _hidden_costs(hidden, on_surface, surfaces, confidences)], axis=-1)
    depths = np.concatenate([np.nan_to_num(on_surface), hidden], axis=-1)
    stds = np.zeros_like(depths)
    stds[..., :SURFACES] = np.nan_to_num(surfaces.stds)
    rays = np.where(seen[..., None], rays, 0)
    return Candidates(
        points=rays[:, :, None] * depths[..., None],
        costs=np.where(seen[..., None], costs, 0),
        rays=rays,
        seen=seen,
        stds=stds,
    )


def joint_depths(rays: FloatArray, surface_depths: FloatArray, offsets: FloatArray) -> FloatArray:
    """Depth of joints that lie ``offsets`` meters behind surfaces.

    The offset is the flesh between surface and joint, which the ray crosses: it is laid along the
    ray, not along z, so that it does not grow towards the image's border. Near the optical axis,
    where the offsets were measured, both are the same.

    Args:
        rays: (N, J, 3); surface_depths: (N, J, M) along z; offsets: (J,).
    """
    along_z = offsets / np.linalg.norm(rays, axis=-1)
    result: FloatArray = surface_depths + along_z[..., None]
    return result


def surface_costs(surfaces: Surfaces) -> FloatArray:
    """(N, J, M): surfaces that fill more of the patch are likelier; inf where there is none."""
    fractions = np.where(surfaces.fractions >= _LEAST_SHARE, surfaces.fractions, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        costs: FloatArray = -np.log(fractions / fractions.sum(axis=-1, keepdims=True))
    return np.where(fractions > 0, costs, np.inf)


def _hidden_costs(
    hidden: FloatArray, on_surface: FloatArray, surfaces: Surfaces, confidences: FloatArray
) -> FloatArray:
    real = surfaces.fractions >= _LEAST_SHARE
    nearest = np.where(real, on_surface, np.inf).min(axis=-1)[..., None]
    behind = (_HIDDEN + _HIDDEN_BY_CONFIDENCE * confidences)[..., None]
    costs = np.where(hidden >= nearest - _TOLERANCE, behind, _IN_FRONT)
    return np.where(np.isinf(nearest), _UNREAD, costs)
