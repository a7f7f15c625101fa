"""The other side of the pose node: a camera that publishes, a listener that collects, processes that end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from unipose_ros.msg import SkeletonArray
from unipose_ros.ros.synchronizer import stamp_to_ns

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FRAME = "camera_color_optical_frame"
WIDTH, HEIGHT, FOCAL = 160, 120, 120.0
DEPTH_MM = 3000
#: Seconds; no wait of a test is longer. None comes near it, but starting a process on a busy machine.
PATIENCE = 60.0


@contextmanager
def ros_process(
    *arguments: str, module: str = "", script: str = "blob_node.py", **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """A process that is ended whatever happens; see :func:`output` for what it prints.

    Args:
        module: to run instead of the script.
        script: of this folder; the pose node with an estimator that needs no network by default.
    """
    program = ["-m", module] if module else [str(HERE / script)]
    with tempfile.NamedTemporaryFile("w+", prefix="unipose_test_", suffix=".log") as log:
        process = subprocess.Popen(
            [sys.executable, *program, *arguments],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": _python_path(), "PYTHONUNBUFFERED": "1", **environment},
            stdout=log, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        process.log = Path(log.name)  # type: ignore[attr-defined]
        try:
            yield process
            end(process, signal.SIGTERM)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            print(output(process))  # pytest shows it when the test fails


def _python_path() -> str:
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))


def end(process: subprocess.Popen[str], number: int) -> int:
    """Send a signal and return the exit code; a process that does not listen is killed and that fails the test."""
    if process.poll() is None:
        process.send_signal(number)
    try:
        return process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def output(process: subprocess.Popen[str]) -> str:
    """What the process has printed so far."""
    return Path(process.log).read_text()  # type: ignore[attr-defined]


class Rig:
    """A ROS node spinning in a thread of this process, with a camera's publishers and the outputs' subscribers."""

    def __init__(self, namespace: str = "") -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context, args=[])
        self.node = Node("rig", namespace=namespace, context=self.context)
        self.received: dict[str, list[Any]] = {}
        self._changed = threading.Condition()
        self.publishers: dict[str, Any] = {}
        for topic, kind in {"skeletons": SkeletonArray, "markers": MarkerArray}.items():
            self.listen(topic, kind, f"unipose/{topic}")
        self.listen("/tf", TFMessage)
        self.listen("/diagnostics", DiagnosticArray)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown(timeout_sec=2)
        self._thread.join(2)
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def listen(self, topic: str, kind: type, name: str = "", qos: QoSProfile | int = 100) -> None:
        """Collect a topic's messages in ``received``; ``name`` is the topic's where it is another."""
        self.received[topic] = []

        def collect(message: Any) -> None:
            with self._changed:
                self.received[topic].append(message)
                self._changed.notify_all()

        self.node.create_subscription(kind, name or topic, collect, qos)

    def publish(self, topic: str, message: Any) -> None:
        """Publish, advertising on the first call, once a person listens."""
        if topic not in self.publishers:
            self.publishers[topic] = self.node.create_publisher(type(message), topic, 10)
            self.wait_for(lambda: self.publishers[topic].get_subscription_count() > 0, f"a subscriber of {topic}")
        self.publishers[topic].publish(message)

    def wait_for(self, condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
        """Wait for something that arrives; its ground truth is returned."""
        end_of_patience = time.monotonic() + patience
        with self._changed:
            while not (value := condition()):
                if time.monotonic() > end_of_patience:
                    raise AssertionError(f"waited {patience} s for {what}; received "
                                         f"{ {topic: len(got) for topic, got in self.received.items()} }")  # fmt: skip
                self._changed.wait(0.05)
        return value

    def connected(self) -> None:
        """Wait until frames go all the way: send empty ones until the node replies, then forget them.

        That a publisher knows its subscriber does not mean that the subscriber hears it yet.
        """
        for topic in ("unipose/skeletons", "unipose/markers", "/tf"):
            self.wait_for(lambda topic=topic: self.node.count_publishers(topic) > 0, f"a publisher of {topic}")

        def sent() -> int:
            stamp = time.time_ns()
            color, depth = scene()
            send(self, color_message(stamp, color), depth_message(stamp, depth))
            return stamp

        self.wait_for(lambda: sent() and bool(self.received["skeletons"]), "the first answer")
        # With the answer to the last frame none is on its way; a node that leaves out frames may never give it.
        newest, count, calm = sent(), 0, 0.0
        while calm < (0.1 if self._answered(newest) else 1.0):
            time.sleep(0.1)
            calm = calm + 0.1 if count == len(self.received["skeletons"]) else 0.0
            count = len(self.received["skeletons"])
        for messages in self.received.values():
            messages.clear()

    def _answered(self, stamp_ns: int) -> bool:
        return any(stamp_to_ns(answer.header.stamp) == stamp_ns for answer in list(self.received["skeletons"]))

    def call(self, kind: type, service: str, request: Any) -> Any:
        """Call a service and return the response."""
        client = self.node.create_client(kind, service)
        try:
            assert client.wait_for_service(PATIENCE), f"no service {service}"
            future = client.call_async(request)
            return self.wait_for(lambda: future.done() and future.result(), f"an answer of {service}")
        finally:
            self.node.destroy_client(client)

    def change_state(self, transition: int, node: str = "unipose") -> bool:
        """Ask for a lifecycle transition; returns ``success``."""
        request = ChangeState.Request()
        request.transition.id = transition
        return bool(self.call(ChangeState, f"{node}/change_state", request).success)

    def state(self, node: str = "unipose") -> str:
        """Name of the lifecycle state."""
        return str(self.call(GetState, f"{node}/get_state", GetState.Request()).current_state.label)


def stamp_header(message: Any, stamp_ns: int, frame: str = FRAME) -> Any:
    """Give a message its header."""
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
    message.header.frame_id = frame
    return message


def camera_info(stamp_ns: int = 1, **changes: Any) -> CameraInfo:
    """The calibration of the rig's camera."""
    k = [FOCAL, 0.0, (WIDTH - 1) / 2, 0.0, FOCAL, (HEIGHT - 1) / 2, 0.0, 0.0, 1.0]
    info = CameraInfo(width=WIDTH, height=HEIGHT, k=k, d=[0.0] * 5, distortion_model="plumb_bob")
    for name, value in changes.items():
        setattr(info, name, value)
    return stamp_header(info, stamp_ns)


