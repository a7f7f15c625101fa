"""Video files that every player and browser opens."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unipose_ros.files import atomic_path

#: Constant rate factor of x264: 0 loses nothing, 51 is worst.
_QUALITY = 15
#: How long x264 looks for ways to save bytes; with the slower ones encoding takes longer than drawing.
_PRESET = "veryfast"
_END_SECONDS = 60.0


def find_ffmpeg() -> str:
    """The program that encodes videos: the system's, else that of the Python package imageio-ffmpeg.

    Raises:
        ModuleNotFoundError: there is neither.
    """
    program = shutil.which("ffmpeg")
    if program is not None:
        return program
    import imageio_ffmpeg

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def write_video(path: Path, images: Iterable[NDArray[np.uint8]], fps: float) -> int:
    """Write RGB images of equal, even size as H.264; the file appears when it is complete.

    Returns:
        How many were written; with none there is no file.

    Raises:
        ValueError: an image has another size than the first.
        OSError: the file cannot be written; the error names it.
    """
    following = iter(images)
    first = next(following, None)
    if first is None:
        return 0
    with atomic_path(path) as part:
        return _encode(part, chain([first], following), first.shape, fps)


def _encode(part: Path, images: Iterator[NDArray[np.uint8]], shape: tuple[int, ...], fps: float) -> int:
    # Not by the writer of imageio_ffmpeg: it does not say how the program ended, as on a full disk.
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{shape[1]}x{shape[0]}", "-r", f"{fps:.6f}", "-i", "-"]
    target = ["-an", "-vcodec", "libx264", "-pix_fmt", "yuv420p", "-crf", str(_QUALITY), "-f", "mp4"]
    target += ["-preset", _PRESET]
    command = [find_ffmpeg(), "-y", *source, *target, "-v", "error", f"file:{part}"]
    count = 0
    with tempfile.TemporaryFile() as errors:
        ffmpeg = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True
        )
        assert ffmpeg.stdin is not None
        try:
            with suppress(BrokenPipeError):  # it has ended; its status says so
                for image in images:
                    if image.shape != shape:
                        raise ValueError(f"image {count} of the video is {image.shape}, the first was {shape}")
                    ffmpeg.stdin.write(np.ascontiguousarray(image).data)
                    count += 1
                ffmpeg.stdin.close()
            status = ffmpeg.wait(_END_SECONDS)
        finally:
            ffmpeg.kill()
            ffmpeg.wait()
        if status != 0:
            errors.seek(0)
            raise _failure(part, errors.read().decode("utf-8", "replace"))
    return count


def _failure(part: Path, errors: str) -> OSError:
    full = os.strerror(errno.ENOSPC) in errors
    reason = os.strerror(errno.ENOSPC) if full else f"ffmpeg cannot write it ({' '.join(errors.split())[-200:]})"
    return OSError(errno.ENOSPC if full else errno.EIO, reason, str(part))
