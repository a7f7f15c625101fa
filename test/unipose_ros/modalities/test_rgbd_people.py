"""Person detection by color: borrowed keypoints, and people of the last frame whom color overlooks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tiny_networks import FixedDetector

from unipose_ros.camera import Camera
from unipose_ros.config import DetectionConfig, RgbdConfig
from unipose_ros.detection import DepthOf, Proposals
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.joint_sets import COCO17
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.modalities.rgbd_proposals import Watch, without_borrowed_keypoints

CAMERA = Camera(500, 500, 319.5, 239.5, 640, 480)
WRIST = COCO17.index("right_wrist")


def people(*wrists: tuple[float, float], distances: tuple[float, ...] = (2.0, 2.8)) -> Proposals:
    """Two people 300 pixels apart but for their right wrists."""
    pixels = np.zeros((len(wrists), 17, 2), np.float32)
    for person, wrist in enumerate(wrists):
        pixels[person] = np.stack([np.linspace(0, 40, 17) + 60 + 300 * person, np.linspace(50, 400, 17)], axis=1)
        pixels[person, WRIST] = wrist
    count = len(wrists)
    boxes = np.tile(np.array([0, 0, 639, 479], np.float32), (count, 1))
    ones = np.ones(count, np.float32)
    keypoints = Keypoints2D(pixels, np.full((count, 17), 0.6, np.float32), ones, boxes)
    return Proposals(boxes, np.array(distances[:count], np.float32), ones, keypoints, DepthOf.JOINTS)


def frame(depth: float) -> RgbdFrame:
    return RgbdFrame(1, "camera", CAMERA, depth=np.full((480, 640), depth, np.float32))


@pytest.mark.parametrize(
    ("depth", "lost"),
    [(1.9, [False, True]), (2.75, [True, False]), (2.4, [True, True]), (0.0, [True, True])],
    ids=["the first one's", "the second one's", "in the middle", "no reading"],
)
def test_a_keypoint_in_one_place_is_that_persons_whose_depth_it_has(depth: float, lost: list[bool]) -> None:
    found = without_borrowed_keypoints(frame(depth), people((200.0, 200.0), (204.0, 198.0)))
    assert found.keypoints is not None
    assert (found.keypoints.confidences[:, WRIST] == 0).tolist() == lost
    others = np.delete(found.keypoints.confidences, WRIST, axis=1)
    assert (others == np.float32(0.6)).all()


def test_keypoints_in_places_of_their_own_stay() -> None:
    apart = people((200.0, 200.0), (220.0, 200.0))  # 8 cm at the nearer one's distance
    found = without_borrowed_keypoints(frame(1.9), apart)
    assert found.keypoints is not None
    assert (found.keypoints.confidences == np.float32(0.6)).all()


def test_unknown_distances_and_single_people_do_no_harm() -> None:
    alone = people((200.0, 200.0), distances=(2.0,))
    assert without_borrowed_keypoints(frame(1.9), alone) is alone
    unknown = people((200.0, 200.0), (201.0, 200.0), distances=(2.0, float("nan")))
    found = without_borrowed_keypoints(frame(1.9), unknown)
    assert found.keypoints is not None
    assert (found.keypoints.confidences[:, WRIST] == 0).all(), "whose it is cannot be told"


class SeesNothing:
    """A 2D network."""

    runtime = "nothing"
    joint_set = COCO17

    def __call__(self, image: np.ndarray) -> Keypoints2D:
        return Keypoints2D.empty()

    def close(self) -> None:
        """Nothing to free."""


@pytest.mark.parametrize(("milliseconds", "looked_for"), [(33, 1), (67, 1), (133, 0), (250, 0)])
def test_people_whom_color_overlooks_are_looked_for_where_they_were_a_moment_ago(
    milliseconds: int, looked_for: int
) -> None:
    watch = Watch(SeesNothing(), FixedDetector(), DetectionConfig(), RgbdConfig())
    first = frame(5.0)
    joints = np.random.default_rng(0).normal(0, 0.3, (1, 15, 3)).astype(np.float32) + np.float32([0, 0, 3])
    empty = Skeletons.empty(first.stamp_ns, "camera", "rgbd")
    known = replace(
        empty, positions=joints, confidences=np.ones((1, 15), np.float32), status=np.ones((1, 15), np.uint8),
        scores=np.ones(1, np.float32), states=np.zeros(1, np.uint8), ages_ns=np.zeros(1, np.int64),
    )  # fmt: skip
    watch.remember(first, known)
    later = replace(first, stamp_ns=first.stamp_ns + milliseconds * 1_000_000)
    found, rough = watch.depth(later, Proposals.empty())
    assert len(found) == looked_for
    assert not rough.any()
