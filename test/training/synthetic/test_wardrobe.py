"""Clothes in MakeHuman's format, on a body of four vertices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unipose_training.errors import SyntheticError
from unipose_training.synthetic.wardrobe import fit, follow, read_garment

#: A body: 1 m along each of the world's axes.
REST = np.array([[0, 0, 0], [1, 0, 0], [0, -1, 0], [0, 0, 1]], float)
MHCLO = """# comment
name patch
x_scale 0 1 2.0
z_scale 0 2 4.0
y_scale 0 3 1.0
verts 0
1 2 3 0.5 0.25 0.25 0.2 0.3 0.4
material patch.mhmat
2
0
3

delete_verts
0 2 - 3
"""
OBJ = "v 0 0 0\nv 0 0 0\nv 0 0 0\nv 0 0 0\nf 1/1 2/2 3/3 4/4\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "patch.mhclo").write_text(MHCLO)
    (tmp_path / "patch.obj").write_text(OBJ)
    return tmp_path


def test_files_are_read(folder: Path) -> None:
    garment = read_garment(folder, "patch")
    assert garment.faces.tolist() == [[0, 1, 2], [0, 2, 3]]  # a square in two triangles
    assert garment.hides.tolist() == [0, 2, 3]
    assert garment.scales == ((0, 1, 2.0), (0, 3, 1.0), (0, 2, 4.0))  # x, y, z whatever their order in the file


def test_vertices_hang_on_the_body_with_scaled_offsets(folder: Path) -> None:
    fitted = fit(read_garment(folder, "patch"), REST)
    # MakeHuman's x, y up, z front are the world's x, z, -y; scaled by 1/2, 1/1, 1/4.
    center = 0.5 * REST[1] + 0.25 * REST[2] + 0.25 * REST[3]
    np.testing.assert_allclose(fitted[0], center + [0.2 / 2, -0.4 / 4, 0.3 / 1])
    np.testing.assert_allclose(fitted[1:], REST[[2, 0, 3]])


def test_garment_grows_with_the_body(folder: Path) -> None:
    garment = read_garment(folder, "patch")
    np.testing.assert_allclose(fit(garment, 2 * REST), 2 * fit(garment, REST))


def test_garment_follows_its_bones(folder: Path) -> None:
    garment = read_garment(folder, "patch")
    fitted = fit(garment, REST)
    weights = np.array([[1, 0], [1, 0], [0, 1], [0.5, 0.5]], float)
    transforms = np.tile(np.eye(4), (2, 2, 1, 1))
    transforms[1, 1, :3, 3] = [0, 0, 8.0]  # in the second frame the second bone rises
    moved = follow(garment, fitted, weights, transforms)
    np.testing.assert_allclose(moved[0], fitted)
    rise = moved[1, :, 2] - fitted[:, 2]
    np.testing.assert_allclose(rise, [8 * (0.25 + 0.125), 8, 0, 4])


def test_absent_and_broken_clothes_are_named(folder: Path) -> None:
    with pytest.raises(SyntheticError, match="clothes 'hat'"):
        read_garment(folder, "hat")
    (folder / "patch.obj").write_text(OBJ + "f 1 2 9\n")
    with pytest.raises(SyntheticError, match="the files do not fit"):
        read_garment(folder, "patch")
