"""Crops of the stream are those of the codecs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from unipose_ros.codecs.points import PointCloudConfig, encode_person
from unipose_ros.codecs.thinning import largest_component
from unipose_ros.codecs.windows import DepthImageConfig
from unipose_ros.frame import RgbdFrame
from unipose_ros.geometry.crop import Crop
from unipose_training.samples.dataset import window_camera
from unipose_training.synthetic.stream.clouds import Crops, cut_clouds, cut_windows, largest_components
from unipose_training.synthetic.stream.scenes import Scenes

CONFIG = PointCloudConfig(points=512, centers=32)


@pytest.fixture(scope="module")
def crops(stream_scenes: Scenes) -> Crops:
    labels, people = stream_scenes.labels, stream_scenes.batch.people
    chosen = (labels.pixels > 150).nonzero()[:, 0]
    rng = np.random.default_rng(3)
    jitter = torch.from_numpy(rng.normal(0, 4, (len(chosen), 4)).astype(np.float32))
    distances = labels.itop15[chosen][:, :, 2].median(dim=1).values
    limits = torch.from_numpy(rng.integers(1500, 20000, len(chosen)))
    return Crops(people.frames[chosen], labels.boxes[chosen] + jitter, distances, limits)


@pytest.fixture(scope="module")
def noisy(stream_scenes: Scenes) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    depth = stream_scenes.rendered.depth
    lost = torch.rand(depth.shape, generator=generator) < 0.1
    return torch.where(lost, 0.0, depth + 0.004 * torch.randn(depth.shape, generator=generator))


def _frame(scenes: Scenes, noisy: torch.Tensor, number: int) -> RgbdFrame:
    camera = scenes.batch.cameras.camera(number)
    return RgbdFrame(stamp_ns=0, frame_id="camera", camera=camera, depth=noisy[number].numpy(), color=None)


def test_clouds_are_those_of_the_codec(stream_scenes: Scenes, noisy: torch.Tensor, crops: Crops) -> None:
    found = cut_clouds(noisy, stream_scenes.batch.cameras.intrinsics, crops, CONFIG)
    compared = same = 0
    for person in range(len(crops.frames)):
        frame = _frame(stream_scenes, noisy, int(crops.frames[person]))
        config = replace(CONFIG, max_pixels=int(crops.max_pixels[person]))
        wanted = encode_person(frame, crops.boxes[person].numpy(), float(crops.distances[person]), config)
        assert (wanted is not None) == bool(found.valid[person])
        if wanted is None:
            continue
        compared += 1
        points = found.points[person].numpy()
        np.testing.assert_allclose(found.centers[person], wanted.center, atol=1e-5)
        # Means are rounded, so that a point at a cell's border may be in the next; and the grids may then differ.
        apart = cdist(points, wanted.features)
        assert np.percentile(apart.min(axis=0), 95) < 0.03
        assert np.percentile(apart.min(axis=1), 95) < 0.03
        same += bool(np.abs(points - wanted.features).max() < 1e-3)
    assert compared > 8
    assert same > 0.7 * compared


def test_clusters_of_each_person_are_those_of_the_codec() -> None:
    rng = np.random.default_rng(0)
    clouds = [rng.uniform(-1, 1, (count, 3)).astype(np.float32) for count in (300, 40, 800)]
    clouds[1] = np.concatenate([clouds[1] * 0.05, clouds[1][:5] * 0.02 + 1])
    person = torch.from_numpy(np.repeat(np.arange(3), [len(cloud) for cloud in clouds]))
    kept = largest_components(torch.from_numpy(np.concatenate(clouds)), person, 3, 0.25).numpy()
    for number, cloud in enumerate(clouds):
        wanted = largest_component(cloud, 0.25)
        assert kept[person.numpy() == number].sum() == wanted.sum()


def test_a_long_cluster_is_one() -> None:
    steps = torch.arange(400)[:, None] * torch.tensor([0.05, 0.0, 0.0])
    line = torch.cat([steps, steps[:100] + torch.tensor([0.0, 3.0, 0.0])])
    kept = largest_components(line, torch.zeros(500, dtype=torch.int64), 1, 0.075)
    assert kept[:400].all()
    assert not kept[400:].any()


def test_people_without_points_are_not_valid() -> None:
    crops = Crops(*(torch.tensor(v) for v in ([0, 0], [[5.0, 5, 30, 30], [-9.0, -9, -3, -3]], [2.0, 2.0], [900, 900])))
    found = cut_clouds(torch.zeros(1, 40, 40), torch.tensor([[50.0, 50, 20, 20]]), crops, CONFIG)
    assert not found.valid.any()
    assert found.points.shape == (2, CONFIG.points, 3)
    assert torch.isfinite(found.points).all()


def test_windows_are_those_of_the_codec(stream_scenes: Scenes, noisy: torch.Tensor, crops: Crops) -> None:
    config = DepthImageConfig(size=96)
    windows, cameras = cut_windows(noisy, stream_scenes.batch.cameras.intrinsics, crops, config)
    for person in range(len(crops.frames)):
        frame = _frame(stream_scenes, noisy, int(crops.frames[person]))
        assert frame.depth is not None
        middle = (crops.boxes[person, :2] + crops.boxes[person, 2:]).numpy() / 2
        window = Crop.of_extent(frame.camera, middle, float(crops.distances[person]), config.extent, config.size)
        wanted = window.cut(frame.depth, smooth=False)
        # OpenCV steps in 32nds of a pixel: a few pixels are read from the neighbor.
        assert np.mean(np.abs(windows[person].numpy() - wanted) < 1e-4) > 0.95
        given = np.array([frame.camera.fx, frame.camera.fy, frame.camera.cx, frame.camera.cy])
        four = np.array([window.u, window.v, window.width, window.height])
        np.testing.assert_allclose(cameras[person], window_camera(given, four, config.size), rtol=1e-4, atol=1e-2)
