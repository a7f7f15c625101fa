"""A recording as a sequence of RGB-D frames."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, CameraError, points_to_depth
from unipose_ros.frame import FrameError, RgbdFrame, Skeletons
from unipose_ros.images import ImageError
from unipose_ros.recordings.messages import read_color, read_depth, read_points, read_skeletons, stamp_of
from unipose_ros.recordings.pairing import pair_stamps
from unipose_ros.recordings.reader import BagReader, RawMessage, Topic
from unipose_ros.recordings.types import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    IMAGE,
    POINT_CLOUD,
    SKELETON_ARRAY,
    RecordingError,
    read_stamp,
)

# Which topics of a recording are the color, the depth and the cameras.


_IMAGES = (IMAGE, COMPRESSED_IMAGE)
_TYPES: dict[str, tuple[str, ...]] = {
    "color": _IMAGES,
    "color_info": (CAMERA_INFO,),
    "depth": _IMAGES,
    "depth_info": (CAMERA_INFO,),
    "points": (POINT_CLOUD,),
    "truth": (SKELETON_ARRAY,),
}
_COLOR_WORDS = ("color", "color", "rgb")
#: Depth drawn in the color camera's pixels, by the names that RealSense, Azure Kinect and OpenNI drivers give it.
_REGISTERED_WORDS = ("aligned_depth", "depth_to_rgb", "depth_registered", "depth_to_color")
_NOT_IMAGES = ("infra", "/ir", "mask", "confidence", "debug", "label", "disparity")


@dataclass(frozen=True)
class RgbdTopics:
    """Topic names by role; ``None`` where there is none."""

    color: str | None = None
    color_info: str | None = None
    depth: str | None = None
    depth_info: str | None = None
    points: str | None = None
    truth: str | None = None


def detect_topics(topics: Mapping[str, Topic], chosen: RgbdTopics | None = None) -> RgbdTopics:
    """Find the RGB-D topics by type and name.

    Raw images are preferred to compressed ones, depth registered to color to other depth.

    Args:
        chosen: roles that the user has named; they are checked and kept.

    Raises:
        RecordingError: a named topic is absent or of another type.
    """
    given = chosen or RgbdTopics()
    for field in fields(RgbdTopics):
        _check(topics, field.name, getattr(given, field.name))
    found = replace(
        given,
        color=given.color or _best(_images(topics, _is_color), _COLOR_WORDS),
        depth=given.depth or _best(_images(topics, _is_depth), _REGISTERED_WORDS),
        points=given.points or _best((t for t in topics.values() if t.type == POINT_CLOUD), ("depth", "points")),
        truth=given.truth
        or _best((t for t in topics.values() if t.type == SKELETON_ARRAY and "truth" in t.name), ("skeletons",)),
    )
    return replace(
        found,
        color_info=found.color_info or _info_of(topics, found.color),
        depth_info=found.depth_info or _info_of(topics, found.depth or found.points),
    )


def _check(topics: Mapping[str, Topic], role: str, name: str | None) -> None:
    if name is None:
        return
    if name not in topics:
        raise RecordingError(f"{role}: there is no topic '{name}'; the recording has {', '.join(topics) or 'none'}")
    if topics[name].type not in _TYPES[role]:
        raise RecordingError(f"{role}: '{name}' carries {topics[name].type}, not {' or '.join(_TYPES[role])}")


def _images(topics: Mapping[str, Topic], fits: Callable[[str], bool]) -> list[Topic]:
    return [
        topic
        for topic in topics.values()
        if topic.type in _IMAGES and fits(topic.name) and not any(word in topic.name for word in _NOT_IMAGES)
    ]


def _is_depth(name: str) -> bool:
    return "depth" in name


def _is_color(name: str) -> bool:
    return not _is_depth(name) and ("image" in name or any(word in name for word in _COLOR_WORDS))


def _best(candidates: Iterable[Topic], words: tuple[str, ...]) -> str | None:
    """The topic with a preferred word, with messages, raw rather than compressed, then by name."""

    def rank(topic: Topic) -> tuple[bool, bool, bool, str]:
        preferred = any(word in topic.name for word in words)
        return (topic.count == 0, not preferred, topic.type == COMPRESSED_IMAGE, topic.name)

    ranked = sorted(candidates, key=rank)
    return ranked[0].name if ranked else None


def _info_of(topics: Mapping[str, Topic], name: str | None) -> str | None:
    """The camera_info beside an image: the one that shares the longest beginning of the path with it."""
    if name is None:
        return None
    infos = [topic.name for topic in topics.values() if topic.type == CAMERA_INFO]
    return max(infos, key=lambda info: _shared_parts(info, name), default=None)


def _shared_parts(first: str, second: str) -> int:
    pairs = zip(first.split("/"), second.split("/"), strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), 0)


_log = logging.getLogger(__name__)


class RgbdRecording:
    """Frames and truth of an open recording.

    Depth comes from a depth image or, without one, from a point cloud. A recording with only
    one of color and depth gives frames with that one.

    Args:
        reader: an open recording.
        topics: roles that the user has named; the others are detected.
        max_gap_ns: largest difference of paired stamps; half a frame period when ``None``.

    Attributes:
        topics: the topics in use.
        dropped: how many images did not become part of a frame, by reason: ``no stamp``,
            ``repeated stamp``, ``no partner``, ``undecodable``, ``does not fit``, ``no camera``; and
            ``bad camera_info``, messages that no camera could be made of.

    Raises:
        RecordingError: there is neither color nor depth, or no camera_info for them.
    """

    def __init__(self, reader: BagReader, topics: RgbdTopics | None = None, max_gap_ns: int | None = None) -> None:
        self.topics = detect_topics(reader.topics, topics)
        self.dropped: Counter[str] = Counter()
        self._reader = reader
        self._max_gap_ns = max_gap_ns
        self._camera: Camera | None = None
        self._depth_topic = self.topics.depth or self.topics.points
        self._info_topic = (self.topics.depth_info if self._depth_topic else None) or self.topics.color_info
        if not self._depth_topic and not self.topics.color:
            raise RecordingError(
                f"{reader.path}: neither a color nor a depth topic was found among "
                f"{', '.join(reader.topics) or 'no topics'}; name them"
            )
        if not self._info_topic:
            raise RecordingError(f"{reader.path}: no sensor_msgs/CameraInfo topic; record camera_info with the images")

    def frames(self) -> Iterator[RgbdFrame]:
        """Frames in the order of their recording.

        The recording is read twice: once for the stamps, so that the pairing does not depend on
        the order in which color and depth were written, and once for the images.
        """
        self.dropped.clear()
        partner_of = self._pair()
        # Both passes meet the camera_infos; the second one counts.
        self.dropped.pop("bad camera_info", None)
        waiting: dict[int, RawMessage] = {}
        for raw in self._reader.raw(self._stream_topics()):
            if raw.topic == self._info_topic:
                self._take_camera(raw)
                continue
            stamp = read_stamp(raw.data)
            if stamp not in partner_of[raw.topic]:
                continue
            # Once used, a stamp that comes again is a repetition, counted while pairing.
            other = partner_of[raw.topic].pop(stamp)
            if other is None:
                frame = self._frame(stamp, raw, None)
            elif other in waiting:
                frame = self._frame(stamp, raw, waiting.pop(other))
            else:
                waiting[stamp] = raw
                continue
            if frame is not None:
                yield frame

    def stamps(self) -> list[int]:
        """Stamps of the frames in their order, without a look at the images; some may prove undecodable."""
        self.dropped.clear()
        return sorted(self._pair()[str(self._depth_topic or self.topics.color)])

    def truth(self) -> Iterator[Skeletons]:
        """True skeletons, where the recording has them.

        Raises:
            RecordingError: it has none.
        """
        if self.topics.truth is None:
            raise RecordingError(
                f"{self._reader.path}: there are no true skeletons in it (no SkeletonArray on '*truth*')"
            )
        for message in self._reader.messages([self.topics.truth]):
            yield read_skeletons(message.value)

    def _stream_topics(self) -> list[str]:
        return [topic for topic in (self.topics.color, self._depth_topic, self._info_topic) if topic]

    def _pair(self) -> dict[str, dict[int, int | None]]:
        """For each stream the stamp of every usable image's partner, ``None`` for an only stream."""
        stamps: dict[str, list[int]] = {t: [] for t in (self.topics.color, self._depth_topic) if t}
        for raw in self._reader.raw(self._stream_topics()):
            if raw.topic == self._info_topic:
                # An image may be recorded before the first camera_info.
                if self._camera is None:
                    self._take_camera(raw)
            else:
                self._take_stamp(raw, stamps[raw.topic])
        if len(stamps) == 1:
            return {topic: dict.fromkeys(found) for topic, found in stamps.items()}
        color, depth = (stamps[topic] for topic in (self.topics.color, self._depth_topic) if topic)
        pairs = pair_stamps(color, depth, self._max_gap_ns)
        self.dropped["no partner"] += len(color) + len(depth) - 2 * len(pairs)
        partners: dict[str, dict[int, int | None]] = {topic: {} for topic in stamps}
        for depth_stamp, color_stamp in pairs.items():
            partners[str(self._depth_topic)][depth_stamp] = color_stamp
            partners[str(self.topics.color)][color_stamp] = depth_stamp
        return partners

    def _take_stamp(self, raw: RawMessage, stamps: list[int]) -> None:
        stamp = read_stamp(raw.data)
        if stamp == 0:
            self._drop("no stamp", raw, "the header's stamp is zero; let the driver stamp its images")
        elif stamp in stamps[-1000:]:
            self._drop("repeated stamp", raw, f"stamp {stamp} came before")
        else:
            stamps.append(stamp)

    def _take_camera(self, raw: RawMessage) -> None:
        try:
            self._camera = Camera.from_camera_info(self._reader.unpack(raw), rectified=self._is_rectified())
        except CameraError as error:
            self._drop("bad camera_info", raw, str(error))

    def _is_rectified(self) -> bool:
        """REP-104 has rectified images in topics named ``image_rect*``."""
        return "image_rect" in str(self.topics.depth or self.topics.color)

    def _frame(self, stamp: int, raw: RawMessage, partner: RawMessage | None) -> RgbdFrame | None:
        by_topic = {message.topic: message for message in (raw, partner) if message is not None}
        if self._camera is None:
            self._drop("no camera", raw, "no usable camera_info")
            return None
        try:
            depth_message = self._unpacked(by_topic.get(str(self._depth_topic)))
            color_message = self._unpacked(by_topic.get(str(self.topics.color)))
            lead = color_message if depth_message is None else depth_message
            return RgbdFrame(
                stamp_ns=stamp_of(lead),
                frame_id=lead.header.frame_id,
                camera=self._camera,
                depth=None if depth_message is None else self._depth(depth_message),
                color=None if color_message is None else read_color(color_message),
            )
        except (ImageError, RecordingError) as error:
            self._drop("undecodable", raw, str(error))
        except FrameError as error:
            self._drop("does not fit", raw, f"{error}; record depth that is registered to color")
        return None

    def _unpacked(self, raw: RawMessage | None) -> Any:
        return None if raw is None else self._reader.unpack(raw)

    def _depth(self, message: Any) -> NDArray[np.float32]:
        if self.topics.depth is not None:
            return read_depth(message)
        assert self._camera is not None
        return points_to_depth(self._camera, read_points(message))

    def _drop(self, reason: str, raw: RawMessage, detail: str) -> None:
        """Count a lost image, and say so the first time a reason comes up."""
        if not self.dropped[reason]:
            _log.warning("%s: '%s': dropped, %s: %s", self._reader.path, raw.topic, reason, detail)
        self.dropped[reason] += 1
