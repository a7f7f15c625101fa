"""Stores of samples: what is in them, and what becomes of broken builds, files and clips."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import walkers

from unipose_ros.camera import project
from unipose_ros.joint_sets import COCO17, ITOP15
from unipose_training.datasets.base import open_clips
from unipose_training.datasets.keypoint_files import LabelerId
from unipose_training.datasets.shards import ShardClip
from unipose_training.errors import DataError
from unipose_training.samples.build import LabelFiles, LiveLabels, build_store, encode_clip, require_labels
from unipose_training.samples.dataset import split_rows, subsample_clips
from unipose_training.samples.store import GROUND_TRUTH, SampleStore, StoredClip, StoreWriter

SHOULDER, HAND = ITOP15.index("left_shoulder"), ITOP15.index("right_hand")


def build(walks: Path, folder: Path, count: int = 3, **options: Any) -> SampleStore:
    clips = open_clips(walks / "clips")[:count]
    labels = LabelFiles.of_clips(walks / "labels", clips)
    return build_store(clips, labels, folder, walkers.SETTINGS, progress=False, teacher=labels.teacher, **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_rows_are_those_of_the_clips(store: SampleStore, walks: Path) -> None:
    clip = ShardClip(walks / "clips" / "walk1.npz")
    about, arrays = encode_clip(clip, LabelFiles(walks / "labels", walkers.TEACHER), walkers.SETTINGS)
    assert about == store.clips[1] == StoredClip("walk1", "walks", 4, 4, 0)
    assert len(store) == 12
    for name in arrays.keys() - {"previous"}:
        assert np.array_equal(store[name][4:8], arrays[name], equal_nan=name not in ("depth", "color")), name
    assert store["clip"].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert store["previous"].tolist() == [-1, 0, 1, 2, -1, 4, 5, 6, -1, 8, 9, 10]
    assert store.teacher == "projections"


def test_rows_hold_labels_and_ground_truth(store: SampleStore) -> None:
    person = walkers.joints(1, 2)
    shoulder, wrist = person[COCO17.index("left_shoulder")], person[COCO17.index("right_wrist")]
    assert store["ground_truth"][6, [SHOULDER, HAND]] == pytest.approx(np.stack([shoulder, wrist]), abs=1e-6)
    assert store["pixels"][6, SHOULDER] == pytest.approx(project(walkers.CAMERA, shoulder), abs=1e-3)
    assert store["lifted"][6, SHOULDER] == pytest.approx(shoulder, abs=0.06)
    assert np.isnan(store["pixels"][6, ITOP15.index("torso")]).all()
    # People are cut out at the distance of their trunk's joints, not of the skin before them.
    assert store["distance"][6] == pytest.approx(person[COCO17.index("left_hip"), 2], abs=0.04)
    assert store["confidence"][6, SHOULDER] == pytest.approx(0.9)


def test_a_broken_build_goes_on_to_the_same_bytes(store: SampleStore, walks: Path,
                                                  tmp_path: Path) -> None:  # fmt: skip
    folder = tmp_path / "store"
    build(walks, folder, 2)
    with (folder / "points.bin").open("ab") as stream:  # killed while it wrote the third clip
        stream.write(b"half a clip")
    build(walks, folder)
    assert contents(folder) == contents(store.folder)


@pytest.mark.slow  # two processes load torch
def test_the_number_of_workers_changes_nothing(store: SampleStore, walks: Path,
                                               tmp_path: Path) -> None:  # fmt: skip
    build(walks, tmp_path / "store", workers=2)
    assert contents(tmp_path / "store") == contents(store.folder)


def test_a_shortened_file_is_named(store: SampleStore, tmp_path: Path) -> None:
    shutil.copytree(store.folder, tmp_path / "store")
    with (tmp_path / "store" / "ground_truth.bin").open("r+b") as stream:
        stream.truncate(100)
    broken = SampleStore(tmp_path / "store")
    assert len(broken["points"]) == 12
    with pytest.raises(DataError, match=r"ground_truth\.bin: shorter.*build the store again"):
        broken["ground_truth"]


@pytest.mark.parametrize(
    ("text", "message"), [('{"version": 7}', "version 7"), ("{", "cannot be read"), (None, "no samples.json")]
)
def test_an_index_that_does_not_fit_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "samples.json").write_text(text)
    with pytest.raises(DataError, match=message):
        SampleStore(tmp_path)


def test_an_unknown_array_is_named(store: SampleStore) -> None:
    with pytest.raises(DataError, match="no array 'depht'; there are box"):
        store["depht"]


def test_other_settings_and_labels_are_not_mixed(store: SampleStore, walks: Path) -> None:
    clips, labels = open_clips(walks / "clips"), LabelFiles(walks / "labels", walkers.TEACHER)
    other = replace(walkers.SETTINGS, with_color=False)
    with pytest.raises(DataError, match="another settings"):
        build_store(clips, labels, store.folder, other, progress=False, teacher=walkers.TEACHER)
    with pytest.raises(DataError, match="another teacher"):
        build_store(clips, labels, store.folder, walkers.SETTINGS, progress=False, teacher=LabelerId("other"))
    assert len(SampleStore(store.folder)) == 12


def test_a_damaged_clip_is_reported_and_passed_over(walks: Path, tmp_path: Path) -> None:
    shutil.copytree(walks / "clips", tmp_path / "clips")
    shutil.copytree(walks / "labels", tmp_path / "labels")
    clips = open_clips(tmp_path / "clips")
    path = tmp_path / "clips" / "walk1.npz"
    path.write_bytes(path.read_bytes()[:2000])
    labels, damaged = LabelFiles(tmp_path / "labels", walkers.TEACHER), {}
    found = build_store(clips, labels, tmp_path / "store", walkers.SETTINGS, progress=False,
                        damaged=damaged.__setitem__)  # fmt: skip
    assert list(damaged) == ["walk1"]
    assert [clip.name for clip in found.clips] == ["walk0", "walk2"]
    assert found["previous"].tolist() == [-1, 0, 1, 2, -1, 4, 5, 6]
    with pytest.raises(DataError, match="clip 'walk1'"):
        build_store(clips, labels, tmp_path / "store", walkers.SETTINGS, progress=False)


def test_a_clip_without_labels_is_damaged(walks: Path, tmp_path: Path) -> None:
    damaged: dict[str, str] = {}
    labels = LabelFiles(tmp_path, walkers.TEACHER)
    found = build_store(open_clips(walks / "clips"), labels, tmp_path / "store", walkers.SETTINGS, progress=False,
                        damaged=damaged.__setitem__)  # fmt: skip
    assert len(damaged) == 3
    assert all("label the clip first" in why for why in damaged.values())
    assert len(found) == 0
    with pytest.raises(DataError, match="no labels of these clips"):
        LabelFiles.of_clips(tmp_path, open_clips(walks / "clips"))


def test_two_clips_of_one_name_are_refused(walks: Path, tmp_path: Path) -> None:
    clips = 2 * open_clips(walks / "clips")[:1]
    with pytest.raises(DataError, match="2 clips are called 'walk0'"):
        build_store(clips, LabelFiles(walks / "labels", walkers.TEACHER), tmp_path, walkers.SETTINGS, progress=False)


def test_rows_unlike_the_others_add_nothing(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path, {})
    rows = {"previous": np.array([-1]), "depth": np.zeros((1, 4, 4), np.uint16)}
    writer.append(StoredClip("a", "", 1, 1, 0), rows)
    before = contents(tmp_path)
    with pytest.raises(DataError, match=r"depth is .*shape.*must be alike"):
        writer.append(StoredClip("b", "", 1, 1, 0), {**rows, "depth": np.zeros((1, 5, 5), np.uint16)})
    with pytest.raises(DataError, match="depth is missing"):
        writer.append(StoredClip("b", "", 1, 1, 0), {"previous": rows["previous"]})
    assert contents(tmp_path) == before


def test_people_are_followed_only_through_labeled_frames(walks: Path) -> None:
    clip = ShardClip(walks / "clips" / "walk0.npz")
    stamps = [frame.stamp_ns for frame in clip.frames()]

    def every_but_the_second(_: ShardClip) -> Any:
        people = {stamp: walkers.keypoints(walkers.CAMERA, walkers.joints(0, n)) for n, stamp in enumerate(stamps)}
        return lambda frame: None if frame.stamp_ns == stamps[1] else people[frame.stamp_ns]

    about, arrays = encode_clip(clip, every_but_the_second, walkers.SETTINGS)
    assert arrays["frame"].tolist() == [0, 2, 3]
    assert arrays["previous"].tolist() == [-1, -1, 1]
    assert about.losses == {"frames without labels": 1}


def test_keypoints_and_images_of_a_bent_lens_are_straightened(tmp_path: Path) -> None:
    clips = walkers.write_clips(tmp_path, clips=1, frames=1, camera=walkers.BENT)
    labels = LabelFiles(tmp_path / "labels", walkers.TEACHER)
    found = build_store(clips, labels, tmp_path / "store", walkers.SETTINGS, progress=False)
    person = walkers.joints(0, 0)
    straight = project(walkers.CAMERA, person)
    bent = project(walkers.BENT, person)
    assert np.abs(straight - bent).max() > 2
    assert found["keypoints"][0, :, :2] == pytest.approx(straight, abs=0.02)
    wrist = person[COCO17.index("right_wrist")]
    assert found["lifted"][0, HAND] == pytest.approx(wrist, abs=0.06)
    points = found["points"][0].astype(np.float32) + found["center"][0]
    assert np.linalg.norm(points - wrist, axis=1).min() < 0.09  # its skin is 6 cm away


def test_people_of_the_ground_truth_are_marked(walks: Path, tmp_path: Path, store: SampleStore) -> None:
    found = build_store(open_clips(walks / "clips"), None, tmp_path, walkers.SETTINGS, progress=False)
    assert found.teacher == GROUND_TRUTH
    assert len(found) == 12
    assert found["ground_truth"] == pytest.approx(store["ground_truth"], abs=1e-6, nan_ok=True)
    assert found["pixels"] == pytest.approx(store["pixels"], abs=0.01, nan_ok=True)
    assert found["previous"].tolist() == store["previous"].tolist()
    assert found["distance"] == pytest.approx(store["distance"], abs=0.05)
    assert np.isnan(found["lifted"]).all()
    assert found["size"] == pytest.approx(np.ones(12), abs=0.15)
    with pytest.raises(DataError, match="projected 3D ground truth"):
        require_labels(found)
    assert require_labels(store) is store


def test_a_live_teacher_is_built_once(walks: Path, tmp_path: Path, store: SampleStore) -> None:
    plan = Projector()
    found = build_store(open_clips(walks / "clips"), LiveLabels(plan), tmp_path, walkers.SETTINGS, progress=False)
    assert found["pixels"] == pytest.approx(store["pixels"], abs=0.01, nan_ok=True)
    assert plan.built == 1


class Projector:
    """A teacher that knows clip and frame by the image's gray."""

    def __init__(self) -> None:
        self.built = 0

    def identity(self) -> LabelerId:
        return LabelerId("projector")

    def build(self) -> Any:
        self.built += 1
        return self._look

    def _look(self, color: np.ndarray) -> Any:
        clip, frame = divmod(round(float(color.mean())) - 40, 10)
        return walkers.keypoints(walkers.CAMERA, walkers.joints(clip, frame))


