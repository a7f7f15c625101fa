"""The person detector's network: sizes, and what holds for any weights."""

from __future__ import annotations

import pytest
import torch

from unipose_ros.networks.detector import PersonCenterNet, PersonCenterNetConfig, seen_depth, split_maps
from unipose_ros.networks.registry import LOG_MIDDLE, STRIDE, build_network

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = PersonCenterNetConfig(widths=(2, 3, 4, 5, 6), head_width=4)


def tiny() -> PersonCenterNet:
    torch.manual_seed(0)
    return PersonCenterNet(TINY).eval()


def view(height: int = 64, width: int = 96) -> torch.Tensor:
    torch.manual_seed(1)
    valid = (torch.rand(2, 1, height, width) > 0.3).float()
    return torch.cat([0.3 * torch.randn(2, 1, height, width) * valid, valid], dim=1)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (96, 160), (32, 32)])
def test_images_of_any_shape(height: int, width: int) -> None:
    with torch.inference_mode():
        maps = split_maps(tiny()(view(height, width)))
    assert maps.heat.shape == maps.log_distances.shape == (2, height // STRIDE, width // STRIDE)
    assert maps.sides.shape == (2, 4, height // STRIDE, width // STRIDE)


def test_the_shipped_size_is_small() -> None:
    network = build_network("person_detector", "small")
    assert sum(parameter.numel() for parameter in network.parameters()) < 500_000


def test_no_reading_at_all_is_no_error_and_little_heat() -> None:
    with torch.inference_mode():
        maps = split_maps(tiny()(torch.zeros(1, 2, 64, 64)))
    assert all(torch.isfinite(each).all() for each in maps)
    assert maps.heat.sigmoid().max() < 0.1


def test_readings_of_holes_do_not_count() -> None:
    """Whatever a hole holds, the answer is the same: only what is valid is averaged."""
    image = view()
    filled = image.clone()
    filled[:, 0][image[:, 1] == 0] = 9.0
    torch.testing.assert_close(seen_depth(filled), seen_depth(image))


def test_seen_depth_is_the_mean_of_the_readings() -> None:
    image = torch.zeros(1, 2, 4, 4)
    image[0, :, 0, 0], image[0, :, 3, 3] = torch.tensor([0.4, 1.0]), torch.tensor([0.8, 1.0])
    torch.testing.assert_close(seen_depth(image), torch.full((1, 1, 1, 1), 0.6))


def test_distances_are_relative_to_what_is_seen() -> None:
    network, image = tiny(), view()
    with torch.inference_mode():
        network.outputs.weight.zero_()
        distances = split_maps(network(image)).log_distances
    torch.testing.assert_close(distances, seen_depth(image)[:, 0] + LOG_MIDDLE)


@pytest.mark.parametrize(
    "change", [{"focal": 0.0}, {"widths": (1, 2, 3)}, {"widths": (0, 1, 1, 1, 1)}, {"head_width": 0}]
)
def test_sizes_are_checked(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        PersonCenterNetConfig(**change)  # type: ignore[arg-type]
