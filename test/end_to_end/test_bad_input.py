"""What drivers get wrong: each is logged once, counted, and survived."""

from __future__ import annotations

import itertools
import re
import time
from array import array
from typing import Any

import numpy as np
import pytest
from rclpy.qos import qos_profile_sensor_data
from rig import (
    DEPTH_MM,
    HEIGHT,
    WIDTH,
    Rig,
    camera_info,
    color_message,
    depth_message,
    diagnostics,
    nanoseconds,
    output,
    ros_process,
    scene,
    send,
    shoot,
    skeletons_at,
    stamp_header,
)  # fmt: skip
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from sensor_msgs_py import point_cloud2
from std_msgs.msg import Header

from unipose_ros.camera import Camera, depth_to_points
from unipose_ros.images import encode_compressed_color, encode_compressed_depth
from unipose_ros.ros.messages import from_message

pytestmark = [pytest.mark.e2e, pytest.mark.ros]

NODE = ("--ros-args", "-p", "diagnostics.period:=0.2", "-p", "input.timeout:=1.0")


def messages(**change: dict[str, Any]) -> tuple[Any, Any, Any]:
    """A good frame's messages with fields changed: ``color``, ``depth`` and ``info``."""
    color, depth = scene(80)
    stamp = time.time_ns()
    return (
        color_message(stamp, color, **change.get("color", {})),
        depth_message(stamp, change.get("pixels", {}).get("depth", depth), **change.get("depth", {})),
        camera_info(**change.get("info", {})),
    )


