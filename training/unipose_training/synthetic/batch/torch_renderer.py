"""The batched renderer: plain torch, on the CPU or a GPU."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from unipose_training.synthetic.bank import BodyBank
from unipose_training.synthetic.bank.posing import PosedPeople, to_tensors
from unipose_training.synthetic.batch.boxes import draw_blocks, room_background
from unipose_training.synthetic.batch.interface import NOTHING, Rendered
from unipose_training.synthetic.batch.looks import looks_of
from unipose_training.synthetic.batch.scenes import Cameras, SceneBatch, posed
from unipose_training.synthetic.batch.shading import develop, painter
from unipose_training.synthetic.batch.triangles import draw_people
from unipose_training.synthetic.batch.zbuffer import ZBuffer
from unipose_training.synthetic.errors import SyntheticError
from unipose_training.synthetic.surfaces import ROOM


class TorchRenderer:
    """Renders scenes on one device.

    Memory is bounded by ``budget``: so many pixels of tiles are processed together, at about 100
    bytes each. What fits the cache is fastest on a CPU; a GPU wants millions.
    """

    def __init__(
        self,
        bank: BodyBank,
        device: torch.device | str = "cpu",
        samples: int = 1,
        budget: int | None = None,
        cull: bool = False,
    ) -> None:
        """Put a bank on the device.

        Args:
            samples: rays per pixel along each axis for color; depth has one, through the pixel's center.
            budget: pixels of tiles processed together.
            cull: leave out triangles that are seen from behind: a third faster. Of the pixels that show a
                person, less than 1 % show the inside of a garment or of hair, and then show what is behind it.

        Raises:
            SyntheticError: ``samples`` is not positive.
        """
        if samples < 1:
            raise SyntheticError(f"samples = {samples}: at least one ray goes through a pixel")
        self.device = torch.device(device)
        self._bank = to_tensors(bank, self.device)
        self._looks = looks_of([m for person in bank.people for m in person.materials]).to(self.device)
        self._samples, self._cull = samples, cull
        self._budget = budget or (1 << 18 if self.device.type == "cpu" else 1 << 24)

    @torch.no_grad()
    def render(self, scenes: SceneBatch, color: bool = False) -> Rendered:
        """Render a batch; see :class:`unipose_training.synthetic.batch.interface.Renderer`."""
        check_indices(scenes, len(self._bank.vertices), len(self._bank.rotations))
        scenes = scenes.to(self.device)
        people = posed(self._bank, scenes.people)
        depth, surface = self._draw(scenes, scenes.cameras, people)
        seen = depth < torch.inf
        owner = torch.where(seen, self._owners(scenes, surface), NOTHING).to(torch.int16)
        image = self._color(scenes, people, depth, surface) if color else None
        things = torch.where(seen, self._things(scenes, surface), -1).to(torch.int32)
        return Rendered(torch.where(seen, depth, 0.0), owner, image, people, things)

    def _things(self, scenes: SceneBatch, surface: Tensor) -> Tensor:
        """See :attr:`unipose_training.synthetic.batch.interface.Rendered.things`."""
        triangles, materials = self._bank.faces.shape[1], scenes.people.colors.shape[1]
        people = len(scenes.people) * triangles
        things = surface - people + len(scenes.people) * materials
        of_people = (surface < people).flatten().nonzero()[:, 0]
        person, triangle = surface.flatten()[of_people] // triangles, surface.flatten()[of_people] % triangles
        things.view(-1)[of_people] = person * materials + self._bank.look[scenes.people.bodies[person], triangle]
        return things

    def _draw(self, scenes: SceneBatch, cameras: Cameras, people: PosedPeople) -> tuple[Tensor, Tensor]:
        """Depth and surface number of all pixels; numbers go through people, blocks and rooms."""
        blocks = len(scenes.people) * self._bank.faces.shape[1]
        buffer = ZBuffer(room_background(cameras, scenes.rooms, blocks + len(scenes.blocks), self._budget))
        draw_blocks(buffer, cameras, scenes.blocks, blocks, self._budget)
        faces = self._bank.faces[scenes.people.bodies]
        draw_people(buffer, cameras, people.vertices, faces, scenes.people.frames, self._budget, self._cull)
        return buffer.read()

    def _owners(self, scenes: SceneBatch, surface: Tensor) -> Tensor:
        of_person = torch.cat([scenes.people.owners, scenes.people.owners.new_tensor([ROOM])])
        return of_person[(surface // self._bank.faces.shape[1]).clamp(max=len(scenes.people))]

    def _color(self, scenes: SceneBatch, people: PosedPeople, depth: Tensor, surface: Tensor) -> Tensor:
        if self._samples > 1:
            depth, surface = self._draw(scenes, _finer(scenes.cameras, self._samples), people)
        finer = SceneBatch(
            _finer(scenes.cameras, self._samples), scenes.rooms, scenes.blocks, scenes.people, scenes.lamps
        )
        light = painter(finer, self._bank, self._looks, people.vertices).paint(depth, surface, self._budget)
        if self._samples > 1:
            light = interpolate(light.permute(0, 3, 1, 2), scale_factor=1 / self._samples, mode="area").permute(
                0, 2, 3, 1
            )
        return develop(light, scenes.lamps.exposure)


def check_indices(scenes: SceneBatch, bodies: int, poses: int) -> None:
    """Refuse people that are not in the bank.

    Raises:
        SyntheticError: a body or a pose is not there.
    """
    for name, values, count in (("body", scenes.people.bodies, bodies), ("pose", scenes.people.poses, poses)):
        if len(values) and not 0 <= int(values.min()) <= int(values.max()) < count:
            raise SyntheticError(f"scenes: {name} {int(values.max())} is not in the bank of {count}")


def _finer(cameras: Cameras, samples: int) -> Cameras:
    """The same cameras with ``samples`` times as many pixels along each axis."""
    focal, center = torch.split(cameras.intrinsics, 2, dim=1)
    # Pixel centers are whole numbers, so the principal point moves by the half-pixel rule.
    intrinsics = torch.cat([focal * samples, (center + 0.5) * samples - 0.5], dim=1)
    return Cameras(cameras.width * samples, cameras.height * samples, intrinsics, cameras.positions, cameras.rotations)
