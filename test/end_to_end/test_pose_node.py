"""Images in, skeletons, markers and TF out, between two processes over DDS."""

from __future__ import annotations

import signal
import time

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from rig import (
    DEPTH_MM,
    FRAME,
    Rig,
    camera_info,
    color_message,
    depth_message,
    diagnostics,
    end,
    nanoseconds,
    output,
    ros_process,
    scene,
    send,
    shoot,
    stamp_header,
)  # fmt: skip
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool, Trigger
from tf2_ros import StaticTransformBroadcaster
from visualization_msgs.msg import Marker

from unipose_ros.frame import JointStatus
from unipose_ros.joint_sets import ITOP15
from unipose_ros.msg import SkeletonArray, SkeletonInfo
from unipose_ros.ros.messages import from_message, quaternion, vector

pytestmark = [pytest.mark.e2e, pytest.mark.ros]

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
FAST_DIAGNOSTICS = ("--ros-args", "-p", "diagnostics.period:=0.2")


def test_a_person_becomes_skeleton_markers_and_frames(rig: Rig) -> None:
    with ros_process(*FAST_DIAGNOSTICS, "-p", "tf.mode:=joints"):
        rig.connected()
        first, second = shoot(rig, 80), shoot(rig, 84)
        people = from_message(second)
        assert second.header.frame_id == FRAME
        assert second.joint_set == "itop15"
        assert second.modality == "lookup"
        assert [p.id for p in first.skeletons] == [p.id for p in second.skeletons]
        (person,) = people.ids
        assert len(person) == 5
        assert person.islower()
        hips = people.positions[0, [ITOP15.index("left_hip"), ITOP15.index("right_hip")]].mean(axis=0)
        np.testing.assert_allclose(hips[1:], [0.0, DEPTH_MM / 1000], atol=0.01)
        missing = people.status[0] == JointStatus.MISSING
        assert missing.sum() == 1
        assert np.isnan(people.positions[0, missing]).all()
        assert np.isfinite(people.positions[0, ~missing]).all()

        stamp = nanoseconds(second)
        transforms = rig.wait_for(lambda: at(rig, "/tf", stamp), "transforms of the image's stamp").transforms
        assert len({nanoseconds(t) for t in transforms}) == 1
        assert transforms[0].header.frame_id == FRAME
        assert transforms[0].child_frame_id == f"body_{person}"
        joints = {t.child_frame_id for t in transforms[1:]}
        assert joints == {f"{j}_{person}" for j in ITOP15.joints if j != "left_hand"}
        assert {t.header.frame_id for t in transforms[1:]} == {f"body_{person}"}

        markers = rig.wait_for(lambda: at(rig, "markers", stamp), "markers of the image's stamp").markers
        lists = [m.type for m in markers if m.type != Marker.CYLINDER]
        assert lists == [Marker.SPHERE_LIST, Marker.LINE_LIST, Marker.TEXT_VIEW_FACING]
        assert 10 <= len(markers) - len(lists) <= 14, "a capsule for each bone whose ends are known"
        assert len(markers[0].points) == 14

        values = diagnostics(rig, "skeletons", lambda v, s: v.get("people") == "1" and s.level == b"\x00")
        assert float(values["latency p50 (ms)"]) > 0
        assert {"decode p50 (ms)", "network p95 (ms)", "track p50 (ms)", "publish p50 (ms)"} <= values.keys()


def at(rig: Rig, topic: str, stamp_ns: int):
    """The message of a topic whose first part carries a stamp."""

    def parts(message):
        return getattr(message, "transforms", None) or getattr(message, "markers", None) or []

    return next((m for m in rig.received[topic] if parts(m) and nanoseconds(parts(m)[0]) == stamp_ns), None)


