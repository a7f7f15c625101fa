"""Which topics of a recording are the color, the depth and the calibration of one camera."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace

from unipose_ros.images import COLOR_ENCODINGS
from unipose_ros.recordings.messages import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    IMAGE,
    POINT_CLOUD,
    SKELETON_ARRAY,
    RecordingError,
)
from unipose_ros.recordings.reader import BagReader, Topic

_log = logging.getLogger(__name__)

_IMAGES = (IMAGE, COMPRESSED_IMAGE)
_TYPES: dict[str, tuple[str, ...]] = {
    "color": _IMAGES,
    "color_info": (CAMERA_INFO,),
    "depth": _IMAGES,
    "depth_info": (CAMERA_INFO,),
    "points": (POINT_CLOUD,),
    "ground_truth": (SKELETON_ARRAY,),
}
_SAMPLED = (*_IMAGES, CAMERA_INFO, POINT_CLOUD)
#: Messages that are looked through for the first of every topic.
_LOOK_THROUGH = 2000
_COLOR_WORDS = ("color", "colour", "rgb")
#: Depth drawn in the color camera's pixels, by the names that RealSense, Azure Kinect and OpenNI drivers give it.
_REGISTERED_WORDS = ("aligned_depth", "depth_to_rgb", "depth_registered", "depth_to_color")
#: In the last two parts of a name: images that a camera does not take of colors, or that somebody made of them.
_NOT_IMAGES = re.compile(
    r"^ir(?![a-z])|infra|mask|confidence|debug|label|disparity|semantic|segment|colori[sz]|colormap|overlay|annotat|heatmap"
)
#: What image_transport appends.
_TRANSPORTS = ("compressed", "compresseddepth")
_DEPTH_ENCODINGS = ("16UC1", "32FC1")
#: Depth and infrared images are both sent under it.
_EITHER = "mono16"


@dataclass(frozen=True)
class RgbdTopics:
    """Topic names by role; ``None`` where there is none."""

    color: str | None = None
    color_info: str | None = None
    depth: str | None = None
    depth_info: str | None = None
    points: str | None = None
    ground_truth: str | None = None


@dataclass(frozen=True)
class TopicSample:
    """What the first message of a topic says.

    Attributes:
        frame_id: of its header.
        encoding: of an image; the format of a compressed one; empty otherwise.
    """

    frame_id: str
    encoding: str = ""


def sample_topics(reader: BagReader) -> dict[str, TopicSample]:
    """The first message of every image, cloud and camera_info topic, as far as they come early in the recording."""
    wanted = {topic.name for topic in reader.topics.values() if topic.type in _SAMPLED and topic.count}
    found: dict[str, TopicSample] = {}
    for number, raw in enumerate(reader.raw(sorted(wanted))):
        if raw.topic not in found:
            try:
                message = reader.unpack(raw)
            except RecordingError:
                continue
            encoding = getattr(message, "encoding", getattr(message, "format", ""))
            found[raw.topic] = TopicSample(str(message.header.frame_id), str(encoding))
        if len(found) == len(wanted) or number > _LOOK_THROUGH:
            break
    return found


def detect_topics(
    topics: Mapping[str, Topic],
    chosen: RgbdTopics | None = None,
    samples: Mapping[str, TopicSample] | None = None,
) -> RgbdTopics:
    """Find the RGB-D topics of one camera by type, name, and what their messages say.

    Color and depth are of one camera frame where there are such two; raw images are preferred to compressed ones,
    depth registered to color to other depth. Where several cameras were recorded, the log names them.

    Args:
        chosen: roles that the user has named; they are checked and kept.
        samples: from :func:`sample_topics`; without them names have to do.

    Raises:
        RecordingError: a named topic is absent or of another type.
    """
    given = chosen or RgbdTopics()
    for field in fields(RgbdTopics):
        _check(topics, field.name, getattr(given, field.name))
    choice = _Choice(topics, samples or {})
    color, depth, points = choice.camera(given)
    return replace(
        given,
        color=color,
        depth=depth,
        points=points,
        ground_truth=given.ground_truth or choice.ground_truth(),
        color_info=given.color_info or choice.info_of(color),
        depth_info=given.depth_info or choice.info_of(depth or points),
    )


def _check(topics: Mapping[str, Topic], role: str, name: str | None) -> None:
    if name is None:
        return
    if name not in topics:
        raise RecordingError(f"{role}: there is no topic '{name}'; the recording has {', '.join(topics) or 'none'}")
    if topics[name].type not in _TYPES[role]:
        raise RecordingError(f"{role}: '{name}' carries {topics[name].type}, not {' or '.join(_TYPES[role])}")


class _Choice:
    """Ranks a recording's topics for each role, and pairs of them."""

    def __init__(self, topics: Mapping[str, Topic], samples: Mapping[str, TopicSample]) -> None:
        self._topics = topics
        self._samples = samples

    def camera(self, given: RgbdTopics) -> tuple[str | None, str | None, str | None]:
        """Color, depth and cloud that belong together, each ``None`` where there is none."""
        colors = [given.color] if given.color else self._ranked(self._is_color, _COLOR_WORDS)
        depths = [given.depth] if given.depth else self._ranked(self._is_depth, _REGISTERED_WORDS)
        clouds = [given.points] if given.points else self._ranked(self._is_cloud, ("depth", "points"))
        first = self._together(colors, depths)
        if first is None and not given.depth and depths:
            # Depth images of other cameras only: a cloud may be in the color camera's frame.
            first = self._together(colors, clouds)
            if first is not None:
                return first[0], None, first[1]
        color, depth = first or self._apart(given, colors, depths)
        beside = [cloud for cloud in clouds if self._same_frame(cloud, depth or color)]
        return color, depth, next(iter(beside or clouds), None)

    def _apart(self, given: RgbdTopics, colors: list[str], depths: list[str]) -> tuple[str | None, str | None]:
        """No two are of one camera: what was named alone, else both, which are refused frame by frame with reasons."""
        color, depth = next(iter(colors), None), next(iter(depths), None)
        if given.color and not given.depth and depth:
            return color, None
        return (None, depth) if given.depth and not given.color else (color, depth)

    def _together(self, colors: list[str], others: list[str]) -> tuple[str, str] | None:
        """The best two of one camera; ``None`` where no two are."""
        pairs = [(color, other) for color in colors for other in others if self._same_frame(color, other)]
        if not pairs:
            return None
        # Rank first, and of equals those whose names begin alike: two cameras may share one frame by mistake.
        ranked = sorted(
            pairs,
            key=lambda pair: (-_shared_parts(*pair), colors.index(pair[0]) + others.index(pair[1]), pair),
        )
        cameras = {self._frame(color) or _camera_name(color): (color, other) for color, other in reversed(ranked)}
        if len(cameras) > 1 and len(colors) > 1:
            named = "; ".join(f"{color} with {other}" for color, other in sorted(cameras.values()))
            _log.warning(
                "%d cameras were recorded: %s. Taking %s with %s; name another with --color and --depth",
                *(len(cameras), named, *ranked[0]),
            )
        return ranked[0]

    def ground_truth(self) -> str | None:
        """Ground truth skeletons."""
        return next(iter(self._ranked(lambda t: t.type == SKELETON_ARRAY and "truth" in t.name, ("skeletons",))), None)

    def info_of(self, name: str | None) -> str | None:
        """The camera_info of an image: of its frame, and with the longest common beginning of the path."""
        if name is None:
            return None
        infos = [topic.name for topic in self._topics.values() if topic.type == CAMERA_INFO]
        return max(infos, key=lambda info: (self._same_frame(info, name), _shared_parts(info, name)), default=None)

    def _ranked(self, fits: Callable[[Topic], bool], words: tuple[str, ...]) -> list[str]:
        """Topics with messages first, then with a preferred word, raw rather than compressed, then by name."""

        def rank(topic: Topic) -> tuple[bool, bool, bool, str]:
            preferred = any(word in topic.name for word in words)
            return (topic.count == 0, not preferred, topic.type == COMPRESSED_IMAGE, topic.name)

        return [topic.name for topic in sorted(filter(fits, self._topics.values()), key=rank)]

    def _is_cloud(self, topic: Topic) -> bool:
        return topic.type == POINT_CLOUD

    def _is_depth(self, topic: Topic) -> bool:
        return self._is_image(topic) and self._shows_depth(topic)

    def _is_color(self, topic: Topic) -> bool:
        named = "image" in topic.name or any(word in topic.name for word in _COLOR_WORDS)
        encoding = self._encoding(topic)
        colored = encoding in COLOR_ENCODINGS and not encoding.startswith("mono")
        return self._is_image(topic) and (named or colored) and not self._shows_depth(topic)

    def _is_image(self, topic: Topic) -> bool:
        """By the part that says what is in it, from the end: a camera may be called ``iris`` or ``debug``."""
        if topic.type not in _IMAGES:
            return False
        parts = [part for part in topic.name.lower().split("/") if part not in _TRANSPORTS]
        for part in reversed(parts[-2:]):
            if _NOT_IMAGES.search(part):
                return False
            if "depth" in part or any(word in part for word in _COLOR_WORDS):
                return True
        return True

    def _encoding(self, topic: Topic) -> str:
        return self._samples[topic.name].encoding if topic.name in self._samples else ""

    def _shows_depth(self, topic: Topic) -> bool:
        """By the encoding where it is known, else by the last part of the name that says either."""
        encoding = self._encoding(topic)
        if encoding.startswith(_DEPTH_ENCODINGS) or "compressedDepth" in encoding:
            return True
        if encoding in COLOR_ENCODINGS and encoding != _EITHER:
            return False
        for part in reversed(topic.name.lower().split("/")):
            if "depth" in part and not part.startswith(_COLOR_WORDS):
                return True
            if any(word in part for word in _COLOR_WORDS):
                return False
        return False

    def _same_frame(self, first: str | None, second: str | None) -> bool:
        """Whether two topics may be of one camera: what is not known is no hindrance."""
        frames = {frame for frame in (self._frame(first), self._frame(second)) if frame}
        return len(frames) < 2

    def _frame(self, name: str | None) -> str:
        return self._samples[name].frame_id if name is not None and name in self._samples else ""


def _camera_name(topic: str) -> str:
    return topic.split("/")[1] if "/" in topic else topic


def _shared_parts(first: str, second: str) -> int:
    pairs = zip(first.split("/"), second.split("/"), strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), 0)
