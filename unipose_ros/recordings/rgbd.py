"""A recording as a sequence of RGB-D frames, and which of its color images goes with which depth image."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from unipose_ros.decoding import BadInputError, FrameDecoder, blame
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.joint_sets import JointSetError
from unipose_ros.recordings.messages import TF_MESSAGE, RecordingError, read_skeletons, read_stamp, stamp_of, untimely
from unipose_ros.recordings.reader import BagReader, RawMessage
from unipose_ros.recordings.topics import RgbdTopics, detect_topics, sample_topics
from unipose_ros.transforms import TransformError, TransformTree

#: Images that wait for their partner; those beyond are read a second time when it comes.
_WAITING = 64

_log = logging.getLogger(__name__)


class RgbdRecording:
    """Frames and ground truth of an open recording.

    Depth comes from a depth image or, without one, from a point cloud. A recording with only
    one of color and depth gives frames with that one. What the pose node would refuse is refused here, for the same
    reasons: see :mod:`unipose_ros.decoding`. Depth of another frame than color's is registered through the recording's
    transforms.

    Args:
        reader: an open recording.
        topics: roles that the user has named; the others are detected.
        max_gap_ns: largest difference of paired stamps; half a frame period when ``None``.
        fixed_frame: a frame that stands still, in which frames say where the camera is; empty for none.

    Attributes:
        topics: the topics in use.
        dropped: how many images did not become part of a frame, by reason: the decoder's, ``zero_stamp``,
            ``repeated_stamp``, ``late_stamp``, ``no_partner``, ``damaged``, and ``camera_info`` that cannot be read.
        remarks: how many frames something looks wrong with, by the decoder's reasons, and ``fixed_frame``: those
            whose camera's pose is not known.

    Raises:
        RecordingError: there is neither color nor depth, or no camera_info for them.
    """

    def __init__(
        self,
        reader: BagReader,
        topics: RgbdTopics | None = None,
        max_gap_ns: int | None = None,
        fixed_frame: str = "",
    ) -> None:
        self.topics = detect_topics(reader.topics, topics, sample_topics(reader))
        self.dropped: Counter[str] = Counter()
        self.remarks: Counter[str] = Counter()
        self._reader = reader
        self._max_gap_ns = max_gap_ns
        self._depth_topic = self.topics.depth or self.topics.points
        self._fixed_frame = fixed_frame
        self._tree: TransformTree | None = None
        has_transforms = any(topic.type == TF_MESSAGE for topic in reader.topics.values())
        self._decoder = FrameDecoder(self._rectified(), self._transform if has_transforms else None)
        self._with_info: set[str] = set()
        if not self._depth_topic and not self.topics.color:
            raise RecordingError(
                f"{reader.path}: neither a color nor a depth topic was found among "
                f"{', '.join(reader.topics) or 'no topics'}; name them with --color and --depth"
            )
        if not self._info_topics():
            raise RecordingError(f"{reader.path}: no sensor_msgs/CameraInfo topic; record camera_info with the images")

    def frames(self) -> Iterator[RgbdFrame]:
        """Frames in the order of their recording.

        The recording is read twice: once for the stamps, so that the pairing does not depend on
        the order in which color and depth were written, and once for the images.
        """
        self._begin()
        partner_of = self._pair()
        # Both passes meet the camera_infos; the second one counts.
        self.dropped.pop("camera_info", None)
        with _Waiting(self._reader) as waiting:
            for raw in self._reader.raw(self._stream_topics()):
                if raw.topic in self._info_topics():
                    self._take_info(raw)
                    continue
                stamp = self._stamp(raw)
                if stamp is None or stamp not in partner_of[raw.topic]:
                    continue
                # Once used, a stamp that comes again is a repetition, counted while pairing.
                other = partner_of[raw.topic].pop(stamp)
                partner = None if other is None else waiting.take(self._other(raw.topic), other)
                if other is not None and partner is None:
                    waiting.put(raw, stamp)
                    continue
                frame = self._frame(raw, partner)
                if frame is not None:
                    yield frame

    def stamps(self) -> list[int]:
        """Stamps of the frames in their order, without a look at the images; some may prove undecodable."""
        self._begin()
        return sorted(self._pair()[str(self._depth_topic or self.topics.color)])

    def ground_truth(self) -> Iterator[Skeletons]:
        """Ground truth skeletons, where the recording has them.

        Raises:
            RecordingError: it has none, or they cannot be read.
        """
        if self.topics.ground_truth is None:
            raise RecordingError(
                f"{self._reader.path}: there are no true skeletons in it (no SkeletonArray on '*truth*')"
            )
        for message in self._reader.messages([self.topics.ground_truth]):
            try:
                yield read_skeletons(message.value)
            except JointSetError as error:
                raise RecordingError(f"{self._reader.path}: '{self.topics.ground_truth}': {error}") from error

    def _begin(self) -> None:
        self.dropped.clear()
        self.remarks.clear()

    def _info_topics(self) -> dict[str, tuple[str, ...]]:
        """camera_info topics in use, and whose calibration they are to the decoder."""
        roles: dict[str, tuple[str, ...]] = {}
        for name, image, topic in (
            ("color", self.topics.color, self.topics.color_info),
            ("depth", self._depth_topic, self.topics.depth_info),
        ):
            if image and topic:
                roles[topic] = (*roles.get(topic, ()), name)
        return roles

    def _other(self, topic: str) -> str:
        return str(self.topics.color if topic == self._depth_topic else self._depth_topic)

    def _stream_topics(self) -> list[str]:
        return [topic for topic in (self.topics.color, self._depth_topic, *self._info_topics()) if topic]

    def _pair(self) -> dict[str, dict[int, int | None]]:
        """For each stream the stamp of every usable image's partner, ``None`` for an only stream."""
        stamps: dict[str, list[int]] = {t: [] for t in (self.topics.color, self._depth_topic) if t}
        for raw in self._reader.raw(self._stream_topics()):
            if raw.topic in self._info_topics():
                # An image may be recorded before the first camera_info.
                if raw.topic not in self._with_info:
                    self._take_info(raw)
            else:
                self._take_stamp(raw, stamps[raw.topic])
        stamps = {topic: self._timely(topic, found) for topic, found in stamps.items()}
        if len(stamps) == 1:
            return {topic: dict.fromkeys(found) for topic, found in stamps.items()}
        color, depth = (stamps[topic] for topic in (self.topics.color, self._depth_topic) if topic)
        pairs = pair_stamps(color, depth, self._max_gap_ns)
        alone = len(color) + len(depth) - 2 * len(pairs)
        if alone:
            self.dropped["no_partner"] += alone
            self._explain_alone(color, depth, bool(pairs))
        partners: dict[str, dict[int, int | None]] = {topic: {} for topic in stamps}
        for depth_stamp, color_stamp in pairs.items():
            partners[str(self._depth_topic)][depth_stamp] = color_stamp
            partners[str(self.topics.color)][color_stamp] = depth_stamp
        return partners

    def _explain_alone(self, color: list[int], depth: list[int], some: bool) -> None:
        """Say why images have no partner: one of them was lost, or their clocks differ."""
        if not (color and depth):
            there, absent = (self.topics.color, self._depth_topic) if color else (self._depth_topic, self.topics.color)
            why = f"there are images on '{there}' and none on '{absent}'"
        elif some:
            why = "the other one was lost while recording, or is stamped at another time"
        else:
            others = np.sort(color)
            right = np.searchsorted(others, depth).clip(max=len(others) - 1)
            nearest = np.minimum(np.abs(others[right] - depth), np.abs(others[np.maximum(right - 1, 0)] - depth))
            why = (
                f"stamps of color and depth are {float(np.median(nearest)) / 1e9:.3g} s apart (median); one clock must "
                "stamp both with the time at which they were taken: let the driver synchronize them"
            )
        _log.warning("%s: %d images have no partner: %s", self._reader.path, self.dropped["no_partner"], why)

    def _stamp(self, raw: RawMessage) -> int | None:
        """The stamp of a message; ``None`` for one that is too short to have one."""
        try:
            return read_stamp(raw.data)
        except ValueError:
            return None

    def _take_stamp(self, raw: RawMessage, stamps: list[int]) -> None:
        stamp = self._stamp(raw)
        if stamp is None:
            self._drop("damaged", raw, f"a message of {len(raw.data)} bytes has no header")
        elif stamp <= 0:
            self._drop("zero_stamp", raw, "the header's stamp is zero; let the driver stamp its images")
        elif stamp in stamps[-1000:]:
            self._drop("repeated_stamp", raw, f"stamp {stamp} came before")
        else:
            stamps.append(stamp)

    def _timely(self, topic: str, stamps: list[int]) -> list[int]:
        if off := untimely(stamps):
            self.dropped["late_stamp"] += len(off)
            _log.warning(
                "%s: '%s': %d stamps are off the time of the others; dropped", self._reader.path, topic, len(off)
            )
        return [stamp for stamp in stamps if stamp not in off]

    def _take_info(self, raw: RawMessage) -> None:
        try:
            info = self._reader.unpack(raw)
        except RecordingError as error:
            self._drop("camera_info", raw, str(error))
            return
        self._with_info.add(raw.topic)
        for name in self._info_topics()[raw.topic]:
            self._decoder.set_info(name, info)

    def _rectified(self) -> frozenset[str]:
        """REP-104 has rectified images in topics named ``image_rect*``."""
        images = {"color": self.topics.color, "depth": self.topics.depth}
        return frozenset(name for name, topic in images.items() if "image_rect" in str(topic))

    def _frame(self, raw: RawMessage, partner: RawMessage | None) -> RgbdFrame | None:
        by_topic = {message.topic: message for message in (raw, partner) if message is not None}
        color, depth = (by_topic.get(str(topic)) for topic in (self.topics.color, self._depth_topic))
        try:
            messages: list[Any] = []
            for reason, message in (("color_image", color), ("depth_image", depth)):
                with blame(reason):
                    messages.append(None if message is None else self._reader.unpack(message))
            lead = messages[0] if messages[1] is None else messages[1]
            frame = self._decoder.decode(messages[0], messages[1], stamp_of(lead))
        except BadInputError as error:
            blamed = {"color_image": color, "depth_image": depth}.get(error.reason)
            self._drop(error.reason, blamed or raw, str(error))
            return None
        for reason, text in self._decoder.remarks.items():
            self._remark(reason, text)
        return self._with_pose(frame) if self._fixed_frame else frame

    def _with_pose(self, frame: RgbdFrame) -> RgbdFrame:
        try:
            pose = self._transform(self._fixed_frame, frame.frame_id, frame.stamp_ns)
        except TransformError as error:
            self._remark("fixed_frame", f"the camera's pose in '{self._fixed_frame}' is not known: {error}")
            return frame
        return replace(frame, camera_pose=pose)

    def _transform(self, target: str, source: str, stamp_ns: int) -> NDArray[np.float64]:
        if self._tree is None:
            self._tree = read_transforms(self._reader)
        return self._tree.lookup(target, source, stamp_ns)

    def _remark(self, reason: str, text: str) -> None:
        if not self.remarks[reason]:
            _log.warning("%s: %s", self._reader.path, text)
        self.remarks[reason] += 1

    def _drop(self, reason: str, raw: RawMessage, detail: str) -> None:
        """Count a lost image, and say so the first time a reason comes up."""
        if not self.dropped[reason]:
            _log.warning("%s: '%s': dropped, %s: %s", self._reader.path, raw.topic, reason, detail)
        self.dropped[reason] += 1


