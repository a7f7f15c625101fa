"""The diagnostics tell what is wrong, and only then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from ros_samples import Hand

from unipose_ros.ros.diagnostics import Condition, build_diagnostics
from unipose_ros.ros.monitoring import Statistics
from unipose_ros.ros.parameters import NodeConfig, replace

pytestmark = pytest.mark.ros
ACTIVE = Condition("/unipose", "active", runtime="onnxruntime on cpu")
OK, WARN, STALE = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.STALE


@pytest.fixture
def running(hand: Hand) -> Statistics:
    """Three seconds of 10 Hz."""
    statistics = Statistics(clock=hand)
    for _ in range(30):
        hand.now += 0.1
        for event in ("color_received", "depth_received", "paired", "published"):
            statistics.tick(event)
        statistics.durations({"network": 20.0, "latency": 30.0, "pair_offset": 0.0})
    statistics.set("people", 2)
    return statistics


def statuses(
    statistics: Statistics, condition: Condition = ACTIVE, modality: str = "lookup"
) -> tuple[DiagnosticStatus, DiagnosticStatus]:
    config = replace(NodeConfig(), "model.modality", modality)
    incoming, outgoing = build_diagnostics(5, condition, statistics, config).status
    return incoming, outgoing


def values(status: DiagnosticStatus) -> dict[str, str]:
    return {item.key: item.value for item in status.values}


def test_all_is_well(running: Statistics) -> None:
    incoming, outgoing = statuses(running)
    assert (incoming.level, outgoing.level) == (OK, OK)
    assert incoming.name == "/unipose: input"
    assert values(incoming)["color rate (Hz)"] == "10.0"
    told = values(outgoing)
    assert (told["people"], told["latency p95 (ms)"], told["network p50 (ms)"]) == ("2", "30.0", "20.0")
    assert (told["modality"], told["runtime"]) == ("lookup", "onnxruntime on cpu")
    assert int(told["memory (MB)"]) > 0


def test_drops_warn_until_they_stop(running: Statistics, hand: Hand) -> None:
    running.drop("size")
    running.tick("bad_input")
    incoming, _ = statuses(running)
    assert (incoming.level, incoming.message) == (WARN, "inputs are dropped: size")
    hand.now += 5
    incoming, _ = statuses(running)
    assert incoming.level == OK
    assert values(incoming)["dropped: size"] == "1"


def test_overtaken_frames_are_no_fault(running: Statistics) -> None:
    running.drop("superseded")
    assert statuses(running)[0].level == OK


def test_silence_is_stale(running: Statistics, hand: Hand) -> None:
    hand.now += 10
    incoming, outgoing = statuses(running, Condition("/unipose", "active", waited=10.0))
    assert (incoming.level, outgoing.level) == (STALE, STALE)
    assert "10.0 s" in incoming.message


def test_slowness_warns(running: Statistics) -> None:
    for _ in range(300):
        running.durations({"latency": 900.0})
    _, outgoing = statuses(running)
    assert outgoing.level == WARN
    assert "900 ms" in outgoing.message


def test_a_node_that_is_not_active_is_no_fault() -> None:
    incoming, outgoing = statuses(Statistics(), Condition("/unipose", "unconfigured"))
    assert (incoming.level, outgoing.level) == (OK, OK)
    assert incoming.message == "unconfigured"


def test_a_modality_that_falls_back_warns_and_says_what_it_uses(running: Statistics) -> None:
    running.say("modality in use", "rgb")
    running.say("notice", "no depth image: rgb takes over")
    _, outgoing = statuses(running, modality="auto")
    assert (outgoing.level, outgoing.message) == (WARN, "no depth image: rgb takes over")
    told = values(outgoing)
    assert (told["modality"], told["modality in use"]) == ("auto", "rgb")


@pytest.mark.parametrize(
    ("modality", "heard", "awaited"),
    [
        ("points", {"depth"}, "image of depth"), ("rgb", {"color"}, "image of color"),
        ("auto", {"color", "depth"}, "image of color or depth"), ("lookup", {"color", "depth"}, "pair of color and"),
    ],
)  # fmt: skip
def test_only_topics_that_are_listened_to_are_reported(
    running: Statistics, modality: str, heard: set[str], awaited: str
) -> None:
    incoming, _ = statuses(running, Condition("/unipose", "active", waited=10.0), modality)
    assert awaited in incoming.message
    assert {name for name in ("color", "depth") if f"{name} rate (Hz)" in values(incoming)} == heard


def test_a_network_that_cannot_be_loaded_is_an_error() -> None:
    fault = "cannot configure: points.safetensors is damaged"
    incoming, outgoing = statuses(Statistics(), Condition("/unipose", "unconfigured", fault=fault))
    assert incoming.level == OK
    assert (outgoing.level, outgoing.message) == (DiagnosticStatus.ERROR, fault)


def test_each_cameras_status_names_its_camera() -> None:
    statistics = Statistics()
    before = build_diagnostics(0, Condition("/front/unipose", "active"), statistics, NodeConfig())
    statistics.say("camera", "front_color_optical_frame")
    after = build_diagnostics(0, Condition("/front/unipose", "active"), statistics, NodeConfig())
    assert {status.hardware_id for status in before.status} == {"/front/unipose"}
    assert {status.hardware_id for status in after.status} == {"front_color_optical_frame"}


def test_resting_without_subscribers_is_no_fault() -> None:
    statistics = Statistics()
    statistics.say("idle", "no subscriber")
    array = build_diagnostics(0, Condition("/unipose", "active"), statistics, NodeConfig())
    assert array.status[1].level == DiagnosticStatus.OK
    assert array.status[1].message == "no subscriber"


#: Parameters of diagnostic_aggregator 4.0 (aggregator.cpp, generic_analyzer.cpp). It reads each as exactly this type,
#: and dies of another one.
AGGREGATOR = {"path": str, "pub_rate": float, "other_as_errors": bool, "history_depth": int, "critical": bool}
MATCHERS = ("startswith", "contains", "expected", "regex", "find_and_remove_prefix")
ANALYZER = {"type": str, "path": str, "timeout": float, "num_items": int, "discard_stale": bool} | dict.fromkeys(
    (*MATCHERS, "remove_prefix"), list
)


def test_the_shipped_aggregator_file_is_what_the_aggregator_reads_and_takes_our_names() -> None:
    file = Path(__file__).resolve().parents[3] / "config" / "diagnostic_aggregator.yaml"
    analyzers: dict[str, dict[str, Any]] = {}
    for name, value in aggregators_parameters(file).items():
        analyzer, _, key = name.rpartition(".")
        assert type(value) is (ANALYZER if analyzer else AGGREGATOR)[key], name
        if analyzer:
            analyzers.setdefault(analyzer, {})[key] = value
    (ours,) = analyzers.values()
    assert ours["type"] == "diagnostic_aggregator/GenericAnalyzer"
    for name in ("/unipose", "/front/unipose", "/rear/unipose"):
        for status in build_diagnostics(0, Condition(name, "active"), Statistics(), NodeConfig()).status:
            assert any(part in status.name for part in ours["contains"])
    # A status that is discarded when it is stale hides that its node is dead.
    assert not ours.get("discard_stale", False)
    assert ours["timeout"] > 2 * NodeConfig().diagnostics.period


def aggregators_parameters(file: Path) -> dict[str, Any]:
    """As it gets them: through rcl, by its node's name. Those that every node has are left out."""
    context = rclpy.Context()
    rclpy.init(context=context, args=["--ros-args", "--params-file", str(file)])
    try:
        node = rclpy.create_node("analyzers", context=context, automatically_declare_parameters_from_overrides=True)
        given = node.get_parameters_by_prefix("")
        node.destroy_node()
    finally:
        rclpy.shutdown(context=context)
    own = ("use_sim_time", "start_type_description_service")
    found = {name: parameter.value for name, parameter in given.items() if name not in own}
    assert found
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}
