"""``unipose view --live``: what a running node sees now, in the Rerun viewer.

Or the camera's topics through an estimator of our own, where no node runs.

The topics are asked of the graph: what the node subscribes to are the images, and what it publishes is shown in them.
"""

from __future__ import annotations

import argparse
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Any

import rclpy
from rclpy.node import Node

from unipose_ros.decoding import BadInputError
from unipose_ros.estimator import EstimatorConfig, EstimatorError, PoseEstimator, build_estimator
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.modalities.base import RequiredInputs
from unipose_ros.recordings import RgbdTopics, Topic
from unipose_ros.recordings.messages import COMPRESSED_IMAGE, SKELETON_ARRAY
from unipose_ros.recordings.topics import detect_topics
from unipose_ros.ros.bag_recorder import subscribe_skeletons
from unipose_ros.ros.lifecycle import ros_session, spin
from unipose_ros.ros.monitoring import Statistics, ThrottledLogger
from unipose_ros.ros.parameters import InputConfig
from unipose_ros.ros.session import Worker
from unipose_ros.ros.subscriptions import FrameDecoder, Subscriptions
from unipose_ros.ros.synchronizer import Pair
from unipose_ros.ros.upright import Transforms
from unipose_ros.tracking import NearestTracker
from unipose_ros.transforms import TransformError
from unipose_ros.visualization.rerun_log import RerunLog

_NAME = "unipose_view"
#: Pairs that wait for their people, and people that wait for their pair.
_WAITING = 30
#: Seconds without images after which people are shown without.
_BLIND_S = 1.0
#: Seconds between two looks at the graph, and for a transform.
_LOOK_S, _TRANSFORM_S = 0.5, 0.1
_TRANSPORTS = ("/compressedDepth", "/compressed")


@dataclass(frozen=True)
class Sources:
    """What is subscribed to.

    Attributes:
        camera: topics of the images.
        types: of all topics.
        skeletons: topic of a node's people; ``None``: they are estimated here.
    """

    camera: RgbdTopics
    types: Mapping[str, str]
    skeletons: str | None

    @property
    def needs(self) -> RequiredInputs:
        """The images that there are; one alone will do."""
        color, depth = self.camera.color is not None, bool(self.camera.depth or self.camera.points)
        return RequiredInputs(color, depth, any_of=color and depth)

    @property
    def config(self) -> InputConfig:
        """How they come."""
        camera = self.camera
        return InputConfig(
            source="points" if camera.points and not camera.depth else "depth",
            color_transport="compressed" if self._is_compressed(camera.color) else "raw",
            depth_transport="compressedDepth" if self._is_compressed(camera.depth) else "raw",
        )

    def _is_compressed(self, topic: str | None) -> bool:
        return topic is not None and self.types[topic] == COMPRESSED_IMAGE

    @property
    def remappings(self) -> list[str]:
        """ROS arguments that lead the node's input names to them."""
        camera = self.camera
        names = {
            "color/image": camera.color, "color/camera_info": camera.color_info, "depth/image": camera.depth,
            "depth/camera_info": camera.depth_info, "points": camera.points,
        }  # fmt: skip
        rules = [f"{ours}:={_base(topic)}" for ours, topic in names.items() if topic]
        return [word for rule in rules for word in ("-r", rule)]


def _base(topic: str) -> str:
    """Without the transport, which is appended again."""
    return next((topic.removesuffix(each) for each in _TRANSPORTS if topic.endswith(each)), topic)


def find_sources(node: Node, pose_node: str | None, chosen: RgbdTopics) -> Sources | None:
    """Look at the graph; ``None`` while what is wanted is not there.

    Args:
        pose_node: full name of the node whose people are shown; ``None`` to estimate them here.
        chosen: topics that the user has named.

    Raises:
        RecordingError: a topic that was named is of a wrong type.
    """
    everything = dict(node.get_topic_names_and_types())
    if pose_node is None:
        names: Mapping[str, list[str]] = everything
        skeletons = None
    else:
        namespace, _, name = pose_node.rpartition("/")
        try:
            names = dict(node.get_subscriber_names_and_types_by_node(name, namespace or "/"))
            published = node.get_publisher_names_and_types_by_node(name, namespace or "/")
        except rclpy.node.NodeNameNonExistentError:
            return None
        skeletons = next((topic for topic, kinds in published if SKELETON_ARRAY in kinds), None)
        if skeletons is None:
            return None
    named = [topic for topic in vars(chosen).values() if topic]
    if any(topic not in everything for topic in named):
        return None
    types = {topic: kinds[0] for topic, kinds in {**names, **{each: everything[each] for each in named}}.items()}
    camera = detect_topics({name: Topic(name, kind, 1) for name, kind in types.items()}, chosen)
    found = Sources(replace(camera, ground_truth=None), types, skeletons)
    return found if found.needs.color or found.needs.depth else None


