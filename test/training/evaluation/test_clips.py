from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from unipose_ros.camera import Camera, project
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.joint_sets import COCO23
from unipose_ros.recordings import BagWriter, RecordingError
from unipose_ros.recordings.messages import camera_info, depth_image, image, skeleton_array
from unipose_training.datasets.base import Clip, RecordingClip, open_clips
from unipose_training.datasets.joint_sets import in_joint_set
from unipose_training.datasets.shards import LabeledFrame, write_shard
from unipose_training.errors import DataError
from unipose_training.evaluation.run import evaluate_clips

CAMERA = Camera(60.0, 60.0, 31.5, 23.5, 64, 48)


def record(folder: Path, people, standing: np.ndarray, frames: int = 4, ground_truth: bool = True) -> Path:
    """Frames of one color each, the number of the frame."""
    with BagWriter(folder) as writer:
        for t in range(1, frames + 1):
            stamp = t * 100_000_000
            writer.write("/color/camera_info", camera_info(stamp, "camera", CAMERA), stamp)
            color = np.full((48, 64, 3), t % 256, np.uint8)
            writer.write("/color/image", image(stamp, "camera", color, "rgb8"), stamp)
            depth = np.full((48, 64), 2.0, np.float32)
            writer.write("/depth/image", depth_image(stamp, "camera", depth), stamp)
            if ground_truth:
                writer.write("/truth/skeletons", skeleton_array(people([standing], stamp, ["anna"])), stamp)
    return folder


def test_a_recording_is_a_clip(tmp_path: Path, people, standing: np.ndarray) -> None:
    (clip,) = open_clips(record(tmp_path / "walk", people, standing))
    assert (clip.name, clip.subset, len(clip)) == ("walk", "", 4)
    assert [int(frame.color[0, 0, 0]) for frame in clip.frames() if frame.color is not None] == [1, 2, 3, 4]
    assert [t.stamp_ns for t in clip.ground_truth()] == [f.stamp_ns for f in clip.frames()]
    assert clip.losses() == {}


