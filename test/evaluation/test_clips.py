from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unipose_ros.camera import Camera
from unipose_ros.recordings import BagWriter, RecordingError
from unipose_ros.recordings.messages import camera_info, depth_image, image
from unipose_ros.recordings.skeleton_messages import skeleton_array
from unipose_training.data.clips import Clip, RecordingClip, open_clips

CAMERA = Camera(60.0, 60.0, 31.5, 23.5, 64, 48)


def record(folder: Path, people, standing: np.ndarray, frames: int = 4, truth: bool = True) -> Path:
    """Frames of one colour each, the number of the frame."""
    with BagWriter(folder) as writer:
        for t in range(1, frames + 1):
            stamp = t * 100_000_000
            writer.write("/color/camera_info", camera_info(stamp, "camera", CAMERA), stamp)
            colour = np.full((48, 64, 3), t % 256, np.uint8)
            writer.write("/color/image", image(stamp, "camera", colour, "rgb8"), stamp)
            depth = np.full((48, 64), 2.0, np.float32)
            writer.write("/depth/image", depth_image(stamp, "camera", depth), stamp)
            if truth:
                writer.write("/truth/skeletons", skeleton_array(people([standing], stamp, ["anna"])), stamp)
    return folder


def test_a_recording_is_a_clip(tmp_path: Path, people, standing: np.ndarray) -> None:
    (clip,) = open_clips(record(tmp_path / "walk", people, standing))
    assert (clip.name, clip.subset, len(clip)) == ("walk", "", 4)
    assert [int(frame.colour[0, 0, 0]) for frame in clip.frames() if frame.colour is not None] == [1, 2, 3, 4]
    assert [t.stamp_ns for t in clip.truth()] == [f.stamp_ns for f in clip.frames()]
    assert clip.losses() == {}


def test_the_storage_file_alone_is_a_clip_too(tmp_path: Path, people, standing: np.ndarray) -> None:
    folder = record(tmp_path / "walk", people, standing)
    assert RecordingClip(next(folder.glob("*.mcap"))).name == next(folder.glob("*.mcap")).stem
    assert RecordingClip(folder, subset="single").subset == "single"


def test_without_truth_there_is_none(tmp_path: Path, people, standing: np.ndarray) -> None:
    (clip,) = open_clips(record(tmp_path / "walk", people, standing, truth=False))
    assert list(clip.truth()) == []


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