class LiveView:
    """Subscribes on construction; images and people of one stamp are shown together, the newest first.

    Args:
        log: where they are shown.
        estimator: of the people, where no node's are subscribed to.
    """

    def __init__(self, node: Node, sources: Sources, log: RerunLog, estimator: PoseEstimator | None) -> None:
        self.count = 0
        self._log = log
        self._estimator, self._tracker = estimator, NearestTracker()
        self._statistics = Statistics()
        self._reporter = ThrottledLogger(node.get_logger(), self._statistics, counted=False)
        self._transforms = Transforms(node)
        self._decoder = FrameDecoder(transforms=self._registration)
        self._pairs: OrderedDict[int, Pair] = OrderedDict()
        self._people: OrderedDict[int, Skeletons] = OrderedDict()
        self._last_pair = -_BLIND_S
        self._worker: Worker[tuple[Pair | None, Skeletons | None]] = Worker(self._show)
        self._inputs = Subscriptions(
            node, sources.config, sources.needs, self._decoder, self.take_pair, self._restart, self._statistics,
            self._reporter,
        )  # fmt: skip
        if sources.skeletons is not None:
            subscribe_skeletons(node, sources.skeletons, self.take_people)
        node.create_timer(_LOOK_S, self._watch)

    def close(self) -> None:
        """End the worker."""
        self._worker.stop()

    def take_pair(self, pair: Pair) -> None:
        """Show a pair with its people, or keep it for them."""
        self._last_pair = time.monotonic()
        people = self._people.pop(pair.stamp_ns, None)
        if self._estimator is not None or people is not None:
            self._worker.put((pair, people))
        else:
            _keep(self._pairs, pair.stamp_ns, pair)

    def take_people(self, people: Skeletons) -> None:
        """Show people with their pair, or keep them for it; without images show them alone."""
        pair = self._pairs.pop(people.stamp_ns, None)
        if pair is not None or time.monotonic() - self._last_pair > _BLIND_S:
            self._worker.put((pair, people))
        else:
            _keep(self._people, people.stamp_ns, people)

    def _watch(self) -> None:
        self._transforms.begin()
        self._inputs.watch(InputConfig.timeout)

    def _restart(self, reason: str) -> None:
        self._inputs.pairing.restart()
        self._pairs.clear()
        self._people.clear()
        self._transforms.clear()

    def _registration(self, target: str, source: str, stamp_ns: int) -> Any:
        return self._transforms.lookup(target, source, stamp_ns, _TRANSFORM_S)

    def _show(self, item: tuple[Pair | None, Skeletons | None]) -> None:
        pair, people = item
        try:
            frame = self._decoder.decode(pair) if pair is not None else None
            if self._estimator is not None and frame is not None:
                people = self._tracker.update(self._estimator.estimate(frame))
                self._estimator.follow(people)
            if people is not None:
                self._log.add(frame, self._in_frame_of(frame, people))
                self.count += 1
        except (BadInputError, EstimatorError, TransformError) as error:
            self._reporter.drop(type(error).__name__, str(error))
        except Exception as error:
            # The next frame deserves its chance: a dead thread would look like an empty room.
            trace = traceback.format_exc()
            self._reporter.drop("internal_error", f"frame lost: {type(error).__name__}: {error}\n{trace}")

    def _in_frame_of(self, frame: RgbdFrame | None, people: Skeletons) -> Skeletons:
        """A node with ``tf.target_frame`` publishes people of another frame than the images'."""
        if frame is None or frame.frame_id == people.frame_id:
            return people
        pose = self._transforms.lookup(frame.frame_id, people.frame_id, people.stamp_ns, _TRANSFORM_S)
        return people.transformed(pose, frame.frame_id)


def _keep(waiting: OrderedDict[int, Any], stamp_ns: int, item: Any) -> None:
    waiting[stamp_ns] = item
    while len(waiting) > _WAITING:
        waiting.popitem(last=False)


def view_live(options: argparse.Namespace, chosen: RgbdTopics, begin: Callable[[], RerunLog]) -> int:
    """Show what comes until Ctrl-C, or ``options.limit`` frames; returns the number of frames.

    Args:
        begin: opens the viewer, once there is something to show.

    Raises:
        EstimatorError, WeightsError, BackendError: the estimator of ``options.modality`` cannot be built.
        RecordingError: a topic that was named is of a wrong type.
    """
    pose_node = None if options.modality else "/" + options.node.strip("/")
    with ros_session() as stop, ExitStack() as stack:
        sources = _wait_for_sources(pose_node, chosen, stop)
        if sources is None:
            return 0
        shown = [topic for topic in vars(sources.camera).values() if topic]
        print(f"showing {', '.join([*shown, sources.skeletons or options.modality])}; Ctrl-C ends it", flush=True)
        estimator = None
        if options.modality:
            built = build_estimator(EstimatorConfig(options.modality), live=True)
            estimator = stack.enter_context(closing(built))
        node = rclpy.create_node(_NAME, cli_args=["--ros-args", *sources.remappings])
        stack.callback(node.destroy_node)
        view = LiveView(node, sources, begin(), estimator)
        stack.callback(view.close)
        if options.limit:
            node.create_timer(_LOOK_S, lambda: stop.set() if view.count >= options.limit else None)
        spin(node, stop)
        return view.count


def _wait_for_sources(pose_node: str | None, chosen: RgbdTopics, stop: Any) -> Sources | None:
    node = rclpy.create_node(_NAME, enable_rosout=False)
    try:
        told = False
        while not stop.is_set():
            sources = find_sources(node, pose_node, chosen)
            if sources is not None:
                return sources
            if not told:
                what = f"an active node {pose_node}" if pose_node else "images of color or depth"
                print(f"waiting for {what}; `ros2 node list` and `ros2 topic list` show what there is", flush=True)
            told = True
            stop.wait(_LOOK_S)
    finally:
        node.destroy_node()
    return None
