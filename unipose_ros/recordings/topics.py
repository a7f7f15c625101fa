"""Which topics of a recording are the colour, the depth and the cameras."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace

from unipose_ros.recordings.errors import RecordingError
from unipose_ros.recordings.reader import Topic
from unipose_ros.recordings.types import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, POINT_CLOUD, SKELETON_ARRAY

_IMAGES = (IMAGE, COMPRESSED_IMAGE)
_TYPES: dict[str, tuple[str, ...]] = {
    "colour": _IMAGES,
    "colour_info": (CAMERA_INFO,),
    "depth": _IMAGES,
    "depth_info": (CAMERA_INFO,),
    "points": (POINT_CLOUD,),
    "truth": (SKELETON_ARRAY,),
}
_COLOUR_WORDS = ("color", "colour", "rgb")
#: Depth drawn in the colour camera's pixels, by the names that RealSense, Azure Kinect and OpenNI drivers give it.
_REGISTERED_WORDS = ("aligned_depth", "depth_to_rgb", "depth_registered", "depth_to_color")
_NOT_PICTURES = ("infra", "/ir", "mask", "confidence", "debug", "label", "disparity")


@dataclass(frozen=True)
class RgbdTopics:
    """Topic names by role; ``None`` where there is none."""

    colour: str | None = None
    colour_info: str | None = None
    depth: str | None = None
    depth_info: str | None = None
    points: str | None = None
    truth: str | None = None


def detect_topics(topics: Mapping[str, Topic], chosen: RgbdTopics | None = None) -> RgbdTopics:
    """Find the RGB-D topics by type and name.

    Raw images are preferred to compressed ones, depth registered to colour to other depth.

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
        colour=given.colour or _best(_images(topics, _is_colour), _COLOUR_WORDS),
        depth=given.depth or _best(_images(topics, _is_depth), _REGISTERED_WORDS),
        points=given.points or _best((t for t in topics.values() if t.type == POINT_CLOUD), ("depth", "points")),
        truth=given.truth
        or _best((t for t in topics.values() if t.type == SKELETON_ARRAY and "truth" in t.name), ("skeletons",)),
    )
    return replace(
        found,
        colour_info=found.colour_info or _info_of(topics, found.colour),
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
        if topic.type in _IMAGES and fits(topic.name) and not any(word in topic.name for word in _NOT_PICTURES)
    ]


def _is_depth(name: str) -> bool:
    return "depth" in name


def _is_colour(name: str) -> bool:
    return not _is_depth(name) and ("image" in name or any(word in name for word in _COLOUR_WORDS))


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
