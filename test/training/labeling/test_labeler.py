"""Labeling of many clips: what comes out, what is reported, and going on after a stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import blob_labeler
import numpy as np
import pytest

from unipose_ros.frame import RgbdFrame
from unipose_training.datasets.base import IndexedClip, open_clips
from unipose_training.datasets.keypoint_files import read_keypoints
from unipose_training.errors import DataError
from unipose_training.jobs import WorkersError, in_processes
from unipose_training.labeling.command import Report, label, main
from unipose_training.labeling.labeler import Job, Labeler, Outcome, Plan

Shards = Callable[[Path, int, int], list[Path]]


def label_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.npz"))}


@pytest.fixture
def plan() -> Plan:
    return Plan(blob_labeler.BlobLabeler())


def test_each_clip_gets_its_labels(tmp_path: Path, shards: Shards, plan: Plan) -> None:
    shards(tmp_path / "in", 3, 4)
    report = label(open_clips(tmp_path / "in"), tmp_path / "out", plan, 1, in_processes)
    assert (report.clips, report.labeled, report.frames, report.people) == (3, 3, 12, 9)
    labels = read_keypoints(tmp_path / "out" / "set" / "clip_2.keypoints.npz")
    assert (labels.clip, len(labels)) == ("set/clip_2", 4)
    assert labels.stamps_ns.tolist() == [1000, 1010, 1020, 1030]
    for n in range(3):  # the spot wanders 4 pixels a frame
        np.testing.assert_allclose(labels.keypoints_at(n).pixels[0, 0], [8 + 4 * (2 + n), 20], atol=2.5)
    assert len(labels.keypoints_at(3)) == 0


def test_some_frames_are_enough(tmp_path: Path, shards: Shards) -> None:
    shards(tmp_path / "in", 1, 5)
    label(open_clips(tmp_path / "in"), tmp_path / "out", Plan(blob_labeler.BlobLabeler(), every=2), 1, in_processes)
    labels = read_keypoints(tmp_path / "out" / "set" / "clip_0.keypoints.npz")
    assert labels.stamps_ns.tolist() == [1000, 1020, 1040]
    with pytest.raises(DataError, match="every is 0"):
        Plan(blob_labeler.BlobLabeler(), every=0)


def test_workers_change_nothing(tmp_path: Path, shards: Shards, plan: Plan) -> None:
    shards(tmp_path / "in", 5, 3)
    clips = open_clips(tmp_path / "in")
    label(clips, tmp_path / "one", plan, 1, in_processes)
    report = label(clips, tmp_path / "two", plan, 2, in_processes)
    assert report.labeled == 5
    assert len(label_files(tmp_path / "one")) == 5
    assert label_files(tmp_path / "one") == label_files(tmp_path / "two")


def test_what_is_labeled_is_not_labeled_again(tmp_path: Path, shards: Shards, plan: Plan) -> None:
    shards(tmp_path / "in", 3, 3)
    clips, out = open_clips(tmp_path / "in"), tmp_path / "out"
    label(clips, out, plan, 1, in_processes)
    whole = label_files(out)
    kept = out / "set" / "clip_0.keypoints.npz"
    before = kept.stat().st_mtime_ns
    (out / "set" / "clip_1.keypoints.npz").write_bytes(b"cut short")
    (out / "set" / "clip_2.keypoints.npz").unlink()
    (out / "set" / ".clip_2.keypoints.npz.123").write_bytes(b"half written by a run that was killed")
    report = label(clips, out, plan, 1, in_processes)
    assert (report.before, report.labeled) == (1, 2)
    assert label_files(out) == whole
    assert kept.stat().st_mtime_ns == before
    assert not list(out.rglob(".clip*"))
    assert json.loads((out / "labeling.json").read_text())["before"] == 1


def test_labels_of_another_teacher_are_not_mixed_in(tmp_path: Path, shards: Shards, plan: Plan) -> None:
    shards(tmp_path / "in", 1, 2)
    clips, out = open_clips(tmp_path / "in"), tmp_path / "out"
    label(clips, out, plan, 1, in_processes)
    with pytest.raises(DataError, match="labels of blob with weights 1, not 2; name another --output"):
        label(clips, out, Plan(blob_labeler.BlobLabeler("2")), 1, in_processes)
    with pytest.raises(DataError, match="labels of every = 1, not 3;"):
        label(clips, out, Plan(blob_labeler.BlobLabeler(), every=3), 1, in_processes)


def test_one_run_a_folder(tmp_path: Path, shards: Shards, plan: Plan) -> None:
    shards(tmp_path / "in", 1, 2)
    clips = open_clips(tmp_path / "in")

    @contextmanager
    def second(start: Any, workers: int) -> Iterator[Any]:
        with pytest.raises(DataError, match="another run is labeling into it"):
            label(clips, tmp_path / "out", plan, 1, in_processes)
        with in_processes(start, workers) as submit:
            yield submit

    assert label(clips, tmp_path / "out", plan, 1, second).labeled == 1


def test_two_clips_of_one_name_are_refused(tmp_path: Path, shards: Shards, plan: Plan) -> None:
    for folder in ("a", "b"):
        shards(tmp_path / folder, 1, 2)
    clips = [*open_clips(tmp_path / "a"), *open_clips(tmp_path / "b")]
    with pytest.raises(DataError, match="two clips are called 'set/clip_0'"):
        label(clips, tmp_path / "out", plan, 1, in_processes)


UNREADABLE = "unreadable frames, the first: second.png: no image"


class TwoFrames(IndexedClip):
    """The second of its frames cannot be read."""

    def __init__(self, camera: Any) -> None:
        super().__init__("pair", "", 2)
        self._camera = camera

    def frame_at(self, index: int) -> RgbdFrame:
        if index:
            raise DataError("second.png: no image")
        return RgbdFrame(5, "camera", self._camera, depth=np.full((48, 64), 2, np.float32))


def test_frames_that_cannot_be_read_are_counted(tmp_path: Path, shards: Shards) -> None:
    (path,) = shards(tmp_path / "in", 1, 2)
    camera = next(iter(open_clips(path)[0].frames())).camera
    job = Job(TwoFrames(camera), tmp_path / "pair.keypoints.npz")
    seen = Labeler(Plan(blob_labeler.BlobLabeler(), render_depth=True))(job)
    assert (seen.frames, seen.problem, dict(seen.losses)) == (1, "", {UNREADABLE: 1})
    assert dict(read_keypoints(job.path).losses) == dict(seen.losses)
    job.path.unlink()
    unseen = Labeler(Plan(blob_labeler.BlobLabeler()))(job)
    assert unseen.problem == (
        f"nothing to look at: 1 frames without color, 1 {UNREADABLE}; show depth with --render-depth"
    )
    assert not job.path.exists()


def test_damaged_clips_are_reported_and_the_others_labeled(
    tmp_path: Path, shards: Shards, plan: Plan, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    paths = shards(tmp_path / "in", 4, 2)
    paths[1].write_bytes(paths[1].read_bytes()[:-300])  # cannot be opened
    with np.load(paths[2]) as archive:
        arrays = {key: archive[key] for key in archive.files}
    arrays["color"] = arrays["color"] * 0  # opens, but its images are none
    np.savez(paths[2], **arrays)
    monkeypatch.setattr("unipose_training.labeling.command.MoveNetLabeler", lambda device: blob_labeler.BlobLabeler())
    assert main([str(tmp_path / "in"), "--output", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr().out
    assert "2 clips labeled: 2 people in 4 frames; 0 had been labeled before, 2 are damaged" in printed
    assert f"damaged: {paths[1]}: " in printed
    assert "damaged: set/clip_2: " in printed
    assert set(label_files(tmp_path / "out")) == {"set/clip_0.keypoints.npz", "set/clip_3.keypoints.npz"}
    report = json.loads((tmp_path / "out" / "labeling.json").read_text())
    assert (report["clips"], sorted(report["damaged"])) == (4, sorted([str(paths[1]), "set/clip_2"]))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "name recordings, or a data set"),
        (["x", "--dataset", "itop", "--root", "y"], "name recordings, or a data set"),
        (["--dataset", "itop"], "name recordings, or a data set"),
        (["--dataset", "itop", "--root", "/none"], "ITOP_side_test_labels.h5"),
    ],
)
def test_what_cannot_be_done_is_reported(
    tmp_path: Path, arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--output", str(tmp_path)]) == 1
    assert text in capsys.readouterr().err


SCRIPT = """
import sys
from pathlib import Path
from blob_labeler import BlobLabeler
from unipose_training.datasets.base import open_clips
from unipose_training.labeling.command import label
from unipose_training.jobs import in_processes
from unipose_training.labeling.labeler import Plan

