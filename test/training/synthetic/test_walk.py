"""The whole: the anny body walking in a room. Needs the body model's cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from unipose_ros.camera import project
from unipose_ros.frame import JointStatus
from unipose_ros.joint_sets import COCO23, ITOP15
from unipose_ros.recordings import BagReader, RgbdRecording
from unipose_training.datasets.joint_sets import in_joint_set
from unipose_training.synthetic.lighting import Lighting
from unipose_training.synthetic.photograph import true_skeletons
from unipose_training.synthetic.record import main
from unipose_training.synthetic.walk import CAMERA, SyntheticFrame, WalkSettings, render_walk

QUICK = WalkSettings(seconds=2.0, rate_hz=2.0, lighting=Lighting(samples=1))
INDEX = COCO23.index


class TestGroundTruth:
    """Visibility, without any body."""

    def ground_truth(self, joint: tuple[float, float, float], surface: float, owner: int) -> int:
        joints = np.tile(np.asarray(joint, float), (1, 23, 1))
        depth = np.full((480, 640), surface, np.float32)
        owners = np.full((480, 640), owner)
        return int(true_skeletons(1, "optical", joints, ["a"], CAMERA, depth, owners).status[0, 0])

    def test_under_the_own_skin_is_seen(self) -> None:
        assert self.ground_truth((0, 0, 3.0), surface=2.92, owner=1) == JointStatus.MEASURED

    @pytest.mark.parametrize(
        ("joint", "surface", "owner"),
        [
            ((0, 0, 3.0), 2.6, 1),
            ((0, 0, 3.0), 2.92, 2),
            ((0, 0, 3.0), 2.92, 0),
            ((9, 0, 3.0), 2.92, 1),
            ((0, 0, -1), 2, 1),
        ],
        ids=["own limb in front", "another person", "furniture", "outside", "behind"],
    )
    def test_hidden_joints_are_inferred(self, joint: tuple[float, float, float], surface: float, owner: int) -> None:
        assert self.ground_truth(joint, surface, owner) == JointStatus.INFERRED

    def test_a_mixed_joint_is_seen_when_all_its_parts_are(self) -> None:
        joints = np.random.default_rng(0).normal([0, 0, 3], 0.01, (1, 23, 3))
        ground_truth = true_skeletons(
            1, "optical", joints, ["a"], CAMERA, np.full((480, 640), 2.95, np.float32), np.ones((480, 640), np.int64)
        )
        ground_truth.status[0, INDEX("left_shoulder")] = JointStatus.INFERRED
        itop = in_joint_set(ground_truth, ITOP15)
        status = dict(zip(ITOP15.joints, itop.status[0], strict=True))
        assert status["left_shoulder"] == status["neck"] == status["torso"] == JointStatus.INFERRED
        assert status["right_shoulder"] == status["left_hip"] == status["head"] == JointStatus.MEASURED
        shoulders = ground_truth.positions[0, [INDEX("left_shoulder"), INDEX("right_shoulder")]]
        np.testing.assert_allclose(itop.positions[0, ITOP15.index("neck")], shoulders.mean(axis=0), atol=1e-6)


@pytest.fixture(scope="module")
def frames(body: object, walking_clips: Path) -> list[SyntheticFrame]:
    return list(render_walk(walking_clips, settings=QUICK))


@pytest.mark.slow
class TestPeople:
    def test_two_people_with_stable_ids_and_stamps(self, frames: list[SyntheticFrame]) -> None:
        assert len(frames) == 4
        assert {frame.ground_truth.ids for frame in frames} == {("annab", "berto")}
        stamps = np.array([frame.frame.stamp_ns for frame in frames])
        np.testing.assert_array_equal(np.diff(stamps), 500_000_000)

    def test_they_stand_upright_at_human_size(self, frames: list[SyntheticFrame]) -> None:
        for frame in frames:
            for person in frame.ground_truth.positions:
                # The camera looks slightly down, so y is nearly the vertical.
                assert person[INDEX("nose"), 1] < person[INDEX("left_hip"), 1] < person[INDEX("left_ankle"), 1]
                height = np.linalg.norm(
                    person[INDEX("nose")] - person[[INDEX("left_ankle"), INDEX("right_ankle")]].mean(0)
                )
                assert 1.3 < height < 1.75

    def test_left_is_left(self, frames: list[SyntheticFrame]) -> None:
        """Seen from the person, who looks where the toes point, left is left."""
        for frame in frames:
            for person in frame.ground_truth.positions.astype(float):
                toes = person[[INDEX("left_big_toe"), INDEX("right_big_toe")]].mean(0)
                forward = toes - person[[INDEX("left_heel"), INDEX("right_heel")]].mean(0)
                up = person[INDEX("nose")] - person[[INDEX("left_hip"), INDEX("right_hip")]].mean(0)
                left = person[INDEX("left_shoulder")] - person[INDEX("right_shoulder")]
                assert np.cross(up, forward) @ left > 0

    def test_limbs_keep_their_length(self, frames: list[SyntheticFrame]) -> None:
        people = np.stack([frame.ground_truth.positions for frame in frames])
        for one, other in (("left_hip", "left_knee"), ("right_knee", "right_ankle"), ("left_shoulder", "left_elbow")):
            length = np.linalg.norm(people[:, :, INDEX(one)] - people[:, :, INDEX(other)], axis=-1)
            assert (np.ptp(length, axis=0) < 0.02).all()
            assert (length > 0.2).all()
            assert (length < 0.55).all()

    def test_a_foot_is_on_the_floor(self, frames: list[SyntheticFrame]) -> None:
        """The lowest toe or heel joint of each person is within 8 cm of the floor's depth at its pixel."""
        from unipose_training.synthetic.walk import VIEW

        for frame in frames:
            feet = frame.ground_truth.positions[:, INDEX("left_big_toe") :].astype(float)
            heights = (feet @ VIEW.rotation)[..., 2] + VIEW.position[2]
            assert (heights.min(axis=1) > -0.02).all()
            assert (heights.min(axis=1) < 0.08).all()

    def test_seen_joints_lie_in_their_silhouette_just_under_the_surface(self, frames: list[SyntheticFrame]) -> None:
        for frame in frames:
            pixels = np.rint(project(CAMERA, frame.ground_truth.positions)).astype(int)
            for number, status in enumerate(frame.ground_truth.status):
                for (u, v), seen, z in zip(
                    pixels[number], status, frame.ground_truth.positions[number, :, 2], strict=True
                ):
                    if seen == JointStatus.MEASURED:
                        assert frame.owners[v, u] == number + 1
                        assert -0.03 < z - frame.ideal_depth[v, u] < 0.18

    def test_most_joints_are_seen_and_hidden_ones_exist(self, frames: list[SyntheticFrame]) -> None:
        seen = np.stack([frame.ground_truth.status for frame in frames]) == JointStatus.MEASURED
        assert 0.5 < seen.mean() < 1.0

    def test_measured_depth_is_near_the_ideal(self, frames: list[SyntheticFrame]) -> None:
        for frame in frames:
            depth, ideal = frame.frame.depth, frame.ideal_depth
            assert depth is not None
            seen = depth > 0
            assert 0.9 < seen.mean() < 1.0
            assert np.median(np.abs(depth - ideal)[seen] / ideal[seen] ** 2) < 0.003

    def test_the_same_seed_gives_the_same_frames(self, frames: list[SyntheticFrame], walking_clips: Path) -> None:
        again = next(iter(render_walk(walking_clips, settings=QUICK)))
        np.testing.assert_array_equal(again.frame.color, frames[0].frame.color)
        np.testing.assert_array_equal(again.frame.depth, frames[0].frame.depth)
        np.testing.assert_array_equal(again.ground_truth.positions, frames[0].ground_truth.positions)

    def test_the_walk_closes(self, frames: list[SyntheticFrame], walking_clips: Path) -> None:
        """The last step is no longer than the others, so the recording can be looped."""
        hips = np.stack([frame.ground_truth.positions[:, INDEX("left_hip")] for frame in frames])
        step = np.linalg.norm(np.diff(hips, axis=0), axis=-1)
        closing = np.linalg.norm(hips[0] - hips[-1], axis=-1)
        assert (closing < 1.5 * step.max(axis=0)).all()

    def test_the_command_writes_a_recording(self, body: object, walking_clips: Path, tmp_path: Path) -> None:
        output = tmp_path / "bag"
        assert main([str(output), "--motions", str(walking_clips), "--seconds", "1", "--rate", "2"]) == 0
        with BagReader(output) as reader:
            recording = RgbdRecording(reader)
            frames = list(recording.frames())
            ground_truth = list(recording.ground_truth())
        assert len(frames) == len(ground_truth) == 2
        assert ground_truth[0].joint_set is ITOP15
        assert [frame.stamp_ns for frame in frames] == [people.stamp_ns for people in ground_truth]


@pytest.mark.parametrize("arguments", [lambda p: ["--motions", str(p / "nothing.whl")]], ids=["no motions"])
def test_a_wrong_source_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: Callable[[Path], list[str]]
) -> None:
    assert main([str(tmp_path / "bag"), *arguments(tmp_path)]) == 1
    assert "nothing.whl: no DeepMimic clip" in capsys.readouterr().err
    assert not (tmp_path / "bag").exists()