def test_those_who_leave_are_deleted_once_and_then_there_is_silence(rig: Rig) -> None:
    with ros_process("--ros-args", "-p", "track.max_age:=0.05"):
        rig.connected()
        shoot(rig, 60, 110)
        time.sleep(0.1)  # older than track.max_age: both are forgotten with the next frame
        empty = shoot(rig)
        assert empty.skeletons == []
        deletions = rig.wait_for(
            lambda: [m for got in rig.received["markers"] for m in got.markers if m.action == Marker.DELETE],
            "deletions",
        )
        shown = {(m.ns, m.id) for m in marked(rig, Marker.ADD)}
        assert {(m.ns, m.id) for m in deletions} == shown
        assert len(deletions) == len(shown)
        count = len(rig.received["markers"])
        shoot(rig)
        shoot(rig)
        assert len(rig.received["markers"]) == count


def marked(rig: Rig, action: int) -> list[Marker]:
    return [marker for message in rig.received["markers"] for marker in message.markers if marker.action == action]


def test_debug_image_comes_when_a_person_looks(rig: Rig) -> None:
    with ros_process():
        rig.connected()
        shoot(rig, 80)
        rig.listen("debug/image", Image, "unipose/debug/image")
        rig.wait_for(lambda: rig.node.count_subscribers("unipose/debug/image"), "the subscription")

        def image():
            shoot(rig, 80)
            return rig.received["debug/image"]

        message = rig.wait_for(image, "a debug image")[0]
        assert (message.encoding, message.width, message.height) == ("rgb8", 160, 120)
        pixels = np.frombuffer(message.data, np.uint8).reshape(120, 160, 3)
        assert (np.ptp(pixels.reshape(-1, 3), axis=0) > 100).all()
        rig.listen("body_index", Image, "unipose/body_index")

        def index():
            shoot(rig, 80)
            return rig.received["body_index"]

        message = rig.wait_for(index, "a body index")[0]
        assert (message.encoding, message.width, message.height) == ("mono8", 160, 120)
        assert message.header.frame_id == FRAME
        assert set(np.unique(np.frombuffer(message.data, np.uint8))) <= {0, 1}


def test_depth_of_another_camera_gives_people_in_the_target_frame(rig: Rig) -> None:
    """Depth is registered to color by TF; skeletons and markers are in base_link, people's frames in the camera's."""
    still = StaticTransformBroadcaster(rig.node)
    # The camera looks along x of base_link, 1 m above it; depth is taken 3 cm to its right.
    still.sendTransform(
        [
            transform("base_link", FRAME, (0, 0, 1), (-0.5, 0.5, -0.5, 0.5)),
            transform(FRAME, "depth_frame", (0.03, 0, 0)),
        ]
    )
    with ros_process(*FAST_DIAGNOSTICS, "-p", "tf.target_frame:=base_link"):
        rig.listen("info", SkeletonInfo, "unipose/skeleton_info", LATCHED)
        color, depth = scene(80)

        def answered() -> SkeletonArray | None:
            stamp = time.time_ns()
            rig.publish("depth/camera_info", stamp_header(camera_info(), 1, "depth_frame"))
            send(rig, color_message(stamp, color), depth_message(stamp, depth, frame="depth_frame"))
            return next((m for m in rig.received["skeletons"] if m.skeletons), None)

        message = rig.wait_for(answered, "people")
        assert message.header.frame_id == "base_link"
        hips = from_message(message).positions[0, [ITOP15.index("left_hip"), ITOP15.index("right_hip")]].mean(axis=0)
        np.testing.assert_allclose(hips, [DEPTH_MM / 1000, 0, 1], atol=0.05)
        body = rig.wait_for(lambda: [t for m in rig.received["/tf"] for t in m.transforms], "frames")[0]
        assert body.header.frame_id == FRAME
        markers = rig.wait_for(lambda: [m for a in rig.received["markers"] for m in a.markers], "markers")
        assert {m.header.frame_id for m in markers} == {"base_link"}
        (info,) = rig.wait_for(lambda: rig.received["info"], "the latched description")
        assert list(info.joints) == list(ITOP15.joints)
        drops = diagnostics(rig, "input", lambda v, s: True)
        assert not {"dropped: size", "dropped: frame_id"} & drops.keys()


