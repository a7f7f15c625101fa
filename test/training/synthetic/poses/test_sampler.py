"""Poses of the shipped bank: what touches the floor, whose arms are away from the body, and that none comes twice."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from unipose_training.synthetic.bank import BodyBank
from unipose_training.synthetic.bank.posing import pose_by_turns, to_tensors
from unipose_training.synthetic.poses.kinematics import BONES, about_vector, random_turns, to_quaternions
from unipose_training.synthetic.poses.sampler import MIX, Drawn, PoseSampler
from unipose_training.synthetic.poses.skeletons import matrices, settled

BONE = {name: number for number, name in enumerate(BONES)}


def _drawn(sampler: PoseSampler, mix: dict[str, float], count: int, seed: int = 1) -> tuple[np.ndarray, Drawn]:
    rng = np.random.default_rng(seed)
    body = rng.integers(len(sampler.skeletons.heads), size=count)
    return body, sampler.draw(rng, body, np.tile([[0.0, -2.5, 0.2]], (count, 1)), mix)


def test_the_shipped_bank_is_as_varied_as_it_says(shipped: BodyBank) -> None:
    statures = np.array([np.ptp(person.vertices[:, 2]) for person in shipped.people])
    assert len(shipped.people) >= 500
    assert statures.min() < 0.95
    assert statures.max() > 2.0
    assert 0.12 < (statures < 1.5).mean() < 0.4
    assert len(shipped.poses) > 4000
    assert set(MIX) <= {*{name.split("body_")[-1] for name in shipped.poses.names}, "motion"}


def test_the_shipped_bank_is_not_cmu(shipped: BodyBank) -> None:
    assert "CMU" not in shipped.record.motions
    assert shipped.record.split == "training"


def test_drawing_needs_neither_body_model_nor_open3d_nor_scipy() -> None:
    """On a machine that only trains there is neither the body model nor open3d or SciPy."""
    code = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("scipy", "open3d", "anny", "trimesh", "tqdm", "pybullet_data"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
from pathlib import Path
from unipose_training.synthetic.bank import load_bank
from unipose_training.synthetic.batch.draw import DrawSettings, draw_scenes
from unipose_training.synthetic.batch.torch_renderer import TorchRenderer
bank = load_bank(Path(sys.argv[1]))
scenes = draw_scenes(bank, DrawSettings(64, 48), 1, 3)
print(float(TorchRenderer(bank).render(scenes).depth.mean()) > 0)
"""
    from test.training.synthetic.poses.conftest import SHIPPED

    done = subprocess.run([sys.executable, "-c", code, str(SHIPPED)], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "True", done.stderr


def test_arms_of_most_people_are_away_from_the_body(sampler: PoseSampler) -> None:
    body, drawn = _drawn(sampler, dict(MIX), 600)
    joints = sampler.skeletons.joints(body, drawn.turns)
    away = np.zeros(len(body), bool)
    for side in ("Left", "Right"):
        arm = joints[:, BONE[f"{side}Hand"]] - joints[:, BONE[f"{side}Arm"]]
        trunk = joints[:, BONE["Hips"]] - joints[:, BONE["Spine1"]]
        cosine = (arm * trunk).sum(axis=1) / np.linalg.norm(arm, axis=1) / np.linalg.norm(trunk, axis=1)
        away |= np.degrees(np.arccos(cosine)) > 45
    assert away.mean() > 0.5


def test_families_are_drawn_as_often_as_they_weigh(sampler: PoseSampler) -> None:
    mix, count = {"standing": 0.7, "lying": 0.3}, 500
    _, drawn = _drawn(sampler, mix, count)
    lying = int((drawn.families == "lying").sum())
    assert abs(lying - 0.3 * count) < 4 * np.sqrt(count * 0.21)
    assert set(drawn.families.tolist()) == set(mix)


def test_no_pose_comes_twice(sampler: PoseSampler) -> None:
    _, drawn = _drawn(sampler, {"standing": 1.0}, 700)
    # More people than poses of that family: every pose is used again, and yet new.
    flat = torch.from_numpy(drawn.turns).flatten(1)
    assert float((torch.cdist(flat, flat) + 9 * torch.eye(len(flat))).min()) > 0.05


def test_the_seed_decides(sampler: PoseSampler) -> None:
    (_, first), (_, again), (_, other) = (_drawn(sampler, dict(MIX), 50, seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.turns, again.turns)
    np.testing.assert_array_equal(first.gestures, again.gestures)
    assert not np.array_equal(first.turns, other.turns)


@pytest.mark.parametrize(
    ("family", "hips", "spread"),
    [
        # Hips' height in lengths of a leg, and the least extent of what touches the floor in meters.
        ("standing", (0.85, 1.25), 0.1), ("lying", (0.05, 0.4), 0.6), ("floor_sitting", (0.05, 0.4), 0.25),
        ("kneeling", (0.2, 0.75), 0.15), ("half_kneeling", (0.3, 0.8), 0.2),
    ],
)  # fmt: skip
def test_bodies_rest_on_the_floor(
    shipped: BodyBank, sampler: PoseSampler, family: str, hips: tuple[float, float], spread: float
) -> None:
    body, drawn = _drawn(sampler, {family: 1.0}, 60)
    posed = pose_by_turns(
        to_tensors(shipped), torch.from_numpy(body), torch.from_numpy(drawn.turns.astype(np.float32)),
        torch.zeros(60), torch.zeros(60, 3), torch.zeros(60),
    )  # fmt: skip
    assert float(posed.vertices[..., 2].amin(dim=1).abs().max()) < 1e-4
    heads = sampler.skeletons.heads[body]
    leg = np.linalg.norm(heads[:, BONE["LeftUpLeg"]] - heads[:, BONE["LeftFoot"]], axis=1)
    height = posed.hips.numpy() / leg
    assert hips[0] < np.percentile(height, 10)
    assert np.percentile(height, 90) < hips[1]
    extents = []
    for vertices in posed.vertices:
        touching = vertices[vertices[:, 2] < 0.05, :2]
        extents.append(float((touching.amax(dim=0) - touching.amin(dim=0)).norm()))
    assert np.median(extents) > spread


def test_the_floor_seen_from_the_hips_is_where_the_body_ends(shipped: BodyBank, sampler: PoseSampler) -> None:
    body, drawn = _drawn(sampler, {"standing": 0.5, "crouching": 0.2, "floor_sitting": 0.3}, 80)
    posed = pose_by_turns(
        to_tensors(shipped), torch.from_numpy(body), torch.from_numpy(drawn.turns.astype(np.float32)),
        torch.zeros(80), torch.zeros(80, 3), torch.zeros(80),
    )  # fmt: skip
    assert np.median(np.abs(posed.hips.numpy() + drawn.floor)) < 0.04


def test_a_leaning_block_falls_on_its_face_and_a_standing_one_stays() -> None:
    corners = np.array([(x, y, z) for x in (-0.1, 0.1) for y in (-0.1, 0.1) for z in (0.0, 1.0)])
    points = (corners[:, None] + corners[None]).reshape(-1, 3) / 2
    masses = np.ones(len(points))
    turn, angle = settled(points, masses)
    assert angle < 1e-6
    np.testing.assert_allclose(turn, np.eye(3), atol=1e-9)
    tilted = points @ about_vector(np.array([[1.0, 0.0, 0.0]]), np.array([20.0]))[0].T
    turn, angle = settled(tilted, masses)
    fallen = tilted @ turn.T
    assert 50 < angle < 80
    assert np.ptp(fallen[:, 2]) < 0.23
    little = points @ about_vector(np.array([[1.0, 0.0, 0.0]]), np.array([4.0]))[0].T
    turn, angle = settled(little, masses)
    assert angle < 6
    assert np.ptp((little @ turn.T)[:, 2]) > 0.97


def test_quaternions_come_back() -> None:
    turns = random_turns(np.random.default_rng(1), 300, 80.0)
    quaternions = to_quaternions(turns)
    np.testing.assert_allclose(np.linalg.norm(quaternions, axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(matrices(quaternions), turns, atol=1e-9)