SMALL = {"height": HEIGHT // 2, "width": WIDTH // 2, "step": WIDTH, "data": array("B", bytes(WIDTH * HEIGHT // 2))}
BAD = {
    "color encoding": ({"color": {"encoding": "yuv999"}}, "color_image", "yuv999"),
    "depth encoding": ({"depth": {"encoding": "8UC1"}}, "depth_image", "'8UC1' is not understood"),
    "zero intrinsics": ({"info": {"k": [0.0] * 9}}, "intrinsics", "focal length must be positive"),
    "short buffer": ({"depth": {"data": array("B", b"123")}}, "depth_image", "data holds 3 bytes"),
    "other size": ({"depth": SMALL}, "size", "depth is 80x60, camera_info says 160x120"),
}


def test_bad_frames_are_counted_and_logged_once_and_good_ones_still_work(rig: Rig) -> None:
    with ros_process(*NODE) as process:
        rig.connected()
        for change, reason, words in BAD.values():
            before = dropped(rig, reason)

            def counted(change: Any = change, reason: str = reason, before: int = before) -> bool:
                send(rig, *messages(**change))
                return dropped(rig, reason) >= before + 2

            rig.wait_for(counted, f"two drops for {reason}")
            diagnostics(rig, "input", lambda v, s: s.level == b"\x01" and "inputs are dropped" in s.message)
            assert output(process).count(words) == 1
        wrong_frame = messages()
        wrong_frame[1].header.frame_id = "camera_depth_optical_frame"
        send(rig, *wrong_frame)
        diagnostics(rig, "input", lambda v, s: "dropped: registration" in v)
        assert "registers to color" in output(process)
        assert len(shoot(rig, 80).skeletons) == 1
        assert "Traceback" not in output(process)


def dropped(rig: Rig, reason: str) -> int:
    """How often the newest diagnostics say that an input was dropped for a reason."""
    values = diagnostics(rig, "input", lambda values, status: True)
    return int(values.get(f"dropped: {reason}", 0))


def test_depth_without_any_reading_finds_no_person_and_says_why(rig: Rig) -> None:
    with ros_process(*NODE) as process:
        rig.connected()
        for value in (np.nan, 0.0, np.inf, -1.0):
            color, depth, info = messages(pixels={"depth": np.full((HEIGHT, WIDTH), value, np.float32)})
            send(rig, color, depth, info)
            assert skeletons_at(rig, stamp_of(color)).skeletons == []
        assert output(process).count("depth has no reading anywhere") == 1


def stamp_of(message: Any) -> int:
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec


@pytest.mark.parametrize(("bigendian", "padding"), [(False, 0), (True, 7)])
def test_byte_order_and_padding_do_not_matter(rig: Rig, bigendian: bool, padding: int) -> None:
    with ros_process(*NODE):
        rig.connected()
        color, depth = scene(80)
        rows = depth.astype(">u2" if bigendian else "<u2").view(np.uint8)
        padded = np.hstack([rows, np.full((HEIGHT, padding), 255, np.uint8)])
        colored = np.hstack([color.reshape(HEIGHT, -1), np.zeros((HEIGHT, padding), np.uint8)])
        stamp = time.time_ns()
        send(
            rig,
            color_message(stamp, color, step=3 * WIDTH + padding, data=array("B", colored.tobytes())),
            depth_message(
                stamp, depth, is_bigendian=bigendian, step=2 * WIDTH + padding, data=array("B", padded.tobytes())
            ),
        )
        positions = from_message(skeletons_at(rig, stamp)).positions
        assert positions[0, :, 2] == pytest.approx(np.where(np.isnan(positions[0, :, 2]), np.nan, DEPTH_MM / 1000),
                                                   abs=0.01, nan_ok=True)  # fmt: skip


def test_zero_stamps_are_refused_and_time_going_back_starts_afresh(rig: Rig) -> None:
    with ros_process(*NODE) as process:
        rig.connected()
        color, depth = scene(80)
        send(rig, color_message(0, color), depth_message(0, depth))
        diagnostics(rig, "input", lambda values, status: int(values.get("dropped: zero_stamp", 0)) == 2)
        now = time.time_ns()
        before = shoot(rig, 80, stamp_ns=now).skeletons[0].id
        for earlier in (5_100_000_000, 5_050_000_000):  # that the new time stays has to be seen first
            send(rig, color_message(now - earlier, color), depth_message(now - earlier, depth))
        after = shoot(rig, 80, stamp_ns=now - 5_000_000_000).skeletons[0].id
        assert before != after
        assert shoot(rig, 80, stamp_ns=now - 4_900_000_000).skeletons[0].id == after
        assert output(process).count("time jump") == 1
        diagnostics(rig, "input", lambda values, status: values.get("dropped: time_jump") == "1")


def test_one_stream_alone_gets_one_warning_that_names_everything(rig: Rig) -> None:
    with ros_process(*NODE) as process:
        rig.connected()
        last = nanoseconds(shoot(rig, 80))
        color, _ = scene(80)

        def stamps_in(line: str) -> list[float]:
            return [float(stamp) for stamp in re.findall(r"last stamp ([0-9.]+)", line)]

        def warnings() -> list[str]:
            """Those after the last pair; on a busy machine there may be one before it."""
            found = [line for line in output(process).splitlines() if "no pair of color and depth" in line]
            stamps = [[float(stamp) for stamp in re.findall(r"last stamp ([0-9.]+)", line)] for line in found]
            return [
                line for line, each in zip(found, stamps, strict=True) if each and min(each) >= round(last / 1e9, 3)
            ]

        def warned() -> bool:
            rig.publish("color/image", color_message(time.time_ns(), color))
            time.sleep(0.05)
            return bool(warnings())

        rig.wait_for(warned, "the warning")
        diagnostics(rig, "input", lambda values, status: status.level == b"\x03")
        (warning,) = warnings()
        for words in ("/color/image:", "/depth/image:", "messages", "BEST_EFFORT depth 5", "last stamp", "ms apart"):
            assert words in warning
        time.sleep(0.6)
        assert warnings() == [warning]


def test_stamps_that_never_agree_are_paired_by_nearness(rig: Rig) -> None:
    with ros_process(*NODE) as process:
        color, depth = scene(80)
        start = time.time_ns()
        period, lag = 33_000_000, 8_000_000

        def paired() -> bool:
            nonlocal start
            start += period
            send(rig, color_message(start, color), depth_message(start - lag, depth))
            time.sleep(0.02)
            return bool(rig.received["skeletons"])

        rig.wait_for(paired, "skeletons of unequal stamps")
        assert "pairing stamps less than 16.5 ms apart" in output(process)
        diagnostics(rig, "input", lambda values, status: values.get("pair offset p50 (ms)") == "8.00")


def test_no_calibration_is_reported(rig: Rig) -> None:
    with ros_process(*NODE) as process:
        color, depth = scene(80)

        def counted() -> bool:
            stamp = time.time_ns()
            rig.publish("depth/image", depth_message(stamp, depth))
            rig.publish("color/image", color_message(stamp, color))
            time.sleep(0.05)
            return "no camera_info has come" in output(process)

        rig.wait_for(counted, "the complaint")


def test_compressed_transports(rig: Rig) -> None:
    with ros_process(*NODE, "-p", "input.color_transport:=compressed", "-p", "input.depth_transport:=compressedDepth"):
        color, depth = scene(80)
        jpeg, png = encode_compressed_color(color), encode_compressed_depth(depth)

        def answered() -> bool:
            stamp = time.time_ns()
            rig.publish("color/camera_info", camera_info())
            color_format, depth_format = "rgb8; jpeg compressed bgr8", "16UC1; compressedDepth png"
            image = CompressedImage(format=color_format, data=array("B", jpeg))
            range_image = CompressedImage(format=depth_format, data=array("B", png))
            rig.publish("depth/image/compressedDepth", stamp_header(range_image, stamp))
            rig.publish("color/image/compressed", stamp_header(image, stamp))
            return bool(rig.received["skeletons"] and rig.received["skeletons"][-1].skeletons)

        rig.wait_for(answered, "a person")
        assert from_message(rig.received["skeletons"][-1]).positions[0, 0, 2] == pytest.approx(
            DEPTH_MM / 1000, abs=0.01
        )


def test_point_cloud_in_place_of_a_depth_image(rig: Rig) -> None:
    with ros_process(*NODE, "-p", "input.source:=points"):
        color, depth = scene(80)
        camera = Camera.from_camera_info(camera_info())
        points = depth_to_points(camera, depth.astype(np.float32) / 1000).reshape(-1, 3)

        def answered() -> bool:
            stamp = time.time_ns()
            cloud: PointCloud2 = stamp_header(point_cloud2.create_cloud_xyz32(Header(), points), stamp)
            rig.publish("color/camera_info", camera_info())
            rig.publish("points", cloud)
            rig.publish("color/image", color_message(stamp, color))
            return bool(rig.received["skeletons"] and rig.received["skeletons"][-1].skeletons)

        rig.wait_for(answered, "a person")
        assert from_message(rig.received["skeletons"][-1]).positions[0, 0, 2] == pytest.approx(
            DEPTH_MM / 1000, abs=0.01
        )


def test_a_publisher_with_an_incompatible_qos_is_named_with_the_remedy(rig: Rig) -> None:
    override = "qos_overrides./color/image.subscription.reliability:=reliable"
    with ros_process(*NODE, "-p", override) as process:
        rig.node.create_publisher(Image, "color/image", qos_profile_sensor_data)
        rig.wait_for(lambda: "offers an incompatible QoS" in output(process), "the complaint")
        line = next(line for line in output(process).splitlines() if "incompatible" in line)
        assert "qos_overrides./color/image.subscription.reliability" in line


def test_simulated_time_that_goes_back_starts_afresh(rig: Rig) -> None:
    with ros_process(*NODE, "-p", "use_sim_time:=true") as process:
        clock = rig.node.create_publisher(Clock, "/clock", 10)

        def tell(seconds: int) -> None:
            message = Clock()
            message.clock.sec = seconds
            clock.publish(message)

        rig.wait_for(lambda: clock.get_subscription_count(), "the node to listen to the clock")
        tell(1000)
        rig.connected()

        times = itertools.cycle((1000, 10))

        def jumped() -> bool:
            # One a look: a clock's subscription keeps only the newest, so of two at once the first may go unseen.
            tell(next(times))
            return "time jump (the node's clock)" in output(process)

        rig.wait_for(jumped, "the jump")
        assert len(shoot(rig, 80).skeletons) == 1