def scene(*columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Color and depth in millimeters with a red blob at each column, in the middle row."""
    color = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    depth = np.full((HEIGHT, WIDTH), DEPTH_MM, np.uint16)
    for column in columns:
        color[HEIGHT // 2 - 6 : HEIGHT // 2 + 6, column - 6 : column + 6] = (255, 0, 0)
    return color, depth


def color_message(stamp_ns: int, color: np.ndarray, **changes: Any) -> Image:
    """A color image."""
    return image(stamp_ns, "rgb8", color, **changes)


def depth_message(stamp_ns: int, depth: np.ndarray, **changes: Any) -> Image:
    """A depth image, its encoding from the array's type."""
    return image(stamp_ns, "16UC1" if depth.dtype.itemsize == 2 else "32FC1", depth, **changes)


def image(stamp_ns: int, encoding: str, pixels: np.ndarray, /, frame: str = FRAME, **changes: Any) -> Image:
    """An image message with rows as they lie in the array."""
    message = Image(
        height=pixels.shape[0], width=pixels.shape[1], encoding=encoding,
        step=pixels.strides[0], data=array("B", pixels.tobytes()),
    )  # fmt: skip
    for name, value in changes.items():
        setattr(message, name, value)
    return stamp_header(message, stamp_ns, frame)


def shoot(rig: Rig, *columns: int, stamp_ns: int | None = None) -> SkeletonArray:
    """Publish one frame with a blob at each column and wait for its skeletons."""
    stamp_ns = time.time_ns() if stamp_ns is None else stamp_ns
    color, depth = scene(*columns)
    send(rig, color_message(stamp_ns, color), depth_message(stamp_ns, depth))
    return skeletons_at(rig, stamp_ns)


def send(rig: Rig, color: Any, depth: Any, info: CameraInfo | None = None) -> None:
    """Publish a frame's messages; the calibration first, for without it a frame is refused."""
    rig.publish("color/camera_info", info or camera_info())
    rig.publish("depth/image", depth)
    rig.publish("color/image", color)


def skeletons_at(rig: Rig, stamp_ns: int) -> SkeletonArray:
    """Wait for the skeletons of a stamp."""

    def found() -> SkeletonArray | None:
        return next((m for m in rig.received["skeletons"] if nanoseconds(m) == stamp_ns), None)

    return rig.wait_for(found, f"skeletons of {stamp_ns}")


def nanoseconds(message: Any) -> int:
    """A message's stamp."""
    return int(message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec)


def diagnostics(
    rig: Rig, part: str, condition: Callable[[dict[str, str], Any], bool], patience: float = PATIENCE
) -> dict[str, str]:
    """Wait for a status (``input`` or ``skeletons``) that meets a condition on its values and itself."""

    def found() -> dict[str, str] | None:
        for message in reversed(rig.received["/diagnostics"]):
            for status in message.status:
                values = {item.key: item.value for item in status.values}
                ours = status.name.startswith(rig.node.get_namespace()) and status.name.endswith(part)
                if ours and condition(values, status):
                    return {**values, "message": status.message}
        return None

    return rig.wait_for(found, f"diagnostics of {part}", patience)
