"""What a running node sees is found in the graph, and shown with its people, stamp by stamp."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from ros_samples import FRAME, STAMP, people
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.msg import SkeletonArray
from unipose_ros.nodes.live_view import LiveView, Sources, find_sources
from unipose_ros.recordings import RgbdTopics
from unipose_ros.ros.messages import time_message
from unipose_ros.ros.synchronizer import Pair

pytestmark = pytest.mark.ros
CAMERA = "/camera/color"


@pytest.fixture
def node() -> Iterator[Node]:
    rclpy.init(args=[])
    made = rclpy.create_node("viewer")
    yield made
    made.destroy_node()
    rclpy.shutdown()


def wait(node: Node, done: Callable[[], Any]) -> Any:
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    for _ in range(200):
        if value := done():
            return value
        executor.spin_once(timeout_sec=0.05)
    raise AssertionError("nothing came")


def test_the_running_nodes_topics_are_taken_and_those_named_win(node: Node) -> None:
    pose = rclpy.create_node("unipose", namespace="front")
    other = rclpy.create_node("driver")
    try:
        assert find_sources(node, "/front/unipose", RgbdTopics()) is None  # it publishes nothing yet
        pose.create_publisher(SkeletonArray, "~/skeletons", 1)
        for kind, topic in (
            (CompressedImage, f"{CAMERA}/image_raw/compressed"), (CameraInfo, f"{CAMERA}/camera_info"),
            (Image, "/camera/depth/image_rect_raw"), (CameraInfo, "/camera/depth/camera_info"),
        ):  # fmt: skip
            pose.create_subscription(kind, topic, lambda message: None, 1)
        other.create_publisher(Image, "/other/color/image", 1)
        found: Sources = wait(node, lambda: find_sources(node, "/front/unipose", RgbdTopics()))
        assert found.skeletons == "/front/unipose/skeletons"
        assert (found.camera.color, found.camera.color_info) == (
            f"{CAMERA}/image_raw/compressed",
            f"{CAMERA}/camera_info",
        )
        assert (found.camera.depth, found.camera.depth_info) == (
            "/camera/depth/image_rect_raw", "/camera/depth/camera_info",
        )  # fmt: skip
        assert (found.config.color_transport, found.config.depth_transport) == ("compressed", "raw")
        assert f"color/image:={CAMERA}/image_raw" in found.remappings  # the transport is appended again
        named = RgbdTopics(color="/other/color/image")
        chosen = wait(node, lambda: find_sources(node, "/front/unipose", named))
        assert chosen.camera.color == "/other/color/image"
        assert find_sources(node, "/front/unipose", RgbdTopics(color="/nowhere")) is None
        assert find_sources(node, "/absent", RgbdTopics()) is None
        alone = find_sources(node, None, RgbdTopics())
        assert alone is not None
        assert alone.skeletons is None
    finally:
        pose.destroy_node()
        other.destroy_node()


class Log:
    """Stands for the viewer."""

    def __init__(self) -> None:
        self.shown: list[tuple[int | None, int, str]] = []

    def add(self, frame: RgbdFrame | None, found: Skeletons) -> None:
        self.shown.append((frame.stamp_ns if frame else None, found.stamp_ns, found.frame_id))


def depth_pair(stamp_ns: int) -> Pair:
    pixels = np.full((24, 32), 2000, np.uint16)
    image = Image(encoding="16UC1", height=24, width=32, step=64, data=pixels.tobytes())
    image.header.frame_id, image.header.stamp = FRAME, time_message(stamp_ns)
    return Pair(color=None, depth=image, stamp_ns=stamp_ns, offset_ns=0)


@pytest.fixture
def view(node: Node) -> Iterator[SimpleNamespace]:
    log = Log()
    sources = Sources(RgbdTopics(depth="/depth/image"), {"/depth/image": "sensor_msgs/msg/Image"}, "/skeletons")
    made = LiveView(node, sources, log, None)  # type: ignore[arg-type]
    info = CameraInfo(width=32, height=24, k=[30.0, 0, 15.5, 0, 30, 11.5, 0, 0, 1], d=[0.0] * 5)
    info.distortion_model, info.header.frame_id = "plumb_bob", FRAME
    made._decoder.set_info("depth", info)
    yield SimpleNamespace(view=made, shown=log.shown, node=node)
    made.close()


def wait_for(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_people_are_shown_with_the_image_of_their_stamp_in_either_order(view: SimpleNamespace) -> None:
    first, second = people("abcde"), people("abcde", stamp_ns=STAMP + 1)
    view.view.take_pair(depth_pair(STAMP))
    view.view.take_people(first)
    wait_for(lambda: len(view.shown) == 1)
    view.view.take_people(second)
    assert len(view.shown) == 1  # its image is still to come
    view.view.take_pair(depth_pair(STAMP + 1))
    wait_for(lambda: len(view.shown) == 2)
    assert view.shown == [(STAMP, STAMP, FRAME), (STAMP + 1, STAMP + 1, FRAME)]
    assert view.view.count == 2


def test_without_images_people_are_shown_alone(view: SimpleNamespace) -> None:
    view.view.take_people(people("abcde"))
    wait_for(lambda: bool(view.shown))
    assert view.shown == [(None, STAMP, FRAME)]


def test_what_cannot_be_shown_is_reported_and_the_next_is_shown(
    view: SimpleNamespace, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = depth_pair(STAMP)
    broken.depth.encoding = "rgb8"
    view.view._show((broken, people("abcde")))
    view.view._show((depth_pair(STAMP), people("abcde", frame_id="base_link")))  # no transform leads there
    assert view.shown == []
    printed = capfd.readouterr().err
    assert "rgb8" in printed
    assert "/tf" in printed
    view.view._show((depth_pair(STAMP), people("abcde")))
    assert view.shown == [(STAMP, STAMP, FRAME)]
