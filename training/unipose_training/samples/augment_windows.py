"""Windows of people seen otherwise: what is drawn at random, and what a worse sensor would show.

Places are changed by :mod:`unipose_training.samples.augment_windows`, which keeps the joints exact; what is
done to values here moves no joint.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate

from unipose_ros.codecs.windows import DepthImageConfig
from unipose_training.losses.projection import project
from unipose_training.samples.dataset import PersonBatch

# 2D keypoints as the lifting variant of a window network reads them; some of them wrong on purpose.


@dataclass(frozen=True)
class KeypointNoise:
    """How keypoints are made worse than the 2D network's own.

    Attributes:
        jitter: pixels of the window, normal, of every keypoint.
        wrong: probability that a keypoint is displaced.
        reach: how far, at most, as a part of the window.
        swapped: probability that left and right are taken for each other.
        lost: probability that a keypoint is not found.

    Raises:
        ValueError: a value is out of range.
    """

    jitter: float = 1.0
    wrong: float = 0.1
    reach: float = 0.4
    swapped: float = 0.05
    lost: float = 0.1

    def __post_init__(self) -> None:
        for each in fields(self):
            most = float("inf") if each.name == "jitter" else 1.0
            if not 0 <= getattr(self, each.name) <= most:
                raise ValueError(f"keypoints.{each.name} = {getattr(self, each.name)}: must be within [0, {most:g}]")


#: Keypoints as they are.
NO_NOISE = KeypointNoise(0, 0, 0, 0, 0)


def window_keypoints(batch: PersonBatch, windows: Windows, warp: Warp, mirror: Tensor) -> Tensor:
    """(B, J, 3) u, v in the warped window and confidence of the last frames' keypoints; 0 where there is none.

    Args:
        windows: after the warp.
        mirror: (J,) permutation that exchanges left and right.
    """
    camera = batch.camera[:, -1, None]
    rays = (batch.pixels[:, -1] - camera[..., 2:]) / camera[..., :2]
    points = torch.cat([rays, torch.ones_like(rays[..., :1])], dim=-1)
    pixels, _ = to_window(warp_joints(points, warp, mirror), windows)
    # Confidences go with their joints: as places on the axis they are mirrored, but not moved.
    confidence = batch.confidence[:, -1]
    swapped = (torch.linalg.det(warp.across) < 0)[:, None]
    confidence = torch.where(swapped, confidence[:, mirror], confidence) * pixels.isfinite().all(-1)
    return torch.cat([pixels.nan_to_num(), confidence[..., None]], dim=-1)


def corrupt_keypoints(keypoints: Tensor, noise: KeypointNoise, size: int, mirror: Tensor) -> Tensor:
    """Draw errors of a 2D network; confidences say nothing of them.

    Args:
        keypoints: (B, J, 3).
        size: pixels of the window's side.
        mirror: (J,) permutation that exchanges left and right.
    """
    people, joints, device = *keypoints.shape[:2], keypoints.device
    swapped = torch.rand(people, 1, 1, device=device) < noise.swapped
    keypoints = torch.where(swapped, keypoints[:, mirror], keypoints)
    angle = 2 * torch.pi * torch.rand(people, joints, device=device)
    far = noise.reach * size * torch.rand(people, joints, device=device)
    far = far * (torch.rand(people, joints, device=device) < noise.wrong)
    shift = far[..., None] * torch.stack([angle.cos(), angle.sin()], dim=-1)
    points = keypoints[..., :2] + shift + noise.jitter * torch.randn(people, joints, 2, device=device)
    found = torch.rand(people, joints, device=device) >= noise.lost
    return torch.cat([points, (keypoints[..., 2] * found)[..., None]], dim=-1)


#: Parts of the field that holes are cut from, along a side of the window.
_FIELD = 16
#: A person's depth is read with this noise (meters) by a Kinect at z meters: a + b (z - c)^2 (Nguyen et
#: al., 3DIMPVT 2012).
_NOISE = (0.0012, 0.0019, 0.4)


@dataclass(frozen=True)
class WindowAugmentation:
    """How much is changed; everything is drawn evenly unless it is a probability.

    Attributes:
        mirror: probability of left and right being exchanged.
        turn: degrees about the camera's axis, at most, either way.
        shift: part of the window by which it is off, at most.
        zoom: part by which the window is larger or smaller, at most.
        scale: part by which a person is larger or smaller, at most (depth alone: in color nothing shows it).
        distance: part by which the person's distance is wrong, at most (depth alone).
        noise: of a pixel: up to so many times that of a depth camera, or a twentieth of the range of colors.
        holes: part of the depth that is missing, at most.
        erase: probability of a rectangle before the person.
        light: part by which brightness, contrast and each color change, at most.
        gray: probability of no color.
        blur: probability of half the resolution.

    Raises:
        ValueError: a value is out of range.
    """

    mirror: float = 0.5
    turn: float = 15.0
    shift: float = 0.06
    zoom: float = 0.12
    scale: float = 0.15
    distance: float = 0.04
    noise: float = 1.0
    holes: float = 0.2
    erase: float = 0.3
    light: float = 0.3
    gray: float = 0.1
    blur: float = 0.2

    def __post_init__(self) -> None:
        for each in fields(self):
            most = {"turn": 180.0, "noise": float("inf")}.get(each.name, 1.0)
            if not 0 <= getattr(self, each.name) <= most:
                raise ValueError(f"augment.{each.name} = {getattr(self, each.name)}: must be within [0, {most:g}]")


#: Nothing is changed.
NO_AUGMENTATION = WindowAugmentation(**{each.name: 0.0 for each in fields(WindowAugmentation)})


def sample_warp(windows: Windows, settings: WindowAugmentation, by_distance: bool) -> Warp:
    """Draw what happens to places.

    Args:
        by_distance: the window shows the same meters at any distance, as that of depth does. A larger
            person is then larger in it; a color window shows all people equally large.
    """
    people, device = len(windows.camera), windows.camera.device
    mirrored = torch.rand(people, device=device) < settings.mirror
    flip = torch.stack([torch.where(mirrored, -1.0, 1.0), torch.ones(people, device=device)], dim=-1)
    across = _turns(_even(people, device) * torch.pi / 180 * settings.turn) * flip[:, None]
    zoom, distances = torch.ones(people, device=device), windows.distances
    focal = windows.camera[:, :2] * (1 + settings.zoom * _even(people, device))[:, None]
    if by_distance:
        zoom = 1 + settings.scale * _even(people, device)
        distances = distances * zoom * (1 + settings.distance * _even(people, device))
        focal = focal * (distances / windows.distances)[:, None]
    size = windows.image.shape[-1]
    middle = windows.camera.new_tensor([(size - 1) / 2] * 2)
    shift = settings.shift * size * torch.stack([_even(people, device), _even(people, device)], dim=-1)
    ray = (middle - windows.camera[:, 2:]) / windows.camera[:, :2]
    center = middle + shift - focal * (across @ ray[..., None])[..., 0]
    return Warp(across, zoom, torch.cat([focal, center], dim=-1), distances)


def disturb_depth(windows: Windows, settings: WindowAugmentation) -> Windows:
    """Noise, holes, and something before the person."""
    depth, people = windows.image, len(windows.camera)
    read = depth > 0
    constant, slope, nearest = _NOISE
    std = constant + slope * (depth - nearest) ** 2
    much = settings.noise * torch.rand(people, 1, 1, 1, device=depth.device)
    depth = torch.where(read, (depth + much * std * torch.randn_like(depth)).clamp_min(0), 0.0)
    depth = torch.where(_holes(depth, settings.holes), 0.0, depth)
    before = windows.distances[:, None, None, None] * (0.4 + 0.5 * torch.rand(people, 1, 1, 1, device=depth.device))
    # Half of what is in the way reflects nothing.
    before = before * (torch.rand_like(before) < 0.5)
    return windows._replace(image=torch.where(_rectangles(depth, settings.erase), before, depth))


def disturb_color(windows: Windows, settings: WindowAugmentation) -> Windows:
    """Light, gray, blur, noise, and something before the person."""
    image, people, device = windows.image, len(windows.camera), windows.image.device

    def even(channels: int) -> Tensor:
        return settings.light * (2 * torch.rand(people, channels, 1, 1, device=device) - 1)

    def happens(probability: float) -> Tensor:
        return torch.rand(people, 1, 1, 1, device=device) < probability

    gray = (image * image.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    image = torch.where(happens(settings.gray), gray, image)
    if settings.blur:
        coarse = interpolate(avg_pool2d(image, 2), size=image.shape[-2:], mode="bilinear", align_corners=False)
        image = torch.where(happens(settings.blur), coarse, image)
    image = (image - 127.5) * (1 + even(1)) * (1 + 0.5 * even(3)) + 127.5 * (1 + even(1))
    much = 12.75 * settings.noise * torch.rand(people, 1, 1, 1, device=device)
    image = image + much * torch.randn_like(image)
    before = 255 * torch.rand(people, 3, 1, 1, device=device)
    image = torch.where(_rectangles(image, settings.erase), before, image)
    return windows._replace(image=image.clamp(0, 255))


def _even(people: int, device: torch.device) -> Tensor:
    """(B,) drawn from [-1, 1]."""
    return 2 * torch.rand(people, device=device) - 1


def _turns(angles: Tensor) -> Tensor:
    """(B,) radians -> (B, 2, 2) rotations."""
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], dim=-2)


def _holes(image: Tensor, most: float) -> Tensor:
    """(B, 1, S, S) bool: blobs that cover up to a part of the window."""
    people, size = len(image), image.shape[-1]
    field = torch.rand(people, 1, _FIELD, _FIELD, device=image.device)
    smooth = interpolate(field, size=(size, size), mode="bilinear", align_corners=False)
    part = most * torch.rand(people, 1, device=image.device)
    # Every fourth pixel says well enough below which value that part of the field lies.
    values = smooth[..., ::4, ::4].flatten(1).sort(dim=1).values
    values = torch.cat([torch.full_like(values[:, :1], -1.0), values], dim=1)
    limit = values.gather(1, (part * (values.shape[1] - 1)).long())
    return smooth < limit[..., None, None]


def _rectangles(image: Tensor, probability: float) -> Tensor:
    """(B, 1, S, S) bool: one rectangle of up to half of each side for some windows (Zhong et al., AAAI 2020)."""
    people, size, device = len(image), image.shape[-1], image.device
    ticks = torch.arange(size, device=device) / size
    inside = []
    for _ in range(2):
        middle, half = torch.rand(people, 1, device=device), 0.05 + 0.2 * torch.rand(people, 1, device=device)
        inside.append((ticks - middle).abs() < half)
    happens = torch.rand(people, 1, 1, 1, device=device) < probability
    return inside[1][:, None, :, None] & inside[0][:, None, None, :] & happens


# Windows of a batch: the images as a network takes them, and joints in their pixels.
#
# The numbers are those of :mod:`unipose_ros.codecs.windows` and
# :mod:`unipose_ros.codecs.windows`, for many people at once and on any device.


class Windows(NamedTuple):
    """Windows of B people, not yet encoded.

    Attributes:
        image: (B, 1, S, S) meters along z, 0 without a reading; or (B, 3, S, S) colors, 0 to 255.
        camera: (B, 4) fx, fy, cx, cy of the pinhole camera that sees the window.
        distances: (B,) meters along z that depths are relative to.
    """

    image: Tensor
    camera: Tensor
    distances: Tensor


def depth_windows(batch: PersonBatch) -> Windows:
    """The depth windows of the last frames."""
    return Windows(batch.depth[:, -1, None], batch.depth_camera[:, -1], batch.distances[:, -1])


def color_windows(batch: PersonBatch) -> Windows:
    """The color windows of the last frames."""
    return Windows(batch.color[:, -1].to(torch.float32), batch.color_camera[:, -1], batch.distances[:, -1])


def depth_input(windows: Windows, config: DepthImageConfig) -> Tensor:
    """(B, 1, S, S) as :func:`unipose_ros.codecs.windows.encode_depth` makes it."""
    depth = windows.image
    relative = (depth - windows.distances[:, None, None, None]) / config.unit
    return torch.where(depth > 0, relative, config.clip).clamp(-config.clip, config.clip)


def color_input(windows: Windows) -> Tensor:
    """(B, 3, S, S) as :func:`unipose_ros.codecs.windows.encode_color` makes it."""
    return windows.image / 127.5 - 1


def to_window(joints: Tensor, windows: Windows) -> tuple[Tensor, Tensor]:
    """(B, J, 3) meters in the camera's frame -> (B, J, 2) pixels of the window and (B, J) relative depths."""
    return project(joints, windows.camera), joints[..., 2] - windows.distances[:, None]


