"""MoveNet MultiPose as a teacher."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from unipose_ros.backends import choose_backend
from unipose_ros.keypoints import KeypointDetector
from unipose_ros.networks.keypoints_2d import LONG_SIDE, load_movenet
from unipose_ros.networks.movenet_decode import DecodeConfig
from unipose_ros.networks.movenet_files import ONNX, SAFETENSORS, file_sha256, verified_file
from unipose_training.data.keypoint_files import Teacher


@dataclass(frozen=True)
class MoveNetTeacher:
    """The network with the settings that the node uses, on one CPU thread or a GPU.

    Attributes:
        device: ``cpu``, ``cuda`` or ``auto``.
    """

    device: str = "cpu"

    def identity(self) -> Teacher:
        """What labels say of it.

        Raises:
            WeightsError: its weights are absent or damaged.
            BackendError: the device is not there.
        """
        backend = choose_backend("auto", self.device).backend
        weights = verified_file(ONNX if backend == "onnx" else SAFETENSORS)
        settings = {"long_side": LONG_SIDE, **asdict(DecodeConfig())}
        return Teacher("movenet_multipose", settings, file_sha256(weights))

    def build(self) -> KeypointDetector:
        """The network, ready to run; the same errors as :meth:`identity`."""
        return load_movenet(device=self.device, threads=1)
