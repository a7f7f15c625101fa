"""3D human skeletons for robots with an RGB-D camera.

The public names below are imported on first use (PEP 562), so ``import unipose_ros`` costs nothing and the node
never loads what it does not need. The path is extended so that a source checkout and the generated
``unipose_ros.msg``, which the build installs elsewhere, are one package.
"""

from importlib import import_module
from pkgutil import extend_path
from typing import TYPE_CHECKING, Any

__path__ = extend_path(__path__, __name__)

if TYPE_CHECKING:
    from unipose_ros.camera import Camera
    from unipose_ros.estimator import EstimatorConfig, PoseEstimator, WeightsConfig
    from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons, TrackState
    from unipose_ros.joint_sets import JointSet
    from unipose_ros.recordings import BagReader, RgbdRecording
    from unipose_ros.tracking import NearestTracker, TrackerConfig

__all__ = [
    "BagReader",
    "Camera",
    "EstimatorConfig",
    "JointSet",
    "JointStatus",
    "NearestTracker",
    "PoseEstimator",
    "RgbdFrame",
    "RgbdRecording",
    "Skeletons",
    "TrackState",
    "TrackerConfig",
    "WeightsConfig",
]

_MODULES = {
    "BagReader": "recordings",
    "Camera": "camera",
    "EstimatorConfig": "estimator",
    "JointSet": "joint_sets",
    "JointStatus": "frame",
    "NearestTracker": "tracking",
    "PoseEstimator": "estimator",
    "RgbdFrame": "frame",
    "RgbdRecording": "recordings",
    "Skeletons": "frame",
    "TrackState": "frame",
    "TrackerConfig": "tracking",
    "WeightsConfig": "estimator",
}


def __getattr__(name: str) -> Any:
    """A public name, imported when it is asked for first."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names too, though they are not imported yet."""
    return sorted({*globals(), *__all__})