def to_camera(pixels: Tensor, depths: Tensor, windows: Windows) -> Tensor:
    """(B, J, 2) pixels of the window and (B, J) relative depths -> (B, J, 3) meters in the camera's frame."""
    z = (depths + windows.distances[:, None])[..., None]
    focal, center = windows.camera[:, None, :2], windows.camera[:, None, 2:]
    return torch.cat([(pixels - center) / focal * z, z], dim=-1)


# Turned, mirrored, shifted and scaled windows with the camera that would see them.
#
# A change of the image is a change of the scene and of K, so the joints that are asked for stay exact:
# the scene is mirrored and turned about the camera's axis and grows about the camera; the window then
# looks at it through another pinhole camera.


class Warp(NamedTuple):
    """What happens to the scenes and windows of B people.

    Attributes:
        across: (B, 2, 2) orthogonal, on x and y; a reflection where the determinant is negative.
        zoom: (B,) every place of the scene is multiplied by it.
        camera: (B, 4) fx, fy, cx, cy of the window afterwards.
        distances: (B,) meters that depths are relative to afterwards.
    """

    across: Tensor
    zoom: Tensor
    camera: Tensor
    distances: Tensor


def no_warp(windows: Windows) -> Warp:
    """The warp that changes nothing."""
    identity = torch.eye(2, device=windows.camera.device).expand(len(windows.camera), 2, 2)
    return Warp(identity, torch.ones_like(windows.distances), windows.camera, windows.distances)


