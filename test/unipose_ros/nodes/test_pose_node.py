"""What the node does with what it cannot have back, in process and without frames."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from std_srvs.srv import SetBool, Trigger

from unipose_ros.nodes import pose_node
from unipose_ros.nodes.pose_node import PoseNode
from unipose_ros.ros.session import Session

pytestmark = pytest.mark.ros


class Estimator:
    modality, runtime, notice, last_keypoints = "points", "nothing", "", None

    def __init__(self) -> None:
        self.closed = False
        self.counters: dict[str, int] = {}

    def warm_up(self, camera: Any) -> None:
        pass

    def reset(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def made() -> list[Estimator]:
    return []


@pytest.fixture
def node(made: list[Estimator]) -> Iterator[PoseNode]:
    context = rclpy.Context()
    rclpy.init(context=context, args=[])

    def factory(config: Any) -> Any:
        made.append(Estimator())
        return made[-1]

    pose = PoseNode(factory, context=context)
    assert pose.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert pose.trigger_activate() == TransitionCallbackReturn.SUCCESS
    yield pose
    pose.finish()
    pose.destroy_node()
    rclpy.shutdown(context=context)


def test_an_estimator_that_a_worker_still_uses_is_not_used_again(
    node: PoseNode, made: list[Estimator], monkeypatch: pytest.MonkeyPatch
) -> None:
    close = pose_node.Session.close
    monkeypatch.setattr(pose_node.Session, "close", lambda session: close(session) and False)
    before = node._tracker
    node.trigger_deactivate()
    assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    assert len(made) == 2
    assert not made[0].closed
    assert node._tracker is not before
    # Ids are drawn from one source all the same: none is given twice.
    assert node._tracker._new_id is before._new_id  # type: ignore[attr-defined]


def test_an_estimator_whose_worker_ended_is_used_again(node: PoseNode, made: list[Estimator]) -> None:
    node.trigger_deactivate()
    assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    assert len(made) == 1


def test_what_was_active_before_takes_no_memory(node: PoseNode) -> None:
    gc.collect()
    gc.disable()  # so that only what the node itself does counts
    try:
        for data in (False, True) * 3:
            node._on_enable(SetBool.Request(data=data), SetBool.Response())
        assert sum(isinstance(each, Session) for each in gc.get_objects()) == 1
    finally:
        gc.enable()


def test_enabling_that_fails_is_answered_and_the_node_lives_on(node: PoseNode, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(data: bool) -> Any:
        return node._on_enable(SetBool.Request(data=data), SetBool.Response())

    assert ask(False).success
    with monkeypatch.context() as patch:
        patch.setattr(pose_node, "Session", lambda *_: (_ for _ in ()).throw(ValueError("reliability 'bogus'")))
        answer = ask(True)
        assert not answer.success
        assert "bogus" in answer.message
    assert node.condition == "disabled"
    assert ask(True).success
    assert node.condition == "active"


def until(node: PoseNode, condition: Callable[[], bool]) -> bool:
    """Spin until something is so; False when it does not come about."""
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    for _ in range(200):
        if condition():
            break
        executor.spin_once(timeout_sec=0.05)
    executor.remove_node(node)
    return condition()


def test_another_modality_is_loaded_beside_the_present_one(node: PoseNode, made: list[Estimator]) -> None:
    before = node._session
    (answer,) = node.set_parameters([Parameter("model.modality", value="points")])
    assert answer.successful
    assert until(node, lambda: len(made) == 2 and node._switch is None)
    assert node.running_config.model.modality == "points"
    assert node._session is before
    assert not made[0].closed
    node.trigger_deactivate()
    node.trigger_cleanup()
    assert [estimator.closed for estimator in made] == [True, True]


def test_a_modality_that_cannot_be_loaded_leaves_the_present_one(
    node: PoseNode, made: list[Estimator], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(config: Any) -> Any:
        raise RuntimeError("no weights")

    monkeypatch.setattr(node, "_estimator_factory", broken)
    node.set_parameters([Parameter("model.modality", value="depth")])
    assert until(node, lambda: node._switch is None and "no weights" in node.fault)
    assert node.get_parameter("model.modality").value == "auto"
    assert node.config.model.modality == "auto"
    assert not made[0].closed
    assert not node.set_parameters([Parameter("model.modality", value="dance")])[0].successful


def test_a_modality_whose_images_cannot_be_subscribed_to_leaves_the_present_one(made: list[Estimator]) -> None:
    context = rclpy.Context()
    given = ["model.modality:=depth", "qos_overrides./color/image.subscription.reliability:=bogus",
             "qos_overrides./tf.subscription.reliability:=bogus"]  # fmt: skip
    rclpy.init(context=context, args=["--ros-args", *(word for each in given for word in ("-p", each))])

    def factory(config: Any) -> Any:
        made.append(Estimator())
        return made[-1]

    pose = PoseNode(factory, context=context)
    try:
        assert pose.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert pose.trigger_activate() == TransitionCallbackReturn.SUCCESS
        pose.set_parameters([Parameter("model.modality", value="lookup")])
        assert until(pose, lambda: pose._switch is None and "lookup cannot be loaded" in pose.fault)
        assert "bogus" in pose.fault
        assert (pose.config.model.modality, pose.get_parameter("model.modality").value) == ("depth", "depth")
        assert [estimator.closed for estimator in made] == [False, True]
        assert pose._session is not None
        pose._session._transforms.want()  # as the first depth image of another frame does
        pose._session.watch()  # survived: a timer calls it
        assert pose._session.watch() >= 0
    finally:
        pose.finish()
        pose.destroy_node()
        rclpy.shutdown(context=context)


def test_a_clock_that_goes_back_a_little_keeps_ids_and_pairs(node: PoseNode, monkeypatch: pytest.MonkeyPatch) -> None:
    assert node._session is not None
    jumps: list[str] = []
    monkeypatch.setattr(node._session, "restart", jumps.append)
    node.set_parameters([Parameter("use_sim_time", value=True)])
    clock = node.create_publisher(Clock, "/clock", 10)
    assert until(node, lambda: node.get_clock().ros_time_is_active)
    jumps.clear()

    def at(seconds: float) -> bool:
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(round(seconds * 1e9), 1_000_000_000)

        def arrived() -> bool:
            clock.publish(message)
            return node.get_clock().now().nanoseconds == round(seconds * 1e9)

        return bool(until(node, arrived))

    for seconds in (100.0, 99.999, 100.0, 99.5):
        assert at(seconds)
    assert jumps == []
    assert at(90.0)
    assert jumps == ["the node's clock"]


def test_weights_are_loaded_anew_beside_the_present_ones_and_tracks_stay(node: PoseNode, made: list[Estimator]) -> None:
    tracker = node._tracker
    answer = node._on_reload_weights(Trigger.Request(), Trigger.Response())
    assert answer.success
    assert until(node, lambda: node._switch is None)
    assert len(made) == 2
    assert not made[0].closed  # until the first frame
    assert node._estimator is not None
    assert node._estimator._offered is not None
    assert node._tracker is tracker
    assert node.running_config.model.modality == node.config.model.modality
    node.trigger_deactivate()
    node.trigger_cleanup()
    assert [estimator.closed for estimator in made] == [True, True]


def test_weights_of_a_node_that_is_not_configured_cannot_be_loaded(node: PoseNode, made: list[Estimator]) -> None:
    node.trigger_deactivate()
    node.trigger_cleanup()
    assert not node._on_reload_weights(Trigger.Request(), Trigger.Response()).success
    assert len(made) == 1


def test_parameters_of_the_model_count_with_the_next_configuration(node: PoseNode, made: list[Estimator]) -> None:
    node.set_parameters([Parameter("model.threads", value=3)])
    assert node.running_config.model.threads == 2
    node.trigger_deactivate()
    node.trigger_cleanup()
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert node.running_config.model.threads == 3
    assert len(made) == 2


def test_nothing_is_estimated_for_no_people(node: PoseNode, monkeypatch: pytest.MonkeyPatch) -> None:
    session = node._session
    assert session is not None
    taken: list[int] = []
    monkeypatch.setattr(session._worker, "put", lambda pair: taken.append(pair.stamp_ns))
    pair = SimpleNamespace(stamp_ns=1)
    session._on_pair(pair)  # type: ignore[arg-type]
    assert not taken
    assert "lazy" in node._statistics.texts["idle"]
    node.set_parameters([Parameter("lazy", value=False)])
    session._on_pair(pair)  # type: ignore[arg-type]
    assert taken == [1]
    assert "idle" not in node._statistics.texts
