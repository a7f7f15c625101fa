"""How long MoveNet takes and how right it is; prints the tables of docs/results/speed.md.

    python benchmarks/keypoints_2d.py
    python benchmarks/keypoints_2d.py --photos shared/data/coco_photos

Times need no data but the weights (``unipose download movenet``). ``--photos`` names a folder with
``test_coco.json`` and its images.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from unipose_ros.backends import BACKENDS
from unipose_ros.detection.movenet import MoveNet, load_movenet
from unipose_ros.geometry.crop import Letterbox
from unipose_ros.networks.movenet.decode import SIZE_MULTIPLE
from unipose_training.evaluation.protocols.coco import best_oks

IMAGE = Path(__file__).resolve().parents[1] / "test" / "data" / "movenet_people.png"
WARM_UP = 10


def test_frame(width: int, height: int) -> np.ndarray:
    """Two rendered people in the middle of a gray image."""
    side = min(width, height)
    people = cv2.resize(cv2.imread(str(IMAGE)), (side, side))
    canvas = np.full((height, width, 3), 128, np.uint8)
    top, left = (height - side) // 2, (width - side) // 2
    canvas[top : top + side, left : left + side] = people[..., ::-1]
    return canvas


def milliseconds(call: Callable[[], object], repetitions: int) -> str:
    """Median / 95th percentile of the time that passes, and the mean of the CPU time of all threads."""
    for _ in range(WARM_UP):
        call()
    durations = []
    busy = time.process_time()
    for _ in range(repetitions):
        start = time.perf_counter()
        call()
        durations.append((time.perf_counter() - start) * 1e3)
    busy = (time.process_time() - busy) * 1e3 / repetitions
    return f"{np.median(durations):.1f} / {np.percentile(durations, 95):.1f} ({busy:.1f})"


def print_times(threads: list[int], device: str, repetitions: int) -> None:
    """One row per backend and number of threads, for a 640x480 image with two people."""
    image = test_frame(640, 480)
    print("| backend | letterbox | network | decode |\n|---|---|---|---|")
    for backend in BACKENDS:
        if find_spec("onnxruntime" if backend == "onnx" else backend) is None:
            continue
        for count in threads:
            movenet = load_movenet(backend, device, count)
            letterbox = Letterbox.fit(640, 480, movenet.long_side, SIZE_MULTIPLE)
            given = letterbox.apply(image)[None]
            maps = movenet.run(given)
            stages: list[Callable[[], object]] = [
                lambda box=letterbox: box.apply(image),
                lambda net=movenet, x=given: net.run(x),
                lambda net=movenet, y=maps, box=letterbox: net.decode(y, box),
            ]
            times = " | ".join(milliseconds(stage, repetitions) for stage in stages)
            print(f"| {movenet.run.description} | {times} |")


def similarities(movenet: MoveNet, folder: Path) -> list[float]:
    """OKS of every person with at least 5 annotated keypoints."""
    ground_truth = json.loads((folder / "test_coco.json").read_text(encoding="utf-8"))
    found: list[float] = []
    for image in ground_truth["images"]:
        people = [a for a in ground_truth["annotations"] if a["image_id"] == image["id"] and a["num_keypoints"] >= 5]
        photo = cv2.cvtColor(cv2.imread(str(folder / image["file_name"])), cv2.COLOR_BGR2RGB)
        annotated = np.array([a["keypoints"] for a in people], float).reshape(-1, 17, 3)
        found.extend(best_oks(annotated, [a["area"] for a in people], movenet(photo).pixels))
    return found


def print_accuracy(folder: Path, backend: str, device: str) -> None:
    """One row per size of the network's image."""
    movenet = load_movenet(backend, device)
    print("| long side | mean OKS | least OKS | people |\n|---|---|---|---|")
    for long_side in (256, 320, 384, 448, 512):
        found = similarities(MoveNet(movenet.run, movenet.config, long_side), folder)
        print(f"| {long_side} | {np.mean(found):.3f} | {np.min(found):.3f} | {len(found)} |")


def main() -> None:
    """Read the arguments and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of CPU threads to try")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="cpu")
    parser.add_argument("--backend", choices=["auto", *BACKENDS], default="auto", help="of the accuracy")
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--photos", type=Path, help="folder with test_coco.json: print accuracy as well")
    options = parser.parse_args()
    print_times(options.threads, options.device, options.repetitions)
    if options.photos:
        print()
        print_accuracy(options.photos, options.backend, options.device)


if __name__ == "__main__":
    main()
