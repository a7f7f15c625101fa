"""How person detectors are evaluated."""

from __future__ import annotations

import numpy as np

from unipose_ros.camera import Camera
from unipose_ros.detection import Proposals
from unipose_ros.frame import JointStatus, Skeletons
from unipose_ros.joint_sets import COCO23
from unipose_training.detection.evaluate import DetectionCounts, count_matches

CAMERA = Camera(100, 100, 159.5, 119.5, 320, 240)


def ground_truth(*places: tuple[float, float], measured: int = 23) -> Skeletons:
    """People at (x, z) whose joints lie in a row from head to foot, some of which are in view."""
    joints = np.zeros((len(places), 23, 3), np.float32)
    for person, (x, z) in enumerate(places):
        joints[person, :, 0], joints[person, :, 2] = x, z
        joints[person, :, 1] = np.linspace(-0.7, 0.7, 23)
    status = np.full((len(places), 23), JointStatus.INFERRED, np.uint8)
    status[:, :measured] = JointStatus.MEASURED
    ones = np.ones((len(places), 23), np.float32)
    return Skeletons(1, "optical", "ground_truth", joints, ones, status, ones[:, 0], joint_set=COCO23)


def proposals(*places: tuple[float, float]) -> Proposals:
    u = np.array([159.5 + 100 * x / z for x, z in places])
    boxes = np.stack([u - 10, np.full(len(u), 84.5), u + 10, np.full(len(u), 154.5)], axis=1).reshape(-1, 4)
    distances = np.array([z for _, z in places], np.float32)
    return Proposals(boxes.astype(np.float32), distances, np.ones(len(places), np.float32))


def test_found_missed_and_wrong() -> None:
    counted = count_matches(proposals((0.1, 2.1), (1.5, 3.0)), ground_truth((0.0, 2.0), (-1.0, 3.0)), CAMERA, 0.5)
    assert counted == DetectionCounts(people=2, hits=1, wrong=1, seconds=0.5, frames=1)


def test_one_proposal_is_for_one_person() -> None:
    assert count_matches(proposals((0.0, 2.0)), ground_truth((0.1, 2.0), (-0.1, 2.0)), CAMERA).hits == 1
    assert count_matches(proposals((0.1, 2.0), (-0.1, 2.0)), ground_truth((0.0, 2.0)), CAMERA).wrong == 1


def test_hardly_visible_people_do_not_count_either_way() -> None:
    hidden = ground_truth((0.0, 2.0), measured=5)
    assert count_matches(Proposals.empty(), hidden, CAMERA) == DetectionCounts(0, 0, 0, 0.0, 1)
    lifted = Proposals(
        np.array([[149.5, 84.5, 169.5, 100.0]], np.float32), np.array([2.0], np.float32), np.ones(1, np.float32)
    )
    assert count_matches(lifted, hidden, CAMERA) == DetectionCounts(0, 0, 0, 0.0, 1)


def test_no_distance_is_no_hit() -> None:
    unknown = Proposals(proposals((0.0, 2.0)).boxes, np.array([np.nan], np.float32), np.ones(1, np.float32))
    assert count_matches(unknown, ground_truth((0.0, 2.0)), CAMERA) == DetectionCounts(1, 0, 1, 0.0, 1)


def test_results_add_up_and_read_as_a_row() -> None:
    total = DetectionCounts(4, 3, 1, 0.1, 2) + DetectionCounts(4, 3, 0, 0.1, 2)
    assert total == DetectionCounts(8, 6, 1, 0.2, 4)
    assert str(total).split() == ["8", "0.750", "0.857", "50.0"]
