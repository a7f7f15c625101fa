"""The two renderers see the same. Tolerances are stated in docs/results/speed.md."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from unipose_training.synthetic.bank import BodyBank
from unipose_training.synthetic.batch.interface import Rendered, Renderer
from unipose_training.synthetic.batch.raycast_renderer import RaycastRenderer
from unipose_training.synthetic.batch.scenes import SceneBatch
from unipose_training.synthetic.batch.torch_renderer import TorchRenderer


@pytest.fixture(scope="module")
def cast(bank: BodyBank, drawn: SceneBatch, open3d_works: None) -> Rendered:
    return RaycastRenderer(bank).render(drawn, color=True)


def test_depth_and_owners_are_those_of_ray_casting(
    bank: BodyBank, drawn: SceneBatch, cast: Rendered, device: str
) -> None:
    renderer: Renderer = TorchRenderer(bank, device)
    made = renderer.render(drawn)
    depth, owner = made.depth.cpu(), made.owner.cpu()
    person = (owner > 0) | (cast.owner > 0)
    assert float(person.float().mean()) > 0.03
    assert float((owner == cast.owner).float().mean()) >= 0.9999
    assert float((owner == cast.owner)[person].float().mean()) >= 0.999
    same = owner == cast.owner
    for where in (same, same & person):
        error_mm = 1e3 * (depth - cast.depth)[where].abs().numpy()
        assert np.median(error_mm) < 0.01
        assert np.percentile(error_mm, 99.9) < 0.1
        assert (error_mm > 1).mean() < 1e-3


def test_colors_are_those_of_ray_casting_where_no_shadow_falls(
    bank: BodyBank, drawn: SceneBatch, cast: Rendered
) -> None:
    made = TorchRenderer(bank, samples=2).render(drawn, color=True)
    assert made.color is not None
    assert cast.color is not None
    difference = (made.color.int() - cast.color.int()).abs().amax(dim=-1)
    # Shadows, grain and the lens's blur are what is left; a wrong texture or lamp would be everywhere.
    assert float(difference.float().median()) <= 10
    assert float((difference < 40).float().mean()) > 0.85


def test_one_frame_alone_is_as_in_a_batch(
    bank: BodyBank, drawn: SceneBatch, only_frame: Callable[[SceneBatch, int], SceneBatch], device: str
) -> None:
    renderer = TorchRenderer(bank, device)
    together = renderer.render(drawn, color=True)
    assert together.color is not None
    for frame in range(len(drawn)):
        alone = renderer.render(only_frame(drawn, frame), color=True)
        assert alone.color is not None
        same = alone.owner[0] == together.owner[frame]
        assert float(same.float().mean()) >= 0.9999
        assert float((alone.depth[0] - together.depth[frame])[same].abs().quantile(0.999)) < 1e-4
        assert float((alone.color[0].int() - together.color[frame].int()).abs().float().mean()) < 0.05


def test_the_same_scenes_give_the_same_images(bank: BodyBank, drawn: SceneBatch, device: str) -> None:
    one, other = (TorchRenderer(bank, device).render(drawn, color=True) for _ in range(2))
    assert torch.equal(one.depth, other.depth)
    assert torch.equal(one.owner, other.owner)
    # Normals are summed in no fixed order on a GPU.
    assert one.color is not None
    assert other.color is not None
    assert int((one.color.int() - other.color.int()).abs().max()) <= (0 if device == "cpu" else 2)


def test_the_budget_changes_memory_and_not_the_image(bank: BodyBank, drawn: SceneBatch, device: str) -> None:
    small, large = (TorchRenderer(bank, device, budget=budget).render(drawn) for budget in (1 << 12, 1 << 22))
    assert float((small.owner == large.owner).float().mean()) >= 0.99999
    assert float((small.depth - large.depth).abs().quantile(0.999) if small.depth.numel() < 1 << 24 else 0) < 1e-5
