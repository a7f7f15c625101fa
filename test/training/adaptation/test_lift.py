"""3D pseudo-labels by frame: the same whoever makes them, and those of finished parts are kept."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import walkers
from blob_labeler import BlobLabeler

from unipose_ros.camera import Camera, project
from unipose_ros.frame import Skeletons
from unipose_ros.joint_sets import COCO17
from unipose_ros.keypoints import Keypoints2D
from unipose_training.adaptation import pipeline as module
from unipose_training.adaptation.lift import FusedRows, PartToFuse, part_fuser, parts_to_fuse
from unipose_training.adaptation.parts import ClipPart, Span
from unipose_training.adaptation.pipeline import Adaptation, Recording
from unipose_training.adaptation.settings import AdaptSettings, Stage
from unipose_training.datasets.base import RecordingClip, open_clips
from unipose_training.datasets.keypoint_files import KeypointLabels, LabelerId
from unipose_training.jobs import in_processes, share_out
from unipose_training.samples.store import SampleStore

WALK = RecordingClip(Path(__file__).resolve().parents[3] / "demo" / "walk")


def seen(people: Skeletons, camera: Camera) -> Keypoints2D:
    """What a 2D network would say of the body below the head."""
    pixels, confidences = np.zeros((len(people), 17, 2), np.float32), np.zeros((len(people), 17), np.float32)
    for number, name in enumerate(COCO17.landmarks):
        if name in people.joint_set.landmarks:
            pixels[:, number] = project(camera, people.positions[:, people.joint_set.landmarks.index(name)])
            confidences[:, number] = 0.9
    shown = pixels[:, confidences[0] > 0]
    boxes = np.concatenate([shown.min(axis=1), shown.max(axis=1)], axis=1)
    return Keypoints2D(pixels, confidences, np.full(len(people), 0.9, np.float32), boxes)


def part(first: int, end: int) -> PartToFuse:
    """Some frames of the demo's recording, whose rows are the people of the ground truth."""
    truth = list(WALK.ground_truth())[first:end]
    camera = next(iter(WALK.frames())).camera
    stamps = [people.stamp_ns for people in truth]
    labels = KeypointLabels.of_frames("walk", LabelerId("truth"), stamps, [seen(each, camera) for each in truth])
    clip = ClipPart(WALK, f"walk/{first}", Span(tuple(stamps)))
    rows = np.repeat(stamps, [len(each) for each in truth])
    return PartToFuse(clip, labels, rows, np.concatenate([each.positions for each in truth]).astype(np.float32))


@pytest.mark.slow
def test_parts_are_fused_alike_whoever_fuses_them_and_after_whatever() -> None:
    parts = [part(0, 3), part(30, 33)]
    one, two = (
        dict(share_out(jobs, partial(part_fuser, 1), workers, in_processes))
        for jobs, workers in ((parts, 1), (parts[::-1], 2))
    )
    for each in parts:
        assert np.isfinite(one[each].joints).mean() > 0.8
        for name in FusedRows._fields:
            np.testing.assert_array_equal(getattr(one[each], name), getattr(two[each], name))


def test_rows_are_those_of_their_clip(walks: Path, store: SampleStore) -> None:
    clips = open_clips(walks / "clips")
    jobs = parts_to_fuse(clips, [walkers.TEACHER] * len(clips), store)  # type: ignore[list-item]  # not looked at
    assert np.concatenate([job.stamps_ns for job in jobs]).tolist() == store["stamp_ns"].tolist()
    assert [job.part.name for job in jobs] == [clip.name for clip in store.clips]
    assert all({frame.stamp_ns for frame in job.part.frames()} >= set(job.stamps_ns.tolist()) for job in jobs)


class StoppedError(Exception):
    """As a kill."""


def test_what_is_fused_is_not_fused_again(
    tmp_path: Path, store: SampleStore, walks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fused: list[str] = []

    def fuser(threads: int, most: int) -> Any:
        def fuse(wanted: PartToFuse) -> FusedRows:
            if len(fused) == most:
                raise StoppedError
            fused.append(wanted.part.name)
            return FusedRows(wanted.lifted, np.full(wanted.lifted.shape[:2], 0.01, np.float32))

        return fuse

    recordings = [Recording(clip, clip.name) for clip in open_clips(walks / "clips")]
    adaptation = Adaptation(tmp_path, recordings, AdaptSettings(), BlobLabeler(), in_processes)
    monkeypatch.setattr(module, "_labels_of", lambda labels, parts: [None] * len(parts))
    spans = [(Span((1,)), Span((2,))) for _ in recordings]
    stores = {"adaptation": store, "held_out": store}
    for most in (4, 9):
        monkeypatch.setattr(module, "part_fuser", partial(fuser, most=most))
        try:
            adaptation._fuse_by_frame(tmp_path, Stage(tmp_path, "", {}), stores, spans)
        except StoppedError:
            assert len(fused) == 4
    names = [clip.name for clip in store.clips]
    assert fused == [f"{name}/{which}" for which in stores for name in names]
    for which in stores:
        files = [np.load(path) for path in module._by_frame(tmp_path, which, len(names))]
        np.testing.assert_array_equal(np.concatenate([each["joints"] for each in files]), store["lifted"])


def test_recordings_without_enough_frames_are_left_out(
    tmp_path: Path, walks: Path, caplog: pytest.LogCaptureFixture
) -> None:
    short = Recording(open_clips(walks / "clips")[0], "0")
    adaptation = Adaptation(
        tmp_path, [short, Recording(WALK, "1")], AdaptSettings(rate_hz=10), BlobLabeler(), in_processes
    )
    found = adaptation._frames(tmp_path)
    assert (found["clips"], len(found["spans"]), list(found["left_out"])) == (["walk"], 1, ["walk0"])
    assert "left out: walk0: 4 frames" in caplog.text
    with pytest.raises(module.AdaptationError, match="walk0: 2 frames"):
        Adaptation(tmp_path, [short], AdaptSettings(), BlobLabeler(), in_processes)._frames(tmp_path)
