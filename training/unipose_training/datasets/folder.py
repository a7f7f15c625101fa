"""RGB-D frames as plain files, for those who want to look into or hand-pick their recordings.

clip/rgb/000000.jpg     color
clip/depth/000000.png   uint16 millimeters, 0 = no reading
clip/camera_info.json   width, height, K, D, distortion_model, frame_id, T_depth_color
clip/stamps.csv         index,stamp_ns
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from unipose_ros.camera import Camera
from unipose_ros.files import atomic_path, complete_folder, write_atomic
from unipose_ros.frame import RgbdFrame
from unipose_ros.image_files import write_image
from unipose_ros.images import to_meters, to_millimeters
from unipose_ros.recordings import BagWriter
from unipose_ros.recordings.messages import camera_info, compressed_depth, compressed_image, depth_image, image
from unipose_ros.recordings.writer import complete_recording
from unipose_training.datasets.errors import DataError, reading
from unipose_training.datasets.io import read_color_file, read_depth_file

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
