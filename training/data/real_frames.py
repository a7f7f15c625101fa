"""Turn RGB-D frames of real people into a recording that the node and the demo can play.

Formats: ``lmb`` (folder with color.png and depth.png), ``uva`` (folder with 0000000000.jpg and
0000000000_depth.png, ...), ``dih`` (.npy), ``pcd`` (organised cloud), ``folder`` (clip/rgb,
clip/depth, camera_info.json, stamps.csv), ``bag`` (any RGB-D rosbag2, for ``--to folder``).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from unipose_ros.frame import RgbdFrame
from unipose_ros.recordings import BagReader, RecordingError, RgbdRecording
from unipose_training.data.errors import DataError
from unipose_training.data.frame_bag import write_frame_bag
from unipose_training.data.frame_folder import read_frame_folder, write_frame_folder
from unipose_training.data.real_cameras import READERS, Reader


def read_bag(source: Path, rate_hz: float = 0.0, count: int = 0) -> Iterator[RgbdFrame]:
    """Frames of a recording; ``count`` 0 takes all. ``rate_hz`` is not used: the recording has stamps."""
    with BagReader(source) as reader:
        for number, frame in enumerate(RgbdRecording(reader).frames()):
            if count and number >= count:
                return
            yield frame


FORMATS: dict[str, Reader] = {**READERS, "folder": read_frame_folder, "bag": read_bag}


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``unipose import-frames``; returns the exit code."""
    given = _parser().parse_args(arguments)
    try:
        frames = FORMATS[given.format](given.source, given.rate, given.count)
        shown = tqdm(frames, desc=given.format, unit="frame")
        if given.to == "folder":
            print(f"{write_frame_folder(given.output, shown)} frames -> {given.output}")
        else:
            counts = write_frame_bag(given.output, shown, not given.raw, given.storage)
            print(f"{counts} -> {given.output}")
    except (DataError, RecordingError) as error:
        print(f"unipose import-frames: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="unipose import-frames", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("format", choices=sorted(FORMATS))
    parser.add_argument("source", type=Path, help="file or folder of that format")
    parser.add_argument("output", type=Path, help="bag folder or clip folder to make")
    parser.add_argument("--to", choices=("bag", "folder"), default="bag")
    parser.add_argument("--rate", type=float, default=30.0, help="frames per second where the source has no stamps")
    parser.add_argument("--count", type=int, default=0, help="frames to take; a single frame is repeated (default all)")
    parser.add_argument("--raw", action="store_true", help="raw images instead of JPEG and compressedDepth")
    parser.add_argument("--storage", choices=("mcap", "sqlite3"), default="mcap")
    return parser


if __name__ == "__main__":
    sys.exit(main())