def test_no_clip_is_in_both_parts(store: SampleStore) -> None:
    training, validation = split_rows(store, every=3)
    assert training.tolist() == list(range(8))
    assert validation.tolist() == list(range(8, 12))
    with pytest.raises(DataError, match="too few"):
        split_rows(store, every=4)
    with pytest.raises(DataError, match="too few"):
        split_rows(store, every=3, min_confidence=0.81)


def test_a_larger_part_holds_the_smaller(store: SampleStore) -> None:
    rows = np.arange(12)
    parts = [set(subsample_clips(store, rows, part).tolist()) for part in (0.01, 0.5, 1.0)]
    assert [len(part) for part in parts] == [4, 8, 12]
    assert parts[0] < parts[1] < parts[2]
    with pytest.raises(ValueError, match="part = 0"):
        subsample_clips(store, rows, 0)


def test_the_index_is_plain_json(store: SampleStore) -> None:
    about = json.loads((store.folder / "samples.json").read_text())
    assert about["teacher"] == {"name": "projections", "settings": {"noise": 0}, "weights_sha256": "abc"}
    assert about["arrays"]["points"] == {"dtype": "<f2", "shape": [256, 3]}


def rows(value: float, count: int) -> dict[str, np.ndarray]:
    return {"points": np.full((count, 3), value, np.float32), "previous": np.full(count, -1, np.int64)}


