"""A sequence of the Panoptic Studio with one Kinect and three frames."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np

SEQUENCE = "170101_tiny"
TIMES = (1000.0, 1033.37, 1066.73)
K_DEPTH = np.array([[365.0, 0, 255.5], [0, 365.0, 211.5], [0, 0, 1]])
K_COLOR = np.array([[1060.0, 0, 950.0], [0, 1060.0, 540.0], [0, 0, 1]])
DISTORTION = [0.09, -0.27, 0.001, -0.002, 0.1]


def rotation(axis: int, degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(3)
    i, j = [n for n in range(3) if n != axis]
    matrix[i, i], matrix[i, j], matrix[j, i], matrix[j, j] = c, -s, s, c
    return matrix


def rigid(turn: np.ndarray, shift: tuple[float, float, float]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, shift
    return matrix


M_DEPTH = rigid(rotation(1, 1.0), (-0.052, 0.001, 0.002))
#: World (cm) -> color camera (cm): the Kinect stands 3 m from the middle, 1 m up, and looks there.
WORLD = rigid(rotation(1, 30.0) @ rotation(0, 5.0), (10.0, 100.0, 300.0))


def joints_in_depth(frame: int) -> np.ndarray:
    """(2, 19, 3) meters: two boards of joints, the ground truth that the reader must return."""
    rng = np.random.default_rng(frame)
    first = rng.uniform([-0.8, -0.7, 2.1], [-0.2, 0.7, 2.1], (19, 3))
    second = rng.uniform([0.2, -0.7, 3.1], [0.9, 0.7, 3.1], (19, 3))
    return np.stack([first, second])


def depth(frame: int) -> np.ndarray:
    """(424, 512) uint16 as it should come out: surfaces 10 cm in front of the joints, the left half nearer."""
    image = np.full((424, 512), 2000, np.uint16)
    image[:, 256:] = 3000
    image[0, 0] = 0
    image[1, 1] = 1000 + frame
    return image


def write(root: Path, m_color: np.ndarray | None = None, sense: str = "toolbox", color: bool = False) -> Path:
    """Everything below ROOT/SEQ; M_color is the identity unless given, read in the sense given."""
    folder = root / SEQUENCE
    m = np.eye(4) if m_color is None else m_color
    folder.mkdir(parents=True)
    _write_calibration(folder, m)
    times = {"KINECTNODE1": {"index": [1, 2, 3], "univ_time": [t + 2 for t in TIMES]}}
    color_times = {"KINECTNODE1": {"index": [1, 2, 3], "univ_time": [t + 6.25 for t in TIMES]}}
    _dump(folder / f"ksynctables_{SEQUENCE}.json", {"kinect": {"color": color_times, "depth": times}})
    hd = {"hd": {"index": [1, 2, 3], "univ_time": list(TIMES)}}
    _dump(folder / f"synctables_{SEQUENCE}.json", hd)
    store = folder / "kinect_shared_depth" / "KINECTNODE1"
    store.mkdir(parents=True)
    frames = [depth(n)[:, ::-1] for n in range(3)]
    (store / "depthdata.dat").write_bytes(np.stack(frames).astype("<u2").tobytes())
    m_depth_to_local = np.linalg.inv(M_DEPTH)
    color_chain = np.linalg.inv(m) if sense == "toolbox" else m
    back = np.linalg.inv(WORLD) @ np.diag([100, 100, 100, 1]) @ color_chain @ m_depth_to_local
    for n, time in enumerate(TIMES):
        _write_bodies(folder, n + 100, time, joints_in_depth(n) @ back[:3, :3].T + back[:3, 3])
    if color:
        _write_color(folder)
    return folder


def _write_calibration(folder: Path, m_color: np.ndarray) -> None:
    sensor = {
        "K_depth": K_DEPTH.tolist(), "M_depth": M_DEPTH.tolist(), "distCoeffs_depth": [*DISTORTION, 0, 0, 0],
        "depth_width": 512, "depth_height": 424, "K_color": K_COLOR.tolist(), "M_color": m_color.tolist(),
        # As in the real files: what follows the five coefficients are none.
        "distCoeffs_color": [0, 0, 0, 0, 0, 1000, 0, 0], "color_width": 1920, "color_height": 1080,
        "color_time_offset": 0, "depth_time_offset": 0, "M_world2sensor": np.eye(4).tolist(),
        "domeCenter": [0, 0, 0],
    }  # fmt: skip
    kinects = {"calibDataSource": "test", "M_world2vga": np.eye(4).tolist(), "sensors": [sensor]}
    _dump(folder / f"kcalibration_{SEQUENCE}.json", kinects)
    camera = {
        "name": "50_01", "type": "kinect-color", "resolution": [1920, 1080], "panel": 50, "node": 1,
        "K": K_COLOR.tolist(), "distCoef": [0] * 5, "R": WORLD[:3, :3].tolist(),
        "t": WORLD[:3, 3:].tolist(),
    }  # fmt: skip
    other = camera | {"name": "00_05", "type": "vga", "R": np.eye(3).tolist()}
    _dump(folder / f"calibration_{SEQUENCE}.json", {"calibDataSource": "test", "cameras": [other, camera]})


def _write_bodies(folder: Path, number: int, time: float, joints: np.ndarray) -> None:
    bodies = []
    for person, xyz in enumerate(joints):
        confidence = np.full((19, 1), 0.6)
        confidence[7] = 0.1  # not above the limit
        xyz[8], confidence[8] = -1, -1  # as the files have it where there is no joint
        bodies.append({"id": person + 3, "joints19": np.hstack([xyz, confidence]).ravel().tolist()})
    record = {"version": 0.7, "univTime": time, "fpsType": "hd_29_97", "bodies": bodies}
    place = folder / "hdPose3d_stage1_coco19"
    place.mkdir(exist_ok=True)
    _dump(place / f"body3DScene_{number:08d}.json", record)


def _write_color(folder: Path) -> None:
    place = folder / "kinectImgs" / "50_01"
    place.mkdir(parents=True)
    for number in (1, 2, 3):
        cv2.imwrite(str(place / f"50_01_{number:08d}.jpg"), cv2.cvtColor(color(number), cv2.COLOR_RGB2BGR))


def color(number: int) -> np.ndarray:
    """Image ``number`` from 1: red right of the optical axis, brighter in each."""
    image = np.zeros((1080, 1920, 3), np.uint8)
    image[:, 950:] = (80 * number, 0, 0)
    return image


def write_video(folder: Path) -> Path:
    """The same images as a video, in place of them."""
    path = folder / "kinectVideos" / "kinect_50_01.mp4"
    path.parent.mkdir()
    writer = imageio_ffmpeg.write_frames(
        str(path), (1920, 1080), fps=29.97, codec="libx264", macro_block_size=1, output_params=["-preset", "ultrafast"]
    )
    writer.send(None)
    for number in (1, 2, 3):
        writer.send(np.ascontiguousarray(color(number)))
    writer.close()
    return path


def _dump(path: Path, record: object) -> None:
    path.write_text(json.dumps(record))
