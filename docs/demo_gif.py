"""Draws the animation of the README: modality ``points`` on the demo recording.

python docs/demo_gif.py docs/images/demo.gif
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from unipose_ros import BagReader, EstimatorConfig, NearestTracker, PoseEstimator, RgbdRecording
from unipose_ros.visualization.overlay import background, colorize_depth, draw_skeletons
from unipose_ros.visualization.view3d import point_of_view, render_scene, side_view

ROOT = Path(__file__).resolve().parents[1]
HEIGHT, STEP, COLORS = 240, 3, 64


def main(file: str) -> None:
    """Color, depth and the scene from the side, side by side; every third frame in real time."""
    estimator, tracker = PoseEstimator(EstimatorConfig(modality="points")), NearestTracker()
    with BagReader(ROOT / "demo" / "walk") as bag:
        frames = list(RgbdRecording(bag).frames())
    people = [tracker.update(estimator.estimate(frame)) for frame in frames]
    target, distance = point_of_view(people)
    panels = []
    for number, (frame, skeletons) in enumerate(zip(frames, people, strict=True)):
        if number % STEP:
            continue
        images = [background(frame), colorize_depth(frame.depth)]
        for image in images:
            draw_skeletons(image, skeletons, frame.camera, thickness=4)
        width = round(frame.camera.width * HEIGHT / frame.camera.height)
        small = [cv2.resize(image, (width, HEIGHT), interpolation=cv2.INTER_AREA) for image in images]
        view = side_view(target, distance, 0.55 + 0.4 * number / len(frames), 0.3, HEIGHT, HEIGHT)
        panels.append(Image.fromarray(np.hstack([*small, render_scene(frame, skeletons, view, thickness=2)])))
    # One palette for all frames, from three of them: colors do not flicker and the file stays small.
    sheet = Image.fromarray(np.vstack([np.asarray(panels[i]) for i in (0, len(panels) // 2, -1)]))
    palette = sheet.quantize(COLORS, method=Image.Quantize.MEDIANCUT)
    flat = [panel.quantize(palette=palette, dither=Image.Dither.NONE) for panel in panels]
    seconds = (frames[-1].stamp_ns - frames[0].stamp_ns) / 1e9 / (len(frames) - 1)
    flat[0].save(
        file, save_all=True, append_images=flat[1:], duration=round(1000 * STEP * seconds), loop=0, optimize=True
    )


if __name__ == "__main__":
    main(sys.argv[1])