def test_a_store_has_one_writer_at_a_time(tmp_path: Path) -> None:
    with StoreWriter(tmp_path, {"x": 1}) as first:
        first.append(StoredClip("A", "", 4, 4, 0), rows(1, 4))
        with pytest.raises(DataError, match="another run is building samples"):
            StoreWriter(tmp_path, {"x": 1})
        assert len(SampleStore(tmp_path)) == 4  # others may read
    with StoreWriter(tmp_path, {"x": 1}) as second:
        second.append(StoredClip("B", "", 2, 2, 0), rows(2, 2))
    store = SampleStore(tmp_path)
    assert store["points"][:, 0].tolist() == [1, 1, 1, 1, 2, 2]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_rows_that_have_changed_are_refused(tmp_path: Path) -> None:
    with StoreWriter(tmp_path, {"x": 1}) as writer:
        writer.append(StoredClip("A", "", 4, 4, 0), rows(1, 4))
        writer.append(StoredClip("B", "", 2, 2, 0), rows(2, 2))
    with (tmp_path / "points.bin").open("r+b") as stream:
        stream.seek(4 * 3 * 4 + 5)  # in the first row of B
        stream.write(b"\xff")
    store = SampleStore(tmp_path)
    assert store["previous"].tolist() == [-1] * 6
    with pytest.raises(DataError, match=r"points\.bin is damaged: the rows of clip 'B' have changed"):
        store["points"]


