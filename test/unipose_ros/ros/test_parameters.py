"""Parameters come from the dataclasses, are checked, and are the file's defaults."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import rclpy
import yaml
from rclpy.node import Node
from rclpy.parameter import Parameter

from unipose_ros.networks.registry import NETWORKS
from unipose_ros.ros.parameters import NodeConfig, ParameterError, Parameters, parameter

pytestmark = pytest.mark.ros
CONFIG = Path(__file__).resolve().parents[3] / "config" / "unipose.yaml"


@dataclass(frozen=True)
class Inner:
    """A group.

    Attributes:
        speed: meters per second
            that are allowed.
        seed: number; ``None`` for another each time.
    """

    speed: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.speed > 5:
            raise ValueError(f"speed = {self.speed}: too fast")


@dataclass(frozen=True)
class Outer:
    """Two groups and a value."""

    inner: Inner = field(default_factory=Inner)
    fixed: Inner = field(default_factory=Inner)
    color: str = parameter("red", "of the thing", choices=("red", "blue"))
    count: int = parameter(3, "how many", low=1, high=9)


@pytest.fixture
def context() -> Iterator[rclpy.Context]:
    made = rclpy.Context()
    rclpy.init(context=made, args=[])
    yield made
    rclpy.shutdown(context=made)


def node_with(context: rclpy.Context, **overrides: object) -> Node:
    given = [Parameter(name.replace("__", "."), value=value) for name, value in overrides.items()]
    return Node("unit", context=context, parameter_overrides=given, start_parameter_services=False)


def test_overrides_reach_the_dataclass(context: rclpy.Context) -> None:
    node = node_with(context, inner__speed=2.0, inner__seed=7, color="blue")
    current = Parameters(node, Outer(), fixed=("fixed",)).current
    assert current == Outer(inner=Inner(2.0, 7), color="blue")


def test_descriptions_ranges_and_what_cannot_change(context: rclpy.Context) -> None:
    node = node_with(context)
    Parameters(node, Outer(), fixed=("fixed",))
    assert node.describe_parameter("inner.speed").description == "meters per second that are allowed."
    assert node.describe_parameter("inner.seed").description == "number; -1 for another each time."
    assert node.describe_parameter("fixed.speed").read_only
    assert not node.describe_parameter("inner.speed").read_only
    assert node.describe_parameter("count").integer_range[0].to_value == 9
    assert node.get_parameter("inner.seed").value == -1


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"inner__speed": 9.0}, r"parameter 'inner.speed' = 9.0: speed = 9.0: too fast"),
        ({"color": "green"}, r"parameter 'color' = 'green': use one of red, blue"),
        ({"count": 0}, r"parameter 'count': use a whole number from 1 to 9"),
        ({"count": "many"}, r"parameter 'count': use a whole number from 1 to 9"),
    ],
)
def test_a_bad_start_names_parameter_value_and_remedy(
    context: rclpy.Context, overrides: dict[str, object], words: str
) -> None:
    with pytest.raises(ParameterError, match=words):
        Parameters(node_with(context, **overrides), Outer())


def test_the_word_off_survives_yaml(context: rclpy.Context) -> None:
    node = node_with(context, tf__mode=False)
    parameters = Parameters(node, NodeConfig())
    assert parameters.current.tf.mode == "off"
    assert node.set_parameters([Parameter("tf.mode", value="root")])[0].successful
    assert node.set_parameters([Parameter("tf.mode", value=False)])[0].successful
    assert parameters.current.tf.mode == "off"
    assert not node.set_parameters([Parameter("tf.mode", value=True)])[0].successful
    assert not node.set_parameters([Parameter("tf.mode", value=3)])[0].successful


def test_changes_are_taken_together_or_not_at_all(context: rclpy.Context) -> None:
    node = node_with(context)
    parameters = Parameters(node, Outer())
    before = parameters.current
    bad = node.set_parameters_atomically([Parameter("color", value="blue"), Parameter("inner.speed", value=6.0)])
    assert not bad.successful
    assert "inner.speed" in bad.reason
    assert parameters.current is before
    good = node.set_parameters_atomically([Parameter("color", value="blue"), Parameter("inner.speed", value=4.0)])
    assert good.successful
    assert parameters.current == Outer(inner=Inner(4.0), color="blue")
    assert before == Outer()


def flat(config: object, prefix: str = "") -> dict[str, object]:
    result: dict[str, object] = {}
    for item in dataclasses.fields(config):  # type: ignore[arg-type]
        value = getattr(config, item.name)
        nested = (
            flat(value, f"{prefix}{item.name}.") if dataclasses.is_dataclass(value) else {prefix + item.name: value}
        )
        result |= nested
    return result


def flat_yaml(tree: dict[str, object], prefix: str = "") -> dict[str, object]:
    result: dict[str, object] = {}
    for name, value in tree.items():
        result |= flat_yaml(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return result


def test_the_parameter_file_holds_every_parameter_with_its_default(context: rclpy.Context) -> None:
    file = flat_yaml(yaml.safe_load(CONFIG.read_text())["/**"]["ros__parameters"])
    assert file.pop("autostart") is True
    node = node_with(context)
    Parameters(node, NodeConfig())
    declared = {name: node.get_parameter(name).value for name in flat(NodeConfig())}
    weights = {name for name in declared if name.startswith("model.weights.")}
    assert {name.rpartition(".")[2] for name in weights} == {*NETWORKS, "rgbd"}
    declared = {name: value for name, value in declared.items() if name not in weights}
    assert file == declared
    assert {name: type(value) for name, value in file.items()} == {k: type(v) for k, v in declared.items()}


def test_every_parameter_is_described(context: rclpy.Context) -> None:
    node = node_with(context)
    Parameters(node, NodeConfig())
    silent = [name for name in flat(NodeConfig()) if not node.describe_parameter(name).description]
    assert silent == []
