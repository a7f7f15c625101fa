"""The shipped recording through the real estimator: player, node and listener are three processes."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from rig import PATIENCE, Rig, diagnostics, nanoseconds, ros_process

from unipose_ros.detection.movenet import load_movenet
from unipose_ros.networks.weights import WeightsError
from unipose_ros.ros.messages import from_message

pytestmark = [pytest.mark.e2e, pytest.mark.ros, pytest.mark.slow]

RECORDING = Path(__file__).resolve().parents[2] / "demo" / "walk"
NODE = (
    "--ros-args", "-p", "input.color_transport:=compressed", "-p", "input.depth_transport:=compressedDepth",
    "-p", "tf.mode:=joints", "-p", "diagnostics.period:=0.5",
)  # fmt: skip
#: Images that the modality looks at.
INPUTS = {
    "points": ["/depth/image/compressedDepth"],
    "lookup": ["/color/image/compressed", "/depth/image/compressedDepth"],
}


@pytest.mark.parametrize("modality", INPUTS)
def test_two_people_walk_through_the_whole_way(rig: Rig, modality: str) -> None:
    if modality == "lookup":
        _skip_without_movenet()
    chosen = ("-p", f"model.modality:={modality}")
    with ros_process(*NODE, *chosen, module="unipose_ros.nodes.pose_node"):
        rig.wait_for(lambda: rig.node.count_publishers("unipose/skeletons"), "the node")
        played = (str(RECORDING), "--restamp", "--wait-on", *INPUTS[modality])
        with ros_process(*played, module="unipose_ros.nodes.player") as player:
            values = diagnostics(rig, "skeletons", lambda v, s: v.get("people") == "2")
            assert "on cpu" in values["runtime"] or "on cuda" in values["runtime"]
            player.wait(PATIENCE)
        time.sleep(0.5)
    messages = rig.received["skeletons"][:-1]  # the last one is the farewell
    assert len(messages) > 10
    stamps = [nanoseconds(message) for message in messages]
    assert stamps == sorted(set(stamps))
    counts = Counter(len(message.skeletons) for message in messages)
    assert counts.most_common(1)[0][0] == 2
    for message in messages:
        people = from_message(message)
        distances = people.positions[..., 2]
        assert ((distances > 1.0) & (distances < 8.0) | np.isnan(distances)).all()
    assert {message.modality for message in messages} == {modality}
    transforms = {nanoseconds(message.transforms[0]) for message in rig.received["/tf"]}
    assert transforms <= set(stamps)
    assert len(transforms) > 10


def _skip_without_movenet() -> None:
    try:
        load_movenet()
    except WeightsError as error:
        pytest.skip(str(error))
