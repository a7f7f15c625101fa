"""What a 2D teacher saw in a clip, in one file: ``NAME.keypoints.npz`` with the people of all frames.

===================  =====================================================================
``about``            JSON: version, clip, teacher (name, settings, weights_sha256), losses
``stamps_ns``        (F,) int64, of the frames that were processed
``people_starts``    (F + 1,) int64: people of frame f are rows starts[f] to starts[f + 1]
``pixels``           (P, 17, 2) float32 (u, v), (0, 0) the center of the image's first pixel
``confidences``      (P, 17) float32
``scores``           (P,) float32
``boxes``            (P, 4) float32 u0, v0, u1, v1
===================  =====================================================================
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from unipose_ros.joint_sets import COCO17
from unipose_ros.keypoints import Keypoints2D
from unipose_training.datasets.io import read_npz, write_atomic
from unipose_training.errors import DataError, reading

SUFFIX = ".keypoints.npz"
_VERSION = 1
_REMEDY = "delete it and label the clip again"
_JOINTS = len(COCO17)
#: Arrays by name: type, and shape with P for the number of people.
_PEOPLE = {"pixels": (_JOINTS, 2), "confidences": (_JOINTS,), "scores": (), "boxes": (4,)}


@dataclass(frozen=True)
class LabelerId:
    """What labeled; labels of another teacher are other labels.

    Attributes:
        name: of the network.
        settings: everything that changes its predictions, as JSON has it.
        weights_sha256: of its weights.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    weights_sha256: str = ""


@dataclass(frozen=True)
class LabelInfo:
    """What a file says of itself; see :class:`KeypointLabels`."""

    clip: str
    teacher: LabelerId
    losses: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class KeypointLabels:
    """The labels of a clip.

    Attributes:
        clip: its name.
        teacher: who labeled.
        stamps_ns: (F,) int64 of the frames that were processed, in the clip's order; not all of
            its frames need be there.
        people_starts: (F + 1,) int64.
        people: of all frames, one after the other.
        losses: what could not be processed, by reason.

    Raises:
        DataError: the arrays do not fit together.
    """

    clip: str
    teacher: LabelerId
    stamps_ns: NDArray[np.int64]
    people_starts: NDArray[np.int64]
    people: Keypoints2D
    losses: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        starts = self.people_starts
        if self.people.joint_set != COCO17:
            raise DataError(f"labels of {self.clip}: joint set {self.people.joint_set.name}; teachers give coco17")
        if starts.shape != (len(self.stamps_ns) + 1,):
            raise DataError(f"labels of {self.clip}: {len(starts)} people_starts for {len(self.stamps_ns)} frames")
        if starts[0] != 0 or starts[-1] != len(self.people) or (np.diff(starts) < 0).any():
            raise DataError(f"labels of {self.clip}: people_starts do not count {len(self.people)} people in order")

    @classmethod
    def of_frames(
        cls,
        clip: str,
        teacher: LabelerId,
        stamps_ns: Sequence[int],
        frames: Sequence[Keypoints2D],
        losses: Mapping[str, int] | None = None,
    ) -> KeypointLabels:
        """From what was seen in each frame."""
        starts = np.cumsum([0] + [len(frame) for frame in frames])
        return cls(clip, teacher, np.array(stamps_ns, np.int64), starts, _joined(frames), dict(losses or {}))

    def __len__(self) -> int:
        """How many frames were processed."""
        return len(self.stamps_ns)

    def keypoints_at(self, frame: int) -> Keypoints2D:
        """All people in the frame of that number, from 0.

        Raises:
            IndexError: there is no such frame.
        """
        if not 0 <= frame < len(self):
            raise IndexError(f"frame {frame} of {len(self)}")
        return self.people.select(np.arange(*self.people_starts[frame : frame + 2]))

    def keypoints_of(self, stamp_ns: int) -> Keypoints2D | None:
        """All people in the frame of that stamp; ``None`` when it was not processed."""
        frame = self._frames.get(stamp_ns)
        return None if frame is None else self.keypoints_at(frame)

    @cached_property
    def _frames(self) -> dict[int, int]:
        return {stamp: frame for frame, stamp in enumerate(self.stamps_ns.tolist())}


def keypoint_path(folder: Path, clip: str) -> Path:
    """Where the labels of a clip lie below a folder; other names give other places, all within it."""
    parts = [quote(part, safe=" ", errors="surrogateescape") for part in clip.split("/")]
    hidden = [f"%2E{part[1:]}" if part.startswith(".") else part or "%" for part in parts]
    return folder.joinpath(*hidden[:-1], hidden[-1] + SUFFIX)


