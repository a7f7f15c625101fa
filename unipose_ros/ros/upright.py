"""The estimator behind a camera that may be mounted otherwise than upright."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time
from tf2_msgs.msg import TFMessage
from tf2_ros import Buffer, TransformException, TransformListener
from tf_transformations import quaternion_matrix

from unipose_ros.detection.hybrid import BackgroundTask
from unipose_ros.errors import EstimatorError, Twinned
from unipose_ros.estimator import PoseEstimator
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.modalities.base import StageClock
from unipose_ros.mounting import MountingCheck, mounting_of, turn_back, turn_camera, turn_frame, turn_keypoints_back
from unipose_ros.ros.monitoring import Statistics, ThrottledLogger
from unipose_ros.ros.synchronizer import overridden_qos
from unipose_ros.transforms import TransformError

#: Quarters of a turn by which the images of a frame's camera are to be turned; ``None`` while that is not known.
Mounting = Callable[[str], int | None]
#: Where no frame leaves the time to look, every so many frames one pays for it.
_MOST_PASSED_OVER = 30
#: Beside live frames a look takes about a frame's time, and all looks take at most this fraction of the time.
_SHARE = 0.1
#: A look compares two images of one moment: what it tells does not get old, not even on a slow machine. Nanoseconds.
_NEVER_NS = 2**62


class ByGravity:
    """A mounting that follows the robot's transforms.

    Args:
        tree: of the transforms.
        level: frame whose z points up; empty for the uppermost one.
    """

    def __init__(self, tree: UpTree, level: str) -> None:
        self._tree = tree
        self._level = level
        self._present: int | None = None

    def __call__(self, frame_id: str) -> int | None:
        """The present mounting of a camera; see :data:`Mounting`."""
        up = self._tree.up_in(frame_id, self._level)
        if up is not None:
            found = mounting_of(up, self._present)
            self._present = self._present if found is None else found
        return self._present


class _Look(NamedTuple):
    """People seen in a frame as it is, and in the same one turned.

    Attributes:
        quarters: of the frame as it is.
    """

    quarters: int
    as_is: Skeletons
    turned: Skeletons


class UprightEstimator:
    """Turns frames upright for an estimator, and what it finds back.

    Where the estimator has a twin (:meth:`unipose_ros.estimator.PoseEstimator.twin`), that one looks at turned images
    in a thread beside the frames. Otherwise a frame waits for it, and the estimator forgets who was where.

    Args:
        mounting: how the camera is mounted.
        check: finds out whether that is true; ``None`` where gravity says so.
        adopt: take over what the check finds out, instead of only saying it.
    """

    def __init__(
        self,
        estimator: PoseEstimator,
        mounting: Mounting,
        check: MountingCheck | None,
        statistics: Statistics,
        reporter: ThrottledLogger,
        adopt: bool = False,
    ) -> None:
        self._estimator = estimator
        self._mounting = mounting
        self._check = check
        self._statistics = statistics
        self._reporter = reporter
        self._adopt = adopt
        self._adopted = 0
        self._quarters = 0
        #: Seconds that looking takes: at first about twice a frame's, for nobody is known in turned images.
        self._took, self._looked, self._passed_over = 0.0, 0.0, 0
        self._beside: BackgroundTask[_Look | None] = BackgroundTask("unipose_mounting", _SHARE, _NEVER_NS)

    def estimate(self, frame: RgbdFrame, clock: StageClock) -> tuple[Skeletons, Keypoints2D | None]:
        """All people in the frame, in the camera's own frame and pixels.

        Raises:
            EstimatorError: the frame lacks an image that the modality needs.
            CameraError: the camera's images cannot be turned.
        """
        self._follow(frame.frame_id)
        began = time.perf_counter()
        found = self._estimator.estimate(turn_frame(frame, self._quarters), clock)
        self._took = time.perf_counter() - began
        keypoints = self._estimator.last_keypoints
        if keypoints is not None:
            keypoints = turn_keypoints_back(keypoints, frame.camera, self._quarters)
        return turn_back(found, self._quarters), keypoints

    def check(self, frame: RgbdFrame, found: Skeletons, spare: float = math.inf) -> None:
        """Look, now and then, whether people are seen better in images that are turned otherwise.

        Args:
            found: by :meth:`estimate` in this frame.
            spare: seconds until the next frame comes. Looking takes as long as a frame does: it is put off to one that
                leaves the time, though not for ever.
        """
        if self._check is None:
            return
        twin = self._estimator.twin() if isinstance(self._estimator, Twinned) else None
        if twin is not None:
            self._check_beside(twin, self._check, frame, found)
            return
        if (self._looked or 2 * self._took) > spare and self._passed_over < _MOST_PASSED_OVER:
            self._passed_over += 1
            return
        self._passed_over = 0
        turn = self._check.due(found)
        if not turn:
            return
        began = time.perf_counter()
        turned = self._estimator.estimate(turn_frame(frame, self._quarters + turn), StageClock())
        self._looked = time.perf_counter() - began
        # Where people were in the turned image must not count in the next one.
        self._estimator.reset()
        self._judge(self._check, found, turned)

    def _check_beside(self, twin: PoseEstimator, check: MountingCheck, frame: RgbdFrame, found: Skeletons) -> None:
        """Take what the last look has found, and begin another one when it is due; never waits.

        Raises:
            CameraError: the camera's images cannot be turned.
        """
        look = self._beside.take(frame)
        if look is not None and look.quarters == self._quarters:
            self._judge(check, look.as_is, look.turned)
        if not self._beside.is_free:
            return
        quarters, turn = self._quarters, check.due(found)
        if turn:
            turn_camera(frame.camera, quarters + turn)  # raises here, where it is reported
            self._beside.offer(frame, lambda: _looked(twin, frame, quarters, turn, found))

    def _judge(self, check: MountingCheck, as_is: Skeletons, turned: Skeletons) -> None:
        check.judge(as_is, turned)
        if check.better:
            self._tell((self._quarters + check.better) % 4 * 90)
            if self._adopt:
                self._adopted = (self._adopted + check.better) % 4
                self._check = MountingCheck()

    def close(self) -> None:
        """End the thread that looks."""
        self._beside.close()

    def _tell(self, degrees: int) -> None:
        if self._adopt:
            text = (
                f"people look upright when the images are turned by {degrees} degrees: they are turned from now on; "
                f"set input.mounting:={degrees} if the camera is mounted so, or 0 if it is not"
            )
        else:
            text = (
                f"people look upright when the images are turned by {degrees} degrees, and their skeletons cannot be "
                f"believed as it is: if the camera is mounted so, set input.mounting:={degrees}"
            )
            self._statistics.say("mounting", text)
        self._reporter.note("mounting", text)

    def _follow(self, frame_id: str) -> None:
        quarters = self._mounting(frame_id)
        if quarters is None:
            self._reporter.note(
                "no_gravity",
                f"input.mounting is tf, but no transform on /tf or /tf_static leads from '{frame_id}' to a level "
                "frame, or the camera looks straight up or down: its images are taken as upright; see "
                "input.gravity_frame",
            )
            quarters = 0
        quarters = (quarters + self._adopted) % 4
        if quarters != self._quarters:
            self._quarters = quarters
            self._estimator.reset()
            self._beside.reset()
        self._statistics.set("mounting (degrees)", 90.0 * quarters)


def _looked(twin: PoseEstimator, frame: RgbdFrame, quarters: int, turn: int, found: Skeletons) -> _Look | None:
    """The people of a frame turned once more, by an estimator that this thread alone uses."""
    twin.reset()
    try:
        return _Look(quarters, found, twin.estimate(turn_frame(frame, quarters + turn), StageClock()))
    except EstimatorError:  # its networks were closed meanwhile, for another modality
        return None


# Where up is for a camera, from the transforms that a robot publishes.

#: Longer chains are loops.
_MOST_FRAMES = 100


class UpTree:
    """The newest rotations of a tree of frames.

    Only the newest are kept: a mounting is a quarter of a turn, which does not change between an image and its
    transform.
    """

    def __init__(self) -> None:
        self._parents: dict[str, tuple[str, NDArray[np.float64]]] = {}

    def add(self, transforms: Iterable[Any]) -> None:
        """Take ``TransformStamped`` messages."""
        for transform in transforms:
            q = transform.transform.rotation
            quaternion = np.array([q.x, q.y, q.z, q.w])
            if np.isfinite(quaternion).all() and np.linalg.norm(quaternion) > 0:
                parent, child = (name.lstrip("/") for name in (transform.header.frame_id, transform.child_frame_id))
                self._parents[child] = parent, quaternion_matrix(quaternion)[:3, :3]

    def up_in(self, frame_id: str, level: str = "") -> NDArray[np.float64] | None:
        """(3,) direction away from the ground, in a frame; ``None`` where no transform leads from it to a level one.

        Args:
            level: a frame whose z points up (REP-103); empty for the one above all others (``map``, ``odom``,
                ``base_link``).
        """
        rotation, name = np.eye(3), frame_id.lstrip("/")
        for _ in range(_MOST_FRAMES):
            if name == level.lstrip("/") or name not in self._parents:
                break
            name, step = self._parents[name]
            rotation = step @ rotation
        reached = name == level.lstrip("/") if level else name != frame_id.lstrip("/") and name not in self._parents
        return np.asarray(rotation.T @ [0.0, 0.0, 1.0]) if reached else None


class GravityWatch:
    """Listens to ``/tf`` and ``/tf_static`` from construction to :meth:`close`."""

    def __init__(self, node: Node) -> None:
        self.tree = UpTree()
        self._node = node
        self._subscriptions = [
            node.create_subscription(
                TFMessage, topic, lambda message: self.tree.add(message.transforms), tf_qos(node, topic, "subscription")
            )
            for topic in ("/tf", "/tf_static")
        ]

    def close(self) -> None:
        """Stop listening."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)


