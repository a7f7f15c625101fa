"""``unipose doctor``: check this machine: what is installed, what is missing, and how to fix it."""

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

from unipose_ros.cli.options import PURPOSES, description, remedy
from unipose_ros.resources import __version__

_ROS = (
    "rclpy", "std_msgs", "sensor_msgs", "geometry_msgs", "visualization_msgs", "diagnostic_msgs", "std_srvs",
    "tf2_msgs", "tf2_ros", "message_filters", "cv_bridge", "sensor_msgs_py", "tf_transformations", "unipose_ros.msg",
)  # fmt: skip
#: Distributions whose name is not that of their module, beside those of :data:`~unipose_ros.cli.options.PURPOSES`.
_OTHER_OPENCV = ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")
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
    argparse.ArgumentParser("unipose doctor", description=description(__doc__)).parse_args(argv)
    findings = [finding for check in CHECKS for finding in _findings(check)]
    for finding in findings:
        print(f"{finding.level.upper():>4}  {finding.what:<22} {finding.detail}")
    return int(any(finding.level == "fail" for finding in findings))


def _findings(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What a check finds; one that falls over is a finding itself."""
    try:
        yield from check()
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        yield Finding("fail", check.__name__.removeprefix("check_"), f"'{module}' is missing: {remedy(module)}")
    except Exception as error:  # a doctor must not fall ill
        yield Finding("fail", check.__name__.removeprefix("check_"), f"{type(error).__name__}: {error}")


def check_machine() -> Iterator[Finding]:
    """Python and the package itself."""
    supported = (3, 10) <= sys.version_info[:2] <= (3, 13)
    yield Finding("ok" if supported else "warn", "python", f"{platform.python_version()} (3.10 to 3.13 are tested)")
    yield Finding("ok", "unipose_ros", __version__)


def check_packages() -> Iterator[Finding]:
    """Importing is the check: a package that is installed but broken is as good as absent."""
    for purpose in PURPOSES:
        for module in purpose.packages:
            yield _import(module, "fail" if purpose is PURPOSES[0] else "warn", f"{purpose.summary}: {remedy(module)}")
    if all(importlib.util.find_spec(module) is None for module in ("onnxruntime", "torch")):
        yield Finding("fail", "networks", f"nothing runs them: {remedy('onnxruntime')}")


def check_ros() -> Iterator[Finding]:
    """What the nodes need; commands on recordings and training do without."""
    for name in _ROS:
        yield _import(name, "warn", "needed by the nodes: source ROS 2, or see docs/how-to/installation.md")


def _import(name: str, level: str, advice: str) -> Finding:
    try:
        module = importlib.import_module(name)
    except Exception as error:  # a broken binary raises whatever it likes
        return Finding(level, name, f"{type(error).__name__}: {error}; {advice}")
    return Finding("ok", name, _version(name) or str(getattr(module, "__file__", "") or ""))


def _version(name: str) -> str:
    packages = {module: package for purpose in PURPOSES for module, package in purpose.packages.items()}
    for distribution in (packages.get(name, name), *(_OTHER_OPENCV if name == "cv2" else ())):
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return ""


def check_gpu() -> Iterator[Finding]:
    """What `device: auto` would choose."""
    try:
        import torch
    except Exception:  # absent or broken, which check_packages tells
        return

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
    from unipose_ros.networks.graphs import find_graph
    from unipose_ros.networks.weights import WeightsError, load_weights

    for name in (field.name for field in fields(WeightsConfig)):
        try:
            _, record = load_weights(weights_file(EstimatorConfig(), name), "points" if name == "rgbd" else name)
        except WeightsError as error:
            yield Finding("warn", f"weights {name}", str(error))
            continue
        graph = find_graph(record.network, record.config)
        if graph is None and importlib.util.find_spec("torch") is None:
            yield Finding("warn", f"weights {name}", f"no graph of its sizes is shipped: {remedy('torch')}")
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
    check_ros,
    check_gpu,
    check_weights,
    check_shipped_weights,
    check_dds,
)
