"""One pair all the way, and what happens when something on the way fails or comes too late."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ros_samples import FRAME, people
from sensor_msgs.msg import CameraInfo, Image

from unipose_ros.estimator import EstimatorError
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.modalities.base import StageClock
from unipose_ros.ros.monitoring import Statistics, ThrottledLogger
from unipose_ros.ros.parameters import NodeConfig, replace
from unipose_ros.ros.pipeline import Pipeline
from unipose_ros.ros.subscriptions import FrameDecoder
from unipose_ros.ros.synchronizer import Pair
from unipose_ros.tracking import NearestTracker
from unipose_ros.transforms import TransformError

pytestmark = pytest.mark.ros
SECOND = 1_000_000_000
WIDTH, HEIGHT = 8, 6


class Estimator:
    """Finds one person; what else it does is up to the test."""

    modality, runtime, last_keypoints = "lookup", "nothing", None

    def __init__(self) -> None:
        self.before: Callable[[], None] = lambda: None
        self.notice = ""
        self.counters = {"too_few_measurements": 3}
        self.resets = 0
        self.frames: list[RgbdFrame] = []

    def estimate(self, frame: RgbdFrame, clock: StageClock | None = None) -> Skeletons:
        self.before()
        self.frames.append(frame)
        return people("abcde", stamp_ns=frame.stamp_ns)

    def reset(self) -> None:
        self.resets += 1


class Bench:
    """A pipeline and everything around it."""

    def __init__(self) -> None:
        self.config, self.now = NodeConfig(), 0
        self.published: list[Skeletons] = []
        self.shown: list[Skeletons] = []
        self.asked: list[tuple[str, str, int, float]] = []
        self.pose: np.ndarray | None = None
        self.lines: list[str] = []
        self.error = self.warning = self.info = self.lines.append
        self.statistics = Statistics()
        self.estimator: Any = Estimator()
        decoder = FrameDecoder()
        info = CameraInfo(width=WIDTH, height=HEIGHT, k=[9.0, 0.0, 4.0, 0.0, 9.0, 3.0, 0.0, 0.0, 1.0])
        info.header.frame_id = FRAME
        decoder.set_info("color", info)
        self.pipeline = Pipeline(
            self.estimator, NearestTracker(), decoder, self.publish,
            lambda: self.config, lambda: self.now, self.statistics, ThrottledLogger(self, self.statistics),
            lookup=self.lookup,
        )  # fmt: skip

    def publish(self, frame: RgbdFrame, found: Skeletons, keypoints: Any, config: NodeConfig, shown: Skeletons) -> None:
        self.published.append(found)
        self.shown.append(shown)

    def lookup(self, target: str, source: str, stamp_ns: int, timeout: float) -> np.ndarray:
        self.asked.append((target, source, stamp_ns, timeout))
        if self.pose is None:
            raise TransformError("nothing is known")
        return self.pose

    def process(self, stamp_ns: int, depth: int = 2000, without: str = "") -> None:
        self.now = max(self.now, stamp_ns + 40_000_000)
        color_image = image("rgb8", np.full((HEIGHT, WIDTH, 3), 90, np.uint8)) if without != "color" else None
        depth_image = image("16UC1", np.full((HEIGHT, WIDTH), depth, np.uint16)) if without != "depth" else None
        self.pipeline.process(Pair(color_image, depth_image, stamp_ns, 0))


def image(encoding: str, pixels: np.ndarray) -> Image:
    message = Image(encoding=encoding, height=HEIGHT, width=WIDTH, step=pixels.strides[0],
                    data=array("B", pixels.tobytes()))  # fmt: skip
    message.header.frame_id = FRAME
    return message


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_latency_runs_from_the_stamp_to_publishing(bench: Bench) -> None:
    bench.process(SECOND)
    assert [found.stamp_ns for found in bench.published] == [SECOND]
    percentiles = bench.statistics.percentiles()
    assert percentiles["latency"] == (40.0, 40.0)
    assert {"decode", "track", "publish", "pair_offset"} <= percentiles.keys()


def test_a_fault_loses_one_frame_and_is_logged_once(bench: Bench) -> None:
    def fail() -> None:
        raise RuntimeError("out of memory on device 0")

    bench.estimator.before = fail
    bench.process(SECOND)
    bench.process(2 * SECOND)
    bench.estimator.before = lambda: None
    bench.process(3 * SECOND)
    assert [found.stamp_ns for found in bench.published] == [3 * SECOND]
    assert bench.statistics.drops == {"internal_error": 2}
    assert len(bench.lines) == 1
    assert "RuntimeError: out of memory" in bench.lines[0]


def test_a_frame_that_does_not_suit_the_modality_has_its_own_counter(bench: Bench) -> None:
    def fail() -> None:
        raise EstimatorError("the frame has no depth; modality 'lookup' needs color and registered depth")

    bench.estimator.before = fail
    bench.process(SECOND)
    assert bench.statistics.drops == {"unsuitable_frame": 1}
    assert "Traceback" not in bench.lines[0]


def test_a_frame_begun_before_a_time_jump_is_not_published_after_it(bench: Bench) -> None:
    bench.estimator.before = bench.pipeline.discard
    bench.process(SECOND)
    bench.estimator.before = lambda: None
    bench.process(2 * SECOND)
    assert [found.stamp_ns for found in bench.published] == [2 * SECOND]


def test_nothing_is_published_once_it_is_discarded_for_good(bench: Bench) -> None:
    bench.estimator.before = lambda: bench.pipeline.discard(for_good=True)
    bench.process(SECOND)
    bench.process(2 * SECOND)
    assert bench.published == []


def test_reset_gives_new_ids_from_the_next_frame(bench: Bench) -> None:
    bench.process(SECOND)
    bench.process(SECOND + 33_000_000)
    bench.pipeline.reset_tracks()
    bench.process(SECOND + 66_000_000)
    first, second, third = (found.ids for found in bench.published)
    assert first == second != third
    assert bench.estimator.resets == 1


def test_changed_tracker_settings_count_from_the_next_frame_and_keep_the_ids(bench: Bench) -> None:
    bench.process(SECOND)
    bench.config = replace(bench.config, "track.confirm_hits", 99)
    for k in range(1, 6):
        bench.process(SECOND + k * 33_000_000)
    assert len({found.ids for found in bench.published}) == 1
    assert (bench.published[-1].states == 0).all()


def test_a_recording_without_its_clock_is_noticed_once(bench: Bench) -> None:
    bench.now = 1000 * SECOND
    bench.process(SECOND)
    bench.process(2 * SECOND)
    assert len(bench.lines) == 1
    assert "use_sim_time:=true" in bench.lines[0]


def test_depth_without_a_reading_is_counted_and_still_looked_at(bench: Bench) -> None:
    bench.process(SECOND, depth=0)
    assert len(bench.published) == 1
    assert bench.statistics.drops == {"empty_depth": 1}
    assert bench.statistics.values["depth valid (%)"] == 0.0


@pytest.mark.parametrize("absent", ["color", "depth"])
def test_an_image_that_came_alone_is_a_frame(bench: Bench, absent: str) -> None:
    bench.process(SECOND, without=absent)
    (frame,) = bench.estimator.frames
    assert getattr(frame, absent) is None
    assert (frame.stamp_ns, frame.frame_id) == (SECOND, FRAME)
    assert bench.statistics.drops == {}
    assert len(bench.published) == 1


def test_what_the_estimator_lacks_is_logged_once_until_it_recovers(bench: Bench) -> None:
    bench.process(SECOND)
    bench.estimator.notice = "no depth image: rgb takes over"
    bench.process(2 * SECOND)
    bench.process(3 * SECOND)
    assert bench.statistics.texts["notice"] == "no depth image: rgb takes over"
    bench.estimator.notice = ""
    bench.process(4 * SECOND)
    assert bench.lines == ["no depth image: rgb takes over", "no longer: no depth image: rgb takes over"]
    assert "notice" not in bench.statistics.texts
    bench.estimator.notice = "no depth image: rgb takes over"
    bench.process(5 * SECOND)
    assert len(bench.lines) == 3


def test_the_modality_in_use_and_what_was_left_out_are_told(bench: Bench) -> None:
    bench.process(SECOND)
    assert bench.statistics.texts["modality in use"] == "lookup"
    assert bench.statistics.values["estimator: too_few_measurements"] == 3


# Frames of the robot


TURNED = np.array([[0.0, 0, 1, 1], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])


def test_people_are_shown_in_the_target_frame_at_the_images_stamp(bench: Bench) -> None:
    bench.config = replace(replace(bench.config, "tf.target_frame", "base_link"), "tf.timeout", 0.2)
    bench.pose = TURNED
    bench.process(SECOND)
    (own,), (shown,) = bench.published, bench.shown
    assert bench.asked == [("base_link", FRAME, SECOND, 0.2)]
    assert (own.frame_id, shown.frame_id) == (FRAME, "base_link")
    np.testing.assert_allclose(shown.positions, own.positions @ TURNED[:3, :3].T + TURNED[:3, 3], rtol=1e-5)
    assert shown.ids == own.ids


def test_without_the_transform_to_the_target_nothing_is_published_and_that_is_counted(bench: Bench) -> None:
    bench.config = replace(bench.config, "tf.target_frame", "base_link")
    bench.process(SECOND)
    bench.process(2 * SECOND)
    assert bench.published == []
    assert bench.statistics.drops["target_frame"] == 2
    bench.pose = TURNED
    bench.process(3 * SECOND)
    # The tracker has seen all three.
    assert bench.shown[0].states.tolist() == [1]


def test_without_a_pose_in_the_fixed_frame_people_are_published_and_that_is_counted(bench: Bench) -> None:
    bench.config = replace(bench.config, "tf.fixed_frame", "odom")
    bench.process(SECOND)
    assert len(bench.published) == 1
    assert bench.statistics.remarks["fixed_frame"] == 1


def test_people_who_stand_still_have_no_velocity_while_the_camera_drives(bench: Bench) -> None:
    bench.config = replace(bench.config, "tf.fixed_frame", "odom")
    place = people("abcde").positions
    for k in range(8):
        bench.pose = np.eye(4)
        bench.pose[2, 3] = 0.1 * k
        bench.estimator.estimate = lambda frame, clock=None, k=k: people(
            "abcde", stamp_ns=frame.stamp_ns, positions=(place - [0, 0, 0.1 * k]).astype(np.float32)
        )
        bench.process(SECOND + k * SECOND // 10)
    np.testing.assert_allclose(bench.published[-1].velocities, 0, atol=1e-3)
    assert len({found.ids for found in bench.published}) == 1
