"""What unipose_ros expects of message_filters: true of the real package and of the stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

rclpy = pytest.importorskip("rclpy")
message_filters = pytest.importorskip("message_filters")
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402
from rclpy.time import Time  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

pytestmark = pytest.mark.ros
MILLISECOND = 1_000_000


@dataclass
class Stamped:
    """The least that a synchronizer looks at."""

    name: str
    header: Header


def stamped(name: str, milliseconds: float) -> Stamped:
    return Stamped(name, Header(stamp=Time(nanoseconds=round(milliseconds * MILLISECOND)).to_msg()))


class Bench:
    """A synchronizer with inputs to feed and the pairs that came out."""

    def __init__(self, make: Any, inputs: int = 2, **arguments: Any) -> None:
        self.inputs = [message_filters.SimpleFilter() for _ in range(inputs)]
        self.sync = make(self.inputs, **arguments)
        self.out: list[tuple[str, ...]] = []
        self.sync.registerCallback(lambda *messages: self.out.append(tuple(m.name for m in messages)))

    def feed(self, source: int, milliseconds: float) -> None:
        self.inputs[source].signalMessage(stamped(f"{source}@{milliseconds:g}", milliseconds))


def exact(queue_size: int = 10, inputs: int = 2) -> Bench:
    return Bench(message_filters.TimeSynchronizer, inputs, queue_size=queue_size)


def approximate(slop_ms: float, queue_size: int = 10, inputs: int = 2, **more: Any) -> Bench:
    make = message_filters.ApproximateTimeSynchronizer
    return Bench(make, inputs, queue_size=queue_size, slop=slop_ms / 1e3, **more)


def test_a_callback_gets_the_message_and_its_own_arguments() -> None:
    source = message_filters.SimpleFilter()
    heard: list[Any] = []
    assert source.registerCallback(lambda *got: heard.append(got), "extra", 7) == 0
    assert source.registerCallback(lambda *got: heard.append(got)) == 1
    source.signalMessage("a", "b")
    assert heard == [("a", "b", "extra", 7), ("a", "b")]


def test_exact_pairs_only_equal_stamps() -> None:
    bench = exact()
    bench.feed(0, 10)
    bench.feed(1, 11)
    bench.feed(1, 10)
    assert bench.out == [("0@10", "1@10")]


def test_exact_waits_for_all_inputs() -> None:
    bench = exact(inputs=3)
    bench.feed(2, 5)
    bench.feed(0, 5)
    assert bench.out == []
    bench.feed(1, 5)
    assert bench.out == [("0@5", "1@5", "2@5")]


def test_exact_drops_the_oldest_of_a_full_queue() -> None:
    bench = exact(queue_size=2)
    for milliseconds in (10, 20, 30):
        bench.feed(0, milliseconds)
    for milliseconds in (10, 20, 30):
        bench.feed(1, milliseconds)
    assert bench.out == [("0@20", "1@20"), ("0@30", "1@30")]


def test_a_pair_is_delivered_once() -> None:
    bench = exact()
    bench.feed(0, 10)
    bench.feed(1, 10)
    bench.feed(1, 10)
    assert len(bench.out) == 1


def test_approximate_pairs_within_the_slop_and_not_at_it() -> None:
    bench = approximate(slop_ms=5)
    bench.feed(0, 100)
    bench.feed(1, 105)
    assert bench.out == []
    bench.feed(1, 104)
    assert bench.out == [("0@100", "1@104")]


def test_approximate_with_no_slop_pairs_nothing() -> None:
    bench = approximate(slop_ms=0)
    bench.feed(0, 100)
    bench.feed(1, 100)
    assert bench.out == []


def test_approximate_takes_the_nearest() -> None:
    bench = approximate(slop_ms=20)
    for milliseconds in (90, 98, 107):
        bench.feed(0, milliseconds)
    bench.feed(1, 100)
    assert bench.out == [("0@98", "1@100")]


def test_approximate_leaves_what_it_did_not_use() -> None:
    bench = approximate(slop_ms=20)
    bench.feed(0, 90)
    bench.feed(0, 98)
    bench.feed(1, 100)
    bench.feed(1, 92)
    assert bench.out == [("0@98", "1@100"), ("0@90", "1@92")]


def test_approximate_limits_the_spread_of_three() -> None:
    bench = approximate(slop_ms=10, inputs=3)
    bench.feed(0, 100)
    bench.feed(1, 116)
    bench.feed(2, 108)  # within the slop of either, yet the outer two are too far apart
    assert bench.out == []
    bench.feed(1, 107)
    assert bench.out == [("0@100", "1@107", "2@108")]


def test_a_message_older_than_a_full_queue_is_not_used() -> None:
    bench = approximate(slop_ms=5, queue_size=1)
    bench.feed(1, 10)
    bench.feed(0, 50)
    bench.feed(0, 10)
    assert bench.out == []


def test_what_has_no_stamp_is_dropped_unless_allowed() -> None:
    bench = approximate(slop_ms=5)
    for source in bench.inputs:
        source.signalMessage("no header")
    assert bench.out == []


def test_what_has_no_stamp_gets_the_time_of_arrival_when_allowed() -> None:
    inputs = [message_filters.SimpleFilter() for _ in range(2)]
    sync = message_filters.ApproximateTimeSynchronizer(inputs, queue_size=3, slop=60.0, allow_headerless=True)
    heard: list[tuple[str, ...]] = []
    sync.registerCallback(lambda *messages: heard.append(messages))
    inputs[0].signalMessage("first")
    inputs[1].signalMessage("second")
    assert heard == [("first", "second")]


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 40)), max_size=30))
def test_every_pair_is_close_and_no_message_is_used_twice(events: list[tuple[int, int]]) -> None:
    bench = approximate(slop_ms=5, queue_size=4)
    for source, milliseconds in dict.fromkeys(events):
        bench.feed(source, milliseconds)
    times = [[int(name.split("@")[1]) for name in pair] for pair in bench.out]
    assert all(abs(a - b) < 5 for a, b in times)
    for source in (0, 1):
        used = [pair[source] for pair in times]
        assert len(used) == len(set(used))


@pytest.fixture
def node() -> Iterator[Any]:
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("filters_conformance", context=context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


def test_a_subscriber_hands_on_what_it_receives(node: Any) -> None:
    subscriber = message_filters.Subscriber(node, Header, "stamped", qos_profile=5)
    heard: list[Any] = []
    subscriber.registerCallback(heard.append)
    publisher = node.create_publisher(Header, "stamped", 5)
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    for _ in range(100):
        if publisher.get_subscription_count() == 1 and not heard:
            publisher.publish(Header(frame_id="camera"))
        executor.spin_once(timeout_sec=0.1)
        if heard:
            break
    assert heard[0].frame_id == "camera"
    assert subscriber.getTopic() == "stamped"


def test_a_subscriber_passes_options_on_and_shows_its_subscription(node: Any) -> None:
    best_effort = QoSProfile(depth=3, reliability=ReliabilityPolicy.BEST_EFFORT)
    subscriber = message_filters.Subscriber(node, Header, "stamped", qos_profile=best_effort)
    assert subscriber.sub.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    assert subscriber.topic_name == "/stamped"
    assert node.destroy_subscription(subscriber.sub)