def transform(
    parent: str, child: str, place: tuple[float, ...], turn: tuple[float, ...] = (0, 0, 0, 1)
) -> TransformStamped:
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id = parent
    message.transform.translation = vector(place)
    message.transform.rotation = quaternion(turn)
    return message


def test_services_pause_and_reset(rig: Rig) -> None:
    with ros_process(*FAST_DIAGNOSTICS):
        rig.connected()
        before = shoot(rig, 80).skeletons[0].id
        assert rig.call(Trigger, "unipose/reset_tracks", Trigger.Request()).success
        after = shoot(rig, 80).skeletons[0].id
        assert before != after
        assert rig.call(SetBool, "unipose/enable", SetBool.Request(data=False)).success
        rig.wait_for(lambda: rig.node.count_subscribers("color/image") == 0, "the node to unsubscribe")
        assert rig.received["skeletons"][-1].skeletons == []
        diagnostics(rig, "input", lambda values, status: status.message == "disabled")
        assert not rig.call(Trigger, "unipose/reset_tracks", Trigger.Request()).success
        assert rig.call(SetBool, "unipose/enable", SetBool.Request(data=True)).success
        rig.wait_for(lambda: rig.node.count_subscribers("color/image") == 1, "the node to subscribe")
        assert shoot(rig, 80).skeletons[0].id not in (before, after)


def test_a_slow_network_skips_frames_instead_of_queueing(rig: Rig) -> None:
    with ros_process(*FAST_DIAGNOSTICS, BLOB_DELAY="0.3"):
        rig.connected()
        color, depth = scene(80)
        shoot(rig, 80)
        stamps = []
        for _ in range(12):
            stamps.append(time.time_ns())
            send(rig, color_message(stamps[-1], color), depth_message(stamps[-1], depth))
            time.sleep(0.02)
        rig.wait_for(lambda: nanoseconds(rig.received["skeletons"][-1]) == stamps[-1], "the newest frame")
        assert len(rig.received["skeletons"]) < 8
        values = diagnostics(rig, "input", lambda values, status: "dropped: superseded" in values)
        assert int(values["dropped: superseded"]) >= 6


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("delay", ["0", "1.0"])
def test_signals_end_it_quietly_even_amid_inference(rig: Rig, number: signal.Signals, delay: str) -> None:
    with ros_process(BLOB_DELAY=delay) as process:
        rig.connected()
        if delay == "0":
            shoot(rig, 80)
        else:
            color, depth = scene(80)
            stamp = time.time_ns()
            send(rig, color_message(stamp, color), depth_message(stamp, depth))
            time.sleep(0.3)  # the worker is in the network now
        assert end(process, number) == 0
        assert "Traceback" not in output(process)
        rig.wait_for(lambda: rig.received["skeletons"] and not rig.received["skeletons"][-1].skeletons, "a farewell")
        if delay == "0":
            rig.wait_for(
                lambda: all(m.action == Marker.DELETE for m in rig.received["markers"][-1].markers), "deletions"
            )


def test_two_cameras_in_two_namespaces_do_not_meet() -> None:
    left, right = Rig("/left"), Rig("/right")
    try:
        with (
            ros_process("--ros-args", "-r", "__ns:=/left"),
            ros_process("--ros-args", "-r", "__ns:=/right"),
        ):
            left.connected()
            right.connected()
            assert len(shoot(left, 80).skeletons) == 1
            assert len(shoot(right, 40, 120).skeletons) == 2
            assert [len(m.skeletons) for m in left.received["skeletons"]] == [1]
            assert [len(m.skeletons) for m in right.received["skeletons"]] == [2]
    finally:
        left.close()
        right.close()
