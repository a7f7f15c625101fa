"""A folder of arrays, one row per person and frame; read without loading it.

``samples.json`` says what there is; ``<name>.bin`` is an array of C order whose type and row shape stand
there. Files only ever grow by whole clips, so an interrupted build resumes where it stopped; one process at a time
writes. Each clip has checksums of its rows, which are compared when an array is first read.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from operator import index
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.files import exclusive
from unipose_ros.keypoints import Keypoints2D
from unipose_training.datasets.io import write_atomic
from unipose_training.errors import DataError, reading

VERSION = 2
#: Name of the teacher where keypoints are projected ground truth.
GROUND_TRUTH = "ground_truth"
_INDEX = "samples.json"

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Column:
    """An array of a store.

    Attributes:
        dtype: of its numbers.
        shape: of a row; a letter stands for a number that the settings give.
        meaning: units, frame, and what stands for the unknown.
    """

    dtype: str
    shape: tuple[int | str, ...]
    meaning: str

    def fits(self, value: NDArray[Any]) -> bool:
        """Whether a row is of this type and shape."""
        return (
            value.dtype == np.dtype(self.dtype)
            and len(value.shape) == len(self.shape)
            and all(isinstance(want, str) or want == got for want, got in zip(self.shape, value.shape, strict=True))
        )


#: What a store may hold of a person in a frame; joints are ITOP's 15.
COLUMNS: dict[str, Column] = {
    "points": Column("float16", ("N", 3), "meters about ``center``"),
    "center": Column("float32", (3,), "meters in the optical frame"),
    "depth": Column("uint16", ("S", "S"), "millimeters through ``depth_window``, 0 unknown"),
    "depth_window": Column("float32", (4,), "middle u, v and width, height in the image's pixels"),
    "color": Column("uint8", ("S", "S", 3), "RGB through ``color_window``"),
    "color_window": Column("float32", (4,), "as ``depth_window``"),
    "box": Column("float32", (4,), "u0, v0, u1, v1 of the person, pixels"),
    "distance": Column("float32", (), "meters along z at which the person is cut out"),
    "camera": Column("float32", (4,), "fx, fy, cx, cy of the image, without distortion"),
    "image_size": Column("int32", (2,), "width and height, pixels"),
    "stamp_ns": Column("int64", (), "of the frame, nanoseconds"),
    "keypoints": Column("float32", (17, 3), "u, v and confidence of COCO-17 as the 2D network predicts"),
    "score": Column("float32", (), "the 2D network's confidence in the person, in [0, 1]"),
    "pixels": Column("float32", (15, 2), "joints that the 2D network points at; NaN unknown"),
    "confidence": Column("float32", (15,), "its confidence in them, 0 unknown"),
    "lifted": Column("float32", (15, 3), "joints as modality ``lookup`` has them, meters; NaN unknown"),
    "lifted_variance": Column("float32", (15,), "of their z, square meters"),
    "lifted_status": Column("uint8", (15,), "``JointStatus``"),
    "lifted_confidence": Column("float32", (15,), "in [0, 1]"),
    "size": Column("float32", (), "of the person relative to an average adult"),
    "ground_truth": Column("float32", (15, 3), "true joints, meters; NaN unknown"),
    "visible": Column("uint8", (15,), "1: the camera sees the true joint"),
    "frame": Column("int32", (), "number of the frame in its clip"),
    "previous": Column("int64", (), "the row of the same person one frame before, or -1"),
    "clip": Column("int32", (), "index of the clip"),
}


@dataclass(frozen=True)
class StoredClip:
    """What a clip gave.

    Attributes:
        name, subset: of the clip.
        rows: people in frames.
        frames: processed.
        dropped: people that could not be used.
        losses: frames that gave nothing, and what was lost in reading, by reason.
        checksums: CRC-32 of its rows by array; empty in stores of earlier versions.
    """

    name: str
    subset: str
    rows: int
    frames: int
    dropped: int
    losses: Mapping[str, int] = field(default_factory=dict)
    checksums: Mapping[str, int] = field(default_factory=dict, compare=False)


class SampleStore:
    """Rows of people, by array name.

    Every array has one row per person and frame. Rows of a clip are together, in the order of time.

    What the arrays are called, and what a row of each is, stands in :data:`COLUMNS`.

    Raises:
        DataError: there is no store, it is damaged or of another version.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        about = read_index(folder)
        if about is None:
            raise DataError(f"{folder}: no {_INDEX}; no sample store has been built there")
        self.about = about
        self.clips = _clips(folder, about)
        self._verified: set[str] = set()
        self._length = sum(clip.rows for clip in self.clips)
        self._arrays: dict[str, NDArray[Any]] = {}

    def __len__(self) -> int:
        return self._length

    def keypoints(self, rows: NDArray[np.integer[Any]]) -> Keypoints2D:
        """The people of some rows as the 2D network detected them, rectified."""
        stored = np.asarray(self["keypoints"][rows], np.float32)
        scores, boxes = (np.asarray(self[name][rows], np.float32) for name in ("score", "box"))
        return Keypoints2D(stored[..., :2], stored[..., 2], scores, boxes)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """An array of the store, memory-mapped and read-only."""
        if name not in self._arrays:
            self._arrays[name] = self._map(name)
        return self._arrays[name]

    def __contains__(self, name: str) -> bool:
        return name in self.about["arrays"]

    @property
    def teacher(self) -> str:
        """The labeler of people and keypoints; :data:`GROUND_TRUTH` where they are projected, "" where unknown."""
        with reading(self.folder / _INDEX, "build the store again"):
            return str((self.about.get("teacher") or {}).get("name", ""))

    @property
    def centers(self) -> int:
        """So many of each cloud's first points are spread evenly."""
        with reading(self.folder / _INDEX, "build the store again"):
            return int(self.about["settings"]["points"]["centers"])

    def __getstate__(self) -> dict[str, Any]:
        """Workers map the files themselves, and need not compare again what has been compared."""
        return {**self.__dict__, "_arrays": {}}

    def _map(self, name: str) -> NDArray[Any]:
        if name not in self.about["arrays"]:
            raise DataError(f"{self.folder}: no array '{name}'; there are {', '.join(sorted(self.about['arrays']))}")
        kind = self.about["arrays"][name]
        path = self.folder / f"{name}.bin"
        shape, dtype = (self._length, *kind["shape"]), np.dtype(kind["dtype"])
        wanted = int(np.prod(shape)) * dtype.itemsize
        if not path.is_file() or path.stat().st_size < wanted:
            raise DataError(f"{path}: shorter than {_INDEX} says; build the store again")
        array: NDArray[Any] = np.memmap(path, dtype, "r", shape=shape) if wanted else np.zeros(shape, dtype)
        if name not in self._verified:
            self._verify(name, array)
        return array

    def _verify(self, name: str, array: NDArray[Any]) -> None:
        """Read an array once and compare it with the checksums; what is read will soon be needed again."""
        start = 0
        for clip in self.clips:
            rows = array[start : start + clip.rows]
            start += clip.rows
            if clip.rows and clip.checksums.get(name, None) not in (None, _checksum(rows)):
                raise DataError(
                    f"{self.folder / name}.bin is damaged: the rows of clip '{clip.name}' have changed; "
                    "build the store again"
                )
        self._verified.add(name)


