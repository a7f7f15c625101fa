"""Images from and to files, whatever their names, with errors that name them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.files import write_atomic


def write_image(path: Path, image: NDArray[Any], *options: int) -> None:
    """Write an image at once or not at all; its folder is made.

    OpenCV's own writing answers a full disk, a missing folder and a name that is no UTF-8 with a ``False`` that is
    easily ignored.

    Args:
        path: its suffix is the format.
        image: (H, W) or (H, W, 3) RGB.
        options: pairs of OpenCV's ``IMWRITE_*`` and their values.

    Raises:
        OSError: it cannot be written; the error names the file.
        ValueError: there is no such format, or it does not take such an image.
    """
    stored = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    try:
        good, buffer = cv2.imencode(path.suffix, stored, options)
    except cv2.error as error:
        raise ValueError(f"{path}: an image cannot be written as '{path.suffix}'; use .png or .jpg") from error
    if not good:
        raise ValueError(f"{path}: an image of {image.dtype}{list(image.shape)} cannot be written as '{path.suffix}'")
    write_atomic(path, np.asarray(buffer).tobytes())
