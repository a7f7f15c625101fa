"""The whole way from image to skeleton on real recordings; skipped without them or the network."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from unipose_ros.camera import Camera
from unipose_ros.estimator import EstimatorConfig, PoseEstimator, build_estimator
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons
from unipose_ros.images import to_meters
from unipose_ros.joint_sets import ITOP15
from unipose_ros.networks.weights import WeightsError

#: Shortest and longest plausible part of an adult in meters.
PLAUSIBLE = {"elbow": (0.2, 0.42), "hand": (0.17, 0.38), "knee": (0.35, 0.56), "foot": (0.33, 0.55)}


@pytest.fixture(scope="module")
def estimator() -> PoseEstimator:
    try:
        return build_estimator(EstimatorConfig(modality="lookup", device="cpu"))
    except WeightsError as error:
        pytest.skip(str(error))


def read(color: Path, depth: Path, camera: Camera) -> RgbdFrame:
    image, millimeters = cv2.imread(str(color)), cv2.imread(str(depth), cv2.IMREAD_UNCHANGED)
    assert image is not None
    assert millimeters is not None
    image = cv2.resize(image, (camera.width, camera.height))
    return RgbdFrame(
        stamp_ns=0,
        frame_id="camera",
        camera=camera,
        depth=to_meters(millimeters),
        color=np.ascontiguousarray(image[..., ::-1], np.uint8),
    )


def length(skeletons: Skeletons, person: int, child: str) -> float:
    bone = next(bone for bone in ITOP15.bones if ITOP15.joints[bone.child] == child)
    ends = skeletons.positions[person, [bone.parent, bone.child]]
    return float(np.linalg.norm(ends[0] - ends[1]))


def test_four_people_outdoors_have_plausible_limbs(estimator: PoseEstimator, shared_data: Path) -> None:
    folder = shared_data / "lmb_rgbd_pose3d"
    camera = Camera(1392.5, 944.9, 944.5, 546.7, 1920, 1080)
    skeletons = estimator.estimate(read(folder / "color.png", folder / "depth.png", camera))
    assert len(skeletons) == 4
    found = skeletons.status != JointStatus.MISSING
    assert found.mean() > 0.9
    for person in skeletons:
        for side in ("left", "right"):
            for part, (short, long) in PLAUSIBLE.items():
                meters = length(skeletons, person, f"{side}_{part}")
                assert np.isnan(meters) or short < meters < long, f"{side}_{part} of person {person}: {meters:.2f} m"


def test_bones_keep_their_length_while_a_person_turns(estimator: PoseEstimator, shared_data: Path) -> None:
    camera = Camera(525.0, 525.0, 320.0, 240.0, 640, 480)
    images = sorted((shared_data / "uva_person").glob("*[0-9].jpg"))[::8]
    frames = [read(image, image.with_name(f"{image.stem}_depth.png"), camera) for image in images]
    results = [estimator.estimate(frame) for frame in frames]
    assert [len(skeletons) for skeletons in results] == [1] * len(frames)
    for child in ("head", "left_shoulder", "left_elbow", "right_elbow"):
        meters = np.array([length(skeletons, 0, child) for skeletons in results])
        assert np.nanstd(meters) < 0.2 * np.nanmedian(meters)
    for skeletons in results:
        # Only head, shoulders and arms are in the image.
        legs = [ITOP15.index(f"{side}_{part}") for side in ("left", "right") for part in ("knee", "foot")]
        assert (skeletons.status[0, legs] == JointStatus.MISSING).all()
