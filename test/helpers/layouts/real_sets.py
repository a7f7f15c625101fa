"""Folders of frames of real people, one or two tiny frames of each set."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

#: HUMAN4D: the depth camera sees 18x32 pixels, color 72x128, four times as fine, from 2 cm to the right.
DEPTH = {"fx": 24.0, "fy": 24.0, "cx": 8.5, "cy": 15.5, "width": 18, "height": 32}
COLOR = {"fx": 96.0, "fy": 96.0, "cx": 35.5, "cy": 63.5, "width": 72, "height": 128}
OFFSET = 0.02
#: One person whose joints lie in a plane at 2 m, as the depth camera sees them.
JOINTS = np.stack([np.linspace(-0.2, 0.2, 15), np.linspace(-0.8, 0.9, 15), np.full(15, 2.0)], axis=1)


def write(folder: Path) -> None:
    """All sets."""
    for name, make in WRITERS.items():
        make(folder / name)


def write_human4d(folder: Path, names: tuple[str, ...] = ("200_M72e", "207_other")) -> None:
    """A wall at 2.1 m; the left half of the color image is red, the right one blue."""
    folder.mkdir(parents=True)
    (folder / "joint_names33.json").write_text("[]")
    for name in names:
        _depth(folder / f"{name}_depth.png", np.full((32, 18), 2100))
        color = np.zeros((128, 72, 3), np.uint8)
        color[:, :36], color[:, 36:] = (0, 0, 250), (250, 0, 0)
        cv2.imwrite(str(folder / f"{name}_colour.jpg"), color)
        person = {
            "itop15_in_depth_frame": JOINTS.tolist(),
            "itop15_in_colour_frame": (JOINTS - [OFFSET, 0, 0]).tolist(),
        }
        record = {
            "colour": COLOR,
            "depth": DEPTH,
            "depth_from_colour": {"R": np.eye(3).tolist(), "t": [OFFSET, 0, 0]},
            "people": [person],
        }
        (folder / f"{name}.json").write_text(json.dumps(record))


def write_uc3m(folder: Path) -> None:
    """Three frames: two numbered people, one mask that says only where, and one whose tracker saw no person."""
    folder.mkdir(parents=True)
    masks = {"two": np.zeros((480, 640), np.uint8), "one": np.zeros((480, 640, 3), np.uint8)}
    masks["two"][100:300, 100:200], masks["two"][100:300, 400:500] = 1, 4
    masks["one"][100:300, 100:200] = 255
    masks["empty"] = np.zeros((480, 640), np.uint8)
    for name, mask in masks.items():
        _pair(folder / f"{name}_depth.png", folder / f"{name}.jpg")
        cv2.imwrite(str(folder / f"{name}_mask.png"), mask)


def write_tue(folder: Path) -> None:
    """One frame of a camera with lens distortion."""
    folder.mkdir(parents=True)
    _pair(folder / "12-41-38_depth.png", folder / "12-41-38.jpg")
    camera = {"width": 640, "height": 480, "fx": 537.0, "fy": 537.5, "cx": 320.7, "cy": 227.7}
    (folder / "camera.json").write_text(json.dumps({**camera, "plumb_bob": [0.03, 0.05, -0.001, 0.003, -0.5]}))


def write_lmb(folder: Path) -> None:
    """The one pair; color is half as fine as depth."""
    folder.mkdir(parents=True)
    _pair(folder / "depth.png", folder / "color.png", (1080, 1920), (540, 960))


def write_uva(folder: Path, frames: int = 3) -> None:
    """A sequence with masks as JPEG, whose edges are not clean."""
    folder.mkdir(parents=True)
    for number in range(frames):
        _pair(folder / f"{number:010d}_depth.png", folder / f"{number:010d}.jpg")
        mask = np.zeros((480, 640), np.uint8)
        mask[100:400, 250:400] = 255
        cv2.imwrite(str(folder / f"{number:010d}_mask.jpg"), mask)


def write_depth_frames(folder: Path) -> None:
    """A NumPy and a MATLAB file."""
    from scipy.io import savemat

    folder.mkdir(parents=True)
    np.save(folder / "dih_kinect2_3people.npy", np.full((540, 960), 2500, np.uint16))
    savemat(folder / "panoptic_kinect2.mat", {"depth": np.full((424, 512), 2.5)})


def write_pcl(folder: Path) -> None:
    """An organized cloud of 640x480, in ASCII, of a plane at 1.5 m with a hole."""
    folder.mkdir(parents=True)
    rows = ["0 0 1.5"] * (640 * 480)
    rows[5] = "nan nan nan"
    head = [
        "# .PCD v0.7", "VERSION 0.7", "FIELDS x y z", "SIZE 4 4 4", "TYPE F F F", "COUNT 1 1 1", "WIDTH 640",
        "HEIGHT 480", "VIEWPOINT 0 0 0 1 0 0 0", "POINTS 307200", "DATA ascii",
    ]  # fmt: skip
    (folder / "person.pcd").write_text("\n".join([*head, *rows, ""]))


def _pair(
    depth: Path, color: Path, size: tuple[int, int] = (480, 640), color_size: tuple[int, int] | None = None
) -> None:
    _depth(depth, np.full(size, 2000))
    cv2.imwrite(str(color), np.full((*(color_size or size), 3), 90, np.uint8))


def _depth(path: Path, millimeters: np.ndarray) -> None:
    cv2.imwrite(str(path), millimeters.astype(np.uint16))


WRITERS = {
    "human4d": write_human4d,
    "uc3m_kinect": write_uc3m,
    "tue_robot": write_tue,
    "lmb_rgbd_pose3d": write_lmb,
    "uva_person": write_uva,
    "depth_frames": write_depth_frames,
    "pcl": write_pcl,
}
