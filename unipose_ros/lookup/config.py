"""What can be set about modality ``lookup``."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class LookupConfig:
    """Lifting 2D keypoints with the depth under them; lengths in meters.

    Attributes:
        patch_radius: radius of the disc around a keypoint in which depth is read.
        min_patch_pixels: the disc's least radius in pixels, for people far away.
        reach: how far in front of and behind the trunk a joint can be; other depth is scenery.
        surface_gap: depths closer than this belong to one surface.
        grid_step: spacing of the depths tried for joints whose own surface is not seen.
        min_measured: a person with fewer joints found on a surface is dropped.
        min_size: a person smaller than this part of an average adult is dropped: a doll or an image.
        max_size: a person larger than this part of an average adult is dropped.
        keypoint_noise: standard deviation of a confident keypoint across the ray, on an average adult.

    Raises:
        ValueError: a value is not positive, or the smallest size is above the largest.
    """

    patch_radius: float = 0.05
    min_patch_pixels: float = 2.0
    reach: float = 0.9
    surface_gap: float = 0.03
    grid_step: float = 0.05
    min_measured: int = 2
    min_size: float = 0.4
    max_size: float = 1.5
    keypoint_noise: float = 0.021

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise ValueError(f"lookup.{field.name} = {value}: must be positive")
        if self.min_size >= self.max_size:
            raise ValueError(f"lookup.min_size = {self.min_size}: must be below max_size = {self.max_size}")
