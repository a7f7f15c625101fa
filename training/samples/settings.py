"""How people are cut out of clips for training."""

from __future__ import annotations

from dataclasses import dataclass, field

from unipose_ros.codecs.colour_image import ColourImageConfig
from unipose_ros.codecs.depth_image import DepthImageConfig
from unipose_ros.codecs.point_cloud import PointCloudConfig
from unipose_ros.lookup import LookupConfig
from unipose_ros.people import PeopleConfig


@dataclass(frozen=True)
class SampleSettings:
    """What a row of a :class:`~unipose_training.samples.store.SampleStore` holds.

    Attributes:
        points, depth, colour: how the networks' inputs are cut out.
        people: which of the 2D network's people count.
        lookup: how their keypoints are lifted: for the reference distance and the surface behind each.
        with_points, with_depth, with_colour: which inputs are kept; colour takes most of the room.

    Raises:
        ValueError: nothing is kept.
    """

    points: PointCloudConfig = field(default_factory=PointCloudConfig)
    depth: DepthImageConfig = field(default_factory=DepthImageConfig)
    colour: ColourImageConfig = field(default_factory=lambda: ColourImageConfig(size=224))
    people: PeopleConfig = field(default_factory=PeopleConfig)
    lookup: LookupConfig = field(default_factory=LookupConfig)
    with_points: bool = True
    with_depth: bool = True
    with_colour: bool = True

    def __post_init__(self) -> None:
        if not (self.with_points or self.with_depth or self.with_colour):
            raise ValueError("samples: keep at least one of points, depth and colour")
        if self.points.paint:
            raise ValueError("samples: points are painted when they are read; set points.paint = 0")
