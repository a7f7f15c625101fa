"""RGB-D frames as plain files, for those who want to look into or hand-pick their recordings.

clip/rgb/000000.jpg     colour
clip/depth/000000.png   uint16 millimetres, 0 = no reading
clip/camera_info.json   width, height, K, D, distortion_model, frame_id, T_depth_color
clip/stamps.csv         index,stamp_ns
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from unipose_ros.camera import Camera
from unipose_ros.frame import RgbdFrame
from unipose_ros.images import to_metres, to_millimetres
from unipose_training.data.errors import DataError
from unipose_training.data.pictures import read_colour_file, read_depth_file

_COLUMNS = ("index", "stamp_ns")


def write_frame_folder(folder: Path, frames: Iterable[RgbdFrame]) -> int:
    """Write frames of one camera.

    Returns:
        How many.

    Raises:
        DataError: the folder has frames already, or the camera changes on the way.
    """
    if (folder / "stamps.csv").exists():
        raise DataError(f"{folder}: holds a clip already; choose another folder")
    for part in ("rgb", "depth"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    stamps: list[int] = []
    first: RgbdFrame | None = None
    for number, frame in enumerate(frames):
        first = first or frame
        if (frame.camera, frame.frame_id) != (first.camera, first.frame_id):
            raise DataError(f"{folder}: the camera changes at frame {number}; write one clip per camera")
        _write_pictures(folder, number, frame)
        stamps.append(frame.stamp_ns)
    if first is None:
        raise DataError(f"{folder}: there are no frames to write")
    (folder / "camera_info.json").write_text(json.dumps(_camera_record(first), indent=2) + "\n", encoding="utf-8")
    with (folder / "stamps.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([_COLUMNS, *enumerate(stamps)])
    return len(stamps)


def _write_pictures(folder: Path, number: int, frame: RgbdFrame) -> None:
    if frame.colour is not None:
        cv2.imwrite(str(folder / "rgb" / f"{number:06d}.jpg"), cv2.cvtColor(frame.colour, cv2.COLOR_RGB2BGR))
    if frame.depth is not None:
        cv2.imwrite(str(folder / "depth" / f"{number:06d}.png"), to_millimetres(frame.depth))


def _camera_record(frame: RgbdFrame) -> dict[str, Any]:
    camera = frame.camera
    return {
        "width": camera.width,
        "height": camera.height,
        "K": camera.K.ravel().tolist(),
        "D": list(camera.distortion),
        "distortion_model": camera.model,
        "frame_id": frame.frame_id,
        # Depth is registered to colour, so one frame serves for both.
        "T_depth_color": np.eye(4).ravel().tolist(),
    }


def read_frame_folder(folder: Path, rate_hz: float = 0.0, count: int = 0) -> Iterator[RgbdFrame]:
    """Read frames back; ``count`` 0 takes all.

    Args:
        rate_hz: not used, the clip has stamps; so that all readers have one form.

    Raises:
        DataError: a file is absent or not as described above.
    """
    try:
        record = json.loads((folder / "camera_info.json").read_text(encoding="utf-8"))
        camera = _camera(record)
        frame_id = str(record["frame_id"])
        with (folder / "stamps.csv").open(newline="", encoding="utf-8") as file:
            rows = [(int(row["index"]), int(row["stamp_ns"])) for row in csv.DictReader(file)]
    except (OSError, KeyError, ValueError, IndexError) as error:
        raise DataError(f"{folder}: not a clip with camera_info.json and stamps.csv ({error!r})") from error
    for number, stamp in rows[: count or None]:
        colour, depth = folder / "rgb" / f"{number:06d}.jpg", folder / "depth" / f"{number:06d}.png"
        yield RgbdFrame(
            stamp_ns=stamp,
            frame_id=frame_id,
            camera=camera,
            depth=to_metres(read_depth_file(depth)) if depth.exists() else None,
            colour=read_colour_file(colour) if colour.exists() else None,
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
