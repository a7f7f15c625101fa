"""Synthetic depth beside real depth: noise by distance, steps, missing pixels; an image of each sensor.

    python benchmarks/sensor_statistics.py --clothes CLOTHES --image docs/images/sensors.png
    python benchmarks/sensor_statistics.py --clothes CLOTHES --real kinect_v1=DEPTH.png

``--real`` names 16-bit millimeter PNGs (or .npy, .mat of meters) of a real camera, of which the same
figures are printed. The scenes are fixed: a person at 1 m before a wall at 2.6 m, three people at 1.8
to 3.2 m in a room of 5.2 m.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.images import write_image
from unipose_training.datasets.matlab import read_mat
from unipose_training.synthetic.bank.people import draw_person
from unipose_training.synthetic.lighting import Lamp, Lighting
from unipose_training.synthetic.perform import Sources
from unipose_training.synthetic.photograph import photograph
from unipose_training.synthetic.record import default_motions
from unipose_training.synthetic.variety.cameras import KINDS, CameraPlan
from unipose_training.synthetic.variety.furniture import RoomPlan
from unipose_training.synthetic.variety.plans import ClipPlan, Posed, Role
from unipose_training.synthetic.variety.postures import draw_posture
from unipose_training.synthetic.variety.split import TRAINING

Image = NDArray[np.float32]
BANDS = ((0.5, 1.2), (1.2, 2.0), (2.0, 3.0), (3.0, 4.0), (4.0, 6.0))
WINDOW = 13


def scene(camera: str, near: bool) -> ClipPlan:
    """A person close before a wall, or three people in a room."""
    kind, rng = KINDS[camera], np.random.default_rng(5)
    held = CameraPlan(
        camera, (kind.focal, kind.focal, kind.width / 2, kind.height / 2), 1.4 if near else 1.1, 0.0, 0.03
    )
    places = [(0.0, 1.05, 0.2)] if near else [(0.1, 2.4, 0.8), (0.75, 3.2, -0.2), (-0.9, 1.8, 0.0)]
    roles = []
    for number, (x, y, heading) in enumerate(places):
        postures = (draw_posture(rng, "standing"), draw_posture(rng, "gesturing"))
        roles.append(
            Role("abcde"[number] * 5, draw_person(number, 9, TRAINING.wardrobe), Posed(postures), x, y, heading)
        )
    room = RoomPlan("office", 2.6, 2.6, 2.65 if near else 5.2, 2.8, 3)
    lighting = Lighting((Lamp((0.3, 1.0, 2.6), 0.3, 3.0),), samples=1)
    return ClipPlan("scene", 1, "single", held, room, lighting, 0.5, tuple(roles), 2, 5.0)


def noise_by_distance(depth: Image) -> dict[tuple[float, float], float]:
    """Millimeters of standard deviation about a plane, in windows where a plane fits; median of each band."""
    v, u = np.mgrid[:WINDOW, :WINDOW] - WINDOW // 2
    plane = np.stack([u.ravel(), v.ravel(), np.ones(WINDOW**2)], axis=1)
    inverse, rng, found = np.linalg.pinv(plane), np.random.default_rng(0), []
    for _ in range(8000):
        row, column = rng.integers(0, depth.shape[0] - WINDOW), rng.integers(0, depth.shape[1] - WINDOW)
        patch = depth[row : row + WINDOW, column : column + WINDOW].ravel().astype(np.float64)
        if patch.min() <= 0 or np.ptp(patch) > 0.25 * patch.mean():
            continue
        fit = inverse @ patch
        if np.hypot(fit[0], fit[1]) < 0.004 * patch.mean():
            found.append((patch.mean(), 1000 * (patch - plane @ fit).std()))
    table = np.array(found).reshape(-1, 2)
    inside = {band: table[(table[:, 0] >= band[0]) & (table[:, 0] < band[1]), 1] for band in BANDS}
    return {band: float(np.median(values)) for band, values in inside.items() if len(values) > 15}


def step_mm(depth: Image) -> str:
    """Distance between neighboring values, where depth is about as far as its median of the far half."""
    known = depth[depth > 0]
    middle = float(np.median(known[known > np.median(known)]))
    values = np.unique(np.round(known[np.abs(known - middle) < 0.1], 3))
    return f"{1000 * np.median(np.diff(values)):.0f} at {middle:.1f} m" if len(values) > 2 else "-"


def row(name: str, depth: Image) -> str:
    """A line of the table."""
    noise = noise_by_distance(depth)
    cells = [f"{noise[band]:.1f}" if band in noise else "-" for band in BANDS]
    return "| " + " | ".join([name, f"{(depth > 0).mean():.0%}", *cells, step_mm(depth)]) + " |"


def read(path: Path) -> Image:
    """Meters, 0 for nothing."""
    if path.suffix == ".mat":
        return np.asarray(read_mat(path)["depth"], np.float32)
    raw = np.load(path) if path.suffix == ".npy" else cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return (raw / (1000 if raw.dtype == np.uint16 else 1)).astype(np.float32)


def painted(depth: Image, height: int = 300) -> NDArray[np.uint8]:
    """Near red, far blue, nothing black."""
    low, high = np.percentile(depth[depth > 0], [1, 99])
    share = np.clip((depth - low) / (high - low), 0, 1)
    image = cv2.applyColorMap((255 * (1 - share)).astype(np.uint8), cv2.COLORMAP_TURBO)
    image[depth <= 0] = 0
    size = (round(depth.shape[1] * height / depth.shape[0]), height)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def main() -> None:
    """Render, measure, print, paint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--motions", type=Path)
    parser.add_argument("--clothes", type=Path)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--real", nargs="*", default=[], metavar="NAME=FILE")
    given = parser.parse_args()
    sources = Sources(given.motions or default_motions(), given.clothes)
    print("| depth | measured | " + " | ".join(f"{low:g}-{high:g} m" for low, high in BANDS) + " | step, mm |")
    print("|---" * (len(BANDS) + 3) + "|")
    for name, _, file in (real.partition("=") for real in given.real):
        print(row(f"real {name}", read(Path(file))))
    rows = []
    for near, cameras in ((True, ("kinect_v1", "d435", "kinect_v2")), (False, ("astra", "d455", "kinect_v2"))):
        shown = []
        for camera in cameras:
            depth = next(photograph(scene(camera, near), sources)).frame.depth
            assert depth is not None
            print(row(f"{camera}, {'close' if near else 'room'}", depth))
            shown.append(cv2.copyMakeBorder(painted(depth), 0, 6, 0, 6, cv2.BORDER_CONSTANT, value=(255, 255, 255)))
        rows.append(np.hstack(shown))
    if given.image:
        width = min(image.shape[1] for image in rows)
        write_image(given.image, np.vstack([image[:, :width] for image in rows])[..., ::-1])


if __name__ == "__main__":
    main()
