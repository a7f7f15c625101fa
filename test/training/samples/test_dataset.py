"""Rows of a store as batches: clips, cameras of windows, and inputs on demand."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from unipose_ros.geometry.crop import Crop
from unipose_training.samples.dataset import PersonDataset, identity_collate, window_camera
from unipose_training.samples.store import SampleStore


def test_clips_follow_the_same_person(store: SampleStore) -> None:
    batch = PersonDataset(store, frames=3).__getitems__([0, 3, 5])
    assert batch.valid.tolist() == [[False, False, True], [True, True, True], [False, True, True]]
    for person, rows in enumerate([[0, 0, 0], [1, 2, 3], [4, 4, 5]]):
        for name in ("ground_truth", "pixels", "lifted", "distances"):
            stored = store["distance" if name == "distances" else name][rows]
            assert np.array_equal(getattr(batch, name)[person], stored, equal_nan=True)


def test_points_of_a_clip_have_one_origin(store: SampleStore) -> None:
    batch = PersonDataset(store, frames=2)[2]
    for frame, row in enumerate([1, 2]):
        places = batch.points[0, frame] + batch.centers[0]
        assert places.numpy() == pytest.approx(store["points"][row].astype(np.float32) + store["center"][row], abs=1e-6)
    assert batch.centers[0].numpy() == pytest.approx(store["center"][2])


def test_rows_are_those_asked_for(store: SampleStore) -> None:
    data = PersonDataset(store, rows=np.array([7, 2]))
    assert len(data) == 2
    assert data.__getitems__([1, 0]).rows.tolist() == [2, 7]


def test_inputs_are_read_on_demand(store: SampleStore) -> None:
    batch = PersonDataset(store, inputs=("depth", "color"))[0]
    assert batch.points.numel() == 0
    assert batch.depth.shape == (1, 1, 48, 48)
    assert batch.color.shape == (1, 1, 3, 32, 32)
    assert batch.depth.max() == pytest.approx(4.5)
    assert PersonDataset(store)[0].depth.numel() == 0
    with pytest.raises(ValueError, match=r"'dept'.* unknown"):
        PersonDataset(store, inputs=("dept",))


def test_depth_windows_show_the_person_where_their_camera_says(store: SampleStore) -> None:
    batch = PersonDataset(store, inputs=("depth",))[6]
    fx, fy, cx, cy = batch.depth_camera[0, 0].tolist()
    ground_truth = batch.ground_truth[0, 0]
    seen = []
    for x, y, z in ground_truth.tolist():
        u, v = round(fx * x / z + cx), round(fy * y / z + cy)
        if 0 <= u < 48 and 0 <= v < 48:
            seen.append(abs(float(batch.depth[0, 0, v, u]) - z))
    assert len(seen) > 10
    assert np.median(seen) < 0.12  # joints are a capsule's radius behind its skin


def test_the_camera_of_a_window_projects_as_the_window_does() -> None:
    random = np.random.default_rng(0)
    camera = np.array([500.0, 480.0, 320.5, 241.0], np.float32)
    places = random.uniform(-1, 1, (20, 3)) + [0, 0, 3]
    in_image = places[:, :2] / places[:, 2:] * camera[:2] + camera[2:]
    window = Crop(300.25, 200.5, 240.0, 260.0, 96)
    four = np.array([window.u, window.v, window.width, window.height])
    own = window_camera(camera[None], four[None], window.size)[0]
    assert places[:, :2] / places[:, 2:] * own[:2] + own[2:] == pytest.approx(window.to_window(in_image), abs=1e-3)


def test_loaders_of_other_processes_map_the_files_themselves(store: SampleStore) -> None:
    assert store["points"] is not None
    assert len(pickle.dumps(store)) < 20_000
    loader = DataLoader(PersonDataset(store), batch_size=5, collate_fn=identity_collate)
    assert [len(batch.rows) for batch in loader] == [5, 5, 2]


def test_what_is_read_cannot_be_changed(store: SampleStore, walks: Path) -> None:
    batch = PersonDataset(store)[0]
    batch.ground_truth.fill_(torch.nan)
    assert np.isfinite(SampleStore(walks / "store")["ground_truth"][0]).any()
    with pytest.raises(ValueError, match="read-only"):
        store["ground_truth"][0] = 0
