from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from unipose_ros.camera import Camera
from unipose_ros.files import exclusive
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons, TrackState
from unipose_ros.joint_sets import COCO23
from unipose_training.datasets.base import open_clips
from unipose_training.datasets.shards import LabeledFrame, ShardClip
from unipose_training.errors import SyntheticError
from unipose_training.synthetic import dataset
from unipose_training.synthetic.dataset import DatasetSettings, clip_path, draw_dataset, record_clips
from unipose_training.synthetic.perform import Sources
from unipose_training.synthetic.record import main
from unipose_training.synthetic.variety.plans import ClipPlan

CAMERA = Camera(fx=50.0, fy=50.0, cx=15.5, cy=11.5, width=32, height=24)
NOWHERE = Sources(Path("nowhere"))


def fake_frames(plan: ClipPlan, sources: Sources, advance=lambda count: None) -> Iterator[LabeledFrame]:
    rng = np.random.default_rng(plan.seed)
    for number in range(plan.frames):
        people = number % 3
        depth = (rng.integers(500, 4000, (24, 32)) / 1000).astype(np.float32)
        frame = RgbdFrame(10**9 * (number + 1), "camera", CAMERA, depth, np.full((24, 32, 3), 99, np.uint8))
        ground_truth = Skeletons(
            stamp_ns=10**9 * (number + 1),
            frame_id="camera",
            modality="ground_truth",
            positions=rng.random((people, 23, 3), np.float32),
            confidences=np.ones((people, 23), np.float32),
            status=rng.choice([JointStatus.MEASURED, JointStatus.INFERRED], (people, 23)).astype(np.uint8),
            scores=np.ones(people, np.float32),
            ids=("annab", "berto")[:people],
            states=np.full(people, TrackState.TRACKED, np.uint8),
            ages_ns=np.full(people, 10**9 * number, np.int64),
            joint_set=COCO23,
        )
        boxes = rng.random((people, 4), np.float32)
        yield LabeledFrame(frame, ground_truth, boxes, np.array([0.0, number, 1.0]), np.eye(3))
        advance(1)


