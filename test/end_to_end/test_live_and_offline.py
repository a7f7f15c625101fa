"""The node, fed a recording with simulated time, publishes what offline evaluation of the same frames says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from rig import Rig, camera_info, depth_message, nanoseconds, ros_process
from rosgraph_msgs.msg import Clock

from unipose_ros.config import EstimatorConfig
from unipose_ros.estimator import PoseEstimator
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.images import to_millimeters
from unipose_ros.ros.messages import from_message
from unipose_training.datasets.base import RecordingClip
from unipose_training.evaluation.run import evaluate_clips

pytestmark = [pytest.mark.e2e, pytest.mark.ros, pytest.mark.slow]
RECORDING = Path(__file__).resolve().parents[2] / "demo" / "walk"
FRAMES = 20
NODE = ("--ros-args", "-p", "use_sim_time:=true", "-p", "model.modality:=points")


class Later(RecordingClip):
    """The depth of a few frames."""

    first = 0

    def frames(self) -> Iterator[RgbdFrame]:
        for frame in islice(super().frames(), self.first, FRAMES):
            yield replace(frame, color=None)


def publish(rig: Rig, frame: RgbdFrame) -> None:
    """A frame and the time when it was taken."""
    assert frame.depth is not None
    clock = Clock()
    clock.clock.sec, clock.clock.nanosec = divmod(frame.stamp_ns, 10**9)
    rig.publish("/clock", clock)
    k = [frame.camera.fx, 0.0, frame.camera.cx, 0.0, frame.camera.fy, frame.camera.cy, 0.0, 0.0, 1.0]
    size = {"width": frame.camera.width, "height": frame.camera.height}
    rig.publish("depth/camera_info", camera_info(frame.stamp_ns, k=k, **size))
    rig.publish("depth/image", depth_message(frame.stamp_ns, to_millimeters(frame.depth)))


def live(rig: Rig, clip: RecordingClip) -> dict[int, Skeletons]:
    """What the node publishes of each frame, by stamp; each frame is sent when the last one is answered.

    The first frames may get lost, while the processes find each other.
    """
    with ros_process(*NODE, module="unipose_ros.nodes.pose_node"):
        rig.wait_for(lambda: rig.node.count_publishers("unipose/skeletons"), "the node")
        for frame in clip.frames():
            publish(rig, frame)

            def answered(stamp: int = frame.stamp_ns) -> bool:
                return any(nanoseconds(message) == stamp for message in rig.received["skeletons"])

            if rig.received["skeletons"]:
                rig.wait_for(answered, "the frame's people")
            else:
                time.sleep(1.0)
    return {nanoseconds(message): from_message(message) for message in rig.received["skeletons"] if message.skeletons}


def test_live_agrees_with_offline(rig: Rig) -> None:
    clip = Later(RECORDING)
    published = live(rig, clip)
    stamps = [frame.stamp_ns for frame in clip.frames()]
    assert len(published) > FRAMES // 2
    clip.first = stamps.index(min(published))
    with closing(PoseEstimator(EstimatorConfig("points"))) as estimator:
        _, replayed = evaluate_clips([clip], estimator)
    assert [frame.predicted.stamp_ns for frame in replayed] == sorted(published)
    same: dict[str, str] = {}
    apart, alone = [], 0
    for frame in replayed:
        offline, online = frame.predicted, published[frame.predicted.stamp_ns]
        alone += abs(len(online) - len(offline))
        known = {name: row for row, name in enumerate(offline.ids)}
        for row, name in enumerate(online.ids):
            near = np.linalg.norm(offline.positions - online.positions[row], axis=-1).mean(-1)
            other = same.setdefault(name, offline.ids[int(near.argmin())])
            apart.append(np.linalg.norm(offline.positions[known[other]] - online.positions[row], axis=-1))
    # People in depth are looked for beside the frames in a live node and within frames offline: which of them are
    # found when, and in which square they are cut out, depends on the clock.
    assert len(set(same.values())) == len(same) == 2
    assert alone <= len(replayed) // 5
    assert np.median(apart) < 0.03
    assert np.allclose(apart[0], 0, atol=1e-5)
