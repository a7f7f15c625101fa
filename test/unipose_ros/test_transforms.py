"""Frames over time without ROS."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from unipose_ros.transforms import TransformError, TransformTree

SECOND = 1_000_000_000


def stamped(child: str, parent: str, seconds: float, x: float = 0.0, yaw: float = 0.0) -> Any:
    nanoseconds = round(seconds * SECOND)
    stamp = SimpleNamespace(sec=nanoseconds // SECOND, nanosec=nanoseconds % SECOND)
    rotation = SimpleNamespace(x=0.0, y=0.0, z=math.sin(yaw / 2), w=math.cos(yaw / 2))
    return SimpleNamespace(
        header=SimpleNamespace(frame_id=parent, stamp=stamp),
        child_frame_id=child,
        transform=SimpleNamespace(translation=SimpleNamespace(x=x, y=0.0, z=0.0), rotation=rotation),
    )


@pytest.fixture
def tree() -> TransformTree:
    made = TransformTree()
    made.add([stamped("camera", "base", 0.0, 0.5)], static=True)
    made.add([stamped("base", "odom", 11.0, 3.0, 1.0), stamped("base", "odom", 10.0, 1.0)])  # in no order
    return made


def test_a_chain_is_looked_up_between_two_stamps_and_back(tree: TransformTree) -> None:
    pose = tree.lookup("odom", "camera", round(10.5 * SECOND))
    np.testing.assert_allclose(pose[:3, 3], [2 + 0.5 * math.cos(0.5), 0.5 * math.sin(0.5), 0], atol=1e-9)
    np.testing.assert_allclose(tree.lookup("camera", "odom", round(10.5 * SECOND)) @ pose, np.eye(4), atol=1e-9)
    np.testing.assert_allclose(tree.lookup("/odom", "/odom", 5), np.eye(4))


@pytest.mark.parametrize(
    ("target", "source", "seconds", "text"),
    [
        ("odom", "camera", 9.5, "0.500 s before"),
        ("odom", "camera", 11.25, "0.250 s after"),
        ("map", "camera", 10.5, "no transform names 'map'"),
        ("odom", "lidar", 10.5, "no transform names 'lidar'"),
    ],
)
def test_what_is_not_known_is_named(tree: TransformTree, target: str, source: str, seconds: float, text: str) -> None:
    with pytest.raises(TransformError, match=text):
        tree.lookup(target, source, round(seconds * SECOND))


def test_other_trees_loops_and_broken_numbers_do_no_harm(tree: TransformTree) -> None:
    tree.add([stamped("a", "b", 1.0), stamped("b", "a", 1.0), stamped("base", "odom", 12.0, math.nan)])
    with pytest.raises(TransformError):
        tree.lookup("odom", "a", SECOND)
    with pytest.raises(TransformError, match="after"):
        tree.lookup("odom", "base", 12 * SECOND)


def test_memory_is_bounded_and_clearing_keeps_what_is_static() -> None:
    tree = TransformTree(memory=2.0)
    tree.add([stamped("camera", "base", 0.0)], static=True)
    for k in range(100):
        tree.add([stamped("base", "odom", k / 10, k)])
    with pytest.raises(TransformError, match="before"):
        tree.lookup("odom", "base", 5 * SECOND)
    assert tree.lookup("odom", "base", round(9.5 * SECOND))[0, 3] == pytest.approx(95)
    tree.clear()
    tree.lookup("base", "camera", 5)
    with pytest.raises(TransformError):
        tree.lookup("odom", "base", 9 * SECOND)
