"""ITOP's HDF5 files with a few frames."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

IDS = ("00_00003", "00_00001", "00_00002", "00_00005", "01_00000", "04_00000")
#: Frame 00_00002 must not be used.
VALID = np.array([1, 1, 0, 1, 1, 1], np.uint8)


def joints(count: int) -> np.ndarray:
    """(count, 15, 3) positions in ITOP's axes (y up) that float16 holds exactly."""
    rng = np.random.default_rng(1)
    xyz = rng.integers(-64, 64, (count, 15, 3)) / 128
    return (xyz + [0, 0, 2.5]).astype(np.float16)


def depths(count: int) -> np.ndarray:
    """A wall at 4 m with a person-sized board at 2.5 m, moving by a column a frame; top row without reading."""
    image = np.full((count, 240, 320), 4.0, np.float16)
    for n in range(count):
        image[n, 60:200, 140 + n : 180 + n] = 2.5
    image[:, 0] = 0
    return image


def write(root: Path, view: str = "side", split: str = "test", cloud: bool = False) -> None:
    """All files of a view and split. The depth file has another order than the labels, as it may."""
    root.mkdir(parents=True, exist_ok=True)
    count = len(IDS)
    xyz, image = joints(count), depths(count)
    with h5py.File(root / f"ITOP_{view}_{split}_labels.h5", "w") as file:
        file["id"] = np.array(IDS, "S8")
        file["is_valid"] = VALID
        file["visible_joints"] = np.tile(np.arange(15) % 2, (count, 1)).astype(np.int16)
        u = 160 + xyz[..., 0].astype(float) / (0.0035 * xyz[..., 2])
        v = 120 - xyz[..., 1].astype(float) / (0.0035 * xyz[..., 2])
        file["image_coordinates"] = np.stack([u, v], -1).astype(np.int16)
        file["real_world_coordinates"] = xyz
        file["segmentation"] = np.full((count, 240, 320), -1, np.int8)
    kind = "point_cloud" if cloud else "depth_map"
    with h5py.File(root / f"ITOP_{view}_{split}_{kind}.h5", "w") as file:
        file["id"] = np.array(IDS[::-1], "S8")
        file["data"] = _clouds(image[::-1]) if cloud else image[::-1]


def _clouds(image: np.ndarray) -> np.ndarray:
    v, u = np.mgrid[:240, :320]
    z = image.astype(float)
    return np.stack([(u - 160) * z * 0.0035, (120 - v) * z * 0.0035, z], -1).reshape(-1, 76800, 3).astype(np.float16)
