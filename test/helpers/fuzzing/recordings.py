"""Whole recordings: their files damaged, and sound ones with messages that are not."""

from __future__ import annotations

import random
import shutil
from collections.abc import Collection, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import yaml
from rosbags.highlevel import anyreader
from rosbags.rosbag2 import storage_mcap, storage_sqlite3
from rosbags.serde import cdr

from fuzzing.messages import CAMERA, FRAME, Messages, depth_and_color
from fuzzing.mutation import flip_bits, mutate_bytes, mutate_text, mutate_tree, odd_text, pack, unpack
from fuzzing.surface import Surface
from unipose_ros.frame import Skeletons
from unipose_ros.recordings import BagReader, BagWriter, RecordingError, RgbdRecording
from unipose_ros.recordings import messages as make
from unipose_ros.recordings.messages import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    IMAGE,
    POINT_CLOUD,
    SKELETON_ARRAY,
    message_types,
)
from unipose_ros.recordings.reader import RawMessage, Topic

_PERIOD = 33_333_333
_START = 5_000_000_000


def remember_types() -> None:
    """Let rosbags compile the same definitions once, not for every recording: nine tenths of the time go there."""
    compile_lines = lru_cache(1000)(lambda text: _compile(text.split("\n")))
    _compile = cdr.compile_lines
    cdr.compile_lines = lambda lines: compile_lines("\n".join(lines))  # type: ignore[assignment]
    types = lru_cache(1000)(anyreader.get_types_from_msg)
    anyreader.get_types_from_msg = lambda text, name: dict(types(text, name))  # type: ignore[assignment]
    for module in (storage_mcap, storage_sqlite3):
        parse = module.parse_qos
        cached = lru_cache(1000)(parse)
        module.parse_qos = lambda given, p=parse, r=cached: r(given) if isinstance(given, str) else p(given)


def write_bag(folder: Path, storage: str) -> Path:
    """Depth with its calibration, and color without; two frames."""
    depth, color = depth_and_color()
    with BagWriter(folder, storage) as writer:
        for number in range(2):
            at = _START + number * _PERIOD
            writer.write("/depth/camera_info", make.camera_info(at, FRAME, CAMERA), at)
            writer.write("/color/image/compressed", make.compressed_image(at, FRAME, color), at)
            writer.write("/depth/image", make.depth_image(at, FRAME, depth), at + 1)
    return folder


def _truth(stamp_ns: int) -> Skeletons:
    positions = np.zeros((1, 15, 3), np.float32) + [0, 0, 2.5]
    return Skeletons(
        stamp_ns, FRAME, "truth", positions.astype(np.float32), np.ones((1, 15), np.float32),
        np.full((1, 15), 2, np.uint8), np.ones(1, np.float32), ids=("abcde",),
    )  # fmt: skip


def read_all(reader: BagReader) -> int:
    """Everything that commands read of a recording; returns the number of frames."""
    _ = reader.topics, reader.duration_ns
    recording = RgbdRecording(reader)
    count = sum(1 for _ in recording.frames())
    if recording.topics.ground_truth is not None:
        sum(1 for _ in recording.ground_truth())
    return count


class _Bag(Surface):
    refusals = (RecordingError,)
    storage: ClassVar[str]
    suffix: ClassVar[str]

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        remember_types()
        self.good = write_bag(folder / "good", self.storage)
        self.file = next(path.name for path in self.good.iterdir() if path.suffix == self.suffix)
        self.data = (self.good / self.file).read_bytes()
        self.metadata = (self.good / "metadata.yaml").read_text()

    def read(self, case: bytes) -> None:
        folder = self.folder / "bag"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, data in unpack(case):
            (folder / name).write_bytes(data)
        with BagReader(folder) as reader:
            read_all(reader)

    def generate(self, rng: random.Random) -> bytes:
        parts = [(self.file, self.spoiled(rng) if rng.random() < 0.85 else self.data)]
        pick = rng.random()
        if pick < 0.2:
            parts.append(("metadata.yaml", self.metadata.encode()))
        elif pick < 0.4:
            parts.append(("metadata.yaml", self.spoiled_metadata(rng)))
        return pack(parts)

    def spoiled(self, rng: random.Random) -> bytes:
        """The storage file, damaged."""
        return mutate_bytes(rng, self.data)

    def spoiled_metadata(self, rng: random.Random) -> bytes:
        """What describes the files, damaged as text or as what it says."""
        if rng.random() < 0.4:
            return mutate_text(rng, self.metadata).encode("utf-8", "surrogatepass")
        made = mutate_tree(rng, yaml.safe_load(self.metadata))
        return yaml.dump(made).encode("utf-8", "surrogatepass")


class McapBags(_Bag):
    """Bytes of ``.mcap`` files and of ``metadata.yaml``; records lost, doubled, reordered."""

    name, about, storage, suffix = "bags_mcap", "recordings in mcap: bytes, records, metadata", "mcap", ".mcap"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.records = _records(self.data)

    def spoiled(self, rng: random.Random) -> bytes:
        """Records lost, doubled or exchanged in a third of all cases."""
        if rng.random() < 0.65:
            return super().spoiled(rng)
        records = list(self.records)
        for _ in range(rng.choice((1, 1, 2, 5))):
            at, other = rng.randrange(len(records)), rng.randrange(len(records))
            kind = rng.randrange(4)
            if kind == 0 and len(records) > 1:
                del records[at]
            elif kind == 1:
                records.insert(at, records[other])
            elif kind == 2:
                records[at], records[other] = records[other], records[at]
            else:
                records[at] = records[at][:9] + mutate_bytes(rng, records[at][9:])
                records[at] = records[at][:1] + (len(records[at]) - 9).to_bytes(8, "little") + records[at][9:]
        return self.data[:8] + b"".join(records) + self.data[-8:]


