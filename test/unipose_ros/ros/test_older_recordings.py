"""Recordings whose skeletons had other fields are played and read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rclpy.serialization import deserialize_message

from unipose_ros.msg import SkeletonArray
from unipose_ros.recordings import BagReader
from unipose_ros.recordings.messages import read_skeletons
from unipose_ros.ros.bag_player import as_defined_now
from unipose_ros.ros.messages import from_message

pytestmark = pytest.mark.ros
#: Recorded before skeletons had velocities, boxes and orientations.
WALK = Path(__file__).parents[3] / "demo" / "walk"


def test_the_demos_skeletons_are_todays_messages() -> None:
    with BagReader(WALK) as reader:
        raw = next(iter(reader.raw(["/truth/skeletons"])))
        known = read_skeletons(reader.unpack(raw))
        message = deserialize_message(as_defined_now(reader.types, raw.data), SkeletonArray)
    back = from_message(message)
    np.testing.assert_array_equal(back.positions, known.positions)
    assert (back.ids, back.velocities) == (known.ids, None)
    assert np.isfinite(message.skeletons[0].box_size.x)
