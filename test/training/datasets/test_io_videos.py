"""Frames of videos by their number."""

from __future__ import annotations

from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from unipose_training.datasets.io import read_video_frame
from unipose_training.errors import DataError

FRAMES = 120


def write(path: Path, codec: str) -> None:
    """Every frame shows its number in stripes; a key frame comes every 12, between them are frames that look ahead."""
    writer = imageio_ffmpeg.write_frames(
        str(path), (64, 48), fps=29.97, codec=codec, macro_block_size=1, output_params=["-g", "12", "-bf", "2"]
    )
    writer.send(None)
    for number in range(FRAMES):
        bits = (number >> np.arange(8)) & 1
        stripes = np.repeat(255 * bits, 8).astype(np.uint8)
        writer.send(np.ascontiguousarray(np.broadcast_to(stripes[None, :, None], (48, 64, 3))))
    writer.close()


def number_in(image: np.ndarray | None) -> int:
    assert image is not None
    return int(((image[24, 4::8, 0] > 128) << np.arange(8)).sum())


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.avi", "mpeg4")])
def test_any_order_gives_the_frame_asked_for(tmp_path: Path, name: str, codec: str) -> None:
    write(tmp_path / name, codec)
    order = [0, 1, 2, 5, 110, 109, 10, 11, FRAMES - 1, 60, 3]
    assert [number_in(read_video_frame(tmp_path / name, number)) for number in order] == order


def test_behind_the_end_there_is_none(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", "libx264")
    assert read_video_frame(tmp_path / "a.mp4", FRAMES) is None
    assert read_video_frame(tmp_path / "a.mp4", 9 * FRAMES) is None
    assert number_in(read_video_frame(tmp_path / "a.mp4", FRAMES - 1)) == FRAMES - 1


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.mp4: not found"):
        read_video_frame(tmp_path / "a.mp4", 0)
    (tmp_path / "b.mp4").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"b\.mp4: no readable video"):
        read_video_frame(tmp_path / "b.mp4", 0)
