"""From the full model to the light one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unipose_training.errors import SyntheticError
from unipose_training.synthetic.bank.bake import MotionSources, jump_heights, motion_kinds, pose_clips, posture_motions
from unipose_training.synthetic.bank.lighten import distances_mm, lighten
from unipose_training.synthetic.bank.people import Wardrobe, draw_person
from unipose_training.synthetic.motion import Motion
from unipose_training.synthetic.wardrobe import Piece


def _motion(root: np.ndarray, name: str = "still", direction: float = -1.0) -> Motion:
    frames = len(root)
    return Motion(
        name, ("Hips",), np.tile(np.eye(3), (frames, 1, 1, 1)), np.array([[0, 0, direction]]), root, 0.1
    )  # fmt: skip


def _sphere(radius: float, look: int, fine: int = 48) -> Piece:
    """A ball of about 2 fine**2 triangles that follows two bones, half and half."""
    polar, azimuth = np.meshgrid(np.linspace(0, np.pi, fine), np.linspace(0, 2 * np.pi, fine), indexing="ij")
    vertices = radius * np.stack(
        [np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=-1
    )
    corner = np.arange(fine * fine).reshape(fine, fine)
    a, b, c, d = corner[:-1, :-1], corner[1:, :-1], corner[1:, 1:], corner[:-1, 1:]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    rest = vertices.reshape(-1, 3)
    weights = np.full((len(rest), 2), 0.5)
    return Piece(faces, np.full(len(faces), look), rest, rest[None], weights)


def test_what_is_inside_is_dropped_and_what_is_outside_kept() -> None:
    shell, core = _sphere(0.5, look=1), _sphere(0.3, look=0)
    light = lighten((core, shell), 1000)
    assert set(light.look) == {1}
    assert 800 < len(light.faces) <= 1100
    assert light.bone_weights == pytest.approx(0.5)
    assert np.linalg.norm(light.vertices, axis=1) == pytest.approx(0.5, abs=0.005)
    distance = distances_mm(light, (shell,))
    assert distance.mean() < 3.0


def test_a_person_needs_some_triangles() -> None:
    with pytest.raises(SyntheticError, match="triangles = 10"):
        lighten((_sphere(0.5, 0),), 10)


def test_only_what_leaves_the_floor_is_a_jump() -> None:
    times = np.arange(40)
    jump = np.clip(0.3 - 0.02 * (times - 20.0) ** 2, 0, None)
    hips = 0.9 + 0.01 * np.sin(times) + jump
    # The body is a tenth larger than the performer.
    standing = np.full(40, 0.99, np.float32)
    found = jump_heights(_motion(np.column_stack([0 * hips, 0 * hips, hips])), standing, 0.1)
    assert found[20] == pytest.approx(0.33, abs=0.03)
    assert (found[jump == 0] == 0).all()


def test_postures_are_on_the_floor_whatever_the_height_of_their_hips() -> None:
    standing = np.array([0.95, 0.4, 0.9, 0.5], np.float32)
    assert (jump_heights(_motion(np.tile([0, 0, 0.9], (5, 1))), standing, 0.1) == 0).all()


def test_postures_are_drawn_by_family_and_seed() -> None:
    first, again, other = (posture_motions(("sitting", "waving"), 4, 5.0, seed) for seed in (1, 1, 2))
    assert [motion.name for motion in first] == ["posture_sitting", "posture_waving"]
    np.testing.assert_array_equal(first[1].rotations, again[1].rotations)
    assert not np.array_equal(first[1].rotations, other[1].rotations)
    clips = pose_clips(first, np.zeros(2, np.int64), first[0].bones, 5.0)
    np.testing.assert_array_equal(clips.starts, [0, 4])
    assert posture_motions(("sitting",), 0, 5.0, 1) == []


def test_motions_with_the_same_rest_pose_share_their_alignment() -> None:
    root = np.zeros((3, 3))
    kinds, numbers = motion_kinds([_motion(root), _motion(root, direction=1.0), _motion(root, "again")])
    assert len(kinds) == 2
    np.testing.assert_array_equal(numbers, [0, 1, 0])


def test_clips_are_sampled_at_the_rate_that_is_asked_for() -> None:
    clips = pose_clips([_motion(np.zeros((21, 3))), _motion(np.zeros((11, 3)))], np.zeros(2, np.int64), ("Hips",), 5.0)
    np.testing.assert_array_equal(clips.starts, [0, 10])
    assert len(clips) == 15
    np.testing.assert_allclose(clips.rotations, np.tile([0, 0, 0, 1], (15, 1, 1)))


def test_no_motion_is_an_error_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(SyntheticError, match="name the pybullet wheel"):
        MotionSources(deepmimic=tmp_path).read()
    broken = tmp_path / "wheel.whl"
    broken.write_bytes(b"nothing")
    with pytest.raises(SyntheticError, match="pip download"):
        MotionSources(deepmimic=broken).read()


def test_people_are_drawn_by_number_and_seed() -> None:
    wardrobe = Wardrobe(("female_a", "male_a"), ("shoes01",), ("long01", "short01"))
    people = [draw_person(n, 3, wardrobe) for n in range(6)]
    assert people[2] == draw_person(2, 3, wardrobe)
    assert people[2] != draw_person(2, 4, wardrobe)
    for number, person in enumerate(people):
        woman = number % 2 == 1
        assert (person.shape.gender > 0.5) == woman
        assert person.outfit.suit == ("female_a" if woman else "male_a")
        assert woman or person.outfit.hair == "short01"


def test_a_folder_of_garments_is_sorted_by_kind(tmp_path: Path) -> None:
    for name in ("male_casualsuit01", "shoes02", "ponytail01", "glasses01"):
        (tmp_path / f"{name}.mhclo").touch()
    assert Wardrobe.in_folder(tmp_path) == Wardrobe(("male_casualsuit01",), ("shoes02",), ("ponytail01",))
    assert Wardrobe.in_folder(None) == Wardrobe()


def test_a_split_takes_garments_away() -> None:
    here = Wardrobe(("female_a", "male_a"), ("shoes01",), ("long01",))
    assert here.within(Wardrobe(("male_a", "male_b"), (), ("long01",))) == Wardrobe(("male_a",), (), ("long01",))


def test_settings_that_bake_nothing_are_refused() -> None:
    from unipose_training.synthetic.bank.bake import BankSettings

    for wrong in ({"people": 0}, {"rate_hz": 0.0}, {"postures": 1}):
        with pytest.raises(SyntheticError, match="body bank"):
            BankSettings(MotionSources(), **wrong)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.usefixtures("body")
def test_a_baked_bank_moves_as_the_full_model_and_is_the_same_again(tmp_path: Path, shared_data: Path) -> None:
    from unipose_training.synthetic.bank.bake import BankSettings, bake_bank

    trials = tmp_path / "cmu"
    trials.mkdir()
    for name in ("02.asf", "02_03.amc"):
        (trials / name).write_bytes((shared_data / "cmu_mocap" / name).read_bytes())
    settings = BankSettings(MotionSources(cmu=trials), people=2, triangles=1500, postures=2)
    first = bake_bank(tmp_path / "a.npz", settings, progress=False)
    again = bake_bank(tmp_path / "b.npz", settings, progress=False)
    assert first == again
    assert first.errors_mm["joints_max"] < 0.1
    assert first.errors_mm["skinning_p95"] < 1.0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "b.npz", "cmu"]
