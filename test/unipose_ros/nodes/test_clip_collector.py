"""Guarded adaptation on the robot: clips that appear when complete, bounded space, proposals, no deployment."""

from __future__ import annotations

import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import rclpy
from rclpy.node import Node

from unipose_ros.files import FolderBusyError, exclusive
from unipose_ros.frame import JointStatus, Skeletons
from unipose_ros.nodes import clip_collector
from unipose_ros.nodes.clip_collector import Collector
from unipose_ros.recordings import BagReader
from unipose_ros.ros.bag_recorder import ClipWriter
from unipose_ros.ros.messages import to_message

pytestmark = pytest.mark.ros
KIND = "std_msgs/msg/String"
TEXT = b"\x00\x01\x00\x00\x03\x00\x00\x00hi\x00\x00"


@pytest.fixture
def node() -> Iterator[Node]:
    context = rclpy.Context()
    rclpy.init(context=context, args=[])
    made = rclpy.create_node("collect", context=context)
    yield made
    made.destroy_node()
    rclpy.shutdown(context=context)


@pytest.fixture
def options(tmp_path: Path) -> Namespace:
    return Namespace(
        output=tmp_path / "out", skeletons="skeletons", clip_seconds=3.0, pause=1.0, most_gb=1.0, adapt=False,
        minutes=0.05, budget="1min", most_memory_gb=4.0, adapt_options="", nice=0,
    )  # fmt: skip


def people(stamp_s: float) -> Skeletons:
    return Skeletons(
        round(stamp_s * 1e9), "camera", "points", np.full((1, 15, 3), 3.0, np.float32), np.ones((1, 15), np.float32),
        np.full((1, 15), JointStatus.MEASURED, np.uint8), np.ones(1, np.float32), ids=("abcde",),
    )  # fmt: skip


