"""A recording divided by time: what is trained on, and the end of it that judges."""

from __future__ import annotations

import io
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unipose_ros.files import write_atomic
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.joint_sets import get_joint_set
from unipose_training.datasets.base import Clip
from unipose_training.datasets.io import read_npz
from unipose_training.errors import AdaptationError
from unipose_training.evaluation.report.images import FramePeople

ADAPTATION, HELD_OUT = "adaptation", "held_out"
#: Seconds between the two parts that belong to neither: successive frames are alike.
_GAP_S = 1.0
#: Fewer frames than this in a part say nothing.
_FEWEST = 8


@dataclass(frozen=True)
class Span:
    """Stamps of the frames of a part of a clip, rising."""

    stamps_ns: tuple[int, ...]


class ClipPart:
    """Chosen frames of a clip as a clip of its own. Ground truth is shown only where that is asked for.

    Args:
        clip: the whole recording.
        name: of the part.
        span: its frames.
        ground_truth: show the recording's ground truth, which is for judging only.
    """

    def __init__(self, clip: Clip, name: str, span: Span, ground_truth: bool = False) -> None:
        self._clip, self._span, self._shown = clip, frozenset(span.stamps_ns), ground_truth
        self._name, self._last = name, max(span.stamps_ns)

    @property
    def name(self) -> str:
        """Of the recording and the part."""
        return self._name

    @property
    def subset(self) -> str:
        """None."""
        return ""

    def __len__(self) -> int:
        return len(self._span)

    def frames(self) -> Iterator[RgbdFrame]:
        """The chosen frames in the order of time."""
        for frame in self._clip.frames():
            if frame.stamp_ns in self._span:
                yield frame
            if frame.stamp_ns >= self._last:
                return

    def ground_truth(self) -> Iterator[Skeletons]:
        """That of the recording, or nothing."""
        if self._shown:
            yield from (each for each in self._clip.ground_truth() if each.stamp_ns in self._span)

    def losses(self) -> Mapping[str, int]:
        """Those of the recording."""
        return self._clip.losses()


def thinned(stamps_ns: Sequence[int], rate_hz: float) -> list[int]:
    """Rising stamps of at most so many frames a second: each the first one in its slot of time."""
    period = 1e9 / rate_hz
    chosen: list[int] = []
    for stamp in sorted(stamps_ns):
        if not chosen or stamp - chosen[-1] >= 0.9 * period:
            chosen.append(stamp)
    return chosen


def divide(stamps_ns: Sequence[int], held_out: float, name: str) -> tuple[Span, Span]:
    """The beginning and the end of a recording, a second apart.

    Args:
        stamps_ns: of the chosen frames, rising.
        held_out: fraction of the time that the end has.

    Raises:
        AdaptationError: one of the two would have next to no frames.
    """
    if len(stamps_ns) < 2 * _FEWEST:
        raise AdaptationError(f"{name}: {len(stamps_ns)} frames of color and depth; record some minutes of people")
    start, end = stamps_ns[0], stamps_ns[-1]
    cut = end - held_out * (end - start)
    first = tuple(stamps_ns[: bisect_left(stamps_ns, cut - _GAP_S * 1e9)])
    second = tuple(stamps_ns[bisect_right(stamps_ns, cut) :])
    if min(len(first), len(second)) < _FEWEST:
        raise AdaptationError(
            f"{name}: {len(first)} frames to adapt to and {len(second)} to judge by, of {(end - start) * 1e-9:.0f} s; "
            "record some minutes of people"
        )
    return Span(first), Span(second)


def part_names(clip: str) -> tuple[str, str]:
    """Names of the two parts of a clip."""
    return f"{clip}/{ADAPTATION}", f"{clip}/{HELD_OUT}"


def open_parts(
    clips: Sequence[Clip], spans: Sequence[tuple[Span, Span]], which: str, ground_truth: bool = False
) -> list[ClipPart]:
    """One part of all clips.

    Args:
        spans: both parts of each clip.
        which: :data:`ADAPTATION` or :data:`HELD_OUT`.
    """
    number = (ADAPTATION, HELD_OUT).index(which)
    return [
        ClipPart(clip, part_names(clip.name)[number], both[number], ground_truth)
        for clip, both in zip(clips, spans, strict=True)
    ]


# Predicted people of held-out frames in a file, for the images of the report.

_PEOPLE = ("positions", "confidences", "status", "scores")
_FIELDS = (*_PEOPLE, "ids", "counts", "clips", "stamps", "names")


def write_predictions(path: Path, frames: Sequence[FramePeople]) -> None:
    """Write the people of some frames, of one joint set; equal people give equal bytes."""
    first = frames[0][1]
    arrays = {name: np.concatenate([getattr(people, name) for _, people in frames]) for name in _PEOPLE}
    buffer = io.BytesIO()
    np.savez(
        buffer,
        allow_pickle=False,
        **arrays,
        ids=np.array([name for _, people in frames for name in people.ids], "U8"),
        counts=np.array([len(people) for _, people in frames], np.int64),
        clips=np.array([clip for clip, _ in frames], np.int64),
        stamps=np.array([people.stamp_ns for _, people in frames], np.int64),
        names=np.array([first.frame_id, first.modality, first.joint_set.name]),
    )
    write_atomic(path, buffer.getvalue())


def read_predictions(path: Path) -> list[FramePeople]:
    """What :func:`write_predictions` wrote.

    Raises:
        DataError: it cannot be read.
    """
    stored = read_npz(path, _FIELDS, "delete the stage's folder, it is made again")
    frame_id, modality, joint_set = (str(name) for name in stored["names"])
    ends = np.cumsum(stored["counts"])
    frames: list[FramePeople] = []
    for clip, stamp, end, count in zip(stored["clips"], stored["stamps"], ends, stored["counts"], strict=True):
        rows = slice(int(end - count), int(end))
        people = {name: stored[name][rows] for name in _PEOPLE}
        ids = tuple(str(name) for name in stored["ids"][rows])
        frames.append(
            (
                int(clip),
                Skeletons(int(stamp), frame_id, modality, **people, ids=ids, joint_set=get_joint_set(joint_set)),
            )
        )
    return frames