class StoreWriter:
    """Appends clips to a store, which no other process can write meanwhile; use it as a context manager.

    Args:
        settings: everything that shapes the rows, as JSON has it; a store of others is not continued.
        teacher: who labeled, as JSON has it; a store of another's labels is not continued.

    Raises:
        DataError: the folder holds a store of other settings or labels, or another run is at work in it.
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], teacher: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        with ExitStack() as lock:
            lock.enter_context(exclusive(folder, "building samples in it", refusal=DataError))
            self._about = self._begun(settings, teacher)
            self._lock = lock.pop_all()

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let others write."""
        self._lock.close()

    def _begun(self, settings: Mapping[str, Any], teacher: Mapping[str, Any] | None) -> dict[str, Any]:
        about, folder = read_index(self.folder), self.folder
        begun = {"version": VERSION, "settings": settings, "teacher": teacher, "arrays": {}, "clips": []}
        wanted: dict[str, Any] = json.loads(json.dumps(begun))  # as it is read back: tuples become lists
        for name in ("settings", "teacher"):
            if about is not None and about.get(name) != wanted[name]:
                raise DataError(f"{folder} holds samples of another {name}; name another folder or remove it")
        if about is not None:
            _clips(folder, about)
        return about or wanted

    @property
    def done(self) -> set[str]:
        """Names of the clips that are complete."""
        return {clip["name"] for clip in self._about["clips"]}

    @property
    def rows(self) -> int:
        """So far."""
        return sum(int(clip["rows"]) for clip in self._about["clips"])

    def append(self, clip: StoredClip, arrays: Arrays) -> None:
        """Add the rows of a clip; it counts once all of them are on disk.

        Args:
            arrays: ``previous`` counts from the clip's first row; ``clip`` is added.

        Raises:
            DataError: its rows are not like those of the clips before; nothing was added.
        OSError: they cannot be written; nothing was added.
        """
        if clip.rows:
            before = self.rows
            links = arrays["previous"]
            numbers = np.full(clip.rows, len(self._about["clips"]), np.int32)
            arrays = {**arrays, "previous": np.where(links < 0, links, links + before), "clip": numbers}
            kinds = {name: {"dtype": value.dtype.str, "shape": list(value.shape[1:])} for name, value in arrays.items()}
            _require_alike(kinds, self._about["arrays"] or kinds)
            try:
                for name, value in arrays.items():
                    _write_at(self.folder / f"{name}.bin", before * value[0].nbytes, value)
            except BaseException:  # a full disk, above all: what does not count should not fill it
                for name, value in arrays.items():
                    _cut(self.folder / f"{name}.bin", before * value[0].nbytes)
                raise
            self._about["arrays"] = kinds
            clip = replace(clip, checksums={name: _checksum(value) for name, value in arrays.items()})
        self._about["clips"].append(vars(clip))
        self.finish()

    def finish(self) -> None:
        """Write what there is; also for a store of no clips."""
        write_atomic(self.folder / _INDEX, json.dumps(self._about).encode())


