"""Predicted people of held-out frames in a file, for the pictures of the report."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unipose_ros.files import write_atomic
from unipose_ros.frame import Skeletons
from unipose_ros.joint_sets import get_joint_set
from unipose_training.datasets.arrays import read_npz
from unipose_training.evaluation.report.before_after import FramePeople

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
