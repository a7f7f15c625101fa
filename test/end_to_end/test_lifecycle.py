"""The node's life cycle as its users drive it: through services, and by starting it wrongly."""

from __future__ import annotations

import signal
import time

import pytest
from lifecycle_msgs.msg import Transition
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import DescribeParameters, SetParameters
from rig import PATIENCE, Rig, diagnostics, end, output, ros_process, shoot

from unipose_ros.msg import Skeleton

pytestmark = [pytest.mark.e2e, pytest.mark.ros]

BY_HAND = ("--ros-args", "-p", "autostart:=false")
INPUTS = ("color/image", "color/camera_info", "depth/image", "depth/camera_info")


def test_it_goes_up_and_down_and_up_again(rig: Rig) -> None:
    with ros_process(*BY_HAND) as process:
        assert rig.state() == "unconfigured"
        assert "ros2 lifecycle set /unipose configure" in output(process)
        assert rig.change_state(Transition.TRANSITION_CONFIGURE)
        assert rig.state() == "inactive"
        assert subscriptions(rig) == [0, 0, 0, 0]
        assert rig.change_state(Transition.TRANSITION_ACTIVATE)
        rig.wait_for(lambda: subscriptions(rig) == [1, 1, 1, 1], "the subscriptions")
        rig.connected()
        first = shoot(rig, 80).skeletons[0].id
        assert rig.change_state(Transition.TRANSITION_DEACTIVATE)
        rig.wait_for(lambda: not rig.received["skeletons"][-1].skeletons, "the empty message")
        rig.wait_for(lambda: subscriptions(rig) == [0, 0, 0, 0], "the subscriptions to end")
        assert rig.change_state(Transition.TRANSITION_CLEANUP)
        assert rig.state() == "unconfigured"
        assert rig.change_state(Transition.TRANSITION_CONFIGURE)
        assert rig.change_state(Transition.TRANSITION_ACTIVATE)
        rig.connected()
        assert shoot(rig, 80).skeletons[0].id != first
        assert rig.change_state(Transition.TRANSITION_ACTIVE_SHUTDOWN)
        assert rig.state() == "finalized"
        assert end(process, signal.SIGINT) == 0


def subscriptions(rig: Rig) -> list[int]:
    return [rig.node.count_subscribers(topic) for topic in INPUTS]


def test_a_transition_that_is_not_possible_is_refused_and_survived(rig: Rig) -> None:
    with ros_process(*BY_HAND) as process:
        assert not rig.change_state(Transition.TRANSITION_ACTIVATE)
        assert not rig.change_state(Transition.TRANSITION_CLEANUP)
        assert not rig.change_state(99)
        assert rig.state() == "unconfigured"
        assert rig.change_state(Transition.TRANSITION_CONFIGURE)
        assert not rig.change_state(Transition.TRANSITION_CONFIGURE)
        assert rig.state() == "inactive"
        assert "refused in state" in output(process)


def test_a_failed_configuration_leaves_nothing_and_can_be_repeated(rig: Rig) -> None:
    with ros_process(*BY_HAND, BLOB_FAILS_TO_LOAD="2") as process:
        before = topics(rig)
        assert not rig.change_state(Transition.TRANSITION_CONFIGURE)
        assert not rig.change_state(Transition.TRANSITION_CONFIGURE)
        assert rig.state() == "unconfigured"
        assert topics(rig) == before
        assert "unipose download movenet" in output(process)
        diagnostics(rig, "skeletons", lambda v, s: s.level == b"\x02" and "unipose download movenet" in s.message)
        assert rig.change_state(Transition.TRANSITION_CONFIGURE)
        assert rig.change_state(Transition.TRANSITION_ACTIVATE)
        rig.connected()
        assert len(shoot(rig, 80).skeletons) == 1
        assert rig.node.count_publishers("unipose/skeletons") == 1


def topics(rig: Rig) -> set[str]:
    names = {name for name, _ in rig.node.get_topic_names_and_types()}
    return {name for name in names if rig.node.count_subscribers(name) and name.startswith(("/color", "/depth"))}