def read_transforms(reader: BagReader) -> TransformTree:
    """All of a recording's transforms; those of a latched topic, or of one called ``tf_static``, hold at any time."""
    tree = TransformTree()
    with BagReader(reader.path) as again:  # the reader itself may be in the middle of its messages
        topics = {name: topic for name, topic in again.topics.items() if topic.type == TF_MESSAGE}
        for message in again.messages(list(topics)):
            topic = topics[message.topic]
            tree.add(message.value.transforms, static=topic.latched or topic.name.endswith("tf_static"))
    return tree


class _Waiting:
    """Images that wait for their partner: so many in memory, the others to be read again.

    A recording may hold all of one topic before the other.
    """

    def __init__(self, reader: BagReader) -> None:
        self._path = reader.path
        self._held: dict[tuple[str, int], RawMessage] = {}
        self._left: set[tuple[str, int]] = set()
        self._readers: list[BagReader] = []
        self._again: dict[str, Iterator[RawMessage]] = {}

    def __enter__(self) -> _Waiting:
        return self

    def __exit__(self, *_: object) -> None:
        for reader in self._readers:
            reader.__exit__(None, None, None)

    def put(self, raw: RawMessage, stamp: int) -> None:
        """Let an image wait."""
        if len(self._held) < _WAITING:
            self._held[raw.topic, stamp] = raw
        else:
            self._left.add((raw.topic, stamp))

    def take(self, topic: str, stamp: int) -> RawMessage | None:
        """An image that waits; ``None`` where it has not come yet."""
        held = self._held.pop((topic, stamp), None)
        if held is not None or (topic, stamp) not in self._left:
            return held
        self._left.discard((topic, stamp))
        if topic not in self._again:
            self._readers.append(BagReader(self._path).__enter__())
            self._again[topic] = self._readers[-1].raw([topic])
        for raw in self._again[topic]:
            found = read_stamp(raw.data) if len(raw.data) >= 12 else -1
            if found == stamp:
                return raw
            if (topic, found) in self._left:
                # Partners come in another order.
                self._left.discard((topic, found))
                self._held[topic, found] = raw
        return None


