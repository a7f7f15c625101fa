"""``unipose collect --adapt`` beside the real node, on the shipped recording: clips, an adaptation, a verdict."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
from pathlib import Path

import pytest
from rig import Rig, end, output, ros_process

from unipose_ros.networks.movenet.decode import ONNX, verified_file
from unipose_ros.networks.weights import WeightsError
from unipose_ros.recordings import BagReader

pytestmark = [pytest.mark.e2e, pytest.mark.ros, pytest.mark.slow, pytest.mark.weights]

RECORDING = Path(__file__).resolve().parents[2] / "demo" / "walk"
TOPICS = {
    "--color": "/color/image/compressed", "--color-info": "/color/camera_info",
    "--depth": "/depth/image/compressedDepth", "--depth-info": "/depth/camera_info",
}  # fmt: skip
NODE = (
    "--ros-args", "-p", "model.modality:=points", "-p", "input.depth_transport:=compressedDepth",
    "-p", "input.color_transport:=compressed",
)  # fmt: skip
#: Few frames, so that the adaptation ends with the checks of the recording: fewer than 60 people.
COLLECT = (
    "--clip-seconds", "6", "--pause", "600", "--minutes", "0.1", "--adapt", "--adapt-options", "--rate 7",
    "--nice", "1", "--most-memory-gb", "5", "--most-gb", "1",
)  # fmt: skip
#: Seconds; on a busy machine.
PATIENCE = 240.0


def running_adaptation(collector: subprocess.Popen[str]) -> int:
    """The process that the collector has started, once it is what it is to become; 0 for none."""
    for child in Path(f"/proc/{collector.pid}/task/{collector.pid}/children").read_text().split():
        if b"\0adapt\0" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    return 0


def test_clips_are_adapted_to_within_limits_and_nothing_is_deployed(rig: Rig, tmp_path: Path) -> None:
    try:
        verified_file(ONNX)
    except WeightsError as error:
        pytest.skip(str(error))
    folder, deployed = tmp_path / "collected", tmp_path / "deployed"
    environment = {"UNIPOSE_WEIGHTS": str(deployed)}
    command = ("collect", str(folder), *(word for pair in TOPICS.items() for word in pair), *COLLECT)
    played = (str(RECORDING), "--loop", "--restamp", "--wait-on", TOPICS["--depth"], "--wait-for", "2")
    with (
        ros_process(*NODE, module="unipose_ros.nodes.pose_node", **environment) as node,
        ros_process(*command, module="unipose_ros.cli", **environment) as collector,
        ros_process(*played, module="unipose_ros.nodes.player"),
    ):
        adaptation = rig.wait_for(lambda: running_adaptation(collector), "an adaptation", PATIENCE)
        assert resource.prlimit(adaptation, resource.RLIMIT_DATA) == (5 * 10**9, 5 * 10**9)
        nice = max(1, os.getpriority(os.PRIO_PROCESS, 0))
        assert os.getpriority(os.PRIO_PROCESS, adaptation) == nice
        assert {os.getpriority(os.PRIO_PROCESS, int(each.name))
                for each in Path(f"/proc/{collector.pid}/task").iterdir()} == {nice}  # fmt: skip
        rig.wait_for(lambda: list(folder.glob("proposal_*/verdict.txt")), "a verdict", PATIENCE)
        seen = len(rig.received["skeletons"])
        rig.wait_for(lambda: len(rig.received["skeletons"]) > seen, "the node at work as before")
        assert node.poll() is None
        assert end(collector, signal.SIGINT) == 0
        report = json.loads(next(line for line in output(collector).splitlines() if line.startswith("{")))
    (clip,) = report["clips"]
    proposal = folder / clip.replace("clip", "proposal")
    assert report["proposals"] == {str(proposal): "the clips are refused"}
    assert "the recording is refused (no_people)" in Path(f"{proposal}.log").read_text()
    with BagReader(folder / "clips" / clip) as reader:
        assert set(TOPICS.values()) <= set(reader.topics)
        assert reader.duration_ns > 5e9
    found = json.loads((proposal / "samples" / "stage.json").read_text())["result"]
    assert 0 < found["adaptation"]["people"] < 60
    assert not deployed.exists()
