"""The batched renderer: plain torch, on the CPU or a GPU.

It stands beside the ray casting of :mod:`unipose_training.synthetic.photograph`, whose rules of light and of visible
joints it takes, since training needs thousands of images a minute on any device, while UniPose-Synth and the demo are
frozen to the bit in what open3d's rays, NumPy's random numbers and OpenCV's filters give; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from unipose_training.errors import SyntheticError
from unipose_training.synthetic.bank import BodyBank
from unipose_training.synthetic.bank.posing import BankTensors, PosedPeople, to_tensors
from unipose_training.synthetic.batch.interface import NOTHING, Rendered
from unipose_training.synthetic.batch.looks import Looks, joined, looks_of, shade
from unipose_training.synthetic.batch.scenes import WALL, Cameras, Lamps, SceneBatch, posed
from unipose_training.synthetic.batch.triangles import (
    ZBuffer,
    block_turns,
    draw_blocks,
    draw_people,
    ray_maps,
    room_background,
)
from unipose_training.synthetic.lighting import GAMMA, ambient_light
from unipose_training.synthetic.materials import ROOM


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


# Color of every pixel from the z-buffer: matt surfaces in the light of lamps, without shadows.


@dataclass(frozen=True, eq=False)
class Surfels:
    """What P pixels show.

    Attributes:
        look: (P,) row of the looks.
        texture: (P, 3) meters, the surface's own coordinates.
        normals: (P, 3) unit, on either side.
    """

    look: Tensor
    texture: Tensor
    normals: Tensor


@dataclass(frozen=True, eq=False)
class Painter:
    """Colors pixels of one batch.

    Attributes:
        looks: of the rooms, then of the blocks, then of the people.
        vertices, normals: (N, V, 3) of the people, world.
    """

    scenes: SceneBatch
    bank: BankTensors
    looks: Looks
    vertices: Tensor
    normals: Tensor

    def paint(self, depth: Tensor, surface: Tensor, budget: int) -> Tensor:
        """(F, H, W) depths and surface numbers -> (F, H, W, 3) linear light, 0 where there is nothing.

        Args:
            budget: pixels that may be colored together.
        """
        flat, surfaces = depth.flatten(), surface.flatten()
        image = flat.new_zeros(len(flat), 3)
        for pixel in torch.split((flat < torch.inf).nonzero()[:, 0], budget):
            image[pixel] = self._light(pixel, flat[pixel], surfaces[pixel])
        return image.view(*depth.shape, 3)

    def _light(self, pixel: Tensor, depth: Tensor, surface: Tensor) -> Tensor:
        """(P, 3) linear light of single pixels, numbered through the batch."""
        cameras = self.scenes.cameras
        frame = pixel // (cameras.height * cameras.width)
        row = pixel // cameras.width % cameras.height
        place = torch.stack([pixel % cameras.width, row, torch.ones_like(pixel)], dim=-1).float()
        rays = (ray_maps(cameras)[frame] @ place[..., None])[..., 0]
        points = cameras.positions[frame] + depth[:, None] * rays
        surfels = self._surfels(surface, frame, points)
        back = (surfels.normals * rays).sum(dim=1, keepdim=True) > 0
        normals = torch.where(back, -surfels.normals, surfels.normals)
        reflected = shade(self.looks, surfels.look, surfels.texture)
        return reflected * _irradiance(self.scenes.lamps, frame, points, normals)

    def _surfels(self, surface: Tensor, frame: Tensor, points: Tensor) -> Surfels:
        """Those of people, blocks and rooms are found apart and put together again."""
        people, triangles = len(self.scenes.people), self.bank.faces.shape[1]
        blocks = people * triangles + len(self.scenes.blocks)
        look = torch.empty_like(surface)
        texture, normals = torch.empty_like(points), torch.empty_like(points)
        kinds = (
            (surface < people * triangles, self._of_people),
            ((surface >= people * triangles) & (surface < blocks), self._of_blocks),
            (surface >= blocks, self._of_rooms),
        )
        for chosen, find in kinds:
            here = chosen.nonzero()[:, 0]
            found = find(surface[here], frame[here], points[here])
            look[here], texture[here], normals[here] = found.look, found.texture, found.normals
        return Surfels(look, texture, normals)

    def _of_people(self, surface: Tensor, _frame: Tensor, points: Tensor) -> Surfels:
        triangles = self.bank.faces.shape[1]
        person, triangle = surface // triangles, surface % triangles
        body = self.scenes.people.bodies[person]
        corners = self.bank.faces[body, triangle]
        weights = _barycentric(self.vertices[person[:, None], corners], points)
        texture = (weights[..., None] * self.bank.vertices[body[:, None], corners]).sum(dim=1)
        normals = (weights[..., None] * self.normals[person[:, None], corners]).sum(dim=1)
        own = self.scenes.people.colors.shape[1]
        first = len(self.scenes.rooms.looks) + len(self.scenes.blocks)
        look = first + person * own + self.bank.look[body, triangle]
        return Surfels(look, texture, torch.nn.functional.normalize(normals, dim=1))

    def _of_blocks(self, surface: Tensor, _frame: Tensor, points: Tensor) -> Surfels:
        blocks = self.scenes.blocks
        which = surface - len(self.scenes.people) * self.bank.faces.shape[1]
        turn = block_turns(blocks)[which]
        local = ((points - blocks.centers[which])[:, None] @ turn)[:, 0]
        # The point lies on the side that it is least below.
        outward = local / blocks.sizes[which] * 2
        side = outward.abs().argmax(dim=1, keepdim=True)
        normal = torch.zeros_like(local).scatter_(1, side, outward.gather(1, side).sign())
        return Surfels(len(self.scenes.rooms.looks) + which, local, (turn @ normal[..., None])[..., 0])

    def _of_rooms(self, surface: Tensor, frame: Tensor, points: Tensor) -> Surfels:
        rooms = self.scenes.rooms
        first = len(self.scenes.people) * self.bank.faces.shape[1] + len(self.scenes.blocks)
        look = surface - first
        gap = torch.minimum((points - rooms.low[frame]).abs(), (rooms.high[frame] - points).abs())
        gap[:, 2] = torch.where(look % 3 == WALL, torch.inf, gap[:, 2])
        axis = torch.where(look % 3 == WALL, gap[:, :2].argmin(dim=1), torch.full_like(look, 2))
        normal = torch.zeros_like(points).scatter_(1, axis[:, None], 1.0)
        return Surfels(look, points, normal)


def painter(scenes: SceneBatch, bank: BankTensors, body_looks: Looks, vertices: Tensor) -> Painter:
    """Prepare a batch for coloring.

    Args:
        body_looks: the materials of all bodies of the bank, L for each.
        vertices: (N, V, 3) of the people, world.
    """
    people = scenes.people
    own = people.colors.shape[1]
    rows = people.bodies[:, None] * own + torch.arange(own, device=people.bodies.device)
    worn = body_looks[rows.flatten()]
    dyed = Looks(people.colors.flatten(0, 1), worn.pattern, worn.sizes, worn.marks)
    looks = joined([scenes.rooms.looks, scenes.blocks.looks, dyed])
    return Painter(scenes, bank, looks, vertices, vertex_normals(vertices, bank.faces[people.bodies]))


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """(N, V, 3) unit normals of (N, V, 3) vertices: the area-weighted mean of the (N, T, 3) faces around."""
    spread = faces.flatten(1)[..., None].expand(-1, -1, 3)
    a, b, c = vertices.gather(1, spread).unflatten(1, (-1, 3)).unbind(2)  # type: ignore[no-untyped-call]
    across = torch.cross(b - a, c - a, dim=-1)
    total = torch.zeros_like(vertices).scatter_add_(1, spread, across.repeat_interleave(3, dim=1))
    return torch.nn.functional.normalize(total, dim=-1)


def _barycentric(corners: Tensor, points: Tensor) -> Tensor:
    """(P, 3, 3) corners and (P, 3) points in their planes -> (P, 3) weights."""
    a, b, c = corners.unbind(1)
    normal = torch.cross(b - a, c - a, dim=-1)
    area = (normal * normal).sum(dim=1).clamp(min=1e-20)
    v = (torch.cross(points - a, c - a, dim=-1) * normal).sum(dim=1) / area
    w = (torch.cross(b - a, points - a, dim=-1) * normal).sum(dim=1) / area
    return torch.stack([1 - v - w, v, w], dim=-1).clamp(0, 1)


def _irradiance(lamps: Lamps, frame: Tensor, points: Tensor, normals: Tensor) -> Tensor:
    """(P, 1) light on the surface."""
    total = ambient_light(lamps.ambient[frame], normals[:, 2])
    for position, power in zip(lamps.positions.unbind(1), lamps.powers.unbind(1), strict=True):
        towards = position[frame] - points
        square = (towards * towards).sum(dim=1).clamp(min=0.05)
        cosine = ((normals * towards).sum(dim=1) / square.sqrt()).clamp(min=0)
        total = total + power[frame] * cosine / square
    return total[:, None]


def develop(light: Tensor, exposure: Tensor) -> Tensor:
    """(F, H, W, 3) linear light -> uint8 sRGB with a soft shoulder."""
    exposed = 1 - torch.exp(-exposure[:, None, None, None] * light)
    return (255 * exposed.clamp(0, 1) ** (1 / GAMMA)).round().to(torch.uint8)
