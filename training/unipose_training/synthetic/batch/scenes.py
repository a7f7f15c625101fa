"""A batch of scenes as tensors: cameras, rooms, furniture, people, lamps.

World frame: meters, z up. All frames of a batch have one image size; everything else may differ.
What a frame has several of (people, blocks) lies in one list for the whole batch, with the
number of its frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unipose_ros.camera import Camera
from unipose_training.errors import SyntheticError
from unipose_training.synthetic.bank.posing import BankTensors, PosedPeople, pose_by_turns, pose_people
from unipose_training.synthetic.batch.looks import Looks, OnDevice
from unipose_training.synthetic.renderer import View

#: Looks of a room, in this order.
FLOOR, CEILING, WALL = range(3)


@dataclass(frozen=True, eq=False)
class Cameras(OnDevice):
    """F ideal pinhole cameras of one image size.

    Attributes:
        width, height: pixels.
        intrinsics: (F, 4) fx, fy, cx, cy in pixels; (0, 0) is the center of the top-left pixel.
        positions: (F, 3) meters, world.
        rotations: (F, 3, 3) world -> optical frame (x right, y down, z forward).

    Raises:
        SyntheticError: shapes disagree or a focal length is not positive.
    """

    width: int
    height: int
    intrinsics: Tensor
    positions: Tensor
    rotations: Tensor

    def __post_init__(self) -> None:
        frames = len(self.intrinsics)
        _check("cameras", self, {"intrinsics": (frames, 4), "positions": (frames, 3), "rotations": (frames, 3, 3)})
        if frames < 1 or self.width < 1 or self.height < 1 or not bool((self.intrinsics[:, :2] > 0).all()):
            raise SyntheticError(
                f"cameras: {frames} of {self.width}x{self.height}; sizes and focal lengths must be > 0"
            )

    def __len__(self) -> int:
        return len(self.intrinsics)

    def camera(self, frame: int) -> Camera:
        """Intrinsics of one frame."""
        fx, fy, cx, cy = self.intrinsics[frame].tolist()
        return Camera(fx, fy, cx, cy, self.width, self.height)

    def view(self, frame: int) -> View:
        """Where the camera of one frame stands."""
        position, rotation = self.positions[frame], self.rotations[frame]
        return View(position.double().cpu().numpy(), rotation.double().cpu().numpy())

    def to_optical(self, points: Tensor, frames: Tensor) -> Tensor:
        """(N, ..., 3) world -> optical frame of the (N,) frames."""
        shape = points.shape
        # The number of points is given, as it does not follow from no elements.
        flat = points.reshape(len(frames), shape[1:-1].numel(), 3) - self.positions[frames][:, None]
        return (flat @ self.rotations[frames].transpose(1, 2)).reshape(shape)

    def project(self, points: Tensor, frames: Tensor) -> Tensor:
        """(N, ..., 3) optical frame -> (N, ..., 2) pixels; meaningless behind the camera."""
        intrinsics = self.intrinsics[frames].reshape(len(frames), *[1] * (points.dim() - 2), 4)
        pixels: Tensor = points[..., :2] / points[..., 2:] * intrinsics[..., :2] + intrinsics[..., 2:]
        return pixels


@dataclass(frozen=True, eq=False)
class Rooms(OnDevice):
    """The inside of F boxes along the world's axes; the cameras are in them.

    Attributes:
        low, high: (F, 3) meters; infinite where there is no wall.
        looks: 3 F materials: floor, ceiling and walls of the first room, then of the next.
    """

    low: Tensor
    high: Tensor
    looks: Looks


@dataclass(frozen=True, eq=False)
class Blocks(OnDevice):
    """M boxes turned about the vertical: furniture, clutter, occluders.

    Attributes:
        frames: (M,).
        centers, sizes: (M, 3) meters.
        yaws: (M,) radians.
        looks: M materials.
    """

    frames: Tensor
    centers: Tensor
    sizes: Tensor
    yaws: Tensor
    looks: Looks

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(frozen=True, eq=False)
class People(OnDevice):
    """N people of a body bank.

    Attributes:
        frames: (N,).
        owners: (N,) 1, 2, ... within a frame: what the owner image shows.
        bodies, poses: (N,) indices in the bank.
        places: (N, 3) meters: where the hips are, and the height of what the person stands on.
        headings: (N,) radians about the vertical.
        colors: (N, L, 2, 3) colors that replace those of the body's materials.
        turns: (N, B, 3, 3) turn of each bone from the body's own rest, before the heading; None where people are
            in poses of the bank.
        no_return: (N, L) bool: surfaces of which a depth sensor gets no light back (black cloth, hair), by
            person and material; None for none. Renderers draw them all the same, sensors lose them.
    """

    frames: Tensor
    owners: Tensor
    bodies: Tensor
    poses: Tensor
    places: Tensor
    headings: Tensor
    colors: Tensor
    turns: Tensor | None = None
    no_return: Tensor | None = None

    def __len__(self) -> int:
        return len(self.frames)


def posed(bank: BankTensors, people: People) -> PosedPeople:
    """People of a batch with their vertices and joints in the world."""
    if people.turns is None:
        return pose_people(bank, people.bodies, people.poses, people.places, people.headings)
    airborne = bank.airborne[people.poses]
    return pose_by_turns(bank, people.bodies, people.turns, airborne, people.places, people.headings)


@dataclass(frozen=True, eq=False)
class Lamps(OnDevice):
    """L round lamps for each of F frames, and light from everywhere.

    Attributes:
        positions: (F, L, 3) meters.
        radii: (F, L) meters.
        powers: (F, L).
        ambient: (F,).
        exposure: (F,) factor before the film.
    """

    positions: Tensor
    radii: Tensor
    powers: Tensor
    ambient: Tensor
    exposure: Tensor


@dataclass(frozen=True, eq=False)
class SceneBatch(OnDevice):
    """F scenes.

    Attributes:
        seed: of the images' noise.

    Raises:
        SyntheticError: the parts do not fit each other.
    """

    cameras: Cameras
    rooms: Rooms
    blocks: Blocks
    people: People
    lamps: Lamps
    seed: int = 0

    def __post_init__(self) -> None:
        frames, blocks, people = len(self.cameras), len(self.blocks), len(self.people)
        _check("rooms", self.rooms, {"low": (frames, 3), "high": (frames, 3)})
        _check("blocks", self.blocks, {"centers": (blocks, 3), "sizes": (blocks, 3), "yaws": (blocks,)})
        wanted: dict[str, tuple[int, ...]] = dict.fromkeys(("owners", "bodies", "poses", "headings"), (people,))
        _check("people", self.people, {**wanted, "places": (people, 3)})
        for name in ("turns", "no_return"):
            found = getattr(self.people, name)
            if found is not None and len(found) != people:
                raise SyntheticError(f"people: {name} is for {len(found)} of {people}")
        if len(self.rooms.looks) != 3 * frames or len(self.blocks.looks) != blocks:
            raise SyntheticError(f"scenes: give 3 looks for each of {frames} rooms and one for each of {blocks} blocks")
        for name, part in (("blocks", self.blocks.frames), ("people", self.people.frames)):
            if len(part) and not 0 <= int(part.min()) <= int(part.max()) < frames:
                raise SyntheticError(f"scenes: {name} are in frames that are not there; there are {frames}")

    def __len__(self) -> int:
        return len(self.cameras)

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.cameras.intrinsics.device


def _check(name: str, part: object, wanted: dict[str, tuple[int, ...]]) -> None:
    for field, shape in wanted.items():
        found = tuple(getattr(part, field).shape)
        if found != shape:
            raise SyntheticError(f"{name}: {field} is {found}, expected {shape}")
