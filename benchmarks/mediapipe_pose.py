"""How long MediaPipe's pose network takes, with the depth under its landmarks read: one person, CPU.

MediaPipe needs NumPy 1, so it is measured in an environment of its own, on frames that this one writes:

    python benchmarks/mediapipe_pose.py --write frames.npz
    python -m venv ENVIRONMENT && ENVIRONMENT/bin/pip install mediapipe==0.10.14
    ENVIRONMENT/bin/python benchmarks/mediapipe_pose.py frames.npz

The package of that version holds the network "full"; later ones hold none. MediaPipe takes as many threads as it likes,
and follows the person from image to image, so that its person detector hardly ever runs.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

_SIZE, _FRAMES, _WARM_UP = (640, 480), 60, 10
#: Half of the side in pixels of the patch in which depth is read.
_PATCH = 3


def main() -> None:
    """Write frames, or measure on them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frames", type=Path, help="file of frames (.npz)")
    parser.add_argument("--write", action="store_true", help="render the frames")
    options = parser.parse_args()
    if options.write:
        write(options.frames)
    else:
        measure(options.frames)


def write(path: Path) -> None:
    """Frames of one rendered person, as ``unipose benchmark`` has them."""
    from unipose_training.evaluation.speed.stages import crowd_frames, to_and_fro

    frames = crowd_frames(1, *_SIZE, 8)
    chosen = [frames[to_and_fro(number, len(frames) - 1)] for number in range(_FRAMES)]
    np.savez(path, color=np.stack([each.color for each in chosen]), depth=np.stack([each.depth for each in chosen]))


def measure(path: Path) -> None:
    """Print medians and 95th percentiles in milliseconds."""
    import mediapipe

    with np.load(path) as stored:
        color, depth = stored["color"], stored["depth"]
    passed, worked, found = [], [], 0
    with mediapipe.solutions.pose.Pose(model_complexity=1) as pose:
        for image, meters in zip(color, depth):  # noqa: B905  # of one file
            began, work = time.perf_counter(), time.process_time()
            landmarks = pose.process(image).pose_landmarks
            found += landmarks is not None and len(lifted(landmarks.landmark, meters)) > 0
            passed.append(1e3 * (time.perf_counter() - began))
            worked.append(1e3 * (time.process_time() - work))
    p50, p95 = np.percentile(passed[_WARM_UP:], [50, 95])
    cpu = np.median(worked[_WARM_UP:])
    print(f"MediaPipe {mediapipe.__version__}, full: {p50:.1f} / {p95:.1f} ms, CPU {cpu:.1f}; found in {found} frames")


def lifted(landmarks: object, depth: np.ndarray) -> list[tuple[float, float, float]]:
    """Pixel and median depth around it, of all landmarks within the image."""
    height, width = depth.shape
    result = []
    for landmark in landmarks:  # type: ignore[attr-defined]
        u, v = round(landmark.x * width), round(landmark.y * height)
        patch = depth[max(v - _PATCH, 0) : max(v + _PATCH + 1, 0), max(u - _PATCH, 0) : max(u + _PATCH + 1, 0)]
        readings = patch[patch > 0]
        if readings.size:
            result.append((u, v, float(np.median(readings))))
    return result


if __name__ == "__main__":
    main()
