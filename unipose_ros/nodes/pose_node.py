"""``pose_node``: color and depth in, skeletons, markers, TF and diagnostics out.

The executor's thread only stores the newest pair of images; one worker thread decodes,
estimates, tracks and publishes it.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo
from std_srvs.srv import SetBool, Trigger

from unipose_ros.camera import Camera
from unipose_ros.estimator import EstimatorConfig, PoseEstimator, build_estimator
from unipose_ros.ros.diagnostics import Condition, build_diagnostics
from unipose_ros.ros.lifecycle import ManagedNode, run
from unipose_ros.ros.monitoring import Statistics
from unipose_ros.ros.parameters import NodeConfig, Parameters
from unipose_ros.ros.publishers import Publishers
from unipose_ros.ros.session import Session
from unipose_ros.ros.switching import BackgroundLoad, SwitchableEstimator
from unipose_ros.ros.synchronizer import OVERRIDABLE_QOS
from unipose_ros.ros.time_line import LATE_NS
from unipose_ros.termination import leave
from unipose_ros.tracking import NearestTracker, Tracker
from unipose_ros.tracking.tracker import IdGenerator

#: How often, in seconds, a modality that is being loaded is looked for.
_LOOK_S = 0.05
EstimatorFactory = Callable[[EstimatorConfig], PoseEstimator]

#: Before the first camera_info: most RGB-D cameras are near this, and the network is warm either way.
_TYPICAL_CAMERA = Camera(fx=525.0, fy=525.0, cx=319.5, cy=239.5, width=640, height=480)


def _live_estimator(config: EstimatorConfig) -> PoseEstimator:
    return build_estimator(config, live=True)


@dataclass(frozen=True)
class Switch:
    """Another modality on its way.

    Attributes:
        model: what is being loaded.
        load: the thread that does it.
    """

    model: EstimatorConfig
    load: BackgroundLoad


class PoseNode(ManagedNode):
    """Estimates and tracks the skeletons of all people.

    Args:
        estimator_factory: makes the estimator on configuration.
        kwargs: for the node: ``namespace``, ``parameter_overrides`` and so on.

    Raises:
        ParameterError: a parameter given at start is not valid.
    """

    def __init__(self, estimator_factory: EstimatorFactory = _live_estimator, **kwargs: Any) -> None:
        super().__init__("unipose", **kwargs)
        self._estimator_factory = estimator_factory
        self._settings = Parameters(self, NodeConfig(), fixed=("track.seed",))
        self._settings.on_change = self._on_change
        self._statistics = Statistics()
        self._outputs = Publishers(self)
        # One for the node's life, for ids are never to be given twice; two nodes of one seed draw different ones.
        self._new_id = IdGenerator(self.config.track.seed, self.get_fully_qualified_name())
        self._tracker: Tracker = NearestTracker(self.config.track, self._new_id)
        self._calibrations: dict[str, CameraInfo] = {}
        self._namesakes = False
        self._estimator: SwitchableEstimator | None = None
        # What the estimator was made of: parameters of the model count when the node is configured.
        self._model = self.config.model
        self._switch: Switch | None = None
        self._session: Session | None = None
        self._enabled = True
        self._look = self.create_timer(_LOOK_S, self._look_at_switch, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._look.cancel()  # a timer that goes off costs the executor as much as a message
        self._diagnostics = self.create_publisher(
            DiagnosticArray, "/diagnostics", 10, qos_overriding_options=OVERRIDABLE_QOS
        )
        # On a steady clock: simulated time that stands still is just when one wants to be told.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(self.config.diagnostics.period, self._publish_diagnostics, clock=steady)
        self.create_service(SetBool, "~/enable", self._on_enable)
        self.create_service(Trigger, "~/reset_tracks", self._on_reset_tracks)
        self.create_service(Trigger, "~/reload_weights", self._on_reload_weights)
        # Less is no other time: two publishers of /clock, or a simulator whose steps are not in order.
        threshold = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-LATE_NS), on_clock_change=True)
        self._jump_handle = self.get_clock().create_jump_callback(threshold, post_callback=self._on_clock_jump)

    @property
    def config(self) -> NodeConfig:
        """The parameters as they are now."""
        current: NodeConfig = self._settings.current
        return current

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the network and run it once."""
        return self.guard("configure", self._load)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Publish and subscribe."""
        super().on_activate(state)
        result = self.guard("activate", self._start)
        if result != TransitionCallbackReturn.SUCCESS:
            super().on_deactivate(state)
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe, end the worker, and publish an empty message."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give the network's memory back."""
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End from any state."""
        self._stop()
        self._release()
        return super().on_deactivate(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Leave nothing behind, so that the node can be configured again."""
        return self.on_shutdown(state)

    def finish(self) -> None:
        """Deactivate, and let the farewell arrive."""
        super().finish()
        self._outputs.flush()

    @property
    def running_config(self) -> NodeConfig:
        """The parameters as they are now, with those of the model as they were when it was loaded."""
        return replace(self.config, model=self._model)

    def _load(self) -> None:
        model = self.config.model
        estimator = SwitchableEstimator(self._build(model))
        self._estimator, self._model = estimator, model
        self.get_logger().info(f"modality {estimator.modality} is ready, {estimator.runtime}")

    def _build(self, model: EstimatorConfig) -> PoseEstimator:
        estimator = self._estimator_factory(model)
        try:
            estimator.warm_up(_TYPICAL_CAMERA)
        except Exception:
            estimator.close()
            raise
        return estimator

    def _on_change(self, before: NodeConfig, after: NodeConfig) -> None:
        """Another modality is loaded at once; other settings of the model wait for the next configuration."""
        if before.model == after.model or self._estimator is None:
            return
        if before.model.modality == after.model.modality:
            self.get_logger().info("parameters of the model count from the next configuration on: cleanup, configure")
            return
        self.get_logger().info(f"loading modality {after.model.modality} beside {self._model.modality}")
        self._begin_switch(after.model)

    def _begin_switch(self, model: EstimatorConfig) -> None:
        """Load an estimator beside the present one, and no longer the one that is being loaded."""
        if self._switch is not None:
            self._switch.load.cancel()
        self._switch = Switch(model, BackgroundLoad(lambda: self._build(model)))
        self._look.reset()

    def _look_at_switch(self) -> None:
        switch = self._switch
        if switch is not None and not switch.load.done:
            return
        self._switch = None
        self._look.cancel()
        if switch is None:
            return
        try:
            estimator = switch.load.result()
        except Exception as error:
            self._refuse_switch(switch, error)
            return
        if self._estimator is None:
            estimator.close()
            return
        try:
            if self._session is not None:
                self._session.need(switch.model.needs)
        except Exception as error:  # its images' topics may be given a QoS that cannot be
            estimator.close()
            self._refuse_switch(switch, error)
            return
        self.fault = ""
        self._estimator.offer(estimator, switch.model.needs)
        self._model = switch.model
        self.get_logger().info(f"modality {estimator.modality} takes over with its first frame, {estimator.runtime}")

    def _refuse_switch(self, switch: Switch, error: Exception) -> None:
        self.fault = f"modality {switch.model.modality} cannot be loaded: {error}"
        self.get_logger().error(f"{self.fault}; {self._model.modality} goes on")
        self._settings.current = replace(self.config, model=self._model)
        self.set_parameters([Parameter("model.modality", value=self._model.modality)])

    def _start(self) -> None:
        if not self._enabled:
            return
        if self._estimator is None:
            # The one before is still in use by a worker that did not end.
            self._load()
        assert self._estimator is not None
        self._tracker.configure(self.config.track)
        self._tracker.reset()
        self._estimator.reset()
        self._statistics.clear()
        self._session = Session(
            self, cast(PoseEstimator, self._estimator), self._tracker, self._outputs, lambda: self.running_config,
            self._statistics, self._calibrations,
        )  # fmt: skip

    def _stop(self) -> None:
        if self._session is None:
            return
        session, self._session = self._session, None
        if not session.close():
            # Whatever the worker that was left behind still does, it does to what is no longer used.
            self._estimator = None
            self._tracker = NearestTracker(self.config.track, self._new_id)
        self._outputs.clear(self.get_clock().now().nanoseconds)
        # Subscriptions and callbacks refer to each other: their images would stay until Python happens to look.
        del session
        gc.collect()

    def _release(self) -> None:
        if self._switch is not None:
            self._switch.load.cancel()
            self._switch = None
        if self._estimator is not None:
            self._estimator.close()
        self._estimator = None

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        """Pause and resume without unloading the network."""
        self._enabled = bool(request.data)
        response.success = True
        if self.state_label == "active" and self._enabled != (self._session is not None):
            done = self.guard("enable", self._start) if self._enabled else self.guard("disable", self._stop)
            response.success = done == TransitionCallbackReturn.SUCCESS
        if not response.success:
            self._enabled = False
            response.message = self.fault
            return response
        response.message = f"{'enabled' if self._enabled else 'disabled'}; the node is {self.state_label}"
        return response

    def _on_reset_tracks(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Drop all tracks; people get new ids with the next frame."""
        if self._session is not None:
            self._session.reset_tracks()
        response.success = self._session is not None
        response.message = "all people get new ids" if response.success else f"no tracks: {self.condition}"
        return response

    def _on_reload_weights(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Load the weights that are in place now beside the present ones; all people keep their ids."""
        response.success = self._estimator is not None
        if not response.success:
            response.message = "the node is not configured; it takes the weights in place when it is"
            return response
        self._begin_switch(self._model)
        response.message = f"loading modality {self._model.modality}; it takes over between two frames"
        self.get_logger().info("loading the weights that are in place now")
        return response

    def _on_clock_jump(self, jump: object) -> None:
        if self._session is not None:
            self._session.restart("the node's clock")

    @property
    def condition(self) -> str:
        """State of the life cycle, or ``disabled``."""
        return "disabled" if self.state_label == "active" and self._session is None else self.state_label

    def _look_for_namesakes(self) -> None:
        """Say once that another node has this one's name: services and parameters then reach either."""
        ours = (self.get_name(), self.get_namespace())
        others = self.get_node_names_and_namespaces().count(ours) - 1
        if others > 0 and not self._namesakes:
            self.get_logger().warning(
                f"{others + 1} nodes are called {self.get_fully_qualified_name()}: their services and parameters are "
                "confused, and both publish people; start one of them in another namespace (namespace:=, __ns:=)"
            )
        self._namesakes = others > 0

    def _publish_diagnostics(self) -> None:
        self._look_for_namesakes()
        waited = self._session.watch() if self._session is not None else 0.0
        runtime = self._estimator.runtime if self._estimator is not None else ""
        condition = Condition(self.get_fully_qualified_name(), self.condition, waited, runtime, self.fault)
        now = self.get_clock().now().nanoseconds
        self._diagnostics.publish(build_diagnostics(now, condition, self._statistics, self.running_config))


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until it is told to stop.

    Args:
        args: the command line without the program's name. As the process's own ``main``, without them, this function
            does not return: all is closed, and taking the libraries down takes longer than launch waits.

    Returns:
        The exit code.
    """
    code = run(PoseNode, args)
    if args is None:
        leave(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