def write_keypoints(path: Path, labels: KeypointLabels) -> None:
    """Write the file; it appears when it is complete. Equal labels give equal bytes."""
    teacher = {
        "name": labels.teacher.name,
        "settings": dict(labels.teacher.settings),
        "weights_sha256": labels.teacher.weights_sha256,
    }
    about = {"version": _VERSION, "clip": labels.clip, "teacher": teacher, "losses": dict(labels.losses)}
    people = labels.people
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        about=json.dumps(about, sort_keys=True),
        stamps_ns=labels.stamps_ns,
        people_starts=labels.people_starts,
        pixels=people.pixels,
        confidences=people.confidences,
        scores=people.scores,
        boxes=people.boxes,
    )
    write_atomic(path, buffer.getvalue())


def read_keypoints(path: Path) -> KeypointLabels:
    """Read and check a file.

    Raises:
        DataError: it is missing, damaged, or not one of :func:`write_keypoints`.
    """
    arrays = _arrays(path, None)
    about = _about(path, arrays["about"])
    stamps, starts = (_checked(path, arrays, key, np.int64, (-1,)) for key in ("stamps_ns", "people_starts"))
    with reading(path, _REMEDY, "labels that do not fit together"):
        people = _people(path, arrays)
        try:
            return KeypointLabels(about.clip, about.teacher, stamps, starts, people, about.losses)
        except DataError as error:
            raise DataError(f"{path}: {error}; {_REMEDY}") from error


def read_about(path: Path) -> LabelInfo:
    """What a file says of itself, without reading the labels; errors as :func:`read_keypoints`."""
    return _about(path, _arrays(path, ("about",))["about"])


def _arrays(path: Path, keys: Sequence[str] | None) -> dict[str, NDArray[Any]]:
    """The arrays of those names; all for ``None``. ``about`` is always among them."""
    what = "no readable labels of 'unipose pseudo-label'"
    found = read_npz(path, keys, _REMEDY, what, missing="label the clip first: unipose pseudo-label")
    if "about" not in found:
        raise DataError(f"{path}: {what} (there is no 'about'); {_REMEDY}")
    return found


def _about(path: Path, stored: NDArray[Any]) -> LabelInfo:
    with reading(path, _REMEDY, "key 'about' is no JSON"):
        record = json.loads(str(stored))
    version = record.get("version") if isinstance(record, dict) else None
    if version != _VERSION:
        raise DataError(f"{path}: labels of version {version}, this program reads {_VERSION}; label the clip again")
    with reading(path, _REMEDY, "key 'about' is not as written"):
        about = LabelInfo(str(record["clip"]), LabelerId(**record["teacher"]), dict(record["losses"]))
        if not all(isinstance(text, str) for text in (about.teacher.name, about.teacher.weights_sha256)):
            raise TypeError("the labeler's name and weights are texts")
        if not isinstance(about.teacher.settings, Mapping) or not all(type(n) is int for n in about.losses.values()):
            raise TypeError("settings are a table, losses are counts")
        return about


def _joined(frames: Sequence[Keypoints2D]) -> Keypoints2D:
    if not frames:
        return Keypoints2D.empty()
    arrays = {name: np.concatenate([getattr(frame, name) for frame in frames]) for name in _PEOPLE}
    return Keypoints2D(**arrays, joint_set=frames[0].joint_set)


def _people(path: Path, arrays: Mapping[str, NDArray[Any]]) -> Keypoints2D:
    count = len(_checked(path, arrays, "scores", np.float32, (-1,)))
    found = {name: _checked(path, arrays, name, np.float32, (count, *shape)) for name, shape in _PEOPLE.items()}
    return Keypoints2D(**found, joint_set=COCO17)


def _checked(
    path: Path, arrays: Mapping[str, NDArray[Any]], key: str, dtype: type, shape: tuple[int, ...]
) -> NDArray[Any]:
    """An array of the file, if it has that type and shape; -1 stands for any length."""
    array = arrays.get(key)
    if array is None:
        raise DataError(f"{path}: key '{key}' is missing; {_REMEDY}")
    fits = array.dtype == dtype and array.ndim == len(shape)
    if not fits or any(want not in (-1, have) for want, have in zip(shape, array.shape, strict=True)):
        found, wanted = f"{array.dtype}{list(array.shape)}", f"{np.dtype(dtype)}{list(shape)}"
        raise DataError(f"{path}: key '{key}' is {found}, expected {wanted}; {_REMEDY}")
    return array