# The robot's transforms: tf2's buffer, listened to only where something needs it.

Matrix = NDArray[np.float64]


def tf_qos(node: Node, topic: str, entity: str) -> QoSProfile:
    """QoS of ``/tf`` or ``/tf_static`` as tf2_ros has it, unless the user overrides it."""
    durability = DurabilityPolicy.TRANSIENT_LOCAL if topic == "/tf_static" else DurabilityPolicy.VOLATILE
    return overridden_qos(node, node.resolve_topic_name(topic), entity, QoSProfile(depth=100, durability=durability))


class Transforms:
    """Looks transforms up at a time, waiting for them no longer than told.

    The listener is made by :meth:`begin` once a look-up was asked for: a robot's ``/tf`` costs a Python node more than
    the people in an image, and most set-ups need none of it. :meth:`begin` and :meth:`close` belong to the executor's
    thread, :meth:`lookup` to the worker's.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._wanted = False
        self._buffer: Any = None
        self._listener: Any = None

    def want(self) -> None:
        """Let the next :meth:`begin` listen."""
        self._wanted = True

    def begin(self) -> None:
        """Listen from now on, if asked for."""
        if self._wanted and self._buffer is None:
            buffer = Buffer()
            self._listener = TransformListener(
                buffer, self._node,
                qos=tf_qos(self._node, "/tf", "subscription"),
                static_qos=tf_qos(self._node, "/tf_static", "subscription"),
            )  # fmt: skip
            self._buffer = buffer

    def lookup(self, target: str, source: str, stamp_ns: int, timeout: float = 0.0) -> Matrix:
        """(4, 4) that takes points of the source frame to the target frame, meters.

        Args:
            timeout: seconds to wait at most.

        Raises:
            TransformError: it is not known.
        """
        if self._buffer is None:
            self._wanted = True
            raise TransformError("the node begins to listen to /tf")
        time, wait = Time(nanoseconds=stamp_ns), Duration(seconds=timeout)
        try:
            found = self._buffer.lookup_transform(target, source, time, timeout=wait).transform
        except TransformException as error:
            raise TransformError(str(error)) from error
        t, q = found.translation, found.rotation
        matrix = quaternion_matrix((q.x, q.y, q.z, q.w))
        matrix[:3, 3] = t.x, t.y, t.z
        return np.asarray(matrix, np.float64)

    def clear(self) -> None:
        """Time has jumped: forget what moves."""
        if self._buffer is not None:
            self._buffer.clear()

    def close(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.unregister()
        self._buffer = self._listener = None
