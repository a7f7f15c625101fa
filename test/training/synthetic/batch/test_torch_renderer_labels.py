"""Labels of rendered batches, scene drawing and looks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unipose_ros.camera import project
from unipose_ros.frame import JointStatus
from unipose_ros.joint_sets import ITOP15
from unipose_training.datasets.joint_sets import in_joint_set
from unipose_training.synthetic.bank import BodyBank
from unipose_training.synthetic.batch.interface import Labels, Rendered, label
from unipose_training.synthetic.batch.looks import joined, looks_of, shade
from unipose_training.synthetic.batch.scenes import SceneBatch
from unipose_training.synthetic.batch.torch_renderer import TorchRenderer
from unipose_training.synthetic.materials import Mark, Material
from unipose_training.synthetic.materials import shade as shade_reference
from unipose_training.synthetic.photograph import true_skeletons


@pytest.fixture(scope="module")
def rendered(bank: BodyBank, drawn: SceneBatch) -> Rendered:
    return TorchRenderer(bank).render(drawn)


@pytest.fixture(scope="module")
def labels(drawn: SceneBatch, rendered: Rendered) -> Labels:
    return label(drawn, rendered)


def test_joints_and_what_is_seen_of_them_are_those_of_the_recordings(
    drawn: SceneBatch, rendered: Rendered, labels: Labels
) -> None:
    for frame in range(len(drawn)):
        here = (drawn.people.frames == frame).numpy()
        owners = drawn.people.owners[here].numpy()
        joints = np.zeros((owners.max(), 23, 3))
        joints[owners - 1] = drawn.cameras.view(frame).to_camera(rendered.people.joints[here].double().numpy())
        depth, owner = rendered.depth[frame].numpy(), rendered.owner[frame].numpy().astype(np.int64)
        ids = [str(n) for n in range(owners.max())]
        ground_truth = true_skeletons(0, "camera", joints, ids, drawn.cameras.camera(frame), depth, owner)
        for name, found in (("coco23", ground_truth), ("itop15", in_joint_set(ground_truth, ITOP15))):
            positions = getattr(labels, name)[here].numpy()
            np.testing.assert_allclose(positions, found.positions[owners - 1], atol=1e-4)
            seen = getattr(labels, f"{name}_seen")[here].numpy()
            agree = seen == (found.status[owners - 1] == JointStatus.MEASURED)
            # A joint that falls between two pixels may be rounded to either.
            assert agree.mean() > 0.98


def test_pixels_are_the_projected_joints(drawn: SceneBatch, labels: Labels) -> None:
    for person in range(len(drawn.people)):
        camera = drawn.cameras.camera(int(drawn.people.frames[person]))
        expected = project(camera, labels.coco23[person].double().numpy())
        np.testing.assert_allclose(labels.coco23_pixels[person].numpy(), expected, atol=0.02)


def test_boxes_hold_exactly_the_pixels_of_their_person(drawn: SceneBatch, rendered: Rendered, labels: Labels) -> None:
    for person in range(len(drawn.people)):
        own = rendered.owner[int(drawn.people.frames[person])] == drawn.people.owners[person]
        assert int(labels.pixels[person]) == int(own.sum())
        v, u = own.nonzero().unbind(1)
        if len(u):
            assert labels.boxes[person].tolist() == [u.min(), v.min(), u.max(), v.max()]
        else:
            assert bool(labels.boxes[person].isnan().all())


def test_seen_joints_lie_in_the_box(labels: Labels) -> None:
    u, v = labels.coco23_pixels.unbind(-1)
    u0, v0, u1, v1 = (side[:, None] for side in labels.boxes.unbind(1))
    inside = (u > u0 - 1) & (u < u1 + 1) & (v > v0 - 1) & (v < v1 + 1)
    assert bool(inside[labels.coco23_seen].all())
    assert bool(labels.coco23_seen.any())


def test_looks_keep_their_materials() -> None:
    mark = Mark((0.0, 0.5, 1.0), (0.25, 0.125, 0.5), (1.0, 0.0, 0.5))
    materials = (
        Material((0.5, 0.25, 0.125), (1.0, 0.0, 0.75), "stripes", 0.125, 0.25, 0.5, (mark,)),
        Material((0.0, 0.5, 1.0), grain=0.0, grain_size=0.25, size=0.5),
    )
    assert joined([looks_of(materials[:1]), looks_of(materials[1:])]).materials() == materials


@pytest.mark.parametrize("pattern", ["plain", "stripes", "checks", "tiles"])
def test_shading_is_the_reference_s_but_for_grain(pattern: str) -> None:
    mark = Mark((0.2, 0.2, 0.2), (0.1, 0.2, 0.1), (0.9, 0.1, 0.1))
    material = Material((0.2, 0.5, 0.7), (0.9, 0.6, 0.1), pattern, 0.13, grain=0.0, marks=(mark,))
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (4000, 3))
    found = shade(looks_of([material]), torch.zeros(4000, dtype=torch.int64), torch.from_numpy(points).float())
    wrong = np.abs(found.numpy() - shade_reference(material, points)).max(axis=1) > 1e-4
    # Points on the very edge of a stripe.
    assert wrong.mean() < 0.002


def test_grain_is_as_strong_as_the_reference_s() -> None:
    material = Material((0.5, 0.5, 0.5), grain=0.3)
    points = np.random.default_rng(1).uniform(-2, 2, (20_000, 3))
    found = shade(looks_of([material]), torch.zeros(20_000, dtype=torch.int64), torch.from_numpy(points).float())
    expected = shade_reference(material, points)
    assert float(found.mean()) == pytest.approx(expected.mean(), rel=0.02)
    assert float(found.std()) == pytest.approx(expected.std(), rel=0.1)
