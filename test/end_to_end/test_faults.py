"""What ended the node, or left its user without a word: it is survived, and reported."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzzing.messages import Messages
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rig import (
    PATIENCE,
    ROOT,
    Rig,
    camera_info,
    color_message,
    depth_message,
    end,
    output,
    ros_process,
    scene,
    shoot,
    stamp_header,
)
from sensor_msgs.msg import CameraInfo, CompressedImage
from sensor_msgs_py import point_cloud2
from std_msgs.msg import Header

from unipose_ros.camera import Camera, depth_to_points
from unipose_ros.images import encode_compressed_color, encode_compressed_depth
from unipose_ros.recordings import BagReader

pytestmark = [pytest.mark.e2e, pytest.mark.ros]

NODE = ("--ros-args", "-p", "diagnostics.period:=0.2", "-p", "input.timeout:=1.0")
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
OVERRIDE = "qos_overrides./color/camera_info.subscription"
OVERRIDES = ("-p", f"{OVERRIDE}.durability:=transient_local", "-p", f"{OVERRIDE}.reliability:=reliable")
MALFORMED = 150


@pytest.mark.parametrize("given", [(), OVERRIDES], ids=["as it is", "with overrides"])
def test_a_calibration_that_was_latched_before_the_node_started_is_taken(rig: Rig, given: tuple[str, ...]) -> None:
    latch = rig.node.create_publisher(CameraInfo, "color/camera_info", LATCHED)
    latch.publish(camera_info())
    with ros_process(*NODE, *given):

        def answered() -> bool:
            stamp = time.time_ns()
            color, depth = scene(80)
            rig.publish("depth/image", depth_message(stamp, depth))
            rig.publish("color/image", color_message(stamp, color))
            time.sleep(0.05)
            return any(message.skeletons for message in rig.received["skeletons"])

        rig.wait_for(answered, "a person")


def test_two_nodes_of_one_name_say_so(rig: Rig) -> None:
    with ros_process(*NODE) as first, ros_process(*NODE) as second:
        rig.wait_for(lambda: "2 nodes are called /unipose" in output(first) + output(second), "the warning")


@pytest.mark.parametrize(
    ("module", "arguments", "words"),
    [
        ("pose_node", ("-p", "qos_overrides./diagnostics.publisher.reliability:=x"), "reliability"),
        ("humans_node", ("-p", "reliability:=x"), "reliability"),
        ("humans_node", ("-p", "crops:=3"), "crops"),
        ("humans_node", ("-p", "qos_overrides./humans/bodies/tracked.publisher.reliability:=x"), "reliability"),
        ("humans_node", ("--params-file", "/dev/null/nowhere"), "nowhere"),
        ("recorder", ("-p", "use_sim_time:=x", "--", "bag", "--topics", "/a"), "use_sim_time"),
    ],
)
def test_no_program_starts_with_a_traceback(module: str, arguments: tuple[str, ...], words: str) -> None:
    with ros_process("--ros-args", *arguments, module=f"unipose_ros.nodes.{module}") as process:
        assert process.wait(PATIENCE) == 1
        assert words in output(process)
        assert "Traceback" not in output(process)


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (("--ros-args", "-p", "autostart:=x"), {}, "autostart"),
        (("--ros-args", "--params-file", "{folder}/bad.yaml"), {}, "bad.yaml"),
        ((), {"ROS_LOG_DIR": "/proc/nowhere"}, "cannot start"),
        (
            (),
            {"ROS_SECURITY_ENABLE": "true", "ROS_SECURITY_STRATEGY": "Enforce", "ROS_SECURITY_KEYSTORE": "{folder}"},
            "cannot start",
        ),
    ],
    ids=["wrong type", "parameter file", "log folder", "security without keys"],
)
def test_a_start_that_cannot_be_ends_with_a_line(
    tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str], words: str
) -> None:
    (tmp_path / "bad.yaml").write_text("/**:\n  ros__parameters:\n    - [x\n")
    given = [word.format(folder=tmp_path) for word in arguments]
    around = {name: value.format(folder=tmp_path) for name, value in environment.items()}
    with ros_process(*given, module="unipose_ros.nodes.pose_node", **around) as process:
        assert process.wait(PATIENCE) == 1
        assert words in output(process)
        assert "Traceback" not in output(process)


def test_a_signal_ends_a_node_that_hangs_while_it_is_made() -> None:
    program = (
        "import time; from unipose_ros.ros.lifecycle import run;"
        "run(lambda: (print('hangs', flush=True), time.sleep(10 * 60)), [])"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "hangs\n"
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == -signal.SIGTERM
        finally:
            process.kill()


def test_a_recorder_on_a_full_disk_says_so_and_leaves_what_it_has(rig: Rig, tmp_path: Path) -> None:
    program = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20));"
        "from unipose_ros.nodes.recorder import main; sys.exit(main(sys.argv[1:]))"
    )
    words = [sys.executable, "-c", program, str(tmp_path / "bag"), "--topics", "depth/image:=sensor_msgs/msg/Image"]
    recorder = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    depth = np.random.default_rng(0).integers(0, 9000, (480, 640)).astype(np.uint16)

    def ended() -> bool:
        rig.publish("depth/image", depth_message(time.time_ns(), depth))
        time.sleep(0.05)
        return recorder.poll() is not None

    try:
        rig.wait_for(ended, "the recorder to end")
    finally:
        recorder.kill()
        _, printed = recorder.communicate()
    assert recorder.returncode == 1
    assert "Traceback" not in printed
    assert "the recording ends after" in printed
    with BagReader(tmp_path / "bag") as reader:
        assert sum(1 for _ in reader.raw()) >= 2


def test_with_the_profile_of_one_machine_it_listens_there_alone(rig: Rig) -> None:
    psutil = pytest.importorskip("psutil")
    profile = str(ROOT / "config" / "fastdds_loopback.xml")
    names = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
    with ros_process(*NODE, **dict.fromkeys(names, profile)) as process:
        rig.connected()
        assert len(shoot(rig, 80).skeletons) == 1
        bound = psutil.Process(process.pid).net_connections("udp")
    if not bound:
        pytest.skip("another middleware than Fast DDS, or no permission to see its sockets")
    # Those of higher numbers are for sending; the system chooses them.
    assert {connection.laddr.ip for connection in bound if connection.laddr.port < 32768} == {"127.0.0.1"}


def raw(rig: Rig) -> None:
    stamp = time.time_ns()
    color, depth = scene(80)
    rig.publish("color/camera_info", camera_info())
    rig.publish("depth/image", depth_message(stamp, depth))
    rig.publish("color/image", color_message(stamp, color))


def compressed(rig: Rig) -> None:
    stamp = time.time_ns()
    color, depth = scene(80)
    jpeg, png = encode_compressed_color(color), encode_compressed_depth(depth)
    rig.publish("color/camera_info", camera_info())
    for topic, form, data in (
        ("depth/image/compressedDepth", "16UC1; compressedDepth png", png),
        ("color/image/compressed", "rgb8; jpeg compressed bgr8", jpeg),
    ):
        rig.publish(topic, stamp_header(CompressedImage(format=form, data=array("B", data)), stamp))


def cloud(rig: Rig) -> None:
    stamp = time.time_ns()
    color, depth = scene(80)
    points = depth_to_points(Camera.from_camera_info(camera_info()), depth.astype(np.float32) / 1000).reshape(-1, 3)
    rig.publish("color/camera_info", camera_info())
    rig.publish("points", stamp_header(point_cloud2.create_cloud_xyz32(Header(), points), stamp))
    rig.publish("color/image", color_message(stamp, color))


ATTACKS: dict[str, tuple[Callable[[Rig], None], tuple[str, ...], dict[str, Any]]] = {
    "raw images": (
        raw, (), {"depth/image": lambda m, r: m.image(r, False), "color/image": lambda m, r: m.image(r, True)},
    ),
    "compressed images": (
        compressed, ("-p", "input.color_transport:=compressed", "-p", "input.depth_transport:=compressedDepth"),
        {
            "depth/image/compressedDepth": lambda m, r: m.compressed(r, False),
            "color/image/compressed": lambda m, r: m.compressed(r, True),
        },
    ),
    "clouds": (
        cloud, ("-p", "input.source:=points"),
        {"points": lambda m, r: m.cloud(r), "color/image": lambda m, r: m.image(r, True)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_malformed_messages_are_survived_and_do_not_hold_up_the_end(rig: Rig, name: str) -> None:
    good, options, makers = ATTACKS[name]
    messages, rng = Messages(), random.Random(name)

    def attack() -> None:
        rig.publishers["color/camera_info"].publish(messages.info(rng))
        for topic, make in makers.items():
            data = make(messages, rng)
            # Some are no messages at all, but bytes that cannot be unpacked.
            rig.publishers[topic].publish(data if rng.random() < 0.9 else data[: rng.randrange(4, len(data))])

    def answered() -> bool:
        good(rig)
        time.sleep(0.05)
        return any(message.skeletons for message in rig.received["skeletons"])

    with ros_process(*NODE, *options) as process:
        rig.wait_for(answered, "a person")
        for _ in range(MALFORMED):
            attack()
            time.sleep(0.005)
        rig.received["skeletons"].clear()
        rig.wait_for(answered, "a person after the attack")
        for _ in range(20):
            attack()
        assert end(process, signal.SIGTERM) == 0
        assert "Traceback" not in output(process)
        assert "internal_error" not in output(process)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_node_that_is_importing_in_silence(number: signal.Signals, tmp_path: Path) -> None:
    # A module of the standard library that rclpy imports takes its time here.
    (tmp_path / "queue.py").write_text("import time\nprint('imports', flush=True)\ntime.sleep(600)\n")
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n")
    with ros_process(module="unipose_ros.nodes.pose_node", PYTHONPATH=f"{tmp_path}:{ROOT}") as process:
        end_of_patience = time.monotonic() + PATIENCE
        while "imports" not in output(process):
            assert time.monotonic() < end_of_patience
            time.sleep(0.05)
        assert end(process, number) == -number
        assert "Traceback" not in output(process)
