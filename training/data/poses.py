"""Data sets of poses without pictures: what lifting from 2D to 3D is trained and judged on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera
from unipose_ros.skeletons import JointSet
from unipose_training.data.errors import DataError


@dataclass(frozen=True, eq=False)
class PoseSequence:
    """One person seen by one camera over N frames.

    Attributes:
        name, subset: what reports call it, and the part of the data set that it belongs to.
        joint_set: J joints of both arrays.
        camera: of the pixels; ``None`` where it is not known.
        rate_hz: of the frames.
        positions: (N, J, 3) float32 metres in the optical frame; NaN where there is no truth.
        pixels: (N, J, 2) float32; NaN where there is none.
        valid: (N,) the publishers let this frame count.

    Raises:
        DataError: array shapes disagree.
    """

    name: str
    subset: str
    joint_set: JointSet
    camera: Camera | None
    rate_hz: float
    positions: NDArray[np.float32]
    pixels: NDArray[np.float32]
    valid: NDArray[np.bool_]

    def __post_init__(self) -> None:
        frames, joints = len(self.valid), len(self.joint_set)
        for name, shape in (("positions", (frames, joints, 3)), ("pixels", (frames, joints, 2))):
            array: NDArray[Any] = getattr(self, name)
            if array.shape != shape:
                raise DataError(f"{self.name}: {name} have shape {list(array.shape)}, expected {list(shape)}")

    def __len__(self) -> int:
        return len(self.valid)
