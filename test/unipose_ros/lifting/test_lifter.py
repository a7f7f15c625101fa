from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from unipose_ros.backends import TorchBackend
from unipose_ros.camera import Camera, CameraError, project
from unipose_ros.codecs.keypoints import LIFTER_INPUT, REFINER_INPUT, view_keypoints
from unipose_ros.frame import JointStatus
from unipose_ros.joint_sets import COCO17, COCO23, ITOP15, convert_joints
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.lifting import KeypointRefiner, Lifter, LiftingConfig, load_lifter
from unipose_ros.networks.lifter import (
    Lifted,
    LifterConfig,
    LifterNetwork,
    RefinerConfig,
    RefinerNetwork,
    rotation_of_columns,
)
from unipose_ros.resources import ResourceError, resource_path

CAMERA = Camera(fx=525, fy=525, cx=320, cy=240, width=640, height=480)
HIPS = [ITOP15.index("left_hip"), ITOP15.index("right_hip")]


def standing(place=(0.2, 0.1, 3.0)) -> np.ndarray:
    """(17, 3) COCO joints of a person who stands and looks at the camera, meters in the optical frame."""
    half = {"nose": (0, -0.62, -0.1), "left_eye": (0.03, -0.65, -0.08), "left_ear": (0.07, -0.63, 0),
            "left_shoulder": (0.18, -0.45, 0), "left_elbow": (0.24, -0.2, 0.05), "left_wrist": (0.26, 0.05, -0.1),
            "left_hip": (0.1, 0, 0), "left_knee": (0.11, 0.42, -0.05), "left_ankle": (0.12, 0.84, 0.03)}  # fmt: skip
    joints = []
    for name in COCO17.joints:
        x, y, z = half.get(name) or half[name.replace("right", "left")]
        joints.append((-x if name.startswith("right") else x, y, z))
    return np.array(joints) + place


def run(network: nn.Module) -> TorchBackend:
    return TorchBackend(network, threads=1)


class Oracle(nn.Module):
    """Stands for a perfectly trained network: it knows the pose, whatever it reads."""

    def __init__(self, coco: np.ndarray, scale: float = 0.02) -> None:
        super().__init__()
        itop, _ = convert_joints(np.concatenate([coco, np.full((6, 3), np.nan)])[None], COCO23, ITOP15)
        self.joints = itop[0] - itop[0, HIPS].mean(axis=0)
        self.coco, self.scale = coco, scale

    def forward(self, values):
        people = len(values)
        view = view_keypoints(CAMERA, project(CAMERA, self.coco)[None], np.ones((1, 17), bool))
        joints = torch.from_numpy(self.joints @ view.turns[0].T).float().expand(people, -1, -1)
        eye = torch.eye(3).expand(people, 3, 3)
        scales = torch.full((people, 15, 2), float(np.log(self.scale)))
        return Lifted(joints, joints, eye, torch.ones(people), torch.zeros(people, 2), scales)


def keypoints_of(coco: np.ndarray, confidence=0.9) -> Keypoints2D:
    pixels = project(CAMERA, coco).astype(np.float32)[None]
    box = np.concatenate([pixels[0].min(0), pixels[0].max(0)])[None]
    return Keypoints2D(pixels, np.full((1, 17), confidence, np.float32), np.array([0.8], np.float32), box)


def depth_of(coco: np.ndarray, wall=6.0) -> np.ndarray:
    """A surface in front of the whole person's box, 7 cm nearer than the middle of the joints, and a wall."""
    depth = np.full((480, 640), wall, np.float32)
    u0, v0, u1, v1 = keypoints_of(coco).boxes[0].astype(int)
    depth[max(v0 - 8, 0) : v1 + 8, u0 - 8 : u1 + 8] = coco[:, 2].mean() - 0.07
    return depth


def test_a_known_pose_is_put_exactly_where_it_is():
    coco = standing()
    skeletons = Lifter(run(Oracle(coco))).lift(keypoints_of(coco), CAMERA, stamp_ns=5, frame_id="cam", modality="rgb")
    ground_truth, _ = convert_joints(np.concatenate([coco, np.full((6, 3), np.nan)])[None], COCO23, ITOP15)
    np.testing.assert_allclose(skeletons.positions, ground_truth, atol=5e-3)
    assert (skeletons.stamp_ns, skeletons.frame_id, skeletons.modality) == (5, "cam", "rgb")
    assert (skeletons.status == JointStatus.INFERRED).all()
    np.testing.assert_allclose(skeletons.scores, 0.8)