def test_workers_do_not_compare_again_what_has_been_compared(tmp_path: Path) -> None:
    with StoreWriter(tmp_path, {"x": 1}) as writer:
        writer.append(StoredClip("A", "", 4, 4, 0), rows(1, 4))
    store = SampleStore(tmp_path)
    assert store["points"].shape == (4, 3)
    with (tmp_path / "points.bin").open("r+b") as stream:
        stream.write(b"\xff")
    assert pickle.loads(pickle.dumps(store))["points"].shape == (4, 3)


def test_a_full_disk_adds_nothing_and_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with StoreWriter(tmp_path, {"x": 1}) as writer:
        writer.append(StoredClip("A", "", 4, 4, 0), rows(1, 4))
        before = contents(tmp_path)

        def full(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left") as caught:
            writer.append(StoredClip("B", "", 2, 2, 0), rows(2, 2))
        assert str(caught.value.filename).startswith(str(tmp_path))
        assert contents(tmp_path) == before
        monkeypatch.undo()
        writer.append(StoredClip("B", "", 2, 2, 0), rows(2, 2))
    assert len(SampleStore(tmp_path)) == 6


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("clips",), None), (("clips", 0), []), (("clips", 0, "rows"), -1), (("clips", 0, "rows"), "4"),
        (("clips", 0, "name"), 7), (("clips", 0, "checksums"), 7), (("arrays",), []), (("arrays", "points"), {}),
        (("arrays", "points", "dtype"), "O"), (("arrays", "points", "dtype"), "nonsense"),
        (("arrays", "points", "shape"), [-1]), (("arrays", "points", "shape"), [10**30]),
        (("arrays", "points", "shape"), "3"), (("arrays", "../points"), {"dtype": "<f4", "shape": [3]}),
    ],
)  # fmt: skip
def test_an_index_with_other_values_is_refused(tmp_path: Path, place: tuple[Any, ...], value: object) -> None:
    with StoreWriter(tmp_path, {"x": 1}) as writer:
        writer.append(StoredClip("A", "", 4, 4, 0), rows(1, 4))
    index = tmp_path / "samples.json"
    about = json.loads(index.read_text())
    part = about
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    index.write_text(json.dumps(about))
    with pytest.raises(DataError, match="build the store again"):
        SampleStore(tmp_path)["points"]
