"""``humans_node``: the pose node's people as REP-155 (ROS4HRI) wants them, under ``/humans``.

Subscribes to ``skeletons``, ``color/camera_info`` and, while a crop has a subscriber, ``color/image``, all
relative and remappable. ``/humans`` is global by REP-155, and so are these topics. Needs the package hri_msgs.
Per body there are ``joint_states`` and a latched ``urdf``, too, and the links' frames, so that no robot_state_publisher
is needed.
"""

from __future__ import annotations

import re
import sys
import traceback
from array import array
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from cv_bridge import CvBridge
from geometry_msgs.msg import PointStamped, TransformStamped, TwistStamped
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Header, String
from tf2_ros import TransformBroadcaster

from unipose_ros.camera import Camera, CameraError
from unipose_ros.decoding import BadInputError, blame, decode_color_message
from unipose_ros.frame import FrameError
from unipose_ros.joint_sets import JointSetError
from unipose_ros.msg import SkeletonArray
from unipose_ros.ros.human_model import Body, bodies, cropped, urdf
from unipose_ros.ros.lifecycle import START_ERRORS, refuse_start, ros_session, signals_end_at_once, spin
from unipose_ros.ros.messages import from_message, point, quaternion, ros_message_class, vector
from unipose_ros.ros.monitoring import Statistics, ThrottledLogger
from unipose_ros.ros.parameters import Parameters, parameter
from unipose_ros.ros.subscriptions import CalibrationSubscription, calibration_qos, note_publishers
from unipose_ros.ros.synchronizer import OVERRIDABLE_QOS, sensor_qos, stamp_to_ns
from unipose_ros.ros.upright import tf_qos
from unipose_ros.termination import leave

#: Images that wait for their skeletons.
_IMAGES = 10
#: Seconds between two looks for a calibration that was published once.
_LOOK_S = 1.0
#: What can be a part of a topic's name, and how many bodies have topics: seven publishers each.
_ID = re.compile("[A-Za-z_][A-Za-z0-9_]{0,63}")
_MOST_BODIES = 60
#: Meters by which a link's length has to change for a new URDF, which viewers build anew.
_LENGTH_CHANGE = 0.05
#: Weight of the lengths so far against those of one frame.
_MEMORY = 0.9


@dataclass(frozen=True)
class HumansInput:
    """What the pose node is told of its images, by the same names: one file of parameters does for both."""

    rectified: bool = parameter(False, "color/image is a rectified one (image_rect): use P of camera_info")


@dataclass(frozen=True)
class HumansTf:
    """What the pose node calls its frames, by the same name."""

    prefix: str = parameter("", "the frames of bodies, and those of their links, begin with it")


@dataclass(frozen=True)
class HumansConfig:
    """What the bridge publishes."""

    link_frames: bool = parameter(
        True, "broadcast REP-155's links (l_elbow_<id>, ...) in body_<id>, which the pose node broadcasts; false "
        "where a robot_state_publisher does it from joint_states and urdf"
    )  # fmt: skip
    input: HumansInput = field(default_factory=HumansInput)
    tf: HumansTf = field(default_factory=HumansTf)
    crops: bool = parameter(True, "publish the part of the image that shows a body, while it has a subscriber")
    reliability: str = parameter(
        "reliable", "of the topics of bodies, which come and go and have no qos_overrides",
        choices=("reliable", "best_effort"), read_only=True,
    )  # fmt: skip


@dataclass
class _Topics:
    """Publishers of one body, the lengths in its URDF, and those of its links over time."""

    roi: Any
    cropped: Any
    skeleton2d: Any
    position: Any
    velocity: Any
    joint_states: Any
    urdf: Any

    def __post_init__(self) -> None:
        self.described: dict[str, float] = {}
        self.lengths: dict[str, float] = {}

    @property
    def all(self) -> list[Any]:
        return [getattr(self, entry.name) for entry in fields(self)]


@dataclass
class _Messages:
    """The classes of hri_msgs.

    Raises:
        ImportError: the package is not installed.
    """

    ids: Any = field(default_factory=lambda: _hri("IdsList"))
    region: Any = field(default_factory=lambda: _hri("NormalizedRegionOfInterest2D"))
    skeleton: Any = field(default_factory=lambda: _hri("Skeleton2D"))
    keypoint: Any = field(default_factory=lambda: _hri("NormalizedPointOfInterest2D"))


def _hri(name: str) -> Any:
    found = ros_message_class(f"hri_msgs/msg/{name}")
    if found is None:
        raise ImportError("the ROS package hri_msgs is not installed: apt install ros-$ROS_DISTRO-hri-msgs")
    return found


