"""Painted points: as the codec paints them, and in step with what happens to the cloud."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from unipose_ros.camera import Camera
from unipose_ros.codecs.points import Paint, PointCloudConfig, encode_person
from unipose_ros.frame import RgbdFrame
from unipose_ros.joint_sets import COCO17
from unipose_training.samples.augment_points import NO_AUGMENTATION, paint_points, sample_transform
from unipose_training.samples.dataset import PersonDataset
from unipose_training.samples.store import SampleStore
from unipose_training.tasks.base import init_point_network
from unipose_training.tasks.points import predict, swap_paint

MIRRORED = replace(NO_AUGMENTATION, mirror=1.0)
CAMERA = Camera(120, 120, 79.5, 59.5, 160, 120)


def test_training_paints_as_running_does(store: SampleStore) -> None:
    batch = PersonDataset(store)[3]
    keypoints = batch.keypoints[0, 0].numpy()
    # The codec cuts its cloud out of a frame, so a frame is made in which the points' paint can be told.
    depth = np.full((120, 160), float(batch.distances[0, 0]), np.float32)
    config = PointCloudConfig(points=256, centers=16, paint=len(COCO17), cluster=0)
    paint = Paint(keypoints[:, :2], keypoints[:, 2])
    box = np.array([20.0, 10, 140, 110])
    sample = encode_person(RgbdFrame(1, "", CAMERA, depth=depth), box, float(batch.distances[0, 0]), config, paint)
    assert sample is not None
    camera = torch.tensor([[[CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy]]])
    seen = batch._replace(centers=torch.from_numpy(sample.center)[None], camera=camera)
    points = torch.from_numpy(sample.features[:, :3])[None, None]
    shine = paint_points(points, seen, torch.tensor([True]))[0, 0].numpy()
    assert shine == pytest.approx(sample.features[:, 3:], abs=1e-4)
    assert shine.max() > 0.1


def test_who_is_not_shown_has_no_paint(store: SampleStore) -> None:
    batch = PersonDataset(store).__getitems__([0, 1])
    shine = paint_points(batch.points, batch, torch.tensor([False, True]))
    assert not shine[0].any()
    assert shine[1].any()


def test_a_painted_network_begins_as_the_plain_one_that_it_was(store: SampleStore) -> None:
    torch.manual_seed(0)
    plain, paint = init_point_network("nano", 1, ""), init_point_network("nano", 1, "", paint=True)
    weights = plain.state_dict()
    first = weights["edge.0.weight"]
    weights["edge.0.weight"] = torch.cat([first, first.new_zeros(len(first), len(COCO17))], dim=1)
    paint.load_state_dict(weights)
    batch = PersonDataset(store)[2]
    batch = batch._replace(points=batch.points.repeat(1, 1, 512 // batch.points.shape[2] + 1, 1))
    std = batch.points.shape[2]
    same, other = (predict(network, batch, NO_AUGMENTATION, std).joints for network in (plain, paint))
    assert torch.allclose(same, other, atol=1e-6)


def test_paint_changes_sides_with_the_mirrored_cloud(store: SampleStore) -> None:
    batch = PersonDataset(store)[2]
    shine = paint_points(batch.points, batch, torch.tensor([True]))
    change = sample_transform(1, MIRRORED, torch.Generator().manual_seed(0))
    swapped = swap_paint(shine, change)
    for left, right in zip(range(len(COCO17)), COCO17.mirror, strict=True):
        assert torch.equal(swapped[..., left], shine[..., right])
    assert not torch.equal(swapped, shine)
