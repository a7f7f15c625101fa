"""What a node's executor looks at only now and then, and only once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import rclpy
from rclpy.node import Node
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from unipose_ros.ros.lifecycle import ManagedNode, QuietExecutor, spin

pytestmark = pytest.mark.ros


@pytest.fixture
def node() -> Iterator[ManagedNode]:
    rclpy.init()
    made = ManagedNode("seldom")
    yield made
    made.destroy_node()
    rclpy.try_shutdown()


def test_services_and_events_are_open_once_in_a_while_and_the_rest_always(node: ManagedNode) -> None:
    group = node.default_callback_group
    service = next(iter(node.services))
    event = next(iter(node.create_publisher(Header, "any", 1).event_handlers))
    timer = node.create_timer(1.0, lambda: None)
    subscription = node.create_subscription(Header, "any", lambda message: None, 1)

    def looked(now: float) -> list[bool]:
        group.begin(now)
        return [group.can_execute(entity) for entity in (service, event, timer, subscription)]

    # Without anyone who begins, all are: any executor can spin the node.
    assert [group.can_execute(entity) for entity in (service, event, timer)] == [True] * 3
    assert [looked(10 + 0.021 * number)[:2] for number in range(7)] == [[False] * 2] * 5 + [[True] * 2] + [[False] * 2]
    assert looked(10.14)[2:] == [True, True]
    # Rclpy may hand out what it found before, and look at nothing: that does not count as a look.
    group.begin(20.0)
    group.begin(20.0)
    assert group.can_execute(service)


def test_a_service_is_answered_and_no_message_is_lost_while_messages_come(node: ManagedNode) -> None:
    got: list[Any] = []
    node.create_subscription(Header, "busy", got.append, 100)

    def answer(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = True
        return response

    node.create_service(Trigger, "ask", answer)
    stop = threading.Event()
    thread = threading.Thread(target=spin, args=(node, stop))
    thread.start()
    asking = Node("asking")
    client, publisher = asking.create_client(Trigger, "ask"), asking.create_publisher(Header, "busy", 100)
    assert client.wait_for_service(10.0)
    until = time.monotonic() + 10
    while not publisher.get_subscription_count() and time.monotonic() < until:
        time.sleep(0.01)
    sent, future = 0, client.call_async(Trigger.Request())
    while not future.done() and time.monotonic() < until:
        publisher.publish(Header(frame_id=str(sent)))
        sent += 1
        rclpy.spin_once(asking, timeout_sec=0.005)
    assert future.result().success
    while len(got) < sent and time.monotonic() < until:
        time.sleep(0.01)
    assert [message.frame_id for message in got] == [str(number) for number in range(sent)]
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
    asking.destroy_node()


def test_after_a_callback_the_executor_waits_for_the_next_message(
    node: ManagedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[None] = []
    timer = node.create_timer(0.01, lambda: called.append(None))
    executor = QuietExecutor()
    executor.add_node(node)
    while not called:
        executor.spin_once(timeout_sec=1.0)
    timer.cancel()
    executor.spin_once(timeout_sec=0.0)  # what the timer's own end and the node's beginning have woken
    node.create_guard_condition(lambda: called.append(None)).trigger()
    looks: list[None] = []
    gather = executor.get_nodes

    def counted() -> Any:
        looks.append(None)
        return gather()

    monkeypatch.setattr(executor, "get_nodes", counted)
    executor.spin_once(timeout_sec=1.0)
    assert len(called) == 2
    executor.spin_once(timeout_sec=0.05)
    executor.remove_node(node)
    assert len(looks) == 2  # once for the callback, and once in vain


def test_another_thread_still_wakes_the_executor(node: ManagedNode) -> None:
    executor = QuietExecutor()
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin_once, args=(60.0,))
    thread.start()
    executor.create_task(lambda: None)
    thread.join(10)
    assert not thread.is_alive()
    executor.remove_node(node)