def test_the_storage_file_alone_is_a_clip_too(tmp_path: Path, people, standing: np.ndarray) -> None:
    folder = record(tmp_path / "walk", people, standing)
    assert RecordingClip(next(folder.glob("*.mcap"))).name == next(folder.glob("*.mcap")).stem
    assert RecordingClip(folder, subset="single").subset == "single"


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_recordings_of_cameras_that_are_not_upright_are_turned_with_their_ground_truth(
    tmp_path: Path, people, standing: np.ndarray, degrees: int
) -> None:
    path = record(tmp_path / "walk", people, standing / 2 + [0.3, 0.1, 3.0], frames=1)
    (upright,), (clip,) = open_clips(path), open_clips(path, mounting=degrees)
    (before,), (frame,) = upright.frames(), clip.frames()
    (true,), (turned,) = upright.ground_truth(), clip.ground_truth()
    assert (frame.camera.width, frame.camera.height) == ((64, 48) if degrees == 180 else (48, 64))
    image = np.zeros((before.camera.height, before.camera.width), np.uint8)
    joint = int(np.flatnonzero(np.isfinite(true.positions[0]).all(axis=1))[-1])
    u, v = np.rint(project(before.camera, true.positions[0, joint])).astype(int)
    image[v, u] = 1
    u, v = np.rint(project(frame.camera, turned.positions[0, joint])).astype(int)
    assert np.rot90(image, -degrees // 90)[v, u] == 1


class SeesUprightPeople:
    """Finds a person where the upper edge of the color image is bright."""

    modality = "points"
    last_keypoints = None

    def __init__(self, person: Callable[[int], Skeletons]) -> None:
        self._person = person

    def reset(self) -> None:
        """It remembers nothing."""

    def estimate(self, frame: RgbdFrame, clock: object = None) -> Skeletons:
        assert frame.color is not None
        person = self._person(frame.stamp_ns)
        return person.select(np.array([bool((frame.color[0] > 200).all())]))


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_recording_of_a_turned_camera_is_said_to_be_one(
    degrees: int, tmp_path: Path, people, standing: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    upright = np.zeros((48, 48, 3), np.uint8)
    upright[0] = 255
    stored = np.ascontiguousarray(np.rot90(upright, degrees // 90))  # turned clockwise by degrees it is upright
    camera = Camera(60.0, 60.0, 23.5, 23.5, 48, 48)
    with BagWriter(tmp_path / "walk") as writer:
        for stamp in range(100_000_000, 900_000_000, 100_000_000):
            writer.write("/color/camera_info", camera_info(stamp, "camera", camera), stamp)
            writer.write("/color/image", image(stamp, "camera", stored, "rgb8"), stamp)
    estimator = SeesUprightPeople(lambda stamp: people([standing], stamp, ["anna"]))
    for given in (0, degrees):
        caplog.clear()
        evaluate_clips(open_clips(tmp_path / "walk", mounting=given), estimator, tracking=False)
        assert (f"give --mounting {degrees}" in caplog.text) == (given != degrees)


def test_without_ground_truth_there_is_none(tmp_path: Path, people, standing: np.ndarray) -> None:
    (clip,) = open_clips(record(tmp_path / "walk", people, standing, ground_truth=False))
    assert list(clip.ground_truth()) == []


def test_losses_are_told_even_when_reading_stops_early(tmp_path: Path, people, standing: np.ndarray) -> None:
    file = next(record(tmp_path / "walk", people, standing, frames=200).glob("*.mcap"))
    whole = file.read_bytes()  # chunks of a megabyte, of which only whole ones can be read
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(whole[: int(0.6 * len(whole))])
    (clip,) = open_clips(cut)
    frames = clip.frames()
    next(frames)
    frames.close()
    assert clip.losses()["recording damaged, bytes lost at its end"] > 0
    assert 0 < len(list(clip.frames())) < 200


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no such file"):
        open_clips(tmp_path / "nowhere")
    with pytest.raises(RecordingError, match="not a rosbag2 recording"):
        open_clips(tmp_path)


def test_a_folder_of_recordings(tmp_path: Path, people, standing: np.ndarray) -> None:
    for place in ("crowd/b", "crowd/a", "single/a"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        record(tmp_path / place, people, standing, frames=1)
    clips: list[Clip] = open_clips(tmp_path)
    assert [(c.name, c.subset) for c in clips] == [("crowd/a", "crowd"), ("crowd/b", "crowd"), ("single/a", "single")]


def shard(path: Path, people, standing: np.ndarray, subset: str) -> Path:
    frames = []
    for t in range(3):
        color, depth = np.full((48, 64, 3), 40 * t, np.uint8), np.full((48, 64), 2.0, np.float32)
        ground_truth = in_joint_set(people([standing + (0, 0, 2)], t + 1, ["anna"]), COCO23)
        box = np.zeros((1, 4), np.float32)
        frame = RgbdFrame(t + 1, "camera", CAMERA, depth, color)
        frames.append(LabeledFrame(frame, ground_truth, box, np.zeros(3), np.eye(3)))
    write_shard(path, f"{subset}/{path.stem}", subset, frames)
    return path


def test_shards_are_clips(tmp_path: Path, people, standing: np.ndarray) -> None:
    path = shard(tmp_path / "crowd" / "a.npz", people, standing, "crowd")
    (clip,) = open_clips(path)
    assert (clip.name, clip.subset, len(clip)) == ("crowd/a", "crowd", 3)
    for _ in range(2):
        assert [f.stamp_ns for f in clip.frames()] == [t.stamp_ns for t in clip.ground_truth()] == [1, 2, 3]


def test_a_folder_of_both_without_what_is_still_being_written(tmp_path: Path, people, standing: np.ndarray) -> None:
    shard(tmp_path / "crowd" / "b.npz", people, standing, "crowd")
    for place in ("single/a", ".partial/single/c"):
        (tmp_path / place).parent.mkdir(parents=True)
        record(tmp_path / place, people, standing, frames=1)
    assert [(c.name, c.subset) for c in open_clips(tmp_path)] == [("single/a", "single"), ("crowd/b", "crowd")]


def test_what_is_no_shard_is_refused(tmp_path: Path, people, standing: np.ndarray) -> None:
    whole = shard(tmp_path / "whole.npz", people, standing, "crowd").read_bytes()
    for content in (b"nothing", whole[:-100]):
        (tmp_path / "a.npz").write_bytes(content)
        with pytest.raises(DataError, match="not a shard"):
            open_clips(tmp_path)