def test_latched_messages_that_come_again_and_again_take_no_memory(tmp_path: Path) -> None:
    writer = ClipWriter()
    writer.add_topic("/latched", KIND, latched=True)
    for number in range(1000):
        writer.write_raw("/latched", KIND, TEXT, number)
    writer.begin(tmp_path / "clip_1", 1)
    assert writer.counts == {"/latched": 1}
    writer.end()
    for number in range(1000):
        writer.write_raw("/latched", KIND, TEXT[:8] + bytes([97 + number % 26, 97 + number // 26, 0, 0]), number)
    assert len(writer._latched["/latched"]) == 50


def test_two_collectors_do_not_share_a_folder(node: Node, options: Namespace) -> None:
    options.output.mkdir()
    with exclusive(options.output, "collecting"), pytest.raises(FolderBusyError, match="another run is collecting"):
        clip_collector._collect(node, options, Event())


def test_only_clips_are_written_with_what_is_latched(tmp_path: Path) -> None:
    writer = ClipWriter()
    writer.add_topic("/latched", KIND, latched=True)
    writer.add_topic("/plain", KIND)
    for topic in ("/latched", "/plain"):
        writer.write_raw(topic, KIND, TEXT, 1)
    assert not writer.writing
    writer.begin(tmp_path / "clip", 5)
    writer.write_raw("/plain", KIND, TEXT, 6)
    assert not (tmp_path / "clip").exists()
    writer.end()
    writer.write_raw("/plain", KIND, TEXT, 7)
    with BagReader(tmp_path / "clip") as reader:
        assert [(raw.topic, raw.data) for raw in reader.raw()] == [("/latched", TEXT), ("/plain", TEXT)]


def test_a_clip_of_confident_people(node: Node, options: Namespace) -> None:
    collector = Collector(node, options)
    (subscription,) = (each for each in node.subscriptions if each.topic_name.endswith(options.skeletons))
    for step in range(14):
        subscription.callback(to_message(people(10 + 0.5 * step)))
        if step != 10:  # the very end, in floating-point seconds
            assert collector.writer.writing == (4 <= step < 10)
    collector.close()
    assert len(list((options.output / "clips").glob("clip_*"))) == 1


def show_people(node: Node, options: Namespace) -> None:
    """Confident people for 7 s, to the newest collector: one clip."""
    *_, subscription = (each for each in node.subscriptions if each.topic_name.endswith(options.skeletons))
    for step in range(14):
        subscription.callback(to_message(people(10 + 0.5 * step)))


def add_clips(options: Namespace, *names: int) -> None:
    for name in names:
        folder = options.output / "clips" / f"clip_{name}"
        folder.mkdir(parents=True)
        (folder / "metadata.yaml").write_text("rosbag2_bagfile_information: {}\n")


def test_without_adapt_nothing_is_trained(node: Node, options: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_collector, "_start", lambda *_: pytest.fail("it was started"))
    collector = Collector(node, options)
    add_clips(options, 1)
    collector.look()
    assert not collector.proposals


class Started:
    """Stands in for what starts an adaptation, which ends with a status when it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[str], str]] = []
        self.processes: list[subprocess.Popen[bytes]] = []

    def __call__(self, clips: list[Path], folder: Path, options: Namespace) -> subprocess.Popen[bytes]:
        folder.mkdir(exist_ok=True)
        self.calls.append(([clip.name for clip in clips], folder.name))
        self.processes.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))
        return self.processes[-1]

    def end(self) -> None:
        """The last one."""
        self.processes[-1].communicate(b"\n")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    made = Started()
    monkeypatch.setattr(clip_collector, "_start", made)
    return made


def test_proposals_count_as_disk_space_and_leave_half_of_it_to_clips(
    node: Node, options: Namespace, started: Started
) -> None:
    options.adapt, options.most_gb = True, 1e-5  # 10 kB
    collector = Collector(node, options)
    add_clips(options, 1, 2, 3)
    old = options.output / "proposal_0"
    old.mkdir()
    (old / "verdict.txt").write_text("accepted\n")
    (old / "report.html").write_bytes(bytes(5001))
    collector.look()
    assert not started.calls
    (old / "report.html").write_bytes(bytes(4000))
    collector.look()
    assert [folder for _, folder in started.calls] == ["proposal_3"]
    collector.close()
    # A clip that ends makes room for the proposals, too: 10 kB less 9.9 kB leave room for two of 41 bytes.
    (old / "report.html").write_bytes(bytes(9890))
    collector = Collector(node, Namespace(**{**vars(options), "adapt": False}))
    show_people(node, options)
    collector.close()
    assert not (options.output / "clips" / "clip_1").exists()
    assert (old / "report.html").exists()


@pytest.mark.parametrize(("status", "verdict"), [(0, "accepted"), (3, "refused by the gate"), (9, "failed")])
def test_a_proposal_is_reported(
    node: Node, options: Namespace, monkeypatch: pytest.MonkeyPatch, status: int, verdict: str
) -> None:
    options.adapt = True
    started = []

    def start(clips: list[Path], folder: Path, *_: object) -> subprocess.Popen[bytes]:
        started.append([clip.name for clip in clips])
        return subprocess.Popen([sys.executable, "-c", f"raise SystemExit({status})"])

    monkeypatch.setattr(clip_collector, "_start", start)
    collector = Collector(node, options)
    add_clips(options, 1)
    collector.look()
    for _ in range(200):
        collector.look()
        if collector.proposals:
            break
        time.sleep(0.02)
    collector.look()
    assert started == [["clip_1"]]  # not again before there are more clips
    assert [found.startswith(verdict) for found in collector.proposals.values()] == [True]


def test_a_proposal_follows_half_as_many_new_clips(node: Node, options: Namespace, started: Started) -> None:
    options.adapt = True
    collector = Collector(node, options)
    add_clips(options, 1, 2, 3, 4)
    collector.look()
    started.end()
    collector.look()
    for number in (5, 6):
        collector.look()
        assert len(started.calls) == 1
        add_clips(options, number)
    for name in ("clip_1", "clip_2"):  # made room: the number of clips alone says nothing
        (options.output / "clips" / name / "metadata.yaml").unlink()
    collector.look()
    assert started.calls[1:] == [(["clip_3", "clip_4", "clip_5", "clip_6"], "proposal_6")]
    collector.close()


def test_a_proposal_that_was_interrupted_is_gone_on_with(node: Node, options: Namespace, started: Started) -> None:
    options.adapt = True
    add_clips(options, 1, 2)
    collector = Collector(node, options)
    collector.look()
    collector.close()
    assert started.processes[0].poll() is not None
    add_clips(options, 3)
    collector = Collector(node, options)
    collector.look()
    assert started.calls == [(["clip_1", "clip_2"], "proposal_2")] * 2
    started.end()
    collector.look()
    assert (options.output / "proposal_2" / "verdict.txt").read_text() == "accepted\n"
    Collector(node, options).look()
    assert started.calls[2] == (["clip_1", "clip_2", "clip_3"], "proposal_3")


def test_clips_in_use_do_not_make_room(node: Node, options: Namespace, started: Started) -> None:
    options.adapt, options.most_gb = True, 0.0
    collector = Collector(node, options)
    add_clips(options, 1)
    collector.look()
    add_clips(options, 2)
    show_people(node, options)
    assert [each.name for each in (options.output / "clips").glob("clip_[12]")] == ["clip_1"]
    assert collector.removed == 2
    collector.close()
