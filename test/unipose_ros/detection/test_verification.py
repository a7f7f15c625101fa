"""Which poses are people's: evidence, probability, and one skeleton for all people."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_networks import CAMERA, record, standing

from unipose_ros.compiled import ENABLED
from unipose_ros.detection.verification import (
    DEFAULT_VERIFIER,
    POSE_FEATURES,
    PoseVerifier,
    _known_bones,
    _parts,
    _same,
    _shape_evidence,
    _surest,
    card_verifier,
    distances_to_bones,
    pose_features,
    same_by_numpy,
    shape_evidence_by_numpy,
)
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons
from unipose_ros.joint_sets import COCO17, ITOP15, JointSet
from unipose_ros.networks.weights import WeightsError

DETECTOR, SURE, HELD, FREE, BONES = range(5)


def pose(x: float = 0.0, z: float = 3.1, confidence: float = 0.9, score: float = 0.5) -> Skeletons:
    """A person who stands with hanging arms; the slab of the same column is 10 cm before the joints."""
    places = {
        "neck": (0, -0.62), "head": (0, -0.87), "torso": (0, -0.37), "shoulder": (0.16, -0.6), "elbow": (0.19, -0.3),
        "hand": (0.2, -0.02), "hip": (0.09, -0.1), "knee": (0.1, 0.35), "foot": (0.1, 0.7),
    }  # fmt: skip
    positions = np.zeros((1, 15, 3), np.float32)
    for number, joint in enumerate(ITOP15.joints):
        side, _, part = joint.rpartition("_")
        across, down = places[part]
        positions[0, number] = x + across * {"left": 1, "right": -1, "": 0}[side], down + 0.1, z
    sure = np.full((1, 15), confidence, np.float32)
    status = np.full((1, 15), JointStatus.MEASURED, np.uint8)
    return Skeletons(1, "camera", "points", positions, sure, status, np.full(1, score, np.float32))


def of(frame: RgbdFrame, skeletons: Skeletons) -> np.ndarray:
    (row,) = pose_features(frame, skeletons).columns
    return row


def moved(*offsets: tuple[float, float]) -> Skeletons:
    """Poses at several places across and along the view, each with its confidence falling."""
    each = [pose(x, z, 0.9 - 0.1 * number) for number, (x, z) in enumerate(offsets)]
    arrays = {
        n: np.concatenate([getattr(p, n) for p in each]) for n in ("positions", "confidences", "status", "scores")
    }
    return Skeletons(1, "camera", "points", **arrays)


def test_a_person_before_a_wall() -> None:
    row = of(standing(80), pose())
    assert row[SURE] == pytest.approx(np.log(9), rel=1e-5)
    assert row[HELD] == 1
    assert row[FREE] > 0.3
    assert row[BONES] < 2.5


def test_a_pose_on_a_wall_has_the_same_surface_around_it() -> None:
    assert of(standing(), pose(z=5.1))[FREE] < 0.1


def test_a_pose_in_free_air_is_held_by_nothing() -> None:
    assert of(standing(), pose())[HELD] == 0
    nothing = RgbdFrame(1, "camera", CAMERA, np.zeros((120, 160), np.float32))
    row = of(nothing, pose())
    assert row[HELD] == 0
    assert row[FREE] == 0


def test_a_pose_behind_something_is_held_by_nothing() -> None:
    assert of(standing(80, distance=2.0), pose())[HELD] == 0


def test_joints_outside_of_the_image_say_nothing() -> None:
    frame = standing(150)
    half = pose(x=(158 - 79.5) / 120 * 3.1)
    row = of(frame, half)
    assert np.isfinite(row).all()
    assert 0 < row[HELD] <= 1
    gone = of(frame, pose(x=9.0))
    assert gone[HELD] == gone[FREE] == 0


def test_half_of_the_size_has_bones_of_no_person() -> None:
    small = pose()
    small.positions[..., :2] *= 0.5
    assert of(standing(80), small)[BONES] > 4 > of(standing(80), pose())[BONES]


def test_joints_that_are_missing_do_not_count() -> None:
    part = pose()
    part.positions[0, 11:] = np.nan
    part.confidences[0, 11:] = 0
    row = of(standing(80), part)
    assert np.isfinite(row).all()
    assert row[HELD] == 1
    part.positions[:] = np.nan
    assert of(standing(80), part)[[HELD, FREE, BONES]].tolist() == [0, 0, 0]


def test_how_sure_a_quarter_of_the_joints_are_counts() -> None:
    part = pose()
    part.confidences[0, :10] = 0.01
    assert of(standing(80), part)[SURE] == pytest.approx(np.log(9), rel=1e-5)
    part.confidences[0, :13] = 0.01
    assert of(standing(80), part)[SURE] < 0


@pytest.mark.parametrize("joints", [1, 2, 13, 14, 15, 17, 23])
def test_the_surest_quarter_is_numpys_quantile(joints: int) -> None:
    confidences = np.random.default_rng(joints).uniform(size=(200, joints)).astype(np.float32)
    np.testing.assert_array_equal(_surest(confidences), np.quantile(confidences, 0.75, axis=1))


def test_the_detectors_score_counts() -> None:
    assert of(standing(80), pose(score=0.8))[DETECTOR] == pytest.approx(np.log(4), rel=1e-5)
    for certain in (0.0, 1.0):
        assert np.isfinite(of(standing(80), pose(score=certain))[DETECTOR])


def test_no_people_has_no_evidence() -> None:
    no_people = Skeletons.empty(1, "camera", "points")
    assert pose_features(standing(80), no_people).columns.shape == (0, len(POSE_FEATURES))
    assert DEFAULT_VERIFIER(standing(80), no_people, 0.5)[0].size == 0


def test_a_logistic_regression() -> None:
    judge = PoseVerifier(
        {
            "detector_logit": 0.0,
            "confidence_logit": 1.0,
            "on_surface": 2.0,
            "free_boundary": 1.0,
            "bone_deviation": 0.0,
        },
        -1.0,
    )
    columns = np.array([[9.0, 0.5, 0.25, 0.0, 7.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    np.testing.assert_allclose(judge.probabilities(columns), [0.5, 1 / (1 + np.e)])


def test_the_likelier_of_two_poses_in_one_place_stays_and_all_in_others() -> None:
    judge = PoseVerifier(
        {
            "detector_logit": 0.0,
            "confidence_logit": 1.0,
            "on_surface": 0.0,
            "free_boundary": 0.0,
            "bone_deviation": 0.0,
        },
        0.0,
    )
    people = moved((0.2, 3.1), (0.0, 3.1), (0.6, 3.1), (0.2, 3.6))  # 0.9, 0.8, 0.7, 0.6
    kept, likely = judge(standing(80), people, 0.0)
    np.testing.assert_allclose(likely, [0.9, 0.7, 0.6], rtol=1e-5)
    assert kept.tolist() == [0, 2, 3]
    assert judge(standing(80), people, 0.65)[0].tolist() == [0, 2]


def test_a_pose_on_the_surface_of_a_likelier_one_is_the_same_person() -> None:
    judge = PoseVerifier(
        {
            "detector_logit": 0.0,
            "confidence_logit": 1.0,
            "on_surface": 0.0,
            "free_boundary": 0.0,
            "bone_deviation": 0.0,
        },
        0.0,
    )
    both = moved((0.0, 3.1), (0.0, 3.1))
    both.positions[1, :, 1] += 0.6  # its trunk is at the other's knees, its legs are in free air
    assert judge(standing(80), both, 0.0)[0].tolist() == [0]
    side_by_side = moved((0.0, 3.1), (0.45, 3.1))
    assert judge(standing(80, 97), side_by_side, 0.0)[0].tolist() == [0, 1]
    one_behind_the_other = moved((0.0, 3.1), (0.1, 3.6))
    assert judge(standing(80), one_behind_the_other, 0.0)[0].tolist() == [0, 1]


def test_distances_to_bones() -> None:
    ends = np.array([[[0, 0, 2], [0, 1, 2]], [[5, 0, 2], [5, 0, 2]]], np.float64)
    points = np.array([[0.3, 0.5, 2], [0, 1.4, 2.3], [5, 0, 3]], np.float64)
    np.testing.assert_allclose(distances_to_bones(points, ends), [0.3, 0.5, 1.0])


def test_without_a_fit_a_person_is_one_and_free_air_is_not() -> None:
    kept, likely = DEFAULT_VERIFIER(standing(80), pose(), 0.5)
    assert kept.tolist() == [0]
    assert likely[0] > DEFAULT_VERIFIER(standing(), pose(z=5.1), 0.0)[1][0]
    assert DEFAULT_VERIFIER(standing(), pose(), 0.5)[0].size == 0


def test_a_record_keeps_a_judge() -> None:
    judge = PoseVerifier(
        {
            "detector_logit": 0.0,
            "confidence_logit": 1.5,
            "on_surface": 2.0,
            "free_boundary": 1.0,
            "bone_deviation": -0.25,
        },
        0.75,
    )
    assert card_verifier(record("points", metrics={"temperature": 1.2, **judge.metrics()})) == judge
    assert card_verifier(record("points", metrics={"temperature": 1.2})) == DEFAULT_VERIFIER


@pytest.mark.parametrize("name", ["verifier.confidence_logit", "verifier.bias", "verifier.more"])
def test_a_judge_with_a_part_too_few_or_too_many_is_refused(name: str) -> None:
    metrics = DEFAULT_VERIFIER.metrics()
    if metrics.pop(name, None) is None:
        metrics[name] = 1.0
    with pytest.raises(WeightsError, match="fit the verifier again"):
        card_verifier(record("points", metrics=metrics))


def test_a_judge_that_is_no_number_is_refused() -> None:
    with pytest.raises(WeightsError, match="not finite"):
        card_verifier(record("points", metrics={**DEFAULT_VERIFIER.metrics(), "verifier.bias": float("nan")}))
    with pytest.raises(WeightsError, match="fit the verifier again"):
        card_verifier(record("points", metrics={**DEFAULT_VERIFIER.metrics(), "verifier.bias": 10**400}))


@pytest.mark.skipif(not ENABLED, reason="nothing is compiled")
@pytest.mark.parametrize("seed", range(4))
def test_loops_read_depth_as_numpy_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    depth = rng.uniform(2.9, 3.1, (30, 40)).astype(np.float32)
    for nothing in (0.0, np.nan, np.inf, -1.0):
        depth[rng.uniform(size=depth.shape) < 0.2] = nothing
    depth[:, :20] = 0.0 if seed == 3 else depth[:, :20]
    depth.setflags(write=False)
    positions = rng.normal(0, 0.4, (5, 15, 3)).astype(np.float32)
    positions[..., 2] = rng.uniform(2.8, 3.4, (5, 15))
    pixels = rng.uniform(-8, 48, (5, 15, 9, 2))
    pixels[:, :3] = [
        [-0.5, 29.5],
        [-0.5001, 3.0],
        [39.49, 0.5],
        [39.5, 1.5],
        [2.5, 29.49],
        [0, 0],
        [1, 1],
        [2, 2],
        [3, 3],
    ]
    pixels[rng.uniform(size=pixels.shape[:3]) < 0.1] = np.nan
    positions[0, 3], positions[0, 4], pixels[1], positions[2] = np.nan, np.inf, np.nan, np.nan
    for bones in (ITOP15.bones, ITOP15.bones[:0]):
        expected = shape_evidence_by_numpy(depth, positions, pixels, *_known_bones(bones))
        assert expected[0].any()
        for found, wanted in zip(
            _shape_evidence(depth, positions, pixels, *_known_bones(bones)), expected, strict=True
        ):
            np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.skipif(not ENABLED, reason="nothing is compiled")
@pytest.mark.parametrize("joints", [ITOP15, COCO17])
def test_loops_say_who_is_the_same_as_numpy_does(joints: JointSet) -> None:
    rng = np.random.default_rng(1)
    parts, answers = _parts(joints), []
    for _ in range(60):
        body = rng.normal(0, 0.4, (1, len(joints), 3))
        people = (body + rng.normal(0, 0.1, (6, len(joints), 3)) + rng.normal(0, 0.1, (6, 1, 3))).astype(np.float32)
        people[rng.uniform(size=people.shape[:2]) < 0.1] = np.nan
        held = rng.uniform(size=len(joints)) < 0.5
        held &= np.isfinite(people[0]).all(axis=-1)
        likelier = np.arange(1, 6)
        expected = same_by_numpy(people, held, 0, likelier, *parts)
        np.testing.assert_array_equal(_same(people, held, 0, likelier, *parts), expected)
        answers += expected.tolist()
    assert 0.1 < np.mean(answers) < 0.9
    nothing = np.full((2, len(joints), 3), np.nan, np.float32)
    assert not _same(nothing, np.zeros(len(joints), np.bool_), 0, np.array([1]), *parts).any()