def warp_joints(joints: Tensor, warp: Warp, mirror: Tensor) -> Tensor:
    """(B, J, 3) meters in the camera's frame -> the same after the warp.

    Args:
        mirror: (J,) permutation that exchanges left and right.
    """
    across = joints[..., :2] @ warp.across.transpose(1, 2)
    moved = torch.cat([across, joints[..., 2:]], dim=-1) * warp.zoom[:, None, None]
    return torch.where(_reflects(warp), moved[:, mirror], moved)


def unwarp_joints(joints: Tensor, warp: Warp, mirror: Tensor) -> Tensor:
    """The inverse of :func:`warp_joints`."""
    back = torch.where(_reflects(warp), joints[:, mirror], joints) / warp.zoom[:, None, None]
    return torch.cat([back[..., :2] @ warp.across, back[..., 2:]], dim=-1)


def warp_windows(windows: Windows, warp: Warp, smooth: bool) -> Windows:
    """What the new camera sees of the new scene; 0 beside the old window.

    Args:
        smooth: mix neighboring pixels; depth must not be mixed across edges. Only of depth does the
            growth change the values.
    """
    size = windows.image.shape[-1]
    ticks = torch.arange(size, device=windows.image.device, dtype=torch.float32)
    v, u = torch.meshgrid(ticks, ticks, indexing="ij")
    source_pixels = old_pixels(torch.stack([u, v], dim=-1).flatten(0, 1), windows.camera, warp).reshape(
        -1, size, size, 2
    )
    mode = "bilinear" if smooth else "nearest"
    image = grid_sample(windows.image, 2 * source_pixels / (size - 1) - 1, mode, align_corners=True)
    if not smooth:
        image = image * warp.zoom[:, None, None, None]
    return Windows(image, warp.camera, warp.distances)


def old_pixels(pixels: Tensor, camera: Tensor, warp: Warp) -> Tensor:
    """Where in the window what is now seen at (P, 2) pixels was before: (B, P, 2)."""
    rays = (pixels - warp.camera[:, None, 2:]) / warp.camera[:, None, :2]
    return (rays @ warp.across) * camera[:, None, :2] + camera[:, None, 2:]


def _reflects(warp: Warp) -> Tensor:
    """(B, 1, 1) bool."""
    a = warp.across
    return (a[:, 0, 0] * a[:, 1, 1] < a[:, 0, 1] * a[:, 1, 0])[:, None, None]
