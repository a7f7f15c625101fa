"""ROS parameters from frozen dataclasses: one field, one parameter.

The description comes from the field's metadata or from the ``Attributes:`` section of the
dataclass's docstring; ranges and choices from the metadata; the last word has the
dataclass's own ``__post_init__``.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from unipose_ros.estimator import EstimatorConfig
from unipose_ros.tracking import TrackerConfig

Config = TypeVar("Config")


class ParameterError(ValueError):
    """A parameter cannot be used; the text names it, its value and the remedy."""


def parameter(
    default: Any,
    description: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    read_only: bool = False,
) -> Any:
    """A dataclass field that says what its parameter may be; range and choices include their ends."""
    metadata = {"description": description, "low": low, "high": high, "choices": choices, "read_only": read_only}
    return dataclasses.field(default=default, metadata=metadata)


class Parameters:
    """Declares a configuration on a node and keeps the current one as an immutable snapshot.

    Args:
        node: gets the parameters.
        default: a dataclass whose fields are values or, as groups, further dataclasses.
        fixed: groups and single parameters that cannot change while the node runs.

    Raises:
        ParameterError: an override from the command line or a file is not valid.
    """

    def __init__(self, node: Node, default: Any, fixed: Iterable[str] = ()) -> None:
        self._fixed = tuple(fixed)
        #: Hears of every accepted change: the configuration before it, and after it.
        self.on_change: Callable[[Any, Any], None] = lambda before, after: None
        for name, value, entry in _flatten(default):
            default = replace(default, name, self._declare(node, name, value, entry))
        self.current = default
        node.add_on_set_parameters_callback(self._on_set)

    def _declare(self, node: Node, name: str, value: Any, field: dataclasses.Field[Any]) -> Any:
        fixed = any(name == part or name.startswith(f"{part}.") for part in self._fixed)
        read_only = fixed or field.metadata.get("read_only", False)
        try:
            descriptor = _descriptor(field, value, read_only)
            declared = _meant(node.declare_parameter(name, _to_ros(value, field), descriptor).value, field)
            check_choice(name, declared, field)
        except (InvalidParameterValueException, InvalidParameterTypeException) as error:
            raise ParameterError(f"parameter '{name}': {_allowed(field, value)}; {error}") from error
        return declared

    def _on_set(self, parameters: Sequence[Parameter]) -> SetParametersResult:
        """Validate a change as a whole; the worker sees it with its next frame."""
        known = {name: field for name, _, field in _flatten(self.current)}
        candidate = self.current
        try:
            for changed in parameters:
                if changed.name in known:
                    value = _meant(changed.value, known[changed.name])
                    check_choice(changed.name, value, known[changed.name])
                    candidate = replace(candidate, changed.name, value)
        except (ParameterError, TypeError) as error:
            return SetParametersResult(successful=False, reason=str(error))
        before, self.current = self.current, candidate
        self.on_change(before, candidate)
        return SetParametersResult(successful=True)


def replace(config: Config, name: str, value: Any) -> Config:
    """The configuration with one (dotted) field changed.

    Raises:
        ParameterError: the dataclass that holds the field refuses the value.
    """
    try:
        return _replace(config, name.split("."), value)
    except (TypeError, ValueError) as error:  # TypeError: a parameter without a value
        raise ParameterError(f"parameter '{name}' = {value!r}: {error}") from error


def _replace(config: Config, path: Sequence[str], value: Any) -> Config:
    name, *rest = path
    inner = _replace(getattr(config, name), rest, value) if rest else _from_ros(value, config, name)
    return dataclasses.replace(config, **{name: inner})  # type: ignore[type-var]  # only dataclasses come here


def check_choice(name: str, value: Any, field: dataclasses.Field[Any]) -> None:
    """Refuse a value that is not one of the field's choices; ROS itself only knows ranges of numbers.

    Raises:
        ParameterError: names the parameter and what it takes.
    """
    choices = field.metadata.get("choices", ())
    if choices and value not in choices:
        raise ParameterError(f"parameter '{name}' = {value!r}: {_allowed(field, value)}")


def _meant(value: Any, field: dataclasses.Field[Any]) -> Any:
    """What YAML, and so ROS's command line, reads as something else where it is a choice of words: ``off``, ``180``."""
    choices = field.metadata.get("choices", ())
    if value is False and "off" in choices:
        return "off"
    return str(value) if isinstance(value, int) and str(value) in choices else value