class HumansNode(Node):
    """Publishes ``/humans/bodies/...`` for every ``SkeletonArray``; topics of a body end with its track.

    Raises:
        ImportError: hri_msgs is not installed.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("humans", **kwargs)
        self._hri = _Messages()
        self._settings = Parameters(self, HumansConfig())
        self._statistics = Statistics()
        self._reporter = ThrottledLogger(self.get_logger(), self._statistics, counted=False)
        self._bridge = CvBridge()
        options = {"qos_overriding_options": OVERRIDABLE_QOS}
        self._tracked = self.create_publisher(self._hri.ids, "/humans/bodies/tracked", 1, **options)
        self._bodies: dict[str, _Topics] = {}
        self._transforms = TransformBroadcaster(self, tf_qos(self, "/tf", "publisher"))
        self._info: CameraInfo | None = None
        self._images: OrderedDict[int, Image] = OrderedDict()
        self._image_subscription: Any = None
        info = CalibrationSubscription(self, "color/camera_info", self._keep_info, self._reporter, calibration_qos())
        skeletons = self.resolve_topic_name("skeletons")

        def look() -> None:
            info.watch()
            note_publishers(self, skeletons, self._reporter, "people")

        self.create_timer(_LOOK_S, look, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.create_subscription(SkeletonArray, "skeletons", self.publish, 10, **options)

    def publish(self, message: Any) -> None:
        """Everything about the people of one message. Never raises: what cannot be used is counted and logged once."""
        try:
            self._publish(message)
        except (FrameError, JointSetError) as error:
            self._reporter.drop("skeletons", f"skeletons: {error}")
        except Exception as error:
            # An exception in a callback would end the node, and with it the bodies of all who come later.
            trace = traceback.format_exc()
            self._reporter.drop("internal_error", f"message lost: {type(error).__name__}: {error}\n{trace}")

    def _publish(self, message: Any) -> None:
        skeletons = from_message(message)
        found = self._nameable(bodies(skeletons, self._camera(message.header.frame_id)))
        for gone in self._bodies.keys() - {body.id for body in found}:
            for publisher in self._bodies.pop(gone).all:
                self.destroy_publisher(publisher)
        for body in found:
            self._publish_body(message.header, body)
        if self._settings.current.link_frames:
            self._send_links(message.header, found)
        # Last, so that who hears of a body finds its topics.
        self._tracked.publish(self._hri.ids(header=message.header, ids=[body.id for body in found]))
        self._follow_interest()

    def _nameable(self, found: Sequence[Body]) -> list[Body]:
        """Those whose id can be a part of a topic's name, each id once, so many at most."""
        kept: dict[str, Body] = {}
        for body in found:
            if not _ID.fullmatch(body.id):
                self._reporter.drop(
                    "body_id", f"skeletons: the id {body.id[:80]!r} cannot be a part of a topic's name: letters, "
                    "digits and underscores, no digit first; the body is left out"
                )  # fmt: skip
            elif body.id in kept:
                self._reporter.drop("body_id", f"skeletons: two people have the id '{body.id}'; the second is left out")
            elif len(kept) >= _MOST_BODIES:
                self._reporter.drop(
                    "too_many_bodies", f"skeletons: {len(found)} people; {_MOST_BODIES} have topics, the others not"
                )
            else:
                kept[body.id] = body
        return list(kept.values())

    def _topics(self, name: str) -> _Topics:
        if name not in self._bodies:
            kinds = {
                "roi": self._hri.region, "cropped": Image, "skeleton2d": self._hri.skeleton, "position": PointStamped,
                "velocity": TwistStamped, "joint_states": JointState, "urdf": String,
            }  # fmt: skip
            made = {topic: self._advertise(kind, f"/humans/bodies/{name}/{topic}") for topic, kind in kinds.items()}
            self._bodies[name] = _Topics(**made)
        return self._bodies[name]

    def _advertise(self, kind: type, topic: str) -> Any:
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        best_effort = self._settings.current.reliability == "best_effort"
        reliability = ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE
        return self.create_publisher(
            kind, topic, latched if kind is String else QoSProfile(depth=1, reliability=reliability)
        )

    def _publish_body(self, header: Header, body: Body) -> None:
        topics = self._topics(body.id)
        topics.position.publish(PointStamped(header=header, point=point(body.position.tolist())))
        moving = TwistStamped(header=header)
        moving.twist.linear = vector(body.velocity.tolist())
        topics.velocity.publish(moving)
        self._publish_model(header, body, topics)
        if body.region is None or body.keypoints is None:
            return
        xmin, ymin, xmax, ymax = body.region
        topics.roi.publish(self._hri.region(header=header, xmin=xmin, ymin=ymin, xmax=xmax, ymax=ymax, c=body.score))
        keypoints = [self._hri.keypoint(x=x, y=y, c=c) for x, y, c in body.keypoints.tolist()]
        topics.skeleton2d.publish(self._hri.skeleton(header=header, skeleton=keypoints))
        image = self._images.get(stamp_to_ns(header.stamp))
        if image is not None and topics.cropped.get_subscription_count():
            self._publish_crop(header, image, body.region, topics)

    def _publish_crop(
        self, header: Header, image: Image, region: tuple[float, float, float, float], topics: _Topics
    ) -> None:
        try:
            with blame("color_image", "color/image"):
                pixels = decode_color_message(image)
        except BadInputError as error:
            self._reporter.drop(error.reason, str(error))
            return
        topics.cropped.publish(self._bridge.cv2_to_imgmsg(cropped(pixels, region).copy(), "rgb8", header))

    def _publish_model(self, header: Header, body: Body, topics: _Topics) -> None:
        if not body.angles:
            return
        before = topics.lengths
        topics.lengths = {name: now + _MEMORY * (before.get(name, now) - now) for name, now in body.lengths.items()}
        if not _near(topics.described, topics.lengths):
            topics.described = topics.lengths
            topics.urdf.publish(String(data=urdf(body.id, topics.lengths)))
        names = [f"{name}_{body.id}" for name in body.angles]
        states = JointState(name=names, position=array("d", body.angles.values()))
        states.header.stamp, states.header.frame_id = header.stamp, self._frame(f"body_{body.id}")
        topics.joint_states.publish(states)

    def _send_links(self, header: Header, found: Sequence[Body]) -> None:
        transforms = []
        for body in found:
            for link, pose in body.links.items():
                transform = TransformStamped(child_frame_id=self._frame(f"{link}_{body.id}"))
                transform.header.stamp, transform.header.frame_id = header.stamp, self._frame(f"body_{body.id}")
                transform.transform.translation = vector(pose.place.tolist())
                transform.transform.rotation = quaternion(pose.turn.tolist())
                transforms.append(transform)
        if transforms:
            self._transforms.sendTransform(transforms)

    def _frame(self, name: str) -> str:
        return f"{self._settings.current.tf.prefix}{name}"

    def _camera(self, frame_id: str) -> Camera | None:
        """The camera that sees the skeletons; ``None`` while it is not known."""
        if self._info is None:
            self._reporter.note("no_camera_info", "no color/camera_info yet: no roi, skeleton2d and cropped without it")
            return None
        if self._info.header.frame_id != frame_id:
            self._reporter.note(
                "frame_id", f"skeletons are in '{frame_id}', the image in '{self._info.header.frame_id}': no roi, "
                "skeleton2d and cropped; leave the pose node's tf.target_frame empty for them"
            )  # fmt: skip
            return None
        try:
            return Camera.from_camera_info(self._info, self._settings.current.input.rectified)
        except CameraError as error:
            self._reporter.drop("intrinsics", f"color/camera_info: {error}")
            return None

    def _keep_info(self, info: CameraInfo) -> None:
        self._info = info

    def _keep_image(self, image: Image) -> None:
        self._images[stamp_to_ns(image.header.stamp)] = image
        while len(self._images) > _IMAGES:
            self._images.popitem(last=False)

    def _follow_interest(self) -> None:
        """Images are subscribed to only while a crop has a subscriber."""
        looked_at = any(topics.cropped.get_subscription_count() for topics in self._bodies.values())
        wanted = looked_at and self._settings.current.crops
        if wanted and self._image_subscription is None:
            self._image_subscription = self.create_subscription(
                Image, "color/image", self._keep_image, sensor_qos(), qos_overriding_options=OVERRIDABLE_QOS
            )
        elif not wanted and self._image_subscription is not None:
            self.destroy_subscription(self._image_subscription)
            self._image_subscription = None
            self._images.clear()


def _near(before: Mapping[str, float], now: Mapping[str, float]) -> bool:
    """Whether a URDF still fits the person."""
    return before.keys() == now.keys() and all(abs(before[name] - now[name]) < _LENGTH_CHANGE for name in now)


def main(args: Sequence[str] | None = None) -> int:
    """Run the bridge until it is told to stop; returns the exit code, as the process's own ``main`` by leaving."""
    try:
        with ros_session(sys.argv[1:] if args is None else args) as stop:
            with signals_end_at_once():
                node = HumansNode()
            try:
                spin(node, stop)
            finally:
                node.destroy_node()
    except ImportError as error:
        print(f"humans_node: {error}", file=sys.stderr)
        return 1
    except START_ERRORS as error:
        return refuse_start("humans_node", error)
    if args is None:
        leave(0)  # taking the libraries down takes longer than launch waits
    return 0


if __name__ == "__main__":
    sys.exit(main())
