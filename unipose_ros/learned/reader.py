"""What differs between the modalities: how people are cut out, and how the network's answers are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from unipose_ros.frame import RgbdFrame
from unipose_ros.networks.weights import WeightsError, WeightsRecord
from unipose_ros.people import Proposals
from unipose_ros.skeletons import JointSet, JointSetError, get_joint_set

FloatArray = NDArray[np.float32]
Sample = TypeVar("Sample")


@dataclass(frozen=True, eq=False)
class Joints:
    """N people with J joints, as a network says them, in the camera's optical frame.

    Attributes:
        positions: (N, J, 3) metres.
        scales: (N, J) Laplace's scale of a coordinate in metres.
        covariances: (N, J, 6) square metres: xx, xy, xz, yy, yz, zz.
    """

    positions: FloatArray
    scales: FloatArray
    covariances: FloatArray


class Reader(Protocol[Sample]):
    """Cuts people out for one network, and reads its answers."""

    def encode(self, frame: RgbdFrame, people: Proposals, person: int) -> Sample | None:
        """One person of the frame, cut out; ``None`` where there is too little to be somebody."""
        ...

    def blank(self, people: int) -> NDArray[Any]:
        """An input of the right shape with nothing to see."""
        ...

    def stack(self, samples: Sequence[Sample]) -> NDArray[Any]:
        """The network's input of all of them."""
        ...

    def read(self, samples: Sequence[Sample], outputs: Sequence[NDArray[Any]]) -> Joints:
        """The network's outputs for all of them -> joints in the camera's frame."""
        ...


def recorded(record: WeightsRecord, name: str) -> int:
    """A whole number of the network's configuration.

    Raises:
        WeightsError: the record does not have it.
    """
    value = record.config.get(name)
    if not isinstance(value, int):
        raise WeightsError(f"weights record of {record.network}: config.{name} is {value!r}; train or fetch it again")
    return value


def recorded_joints(record: WeightsRecord) -> JointSet:
    """The joints that a network puts out.

    Raises:
        WeightsError: the record names unknown joints, or another number than the network has.
    """
    try:
        joints = get_joint_set(record.joint_set)
    except JointSetError as error:
        raise WeightsError(f"weights record of {record.network}: {error}; train or fetch it again") from error
    if len(joints) != recorded(record, "joints"):
        raise WeightsError(
            f"weights record of {record.network}: '{joints.name}' has {len(joints)} joints, the network "
            f"{record.config['joints']}; train or fetch it again"
        )
    return joints


def recorded_temperature(record: WeightsRecord) -> float:
    """What the learned scales are multiplied with so that they hold on data not trained on; 1 if not known.

    Raises:
        WeightsError: it is not positive.
    """
    value = float(record.metrics.get("temperature", 1.0))
    if not (np.isfinite(value) and value > 0):
        raise WeightsError(f"weights record of {record.network}: temperature = {value}: must be positive")
    return value