def _flatten(config: Any, prefix: str = "") -> Iterator[tuple[str, Any, dataclasses.Field[Any]]]:
    for entry in dataclasses.fields(config):
        value = getattr(config, entry.name)
        if dataclasses.is_dataclass(value):
            yield from _flatten(value, f"{prefix}{entry.name}.")
        else:
            metadata = {"description": _documented(type(config), entry.name), **entry.metadata}
            described = dataclasses.field(metadata=metadata)
            described.type = entry.type
            yield prefix + entry.name, value, described


def _documented(owner: type, name: str) -> str:
    """What the docstring's ``Attributes:`` section says about a field."""
    found = re.search(rf"^ +{name}: (.*?)(?=^ +\w+(?:, \w+)*: |^\s*$|\Z)", owner.__doc__ or "", re.M | re.S)
    return " ".join(found.group(1).replace("``", "'").split()) if found else ""


def _descriptor(field: dataclasses.Field[Any], value: Any, read_only: bool) -> ParameterDescriptor:
    about = field.metadata
    unset = _unset(field.type)
    # ROS has no null: a description that says what None does says it of the number or text that stands for it.
    text = about["description"].replace("'None'", repr(unset))
    note = "" if unset is None or text != about["description"] else f" ({unset!r}: not set)"
    descriptor = ParameterDescriptor(description=text + note, read_only=read_only)
    if about.get("choices"):
        descriptor.additional_constraints = _allowed(field, value)
        descriptor.dynamic_typing = any(word == "off" or word.isdigit() for word in about["choices"])  # see _meant
    if about.get("low") is not None and isinstance(value, float):
        span = FloatingPointRange(from_value=float(about["low"]), to_value=float(about["high"]))
        descriptor.floating_point_range = [span]
    elif about.get("low") is not None:
        descriptor.integer_range = [IntegerRange(from_value=int(about["low"]), to_value=int(about["high"]), step=1)]
    return descriptor


def _allowed(field: dataclasses.Field[Any], value: Any) -> str:
    about = field.metadata
    if about.get("choices"):
        return f"use one of {', '.join(about['choices'])}"
    span = f" from {about['low']} to {about['high']}" if about.get("low") is not None else ""
    return f"use {_KINDS[type(_to_ros(value, field))]}{span}"


#: ROS takes 1 for an integer where 1.0 is wanted, and refuses it: the remedy has to say so.
_KINDS = {int: "a whole number", float: "a number with a decimal point", bool: "true or false", str: "a text"}

#: ROS has no null: what stands for "not set" in the parameter of an optional field.
_UNSET: Mapping[str, Any] = {"int": -1, "float": -1.0, "str": ""}


def _unset(annotation: Any) -> Any:
    """The stand-in for ``None`` in a field of type ``int | None``; ``None`` where the field is not optional."""
    kinds = [kind.strip() for kind in str(annotation).split("|")]
    return _UNSET[kinds[0]] if "None" in kinds else None


def _to_ros(value: Any, field: dataclasses.Field[Any]) -> Any:
    if value is None:
        return _unset(field.type)
    return list(value) if isinstance(value, tuple) else value


def _from_ros(value: Any, config: Any, name: str) -> Any:
    annotation = next(field.type for field in dataclasses.fields(config) if field.name == name)
    unset = _unset(annotation)
    if unset is not None and value == unset:
        return None
    return tuple(value) if isinstance(getattr(config, name), tuple) else value


# What can be set on the node, as validated, immutable data; one dataclass per parameter group.


