"""What data sets say of a picture, in the package's own terms, and clips that can be read in any order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons, TrackState
from unipose_ros.skeletons import JointSet

#: Stamp of a clip's first frame where the data set has no clock: any time but zero, which means "no stamp".
FIRST_STAMP_NS = 1_600_000_000_000_000_000


@dataclass(frozen=True, eq=False)
class Labels2D:
    """N labelled people with J joints in one picture.

    Attributes:
        pixels: (N, J, 2) float32 (u, v), (0, 0) the centre of the first pixel; NaN without a label.
        status: (N, J) uint8 of :class:`JointStatus`: MEASURED is visible, INFERRED labelled but hidden.
        ids: N names of the people, "" where they have none.
        joint_set: names and order of the joints.

    Raises:
        ValueError: array shapes disagree.
    """

    pixels: NDArray[np.float32]
    status: NDArray[np.uint8]
    ids: tuple[str, ...]
    joint_set: JointSet

    def __post_init__(self) -> None:
        people, joints = len(self.ids), len(self.joint_set)
        for name, shape in (("pixels", (people, joints, 2)), ("status", (people, joints))):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name}: shape {getattr(self, name).shape}, expected {shape}")

    def __len__(self) -> int:
        return len(self.ids)


class IndexedClip(ABC):
    """A :class:`~unipose_training.data.clips.Clip` whose frames can be read in any order and by many workers.

    It holds paths and small tables, no open files, so that it can be sent to another process.
    """

    def __init__(self, name: str, subset: str, length: int) -> None:
        self._name, self._subset, self._length = name, subset, length

    @property
    def name(self) -> str:
        """What reports call it."""
        return self._name

    @property
    def subset(self) -> str:
        """The part of the data set that it belongs to."""
        return self._subset

    def __len__(self) -> int:
        return self._length

    @abstractmethod
    def frame_at(self, index: int) -> RgbdFrame:
        """Frame number ``index`` from 0.

        Raises:
            DataError: it cannot be read; the text names file and remedy.
        """

    def truth_at(self, index: int) -> Skeletons | None:
        """True skeletons of that frame; ``None`` when they are not known."""
        del index
        return None

    def labels_at(self, index: int) -> Labels2D | None:
        """Labelled 2D joints of that frame; ``None`` when there are none."""
        del index
        return None

    def frames(self) -> Iterator[RgbdFrame]:
        """See :meth:`Clip.frames`."""
        return (self.frame_at(index) for index in range(len(self)))

    def truth(self) -> Iterator[Skeletons]:
        """See :meth:`Clip.truth`."""
        found = (self.truth_at(index) for index in range(len(self)))
        return (skeletons for skeletons in found if skeletons is not None)

    def losses(self) -> Mapping[str, int]:
        """See :meth:`Clip.losses`."""
        return {}


def joint_status(labelled: NDArray[np.bool_], visible: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Status of joints that are labelled, and of those the ones that can be seen."""
    there = np.where(visible, JointStatus.MEASURED, JointStatus.INFERRED)
    return np.where(labelled, there, JointStatus.MISSING).astype(np.uint8)


def true_skeletons(
    stamp_ns: int,
    frame_id: str,
    positions: NDArray[np.floating],
    visible: NDArray[np.bool_],
    ids: Sequence[str],
    joint_set: JointSet,
) -> Skeletons:
    """Labelled 3D joints as skeletons.

    Args:
        positions: (N, J, 3) metres in the optical frame; NaN without a label.
        visible: (N, J) the camera sees the joint's place.
        ids: of the N people.
    """
    labelled = np.asarray(np.isfinite(positions).all(axis=-1))
    people = len(positions)
    return Skeletons(
        stamp_ns=stamp_ns,
        frame_id=frame_id,
        modality="truth",
        positions=np.where(labelled[..., None], positions, np.nan).astype(np.float32),
        confidences=labelled.astype(np.float32),
        status=joint_status(labelled, visible),
        scores=np.ones(people, np.float32),
        ids=tuple(ids),
        states=np.full(people, TrackState.TRACKED, np.uint8),
        joint_set=joint_set,
    )
