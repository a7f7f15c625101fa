from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from unipose_ros.codecs.keypoints import LIFTER_INPUT
from unipose_training.errors import DataError
from unipose_training.losses.projection import project_to_plane
from unipose_training.mocap.detector_noise import DetectorNoise
from unipose_training.mocap.pairs import LabelSource, MotionSource, Observation, PairDataset, observe
from unipose_training.mocap.virtual_cameras import Viewpoints, posed_joints, sample_sightings
from unipose_training.synthetic.bank import load_bank

BANK = Path(__file__).parents[2] / "data" / "body_bank.npz"
VIEWS = Viewpoints(("kinect_v1", "d455"), (0.3, 2.5))


@pytest.fixture(scope="module")
def poses():
    return posed_joints(load_bank(BANK), 2, seed=0)


def draw(poses, observation=None, count=200, seed=1, paired=True):
    rng = np.random.default_rng(seed)
    return observe(rng, sample_sightings(rng, poses, VIEWS, count), observation or Observation(), paired)


def test_people_stand_on_the_floor_under_the_camera(poses):
    sight = sample_sightings(np.random.default_rng(0), poses, VIEWS, 100)
    np.testing.assert_allclose(np.linalg.norm(sight.gravity, axis=1), 1, atol=1e-9)
    # Height above the lowest joint, along gravity: a person, and the camera between 0.3 and 2.5 m up.
    heights = np.einsum("njc,nc->nj", sight.joints, sight.gravity)
    assert (np.ptp(heights, axis=1) < 2.3).all()
    assert (heights.max(axis=1) > 0.0).all()
    assert (heights.max(axis=1) < 2.6).all()


def test_ground_truth_projects_onto_the_keypoints(poses):
    """The labels, the turned frame, the sizes and the perspective fit each other exactly."""
    batch = draw(poses)
    body, coco = [2, 3, 9, 10, 13, 14], [6, 5, 12, 11, 16, 15]
    fitted = torch.nn.Parameter(torch.zeros(len(batch.joints), 3))
    optimizer = torch.optim.LBFGS([fitted], max_iter=200, line_search_fn="strong_wolfe")

    def error():
        drawn = project_to_plane(batch.joints, fitted[:, 0].exp(), fitted[:, 1:], batch.sizes, batch.known)
        return drawn[:, body] - batch.keypoints[:, coco]

    def closure():
        optimizer.zero_grad()
        loss = (error() ** 2).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert error().abs().max().item() < 5e-3


def test_the_upright_frame_is_upright(poses):
    batch = draw(poses)
    upright = batch.joints @ batch.rotation
    torch.testing.assert_close(torch.linalg.det(batch.rotation), torch.ones(200))
    # No person in the tests' bank lies down: heads are above feet, and y points downwards.
    assert (upright[:, 0, 1] < upright[:, [13, 14], 1].mean(1)).float().mean() > 0.9


def test_the_same_seed_gives_the_same_people(poses):
    torch.testing.assert_close(draw(poses).inputs, draw(poses).inputs)
    assert not torch.equal(draw(poses).inputs, draw(poses, seed=2).inputs)


def test_noise_moves_what_is_given_and_not_what_is_true(poses):
    clean, noisy = draw(poses), draw(poses, Observation(DetectorNoise()))
    assert clean.inputs.shape == noisy.inputs.shape == (200, LIFTER_INPUT)
    given = noisy.inputs[:, :51].unflatten(-1, (17, 3))[..., :2]
    apart = (given - noisy.keypoints).norm(dim=-1)[noisy.seen & noisy.labeled]
    assert 0.02 < apart.median() < 0.2
    given = clean.inputs[:, :51].unflatten(-1, (17, 3))[..., :2]
    torch.testing.assert_close(given[clean.seen], clean.keypoints[clean.seen], atol=1e-5, rtol=1e-4)


def test_errors_grow_as_confidence_falls():
    noise, rng = DetectorNoise(), np.random.default_rng(0)
    sure, uncertain = (
        np.linalg.norm(noise.errors(rng, np.full((2000, 17), c)), axis=-1).mean(axis=0) for c in (0.8, 0.2)
    )
    assert (uncertain > 2 * sure).all()
    assert (noise.confidences(rng, 500) > 0).all()
    assert (noise.confidences(rng, 500) < 1).all()


def test_swaps_are_as_frequent_as_measured_and_keep_the_middle():
    noise = DetectorNoise(swapped_people=0.5, swapped_limbs=0.0)
    sources, wrong = noise.swaps(np.random.default_rng(0), 4000)
    assert wrong[:, 5].mean() == pytest.approx(0.5, abs=0.03)
    assert not wrong[:, 0].any()
    assert (sources[wrong[:, 5], 5] == 6).all()


def test_without_k_only_the_guess_is_told(poses):
    batch = draw(poses, Observation(unknown=1.0))
    assert not batch.known.any()
    assert batch.inputs[:, -4:].abs().max() == 0


def test_data_set_halves_batches_between_its_sources(poses):
    sources = [MotionSource(poses, VIEWS, Observation()), MotionSource(poses, VIEWS, Observation(), paired=False)]
    batch = PairDataset(sources, 100, seed=3).__getitems__(list(range(10)))
    assert batch.paired.tolist() == [True] * 5 + [False] * 5
    again = PairDataset(sources, 100, seed=3).__getitems__(list(range(10)))
    torch.testing.assert_close(batch.inputs, again.inputs)
    with pytest.raises(DataError, match="nothing to draw"):
        PairDataset([], 10)


def test_labeled_images_train_without_3d(tmp_path):
    person = {
        "id": 7, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 900.0, "bbox": [10, 10, 60, 150],
        "keypoints": [value for joint in range(17) for value in (10 + 3 * joint, 10 + 7 * joint, 2 * (joint < 14))],
    }  # fmt: skip
    few = person | {"id": 8, "keypoints": [5, 5, 2] * 3 + [0, 0, 0] * 14}
    from unipose_ros.joint_sets import COCO17

    record = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 200, "height": 160}],
        "annotations": [person, few],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.joints)}],
    }
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "person_keypoints_mine.json").write_text(json.dumps(record))
    source = LabelSource(tmp_path, "mine")
    assert len(source) == 1
    batch = source.draw(np.random.default_rng(0), 4)
    assert not batch.paired.any()
    assert not batch.known.any()
    assert batch.labeled.sum(1).tolist() == [14] * 4
    assert torch.isfinite(batch.inputs).all()


@pytest.mark.parametrize("wrong", [{"kinds": ("ricoh",)}, {"kinds": ()}, {"height": (2.0, 1.0)}])
def test_views_that_do_not_exist_are_refused(wrong):
    with pytest.raises(DataError, match="viewpoints"):
        Viewpoints(**{"kinds": ("d435",), "height": (1.0, 2.0)} | wrong)
