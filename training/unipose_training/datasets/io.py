"""HDF5 files (also MATLAB 7.3), opened once per process, with errors that name file and key."""

from __future__ import annotations

import json
import math
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import IO, TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.files import write_atomic as write_atomic
from unipose_ros.images import ImageError, decode_compressed_color, decode_png16
from unipose_training.errors import COMPLETE, DAMAGED, DataError, reading

if TYPE_CHECKING:
    import h5py


# JSON of data sets, with errors that name file and key.


def read_json(path: Path, remedy: str = "check --root and that the data set is complete") -> Any:
    """Parse a file.

    Raises:
        DataError: it is missing or no JSON.
    """
    with reading(path, what="no readable JSON", missing=remedy):
        return json.loads(path.read_text(encoding="utf-8"))


def value_of(path: Path, record: Any, key: str) -> Any:
    """``record[key]``, where ``key`` is a path of names joined by dots.

    Raises:
        DataError: there is none.
    """
    for name in key.split("."):
        if not isinstance(record, dict) or name not in record:
            raise DataError(f"{path}: key '{key}' is missing; the file is of another version or another data set")
        record = record[name]
    return record


def array_of(path: Path, record: Any, key: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Numbers under a key as float64; a -1 in ``shape`` takes any length.

    Raises:
        DataError: there are none, or another number of them.
    """
    value = value_of(path, record, key)
    try:
        return np.asarray(value, np.float64).reshape(shape)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: key '{key}' is not numbers of shape {list(shape)} ({error})") from error


# Images from files, with errors that name them.


def read_color_file(path: Path) -> NDArray[np.uint8]:
    """JPEG or PNG -> (H, W, 3) uint8 RGB, as the sensor has the pixels: an orientation in EXIF is not applied.

    Labels and calibrations of data sets belong to the stored pixels.

    Raises:
        DataError: the file is absent or no image.
    """
    try:
        return decode_compressed_color(path.read_bytes())
    except (OSError, ImageError) as error:
        raise DataError(f"{path}: no readable color image; check that the data set is complete ({error})") from error


def read_depth_file(path: Path) -> NDArray[np.uint16]:
    """16-bit PNG -> (H, W) uint16, as stored.

    Raises:
        DataError: the file is absent, no image, or has another type.
    """
    try:
        return decode_png16(path.read_bytes())
    except (OSError, ImageError) as error:
        raise DataError(
            f"{path}: no 16-bit gray PNG; depth is stored in millimeters in such files ({error})"
        ) from error


# Single frames of videos by their number.


#: Going on by so many frames takes less time than seeking, which decodes from the last key frame.
_STRIDE = 50
_lock = Lock()


def read_video_frame(path: Path, index: int) -> NDArray[np.uint8] | None:
    """Frame ``index`` from 0 as (H, W, 3) uint8 RGB; ``None`` behind the video's end.

    Videos stay open between calls, so frames in order are fast. Others are found by seeking.

    Raises:
        DataError: the file is missing or no video.
    """
    try:
        written = path.stat().st_mtime_ns
    except OSError as error:
        raise DataError(f"{path}: not found; check that the data set is complete") from error
    with _lock:  # a video has one place at which it is read
        # A forked process shares its parent's place in the file, and must open its own.
        return _opened(path, written, os.getpid()).frame(index)


class _Video:
    """An open video and the number of the frame that comes next."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            raise DataError(f"{path}: OpenCV cannot open videos of such names; rename it to UTF-8") from error
        self._capture = cv2.VideoCapture(str(path))
        self._next = 0
        if not self._capture.isOpened():
            raise DataError(f"{path}: no readable video; download it again")

    def frame(self, index: int) -> NDArray[np.uint8] | None:
        if not self._next <= index <= self._next + _STRIDE:
            self._seek(index)
        while self._next < index:
            if not self._capture.grab():
                return None
            self._next += 1
        with reading(self._path):
            there, image = self._capture.read()
        if not there:
            return None
        self._next += 1
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)

    def _seek(self, index: int) -> None:
        self._capture.set(cv2.CAP_PROP_POS_FRAMES, index)
        self._next = round(self._capture.get(cv2.CAP_PROP_POS_FRAMES))
        if self._next > index:  # some containers seek too far; counting from the start never fails
            self._capture.release()
            self._capture = cv2.VideoCapture(str(self._path))
            self._next = 0


