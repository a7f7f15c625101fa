"""The lifter on real video: one camera against the 3D that four cameras agree on; a row of docs/methods/camerapose.md.

    pip download pose2sim==0.10.49 --no-deps
    python benchmarks/pose2sim_lifter.py pose2sim-0.10.49-py3-none-any.whl

The wheel holds a calibrated four-camera demo (BSD-3-Clause). MoveNet's keypoints in all four images are
triangulated; each camera's own are lifted alone. Poses are compared from the middle of the hips, the
scale as it is, and, beside that, after the best similarity. The reference is MoveNet's too, so errors
that it makes in all views alike do not show.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from unipose_ros.camera import Camera, project, rectify_pixels
from unipose_ros.detection import DetectionConfig, select_people
from unipose_ros.detection.movenet import load_movenet
from unipose_ros.joint_sets import COCO17, ITOP15, convert_joints
from unipose_ros.keypoints import KeypointDetector, Keypoints2D
from unipose_ros.lifting import Lifter, load_lifter
from unipose_training.evaluation.metrics.pose import joint_errors, pa_mpjpe

DEMO = "Pose2Sim/Demo_SinglePerson"
#: Qualisys files give intrinsics in 64ths of a pixel.
_SUBPIXELS = 64
#: A keypoint takes part in triangulation from this confidence on, and in three views or more.
_SURE, _VIEWS = 0.3, 3
#: A triangulated joint is believed up to this mean reprojection error in pixels.
_AGREE = 30.0
_HIPS = [ITOP15.index("left_hip"), ITOP15.index("right_hip")]


@dataclass(frozen=True)
class PlacedCamera:
    """Intrinsics, and rotation (3, 3) and translation (3,) in meters from world to optical frame."""

    camera: Camera
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]


def read_calibration(path: Path, sizes: list[tuple[int, int]]) -> list[PlacedCamera]:
    """A Qualisys file; cameras in the order of their names."""
    cameras = ElementTree.parse(path).getroot().findall("cameras/camera")
    ordered = sorted(cameras, key=lambda camera: str(camera.get("serial")))
    return [_placed(camera, size) for camera, size in zip(ordered, sizes, strict=True)]


def _placed(element: ElementTree.Element, size: tuple[int, int]) -> PlacedCamera:
    inside, pose = element.find("intrinsic"), element.find("transform")
    assert inside is not None
    assert pose is not None

    def number(of: ElementTree.Element, name: str) -> float:
        return float(of.get(name, "nan"))

    fx, fy, cx, cy = (
        number(inside, name) / _SUBPIXELS for name in ("focalLengthU", "focalLengthV", "centerPointU", "centerPointV")
    )
    turn = np.array([[number(pose, f"r{row}{column}") for column in (1, 2, 3)] for row in (1, 2, 3)])
    # Qualisys' cameras look along -z with y up.
    rotation = np.diag([1.0, -1.0, -1.0]) @ turn
    place = np.array([number(pose, axis) for axis in "xyz"]) / 1000
    camera = Camera(fx=fx, fy=fy, cx=cx, cy=cy, width=size[0], height=size[1])
    return PlacedCamera(camera, rotation, -rotation @ place)


def triangulate(
    cameras: list[PlacedCamera], pixels: NDArray[np.float64], confident: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """(C, J, 2) and (C, J) -> (J, 3) meters in the world, NaN where views are few or disagree.

    The direct linear transform (Hartley and Zisserman, Multiple View Geometry, 12.2).
    """
    points = np.full((pixels.shape[1], 3), np.nan)
    for joint in np.flatnonzero(confident.sum(axis=0) >= _VIEWS):
        views = np.flatnonzero(confident[:, joint])
        rows = []
        for view in views:
            placed = cameras[view]
            matrix = placed.camera.K @ np.column_stack([placed.rotation, placed.translation])
            u, v = rectify_pixels(placed.camera, pixels[view, joint])
            rows += [u * matrix[2] - matrix[0], v * matrix[2] - matrix[1]]
        scaled = np.array(rows) / np.linalg.norm(rows, axis=1, keepdims=True)
        solution = np.linalg.svd(scaled)[2][-1]
        point = solution[:3] / solution[3]
        off = [np.linalg.norm(_seen(cameras[view], point) - pixels[view, joint]) for view in views]
        points[joint] = point if np.mean(off) < _AGREE else np.nan
    return points


def _seen(placed: PlacedCamera, point: NDArray[np.float64]) -> NDArray[np.float64]:
    return project(placed.camera, placed.rotation @ point + placed.translation)


def demo_folder(given: Path | None, scratch: Path) -> Path | None:
    """The demo within a wheel, a folder, or the installed package."""
    if given is not None and given.suffix == ".whl" and given.is_file():
        with zipfile.ZipFile(given) as wheel:
            wheel.extractall(scratch, [name for name in wheel.namelist() if name.startswith(DEMO)])
        return scratch / DEMO
    candidates = [given, given and given / DEMO, *(Path(path) / DEMO for path in sys.path)]
    return next((path for path in candidates if path and (path / "videos").is_dir()), None)


def read_views(folder: Path, frames: int) -> list[list[NDArray[np.uint8]]]:
    """For each camera some images, evenly spread over the video."""
    views = []
    for path in sorted((folder / "videos").glob("*.mp4")):
        video = cv2.VideoCapture(str(path))
        wanted = set(np.linspace(0, video.get(cv2.CAP_PROP_FRAME_COUNT) - 1, frames).astype(int).tolist())
        images = []
        for number in range(max(wanted) + 1):
            got, image = video.read()
            if got and number in wanted:
                images.append(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8))
        views.append(images)
    return views


def main() -> int:
    """Detect, triangulate, lift, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demo", type=Path, nargs="?", help="pose2sim's wheel, or the folder of its demo")
    parser.add_argument("--frames", type=int, default=20, help="of each camera")
    parser.add_argument("--lifter", type=Path, help="weights (default: the package's)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = demo_folder(given.demo, Path(scratch))
        if folder is None:
            print("skipped: no pose2sim demo; 'pip download pose2sim==0.10.49 --no-deps' and name the wheel")
            return 0
        views = read_views(folder, given.frames)
        sizes = [(images[0].shape[1], images[0].shape[0]) for images in views]
        cameras = read_calibration(next((folder / "calibration").glob("*.qca.txt")), sizes)
    detector = load_movenet(threads=1)
    seen = [[_best(detector, image) for image in images] for images in tqdm(views, unit="camera")]
    print("| 2D | poses | MPJPE | PA-MPJPE | distance |\n|---|---|---|---|---|")
    for name, refine in (("MoveNet", False), ("refined", True)):
        print(_row(name, load_lifter(given.lifter, refine=refine), cameras, seen))
    return 0


def _best(detector: KeypointDetector, image: NDArray[np.uint8]) -> Keypoints2D:
    """The surest person."""
    people = select_people(detector(image), image.shape[1], image.shape[0], DetectionConfig())
    return people.select(np.arange(len(people)) < 1)


def _row(name: str, lifter: Lifter, cameras: list[PlacedCamera], seen: list[list[Keypoints2D]]) -> str:
    lifted, ground_truth = [], []
    for frame in range(len(seen[0])):
        shown = [people[frame] for people in seen]
        pixels = np.stack([s.pixels[0] if len(s) else np.zeros((17, 2)) for s in shown]).astype(np.float64)
        confident = np.stack([s.confidences[0] >= _SURE if len(s) else np.zeros(17, bool) for s in shown])
        world = triangulate(cameras, pixels, confident)
        for placed, keypoints in zip(cameras, shown, strict=True):
            skeletons = lifter.lift(keypoints, placed.camera)
            if len(skeletons):
                points = world @ placed.rotation.T + placed.translation
                ground_truth.append(convert_joints(points, COCO17, ITOP15)[0])
                lifted.append(skeletons.positions[0])
    found, true = np.array(lifted, np.float64), np.array(ground_truth)
    distance = np.abs(found[:, _HIPS, 2].mean(axis=1) - true[:, _HIPS, 2].mean(axis=1))
    relative = [poses - poses[:, _HIPS].mean(axis=1, keepdims=True) for poses in (found, true)]
    error = np.nanmean(joint_errors(relative[0], relative[1]))
    figures = f"{1e3 * error:.1f} mm | {1e3 * pa_mpjpe(found, true):.1f} mm | {np.nanmedian(distance):.2f} m"
    return f"| {name} | {np.isfinite(relative[1]).any(axis=(1, 2)).sum()} | {figures} |"


if __name__ == "__main__":
    sys.exit(main())
