"""The modalities by name: what each is given, and what builds it. Builders are imported when they are asked for.

A network of its own (:data:`~unipose_ros.networks.registry.NETWORKS` with images and codec) is a modality of the
same name: people are detected, cropped, and processed by the network. Others are put together from several parts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unipose_ros.errors import EstimatorError
from unipose_ros.modalities.base import Modality, RequiredInputs
from unipose_ros.networks.registry import NETWORKS, NetworkSpec, load_named

if TYPE_CHECKING:
    from unipose_ros.config import EstimatorConfig
    from unipose_ros.modalities.factory import Components

    Builder = Callable[[str, EstimatorConfig, Components], Modality]


@dataclass(frozen=True)
class ModalitySpec:
    """One of the modalities.

    Attributes:
        summary: from what it estimates, in words.
        images: images that it is given, people being detected as suits it.
        builder: ``module:function`` that takes the modality's name, a configuration and the components that are
            brought along; or the function itself.
    """

    summary: str
    images: RequiredInputs
    builder: str | Builder = "unipose_ros.modalities.factory:build_topdown"

    def build(self, name: str, config: EstimatorConfig, components: Components) -> Modality:
        """The modality, loaded.

        Raises:
            WeightsError, BackendError: a network cannot be loaded.
        """
        builder: Builder = load_named(self.builder) if isinstance(self.builder, str) else self.builder
        return builder(name, config, components)


def _of_network(spec: NetworkSpec) -> ModalitySpec:
    return ModalitySpec(spec.summary, RequiredInputs(color="color" in spec.images, depth="depth" in spec.images))


#: By name; where several would do, the first one is shown first.
MODALITIES: dict[str, ModalitySpec] = {
    **{name: _of_network(spec) for name, spec in NETWORKS.items() if spec.codec},
    "rgb": ModalitySpec(
        "color alone: 2D keypoints lifted, or crops of the color image",
        RequiredInputs(color=True, depth=False),
        "unipose_ros.modalities.factory:build_rgb",
    ),
    "rgbd": ModalitySpec(
        "color and depth: keypoints painted on points, fused with rays, depth and the lifter",
        RequiredInputs(color=True, depth=True),
        "unipose_ros.modalities.factory:build_rgbd",
    ),
    "auto": ModalitySpec(
        "rgbd where both images come, else points or rgb",
        RequiredInputs(color=True, depth=True, any_of=True),
        "unipose_ros.modalities.factory:build_auto",
    ),
    "lookup": ModalitySpec(
        "2D keypoints plus the depth under them",
        RequiredInputs(color=True, depth=True),
        "unipose_ros.modalities.factory:build_lookup",
    ),
}

#: 2D keypoint detectors by name; ``name:FILE`` names a file. ``module:function`` takes the file and a configuration.
KEYPOINT_DETECTORS: dict[str, str] = {
    "movenet": "unipose_ros.modalities.factory:build_movenet",
    "onnx": "unipose_ros.modalities.factory:build_onnx_keypoints",
}


def split_detector(name: str) -> tuple[str, str]:
    """``onnx:FILE`` -> ``onnx`` and the file; ``movenet`` -> ``movenet`` and nothing.

    Raises:
        EstimatorError: there is no such detector, or its file is absent or too much.
    """
    kind, _, file = name.partition(":")
    if kind not in KEYPOINT_DETECTORS or (kind == "onnx") != bool(file):
        raise EstimatorError(f"keypoint_detector = '{name}': use movenet or onnx:FILE")
    return kind, file