@lru_cache(maxsize=8)
def _opened(path: Path, written: int, process: int) -> _Video:
    del written, process  # another of either is another video
    return _Video(path)


# Files that appear when they are complete.


__all__ = ["write_atomic"]


def dataset(path: Path, key: str, shape: tuple[int | None, ...], kinds: str) -> h5py.Dataset:
    """A data set of a file; rows are read when it is indexed.

    Args:
        shape: expected; ``None`` for any length.
        kinds: the allowed ``numpy.dtype.kind`` letters.

    Raises:
        DataError: the file cannot be read, or the key is absent or holds something else.
    """
    return _checked(path, key, shape, kinds, os.getpid(), _changed(path))


@lru_cache(maxsize=64)
def _checked(
    path: Path, key: str, shape: tuple[int | None, ...], kinds: str, process: int, changed: int
) -> h5py.Dataset:
    """Looked up and checked once: that takes longer than reading a frame."""
    with reading(path):
        return _found(path, key, shape, kinds, _open(path, process, changed))


def _found(path: Path, key: str, shape: tuple[int | None, ...], kinds: str, file: h5py.File) -> h5py.Dataset:
    import h5py

    if key not in file:
        raise DataError(f"{path}: key '{key}' is missing, there are {sorted(file)}; take the data set's own file")
    found = file[key]
    if not isinstance(found, h5py.Dataset):
        raise DataError(f"{path}: key '{key}' is a group, expected an array; take the data set's own file")
    fits = len(found.shape) == len(shape) and all(e in (None, f) for e, f in zip(shape, found.shape, strict=True))
    if not fits or found.dtype.kind not in kinds:
        wanted = ["n" if length is None else length for length in shape]
        raise DataError(
            f"{path}: key '{key}' is {found.dtype}{list(found.shape)}, expected {wanted} of kind '{kinds}'; "
            "the file is of another version or another data set"
        )
    if found.size * found.dtype.itemsize > allowed_bytes(path):
        raise DataError(f"{path}: key '{key}' claims {list(found.shape)}, more than the file holds; download it again")
    return found


def read(data: h5py.Dataset, rows: int | slice) -> NDArray[Any]:
    """Rows of a data set.

    Raises:
        DataError: they cannot be read.
    """
    key = data.name.lstrip("/")
    with reading(Path(data.file.filename), "download the file again", f"key '{key}' is damaged at {rows}"):
        return np.asarray(data[rows])


def _changed(path: Path) -> int:
    packed = path.with_name(path.name + ".gz")
    try:
        return path.stat().st_mtime_ns
    except OSError as error:
        remedy = f"unpack it: gunzip -k {packed.name}" if packed.exists() else "check --root and that it is complete"
        raise DataError(f"{path}: not found; {remedy}") from error


@lru_cache(maxsize=16)
def _open(path: Path, process: int, changed: int) -> h5py.File:
    """A handle from before a fork must not be used after it, and one from before a change of the file is stale."""
    import h5py  # only some data sets are of this format

    del process, changed
    with reading(path, what="no readable HDF5 file"):
        return h5py.File(path, "r")


# NumPy's files, read within bounds.
#
# Nothing is unpickled, and nothing is allocated that the file cannot hold: a header may claim any size.

#: Kinds of numbers and texts; no objects, no records.
PLAIN = "biufSU"
#: Arrays of an archive may be so much larger than its file: real ones shrink to a fifth, empty ones to much less.
_MOST_SHRUNK, _ALWAYS_ALLOWED = 200, 1 << 26
_LAST_CHARACTER = 0x10FFFF


