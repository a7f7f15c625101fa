"""The package for machines without ROS: core, networks, training and the ``unipose`` command.

colcon does not read this file; on a robot CMakeLists.txt installs the same tree.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from setuptools import find_packages, setup

SHARE = "share/unipose_ros"
RESOURCES = ("config", "demo", "launch", "msg", "rviz", "weights")

# unipose_ros/cli/options.py names the same packages with what they are for.
RUN = ["imageio-ffmpeg>=0.4.9", "tqdm>=4.57"]
EVAL = [*RUN, "matplotlib>=3.5", "motmetrics>=1.4"]
VIZ = ["rerun-sdk>=0.30"]
TRAIN = [
    *EVAL,
    "anny>=0.6.2",
    "h5py>=3.6",
    "lightning-fabric>=2.4",
    "onnx>=1.16",  # for networks of sizes that no graph is shipped of
    "open3d>=0.19",
    "pybullet>=3.2.7; python_version < '3.12'",  # its motions; later Pythons have no wheel
    "tensorboard>=2.14",
    "torch>=2.9",  # recipes' run.optimizer=muon is torch.optim.Muon
]
DOCS = ["furo>=2024.8", "myst-parser>=4", "sphinx>=8,<9"]
FAST = [
    "numba>=0.55",  # loops over numbers as machine code
    "openvino>=2024.4",  # MoveNet in half of the time on CPUs that compute in bfloat16
]
RAY = ["ray>=2.10"]  # labels, crops and fusion on a cluster
DEV = [
    "hypothesis>=6.100",
    "import-linter>=2.1",
    "mypy>=1.14",
    "pre-commit>=3.5",
    "pytest>=7.4",
    "pytest-xdist>=3.6",
    "ruff>=0.9",
    "safetensors>=0.4",  # tests compare our reader with it
]


def package_version() -> str:
    """The version in ``package.xml``, the one place that states it."""
    version = ElementTree.parse("package.xml").findtext("version")
    if version is None:
        raise SystemExit("package.xml has no <version>")
    return version.strip()


def packages() -> list[str]:
    """``unipose_ros``, and ``unipose_training`` from ``training/``."""
    return find_packages(include=["unipose_ros", "unipose_ros.*"]) + find_packages("training")


def data_files() -> list[tuple[str, list[str]]]:
    """Everything that :func:`unipose_ros.resources.resource_path` finds, by folder."""
    files: dict[str, list[str]] = {SHARE: ["package.xml"]}
    there = sorted(path for folder in RESOURCES for path in Path(folder).rglob("*") if path.is_file())
    for path in (path for path in there if "__pycache__" not in path.parts):
        files.setdefault(f"{SHARE}/{path.parent}", []).append(str(path))
    return list(files.items())


setup(
    name="unipose_ros",
    version=package_version(),
    description="3D human skeletons for any robot with an RGB-D camera",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=packages(),
    package_dir={"unipose_training": "training/unipose_training"},
    package_data={"": ["py.typed"]},
    data_files=data_files(),
    # From the versions of Ubuntu 22.04 on; `make test-matrix` runs with them.
    install_requires=[
        "isal>=1.6",  # PNG depth in two thirds of the time; apt's Python does without
        "numpy>=1.21.5",
        "onnxruntime>=1.12.1",
        "opencv-python-headless>=4.5.4,<5",  # 5.0 renumbered the types that cv_bridge reads
        "PyYAML>=5.4.1",
        "rosbags>=0.9.20",
        "scipy>=1.8",
    ],
    extras_require={
        "run": RUN,
        "eval": EVAL,
        "viz": VIZ,
        "train": TRAIN,
        "ray": RAY,
        "fast": FAST,
        "dev": DEV,
        "docs": DOCS,
    },
    entry_points={"console_scripts": ["unipose = unipose_ros.cli.main:main"]},
)
