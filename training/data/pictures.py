"""Pictures from files, with errors that name them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_training.data.errors import DataError


def read_colour_file(path: Path) -> NDArray[np.uint8]:
    """JPEG or PNG -> (H, W, 3) uint8 RGB.

    Raises:
        DataError: the file is absent or no picture.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise DataError(f"{path}: no readable colour picture; check that the data set is complete")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def read_depth_file(path: Path) -> NDArray[np.uint16]:
    """16-bit PNG -> (H, W) uint16, as stored.

    Raises:
        DataError: the file is absent, no picture, or has another type.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.dtype != np.uint16 or picture.ndim != 2:
        raise DataError(f"{path}: no 16-bit grey PNG; depth is stored in millimetres in such files")
    return np.asarray(picture, np.uint16)