def test_a_failed_activation_leaves_nothing_subscribed(rig: Rig) -> None:
    wrong = ("-p", "qos_overrides./depth/image.subscription.reliability:=perhaps")
    with ros_process(*BY_HAND, *wrong):
        assert rig.change_state(Transition.TRANSITION_CONFIGURE)
        assert not rig.change_state(Transition.TRANSITION_ACTIVATE)
        assert rig.state() == "inactive"
        rig.wait_for(lambda: subscriptions(rig) == [0, 0, 0, 0], "no subscription to be left")


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        ((), {"BLOB_FAILS_TO_LOAD": "1"}, "cannot configure: the weights are absent; run 'unipose download movenet'"),
        (("tf.mode:=all",), {}, "parameter 'tf.mode' = 'all': use one of off, root, joints"),
        (("markers.lifetime:=-1.0",), {}, "parameter 'markers.lifetime': use a number with a decimal point from 0.0"),
        (("track.gate:=0.0",), {}, "parameter 'track.gate' = 0.0"),
        (("qos_overrides./depth/image.subscription.reliability:=perhaps",), {}, "cannot activate: Unexpected QoS"),
        (("track.gate:=wide",), {}, "parameter 'track.gate': use a number with a decimal point"),
    ],
)
def test_a_start_that_cannot_be_ends_with_one_line(
    arguments: tuple[str, ...], environment: dict[str, str], words: str
) -> None:
    options = [word for argument in arguments for word in ("-p", argument)]
    with ros_process("--ros-args", *options, **environment) as process:
        assert process.wait(PATIENCE) == 1
        assert words in output(process)
        assert "Traceback" not in output(process)


def test_parameters_describe_themselves_and_change_at_run_time(rig: Rig) -> None:
    with ros_process():
        rig.connected()
        request = DescribeParameters.Request(names=["tf.mode", "model.modality", "track.max_age", "markers.lifetime"])
        tf_mode, modality, max_age, lifetime = rig.call(
            DescribeParameters, "unipose/describe_parameters", request
        ).descriptors
        assert "joints" in tf_mode.additional_constraints
        assert not modality.read_only
        assert "seconds" in max_age.description
        assert lifetime.floating_point_range[0].to_value == 60.0
        shoot(rig, 80)
        assert set_parameter(rig, "tf.mode", "off").successful
        rig.received["/tf"].clear()
        shoot(rig, 80)
        shoot(rig, 80)
        assert rig.received["/tf"] == []
        refused = set_parameter(rig, "tf.mode", "everything")
        assert not refused.successful
        assert "use one of off, root, joints" in refused.reason
        assert not set_parameter(rig, "model.modality", "dance").successful
        refused = set_parameter(rig, "track.gate", -1.0)
        assert "give a number, more than 0" in refused.reason
        # Whoever stood at 80 is still tracked, occluded.
        stamp_ns = time.time_ns()
        known = shoot(rig, 60, stamp_ns=stamp_ns).skeletons
        before = next(each.id for each in known if each.state != Skeleton.OCCLUDED)
        assert set_parameter(rig, "track.gate", 0.05).successful
        # Half a meter on; the old gate would have let it pass. The gate grows with time: a thirtieth of a second later,
        # however long the answer took.
        far = shoot(rig, 40, stamp_ns=stamp_ns + 33_000_000).skeletons
        assert before not in {person.id for person in far if person.state != Skeleton.OCCLUDED}
        assert set_parameter(rig, "tf.mode", "root").successful
        shoot(rig, 80)
        rig.wait_for(lambda: rig.received["/tf"], "transforms again")


def test_a_modality_is_switched_while_frames_come(rig: Rig) -> None:
    """Every frame is answered, by people of the same ids."""
    with ros_process() as process:
        rig.connected()
        before = shoot(rig, 80).skeletons[0].id
        assert set_parameter(rig, "model.modality", "rgbd").successful
        people = [shoot(rig, 80).skeletons for _ in range(5)]
        rig.wait_for(lambda: "takes over" in output(process), "the other modality")
        people += [shoot(rig, 80).skeletons for _ in range(5)]
        assert {person.id for each in people for person in each} == {before}


def test_ctrl_c_ends_a_node_that_is_loading(rig: Rig) -> None:
    with ros_process(BLOB_LOADS_FOR="300") as process:
        rig.wait_for(lambda: "unipose" in rig.node.get_node_names(), "the node")
        time.sleep(1.0)  # until then it is made, and would end by the signal itself
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        assert "stopped while loading" in output(process)


def set_parameter(rig: Rig, name: str, value: str | float):
    if isinstance(value, str):
        setting = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=value)
    else:
        setting = ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=value)
    request = SetParameters.Request(parameters=[Parameter(name=name, value=setting)])
    return rig.call(SetParameters, "unipose/set_parameters", request).results[0]
