"""Video files that every player and browser opens."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray


def write_video(path: Path, images: Iterable[NDArray[np.uint8]], fps: float) -> int:
    """Write RGB images of equal, even size as H.264.

    Returns:
        How many were written; with none there is no file.

    Raises:
        ValueError: an image has another size than the first.
    """
    writer, shape, count = None, None, 0
    try:
        for image in images:
            if writer is None:
                shape = image.shape
                size = (image.shape[1], image.shape[0])
                writer = imageio_ffmpeg.write_frames(
                    str(path), size, fps=fps, macro_block_size=2, quality=7, ffmpeg_log_level="error"
                )
                writer.send(None)
            if image.shape != shape:
                raise ValueError(f"image {count} of the video is {image.shape}, the first was {shape}")
            writer.send(np.ascontiguousarray(image))
            count += 1
    finally:
        if writer is not None:
            writer.close()
    return count
