"""VideoPose3D's files of Human3.6M with two actions of every subject."""

from __future__ import annotations

from pathlib import Path

import numpy as np

KEPT = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
SUBJECTS = ("S1", "S5", "S6", "S7", "S8", "S9", "S11")
ACTIONS = ("Directions", "Walking 1")
FRAMES = 40
SIZES = ((1000, 1002), (1000, 1000), (1000, 1000), (1000, 1002))
K = [np.array([[1145.0 + 2 * n, 0, 512 + n], [0, 1143.5 + n, 515 - 3 * n], [0, 0, 1]]) for n in range(4)]
RADIAL, TANGENTIAL = (-0.2, 0.24, -0.003), np.array([-0.001, -0.0014])


def positions(subject: str, action: str) -> np.ndarray:
    """(FRAMES, 32, 3) meters, z up: a cloud of joints that wanders about the studio's floor."""
    rng = np.random.default_rng(SUBJECTS.index(subject) * 10 + ACTIONS.index(action))
    centers = rng.uniform([-1.2, -1.2, 0.8], [1.2, 1.2, 1.1], (FRAMES, 1, 3))
    return (centers + rng.uniform(-0.8, 0.8, (FRAMES, 32, 3)) * [0.6, 0.6, 1]).astype(np.float32)


def world(number: int) -> tuple[np.ndarray, np.ndarray]:
    """R, t of a camera in a corner, 5 m away and 1.6 m up, that looks at the middle."""
    angle = np.radians(45 + 90 * number)
    place = np.array([5 * np.cos(angle), 5 * np.sin(angle), 1.6])
    forward = np.array([0, 0, 1.0]) - place
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    turn = np.stack([right, np.cross(forward, right), forward])
    return turn, -turn @ place


def write(root: Path, extra: int = 3) -> None:
    """Both files; the 2D runs on for some frames, as some videos do."""
    solid = {s: {a: positions(s, a) for a in ACTIONS} for s in SUBJECTS}
    flat = {s: {a: [_seen(solid[s][a], n, extra) for n in range(4)] for a in ACTIONS} for s in SUBJECTS}
    root.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(root / "data_3d_h36m.npz", positions_3d=np.array(solid, object))
    metadata = {"num_joints": 17, "keypoints_symmetry": [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]}
    np.savez_compressed(
        root / "data_2d_h36m_gt.npz", positions_2d=np.array(flat, object), metadata=np.array(metadata, object)
    )
    noisy = {s: {a: [view + 2 for view in flat[s][a]] for a in ACTIONS} for s in SUBJECTS}
    np.savez_compressed(root / "data_2d_h36m_hr.npz", positions_2d=np.array(noisy, object))


def _seen(poses: np.ndarray, number: int, extra: int) -> np.ndarray:
    """As VideoPose3D projects: radial terms, and tangential ones that are not OpenCV's."""
    turn, shift = world(number)
    xyz = poses[:, KEPT].astype(float) @ turn.T + shift
    x = xyz[..., :2] / xyz[..., 2:]
    r2 = (x**2).sum(axis=-1, keepdims=True)
    radial = 1 + RADIAL[0] * r2 + RADIAL[1] * r2**2 + RADIAL[2] * r2**3
    bent = x * (radial + (TANGENTIAL * x).sum(axis=-1, keepdims=True)) + TANGENTIAL * r2
    flat = (bent * K[number][[0, 1], [0, 1]] + K[number][:2, 2]).astype(np.float32)
    return np.concatenate([flat, flat[:extra]])
