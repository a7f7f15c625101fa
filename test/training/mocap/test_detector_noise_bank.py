from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unipose_ros.joint_sets import COCO17
from unipose_training.errors import DataError
from unipose_training.mocap.detector_noise import EmpiricalErrors, load_detections
from unipose_training.mocap.pairs import Observation, observe
from unipose_training.mocap.virtual_cameras import Viewpoints, posed_joints, sample_sightings
from unipose_training.synthetic.bank import load_bank

BANK = Path(__file__).parents[2] / "data" / "body_bank.npz"
MIRROR = list(COCO17.mirror)


@pytest.fixture(scope="module")
def people():
    poses = posed_joints(load_bank(BANK), 1, seed=0)
    return sample_sightings(np.random.default_rng(3), poses, Viewpoints(("d435",), (1.0, 2.0)), 60)


@pytest.fixture
def file(people, tmp_path):
    """A detector that errs about each person in a way of its own, and exchanges the sides of the first."""
    detected = people.pixels + np.arange(60)[:, None, None] * [0.2, 0.1]
    detected[0] = people.pixels[0, MIRROR]
    rotation = np.zeros((60, 3, 3))
    rotation[:, :, 2] = -people.gravity
    np.savez(
        tmp_path / "detections.npz", ground_truth_px=people.pixels, ground_truth=people.joints, px=detected,
        conf=np.linspace(0.3, 0.9, 60)[:, None].repeat(17, 1), rot=rotation,
        cam=np.column_stack([people.intrinsics, people.image]),
    )  # fmt: skip
    return tmp_path / "detections.npz"


def test_people_come_back_from_their_file(file, people):
    loaded = load_detections(file)
    for name, value in vars(people).items():
        if name != "inside":
            np.testing.assert_array_equal(getattr(loaded.people, name), value)
    pixels, confidences = loaded.detect(np.random.default_rng(0), people.pixels)
    assert pixels.shape == (60, 17, 2)
    assert confidences[0, 0] == 0.3


def test_a_person_in_the_same_pose_elsewhere_and_nearer_is_erred_about_alike(file, people):
    loaded = load_detections(file)
    wanted = 3.0 * people.pixels + [7.0, -40.0]
    detected, confidences = EmpiricalErrors(loaded).detect(np.random.default_rng(0), wanted)
    np.testing.assert_allclose(detected - wanted, 3.0 * (loaded.pixels - people.pixels), atol=1e-6)
    np.testing.assert_array_equal(confidences, loaded.confidences)


def test_errors_are_mirrored_with_the_person(file, people):
    loaded = load_detections(file)
    wanted = people.pixels[:, MIRROR] * [-1.0, 1.0]
    detected, _ = EmpiricalErrors(loaded).detect(np.random.default_rng(0), wanted)
    np.testing.assert_allclose(detected, loaded.pixels[:, MIRROR] * [-1.0, 1.0], atol=1e-6)


def test_a_single_keypoint_does_not_train(people):
    class OnePoint:
        def detect(self, rng, pixels):
            return pixels, np.where(np.arange(17) == 9, 0.9, 0.0) * np.ones((len(pixels), 1))

    batch = observe(np.random.default_rng(0), people, Observation(OnePoint()), paired=True)
    assert np.abs(batch.keypoints.numpy()).max() < 6
    assert np.isfinite(batch.inputs.numpy()).all()


def test_a_file_of_something_else_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"none\.npz"):
        load_detections(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", pixels=np.zeros(3))
    with pytest.raises(DataError, match="other"):
        load_detections(tmp_path / "other.npz")
