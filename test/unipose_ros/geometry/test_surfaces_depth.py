"""Reading depth: what counts as a reading, on the robot and in training."""

from __future__ import annotations

import numpy as np
import torch

from unipose_ros.geometry.surfaces import depth_at, nearest_surface
from unipose_training.losses.projection import sample_depth


def test_training_reads_the_same_pixels_as_the_robot() -> None:
    random = np.random.default_rng(0)
    depth = random.uniform(0.5, 5, (12, 16)).astype(np.float32)
    depth[random.random(depth.shape) < 0.3] = 0
    depth[2, 3], depth[3, 3] = np.nan, np.inf
    pixels = np.concatenate([random.uniform(-3, 19, (500, 2)), [[3, 2], [3, 3], [np.nan, 1], [-0.5, 0], [15.5, 11]]])
    in_training = sample_depth(torch.from_numpy(depth)[None], torch.from_numpy(pixels)[None])[0].numpy()
    read = depth_at(depth, pixels)
    np.testing.assert_array_equal(in_training, read.astype(np.float32))
    assert np.isfinite(read).any()
    assert np.isnan(read).any()


def test_the_nearest_surface_skips_what_is_no_reading() -> None:
    depth = np.full((7, 7), 4.0, np.float32)
    depth[3, 3], depth[3, 4], depth[2, 3], depth[1, 1] = 0, np.nan, np.inf, 2.5
    found = nearest_surface(depth, np.array([[3, 3], [6, 6], [0, 0], [-20, 40]]))
    np.testing.assert_array_equal(found, [2.5, 4, 2.5, 4])
    assert np.isnan(nearest_surface(np.zeros((5, 5), np.float32), np.array([[2, 2]]))).all()