if __name__ == "__main__":
    print(label(open_clips(Path(sys.argv[1])), Path(sys.argv[2]), Plan(BlobLabeler(seconds=0.05)), 2, in_processes))
"""


@pytest.mark.slow
def test_kill_9_loses_and_doubles_nothing(tmp_path: Path, shards: Shards) -> None:
    shards(tmp_path / "in", 12, 6)
    script, out = tmp_path / "run.py", tmp_path / "out"
    script.write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(script), str(tmp_path / "in"), str(out)]
    running = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    while not label_files(out):
        assert running.poll() is None, "it ended before it was killed"
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.communicate()  # ends when the workers, who hold its output too, have ended
    before = label_files(out)
    assert 0 < len(before) < 12
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert f"{12 - len(before)} clips labeled" in finished.stdout
    assert f"{len(before)} had been labeled before" in finished.stdout
    after = label_files(out)
    assert before.items() <= after.items()
    label(open_clips(tmp_path / "in"), tmp_path / "whole", Plan(blob_labeler.BlobLabeler()), 1, in_processes)
    assert after == label_files(tmp_path / "whole")


def test_a_worker_that_is_killed_is_explained(tmp_path: Path, shards: Shards) -> None:
    shards(tmp_path / "in", 3, 2)
    with pytest.raises(WorkersError, match=r"a worker was killed, .* with fewer --workers goes on"):
        label(open_clips(tmp_path / "in"), tmp_path / "out", Plan(blob_labeler.MortalLabeler()), 2, in_processes)


def test_counts_add_up() -> None:
    report = Report()
    report.add(Outcome("a", 3, 2, {"x": 1}))
    report.add(Outcome("b", 4, 0, {"x": 2, "y": 1}))
    report.add(Outcome("c", problem="gone"))
    assert (report.labeled, report.frames, report.people) == (2, 7, 2)
    assert report.losses == {"x": 3, "y": 1}
    assert report.damaged == {"c": "gone"}
