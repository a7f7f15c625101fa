"""What a robot has is enough: numpy, OpenCV, SciPy, PyYAML and ONNX Runtime, in the versions that are there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from unipose_ros.networks.movenet.decode import movenet_dir

ROOT = Path(__file__).resolve().parents[2]
#: The estimator does without these; importing one fails in the processes below.
UNWANTED = (
    "torch", "onnx", "safetensors", "h5py", "tqdm", "matplotlib", "motmetrics", "imageio_ffmpeg", "tensorboard",
    "lightning_fabric", "open3d", "anny", "unipose_training", "isal", "numba",
)  # fmt: skip
RECORDINGS = ("rosbags",)
GUARD = """
import sys
from importlib.machinery import PathFinder
class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition('.')[0] in {unwanted!r} else super().find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = Without
"""
ESTIMATE = """
import cv2, numpy as np
from unipose_ros import EstimatorConfig, NearestTracker, PoseEstimator, RgbdFrame
from unipose_ros.camera import Camera
depth = np.full((480, 640), 4.0, np.float32)
cv2.ellipse(depth, (320, 260), (45, 150), 0, 0, 360, 2.5, -1)
cv2.circle(depth, (320, 90), 24, 2.5, -1)
camera = Camera(525.0, 525.0, 319.5, 239.5, 640, 480)
frame = RgbdFrame(1, 'camera', camera, depth, np.full((480, 640, 3), 90, np.uint8))
estimator, tracker = PoseEstimator(EstimatorConfig({modality!r})), NearestTracker()
for _ in range(2):
    people = tracker.update(estimator.estimate(frame))
assert people.positions.shape[1:] == (15, 3)
print(estimator.runtime)
"""
RECORDING = """
from unipose_ros import BagReader, RgbdRecording
from unipose_ros.recordings.messages import SKELETON_ARRAY
with BagReader({bag!r}) as bag:
    frame = next(iter(RgbdRecording(bag).frames()))
    assert SKELETON_ARRAY in {{topic.type for topic in bag.topics.values()}}
assert frame.depth is not None
"""


def run(code: str, unwanted: tuple[str, ...]) -> str:
    """In a process of its own, from another folder: the installed package counts where there is one."""
    done = subprocess.run(
        [sys.executable, "-c", GUARD.format(unwanted=unwanted) + code], capture_output=True, text=True, check=False,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("modality", ["points", "depth"])
def test_depth_needs_a_robots_packages_alone(modality: str) -> None:
    assert "onnxruntime" in run(ESTIMATE.format(modality=modality), UNWANTED + RECORDINGS)


@pytest.mark.weights
@pytest.mark.parametrize("modality", ["auto", "rgbd", "rgb", "lookup"])
def test_color_needs_a_robots_packages_alone(modality: str) -> None:
    if not movenet_dir().is_dir():
        pytest.skip("MoveNet's weights are not there: unipose download movenet")
    assert "onnxruntime" in run(ESTIMATE.format(modality=modality), UNWANTED + RECORDINGS)


def test_the_lifter_needs_a_robots_packages_alone() -> None:
    code = "from unipose_ros.lifting import load_lifter; print(load_lifter().runtime)"
    assert "onnxruntime" in run(code, UNWANTED + RECORDINGS)


def test_recordings_are_read_without_hdf5_and_torch() -> None:
    run(RECORDING.format(bag=str(ROOT / "demo" / "walk")), UNWANTED)


def test_the_doctor_names_what_is_missing_and_does_not_fall_over() -> None:
    code = "from unipose_ros.cli.doctor import main; print('status', main([]))"
    printed = run(code, UNWANTED + RECORDINGS)
    assert "status 0" in printed
    for package in ("rosbags", "tqdm", "matplotlib", "motmetrics", "imageio-ffmpeg", "torch", "h5py", "open3d", "anny"):
        assert f"pip install {package}" in printed, package


def test_without_any_runtime_the_remedy_is_one_line() -> None:
    code = """
from unipose_ros import EstimatorConfig, PoseEstimator
from unipose_ros.backends import BackendError
import importlib.util
found = importlib.util.find_spec
import unipose_ros.backends as backends
backends.find_spec = lambda name: None
try:
    PoseEstimator(EstimatorConfig('depth'))
except BackendError as error:
    print(error)
"""
    printed = run(code, UNWANTED)
    assert len(printed.splitlines()) == 1
    assert "install onnxruntime" in printed
