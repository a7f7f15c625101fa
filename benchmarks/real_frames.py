"""How a modality does on frames of real people, without truth; prints a table of docs/results/accuracy.md.

    python benchmarks/real_frames.py --data FOLDER --modality points --images OUT

FOLDER holds the user's copies: ``lmb_rgbd_pose3d`` (color.png and depth.png of github.com/lmb-freiburg/
rgbd-pose3d), ``uva_person`` (a sequence of NNNNNNNNNN.jpg and NNNNNNNNNN_depth.png) and
``depth_frames/dih_kinect2_3people.npy`` (idiap/fast_pose_machines). What is absent is left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from unipose_ros.detection import DetectionConfig, select_people
from unipose_ros.detection.movenet import load_movenet
from unipose_ros.estimator import MODALITIES, EstimatorConfig, EstimatorError, PoseEstimator, build_estimator
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.image_files import write_image
from unipose_ros.keypoints import KeypointDetector, Keypoints2D
from unipose_ros.visualization.overlay import background, colorize_depth, draw_skeletons
from unipose_training.datasets.real_frames import READERS
from unipose_training.evaluation.metrics.reference_free import IN_FRONT, FrameChecks, check_frame

#: Scene: reader, place in the folder, people.
SCENES = {
    "lmb": ("lmb", "lmb_rgbd_pose3d", 4),
    "dih": ("dih", "depth_frames/dih_kinect2_3people.npy", 3),
    "uva": ("uva", "uva_person", 1),
}
#: A keypoint that the 2D network is so sure of is compared with.
CONFIDENT = 0.3


@dataclass(frozen=True)
class Row:
    """One frame of a scene."""

    scene: str
    found: int
    people: int
    checks: FrameChecks


def frames_of(scene: str, data: Path) -> Iterator[RgbdFrame]:
    """The scene's frames; a single one once. Nothing where the copy is absent."""
    reader, place, _ = SCENES[scene]
    source = data / place
    if source.exists():
        yield from READERS[reader](source, 15.0, 0 if reader == "uva" else 1)


def judge(scene: str, frame: RgbdFrame, skeletons: Skeletons, detector: KeypointDetector) -> Row:
    """Found people against the surface, and against the 2D network where there is color."""
    keypoints = _confident(frame, detector) if frame.color is not None else None
    return Row(scene, len(skeletons), SCENES[scene][2], check_frame(frame, skeletons, keypoints))


def _confident(frame: RgbdFrame, detector: KeypointDetector) -> Keypoints2D:
    assert frame.color is not None
    people = select_people(detector(frame.color), frame.camera.width, frame.camera.height, DetectionConfig())
    sure = people.confidences >= CONFIDENT
    return Keypoints2D(
        np.where(sure[..., None], people.pixels, np.nan).astype(np.float32),
        people.confidences,
        people.scores,
        people.boxes,
    )


def draw(frame: RgbdFrame, skeletons: Skeletons, path: Path) -> None:
    """Skeletons on the frame; where there is color, on the depth beside it, too."""
    images = [draw_skeletons(background(frame), skeletons, frame.camera)]
    if frame.color is not None and frame.depth is not None:
        images.append(draw_skeletons(colorize_depth(frame.depth), skeletons, frame.camera))
    image = np.concatenate(images, axis=1)
    shrunk = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    write_image(path, shrunk)


def table(rows: Sequence[Row]) -> str:
    """One line per scene, in Markdown."""
    lines = ["| scene | frames | people found | reprojection, % of height | joints in front of the surface, % |"]
    lines += ["|---|---|---|---|---|"]
    for scene in dict.fromkeys(row.scene for row in rows):
        of_scene = [row for row in rows if row.scene == scene]
        apart = 100 * np.concatenate([row.checks.reprojection[:, 1] for row in of_scene])
        gaps = np.concatenate([row.checks.gaps for row in of_scene])
        found, people = sum(row.found for row in of_scene), sum(row.people for row in of_scene)
        median = f"{np.median(apart):.2f}" if len(apart) else "no color"
        before = f"{100 * np.mean(gaps > IN_FRONT):.1f}" if len(gaps) else "-"
        lines.append(f"| {scene} | {len(of_scene)} | {found} of {people} | {median} | {before} |")
    return "\n".join(lines)


def run(data: Path, estimator: PoseEstimator, detector: KeypointDetector, images: Path | None) -> list[Row]:
    """All scenes that are there and that the modality can look at."""
    rows = []
    for scene in SCENES:
        for number, frame in enumerate(frames_of(scene, data)):
            estimator.reset()
            try:
                skeletons = estimator.estimate(frame)
            except EstimatorError as error:
                print(f"{scene}: left out, {error}")
                break
            rows.append(judge(scene, frame, skeletons, detector))
            if images is not None:
                draw(frame, skeletons, images / f"{scene}_{number:02d}_{estimator.modality}.png")
    return rows


def main() -> None:
    """Print the table of one modality."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the user's copies")
    parser.add_argument("--modality", choices=sorted(MODALITIES), default="points")
    parser.add_argument("--images", type=Path, help="folder for images of all frames")
    given = parser.parse_args()
    with closing(build_estimator(EstimatorConfig(modality=given.modality))) as estimator:
        rows = run(given.data, estimator, load_movenet(), given.images)
    print(table(rows))


if __name__ == "__main__":
    main()