@dataclass(frozen=True)
class InputConfig:
    """Where frames come from; fixed once the node runs, because the subscriptions depend on it."""

    source: str = parameter(
        "depth", "where depth comes from: a depth image, or a point cloud in the color camera's frame",
        choices=("depth", "points"), read_only=True,
    )  # fmt: skip
    color_transport: str = parameter(
        "raw",
        "transport of the color image; raw: color/image, compressed: color/image/compressed",
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
    qos: str = parameter(
        "sensor", "quality of service of all inputs; sensor: best effort, depth 5, which any publisher serves; "
        "reliable: lost messages are repaired, depth 10. qos_overrides of a topic win",
        choices=("sensor", "reliable"), read_only=True,
    )  # fmt: skip
    sync_slop: float = parameter(
        0.0, "seconds; images with stamps less apart than this are one frame; 0: half of the measured frame period",
        low=0.0, high=1.0, read_only=True,
    )  # fmt: skip
    sync_queue_size: int = parameter(10, "messages kept per topic while waiting for their partner", low=1, high=100,
                                read_only=True)  # fmt: skip
    single_image_timeout: float = parameter(
        0.5, "seconds; in modality auto, an image is used alone when the other has not come for so long",
        low=0.05, high=60.0, read_only=True,
    )  # fmt: skip
    mounting: str = parameter(
        "auto", "degrees by which the images are to be turned clockwise to be upright: 180 for a camera that hangs "
        "upside down; tf: by gravity, from the transforms between the camera and input.gravity_frame; auto: 0, until "
        "people are clearly seen better otherwise",
        choices=("auto", "0", "90", "180", "270", "tf"), read_only=True,
    )  # fmt: skip
    gravity_frame: str = parameter(
        "", "with mounting tf: a frame whose z points up; empty: the uppermost one of the camera's tree", read_only=True
    )
    timeout: float = parameter(
        3.0, "seconds without a frame until one warning says what is missing", low=0.1, high=60.0
    )


@dataclass(frozen=True)
class TfConfig:
    """Frames broadcast for every person, and the robot's frames that are used."""

    mode: str = parameter(
        "root", "off: none; root: body_<id> only; joints: also <joint>_<id> (RViz slows down at some hundred frames)",
        choices=("off", "root", "joints"),
    )  # fmt: skip
    prefix: str = parameter(
        "", "put before the names of all frames; with one for each camera, no two nodes' frames have the same name"
    )
    target_frame: str = parameter(
        "", "frame of the published skeletons and markers, such as base_link or map; empty: the image's optical frame"
    )
    fixed_frame: str = parameter(
        "", "a frame that stands still, such as odom or map, in which people are followed while the camera moves; "
        "empty: the camera is taken to stand still"
    )  # fmt: skip
    timeout: float = parameter(
        0.05, "seconds to wait at most for each transform at the image's stamp", low=0.0, high=1.0
    )


@dataclass(frozen=True)
class MarkersConfig:
    """How people look in RViz."""

    enabled: bool = parameter(True, "publish markers")
    joint_diameter: float = parameter(0.05, "diameter of the joint spheres in meters", low=0.005, high=0.5)
    bone_width: float = parameter(0.025, "width of the bone lines in meters", low=0.002, high=0.5)
    labels: bool = parameter(True, "write the id above the head")
    bodies: bool = parameter(True, "bodies of capsules, the more opaque the more confident")
    covariances: bool = parameter(False, "an ellipsoid for each joint that holds it with a probability of 95 %")
    velocities: bool = parameter(False, "an arrow for each person to where they will be in a second")
    lifetime: float = parameter(
        2.0, "seconds until RViz forgets a marker should the node die; 0 keeps it", low=0.0, high=60.0
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

    lazy: bool = parameter(
        True,
        "estimate only while an output has a subscriber; with tf.mode other than off a subscriber of /tf counts",
    )
    max_rate: float = parameter(
        0.0, "at most so many frames a second are processed, evenly over time; 0: all", low=0.0, high=1000.0
    )
    input: InputConfig = field(default_factory=InputConfig)
    model: EstimatorConfig = field(default_factory=EstimatorConfig)
    track: TrackerConfig = field(default_factory=TrackerConfig)
    tf: TfConfig = field(default_factory=TfConfig)
    markers: MarkersConfig = field(default_factory=MarkersConfig)
    diagnostics: DiagnosticsConfig = field(default_factory=DiagnosticsConfig)
