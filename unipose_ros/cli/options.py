"""Options that several commands share."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from unipose_ros.files import describe_os_error

if TYPE_CHECKING:
    from unipose_ros.recordings import RgbdTopics


def _roles() -> tuple[str, ...]:
    """The topics of a recording. Commands that read none must start without what reads recordings."""
    from unipose_ros.recordings import RgbdTopics

    return tuple(field.name for field in fields(RgbdTopics))


def add_topic_options(parser: argparse.ArgumentParser) -> None:
    """``--color TOPIC``, ``--depth-info TOPIC`` and so on, one for each role of a recording."""
    for role in _roles():
        flag = "--" + role.replace("_", "-")
        parser.add_argument(flag, metavar="TOPIC", help="topic in the recording (default: found by type and name)")


def chosen_topics(options: argparse.Namespace) -> RgbdTopics:
    """What the user has named with :func:`add_topic_options`."""
    from unipose_ros.recordings import RgbdTopics

    return RgbdTopics(**{role: getattr(options, role) for role in _roles()})


def description(doc: str | None) -> str:
    """A module's docstring as its command's help: without the command's name and without markup."""
    text = (doc or "").strip()
    name, separator, rest = text.partition("``: ")
    if separator and name.startswith("``unipose "):
        text = rest[:1].upper() + rest[1:]
    return text.replace("``", "'")


def add_mounting_option(parser: argparse.ArgumentParser) -> None:
    """``--mounting DEGREES``, as the node's ``input.mounting``."""
    parser.add_argument(
        "--mounting",
        type=int,
        choices=(0, 90, 180, 270),
        default=0,
        help="degrees by which the images of recordings are turned clockwise to be upright (default: %(default)s)",
    )


def positive(text: str) -> int:
    """A whole number from 1, as the ``type`` of an argument.

    Raises:
        argparse.ArgumentTypeError: it is less.
    """
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value}: give at least 1")
    return value


# What a command says when it cannot go on: one line, and the exit status 1.


def refuse(command: str, error: Exception) -> int:
    """Say why a command ends.

    Args:
        command: as typed, e.g. ``unipose demo``.

    Returns:
        The exit status 1.

    Raises:
        BrokenPipeError: that is what it was; no one listens any more.
    """
    if isinstance(error, BrokenPipeError):
        raise error
    print(f"{command}: {describe(error)}", file=sys.stderr)
    return 1


def describe(error: Exception) -> str:
    """The text of an error, with the remedy where the operating system has none."""
    if isinstance(error, OSError):
        return describe_os_error(error)
    if isinstance(error, MemoryError):
        return f"out of memory ({error or 'no size is known'}); end other programs, or give it less at a time"
    text = str(error)
    if text.startswith("Caught ") and "DataLoader worker" in text:  # torch puts the worker's traceback into the text
        return text.strip().splitlines()[-1].partition(": ")[2]
    return text


# Python packages by what they are for, and the command that brings one that is missing.
#
# The extras of ``setup.py`` are the same lists; a test compares them.


@dataclass(frozen=True)
class Purpose:
    """What some packages are for.

    Attributes:
        extra: of pip, as in ``pip install 'unipose_ros[eval]'``; empty for those that are always installed.
        summary: in words.
        packages: names of modules, and of their packages in pip.
    """

    extra: str
    summary: str
    packages: dict[str, str]


PURPOSES = (
    Purpose(
        "",
        "the estimator",
        {"numpy": "numpy", "cv2": "opencv-python-headless", "scipy": "scipy", "yaml": "PyYAML"},
    ),
    Purpose("", "networks", {"onnxruntime": "onnxruntime"}),
    Purpose("", "recordings", {"rosbags": "rosbags"}),
    Purpose("fast", "frames in less time", {"numba": "numba"}),
    Purpose("run", "demo and videos", {"imageio_ffmpeg": "imageio-ffmpeg", "tqdm": "tqdm"}),
    Purpose("eval", "unipose evaluate", {"matplotlib": "matplotlib", "motmetrics": "motmetrics"}),
    Purpose("viz", "unipose view", {"rerun": "rerun-sdk"}),
    Purpose(
        "train",
        "training",
        {
            "torch": "torch",
            "onnx": "onnx",
            "h5py": "h5py",
            "lightning_fabric": "lightning-fabric",
            "tensorboard": "tensorboard",
            "open3d": "open3d",
            "anny": "anny",
        },
    ),
)
#: What comes with ROS 2 alone; its name in PyPI, where there is one, is not all of it.
ROS = ("cv_bridge", "message_filters", "rclpy", "tf2_ros", "tf_transformations")
#: What beside pip is needed.
SYSTEM = {"open3d": "and the system library libusb-1.0-0"}


def remedy(module: str) -> str:
    """The command that brings a module: with pip, or with apt on a robot where it is in the distribution."""
    if module in ROS:
        return (
            "source ROS 2 (/opt/ros/$ROS_DISTRO/setup.bash) and the workspace; on a machine without it run `make setup`"
        )
    for purpose in PURPOSES:
        if module in purpose.packages:
            extra = f" (all of {purpose.summary}: pip install 'unipose_ros[{purpose.extra}]')" if purpose.extra else ""
            system = f", {SYSTEM[module]}" if module in SYSTEM else ""
            return f"pip install {purpose.packages[module]}{system}{extra}"
    return f"pip install {module}"
