"""The node listens to what its modality needs, and in ``auto`` survives the death of either image."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from rig import PATIENCE, Rig, camera_info, color_message, depth_message, diagnostics, output, ros_process, scene

pytestmark = [pytest.mark.e2e, pytest.mark.ros, pytest.mark.slow]


def node(modality: str) -> tuple[str, ...]:
    parameters = {"model.modality": modality, "input.single_image_timeout": "0.4", "diagnostics.period": "0.2"}
    return ("--ros-args", *(part for name, value in parameters.items() for part in ("-p", f"{name}:={value}")))


def stream(rig: Rig, images: str, until: Callable[[], object], what: str) -> None:
    """Publish frames, about fifteen a second, until something has come about."""
    color, depth = scene(80)
    depth = np.where(color[..., 1] < 60, 2000, depth).astype(np.uint16)
    end = time.monotonic() + PATIENCE
    while not until():
        assert time.monotonic() < end, f"waited {PATIENCE} s for {what}"
        stamp = time.time_ns()
        for name in images.split():
            message = color_message(stamp, color) if name == "color" else depth_message(stamp, depth)
            rig.publish(f"{name}/camera_info", camera_info())
            rig.publish(f"{name}/image", message)
        time.sleep(0.06)


def last(rig: Rig) -> tuple[str, int]:
    """Modality and number of people of the newest message."""
    messages = rig.received["skeletons"]
    return (messages[-1].modality, len(messages[-1].skeletons)) if messages else ("", 0)


def test_auto_survives_the_death_of_either_image_and_recovers(rig: Rig) -> None:
    with ros_process(*node("auto"), script="seeing_node.py") as process:
        stream(rig, "color depth", lambda: last(rig) == ("points", 1), "points")
        stream(rig, "color", lambda: last(rig) == ("rgb", 1), "rgb without depth")
        values = diagnostics(rig, "skeletons", lambda v, s: v.get("modality in use") == "rgb" and s.level == b"\x01")
        assert "rgb takes over" in values["message"]
        stream(rig, "color depth", lambda: last(rig) == ("points", 1), "points again")
        diagnostics(rig, "skeletons", lambda v, s: v.get("modality in use") == "points" and "notice" not in v)
        before = len(rig.received["skeletons"])
        stream(rig, "depth", lambda: len(rig.received["skeletons"]) > before + 10, "points without color")
        assert last(rig) == ("points", 1)
        printed = output(process)
        assert printed.count("rgb takes over") == 2  # when it began, and when it was over
        assert "no longer: no depth image" in printed
        assert "no color image" in printed


@pytest.mark.parametrize(("modality", "image"), [("points", "depth"), ("rgb", "color")])
def test_one_image_is_all_that_a_modality_needs(rig: Rig, modality: str, image: str) -> None:
    with ros_process(*node(modality), script="seeing_node.py"):
        stream(rig, image, lambda: last(rig) == (modality, 1), "a person")
        other = {"depth": "color", "color": "depth"}[image]
        assert rig.node.count_subscribers(f"{image}/image") == 1
        assert rig.node.count_subscribers(f"{other}/image") == 0


def test_weights_that_cannot_be_used_leave_the_node_unconfigured(rig: Rig, tmp_path: Path) -> None:
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(pickle.dumps({"weight": 1}))
    arguments = (*node("points"), "-p", "autostart:=false", "-p", f"model.weights.points:={bad}")
    with ros_process(*arguments, module="unipose_ros.nodes.pose_node") as process:
        assert not rig.change_state(Transition.TRANSITION_CONFIGURE)
        assert rig.state() == "unconfigured"
        diagnostics(rig, "skeletons", lambda v, s: s.level == b"\x02" and "is a pickle" in s.message)
        assert "bad.safetensors is a pickle" in output(process)
