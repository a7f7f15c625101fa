"""A small bank, and scenes to measure in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from unipose_training.synthetic.bank import BodyBank, load_bank
from unipose_training.synthetic.batch.draw import DrawSettings, draw_scenes
from unipose_training.synthetic.batch.looks import looks_of
from unipose_training.synthetic.batch.scenes import Blocks, Cameras, Lamps, People, Rooms, SceneBatch
from unipose_training.synthetic.materials import Material

BANK = Path(__file__).resolve().parents[3] / "data" / "body_bank.npz"


@pytest.fixture(scope="session")
def bank_file() -> Path:
    return BANK


@pytest.fixture(scope="session")
def bank() -> BodyBank:
    return load_bank(BANK)


@pytest.fixture(
    params=["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU"))]
)
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def drawn(bank: BodyBank) -> SceneBatch:
    """Four random scenes with one to five people."""
    return draw_scenes(bank, DrawSettings(), seed=5, frames=4)


@pytest.fixture
def level_cameras() -> Cameras:
    """One camera 1 m above the floor that looks along +y, 161 x 121 pixels, principal point in the middle."""
    looking = torch.tensor([[[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]])
    return Cameras(161, 121, torch.tensor([[150.0, 150.0, 80.0, 60.0]]), torch.tensor([[0.0, 0.0, 1.0]]), looking)


@pytest.fixture
def scene(bank: BodyBank, level_cameras: Cameras) -> Callable[..., SceneBatch]:
    """A scene with people at given places (x, y), all in pose 0 and facing the camera, and blocks of given
    center, size and yaw; no room unless one is given."""

    def make(
        people: list[tuple[float, float]],
        blocks: list[tuple[tuple[float, ...], tuple[float, ...], float]] | None = None,
        bounds: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
    ) -> SceneBatch:
        count, boxes = len(people), blocks or []
        low, high = bounds or ((-torch.inf,) * 3, (torch.inf,) * 3)
        gray = Material((0.5, 0.5, 0.5))
        return SceneBatch(
            cameras=level_cameras,
            rooms=Rooms(torch.tensor([low]), torch.tensor([high]), looks_of([gray] * 3)),
            blocks=Blocks(
                torch.zeros(len(boxes), dtype=torch.int64),
                torch.tensor([box[0] for box in boxes]).reshape(-1, 3),
                torch.tensor([box[1] for box in boxes]).reshape(-1, 3),
                torch.tensor([box[2] for box in boxes]),
                looks_of([gray] * len(boxes)),
            ),
            people=People(
                frames=torch.zeros(count, dtype=torch.int64),
                owners=torch.arange(1, count + 1),
                bodies=torch.arange(count) % len(bank.people),
                poses=torch.zeros(count, dtype=torch.int64),
                places=torch.tensor([(*place, 0.0) for place in people]).reshape(-1, 3),
                headings=torch.zeros(count),
                colors=torch.stack(
                    [looks_of(bank.people[n % len(bank.people)].materials).colors for n in range(max(count, 1))]
                )[:count],
            ),
            lamps=Lamps(
                torch.tensor([[[0.0, 1.0, 2.5]]]),
                torch.tensor([[0.3]]),
                torch.tensor([[4.0]]),
                torch.tensor([0.3]),
                torch.tensor([1.8]),
            ),
        )

    return make


@pytest.fixture
def only_frame() -> Callable[[SceneBatch, int], SceneBatch]:
    """One scene of a batch."""

    def pick(scenes: SceneBatch, frame: int) -> SceneBatch:
        one = torch.tensor([frame])
        cameras = scenes.cameras
        blocks, people = scenes.blocks, scenes.people
        here, there = blocks.frames == frame, people.frames == frame
        return SceneBatch(
            replace(
                cameras,
                intrinsics=cameras.intrinsics[one],
                positions=cameras.positions[one],
                rotations=cameras.rotations[one],
            ),
            Rooms(scenes.rooms.low[one], scenes.rooms.high[one], scenes.rooms.looks[3 * frame + torch.arange(3)]),
            Blocks(
                torch.zeros_like(blocks.frames[here]),
                blocks.centers[here],
                blocks.sizes[here],
                blocks.yaws[here],
                blocks.looks[here],
            ),
            People(
                torch.zeros_like(people.frames[there]),
                people.owners[there],
                people.bodies[there],
                people.poses[there],
                people.places[there],
                people.headings[there],
                people.colors[there],
                *(None if values is None else values[there] for values in (people.turns, people.no_return)),
            ),
            Lamps(
                scenes.lamps.positions[one],
                scenes.lamps.radii[one],
                scenes.lamps.powers[one],
                scenes.lamps.ambient[one],
                scenes.lamps.exposure[one],
            ),
            scenes.seed,
        )

    return pick
