"""``unipose record``: skeletons tick the checklist and end the recording, which is closed properly."""

from __future__ import annotations

import threading
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rclpy
from rclpy.node import Node

from unipose_ros.data_collection import Coverage
from unipose_ros.frame import JointStatus, Skeletons, TrackState
from unipose_ros.nodes import coverage_recorder
from unipose_ros.nodes.coverage_recorder import CoverageWatch, main
from unipose_ros.recordings import BagReader
from unipose_ros.ros.bag_recorder import DEFAULT_TOPICS
from unipose_ros.ros.messages import to_message

pytestmark = pytest.mark.ros


@pytest.fixture
def node() -> Iterator[Node]:
    rclpy.init()
    made = rclpy.create_node("record")
    yield made
    made.destroy_node()
    rclpy.shutdown()


def people(stamp_s: float, count: int) -> Skeletons:
    return Skeletons(
        round(stamp_s * 1e9), "camera", "points", np.full((count, 15, 3), 3.0, np.float32),
        np.ones((count, 15), np.float32), np.full((count, 15), JointStatus.MEASURED, np.uint8),
        np.ones(count, np.float32), ids=("abcde", "fghij")[:count],
        states=np.full(count, TrackState.TRACKED, np.uint8),
    )  # fmt: skip


@pytest.mark.parametrize("until_complete", [True, False])
def test_a_complete_checklist_ends_the_recording(
    node: Node, until_complete: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    stop = threading.Event()
    watch = CoverageWatch(node, "skeletons", stop, until_complete)
    watch.coverage = Coverage({"several people": 0.5, "empty scene": 0.5})
    (subscription,) = (each for each in node.subscriptions if each.topic_name == "/skeletons")
    for step in range(4):
        subscription.callback(to_message(people(1 + 0.5 * step, 0)))
    assert not stop.is_set()
    for step in range(3):
        subscription.callback(to_message(people(4 + 0.5 * step, 2)))
    assert watch.coverage.complete
    assert stop.is_set() == until_complete
    watch.show()
    assert capsys.readouterr().err.count("[x]") == 2


def test_a_recording_of_no_topics_ends_in_time_and_is_closed(node: Node, tmp_path: Path) -> None:
    options = Namespace(
        output=tmp_path / "bag", topics=[], storage="mcap", duration=0.3, skeletons="skeletons", keep_going=False,
        **dict.fromkeys(DEFAULT_TOPICS, "/nothing"),
    )  # fmt: skip
    report = coverage_recorder._record(node, options, threading.Event())
    assert "/nothing" in report.never_seen
    assert "empty scene" in report.missing
    with BagReader(tmp_path / "bag") as reader:
        assert not list(reader.messages())


def test_a_folder_that_exists_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag" / "x").write_text("x")
    assert main([str(tmp_path / "bag"), "--duration", "0.1"]) == 1
    assert "bag" in capsys.readouterr().err