def _records(data: bytes) -> list[bytes]:
    """The records between the magic numbers: opcode, 8 bytes of length, content (mcap.dev/spec)."""
    found, at = [], 8
    while at + 9 <= len(data) - 8:
        size = 9 + int.from_bytes(data[at + 1 : at + 9], "little")
        found.append(data[at : at + size])
        at += size
    return found


class SqliteBags(_Bag):
    """Bytes of ``.db3`` files and of ``metadata.yaml``."""

    name, about, storage, suffix = "bags_sqlite3", "recordings in sqlite3: bytes, metadata", "sqlite3", ".db3"


class BagMessages(Surface):
    """Sound recordings of messages that are not."""

    name, about = "bag_messages", "sound recordings of damaged and odd messages, topics, types and stamps"
    refusals = (RecordingError,)
    _TOPICS: ClassVar[dict[str, str]] = {
        "/color/camera_info": CAMERA_INFO,
        "/depth/camera_info": CAMERA_INFO,
        "/color/image": IMAGE,
        "/color/image/compressed": COMPRESSED_IMAGE,
        "/depth/image": IMAGE,
        "/depth/image/compressedDepth": COMPRESSED_IMAGE,
        "/points": POINT_CLOUD,
        "/ground_truth": SKELETON_ARRAY,
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.messages = Messages()

    def generate(self, rng: random.Random) -> bytes:
        chosen = [topic for topic in self._TOPICS if rng.random() < 0.6]
        parts = []
        for number in range(rng.choice((1, 2, 3))):
            for topic in chosen:
                at = _START + int(number * _PERIOD * rng.choice((0, 1, 1, 1, -1))) + rng.choice((0, 0, 0, -_START))
                data = self._one(rng, topic, max(at, 0))
                if rng.random() < 0.3:
                    data = rng.choice((mutate_bytes, flip_bits))(rng, data)
                if rng.random() < 0.05:
                    data = data[: rng.choice((0, 1, 3, 4, 11, 12, 13))]
                parts.append((topic, data))
        return pack(parts)

    def _one(self, rng: random.Random, topic: str, stamp_ns: int) -> bytes:
        kind = self._TOPICS[topic]
        if kind == SKELETON_ARRAY:
            message = make.skeleton_array(_truth(stamp_ns))
            if rng.random() < 0.5:
                self._spoil_truth(rng, message)
            return self.messages.cdr(message, kind)
        made: Any = {
            CAMERA_INFO: self.messages.info,
            POINT_CLOUD: self.messages.cloud,
            IMAGE: lambda r: self.messages.image(r, "color" in topic),
            COMPRESSED_IMAGE: lambda r: self.messages.compressed(r, "color" in topic),
        }[kind](rng)
        message = self.messages.message(made, kind)
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
        if rng.random() < 0.05:
            message.header.frame_id = rng.choice(("", "other", "\x00", "a" * 300))
        return self.messages.cdr(message, kind)

    def _spoil_truth(self, rng: random.Random, message: Any) -> None:
        if rng.random() < 0.3:
            message.joint_set = rng.choice(("", "coco17", "empty", "\x00"))
        for person in message.skeletons:
            name = rng.choice(("positions", "confidences", "status", "covariances", "id", "score", "state"))
            value = getattr(person, name)
            if isinstance(value, np.ndarray):
                setattr(person, name, value[: rng.randrange(value.size + 1)])
            elif isinstance(value, str):
                person.id = odd_text(rng)[:300]

    def read(self, case: bytes) -> None:
        parts = [(topic, data) for topic, data in unpack(case) if topic in self._TOPICS]
        with _MemoryBag(parts, self._TOPICS) as reader:
            read_all(reader)


class _MemoryBag(BagReader):
    """A recording of messages in memory: a file takes a hundred times as long."""

    def __init__(self, parts: list[tuple[str, bytes]], kinds: dict[str, str]) -> None:
        super().__init__("recording")
        self._raw = [RawMessage(topic, kinds[topic], _START + n, data) for n, (topic, data) in enumerate(parts)]

    def __enter__(self) -> _MemoryBag:
        return self

    @property
    def topics(self) -> dict[str, Topic]:
        names = sorted({(raw.topic, raw.type) for raw in self._raw})
        return {name: Topic(name, kind, sum(raw.topic == name for raw in self._raw)) for name, kind in names}

    @property
    def duration_ns(self) -> int:
        return len(self._raw)

    def raw(self, topics: Collection[str] | None = None) -> Iterator[RawMessage]:
        return (raw for raw in self._raw if topics is None or raw.topic in topics)

    def unpack(self, raw: RawMessage) -> Any:
        try:
            return message_types().deserialize_cdr(raw.data, raw.type)
        except Exception as error:  # as the base class does
            raise RecordingError(str(error)) from error


SURFACES = (McapBags, SqliteBags, BagMessages)
