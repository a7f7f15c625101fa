"""People as REP-155 has them; the tables are the REP's and those of hri_msgs."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from ros_samples import FRAME, STAMP, people
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import String
from tf2_msgs.msg import TFMessage

from unipose_ros.camera import Camera
from unipose_ros.msg import SkeletonArray
from unipose_ros.ros.messages import to_message
from unipose_ros.ros.subscriptions import LATCHED_QOS

pytestmark = pytest.mark.ros
CAMERA = Camera(200.0, 200.0, 159.5, 119.5, 320, 240)
#: Links of REP-155's kinematic model.
REP_LINKS = {"waist", "torso", "r_head", "y_head", "p_head", "head"} | {
    f"{side}_{part}"
    for side in "lr"
    for part in ("y_shoulder", "p_shoulder", "shoulder", "elbow", "wrist", "y_hip", "p_hip", "hip", "knee", "ankle")
}


class Graph:
    """The bridge and a listener in one process."""

    def __init__(self, *arguments: str) -> None:
        from unipose_ros.nodes.humans_node import HumansNode

        self.context = rclpy.Context()
        rclpy.init(context=self.context, args=["--ros-args", *arguments])
        self.bridge = HumansNode(context=self.context)
        self.node = rclpy.create_node("listener", context=self.context)
        self.received: dict[str, list[Any]] = {}
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.bridge)
        self.executor.add_node(self.node)

    def close(self) -> None:
        self.executor.shutdown()
        self.bridge.destroy_node()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def listen(self, kind: type, topic: str) -> None:
        self.received[topic] = []
        self.node.create_subscription(kind, topic, self.received[topic].append, 10)

    def wait(self, done: Callable[[], Any]) -> Any:
        for _ in range(300):
            if value := done():
                return value
            self.executor.spin_once(timeout_sec=0.05)
        raise AssertionError({topic: len(messages) for topic, messages in self.received.items()})


@pytest.fixture
def graph() -> Iterator[Graph]:
    pytest.importorskip("hri_msgs.msg", reason="hri_msgs is not installed: run 'make setup'")
    made = Graph()
    yield made
    made.close()


def test_the_bridge_publishes_the_reps_topics(graph: Graph) -> None:
    from hri_msgs.msg import IdsList, NormalizedRegionOfInterest2D, Skeleton2D

    skeletons = to_message(people("abcde", velocities=np.array([[0.5, 0, 0]], np.float32)))
    info = CameraInfo(width=320, height=240, k=CAMERA.K.ravel().tolist(), d=[0.0] * 5, distortion_model="plumb_bob")
    info.header.frame_id = FRAME
    graph.bridge._keep_info(info)
    graph.bridge._images[STAMP] = image()
    graph.listen(IdsList, "/humans/bodies/tracked")
    graph.listen(TFMessage, "/tf")
    kinds = {
        "roi": NormalizedRegionOfInterest2D,
        "skeleton2d": Skeleton2D,
        "cropped": Image,
        "joint_states": JointState,
    }
    for topic, kind in kinds.items():
        graph.listen(kind, f"/humans/bodies/abcde/{topic}")

    def heard() -> bool:
        graph.bridge._images[STAMP] = image()
        graph.bridge.publish(skeletons)
        return all(graph.received.values())

    graph.wait(heard)
    newest = {topic.rpartition("/")[2]: messages[-1] for topic, messages in graph.received.items()}
    assert list(newest["tracked"].ids) == ["abcde"]
    assert newest["roi"].header == skeletons.header
    assert 0 <= newest["roi"].xmin < newest["roi"].xmax <= 1
    assert len(newest["skeleton2d"].skeleton) == 18
    assert newest["cropped"].encoding == "rgb8"
    assert {t.child_frame_id for t in newest["tf"].transforms} == {f"{link}_abcde" for link in REP_LINKS - {"l_wrist"}}
    assert {t.header.frame_id for t in newest["tf"].transforms} == {"body_abcde"}
    states = newest["joint_states"]
    assert states.header.stamp == skeletons.header.stamp
    angles = dict(zip(states.name, states.position, strict=True))
    assert "l_y_shoulder_abcde" in angles
    assert np.isfinite(list(angles.values())).all()
    # Latched: who comes late gets the URDF all the same, and it is one.
    late: list[String] = []
    graph.node.create_subscription(String, "/humans/bodies/abcde/urdf", late.append, LATCHED_QOS)
    graph.wait(lambda: late)
    assert 'link="l_elbow_abcde"' in late[0].data
    graph.bridge.publish(skeletons)
    graph.wait(lambda: len(graph.received["/humans/bodies/abcde/joint_states"]) > 1)
    assert len(late) == 1  # it still fits
    graph.bridge.publish(to_message(people()))
    graph.wait(lambda: not graph.received["/humans/bodies/tracked"][-1].ids)
    assert not [
        name for name, _ in graph.bridge.get_publisher_names_and_types_by_node("humans", "/") if "abcde" in name
    ]


def info(**fields: Any) -> CameraInfo:
    made = CameraInfo(width=320, height=240, k=CAMERA.K.ravel().tolist(), d=[0.0] * 5, distortion_model="plumb_bob")
    made.header.frame_id = FRAME
    for name, value in fields.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize("name", ["a b", "", "../x", "1ab", "ä", "a" * 300, "a/b", "~", "{x}", "a-b"])
def test_an_id_that_no_topic_can_have_loses_that_body_alone(graph: Graph, name: str) -> None:
    message = to_message(people("abcde", "fghij"))
    message.skeletons[0].id = name
    graph.bridge.publish(message)
    assert set(graph.bridge._bodies) == {"fghij"}
    assert graph.bridge._statistics.drops["body_id"] == 1


def test_two_people_of_one_id_and_hundreds_of_people_are_bounded(graph: Graph) -> None:
    graph.bridge.publish(to_message(people("abcde", "abcde")))
    assert set(graph.bridge._bodies) == {"abcde"}
    graph.bridge.publish(to_message(people(*(f"a{n:04d}" for n in range(70)))))
    assert len(graph.bridge._bodies) == 60


@pytest.mark.parametrize("value", [np.inf, -np.inf, 3e38, np.nan, 0.0])
def test_places_that_nobody_is_at_are_survived(graph: Graph, value: float) -> None:
    graph.bridge._keep_info(info())
    message = to_message(people("abcde", "fghij"))
    message.skeletons[0].positions = array("f", [value] * 45)
    graph.bridge.publish(message)
    assert set(graph.bridge._bodies) == {"abcde", "fghij"}
    assert not graph.bridge._statistics.drops


@pytest.mark.parametrize(
    ("fields", "pixel"),
    [
        ({"encoding": "mono8", "step": 320, "data": bytes([7]) * 320 * 240}, (7, 7, 7)),
        ({"encoding": "bgra8", "step": 1280, "data": bytes([3, 2, 1, 255]) * 320 * 240}, (1, 2, 3)),
        ({"encoding": "rgb8", "step": 1000, "data": (bytes([1, 2, 3]) * 320 + bytes(40)) * 240}, (1, 2, 3)),
        ({"encoding": "bayer_rggb8", "step": 320, "data": bytes([9]) * 320 * 240}, (9, 9, 9)),
        ({"encoding": "16UC1", "step": 640, "data": bytes(640 * 240)}, None),
        ({"encoding": "nope", "step": 320, "data": bytes(320 * 240)}, None),
        ({"encoding": "", "step": 0, "data": b""}, None),
        ({"encoding": "rgb8", "data": bytes(10)}, None),
        ({"encoding": "rgb8", "height": 0, "width": 0, "step": 0, "data": b""}, None),
        ({"encoding": "bayer_rggb8", "height": 0, "width": 0, "step": 0, "data": b""}, None),
        ({"encoding": "rgb8", "height": 2**31, "width": 2**31, "step": 2**32 - 1}, None),
    ],
)
def test_crops_are_of_any_image_that_the_pose_node_reads_and_others_are_survived(
    graph: Graph, fields: dict[str, Any], pixel: tuple[int, int, int] | None
) -> None:
    message = to_message(people("abcde"))
    graph.bridge._keep_info(info())
    graph.listen(Image, "/humans/bodies/abcde/cropped")

    def heard() -> Any:
        given = image()
        for name, value in fields.items():
            setattr(given, name, array("B", value) if name == "data" else value)
        graph.bridge._images[STAMP] = given
        graph.bridge.publish(message)
        dropped = graph.bridge._statistics.drops
        return dropped.get("color_image") if pixel is None else graph.received["/humans/bodies/abcde/cropped"]

    graph.wait(heard)
    assert "internal_error" not in graph.bridge._statistics.drops
    for crop in graph.received["/humans/bodies/abcde/cropped"]:
        assert tuple(crop.data[:3]) == pixel


def test_the_frames_are_those_of_a_pose_node_with_a_prefix() -> None:
    pytest.importorskip("hri_msgs.msg", reason="hri_msgs is not installed: run 'make setup'")
    graph = Graph("-p", "tf.prefix:=rear_")
    try:
        graph.listen(TFMessage, "/tf")
        graph.listen(JointState, "/humans/bodies/abcde/joint_states")
        graph.wait(lambda: graph.bridge.publish(to_message(people("abcde"))) or all(graph.received.values()))
        sent = graph.received["/tf"][-1].transforms
        assert {t.header.frame_id for t in sent} == {"rear_body_abcde"}
        assert {t.child_frame_id for t in sent} == {f"rear_{link}_abcde" for link in REP_LINKS - {"l_wrist"}}
        assert graph.received["/humans/bodies/abcde/joint_states"][-1].header.frame_id == "rear_body_abcde"
    finally:
        graph.close()


@pytest.mark.parametrize(("rectified", "focal"), [("false", 200.0), ("true", 100.0)])
def test_rectified_images_have_the_calibration_of_p(rectified: str, focal: float) -> None:
    pytest.importorskip("hri_msgs.msg", reason="hri_msgs is not installed: run 'make setup'")
    graph = Graph("-p", f"input.rectified:={rectified}")
    try:
        graph.bridge._keep_info(info(p=[100.0, 0, 159.5, 0, 0, 100, 119.5, 0, 0, 0, 1, 0]))
        camera = graph.bridge._camera(FRAME)
        assert camera is not None
        assert camera.fx == focal
    finally:
        graph.close()


def test_two_sources_on_one_topic_are_named(graph: Graph, capfd: pytest.CaptureFixture[str]) -> None:
    made = [graph.node.create_publisher(CameraInfo, "color/camera_info", 1) for _ in range(2)]
    made += [graph.node.create_publisher(SkeletonArray, "skeletons", 1) for _ in range(2)]
    printed: list[str] = []

    def told() -> bool:
        printed.append(capfd.readouterr().err)
        text = "".join(printed)
        return "/color/camera_info has 2 publishers" in text and "/skeletons has 2 publishers" in text

    graph.wait(told)


def test_a_calibration_that_was_published_before_is_taken(graph: Graph) -> None:
    publisher = graph.node.create_publisher(CameraInfo, "color/camera_info", LATCHED_QOS)
    publisher.publish(info())
    graph.wait(lambda: graph.bridge._info is not None)
    assert graph.bridge._info.width == 320


def image() -> Image:
    message = Image(encoding="rgb8", height=240, width=320, step=960, data=bytes(240 * 960))
    message.header.frame_id = FRAME
    return message
