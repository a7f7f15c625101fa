"""Frames per second of the two batch renderers, and how far apart they are; the tables of docs/results/speed.md.

    python benchmarks/synthetic_renderers.py --bank people.npz --image renderers.jpg

A bank comes from ``python -m unipose_training.synthetic.bank``; without ``--bank`` the tests' small one is used.
On a machine with CUDA its GPU is measured as well.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from unipose_ros.images import write_image
from unipose_training.synthetic.bank import BodyBank, load_bank
from unipose_training.synthetic.batch.draw import DrawSettings, draw_scenes
from unipose_training.synthetic.batch.interface import Rendered, Renderer
from unipose_training.synthetic.batch.raycast_renderer import RaycastRenderer
from unipose_training.synthetic.batch.scenes import SceneBatch
from unipose_training.synthetic.batch.torch_renderer import TorchRenderer

BANK = Path(__file__).resolve().parents[1] / "test" / "data" / "body_bank.npz"
SIZES = ((160, 120), (320, 240), (640, 480))
SEED = 7


def frames_per_second(renderer: Renderer, scenes: SceneBatch, color: bool, seconds: float) -> str:
    """Frames per second that passes, and in brackets per second of CPU time of all threads together.

    The best of the repetitions that fit the time, at least two after the first: other programs only slow down.
    """
    renderer.render(scenes, color)
    passed, busy = [], []
    until = time.perf_counter() + seconds
    while len(passed) < 2 or time.perf_counter() < until:
        start = time.perf_counter(), time.process_time()
        rendered = renderer.render(scenes, color)
        if rendered.depth.is_cuda:
            torch.cuda.synchronize()
        passed.append(time.perf_counter() - start[0])
        busy.append(time.process_time() - start[1])
    return f"{len(scenes) / min(passed):.3g} ({len(scenes) / min(busy):.3g})"


def print_speeds(bank: BodyBank, batches: list[int], seconds: float) -> None:
    """One row per renderer and batch size, one column per image size without and with color."""
    renderers: dict[str, tuple[Renderer, list[int]]] = {"ray casting": (RaycastRenderer(bank, samples=1), [4])}
    for device in ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]:
        name = torch.cuda.get_device_name() if device == "cuda" else f"CPU, threads: {torch.get_num_threads()}"
        renderers[f"torch, {name}"] = (TorchRenderer(bank, device), batches)
    columns = [f"{width}x{height}{color}" for width, height in SIZES for color in ("", " color")]
    print(f"| renderer | batch | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 2)}")
    for name, (renderer, sizes) in renderers.items():
        for batch in sizes:
            speeds = []
            for width, height in SIZES:
                scenes = draw_scenes(bank, DrawSettings(width, height), SEED, batch)
                speeds += [frames_per_second(renderer, scenes, color, seconds) for color in (False, True)]
            print(f"| {name} | {batch} | {' | '.join(speeds)} |", flush=True)


def print_agreement(bank: BodyBank, frames: int) -> tuple[Rendered, Rendered]:
    """How far depth and owners are apart over all pixels and over those of people."""
    scenes = draw_scenes(bank, DrawSettings(), SEED, frames)
    made = TorchRenderer(bank, samples=2).render(scenes, color=True)
    cast = RaycastRenderer(bank).render(scenes, color=True)
    same = made.owner == cast.owner
    person = (made.owner > 0) | (cast.owner > 0)
    print("\n| pixels | number | same owner | median, mm | 99.9 %, mm | more than 1 mm |\n|---|---|---|---|---|---|")
    for name, where in (("all", torch.ones_like(person)), ("people's", person)):
        error = 1e3 * (made.depth - cast.depth)[where & same].abs().numpy()
        print(
            f"| {name} | {int(where.sum())} | {100 * float(same[where].float().mean()):.4f} % | {np.median(error):.5f}"
            f" | {np.percentile(error, 99.9):.4f} | {100 * (error > 1).mean():.4f} % |"
        )
    return made, cast


def save_image(path: Path, made: Rendered, cast: Rendered, frames: int = 3) -> None:
    """Color and depth of both, ray casting on the right of torch."""
    rows = []
    for frame in range(frames):
        tiles = [_bgr(image.color, frame) for image in (made, cast)]
        rows.append(np.hstack(tiles + [_false_colors(image.depth[frame].numpy()) for image in (made, cast)]))
    write_image(path, np.vstack(rows)[..., ::-1], cv2.IMWRITE_JPEG_QUALITY, 88)


def _bgr(color: torch.Tensor | None, frame: int) -> np.ndarray:
    assert color is not None
    return np.ascontiguousarray(color[frame].numpy()[..., ::-1])


def _false_colors(depth: np.ndarray) -> np.ndarray:
    return cv2.applyColorMap((255 * np.clip(depth / 7, 0, 1)).astype(np.uint8), cv2.COLORMAP_TURBO)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bank", type=Path, default=BANK)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=5.0, help="for each figure")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--frames", type=int, default=32, help="for the comparison")
    parser.add_argument("--image", type=Path, help="where to save images of both renderers")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    bank = load_bank(given.bank)
    triangles = sum(len(person.faces) for person in bank.people) / len(bank.people)
    print(f"{len(bank.people)} people of {triangles:.0f} triangles, {len(bank.poses)} poses\n")
    print_speeds(bank, given.batches, given.seconds)
    made, cast = print_agreement(bank, given.frames)
    if given.image:
        save_image(given.image, made, cast)


if __name__ == "__main__":
    main()
