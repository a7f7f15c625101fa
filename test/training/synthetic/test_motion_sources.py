"""Motions: reading, interpolating, placing, mirroring."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from unipose_training.errors import SyntheticError
from unipose_training.synthetic.motion import Motion, Oval, mirror, sample, stroll, turn
from unipose_training.synthetic.motion_files import CLIP_FOLDER, read_cmu, read_deepmimic

FORWARD, UP = np.array([0.0, -1.0, 0.0]), np.array([0.0, 0.0, 1.0])
# A rest-facing body looks along -y with z up, so its left is +x.
LEFT = np.array([1.0, 0.0, 0.0])


def bone(motion: Motion, name: str) -> np.ndarray:
    return motion.rotations[:, motion.bones.index(name)]


def test_deepmimic_walk_goes_forward_upright(walking_clips: Path) -> None:
    motion = read_deepmimic(walking_clips, "walk")
    assert motion.cyclic
    assert motion.stride == pytest.approx(1.2)
    np.testing.assert_allclose((motion.root[-1] - motion.root[0]) / 1.2, FORWARD, atol=1e-9)
    np.testing.assert_allclose(bone(motion, "Hips") @ UP, np.tile(UP, (25, 1)), atol=1e-9)


def test_deepmimic_limbs_swing_forward_and_back_in_turn(walking_clips: Path) -> None:
    motion = read_deepmimic(walking_clips, "walk")
    quarter = 6
    right, left = (bone(motion, f"{side}UpLeg")[quarter] @ -UP for side in ("Right", "Left"))
    assert right @ FORWARD > 0.4  # a positive turn about the side axis takes the hanging leg forward
    assert left @ FORWARD < -0.4
    assert bone(motion, "RightArm")[quarter] @ -UP @ FORWARD < -0.4


def test_deepmimic_elbow_bends_the_forearm_only(tmp_path: Path) -> None:
    row = (
        [0.1, 0, 0.85, 0]
        + [1, 0, 0, 0] * 4
        + [0]
        + [1, 0, 0, 0] * 2
        + [1.2]
        + [1, 0, 0, 0, 0, 1, 0, 0, 0]
        + [1, 0, 0, 0, 0]
    )
    (tmp_path / "humanoid3d_bend.txt").write_text(json.dumps({"Loop": "none", "Frames": [row, row]}))
    motion = read_deepmimic(tmp_path, "bend")
    hanging = bone(motion, "RightForeArm")[0] @ -UP
    assert hanging @ FORWARD == pytest.approx(np.sin(1.2))
    np.testing.assert_allclose(bone(motion, "RightArm")[0], np.eye(3), atol=1e-12)
    np.testing.assert_allclose(bone(motion, "LeftForeArm")[0], np.eye(3), atol=1e-12)
    np.testing.assert_allclose(bone(motion, "RightHand")[0], bone(motion, "RightForeArm")[0])


def test_deepmimic_reads_from_a_wheel(walking_clips: Path, tmp_path: Path) -> None:
    wheel = tmp_path / "pybullet.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(walking_clips / "humanoid3d_walk.txt", f"{CLIP_FOLDER}/humanoid3d_walk.txt")
    np.testing.assert_array_equal(read_deepmimic(wheel, "walk").root, read_deepmimic(walking_clips, "walk").root)
    with pytest.raises(SyntheticError, match=r"no DeepMimic clip 'humanoid3d_fly\.txt'.*pip download pybullet"):
        read_deepmimic(wheel, "fly")


def test_deepmimic_of_another_body_is_refused(tmp_path: Path) -> None:
    (tmp_path / "humanoid3d_x.txt").write_text(json.dumps({"Frames": [[0.1] * 20] * 3}))
    with pytest.raises(SyntheticError, match="rows of shape"):
        read_deepmimic(tmp_path, "x")


def write_trial(folder: Path, thigh_degrees: float) -> tuple[Path, Path]:
    """A skeleton whose limbs have simple directions; only the left thigh moves."""
    bones = {
        "lhipjoint": ("root", "1 0 0", ""),
        "lfemur": ("lhipjoint", "0 -1 0", "rx ry rz"),
        "ltibia": ("lfemur", "0 -1 0", "rx"),
    }
    from unipose_training.synthetic import motion_files

    for name in motion_files._BONES.values():  # every bone that the body asks for
        if name != "root":
            bones.setdefault(name, ("root", "0 1 0", ""))
    lines = [":root", "  order TX TY TZ RX RY RZ", ":bonedata"]
    for name, (_, direction, dof) in bones.items():
        lines += ["  begin", f"     name {name}", f"     direction {direction}", "     length 5", "     axis 0 0 0 XYZ"]
        lines += [f"    dof {dof}"] * bool(dof) + ["  end"]
    lines += [":hierarchy", "  begin", *(f"    {parent} {name}" for name, (parent, *_) in bones.items()), "  end"]
    frame = ["root 0 17.7165 0 0 90 0", f"lfemur {thigh_degrees} 0 0", "ltibia 0"]
    (folder / "s.asf").write_text("\n".join(lines))
    (folder / "s.amc").write_text("\n".join([":DEGREES", "1", *frame, "2", *frame]))
    return folder / "s.asf", folder / "s.amc"


def test_cmu_trial_in_meters_and_our_axes(tmp_path: Path) -> None:
    motion = read_cmu(*write_trial(tmp_path, thigh_degrees=-90), rate_hz=120)
    assert len(motion) == 2
    assert motion.period_s == pytest.approx(1 / 120)
    np.testing.assert_allclose(motion.root[0], [0, 0, 1.0], atol=1e-4)  # 17.7165 units of 1/0.45 inch
    # The root is turned by 90 degrees about the vertical: the body's left goes to where its back was or front.
    facing = bone(motion, "Hips")[0] @ FORWARD
    np.testing.assert_allclose(facing, LEFT, atol=1e-9)
    # The thigh raised by 90 degrees points forward, seen from the turned body.
    np.testing.assert_allclose(bone(motion, "LeftUpLeg")[0] @ -UP, facing, atol=1e-9)
    np.testing.assert_allclose(motion.rest_directions[motion.bones.index("LeftUpLeg")], -UP)
    assert np.isnan(motion.rest_directions[motion.bones.index("Spine")]).all()


def test_cmu_files_that_do_not_fit_are_named(tmp_path: Path) -> None:
    skeleton, motion = write_trial(tmp_path, 0)
    motion.write_text("1\nroot 0 0 0 0 0 0\n")
    with pytest.raises(SyntheticError, match=r"s\.amc with .*s\.asf"):
        read_cmu(skeleton, motion, 120)
    with pytest.raises(SyntheticError, match=r"absent\.amc"):
        read_cmu(skeleton, tmp_path / "absent.amc", 120)


def test_real_cmu_walk_is_upright_and_of_human_size(shared_data: Path) -> None:
    folder = shared_data / "cmu_mocap"
    motion = read_cmu(folder / "02.asf", folder / "02_01.amc", rate_hz=30)
    tilt = np.degrees(np.arccos((bone(motion, "Hips") @ UP)[:, 2]))
    assert tilt.max() < 20
    assert motion.root[:, 2].min() > 0.7
    assert motion.root[:, 2].max() < 1.2
    heading = (bone(motion, "Hips") @ FORWARD)[:, :2]
    step = np.diff(motion.root[:, :2], axis=0)
    assert (heading[:-1] * step).sum() / np.linalg.norm(step, axis=1).sum() > 0.9  # walks where it looks


def test_sampling_interpolates_and_goes_on_cycling(walking_clips: Path) -> None:
    motion = read_deepmimic(walking_clips, "walk")
    times = np.array([0.0, motion.period_s / 2, motion.duration_s + motion.period_s, 2.5 * motion.duration_s])
    sampled = sample(motion, times)
    np.testing.assert_allclose(sampled.root[:, 1], -np.array([0, 0.025, 1.25, 3.0]), atol=1e-9)
    np.testing.assert_allclose(sampled.rotations[2], motion.rotations[1], atol=1e-9)
    between = Rotation.from_matrix(bone(sampled, "LeftArm")[1]).magnitude()
    assert 0 < between < Rotation.from_matrix(bone(motion, "LeftArm")[1]).magnitude()


def test_a_motion_that_is_no_cycle_holds_its_ends(walking_clips: Path) -> None:
    from dataclasses import replace

    motion = replace(read_deepmimic(walking_clips, "walk"), cyclic=False)
    sampled = sample(motion, np.array([-1.0, 99.0]))
    np.testing.assert_allclose(sampled.root, motion.root[[0, -1]])


def test_turning_turns_about_the_vertical(walking_clips: Path) -> None:
    motion = read_deepmimic(walking_clips, "walk")
    turned = turn(motion, np.full(25, np.pi / 2), np.tile([3.0, 4.0], (25, 1)))
    np.testing.assert_allclose(turned.root, [[3, 4, z] for z in motion.root[:, 2]])
    np.testing.assert_allclose(bone(turned, "Hips")[0] @ FORWARD, LEFT, atol=1e-12)


def test_mirroring_exchanges_left_and_right_and_undoes_itself(walking_clips: Path) -> None:
    motion = read_deepmimic(walking_clips, "walk")
    mirrored = mirror(motion)
    np.testing.assert_allclose(bone(mirrored, "LeftUpLeg")[6] @ -UP, bone(motion, "RightUpLeg")[6] @ -UP * [-1, 1, 1])
    np.testing.assert_allclose(mirror(mirrored).rotations, motion.rotations, atol=1e-12)


def test_a_stroll_follows_its_path_and_looks_along_it(walking_clips: Path) -> None:
    cycle = read_deepmimic(walking_clips, "walk")
    path = Oval((0.0, 3.0), (1.0, 1.0), start=0.0, laps=1.0)
    times = np.arange(61) / 10
    walk = stroll(cycle, path.points(), times, scale=1.1)
    radius = np.linalg.norm(walk.root[:, :2] - [0, 3], axis=1)
    np.testing.assert_allclose(radius, 1.0, atol=1e-3)
    speed = np.linalg.norm(np.diff(walk.root[:, :2], axis=0), axis=1) * 10
    np.testing.assert_allclose(speed, 2 * np.pi / 6, rtol=0.01)
    facing = bone(walk, "Hips") @ FORWARD
    tangent = np.gradient(walk.root[:, :2], axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    assert ((facing[:, :2] * tangent).sum(axis=1) > 0.99).all()
    np.testing.assert_allclose(walk.root[:, 2], 0.85 * 1.1)


def test_a_stroll_needs_a_walking_cycle(walking_clips: Path, tmp_path: Path) -> None:
    shutil.copy(walking_clips / "humanoid3d_walk.txt", tmp_path)
    document = json.loads((tmp_path / "humanoid3d_walk.txt").read_text())
    document["Loop"] = "none"
    (tmp_path / "humanoid3d_walk.txt").write_text(json.dumps(document))
    with pytest.raises(SyntheticError, match="not a walking cycle"):
        stroll(read_deepmimic(tmp_path, "walk"), np.zeros((5, 2)), np.arange(3.0), 1.0)


def test_shapes_are_checked(walking_clips: Path) -> None:
    from dataclasses import replace

    motion = read_deepmimic(walking_clips, "walk")
    with pytest.raises(SyntheticError, match="rotations is"):
        replace(motion, rotations=motion.rotations[:3])
