"""Frames a second of CPU time of the data set readers beside plain reading of the same bytes.

    python benchmarks/data_sets.py

Writes synthetic files of the published sizes into a temporary folder; no data set is needed. Plain
reading is h5py, NumPy or OpenCV alone, up to float meters, without looking at what was read.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import cv2
import h5py
import imageio_ffmpeg
import numpy as np

from unipose_ros.joint_sets import ITOP15
from unipose_training.datasets.base import IndexedClip
from unipose_training.datasets.io import read_video_frame
from unipose_training.datasets.itop import open_itop
from unipose_training.datasets.ntu import open_ntu
from unipose_training.datasets.panoptic import open_panoptic

FRAMES = 300
VIDEO_FRAMES = 60
ROUNDS = 4
METERS = np.float32(0.001)


def main() -> None:
    """Print the table."""
    cv2.setNumThreads(1)
    print(f"{'':10}  {'plain':>8}  {'reader':>8}  ratio")
    with tempfile.TemporaryDirectory() as folder:
        for name, write in (("itop", write_itop), ("panoptic", write_panoptic), ("ntu", write_ntu)):
            root = Path(folder) / name
            root.mkdir()
            plain, clips = write(root)
            compare(name, plain, partial(frames, clips))
        compare("video", *write_video(Path(folder) / "kinect.mp4"))


def compare(name: str, plain: Callable[[], Iterable[object]], reader: Callable[[], Iterable[object]]) -> None:
    """Print a row, of the best of several rounds; the two take turns, as other work comes and goes."""
    rounds = [(rate(plain), rate(reader)) for _ in range(ROUNDS)]
    rates = [max(each) for each in zip(*rounds, strict=True)]
    print(f"{name:10}  {rates[0]:8.0f}  {rates[1]:8.0f}  {rates[0] / rates[1]:.2f}", flush=True)


def rate(read: Callable[[], Iterable[object]]) -> float:
    """Frames a second of CPU time, which other work on the machine does not change."""
    start = time.process_time()
    count = sum(1 for _ in read())
    return count / (time.process_time() - start)


def frames(clips: Iterable[IndexedClip]) -> Iterator[object]:
    """All frames of all clips."""
    return (frame for clip in clips for frame in clip.frames())


def write_itop(root: Path) -> tuple[Callable[[], Iterator[object]], list[IndexedClip]]:
    """ITOP's float16 depth maps."""
    ids = np.array([f"00_{n:05d}" for n in range(FRAMES)], "S8")
    depth = np.random.default_rng(0).uniform(1, 4, (FRAMES, 240, 320)).astype(np.float16)
    joints = (FRAMES, len(ITOP15))
    with h5py.File(root / "ITOP_side_test_labels.h5", "w") as file:
        file["id"], file["is_valid"] = ids, np.ones(FRAMES, np.uint8)
        file["visible_joints"], file["image_coordinates"] = np.ones(joints, np.int16), np.ones((*joints, 2), np.int16)
        file["real_world_coordinates"] = np.ones((*joints, 3), np.float16)
    path = root / "ITOP_side_test_depth_map.h5"
    with h5py.File(path, "w") as file:
        file["id"], file["data"] = ids, depth

    def plain() -> Iterator[object]:
        with h5py.File(path) as file:
            data = file["data"]
            for n in range(FRAMES):
                yield data[n].astype(np.float32)

    return plain, list(open_itop(root))