def pair_stamps(color: Sequence[int], depth: Sequence[int], max_gap_ns: int | None = None) -> dict[int, int]:
    """Pair two streams by their stamps, each image at most once, as the robot does.

    Args:
        color, depth: stamps in nanoseconds, in any order, without repetitions.
        max_gap_ns: near stamps differ by less than this; half of the slower stream's period when ``None``.

    Returns:
        Stamp of the color image by stamp of the depth image.
    """
    pairing: StampPairing[int] = StampPairing(max_gap_ns or 0)
    arrivals = sorted((stamp, stream) for stream, stamps in enumerate((color, depth)) for stamp in stamps)
    pairs = [pair for stamp, stream in arrivals for pair in pairing.add(stream, stamp, stamp)]
    return {depth_stamp: color_stamp for color_stamp, depth_stamp in [*pairs, *pairing.finish()]}


# Pairing by stamps: one rule on the robot and in recordings.
#
# Equal stamps belong together. When neither stream has an equal stamp for ten messages, drivers do not
# synchronize their cameras, and the nearest stamps within half of the slower stream's period belong together
# (the rule of message_filters' ``ApproximateTimeSynchronizer``: a message takes the nearest one that waits, at once).

#: After so many messages on both streams without an equal stamp, near stamps are accepted.
PATIENCE = 10
#: Stamp differences that the period is the median of, and how many it takes to know it while more are to come.
_PERIODS, _LEAST_PERIODS = 30, 3

