"""RGB-D frames into a rosbag2 recording."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from unipose_ros.frame import RgbdFrame
from unipose_ros.recordings import BagWriter
from unipose_ros.recordings.messages import camera_info, compressed_depth, compressed_image, depth_image, image


def write_frame_bag(
    path: Path, frames: Iterable[RgbdFrame], compressed: bool = True, storage: str = "mcap"
) -> dict[str, int]:
    """Write frames under the node's input topics.

    Args:
        path: bag folder to make.
        compressed: colour as JPEG and depth as ``compressedDepth`` PNG instead of raw images.

    Returns:
        Messages by topic.

    Raises:
        RecordingError: the folder exists.
    """
    with BagWriter(path, storage) as writer:
        for frame in frames:
            if frame.colour is not None:
                _write_colour(writer, frame, compressed)
            if frame.depth is not None:
                _write_depth(writer, frame, compressed)
        return dict(writer.counts)


def _write_colour(writer: BagWriter, frame: RgbdFrame, compressed: bool) -> None:
    stamp, name, colour = frame.stamp_ns, frame.frame_id, frame.colour
    assert colour is not None
    writer.write("/color/camera_info", camera_info(stamp, name, frame.camera), stamp)
    if compressed:
        writer.write("/color/image/compressed", compressed_image(stamp, name, colour), stamp)
    else:
        writer.write("/color/image", image(stamp, name, colour, "rgb8"), stamp)


def _write_depth(writer: BagWriter, frame: RgbdFrame, compressed: bool) -> None:
    stamp, name, depth = frame.stamp_ns, frame.frame_id, frame.depth
    assert depth is not None
    writer.write("/depth/camera_info", camera_info(stamp, name, frame.camera), stamp)
    if compressed:
        writer.write("/depth/image/compressedDepth", compressed_depth(stamp, name, depth), stamp)
    else:
        writer.write("/depth/image", depth_image(stamp, name, depth), stamp)
