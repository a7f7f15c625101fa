"""Samples of NTU RGB+D with two frames each."""

from __future__ import annotations

from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np

NAMES = ("S001C001P001R001A001", "S001C002P001R001A001", "S001C001P003R001A002")
#: The last sample has no skeletons.
MISSING = NAMES[2]
FX, FY, CX, CY = 365.6, 365.4, 252.0, 209.0


def joints(name: str, frame: int) -> np.ndarray:
    """(25, 3) in Kinect camera space: x to the sensor's left, y up."""
    rng = np.random.default_rng(NAMES.index(name) * 10 + frame)
    return rng.uniform([-0.8, -0.9, 2.2], [0.8, 0.9, 3.2], (25, 3))


def stored_pixels(xyz: np.ndarray, mirrored: bool) -> np.ndarray:
    """depthX, depthY as the Kinect writes them: in a mirrored image u grows with x."""
    sign = 1 if mirrored else -1
    u = CX + sign * FX * xyz[:, 0] / xyz[:, 2]
    return np.stack([u, CY - FY * xyz[:, 1] / xyz[:, 2]], axis=1)


def stored_color_pixels(xyz: np.ndarray, mirrored: bool) -> np.ndarray:
    """colorX, colorY: the color camera stands 5 cm beside the other."""
    sign = 1 if mirrored else -1
    u = 960 + sign * 1060 * (xyz[:, 0] + 0.05) / xyz[:, 2]
    return np.stack([u, 540 - 1058 * xyz[:, 1] / xyz[:, 2]], axis=1)


def shade(joint: int) -> int:
    """Brightness of a joint's spot in the videos."""
    return 100 + 6 * joint


def write_video(root: Path, name: str, mirrored: bool = True, frames: int = 2) -> Path:
    """Color of a sample: every joint is a spot of its own shade."""
    path = root / "nturgb+d_rgb" / f"{name}_rgb.avi"
    path.parent.mkdir(exist_ok=True)
    writer = imageio_ffmpeg.write_frames(str(path), (1920, 1080), fps=30, codec="mpeg4", quality=9, macro_block_size=1)
    writer.send(None)
    for frame in range(frames):
        image = np.zeros((1080, 1920, 3), np.uint8)
        pixels = stored_color_pixels(joints(name, frame), mirrored)
        for n, (u, v) in enumerate(np.rint(pixels).astype(int).tolist()):
            cv2.circle(image, (u, v), 9, (shade(n),) * 3, -1)
        writer.send(image)
    writer.close()
    return path


def write(root: Path, mirrored: bool = True, wrong_labels: int = 0) -> None:
    """All samples: masked depth with a blob of 3x3 pixels at every joint, and skeletons."""
    (root / "nturgb+d_skeletons").mkdir(parents=True)
    for name in NAMES:
        folder = root / "nturgb+d_depth_masked" / name
        folder.mkdir(parents=True)
        lines = ["2"]
        for frame in range(2):
            xyz = joints(name, frame)
            uv = stored_pixels(xyz, mirrored)
            _write_depth(folder / f"MDepth-{frame + 1:08d}.png", xyz, uv)
            lines += _body_lines(xyz, uv, stored_color_pixels(xyz, mirrored), wrong_labels)
        if name != MISSING:
            (root / "nturgb+d_skeletons" / f"{name}.skeleton").write_text("\n".join(lines) + "\n")
    text = f"These samples have missing skeletons:\n{MISSING}\n"
    (root / "NTU_RGBD_samples_with_missing_skeletons.txt").write_text(text)


def _write_depth(path: Path, xyz: np.ndarray, uv: np.ndarray) -> None:
    image = np.zeros((424, 512), np.uint16)
    for z, (u, v) in zip(xyz[:, 2], np.rint(uv).astype(int), strict=True):
        image[v - 1 : v + 2, u - 1 : u + 2] = round(z * 1000)
    cv2.imwrite(str(path), image)


def _body_lines(xyz: np.ndarray, uv: np.ndarray, in_color: np.ndarray, wrong_labels: int) -> list[str]:
    lines = ["1", "72057594037931101 0 1 1 1 1 0 0.02 -0.23 2", "25"]
    for n, (point, pixel, color) in enumerate(zip(xyz, uv, in_color, strict=True)):
        shown = pixel + (50 if n < wrong_labels else 0)
        state = 1 if n == 24 else 2
        values = [*point, *shown, *color, 1.0, 0.0, 0.0, 0.0]
        lines.append(" ".join(f"{value:.7g}" for value in values) + f" {state}")
    return lines