Item = TypeVar("Item")


class StampPairing(Generic[Item]):
    """Takes the items of two streams as they come, and says which belong together.

    Args:
        max_offset_ns: near stamps differ by less than this; 0 for half of the slower stream's period.
        queue_size: items of each stream that wait for a partner; the one with the oldest stamp gives way.
    """

    def __init__(self, max_offset_ns: int = 0, queue_size: int = 10) -> None:
        self._max_offset_ns = max_offset_ns
        self._queue_size = queue_size
        self.restart()

    @property
    def slop_ns(self) -> float | None:
        """How far apart stamps may be; ``None`` while only equal ones are paired."""
        return self._slop_ns

    def restart(self) -> None:
        """Forget everything that waits and begin with equal stamps again."""
        self._waiting: tuple[dict[int, Item], dict[int, Item]] = ({}, {})
        self._steps: tuple[deque[int], ...] = (deque(maxlen=_PERIODS), deque(maxlen=_PERIODS))
        self._last: list[int | None] = [None, None]
        self._unpaired = [0, 0]
        self._paired_exactly = False
        self._slop_ns: float | None = None

    def add(self, stream: int, stamp_ns: int, item: Item) -> list[tuple[Item, Item]]:
        """Take one item.

        Args:
            stream: 0 or 1.
            stamp_ns: its stamp.

        Returns:
            The pairs that this completes, oldest first, each with the item of stream 0 before that of stream 1:
            at most one, but for the moment in which near stamps are accepted: then also those that have waited.
        """
        self._see(stream, stamp_ns)
        self._waiting[stream][stamp_ns] = item
        while len(self._waiting[stream]) > self._queue_size:
            del self._waiting[stream][min(self._waiting[stream])]
        self._unpaired[stream] += 1
        pair = self._match(stream, stamp_ns)
        if pair is not None:
            return [pair]
        return self._relax(_LEAST_PERIODS) if min(self._unpaired) >= PATIENCE else []

    def finish(self) -> list[tuple[Item, Item]]:
        """No more will come: if there never was an equal stamp, what waits is paired by near ones."""
        return [] if self._paired_exactly else self._relax(1)

    def _see(self, stream: int, stamp_ns: int) -> None:
        previous, self._last[stream] = self._last[stream], stamp_ns
        if previous is not None and stamp_ns > previous:
            self._steps[stream].append(stamp_ns - previous)

    def _match(self, stream: int, stamp_ns: int) -> tuple[Item, Item] | None:
        others = self._waiting[1 - stream]
        partner = stamp_ns if stamp_ns in others else self._nearest(stamp_ns, others)
        if partner is None:
            return None
        self._paired_exactly |= partner == stamp_ns
        self._unpaired = [0, 0]
        own, other = self._waiting[stream].pop(stamp_ns), others.pop(partner)
        return (own, other) if stream == 0 else (other, own)

    def _nearest(self, stamp_ns: int, others: dict[int, Item]) -> int | None:
        if self._slop_ns is None or not others:
            return None
        nearest = min(others, key=lambda stamp: (abs(stamp - stamp_ns), stamp))
        return nearest if abs(nearest - stamp_ns) < self._slop_ns else None

    def _relax(self, least: int) -> list[tuple[Item, Item]]:
        """Accept near stamps from now on, and give those that have waited, as they would have been paired."""
        periods = [float(np.median(steps)) for steps in self._steps if len(steps) >= least]
        if self._slop_ns is not None or not (periods or self._max_offset_ns):
            return []
        # The slower stream sets the pace: half of its period cannot confuse two frames.
        self._slop_ns = self._max_offset_ns or max(periods) / 2
        waited, self._waiting = self._waiting, ({}, {})
        arrivals = sorted((stamp, stream) for stream in (0, 1) for stamp in waited[stream])
        pairs = []
        for stamp, stream in arrivals:
            self._waiting[stream][stamp] = waited[stream][stamp]
            pair = self._match(stream, stamp)
            pairs += [] if pair is None else [pair]
        return pairs
