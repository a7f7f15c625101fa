"""A recording goes through the player, DDS and the recorder, each a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from unipose_ros.camera import Camera
from unipose_ros.frame import Skeletons
from unipose_ros.recordings import BagReader, BagWriter, RgbdRecording
from unipose_ros.recordings import messages as make
from unipose_ros.recordings.messages import read_stamp, skeleton_array
from unipose_ros.resources import resource_path

COLOR, DEPTH, INFO, GROUND_TRUTH = "/color/image/compressed", "/depth/image", "/depth/camera_info", "/truth/skeletons"
FRAMES, PERIOD_NS, START_NS = 20, 33_333_333, 9_000_000_000
CAMERA = Camera(525, 525, 319.5, 239.5, 640, 480)
LIMIT_S = 40

pytestmark = [pytest.mark.e2e, pytest.mark.ros]


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 frames of 640x480 at 30 Hz: large enough to need the shipped DDS profile."""
    path = tmp_path_factory.mktemp("recording") / "bag"
    color = np.zeros((480, 640, 3), np.uint8)
    with BagWriter(path) as writer:
        writer.add_topic("/tf_static", "tf2_msgs/msg/TFMessage", latched=True)
        for number in range(FRAMES):
            at = START_NS + number * PERIOD_NS
            depth = np.full((480, 640), 1 + number / 100, np.float32)
            writer.write(INFO, make.camera_info(at, "optical", CAMERA), at)
            writer.write(DEPTH, make.depth_image(at, "optical", depth), at)
            writer.write(COLOR, make.compressed_image(at, "optical", color), at)
            writer.write(GROUND_TRUTH, skeleton_array(Skeletons.empty(at, "optical", "ground_truth")), at)
    return path


@pytest.fixture
def start() -> Iterator:  # type: ignore[type-arg]
    """Starts ``player`` or ``recorder``; ends what is still running after the test."""
    with ExitStack() as stack:

        def begin(name: str, *arguments: object) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-m", f"unipose_ros.nodes.{name}", *map(str, arguments)],
                cwd=resource_path("package.xml").parent,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )
            stack.callback(finish, process)
            return process

        yield begin


def finish(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.kill()
    process.communicate()


def summary(process: subprocess.Popen[str]) -> dict:
    """The JSON that a process leaves when it ends by itself, successfully."""
    out, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, errors
    return json.loads(out)


def stamps(path: Path, topic: str) -> list[int]:
    with BagReader(path) as reader:
        return [read_stamp(raw.data) for raw in reader.raw([topic])]


def test_everything_arrives_unchanged(start, bag: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    recorder = start("recorder", copy, "--topics", COLOR, DEPTH, INFO, GROUND_TRUTH, "--count", 4 * FRAMES)
    player = start("player", bag, "--wait-for", 4, "--wait-on", COLOR, DEPTH)
    played, recorded = summary(player), summary(recorder)
    every = dict.fromkeys((COLOR, DEPTH, INFO, GROUND_TRUTH), FRAMES)
    assert played["messages"] == {**every, "/tf_static": 0}
    assert played["offsets_ns"] == [0]
    assert recorded["messages"] == every
    assert recorded["never_seen"] == []
    with BagReader(bag) as original, BagReader(copy) as back:
        for topic in every:
            for sent, got in zip(original.raw([topic]), back.raw([topic]), strict=True):
                # DDS fills the last word of four bytes.
                assert got.data[: len(sent.data)] == sent.data, topic
                assert len(got.data) - len(sent.data) < 4
    with BagReader(copy) as back:
        assert len(list(RgbdRecording(back).frames())) == FRAMES
        times = [raw.time_ns for raw in back.raw()]
    assert times == sorted(times)


def test_restamping_moves_all_stamps_by_one_constant_to_the_present(start, bag: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    before = time.time_ns()
    recorder = start(
        "recorder", copy, "--topics", f"{GROUND_TRUTH}:=unipose_ros/msg/SkeletonArray", DEPTH, "--count", 2 * FRAMES
    )
    played = summary(start("player", bag, "--restamp", "--topics", DEPTH, GROUND_TRUTH, "--wait-for", 2))
    summary(recorder)
    (offset,) = played["offsets_ns"]
    for topic in (DEPTH, GROUND_TRUTH):
        moved = stamps(copy, topic)
        assert [stamp - offset for stamp in moved] == [START_NS + n * PERIOD_NS for n in range(FRAMES)]
        assert before < moved[0] < moved[-1] < time.time_ns()
    with BagReader(copy) as reader:
        # A message is published after the time that its stamp tells, and recorded after that.
        assert all(raw.time_ns > read_stamp(raw.data) for raw in reader.raw())


def test_remapping_and_loops(start, bag: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    recorder = start("recorder", copy, "--topics", "/camera/truth", "--count", 3 * FRAMES, "--storage", "sqlite3")
    player = start(
        "player", bag, "--topics", GROUND_TRUTH, "--remap", f"{GROUND_TRUTH}:=/camera/truth", "--loop", 3, "--rate", 2
    )
    played = summary(player)
    assert played["messages"] == {"/camera/truth": 3 * FRAMES}
    assert len(played["offsets_ns"]) == 3
    assert summary(recorder)["messages"] == {"/camera/truth": 3 * FRAMES}
    assert stamps(copy, "/camera/truth") == [START_NS + n * PERIOD_NS for n in range(FRAMES)] * 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_both_properly(start, bag: Path, tmp_path: Path, number: int) -> None:
    copy = tmp_path / "copy"
    recorder = start("recorder", copy, "--topics", GROUND_TRUTH, "/never/there")
    player = start("player", bag, "--loop", "--topics", GROUND_TRUTH)
    wait_until(lambda: any(copy.glob("*.mcap")) and "recording" in read_line(recorder))
    time.sleep(0.2)  # not a condition: lets some messages pass, however many
    for process in (player, recorder):
        process.send_signal(number)
    played, recorded = summary(player), summary(recorder)
    assert set(played["messages"]) == {GROUND_TRUTH}
    assert recorded["never_seen"] == ["/never/there"]
    with BagReader(copy) as reader:
        assert reader.problem is None
        assert len(list(reader.raw([GROUND_TRUTH]))) == recorded["messages"][GROUND_TRUTH]


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return process.stderr.readline()


def wait_until(holds) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("player", ["/nowhere"], "there is no such file or folder"),
        ("player", ["{bag}", "--timeout", "0.3"], "0 of 1 subscriptions are there; start the listeners"),
        ("player", ["{bag}", "--timeout", "0.3", "--wait-on", DEPTH], f"no subscriber of {DEPTH}"),
        ("player", ["{bag}", "--topics", "/nope"], "there is no topic '/nope'"),
        ("player", ["{bag}", "--rate", "2", "--restamp"], "leave one of the two out"),
        ("player", ["{bag}", "--remap", "/a"], "write it as FROM:=TO"),
        ("recorder", ["{bag}", "--topics", "/a"], "choose another folder"),
        ("recorder", ["{new}", "--topics", "/a:=no_msgs/msg/Thing"], "which is not installed"),
    ],
)
def test_errors_are_one_line_and_exit_code_1(
    start, bag: Path, tmp_path: Path, name: str, arguments: list[str], text: str
) -> None:
    process = start(name, *(argument.format(bag=bag, new=tmp_path / "new") for argument in arguments))
    _, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1
    assert text in errors
    assert "Traceback" not in errors