def test_without_depth_covariances_are_long_along_the_ray():
    coco = standing()
    covariances = Lifter(run(Oracle(coco))).lift(keypoints_of(coco), CAMERA).covariances[0]
    assert (np.sqrt(covariances[:, 5]) > 0.15).all()
    assert (np.sqrt(covariances[:, 0]) < 0.08).all()


def test_depth_corrects_the_distance_of_a_tall_person():
    """The lifter believes in a usual size; the person is 1.15 times as large and stands at 3.45 m."""
    usual, tall = standing(), 1.15 * standing()
    lifter = Lifter(run(Oracle(usual)))
    alone = lifter.lift(keypoints_of(tall), CAMERA)
    fused = lifter.lift(keypoints_of(tall), CAMERA, depth_of(tall))
    torso = ITOP15.index("torso")
    true = tall[[5, 6, 11, 12], 2].mean()
    assert abs(alone.positions[0, torso, 2] - true) > 0.35
    assert abs(fused.positions[0, torso, 2] - true) < 0.1
    assert (fused.covariances[0, :, 5] < alone.covariances[0, :, 5]).all()
    assert (fused.status == JointStatus.MEASURED).any()


def test_a_wall_behind_the_person_is_no_reading_of_it():
    coco = standing()
    lifter = Lifter(run(Oracle(coco)))
    without = lifter.lift(keypoints_of(coco), CAMERA)
    wall = lifter.lift(keypoints_of(coco), CAMERA, np.full((480, 640), 6.0, np.float32))
    np.testing.assert_allclose(wall.positions, without.positions)
    assert (wall.status == JointStatus.INFERRED).all()


def test_furniture_in_front_of_the_person_is_no_reading_of_it():
    coco = standing()
    lifter = Lifter(run(Oracle(coco, scale=0.2)))
    table = np.full((480, 640), 1.2, np.float32)
    near = lifter.lift(keypoints_of(coco), CAMERA, table)
    np.testing.assert_allclose(near.positions, lifter.lift(keypoints_of(coco), CAMERA).positions)


def test_a_depth_image_without_readings_changes_nothing():
    coco = standing()
    lifter = Lifter(run(Oracle(coco)))
    for nothing in (0.0, np.nan):
        dead = lifter.lift(keypoints_of(coco), CAMERA, np.full((480, 640), nothing, np.float32))
        np.testing.assert_allclose(dead.positions, lifter.lift(keypoints_of(coco), CAMERA).positions)


def test_fewer_than_six_keypoints_are_no_person():
    coco = standing()
    given = keypoints_of(coco)
    for seen, people in ((5, 0), (6, 1)):
        confidences = np.where(np.arange(17) < 11 - seen, 0.01, np.where(np.arange(17) < 11, 0.9, 0.01))
        few = Keypoints2D(given.pixels, confidences[None].astype(np.float32), given.scores, given.boxes)
        assert len(Lifter(run(Oracle(coco))).lift(few, CAMERA)) == people


def test_a_face_alone_is_no_person_however_few_keypoints_are_asked_for():
    coco = standing()
    given = keypoints_of(coco)
    face = np.where(np.arange(17) < 6, 0.9, 0.01)[None].astype(np.float32)
    lifter = Lifter(run(Oracle(coco)), LiftingConfig(min_keypoints=2))
    assert len(lifter.lift(Keypoints2D(given.pixels, face, given.scores, given.boxes), CAMERA)) == 0


def test_what_is_outside_the_image_or_uncertain_is_missing_and_not_invented():
    coco = standing()
    given = keypoints_of(coco)
    pixels, confidences = given.pixels.copy(), given.confidences.copy()
    pixels[0, COCO17.index("left_ankle")] = (700, 500)
    pixels[0, COCO17.index("right_ankle")] = np.nan
    confidences[0, COCO17.index("left_shoulder")] = 0.05
    skeletons = Lifter(run(Oracle(coco))).lift(Keypoints2D(pixels, confidences, given.scores, given.boxes), CAMERA)
    # Neck and torso lie between shoulders and are gone with one of them; so is the arm's loose end not.
    for joint in ("left_foot", "right_foot", "left_shoulder", "neck", "torso"):
        index = ITOP15.index(joint)
        assert skeletons.status[0, index] == JointStatus.MISSING
        assert np.isnan(skeletons.positions[0, index]).all()
        assert skeletons.confidences[0, index] == 0
    assert np.isfinite(skeletons.positions[0, ITOP15.index("right_hand")]).all()


def test_keypoints_entirely_outside_are_no_person():
    given = keypoints_of(standing())
    outside = Keypoints2D(given.pixels + 2000, given.confidences, given.scores, given.boxes)
    assert len(Lifter(run(Oracle(standing()))).lift(outside, CAMERA)) == 0