def _checksum(rows: NDArray[Any]) -> int:
    return zlib.crc32(np.ascontiguousarray(rows).data)


def _clips(folder: Path, about: Mapping[str, Any]) -> list[StoredClip]:
    """The clips of an index, once all that is read of it has been checked.

    Raises:
        DataError: it is not as it was written.
    """
    with reading(folder / _INDEX, "build the store again"):
        clips = [StoredClip(**clip) for clip in about["clips"]]
        for clip in clips:
            if not isinstance(clip.name, str) or min(map(index, (clip.rows, clip.frames, clip.dropped))) < 0:
                raise ValueError(f"clip {clip.name!r} has {clip.rows} rows")
            clip.checksums.items(), clip.losses.items()
        for name, kind in about["arrays"].items():
            if (
                Path(name).name != name
                or np.dtype(kind["dtype"]).kind not in "biuf"
                or min(map(index, kind["shape"]), default=1) < 0  # no 3.0, which JSON may hold
            ):
                raise ValueError(f"array {name!r} of type {kind}")
        return clips


def _require_alike(kinds: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    if differ := sorted(name for name in {*kinds, *wanted} if kinds.get(name) != wanted.get(name)):
        name = differ[0]
        raise DataError(
            f"its {name} is {kinds.get(name, 'missing')}, that of the clips before {wanted.get(name, 'missing')}; "
            "clips of one store must be alike: build another store, or leave that input out (with_color=false)"
        )


def read_index(folder: Path) -> dict[str, Any] | None:
    """What ``samples.json`` says; ``None`` when there is none.

    Raises:
        DataError: it is damaged or of another version.
    """
    path = folder / _INDEX
    if not path.is_file():
        return None
    with reading(path, "build the store again"):
        about = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(about, dict):
        raise DataError(f"{path}: no table; build the store again")
    if about.get("version") != VERSION:
        raise DataError(f"{path}: version {about.get('version')}, this program reads {VERSION}; build the store again")
    return about


def _write_at(path: Path, start: int, value: NDArray[Any]) -> None:
    """Write from a byte on; what a broken build left behind it is cut off.

    Raises:
        OSError: it cannot be written; the error names the file.
    """
    try:
        with path.open("r+b" if path.exists() else "w+b") as stream:
            stream.seek(start)
            stream.write(np.ascontiguousarray(value).tobytes())
            stream.truncate()
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _cut(path: Path, size: int) -> None:
    with suppress(OSError):
        if path.stat().st_size > size:
            os.truncate(path, size)


def stacked(rows: Sequence[Arrays]) -> dict[str, NDArray[Any]]:
    """Rows -> arrays.

    Raises:
        DataError: some rows lack an array that others have.
        ValueError: an array is not as :data:`COLUMNS` has it.
    """
    names = set().union(*rows)
    if lacking := next((sorted(names - set(row)) for row in rows if names - set(row)), None):
        raise DataError(f"some of its frames have no {lacking[0]}; leave it out (with_{lacking[0]}=false)")
    if not rows:
        return {}
    for name, value in rows[0].items():
        if not COLUMNS[name].fits(np.asarray(value)):
            raise ValueError(f"{name}: {value.dtype} {value.shape}, not as COLUMNS has it")
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}
