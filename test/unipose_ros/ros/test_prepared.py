"""What is assembled from prepared elements is what rclpy would have serialized."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import Transform, TransformStamped, Vector3
from rclpy.serialization import deserialize_message, serialize_message
from ros_samples import FRAME, STAMP, people
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from unipose_ros.frame import JointStatus, Skeletons
from unipose_ros.recordings.messages import message_types
from unipose_ros.ros import markers, prepared, publishers
from unipose_ros.ros.parameters import MarkersConfig
from unipose_ros.ros.prepared import BLANK, Element, ListOf, blank_header

pytestmark = pytest.mark.ros
EVERYTHING = MarkersConfig(covariances=True, velocities=True, lifetime=0.3)
LIST = ListOf(lambda transforms: TFMessage(transforms=transforms))
FRAMES = (FRAME, "", "a/größe 相机", "abc")


def crowd(seed: int, ids: tuple[str, ...], frame_id: str = FRAME) -> Skeletons:
    """People anyhow, of whom joints, covariances and velocities are missing."""
    rng, shape = np.random.default_rng(seed), (len(ids), 15)
    missing = rng.random(shape) < rng.choice([0.0, 0.2, 0.9])
    positions = (people(*ids).positions + rng.normal(0, 0.2, (*shape, 3))).astype(np.float32)
    positions[missing] = np.nan
    factors = rng.normal(0, 0.1, (*shape, 3, 3))
    covariances = (factors @ factors.swapaxes(2, 3))[..., [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]].astype(np.float32)
    covariances[rng.random(shape) < 0.3] = np.nan
    velocities = rng.normal(0, 1, (len(ids), 3)).astype(np.float32)
    velocities[rng.random(len(ids)) < 0.3] = np.nan
    status = np.where(missing, JointStatus.MISSING, rng.integers(1, 3, shape)).astype(np.uint8)
    return people(
        *ids, frame_id=frame_id, positions=positions, status=status, covariances=covariances, velocities=velocities,
        confidences=np.where(missing, 0, rng.random(shape)).astype(np.float32), stamp_ns=int(rng.integers(0, 2**60)),
    )  # fmt: skip


def otherwise(make: Callable[[], Any]) -> Any:
    """What is published where messages are not CDR: of rclpy's classes."""

    def forget() -> None:
        markers._elements.cache_clear()
        publishers._frames_of.cache_clear()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepared, "_published_as_cdr", lambda: False)
        forget()
        message = make()
    forget()
    return message


def assert_same(published: Any, message: Any, kind: str) -> None:
    if message is None:
        assert published is None
        return
    assert isinstance(published, bytes)
    serialized = serialize_message(message)
    assert deserialize_message(published, type(message)) == deserialize_message(serialized, type(message))
    assert len(published) == len(serialized)
    # By a second writer of CDR, which leaves zeros between the fields: rclpy leaves what lay in memory.
    types = message_types()
    assert bytes(types.serialize_cdr(types.deserialize_cdr(published, kind), kind)) == published


@pytest.mark.parametrize("seed", range(12))
def test_transforms_are_those_of_rclpy(seed: int) -> None:
    ids = ("abcde", "", "größe", "ab")[: seed % 5]
    skeletons, prefix = crowd(seed, ids, FRAMES[seed % 3]), FRAMES[seed % 4]
    for mode in ("joints", "root"):
        published = publishers.transforms_message(skeletons, mode, prefix)
        message = otherwise(partial(publishers.transforms_message, skeletons, mode, prefix))
        assert_same(published, message, "tf2_msgs/msg/TFMessage")


@pytest.mark.parametrize("config", [EVERYTHING, MarkersConfig()])
@pytest.mark.parametrize("seed", range(6))
def test_markers_are_those_of_rclpy(seed: int, config: MarkersConfig) -> None:
    first = crowd(seed, ("abcde", "", "zzzzz", "qrstu")[: seed % 5], FRAMES[seed % 4])
    second = crowd(seed + 1, ("abcde", "other")[: seed % 3], FRAMES[seed % 4])  # the others are deleted

    def shown() -> list[Any]:
        builder = markers.MarkerBuilder()
        return [builder.build(first, config), builder.build(second, config), builder.clear(second)]

    for published, message in zip(shown(), otherwise(shown), strict=True):
        assert_same(published, message, "visualization_msgs/msg/MarkerArray")


def element(child: str) -> Element:
    place = Transform(translation=Vector3(x=BLANK, y=BLANK, z=BLANK))
    return LIST.prepare(TransformStamped(header=blank_header("a"), child_frame_id=child, transform=place))


def test_numbers_go_to_the_blanks_in_their_order_and_all_else_stays() -> None:
    numbers = np.arange(9.0).reshape(3, 3)
    published = LIST.serialize([element(name) for name in ("b", "four", "größer")], STAMP, numbers, np.zeros(0))
    found = deserialize_message(published, TFMessage).transforms
    assert [transform.child_frame_id for transform in found] == ["b", "four", "größer"]
    places = [transform.transform.translation for transform in found]
    assert [[place.x, place.y, place.z] for place in places] == numbers.tolist()
    assert {transform.transform.rotation.w for transform in found} == {1.0}
    assert {transform.header.stamp.sec * 10**9 + transform.header.stamp.nanosec for transform in found} == {STAMP}
    assert deserialize_message(LIST.serialize([], STAMP, np.zeros(0), np.zeros(0)), TFMessage) == TFMessage()


def test_too_few_or_too_many_numbers_are_refused() -> None:
    for count in (2, 4):
        with pytest.raises(ValueError, match="3"):
            LIST.serialize([element("b")], STAMP, np.zeros(count), np.zeros(0))


def test_who_flickers_between_two_looks_is_shown_as_in_the_present_one() -> None:
    builder, skeletons = markers.MarkerBuilder(), people("abcde")
    counts = []
    for joints in (15, 9, 15):
        positions = skeletons.positions.copy()
        positions[:, joints:] = np.nan
        published = builder.build(replace(skeletons, positions=positions), MarkersConfig(labels=False))
        spheres = deserialize_message(published, MarkerArray).markers[0]
        counts.append(len(spheres.points))
    assert counts == [14, 8, 14]