def test_a_camera_of_zeros_is_refused_with_the_remedy():
    with pytest.raises(CameraError, match="calibrate"):
        Camera(fx=0, fy=0, cx=0, cy=0, width=640, height=480)


def test_wrong_joint_sets_and_sizes_are_refused():
    coco = standing()
    lifter, given = Lifter(run(Oracle(coco))), keypoints_of(coco)
    with pytest.raises(ValueError, match="registered"):
        lifter.lift(given, CAMERA, np.ones((240, 320), np.float32))
    with pytest.raises(ValueError, match="coco17"):
        lifter.lift(Keypoints2D.empty(ITOP15), CAMERA)
    with pytest.raises(ValueError, match="min_keypoints"):
        LiftingConfig(min_keypoints=1)


def test_no_people_give_none():
    assert len(Lifter(run(Oracle(standing()))).lift(Keypoints2D.empty(), CAMERA)) == 0


def test_network_says_a_rotation_and_joints_from_the_hips():
    network = LifterNetwork(LifterConfig(width=32)).eval()
    lifted = network(torch.randn(4, LIFTER_INPUT))
    torch.testing.assert_close(
        lifted.rotation @ lifted.rotation.transpose(1, 2), torch.eye(3).expand(4, 3, 3), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(lifted.joints[:, HIPS].mean(1), torch.zeros(4, 3), atol=1e-6, rtol=0)
    torch.testing.assert_close(lifted.joints, lifted.upright @ lifted.rotation.transpose(1, 2))
    assert (lifted.zoom > 0).all()


def test_rotations_come_back_from_their_columns():
    turn = rotation_of_columns(torch.randn(5, 6))
    again = rotation_of_columns(torch.cat([3 * turn[..., 0], turn[..., 1] + 2 * turn[..., 0]], dim=-1))
    torch.testing.assert_close(again, turn, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("wrong", [{"width": 0}, {"joints": 17}, {"dropout": 1.0}])
def test_sizes_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="lifter"):
        LifterConfig(**wrong)


class Shift(nn.Module):
    """Moves every keypoint by a tenth of the person's size to the right."""

    def forward(self, values):
        return values.unflatten(-1, (17, 3))[..., :2] + torch.tensor([0.1, 0.0])


@pytest.mark.parametrize("camera", [None, CAMERA])
def test_refiner_moves_what_is_seen_and_leaves_the_rest(camera):
    given = keypoints_of(standing())
    confidences = given.confidences.copy()
    confidences[0, 9] = 0.02
    given = Keypoints2D(given.pixels, confidences, given.scores, given.boxes)
    refined = KeypointRefiner(run(Shift()))(given, camera)
    moved = refined.pixels[0] - given.pixels[0]
    np.testing.assert_array_equal(moved[9], 0)
    others = np.delete(moved, 9, axis=0)
    assert (others[:, 0] > 3).all()
    assert np.abs(others[:, 1]).max() < 1.5
    np.testing.assert_array_equal(refined.confidences, given.confidences)


def test_refiner_starts_near_doing_nothing_and_refuses_other_joints():
    network = RefinerNetwork(RefinerConfig(width=32)).eval()
    values = torch.randn(3, REFINER_INPUT)
    assert (network(values) - values.unflatten(-1, (17, 3))[..., :2]).abs().max() < 0.5
    with pytest.raises(ValueError, match="coco17"):
        KeypointRefiner(run(network))(Keypoints2D.empty(ITOP15))
    assert len(KeypointRefiner(run(network))(Keypoints2D.empty())) == 0


def shipped(name: str) -> bool:
    try:
        return resource_path("weights", f"{name}.safetensors").is_file()
    except ResourceError:
        return False


@pytest.mark.skipif(not (shipped("lifter") and shipped("refiner")), reason="the package's weights are not there")
@pytest.mark.parametrize("place", [(0.0, 0.1, 2.5), (0.8, 0.2, 4.0)])
def test_the_shipped_lifter_sees_a_standing_person_stand(place):
    coco = standing(place)
    ground_truth, _ = convert_joints(np.concatenate([coco, np.full((6, 3), np.nan)])[None], COCO23, ITOP15)
    skeletons = load_lifter().lift(keypoints_of(coco), CAMERA)
    relative = [poses[0] - poses[0, HIPS].mean(axis=0) for poses in (skeletons.positions, ground_truth)]
    assert np.linalg.norm(relative[0] - relative[1], axis=-1).mean() < 0.12
    # Distance is as uncertain as the person's size, and the covariance says so.
    off = skeletons.positions[0, 8] - ground_truth[0, 8]
    assert abs(off[2]) < 3.5 * np.sqrt(skeletons.covariances[0, 8, 5])
    assert np.abs(off[:2]).max() < 0.15
