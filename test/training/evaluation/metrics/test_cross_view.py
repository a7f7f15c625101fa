from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from unipose_training.errors import EvaluationError
from unipose_training.evaluation.metrics.cross_view import agreements, joint_differences, read_camera_poses

IDENTITY = np.eye(4)


def from_the_side() -> np.ndarray:
    """A second camera, turned by 90 degrees, 3 m to the right of what both look at 3 m ahead."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("y", -90, degrees=True).as_matrix()
    pose[:3, 3] = (3, 0, 3)
    return pose


def seen_by(people, positions: np.ndarray, pose: np.ndarray, stamp: int = 0):
    return people((positions - pose[:3, 3]) @ pose[:3, :3], stamp)


def test_views_of_the_same_person_agree(people, standing: np.ndarray) -> None:
    scene = standing + (0, 0, 3)
    second = seen_by(people, scene[None], from_the_side())
    np.testing.assert_allclose(second.transformed(from_the_side(), "scene").positions[0], scene, atol=1e-6)
    # The second camera has the person 3 m ahead too.
    assert second.positions[0, :, 2].mean() == pytest.approx(3, abs=0.1)


def test_differences_by_hand(people, standing: np.ndarray) -> None:
    first = people([standing, standing + (2, 0, 0)])
    second = people([standing + (2.03, 0.04, 0), standing + (9, 0, 0)])
    np.testing.assert_allclose(joint_differences(first, second), np.full((1, 15), 0.05), atol=1e-5)


def test_agreement_by_hand(people, standing: np.ndarray) -> None:
    poses = {"a": IDENTITY, "b": from_the_side()}
    scene = standing + (0, 0, 3)
    views = {
        "a": [people([scene], t * 100) for t in range(4)],
        # Taken 10 later, and 5 cm off; the last frame has no partner.
        "b": [seen_by(people, (scene + (0, 0.05, 0))[None], poses["b"], t * 100 + 10) for t in range(5)],
        "c": [people([scene], 0)],
    }
    (found,) = agreements(views, poses)
    assert (found.first, found.second, found.frames, found.people) == ("a", "b", 4, 4)
    assert (found.mean_mm, found.median_mm) == pytest.approx((50, 50), abs=1e-2)


def test_views_at_other_times_do_not_count(people, standing: np.ndarray) -> None:
    views = {"a": [people([standing], t) for t in (0, 100)], "b": [people([standing], t) for t in (5000, 5100)]}
    assert agreements(views, {"a": IDENTITY, "b": IDENTITY}) == ()


def test_poses_are_read(tmp_path: Path) -> None:
    file = tmp_path / "poses.yaml"
    file.write_text("left: [1, 0, 0, 0.5, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]\n")
    np.testing.assert_allclose(read_camera_poses(file)["left"][0], [1, 0, 0, 0.5])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("left: [1, 2, 3]", "'left' has not 16 numbers"),
        (f"left: [{10**400}, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]", "'left' has not 16 numbers"),
        ("left: [.nan, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]", "'left' has not 16 numbers"),
        ("left: [2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]", "'left' is not a rotation"),
        ("left: [-1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]", "'left' is not a rotation"),
        ("- 1", "give 'name"),
        ("left: [", "cannot be read as YAML"),
    ],
)
def test_poses_that_cannot_be_used_are_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "poses.yaml"
    file.write_text(text)
    with pytest.raises(EvaluationError, match=message):
        read_camera_poses(file)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"nowhere\.yaml"):
        read_camera_poses(tmp_path / "nowhere.yaml")
