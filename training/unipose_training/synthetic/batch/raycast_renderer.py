"""The reference renderer: open3d's ray casting, frame by frame, with soft shadows."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from unipose_training.synthetic.bank import BodyBank
from unipose_training.synthetic.bank.posing import PosedPeople, to_tensors
from unipose_training.synthetic.batch.interface import Rendered
from unipose_training.synthetic.batch.looks import Looks, looks_of
from unipose_training.synthetic.batch.scenes import CEILING, FLOOR, WALL, SceneBatch, posed
from unipose_training.synthetic.batch.torch_renderer import check_indices
from unipose_training.synthetic.lighting import Lamp, Lighting, render_color
from unipose_training.synthetic.materials import Material, Surface, box
from unipose_training.synthetic.renderer import Scene, render_depth


class RaycastRenderer:
    """Renders scenes one by one on the CPU."""

    def __init__(self, bank: BodyBank, samples: int = 2, noise: float = 0.0) -> None:
        """Keep a bank.

        Args:
            samples: rays per pixel along each axis for color.
            noise: of the color image, standard deviation in 8-bit steps.
        """
        self._bank = bank
        self._tensors = to_tensors(bank)
        self._samples, self._noise = samples, noise

    def render(self, scenes: SceneBatch, color: bool = False) -> Rendered:
        """Render a batch; see :class:`unipose_training.synthetic.batch.interface.Renderer`."""
        check_indices(scenes, len(self._bank.people), len(self._bank.poses))
        scenes = scenes.to("cpu")
        people = posed(self._tensors, scenes.people)
        depths, owners, images = [], [], []
        for frame in range(len(scenes)):
            scene = Scene([*_room(scenes, frame), *_blocks(scenes, frame), *self._people(scenes, people, frame)])
            depth, owner = render_depth(scene, scenes.cameras.camera(frame), scenes.cameras.view(frame))
            depths.append(torch.from_numpy(depth))
            owners.append(torch.from_numpy(owner.astype(np.int16)))
            if color:
                images.append(torch.from_numpy(self._image(scenes, scene, frame)))
        return Rendered(torch.stack(depths), torch.stack(owners), torch.stack(images) if color else None, people)

    def _people(self, scenes: SceneBatch, people: PosedPeople, frame: int) -> list[Surface]:
        surfaces = []
        for number in (scenes.people.frames == frame).nonzero()[:, 0].tolist():
            person = self._bank.people[int(scenes.people.bodies[number])]
            worn = looks_of(person.materials)
            dyed = Looks(scenes.people.colors[number], worn.pattern, worn.sizes, worn.marks)
            vertices = people.vertices[number, : len(person.vertices)].double().numpy()
            owner = int(scenes.people.owners[number])
            texture = person.vertices.astype(np.float64)
            surfaces.append(Surface(vertices, person.faces, texture, dyed.materials(), person.look, owner))
        return surfaces

    def _image(self, scenes: SceneBatch, scene: Scene, frame: int) -> NDArray[np.uint8]:
        lamps = scenes.lamps
        table = torch.cat([lamps.positions[frame], lamps.radii[frame, :, None], lamps.powers[frame, :, None]], dim=1)
        lighting = Lighting(
            lamps=tuple(Lamp((x, y, z), radius, power) for x, y, z, radius, power in table.tolist()),
            ambient=float(lamps.ambient[frame]),
            exposure=float(lamps.exposure[frame]),
            noise=self._noise,
            samples=self._samples,
        )
        rng = np.random.default_rng((scenes.seed, frame))
        return render_color(scene, scenes.cameras.camera(frame), scenes.cameras.view(frame), lighting, rng)


def _room(scenes: SceneBatch, frame: int) -> list[Surface]:
    """Floor, ceiling and walls, as far as there are any."""
    low, high = scenes.rooms.low[frame].double().numpy(), scenes.rooms.high[frame].double().numpy()
    looks = scenes.rooms.looks[torch.arange(3) + 3 * frame].materials()
    sides = []
    for axis in range(3):
        for end, flat in ((low, FLOOR), (high, CEILING)):
            if np.isfinite(end[axis]):
                sides.append(_side(low, high, axis, end[axis], looks[flat if axis == 2 else WALL]))
    return sides


#: Meters: an unbounded floor ends here.
_FAR = 1000.0


def _side(low: NDArray[np.float64], high: NDArray[np.float64], axis: int, at: float, material: Material) -> Surface:
    first, second = (axis + 1) % 3, (axis + 2) % 3
    low, high = np.clip(low, -_FAR, _FAR), np.clip(high, -_FAR, _FAR)
    corners = np.empty((4, 3))
    corners[:, axis] = at
    corners[:, first] = low[first], high[first], high[first], low[first]
    corners[:, second] = low[second], low[second], high[second], high[second]
    return Surface(corners, np.array([[0, 1, 2], [0, 2, 3]]), corners, (material,), np.zeros(2, np.int64))


def _blocks(scenes: SceneBatch, frame: int) -> list[Surface]:
    blocks = scenes.blocks
    chosen = (blocks.frames == frame).nonzero()[:, 0]
    looks = blocks.looks[chosen].materials()
    numbers = zip(
        blocks.centers[chosen].tolist(), blocks.sizes[chosen].tolist(), looks, blocks.yaws[chosen], strict=True
    )
    return [box(center, size, look, float(yaw)) for center, size, look, yaw in numbers]
