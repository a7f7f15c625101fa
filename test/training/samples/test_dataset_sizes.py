"""Stored windows shown with fewer pixels: the same view, through a camera that fits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unipose_training.errors import DataError
from unipose_training.losses.projection import project
from unipose_training.samples.dataset import PersonDataset
from unipose_training.samples.store import SampleStore


@pytest.mark.parametrize("step", [2, 3])
def test_depth_keeps_readings_where_they_were_seen(store: SampleStore, step: int) -> None:
    whole = PersonDataset(store, inputs=("depth",))[4]
    small = PersonDataset(store, inputs=("depth",), sizes={"depth": 48 // step})[4]
    place = torch.tensor([[[[0.1, -0.2, 2.0]]]])
    fine, coarse = (project(place, batch.depth_camera)[0, 0, 0] for batch in (whole, small))
    assert (coarse * step + step // 2).tolist() == pytest.approx(fine.tolist(), abs=1e-4)
    first = step // 2
    assert torch.equal(small.depth, whole.depth[..., first::step, first::step])


def test_color_is_the_mean_of_squares_about_their_middle(store: SampleStore) -> None:
    whole = PersonDataset(store, inputs=("color",))[4]
    small = PersonDataset(store, inputs=("color",), sizes={"color": 16})[4]
    means = torch.nn.functional.avg_pool2d(whole.color[:, 0].float(), 2)
    assert (small.color[:, 0].float() - means).abs().max() <= 0.5
    place = torch.tensor([[[[0.1, -0.2, 2.0]]]])
    fine, coarse = (project(place, batch.color_camera)[0, 0, 0] for batch in (whole, small))
    assert (coarse * 2 + 0.5).tolist() == pytest.approx(fine.tolist(), abs=1e-4)


def test_sizes_that_do_not_divide_are_refused(store: SampleStore) -> None:
    with pytest.raises(DataError, match="windows have 48 pixels, 32 are wanted"):
        PersonDataset(store, inputs=("depth",), sizes={"depth": 32})
    assert np.array_equal(PersonDataset(store, inputs=("depth",), sizes={"depth": 48})[0].depth.shape, (1, 1, 48, 48))