@dataclass(frozen=True)
class ArrayHeader:
    """What an array in a file says of itself.

    Attributes:
        shape, dtype: of it.
        fortran: its first index changes fastest.
        length: bytes before its values.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    length: int


def read_npz(
    path: Path,
    keys: Sequence[str] | None = None,
    remedy: str = "download it again",
    what: str = DAMAGED,
    missing: str = COMPLETE,
) -> dict[str, NDArray[Any]]:
    """Arrays of an ``.npz`` by name.

    Args:
        keys: which; ``None`` for all.
        remedy, what, missing: see :func:`unipose_training.errors.reading`.

    Raises:
        DataError: the file or an array is missing or damaged, or holds objects.
    """
    with reading(path, remedy, what, missing), zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        left = allowed_bytes(path)
        found = {}
        for key in keys if keys is not None else names:
            if key not in names:
                raise ValueError(f"there is no '{key}' among {names[:20]}")
            size = archive.getinfo(f"{key}.npy").file_size
            left -= size
            if left < 0:
                raise ValueError(f"'{key}' claims {size} bytes, more than such a file holds")
            with archive.open(f"{key}.npy") as stream:
                header = read_header(stream)
                found[key] = read_values(stream, header, size - header.length)
        return found


def read_npy(
    path: Path, remedy: str = "check the file", what: str = DAMAGED, missing: str = "check its name"
) -> NDArray[Any]:
    """The array of an ``.npy``; arguments and errors as :func:`read_npz`."""
    with reading(path, remedy, what, missing), path.open("rb") as stream:
        header = read_header(stream)
        return read_values(stream, header, path.stat().st_size - header.length)


def allowed_bytes(path: Path) -> int:
    """How much the arrays of an archive may take together."""
    return max(_ALWAYS_ALLOWED, _MOST_SHRUNK * path.stat().st_size)


def read_header(stream: IO[bytes]) -> ArrayHeader:
    """The header of an array (numpy.lib.format, versions 1 to 3).

    Raises:
        ValueError: there is none, or it makes no sense.
    """
    start = stream.tell()
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if any(not isinstance(length, int) or length < 0 for length in shape):
        raise ValueError(f"an array of shape {shape}")
    return ArrayHeader(shape, dtype, bool(fortran), stream.tell() - start)


def read_values(stream: IO[bytes], header: ArrayHeader, size: int) -> NDArray[Any]:
    """The values that follow a header.

    Args:
        size: bytes that are there.

    Raises:
        ValueError: they are not plain numbers or texts, or not as many as the header says.
    """
    dtype, shape = header.dtype, header.shape
    if dtype.kind not in PLAIN or dtype.names is not None or dtype.subdtype is not None:
        raise ValueError(f"an array of {dtype}; only numbers and texts are read")
    if math.prod(shape) * dtype.itemsize != size or (not dtype.itemsize and math.prod(shape) > _ALWAYS_ALLOWED):
        raise ValueError(f"an array of {dtype}{list(shape)} in {size} bytes")
    values = np.empty(math.prod(shape), dtype)
    if size:
        buffer = memoryview(values).cast("B") if dtype.kind not in "US" else memoryview(values.view(np.uint8))
        taken = 0
        while taken < size:
            count = stream.readinto(buffer[taken:])  # type: ignore[attr-defined]  # of files and archives alike
            if not count:
                raise EOFError(f"it ends after {taken} of {size} bytes")
            taken += count
        require_characters(values)
    return values.reshape(shape[::-1]).T if header.fortran else values.reshape(shape)


def require_characters(values: NDArray[Any]) -> None:
    """Refuse numbers that stand for no character: Python cannot make texts of them.

    Raises:
        ValueError: there are some.
    """
    if values.dtype.kind == "U" and values.size and values.itemsize:
        codes = np.ascontiguousarray(values).view(np.dtype(np.uint32).newbyteorder(values.dtype.byteorder))
        if codes.max() > _LAST_CHARACTER:
            raise ValueError("a text holds numbers that are no characters")
