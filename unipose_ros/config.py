"""Everything that can be set at run time, as validated, immutable data; the node's parameters follow from it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, make_dataclass, replace
from typing import TYPE_CHECKING

from unipose_ros.backends import BACKENDS, BackendError, check_device
from unipose_ros.errors import EstimatorError
from unipose_ros.geometry.body_model import stature_prior
from unipose_ros.modalities.base import RequiredInputs
from unipose_ros.modalities.registry import MODALITIES, split_detector
from unipose_ros.networks.registry import NETWORKS

#: Who can say where people are.
PERSON_DETECTORS = ("auto", "hybrid", "centernet", "clustering", "keypoints")


@dataclass(frozen=True)
class DetectionConfig:
    """What counts as a person.

    Attributes:
        min_score: least confidence of the 2D network in the person, in [0, 1].
        keypoint_threshold: a keypoint of lower confidence counts as not visible, in [0, 1].
        border_margin: a keypoint nearer to the image's border than this part of the longer side counts as
            not seen: networks put joints there that are outside of the image.
        min_keypoints: least number of visible keypoints.
        nms_radius: two keypoints are the same when they are closer than this part of the
            smaller person's extent in the image.
        nms_overlap: a person is a ghost when more than this part of its visible keypoints
            are those of a person with a higher score, in (0, 1].
        min_person_probability: a pose found in depth alone that is less likely a person's is dropped, in [0, 1].
        detector: who says where people are; ``centernet``: a network on depth, ``clustering``: shapes in depth,
            ``hybrid``: the network, and shapes that it overlooks, ``keypoints``: the 2D network on color,
            ``auto``: what suits the modality.
        detection_interval: people are detected in every n-th frame; between them their last places count.
        max_people: no more people are processed in one frame, best first.

    Raises:
        ValueError: a value is out of range.
    """

    min_score: float = 0.2
    keypoint_threshold: float = 0.2
    border_margin: float = 0.015
    min_keypoints: int = 5
    nms_radius: float = 0.06
    nms_overlap: float = 0.5
    min_person_probability: float = 0.5
    detector: str = field(default="auto", metadata={"choices": PERSON_DETECTORS})
    detection_interval: int = 1
    max_people: int = 8

    def __post_init__(self) -> None:
        for name in ("min_score", "keypoint_threshold", "border_margin", "nms_radius", "min_person_probability"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"detection.{name} = {value}: must be within [0, 1]")
        if not 0 < self.nms_overlap <= 1:
            raise ValueError(f"detection.nms_overlap = {self.nms_overlap}: must be within (0, 1]")
        for name in ("min_keypoints", "detection_interval", "max_people"):
            if getattr(self, name) < 1:
                raise ValueError(f"detection.{name} = {getattr(self, name)}: must be at least 1")
        if self.detector not in PERSON_DETECTORS:
            raise ValueError(f"detection.detector = '{self.detector}': use one of {', '.join(PERSON_DETECTORS)}")


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
        for item in fields(self):
            value = getattr(self, item.name)
            if not value > 0:
                raise ValueError(f"lookup.{item.name} = {value}: must be positive")
        if self.min_size >= self.max_size:
            raise ValueError(f"lookup.min_size = {self.min_size}: must be below max_size = {self.max_size}")


@dataclass(frozen=True)
class RgbConfig:
    """When modality ``rgb`` uses its image network; other people's keypoints are lifted.

    Attributes:
        prefer_lifter: lift all people who show enough keypoints, however good the window is: the lifter is more exact
            than the network that is shipped, which then estimates those who show too few.
        min_pixels: longer side of the box around a person's visible keypoints, in pixels of the image.
        min_keypoints: least number of visible keypoints, out of 17.
        min_inside: least part of the person's window that lies inside the image, in [0, 1].
        stature: of people whom depth has not measured, which tells their distance; ``adults``, ``men``, ``women``,
            ``children``, or meters as text.

    Raises:
        ValueError: a value is out of range.
    """

    prefer_lifter: bool = True
    min_pixels: float = 60.0
    min_keypoints: int = 10
    min_inside: float = 0.6
    stature: str = "adults"

    def __post_init__(self) -> None:
        if not self.min_pixels >= 0:
            raise ValueError(f"rgb.min_pixels = {self.min_pixels}: must not be negative")
        if not 0 <= self.min_keypoints <= 17:
            raise ValueError(f"rgb.min_keypoints = {self.min_keypoints}: must be within [0, 17]")
        if not 0 <= self.min_inside <= 1:
            raise ValueError(f"rgb.min_inside = {self.min_inside}: must be within [0, 1]")
        try:
            stature_prior(self.stature)
        except ValueError as error:
            raise ValueError(f"rgb.stature = {error}") from error


@dataclass(frozen=True)
class RgbdConfig:
    """How modality ``rgbd`` uses color.

    Attributes:
        every: the 2D network runs in every so many frames; in between its keypoints are followed by optical flow.
        windows: with MoveNet, and 1 for ``every``: where people are known it sees the columns of the image around them
            and around whom depth shows, and about three times a second all of it.
        enlarged: with MoveNet, and 1 for ``every``: so many people a frame who are small in the image, as beyond 4 m,
            are looked at again, enlarged; 0 for none.
        min_support: a person found in depth alone is kept when the 2D network's mean confidence near the joints is
            at least this, in [0, 1].
        lifter: let the lifter of keypoints take part in the fusion.

    Raises:
        ValueError: a value is out of range.
    """

    every: int = 1
    windows: bool = True
    enlarged: int = 4
    min_support: float = 0.25
    lifter: bool = True

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"rgbd.every = {self.every}: must be at least 1")
        if self.enlarged < 0:
            raise ValueError(f"rgbd.enlarged = {self.enlarged}: must be at least 0")
        if not 0 <= self.min_support <= 1:
            raise ValueError(f"rgbd.min_support = {self.min_support}: must be within [0, 1]")


#: The painted network is of kind ``points`` and has weights of its own.
RGBD_WEIGHTS = "of the point network with painted keypoints, for modality rgbd; empty for the shipped file"

if TYPE_CHECKING:

    @dataclass(frozen=True, init=False)
    class WeightsConfig:
        """Weights files (safetensors) by the name of the network; where none is named, the shipped ones are used."""

        def __init__(self, **files: str) -> None: ...
        def __getattr__(self, network: str) -> str: ...

else:
    WeightsConfig = make_dataclass(
        "WeightsConfig",
        [
            (name, "str", field(default="", metadata={"description": f"of {spec.summary}; empty for the shipped file"}))
            for name, spec in NETWORKS.items()
        ]
        + [("rgbd", "str", field(default="", metadata={"description": RGBD_WEIGHTS}))],
        frozen=True,
        namespace={
            "__doc__": "Weights files (safetensors) by the name of the network; where none is named, the shipped ones "
            "are used.",
            "__module__": __name__,
        },
    )


@dataclass(frozen=True)
class EstimatorConfig:
    """What finds the skeletons, and on what it runs.

    Attributes:
        modality: way from frame to skeletons; ``auto``: rgbd where both images come, else points or rgb,
            ``rgbd``: all of color and depth, fused, ``points``: clouds of points, ``depth``: depth images,
            ``rgb``: color images, ``lookup``: 2D keypoints plus the depth under them.
        backend: what runs the networks: ``auto``, ``onnx``, ``torch``, or ``openvino`` for MoveNet, the rest by onnx.
        device: where the networks run: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        threads: CPU threads of the networks.
        weights: files of the trained networks.
        detection: what counts as a person.
        lookup: settings of modality ``lookup``.
        rgb: when modality ``rgb`` uses its image network.
        rgbd: how modality ``rgbd`` uses color.
        keypoint_detector: the 2D network, where one is needed: ``movenet`` or ``onnx:FILE`` (RTMPose, HRNet, ViTPose,
            YOLO-pose, RTMO or another that puts out COCO's keypoints).
        keypoint_boxes: where a top-down 2D network looks for people; ``movenet``: in its boxes, ``depth``: where
            people are detected in depth, ``auto``: movenet where its weights are, else depth.

    Raises:
        EstimatorError: a value is unknown or out of range.
    """

    modality: str = "auto"
    backend: str = field(default="auto", metadata={"choices": ("auto", *BACKENDS)})
    device: str = "auto"
    threads: int = 2
    weights: WeightsConfig = field(default_factory=WeightsConfig)
    detection: DetectionConfig = field(default_factory=DetectionConfig)
    lookup: LookupConfig = field(default_factory=LookupConfig)
    rgb: RgbConfig = field(default_factory=RgbConfig)
    rgbd: RgbdConfig = field(default_factory=RgbdConfig)
    keypoint_detector: str = "movenet"
    keypoint_boxes: str = field(default="auto", metadata={"choices": ("auto", "movenet", "depth")})

    def __post_init__(self) -> None:
        if self.modality not in MODALITIES:
            raise EstimatorError(f"modality = '{self.modality}': there is {', '.join(sorted(MODALITIES))}")
        split_detector(self.keypoint_detector)
        if self.threads < 1:
            raise EstimatorError(f"threads = {self.threads}: use at least 1")
        try:
            check_device(self.device)
        except BackendError as error:
            raise EstimatorError(f"device = '{self.device}': {error}") from error

    @property
    def needs(self) -> RequiredInputs:
        """Images that the chosen modality uses."""
        return self.needs_of(self.modality)

    def needs_of(self, modality: str) -> RequiredInputs:
        """Images that a modality uses with these settings: the 2D network that finds people uses color."""
        needs = MODALITIES[modality].images
        return replace(needs, color=True) if self.detection.detector == "keypoints" else needs


class TrackerConfigError(ValueError):
    """A setting is out of range; the message names field, value and remedy."""


#: Bounds of the tracker's settings; ``True`` where the lower bound itself is allowed. The upper ones are beyond use.
_TRACKER_BOUNDS: dict[str, tuple[float, bool, float]] = {
    "max_age": (0.0, False, 3600.0),
    "max_gap": (0.0, False, 3600.0),
    "occluded_max_age": (0.0, True, 3600.0),
    "confirm_hits": (1, True, 1000),
    "gate": (0.0, False, 100.0),
    "gate_growth": (0.0, True, 100.0),
    "duplicate_distance": (0.0, True, 100.0),
    "joint_max_age": (0.0, True, 3600.0),
    "side_hold": (0.0, True, 3600.0),
    "smoothing": (0.0, True, 3600.0),
    "fast_motion_threshold": (0.0, False, 100.0),
    "velocity_decay": (0.0, False, 3600.0),
    "max_speed": (0.0, False, 1000.0),
    "process_noise_std": (0.0, True, 100.0),
    "confidence_decay": (0.0, False, 3600.0),
}


@dataclass(frozen=True)
class TrackerConfig:
    """Settings of :class:`~unipose_ros.tracking.NearestTracker`. Times are differences of stamps.

    ``smoothing`` and ``fast_motion_threshold`` were chosen on CMU motion capture (walking, running, climbing) with 15
    to 30 mm of noise at 10 and 30 Hz and on modality ``lookup``, whose errors are mostly not noise:
    more smoothing (0.11 s is the mean with 0.6 of the new value at 10 Hz that is best for A2J on
    ITOP) takes little more of the trembling there and lags behind walkers.

    Attributes:
        max_age: seconds without a sight for which a person keeps the id; a frame counts for a third of this at
            most, so that at low rates, too, a track survives one or two missed detections.
        occluded_max_age: seconds without a sight for which a person's predicted skeleton is published (OCCLUDED).
        max_gap: seconds between two frames after which all tracks are dropped.
        confirm_hits: frames in which a person must be seen before the state leaves NEW.
        gate: meters between prediction and detection up to which they may be the same person.
        gate_growth: meters by which the gate widens for every second the person was not seen.
        duplicate_distance: meters; two detections of one frame closer than this are one person. 0 keeps all.
        joint_max_age: seconds for which a joint that a visible person lacks is predicted, then MISSING.
        side_hold: seconds for which measurements must contradict a track's left and right until they are believed;
            until then they are exchanged. 0 takes every measurement as it is.
        smoothing: time constant in seconds for a joint that moves with its body; 0 switches smoothing off.
        fast_motion_threshold: meters off its prediction at which a joint takes its new position unsmoothed.
        velocity_decay: seconds in which the velocity of an unseen person falls to 1/e.
        max_speed: meters per second; no body is predicted to move faster.
        process_noise_std: standard deviation in meters that a predicted joint gains in the first second
            (it grows with the square root of time).
        confidence_decay: seconds in which the confidence of a predicted joint falls to 1/e.
        seed: makes the ids the same in every run; ``None`` draws others each time.

    Raises:
        TrackerConfigError: a value is not finite or out of range.
    """

    max_age: float = 2.0
    occluded_max_age: float = 0.7
    max_gap: float = 3.0
    confirm_hits: int = 3
    gate: float = 0.5
    gate_growth: float = 1.0
    duplicate_distance: float = 0.2
    joint_max_age: float = 0.2
    side_hold: float = 0.5
    smoothing: float = 0.075
    fast_motion_threshold: float = 0.2
    velocity_decay: float = 0.5
    max_speed: float = 4.0
    process_noise_std: float = 0.5
    confidence_decay: float = 0.5
    seed: int | None = None

    def __post_init__(self) -> None:
        for item in fields(self):
            if item.name in _TRACKER_BOUNDS:
                _check_bound(item.name, getattr(self, item.name), *_TRACKER_BOUNDS[item.name])
        if int(self.confirm_hits) != self.confirm_hits:
            raise TrackerConfigError(f"confirm_hits = {self.confirm_hits}: give a whole number of frames")


def _check_bound(name: str, value: float, low: float, inclusive: bool, high: float) -> None:
    if not low <= value <= high or (value == low and not inclusive):
        relation = "at least" if inclusive else "more than"
        raise TrackerConfigError(f"{name} = {value}: give a number, {relation} {low:g} and at most {high:g}")
