"""The body bank on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from unipose_training.errors import SyntheticError
from unipose_training.synthetic.bank import BodyBank, load_bank, save_bank


def test_saving_and_loading_changes_nothing_any_more(bank: BodyBank, bank_file: Path, tmp_path: Path) -> None:
    record = save_bank(tmp_path / "again.npz", bank)
    assert record.sha256 == bank.record.sha256
    again = load_bank(tmp_path / "again.npz")
    assert again.record == bank.record
    for one, other in zip(bank.people, again.people, strict=True):
        assert one.materials == other.materials
        np.testing.assert_array_equal(one.vertices, other.vertices)
        np.testing.assert_array_equal(one.weights, other.weights)
        np.testing.assert_array_equal(one.faces, other.faces)
    np.testing.assert_array_equal(bank.poses.rotations, again.poses.rotations)


def test_the_same_bank_gives_the_same_bytes(bank: BodyBank, tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        save_bank(tmp_path / name, bank)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_rounding_moves_no_vertex_by_more_than_half_a_step(bank: BodyBank, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    person = bank.people[0]
    moved = person.vertices + rng.uniform(-0.1, 0.1, person.vertices.shape).astype(np.float32)
    save_bank(tmp_path / "moved.npz", replace(bank, people=(replace(person, vertices=moved),)))
    found = load_bank(tmp_path / "moved.npz").people[0].vertices
    assert np.abs(found - moved).max() <= 2.0**-15 + 1e-7


def test_weights_sum_to_one_after_rounding(bank: BodyBank) -> None:
    for person in bank.people:
        np.testing.assert_allclose(person.weights.sum(axis=1), 1, atol=1e-6)


def test_a_changed_array_is_noticed(bank: BodyBank, bank_file: Path, tmp_path: Path) -> None:
    with np.load(bank_file) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["vertices"][0] += 1
    np.savez(tmp_path / "changed.npz", **arrays)
    with pytest.raises(SyntheticError, match="sha256"):
        load_bank(tmp_path / "changed.npz")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut short"])
def test_what_is_no_bank_is_refused_with_the_remedy(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bank.npz"
    path.write_bytes(content)
    with pytest.raises(SyntheticError, match=r"bank\.npz.*bake one with"):
        load_bank(path)


def test_an_absent_bank_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(SyntheticError, match="bake one with"):
        load_bank(tmp_path / "nowhere.npz")


def test_the_record_tells_origin_and_errors(bank: BodyBank, bank_file: Path) -> None:
    record = bank.record
    assert record.split == "training"
    assert "anny" in record.body
    assert "zlib" in record.motions
    assert "CC0" in record.clothes
    assert record.errors_mm["joints_max"] < 0.1
    assert record.errors_mm["surface_at_rest_mean"] < 1.5
    assert bank_file.stat().st_size < 300_000


def test_people_and_poses_that_do_not_fit_are_refused(bank: BodyBank) -> None:
    person = bank.people[0]
    with pytest.raises(SyntheticError, match="do not fit"):
        replace(person, faces=person.faces + len(person.vertices))
    with pytest.raises(SyntheticError, match="do not fit"):
        replace(bank.poses, airborne=bank.poses.airborne[1:])
    with pytest.raises(SyntheticError, match="no people"):
        replace(bank, people=())
