"""Python packages by what they are for, and the command that brings one that is missing.

The extras of ``setup.py`` are the same lists; a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass


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