@pytest.fixture
def rendering(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of clips that were rendered, by a stand-in."""
    done: list[str] = []

    def frames(plan: ClipPlan, *args) -> Iterator[LabeledFrame]:
        done.append(plan.name)
        return fake_frames(plan, *args)

    monkeypatch.setattr(dataset, "labeled_frames", frames)
    return done


def plans(frames: int = 17, seed: int = 3) -> list[ClipPlan]:
    return list(draw_dataset(DatasetSettings(frames, seed, frames_per_clip=5), NOWHERE))


@pytest.mark.parametrize(("frames", "lengths"), [(17, [5, 5, 5, 2]), (16, [5, 5, 6]), (15, [5, 5, 5]), (3, [3])])
def test_as_many_frames_as_asked_for(frames: int, lengths: list[int]) -> None:
    assert [plan.frames for plan in plans(frames)] == lengths


def test_clips_do_not_depend_on_how_many_there_are() -> None:
    assert plans(40)[:2] == plans(20)[:2]


@pytest.mark.parametrize("kind", ["bag", "shard"])
def test_what_is_recorded_is_read_again(tmp_path: Path, rendering: list[str], kind: str) -> None:
    todo = plans()
    record_clips(todo, NOWHERE, tmp_path, kind, workers=1, progress=False)
    assert not list(tmp_path.rglob("*partial*"))
    clips = open_clips(tmp_path)
    assert sorted(clip.subset for clip in clips) == sorted(plan.subset for plan in todo)
    for plan in todo:
        clip = next(clip for clip in clips if clip.name.endswith(plan.name))
        for was, frame, ground_truth in zip(
            fake_frames(plan, NOWHERE), clip.frames(), clip.ground_truth(), strict=True
        ):
            assert frame.stamp_ns == ground_truth.stamp_ns == was.frame.stamp_ns
            assert frame.camera == CAMERA
            np.testing.assert_allclose(frame.depth, was.frame.depth, atol=5e-4)
            assert ground_truth.ids == was.ground_truth.ids


def test_a_shard_keeps_everything(tmp_path: Path, rendering: list[str]) -> None:
    (plan,) = plans(4)
    record_clips([plan], NOWHERE, tmp_path, "shard", workers=1, progress=False)
    shard = ShardClip(clip_path(tmp_path, plan, "shard")).load()
    assert len(shard) == 4
    for number, was in enumerate(fake_frames(plan, NOWHERE)):
        got = shard[number]
        for name in ("positions", "status", "ages_ns", "states"):
            np.testing.assert_array_equal(getattr(got.ground_truth, name), getattr(was.ground_truth, name))
        assert got.ground_truth.joint_set == COCO23
        np.testing.assert_array_equal(got.boxes, was.boxes)
        np.testing.assert_array_equal(got.camera_position, was.camera_position)
        np.testing.assert_array_equal(got.camera_rotation, was.camera_rotation)
        assert got.frame.color is not None
        assert abs(int(got.frame.color.mean()) - 99) <= 1
    with pytest.raises(IndexError):
        shard[4]


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, rendering: list[str]) -> None:
    for folder in ("a", "b"):
        record_clips(plans(), NOWHERE, tmp_path / folder, "shard", workers=1, progress=False)
    files = sorted(file.relative_to(tmp_path / "a") for file in (tmp_path / "a").rglob("*") if file.is_file())
    assert len(files) == 5
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)


def test_a_broken_run_goes_on(tmp_path: Path, rendering: list[str]) -> None:
    todo = plans()
    record_clips(todo, NOWHERE, tmp_path, "shard", workers=1, progress=False)
    lost = clip_path(tmp_path, todo[1], "shard")
    whole = lost.read_bytes()
    lost.unlink()
    rendering.clear()
    record_clips(todo, NOWHERE, tmp_path, "shard", workers=1, progress=False)
    assert rendering == [todo[1].name]
    assert lost.read_bytes() == whole


def test_a_folder_of_other_clips_is_left_alone(tmp_path: Path, rendering: list[str]) -> None:
    record_clips(plans(), NOWHERE, tmp_path, "shard", workers=1, progress=False)
    before = (tmp_path / "clips.json").read_text()
    with pytest.raises(SyntheticError, match="another seed or size"):
        record_clips(plans(seed=4), NOWHERE, tmp_path, "shard", workers=1, progress=False)
    assert (tmp_path / "clips.json").read_text() == before
    assert [clip["frames"] for clip in json.loads(before)["clips"]] == [5, 5, 5, 2]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"frames": 1}, "at least 2 frames"), ({"frames": 9, "subsets": ("crowd", "beach")}, "beach")],
)
def test_settings_that_cannot_be(wrong: dict, message: str) -> None:
    with pytest.raises(SyntheticError, match=message):
        DatasetSettings(**wrong)


@pytest.mark.slow
@pytest.mark.usefixtures("body")
def test_the_command_renders_people_on_chairs(tmp_path: Path, walking_clips: Path) -> None:
    """Seated people need no motion capture; one moving and one still camera or two still ones, as drawn."""
    arguments = ["--frames", "4", "--frames-per-clip", "2", "--subsets", "sitting", "--format", "shard"]
    for name in ("a", "b"):
        out = ["--out", str(tmp_path / name), "--motions", str(walking_clips), "--seed", "2", "--workers", "1"]
        assert main([*arguments, *out]) == 0
    for clip in open_clips(tmp_path / "a"):
        for frame, ground_truth in zip(clip.frames(), clip.ground_truth(), strict=True):
            assert frame.depth is not None
            assert len(ground_truth) >= 1
            ears = ground_truth.positions[:, 3:5].mean(axis=1)
            ankles = ground_truth.positions[:, 15:17].mean(axis=1)
            # A meter tall or a little more, head up: seated, upright, on the floor.
            assert (np.linalg.norm(ears - ankles, axis=1) < 1.5).all()
            assert (ears[:, 1] < ankles[:, 1]).all()
            assert (ground_truth.status == JointStatus.MEASURED).mean() > 0.2
    once, again = (sorted((tmp_path / name).rglob("*.npz")) for name in "ab")
    assert [file.read_bytes() for file in once] == [file.read_bytes() for file in again]


def test_without_an_output_the_command_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--frames", "4"])
    assert "name the folder" in capsys.readouterr().err


def test_clips_of_cmu_need_their_folder(tmp_path: Path) -> None:
    from unipose_training.synthetic.perform import _clip

    with pytest.raises(SyntheticError, match=r"'07_01' is one of CMU's.*--cmu"):
        _clip(NOWHERE, "07_01")
    for name in ("02_01.amc", "01_03.amc", "01.asf"):
        (tmp_path / name).touch()
    assert Sources(Path("nowhere"), cmu=tmp_path).cmu_clips() == ("01_03", "02_01")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"clips": []}', "[" * 100_000])
def test_a_damaged_index_is_one_clear_line(
    tmp_path: Path, rendering: list[str], content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clips.json").write_text(content)
    with pytest.raises(SyntheticError, match=r"clips\.json cannot be read .* delete that file"):
        record_clips(plans(), NOWHERE, tmp_path, "shard", workers=1, progress=False)
    assert rendering == []
    (tmp_path / "clips.json").unlink()
    record_clips(plans(), NOWHERE, tmp_path, "shard", workers=1, progress=False)


def test_two_runs_do_not_record_into_one_folder(tmp_path: Path, rendering: list[str]) -> None:
    with exclusive(tmp_path, "recording into it"), pytest.raises(SyntheticError, match="another run is recording"):
        record_clips(plans(), NOWHERE, tmp_path, "shard", workers=1, progress=False)
    assert rendering == []


def test_what_a_killed_run_left_of_a_clip_is_removed_and_nothing_else(tmp_path: Path, rendering: list[str]) -> None:
    plan = plans()[0]
    left = tmp_path / plan.subset / f".{plan.name}.partial" / plan.name
    left.mkdir(parents=True)
    (left / f"{plan.name}.mcap").write_text("half")
    (tmp_path / ".partial").mkdir()
    (tmp_path / ".partial" / "mine").write_text("precious")
    record_clips([plan], NOWHERE, tmp_path, "bag", workers=1, progress=False)
    assert [path.name for path in (tmp_path / plan.subset).iterdir()] == [plan.name]
    assert sorted(p.name for p in clip_path(tmp_path, plan, "bag").iterdir()) == [
        f"{plan.name}.mcap", "labels.json", "metadata.yaml",
    ]  # fmt: skip
    assert (tmp_path / ".partial" / "mine").read_text() == "precious"