def write_panoptic(root: Path) -> tuple[Callable[[], Iterator[object]], list[IndexedClip]]:
    """Panoptic's raw depth; no person is labeled."""
    sequence = root / "seq"
    (sequence / "hdPose3d_stage1_coco19").mkdir(parents=True)
    (sequence / "kinect_shared_depth" / "KINECTNODE1").mkdir(parents=True)
    times = (1000 + 33.3 * np.arange(FRAMES)).tolist()
    for n, moment in enumerate(times):
        path = sequence / "hdPose3d_stage1_coco19" / f"body3DScene_{n:08d}.json"
        path.write_text(json.dumps({"univTime": moment, "bodies": []}))
    eye, clock = np.eye(4).tolist(), {"KINECTNODE1": {"univ_time": times}}
    k = [[365, 0, 256], [0, 365, 212], [0, 0, 1]]
    sensor = {"K_depth": k, "M_depth": eye, "distCoeffs_depth": [0] * 5, "depth_width": 512, "depth_height": 424}
    sensor |= {"K_color": k, "M_color": eye, "distCoeffs_color": [0] * 5, "color_width": 1920, "color_height": 1080}
    camera = {"name": "50_01", "R": np.eye(3).tolist(), "t": [0, 0, 0]}
    (sequence / "kcalibration_seq.json").write_text(json.dumps({"sensors": [sensor]}))
    (sequence / "calibration_seq.json").write_text(json.dumps({"cameras": [camera]}))
    (sequence / "ksynctables_seq.json").write_text(json.dumps({"kinect": {"depth": clock, "color": clock}}))
    store = sequence / "kinect_shared_depth" / "KINECTNODE1" / "depthdata.dat"
    np.random.default_rng(0).integers(0, 4000, (FRAMES, 424, 512)).astype("<u2").tofile(store)

    def plain() -> Iterator[object]:
        stored = np.memmap(store, "<u2", "r", shape=(FRAMES, 424, 512))
        return (stored[n, :, ::-1].astype(np.float32) * METERS for n in range(FRAMES))

    return plain, list(open_panoptic(root, convention="toolbox"))


def write_ntu(root: Path) -> tuple[Callable[[], Iterator[object]], list[IndexedClip]]:
    """NTU's masked depth images: a person's share of each is not 0."""
    name = "S001C001P001R001A001"
    folder = root / "nturgb+d_depth_masked" / name
    folder.mkdir(parents=True)
    (root / "nturgb+d_skeletons").mkdir()
    (root / "NTU_RGBD_samples_with_missing_skeletons.txt").write_text("")
    rng = np.random.default_rng(0)
    image = np.zeros((424, 512), np.uint16)
    image[100:350, 200:280] = rng.integers(2500, 2700, (250, 80))
    for n in range(FRAMES):
        cv2.imwrite(str(folder / f"MDepth-{n + 1:08d}.png"), image)
    points = rng.uniform([-1, -1, 2], [1, 1, 3], (25, 3))
    joints = [[*p, 256 + 365 * p[0] / p[2], 212 - 365 * p[1] / p[2], 0, 0, 0, 0, 0, 0] for p in points]
    lines = ["1", "1", "1 0 0 0 0 0 0 0 0 2", "25", *(" ".join(map(str, joint)) + " 2" for joint in joints)]
    (root / "nturgb+d_skeletons" / f"{name}.skeleton").write_text("\n".join(lines))
    paths = sorted(folder.glob("*.png"))

    def plain() -> Iterator[object]:
        for path in paths:
            stored = np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
            yield stored[:, ::-1].astype(np.float32) * METERS

    return plain, list(open_ntu(root))


def write_video(path: Path) -> tuple[Callable[[], Iterator[object]], Callable[[], Iterator[object]]]:
    """A Kinect's color as Panoptic has it: a slow gradient with noise."""
    writer = imageio_ffmpeg.write_frames(str(path), (1920, 1080), fps=29.97, macro_block_size=1)
    writer.send(None)
    image = np.random.default_rng(0).integers(0, 40, (1080, 1920, 3), np.uint8)
    for n in range(VIDEO_FRAMES):
        writer.send(image + np.uint8(n))
    writer.close()

    def plain() -> Iterator[object]:
        capture = cv2.VideoCapture(str(path))
        while (read := capture.read())[0]:
            yield cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB)

    def reader() -> Iterator[object]:
        return (read_video_frame(path, n) for n in range(VIDEO_FRAMES))

    return plain, reader


if __name__ == "__main__":
    main()
