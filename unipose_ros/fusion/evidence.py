"""All that is known about the joints of some people in one frame, each source with its own uncertainty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.fusion.bones import Body

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Surfaces:
    """Depths that N people's J joints would have behind the surfaces seen at their pixels.

    One of K surfaces is the joint's own skin, or all of them hide it.

    Attributes:
        slopes: (N, J, 2) x / z and y / z of the pixel at which depth was read.
        depths: (N, J, K) meters along z of the joint behind each surface; anything where there is none.
        stds: (N, J, K) standard deviation in meters.
        costs: (N, J, K) negative log probability that it is the joint's own; inf where there is no surface.
        hidden: (N, J) negative log probability that the joint is behind something else.
    """

    slopes: FloatArray
    depths: FloatArray
    stds: FloatArray
    costs: FloatArray
    hidden: FloatArray


@dataclass(frozen=True, eq=False)
class Evidence:
    """N people with J joints of ITOP, in meters in the camera's optical frame. NaN where a source says nothing.

    Attributes:
        joints: (N, J, 3) the network's.
        covariances: (N, J, 3, 3) of ``joints``, square meters.
        slopes: (N, J, 2) x / z and y / z of the viewing ray of the joint's keypoint.
        slope_stds: (N, J) their standard deviation.
        surfaces: depth under the joints' pixels.
        pose: (N, J, 3) the lifter's, from any origin and of any size.
        pose_covariances: (N, J, 3, 3) of ``pose``.
        body: the people's bone lengths.
    """

    joints: FloatArray
    covariances: FloatArray
    slopes: FloatArray
    slope_stds: FloatArray
    surfaces: Surfaces
    pose: FloatArray
    pose_covariances: FloatArray
    body: Body

    def __len__(self) -> int:
        return len(self.joints)
