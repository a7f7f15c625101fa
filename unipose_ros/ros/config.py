"""What can be set on the node, as validated, immutable data; one dataclass per parameter group."""

from __future__ import annotations

from dataclasses import dataclass, field

from unipose_ros.estimator import EstimatorConfig
from unipose_ros.ros.parameters import parameter
from unipose_ros.tracking import TrackerConfig


@dataclass(frozen=True)
class InputConfig:
    """Where frames come from; fixed once the node runs, because the subscriptions depend on it."""

    source: str = parameter(
        "depth", "where depth comes from: a depth image, or a point cloud in the colour camera's frame",
        choices=("depth", "points"), read_only=True,
    )  # fmt: skip
    color_transport: str = parameter(
        "raw",
        "transport of the colour image; raw: color/image, compressed: color/image/compressed",
        choices=("raw", "compressed"),
        read_only=True,
    )
    depth_transport: str = parameter(
        "raw", "transport of the depth image; raw: depth/image, compressedDepth: depth/image/compressedDepth",
        choices=("raw", "compressedDepth"), read_only=True,
    )  # fmt: skip
    rectified: bool = parameter(
        False, "the images are rectified ones (image_rect): use P of camera_info and no distortion", read_only=True
    )
    max_pair_offset: float = parameter(
        0.0, "seconds; images with stamps less apart than this are one frame; 0: half of the measured frame period",
        low=0.0, high=1.0, read_only=True,
    )  # fmt: skip
    queue_size: int = parameter(10, "messages kept per topic while waiting for their partner", low=1, high=100,
                                read_only=True)  # fmt: skip
    alone_after: float = parameter(
        0.5, "seconds; in modality auto, an image is used alone when the other has not come for so long",
        low=0.05, high=60.0, read_only=True,
    )  # fmt: skip
    timeout: float = parameter(
        3.0, "seconds without a frame until one warning says what is missing", low=0.1, high=60.0
    )


@dataclass(frozen=True)
class TfConfig:
    """Frames broadcast for every person."""

    mode: str = parameter(
        "root", "off: none; root: body_<id> only; joints: also <joint>_<id> (RViz slows down at some hundred frames)",
        choices=("off", "root", "joints"),
    )  # fmt: skip


@dataclass(frozen=True)
class MarkersConfig:
    """How people look in RViz."""

    enabled: bool = parameter(True, "publish markers")
    joint_diameter: float = parameter(0.05, "diameter of the joint spheres in metres", low=0.005, high=0.5)
    bone_width: float = parameter(0.025, "width of the bone lines in metres", low=0.002, high=0.5)
    labels: bool = parameter(True, "write the id above the head")
    lifetime: float = parameter(
        0.5, "seconds until RViz forgets a marker should the node die; 0 keeps it", low=0.0, high=60.0
    )


@dataclass(frozen=True)
class DiagnosticsConfig:
    """What /diagnostics calls a problem."""

    period: float = parameter(1.0, "seconds between diagnostics", low=0.1, high=60.0, read_only=True)
    max_latency: float = parameter(
        0.5, "seconds; WARN when the 95th percentile from acquisition to publishing is longer", low=0.001, high=60.0
    )
    min_rate: float = parameter(1.0, "WARN when fewer frames a second than this come out", low=0.0, high=1000.0)


@dataclass(frozen=True)
class NodeConfig:
    """Everything, by group; the groups' names are the prefixes of the parameters."""

    input: InputConfig = field(default_factory=InputConfig)
    model: EstimatorConfig = field(default_factory=EstimatorConfig)
    track: TrackerConfig = field(default_factory=TrackerConfig)
    tf: TfConfig = field(default_factory=TfConfig)
    markers: MarkersConfig = field(default_factory=MarkersConfig)
    diagnostics: DiagnosticsConfig = field(default_factory=DiagnosticsConfig)
