"""MPI-INF-3DHP with a training sequence and two test sequences."""

from __future__ import annotations

from pathlib import Path

import cv2
import h5py
import numpy as np
import scipy.io

KEPT = [7, 5, 14, 15, 16, 9, 10, 11, 23, 24, 25, 18, 19, 20, 4, 3, 6]
FRAMES = 12
K = {1: (1500.0, 1501.0, 1030.0, 1010.0), 5: (1680.0, 1681.0, 955.0, 545.0)}
VALID = np.arange(FRAMES) % 4 != 3
TRAIN_K = (1497.693, 1497.103, 1024.704, 1051.394)


def positions(seed: int, joints: int, frames: int = FRAMES) -> np.ndarray:
    """(frames, joints, 3) millimeters in the optical frame."""
    rng = np.random.default_rng(seed)
    return rng.uniform([-900, -900, 2800], [900, 900, 3800], (frames, joints, 3))


def project(xyz: np.ndarray, k: tuple[float, float, float, float]) -> np.ndarray:
    fx, fy, cx, cy = k
    return np.stack([fx * xyz[..., 0] / xyz[..., 2] + cx, fy * xyz[..., 1] / xyz[..., 2] + cy], -1)


def write_test(root: Path, number: int, row: bool = False) -> Path:
    """TS1 or TS5; ``row``: valid_frame lies as a row. The labels of frames that do not count are nonsense."""
    folder = root / "mpi_inf_3dhp_test_set" / f"TS{number}"
    (folder / "imageSequence").mkdir(parents=True)
    xyz = positions(number, 17)
    pixels = project(xyz, K[number])
    pixels[~VALID] = 0
    path = folder / "annot_data.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["annot2"], file["annot3"] = pixels[:, None], xyz[:, None]
        file["univ_annot3"] = xyz[:, None] * 1.1
        file["valid_frame"] = VALID.astype(float).reshape((1, -1) if row else (-1, 1))
        file["activity_annotation"] = np.ones((FRAMES, 1))
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    size = (2048, 2048) if number <= 4 else (1080, 1920)
    for n in (1, 2):
        cv2.imwrite(str(folder / "imageSequence" / f"img_{n:06d}.jpg"), np.full((*size, 3), 40 * n, np.uint8))
    return path


def write_train(root: Path) -> Path:
    """S1/Seq1, whose labels run on after its 6416 frames."""
    folder = root / "S1" / "Seq1"
    folder.mkdir(parents=True)
    cells = {key: np.empty((14, 1), object) for key in ("annot2", "annot3", "univ_annot3")}
    for camera in range(14):
        xyz = positions(100 + camera, 28, 6420)
        cells["annot3"][camera, 0] = xyz.reshape(len(xyz), -1)
        cells["univ_annot3"][camera, 0] = xyz.reshape(len(xyz), -1) * 1.1
        cells["annot2"][camera, 0] = project(xyz, TRAIN_K).reshape(len(xyz), -1)
    path = folder / "annot.mat"
    scipy.io.savemat(path, cells | {"cameras": np.arange(14), "frames": np.arange(6420)[:, None]})
    fx, fy, cx, cy = TRAIN_K
    lines = ["Skeletool Camera Calibration File V1.0"]
    for camera in range(14):
        lines += [
            f"name          {camera}", "  sensor      10 10", "  size        2048 2048", "  animated    0",
            f"  intrinsic   {fx} 0 {cx} 0 0 {fy} {cy} 0 0 0 1 0 0 0 0 1 ",
            "  extrinsic   1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1 ", "  radial      0",
        ]  # fmt: skip
    (folder / "camera.calibration").write_text("\n".join(lines) + "\n")
    return path
