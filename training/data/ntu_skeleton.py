"""NTU RGB+D's text files of Kinect v2 skeletons (shahroudy/NTURGB-D).

frames
  bodies                                              per frame
    id clippedEdges ... leanY trackingState           per body, 10 values
    25
    x y z depthX depthY colorX colorY qw qx qy qz trackingState
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unipose_training.data.errors import DataError

_JOINTS = 25
_BODY_VALUES, _JOINT_VALUES = 10, 12
#: Kinect's trackingState of a joint that was seen; 1 is inferred, 0 not tracked.
TRACKED = 2
#: Setup, camera, performer, replication, action.
SAMPLE_NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})")
_MISSING = "NTU_RGBD_samples_with_missing_skeletons.txt"


@dataclass(frozen=True, eq=False)
class KinectBodies:
    """The N bodies that the Kinect found in a frame.

    Attributes:
        ids: of the bodies.
        joints: (N, 25, 12) the values of each joint, in the order of the file.
    """

    ids: tuple[str, ...]
    joints: NDArray[np.float64]

    @property
    def positions(self) -> NDArray[np.float64]:
        """(N, 25, 3) metres in Kinect camera space: x to the sensor's left, y up, z forward."""
        return self.joints[..., :3]

    @property
    def depth_pixels(self) -> NDArray[np.float64]:
        """(N, 25, 2) in the stored depth picture."""
        return self.joints[..., 3:5]

    @property
    def tracking(self) -> NDArray[np.int64]:
        """(N, 25) trackingState."""
        return self.joints[..., 11].astype(np.int64)


def read_skeleton_file(path: Path) -> list[KinectBodies]:
    """All frames of a ``.skeleton`` file.

    Raises:
        DataError: it is missing, ends early, or does not have the layout above.
    """
    try:
        lines = path.read_text(encoding="ascii").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: no readable skeleton file ({error}); unpack nturgb+d_skeletons again") from error
    return _Lines(path, lines).frames()


class _Lines:
    """A place in the file."""

    def __init__(self, path: Path, lines: list[str]) -> None:
        self._path, self._lines, self._next = path, lines, 0

    def frames(self) -> list[KinectBodies]:
        return [self._bodies() for _ in range(self._whole_number("frame count"))]

    def _bodies(self) -> KinectBodies:
        bodies = [self._body() for _ in range(self._whole_number("body count"))]
        joints = np.array([joints for _, joints in bodies], np.float64).reshape(-1, _JOINTS, _JOINT_VALUES)
        return KinectBodies(tuple(name for name, _ in bodies), joints)

    def _body(self) -> tuple[str, list[list[float]]]:
        name = self._values(_BODY_VALUES, "body")[0]
        count = self._whole_number("joint count")
        if count != _JOINTS:
            raise self._wrong(f"{count} joints, a Kinect v2 has {_JOINTS}")
        return name, [self._joint() for _ in range(_JOINTS)]

    def _joint(self) -> list[float]:
        values = self._values(_JOINT_VALUES, "joint")
        try:
            return [float(value) for value in values]
        except ValueError as error:
            raise self._wrong(str(error)) from error

    def _whole_number(self, what: str) -> int:
        (text,) = self._values(1, what)
        if not text.isdigit():
            raise self._wrong(f"{what} is '{text}'")
        return int(text)

    def _values(self, count: int, what: str) -> list[str]:
        line = self._lines[self._next] if self._next < len(self._lines) else ""
        self._next += 1
        values = line.split()
        if len(values) != count:
            raise self._wrong(f"{what} has {len(values)} values, expected {count}; the file ends early or is damaged")
        return values

    def _wrong(self, text: str) -> DataError:
        return DataError(f"{self._path}, line {self._next}: {text}; unpack nturgb+d_skeletons again")


def missing_skeletons(root: Path) -> frozenset[str]:
    """Names of the samples without skeletons.

    Raises:
        DataError: the list is not there; it is published beside the data set.
    """
    path = root / _MISSING
    if not path.exists():
        raise DataError(f"{path}: not found; take it from the repository shahroudy/NTURGB-D")
    words = path.read_text(encoding="utf-8", errors="replace").split()
    return frozenset(word for word in words if SAMPLE_NAME.fullmatch(word))
