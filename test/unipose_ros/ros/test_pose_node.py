"""What the node does with what it cannot have back, in process and without frames."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import rclpy
from rclpy.lifecycle import TransitionCallbackReturn
from std_srvs.srv import SetBool

from unipose_ros.nodes import pose_node
from unipose_ros.nodes.pose_node import PoseNode

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
