"""Single frames of videos by their number."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from threading import Lock

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_training.data.errors import DataError

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
        there, picture = self._capture.read()
        if not there:
            return None
        self._next += 1
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)

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
