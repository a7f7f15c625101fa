"""Stamps inside serialised messages."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unipose_ros.camera import Camera
from unipose_ros.recordings import messages as make
from unipose_ros.recordings.messages import (
    begins_with_header,
    contains_header,
    message_class,
    message_types,
    read_stamp,
    shift_stamps,
    untimely,
    write_stamp,
)

TYPES = message_types()
CAMERA_INFO = make.camera_info(7_000_000_123, "optical", Camera(5, 5, 1, 1, 3, 2))


def serialised(message: object, little_endian: bool = True) -> bytes:
    return bytes(TYPES.serialize_cdr(message, message.__msgtype__, little_endian=little_endian))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "first", "anywhere"),
    [
        ("sensor_msgs/msg/Image", True, True),
        ("unipose_ros/msg/SkeletonArray", True, True),
        ("tf2_msgs/msg/TFMessage", False, True),
        ("visualization_msgs/msg/MarkerArray", False, True),
        ("std_msgs/msg/String", False, False),
    ],
)
def test_where_headers_are(name: str, first: bool, anywhere: bool) -> None:
    assert begins_with_header(TYPES, name) is first
    assert contains_header(TYPES, name) is anywhere


@given(st.integers(0, 2**31 * 10**9 - 1), st.booleans())
def test_stamps_are_read_and_written_in_place(stamp: int, little_endian: bool) -> None:
    data = serialised(CAMERA_INFO, little_endian)
    assert read_stamp(data) == 7_000_000_123
    moved = write_stamp(data, stamp)
    assert read_stamp(moved) == stamp
    assert write_stamp(moved, 7_000_000_123) == data


def test_moving_equals_unpacking_moving_and_packing() -> None:
    offset = 3_999_999_999
    expected = make.camera_info(7_000_000_123 + offset, "optical", Camera(5, 5, 1, 1, 3, 2))
    assert shift_stamps(TYPES, "sensor_msgs/msg/CameraInfo", serialised(CAMERA_INFO), offset) == serialised(expected)


def test_headers_further_in_are_moved_too() -> None:
    vector, turn = message_class("geometry_msgs/msg/Vector3"), message_class("geometry_msgs/msg/Quaternion")
    transform = message_class("geometry_msgs/msg/Transform")(vector(1.0, 2.0, 3.0), turn(0.0, 0.0, 0.0, 1.0))
    stamped = message_class("geometry_msgs/msg/TransformStamped")
    message = message_class("tf2_msgs/msg/TFMessage")(
        [stamped(make.header(at, "map"), "body", transform) for at in (1_900_000_000, 5)]
    )
    moved = shift_stamps(TYPES, "tf2_msgs/msg/TFMessage", serialised(message), 200_000_000)
    stamps = [t.header.stamp for t in TYPES.deserialize_cdr(moved, "tf2_msgs/msg/TFMessage").transforms]
    assert [(stamp.sec, stamp.nanosec) for stamp in stamps] == [(2, 100_000_000), (0, 200_000_005)]


def test_messages_without_a_header_are_left_alone() -> None:
    data = serialised(message_class("std_msgs/msg/String")("hello"))
    assert shift_stamps(TYPES, "std_msgs/msg/String", data, 10**9) == data


def test_a_stump_is_refused() -> None:
    with pytest.raises(ValueError, match="too short"):
        read_stamp(b"\x00\x01\x00\x00\x01")


def test_image_bytes_are_not_touched() -> None:
    pixels = np.arange(300, dtype=np.uint8).reshape(10, 10, 3)
    data = serialised(make.image(5, "optical", pixels, "rgb8"))
    assert shift_stamps(TYPES, "sensor_msgs/msg/Image", data, 77)[12:] == data[12:]


MS = 1_000_000
STEADY = [1_000_000 * MS + number * 33 * MS for number in range(60)]


@pytest.mark.parametrize("ahead", [-34, -300, -1_500, -60_000, 80, 300, 900, 3_000, 60_000])
@pytest.mark.parametrize("at", [20, 59])
def test_a_stamp_off_its_time_is_found_alone(ahead: int, at: int) -> None:
    stamps = [*STEADY]
    stamps[at] += ahead * MS
    if at == 59 and ahead > 0:  # the last one: nothing says that it is wrong
        assert untimely(stamps) == set()
    else:
        assert untimely(stamps) == {stamps[at]}


def test_of_two_clocks_in_turns_one_is_kept() -> None:
    stamps = [stamp - (5_000 * MS if number % 2 else 0) for number, stamp in enumerate(STEADY)]
    assert untimely(stamps) == set(stamps[1::2])


@pytest.mark.parametrize("hz", [0.4, 5, 30])
def test_gaps_and_a_time_that_begins_anew_are_no_fault(hz: float) -> None:
    stamps = [round((100 + number / hz) * 1e9) for number in range(20)]
    assert untimely(stamps) == set()
    assert untimely([*stamps[:7], *stamps[12:]]) == set()
    again = [stamp - 10**10 * 9 for stamp in stamps]
    assert untimely([*stamps, *again]) == set()


def test_where_nothing_was_recorded_in_order_nothing_is_off() -> None:
    assert untimely(STEADY[::-1]) == set()
