"""``unipose import-frames``: convert RGB-D frames of real people to a recording that the node and the demo can play.

Formats: ``lmb`` (folder with color.png and depth.png), ``uva`` (folder with 0000000000.jpg and
0000000000_depth.png, ...), ``dih`` (.npy), ``pcd`` (organized cloud), ``folder`` (clip/rgb,
clip/depth, camera_info.json, stamps.csv), ``bag`` (any RGB-D rosbag2, for ``--to folder``).
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import re
import struct
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from unipose_ros.camera import Camera
from unipose_ros.cli.options import description, refuse
from unipose_ros.files import atomic_path, complete_folder, write_atomic
from unipose_ros.frame import RgbdFrame
from unipose_ros.images import to_meters, to_millimeters, write_image
from unipose_ros.recordings import BagReader, BagWriter, RecordingError, RgbdRecording
from unipose_ros.recordings.messages import camera_info, compressed_depth, compressed_image, depth_image, image
from unipose_ros.recordings.writer import complete_recording
from unipose_training.datasets.io import read_color_file, read_depth_file, read_npy
from unipose_training.errors import DataError, reading

# RGB-D frames as plain files, for those who want to look into or hand-pick their recordings.
#
# clip/rgb/000000.jpg     color
# clip/depth/000000.png   uint16 millimeters, 0 = no reading
# clip/camera_info.json   width, height, K, D, distortion_model, frame_id, T_depth_color
# clip/stamps.csv         index,stamp_ns

# RGB-D frames into a rosbag2 recording.


def write_frame_bag(
    path: Path, frames: Iterable[RgbdFrame], compressed: bool = True, storage: str = "mcap"
) -> dict[str, int]:
    """Write frames under the node's input topics.

    Args:
        path: bag folder to make.
        compressed: color as JPEG and depth as ``compressedDepth`` PNG instead of raw images.

    Returns:
        Messages by topic.

    Raises:
        RecordingError: the folder exists.
    """
    with complete_recording(path) as partial, BagWriter(partial, storage, path) as writer:
        for frame in frames:
            if frame.color is not None:
                _write_color(writer, frame, compressed)
            if frame.depth is not None:
                _write_depth(writer, frame, compressed)
        return dict(writer.counts)


def _write_color(writer: BagWriter, frame: RgbdFrame, compressed: bool) -> None:
    stamp, name, color = frame.stamp_ns, frame.frame_id, frame.color
    assert color is not None
    writer.write("/color/camera_info", camera_info(stamp, name, frame.camera), stamp)
    if compressed:
        writer.write("/color/image/compressed", compressed_image(stamp, name, color), stamp)
    else:
        writer.write("/color/image", image(stamp, name, color, "rgb8"), stamp)


def _write_depth(writer: BagWriter, frame: RgbdFrame, compressed: bool) -> None:
    stamp, name, depth = frame.stamp_ns, frame.frame_id, frame.depth
    assert depth is not None
    writer.write("/depth/camera_info", camera_info(stamp, name, frame.camera), stamp)
    if compressed:
        writer.write("/depth/image/compressedDepth", compressed_depth(stamp, name, depth), stamp)
    else:
        writer.write("/depth/image", depth_image(stamp, name, depth), stamp)


_COLUMNS = ("index", "stamp_ns")
_FILES = re.compile(r"rgb/\d+\.jpg|depth/\d+\.png|camera_info\.json|stamps\.csv")


def write_frame_folder(folder: Path, frames: Iterable[RgbdFrame]) -> int:
    """Write frames of one camera; the folder appears when it is complete.

    Returns:
        How many.

    Raises:
        DataError: the folder has something in it already, or the camera changes on the way.
        OSError: a file cannot be written.
    """
    try:
        with complete_folder(folder, _FILES) as partial:
            return _write(folder, partial, frames)
    except FileExistsError as error:
        what = "a clip" if (folder / "stamps.csv").exists() else "something"
        raise DataError(f"{folder}: holds {what} already; choose another folder") from error


def _write(folder: Path, partial: Path, frames: Iterable[RgbdFrame]) -> int:
    for kind in ("rgb", "depth"):
        (partial / kind).mkdir(parents=True, exist_ok=True)
    stamps: list[int] = []
    first: RgbdFrame | None = None
    for number, frame in enumerate(frames):
        first = first or frame
        if (frame.camera, frame.frame_id) != (first.camera, first.frame_id):
            raise DataError(f"{folder}: the camera changes at frame {number}; write one clip per camera")
        _write_images(partial, number, frame)
        stamps.append(frame.stamp_ns)
    if first is None:
        raise DataError(f"{folder}: there are no frames to write")
    write_atomic(partial / "camera_info.json", json.dumps(_camera_record(first), indent=2) + "\n")
    with atomic_path(partial / "stamps.csv") as part, part.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([_COLUMNS, *enumerate(stamps)])
    return len(stamps)


def _write_images(folder: Path, number: int, frame: RgbdFrame) -> None:
    if frame.color is not None:
        write_image(folder / "rgb" / f"{number:06d}.jpg", frame.color)
    if frame.depth is not None:
        write_image(folder / "depth" / f"{number:06d}.png", to_millimeters(frame.depth))


def _camera_record(frame: RgbdFrame) -> dict[str, Any]:
    camera = frame.camera
    return {
        "width": camera.width,
        "height": camera.height,
        "K": camera.K.ravel().tolist(),
        "D": list(camera.distortion),
        "distortion_model": camera.model,
        "frame_id": frame.frame_id,
        # Depth is registered to color, so one frame serves for both.
        "T_depth_color": np.eye(4).ravel().tolist(),
    }


def read_frame_folder(folder: Path, rate_hz: float = 0.0, count: int = 0) -> Iterator[RgbdFrame]:
    """Read frames back; ``count`` 0 takes all.

    Args:
        rate_hz: not used, the clip has stamps; so that all readers have one form.

    Raises:
        DataError: a file is absent or not as described above.
    """
    what = "not a clip with camera_info.json and stamps.csv"
    with reading(folder, "check the folder", what, missing="not a clip with camera_info.json and stamps.csv"):
        record = json.loads((folder / "camera_info.json").read_text(encoding="utf-8"))
        camera = _camera(record)
        frame_id = str(record["frame_id"])
        with (folder / "stamps.csv").open(newline="", encoding="utf-8") as file:
            rows = [(int(row["index"]), int(row["stamp_ns"])) for row in csv.DictReader(file)]
    for number, stamp in rows[: count or None]:
        color, depth = folder / "rgb" / f"{number:06d}.jpg", folder / "depth" / f"{number:06d}.png"
        yield RgbdFrame(
            stamp_ns=stamp,
            frame_id=frame_id,
            camera=camera,
            depth=to_meters(read_depth_file(depth)) if depth.exists() else None,
            color=read_color_file(color) if color.exists() else None,
        )


def _camera(record: dict[str, Any]) -> Camera:
    k = record["K"]
    return Camera(
        fx=k[0],
        fy=k[4],
        cx=k[2],
        cy=k[5],
        width=record["width"],
        height=record["height"],
        distortion=tuple(record["D"]),
        model=record["distortion_model"],
    )


# Single RGB-D frames and sequences of real people, in the forms in which they are published.
#
# None of them is part of this project; each reader takes the user's copy. Where a publisher gives
# no intrinsics they are those of the camera's driver.


FRAME_ID = "camera_color_optical_frame"
#: The first frame's stamp: any time but zero, which means "no stamp".
FIRST_STAMP_NS = 1_600_000_000_000_000_000

#: Kinect v2 of lmb-freiburg/rgbd-pose3d, for its 1920x1080 depth that is registered to color.
LMB_CAMERA = Camera(fx=1392.5, fy=944.9, cx=944.5, cy=546.7, width=1920, height=1080)
#: Kinect v1 as its drivers assume; also in the camera files of the UvA sequence.
KINECT1_CAMERA = Camera(fx=525.0, fy=525.0, cx=319.5, cy=239.5, width=640, height=480)
UVA_CAMERA = Camera(fx=525.0, fy=525.0, cx=320.0, cy=240.0, width=640, height=480)
#: Kinect v2 color at a quarter of its pixels, as iai_kinect2 assumes without calibration.
KINECT2_CAMERA = Camera(fx=540.686, fy=540.686, cx=479.75, cy=269.75, width=960, height=540)


def read_lmb(source: Path, rate_hz: float, count: int) -> Iterator[RgbdFrame]:
    """The one pair of rgbd-pose3d: ``color.png`` (960x540, enlarged) and ``depth.png``, ``count`` times."""
    depth = to_meters(read_depth_file(source / "depth.png"))
    small = read_color_file(source / "color.png")
    color = np.asarray(cv2.resize(small, depth.shape[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
    for stamp in _stamps(rate_hz, count or 1):
        yield RgbdFrame(stamp, FRAME_ID, LMB_CAMERA, depth, color)


def read_uva(source: Path, rate_hz: float, count: int) -> Iterator[RgbdFrame]:
    """A sequence ``NNNNNNNNNN.jpg`` and ``NNNNNNNNNN_depth.png`` in millimeters; ``count`` 0 takes all."""
    images = sorted(source.glob("[0-9]*_depth.png"))
    if not images:
        raise DataError(f"{source}: no files like 0000000000_depth.png; give the folder of the sequence")
    chosen = images[: count or None]
    for stamp, path in zip(_stamps(rate_hz, len(chosen)), chosen, strict=True):
        color = read_color_file(path.with_name(path.name.replace("_depth.png", ".jpg")))
        yield RgbdFrame(stamp, FRAME_ID, UVA_CAMERA, to_meters(read_depth_file(path)), color)


def read_dih(source: Path, rate_hz: float, count: int) -> Iterator[RgbdFrame]:
    """A depth frame of idiap/fast_pose_machines (``.npy``, uint16 millimeters), ``count`` times."""
    what = "no NumPy file of a depth frame"
    stored = read_npy(source, "give a .npy", what, missing=f"{what} there")
    if stored.dtype != np.uint16 or stored.shape != (KINECT2_CAMERA.height, KINECT2_CAMERA.width):
        raise DataError(f"{source}: {stored.dtype}{list(stored.shape)}, expected uint16 millimeters of 540x960")
    for stamp in _stamps(rate_hz, count or 1):
        yield RgbdFrame(stamp, FRAME_ID, KINECT2_CAMERA, to_meters(stored))


def read_pcd(source: Path, rate_hz: float, count: int) -> Iterator[RgbdFrame]:
    """An organized 640x480 Kinect cloud (``.pcd``, Point Cloud Library), ``count`` times."""
    # Imported here: it takes seconds, and the other formats do not need it.
    import open3d

    wanted = KINECT1_CAMERA.width * KINECT1_CAMERA.height
    claimed = _points_of_pcd(source)
    if claimed == wanted:
        points = np.asarray(open3d.io.read_point_cloud(str(source), remove_nan_points=False).points)
        claimed = len(points)
    if claimed != wanted:
        raise DataError(f"{source}: {claimed} points, an organized cloud of 640x480 has {wanted}")
    depth = to_meters(points[:, 2].astype(np.float32).reshape(KINECT1_CAMERA.height, KINECT1_CAMERA.width))
    for stamp in _stamps(rate_hz, count or 1):
        yield RgbdFrame(stamp, FRAME_ID, KINECT1_CAMERA, depth)


def _points_of_pcd(source: Path) -> int:
    """Points that the header of a ``.pcd`` claims; open3d makes room for them, and for what is compressed, at once.

    Raises:
        DataError: there is no such header, or its points or compressed bytes are larger than any.
    """
    with reading(source, "give a .pcd"):
        with source.open("rb") as file:
            begin = file.read(_PCD_HEADER)
        head, _, rest = begin.partition(b"\nDATA ")
        words = [line.split() for line in head.decode("ascii", "replace").splitlines()]
        fields = {line[0]: [int(word) for word in line[1:]] for line in words if line[:1] in _PCD_NUMBERS}
        sizes, points = fields["SIZE"], fields["POINTS"][0]
        counts = fields.get("COUNT", [1] * len(sizes))
        size = sum(a * b for a, b in zip(sizes, counts, strict=True))
        if min(*sizes, *counts) < 1 or size > _PCD_MOST:
            raise ValueError(f"SIZE {sizes} and COUNT {counts}")
        if rest.startswith(b"binary_compressed\n"):
            packed, unpacked = struct.unpack_from("<II", rest, len(b"binary_compressed\n"))
            if unpacked != size * points or packed > source.stat().st_size:
                raise ValueError(f"it claims {packed} bytes that become {unpacked}")
    return points


def _stamps(rate_hz: float, count: int) -> Iterator[int]:
    if not 0 < rate_hz < math.inf:
        raise DataError(f"rate = {rate_hz}: give a positive number of frames per second")
    for number in range(count):
        yield FIRST_STAMP_NS + round(number * 1e9 / rate_hz)


#: Bytes in which the header of a .pcd lies, and of a point at most; lines of numbers that are looked at.
_PCD_HEADER, _PCD_MOST = 4096, 256
_PCD_NUMBERS = (["SIZE"], ["COUNT"], ["POINTS"])

#: By the name that the command line knows: source, frames per second, number of frames (0: all there are).
Reader = Callable[[Path, float, int], Iterator[RgbdFrame]]
READERS: dict[str, Reader] = {"lmb": read_lmb, "uva": read_uva, "dih": read_dih, "pcd": read_pcd}


def read_bag(source: Path, rate_hz: float = 0.0, count: int = 0) -> Iterator[RgbdFrame]:
    """Frames of a recording; ``count`` 0 takes all. ``rate_hz`` is not used: the recording has stamps."""
    with BagReader(source) as reader:
        for number, frame in enumerate(RgbdRecording(reader).frames()):
            if count and number >= count:
                return
            yield frame


def _guarded(source: Path, frames: Iterator[RgbdFrame]) -> Iterator[RgbdFrame]:
    """Frames, with what their reader did not foresee as :class:`DataError`."""
    with reading(source, "check the file"):
        try:
            yield from frames
        except RecordingError as error:
            raise DataError(str(error)) from error


FORMATS: dict[str, Reader] = {**READERS, "folder": read_frame_folder, "bag": read_bag}


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``unipose import-frames``; returns the exit code."""
    given = _parser().parse_args(arguments)
    try:
        frames = _guarded(given.source, FORMATS[given.format](given.source, given.rate, given.count))
        shown = tqdm(frames, desc=given.format, unit="frame")
        if given.to == "folder":
            print(f"{write_frame_folder(given.output, shown)} frames -> {given.output}")
        else:
            counts = write_frame_bag(given.output, shown, not given.raw, given.storage)
            print(f"{counts} -> {given.output}")
    except (DataError, OSError, RecordingError) as error:
        return refuse("unipose import-frames", error)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="unipose import-frames",
        description=description(__doc__),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("format", choices=sorted(FORMATS), help="format of the source")
    parser.add_argument("source", type=Path, help="file or folder of that format")
    parser.add_argument("output", type=Path, help="bag folder or clip folder to write")
    parser.add_argument("--to", choices=("bag", "folder"), default="bag", help="what to write (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=30.0, help="frames per second where the source has no stamps")
    parser.add_argument(
        "--count", type=int, default=0, help="number of frames; a single frame is repeated (default: all)"
    )
    parser.add_argument("--raw", action="store_true", help="raw images instead of JPEG and compressedDepth")
    parser.add_argument(
        "--storage", choices=("mcap", "sqlite3"), default="mcap", help="storage of the bag (default: %(default)s)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
