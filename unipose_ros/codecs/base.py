"""What differs between the networks: how people are cropped for one, and how its outputs are decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from unipose_ros.codecs.instances import OwnPoints
from unipose_ros.config import DetectionConfig
from unipose_ros.detection import Proposals
from unipose_ros.frame import RgbdFrame
from unipose_ros.joint_sets import JointSet, JointSetError, get_joint_set
from unipose_ros.networks.weights import ModelCard, WeightsError

if TYPE_CHECKING:
    from unipose_ros.lifting import Lifter

FloatArray = NDArray[np.float32]
Sample = TypeVar("Sample")


@dataclass(frozen=True, eq=False)
class JointPredictions:
    """N people with J joints, as a network predicts them, in the camera's optical frame.

    Attributes:
        positions: (N, J, 3) meters.
        scales: (N, J) Laplace's scale of a coordinate in meters.
        covariances: (N, J, 6) square meters: xx, xy, xz, yy, yz, zz.
    """

    positions: FloatArray
    scales: FloatArray
    covariances: FloatArray


@dataclass(frozen=True, eq=False)
class CodecContext:
    """What a codec may use beside its network's weights record.

    Attributes:
        people: which keypoints count as seen.
        lifter: says how far away people are, also from few depth readings or none; ``None`` where there is none.
    """

    detection: DetectionConfig = field(default_factory=DetectionConfig)
    lifter: Lifter | None = None


class CropCodec(Protocol[Sample]):
    """Crops people for one network, and decodes its outputs; :data:`NetworkSpec.codec` names its class.

    Its class takes the network's :class:`ModelCard` and a :class:`CodecContext`, and refuses a record that does
    not fit with a ``WeightsError``.

    Attributes:
        square_first_pass: whether the first pass uses squares around the detector's boxes, which are often upright
            where a person sits or lies on the floor. Codecs whose crops are squares have no use for it.
        fits_bones: whether joints are moved, within their covariances, until limbs are as long as people's. It pays
            for covariances that tell uncertain joints from certain ones.
    """

    square_first_pass: ClassVar[bool]
    fits_bones: ClassVar[bool]

    def encode(self, frame: RgbdFrame, people: Proposals, person: int, own: OwnPoints | None = None) -> Sample | None:
        """One person of the frame, cropped; ``None`` where there is too little to be a person.

        Args:
            people: with the depths of their joints.
            own: which points may be the person's own, where others stand close by; ``None`` keeps all. Codecs of
                color do without.
        """
        ...

    def dummy_input(self, people: int) -> NDArray[Any]:
        """An input of the right shape with nothing to see."""
        ...

    def collate(self, samples: Sequence[Sample]) -> NDArray[Any]:
        """The network's input of all of them."""
        ...

    def decode(self, samples: Sequence[Sample], outputs: Sequence[NDArray[Any]]) -> JointPredictions:
        """The network's outputs for all of them -> joints in the camera's frame."""
        ...


def card_integer(record: ModelCard, name: str) -> int:
    """A whole number of the network's configuration.

    Raises:
        WeightsError: the record does not have it.
    """
    value = record.config.get(name)
    if not isinstance(value, int):
        raise WeightsError(f"weights record of {record.network}: config.{name} is {value!r}; train or fetch it again")
    return value


def card_joint_set(record: ModelCard) -> JointSet:
    """The joints that a network puts out.

    Raises:
        WeightsError: the record names unknown joints, or another number than the network has.
    """
    try:
        joints = get_joint_set(record.joint_set)
    except JointSetError as error:
        raise WeightsError(f"weights record of {record.network}: {error}; train or fetch it again") from error
    if len(joints) != card_integer(record, "joints"):
        raise WeightsError(
            f"weights record of {record.network}: '{joints.name}' has {len(joints)} joints, the network "
            f"{record.config['joints']}; train or fetch it again"
        )
    return joints


#: Scales that are so many times too small are no scales.
_HIGHEST_TEMPERATURE = 1e3


def card_temperature(record: ModelCard) -> float:
    """What the learned scales are multiplied with so that they hold on data not trained on; 1 if not known.

    Raises:
        WeightsError: it is no positive number below 1000.
    """
    value: Any = record.metrics.get("temperature", 1.0)
    if not isinstance(value, (int, float)) or not 0 < value < _HIGHEST_TEMPERATURE:
        raise WeightsError(
            f"weights record of {record.network}: temperature = {value!r}: must be a positive number below "
            f"{_HIGHEST_TEMPERATURE:g}"
        )
    return float(value)
