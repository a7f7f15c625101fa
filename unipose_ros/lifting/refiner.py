"""Repairs a detector's keypoints before anything is lifted from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unipose_ros.camera import Camera
from unipose_ros.codecs.keypoints import plane_to_pixels, refiner_input, view_keypoints
from unipose_ros.joint_sets import COCO17
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.resources import resource_path

if TYPE_CHECKING:
    from unipose_ros.backends import Backend

#: Keypoints of lower confidence are neither used nor moved.
_THRESHOLD = 0.1
#: Without a camera the image is taken for one from far away, in which nothing is in perspective.
_FAR_FOCAL = 1e5


class KeypointRefiner:
    """Keypoints in, keypoints out; confidences, scores and boxes stay as they are.

    Nothing is invented: a keypoint below the threshold stays where it was.

    Args:
        network: a :class:`~unipose_ros.networks.lifter.RefinerNetwork` in a backend.
    """

    def __init__(self, network: Backend) -> None:
        self._network = network

    def __call__(self, keypoints: Keypoints2D, camera: Camera | None = None) -> Keypoints2D:
        """Refined COCO-17 keypoints.

        Args:
            camera: that of the image; helps with wide lenses.

        Raises:
            ValueError: another joint set.
        """
        if keypoints.joint_set != COCO17:
            raise ValueError(f"keypoints are '{keypoints.joint_set.name}'; the refiner needs 'coco17'")
        finite = np.isfinite(keypoints.pixels).all(axis=-1)
        seen = finite & (keypoints.confidences >= _THRESHOLD)
        # Two keypoints give a size, but nothing that one could be wrong about.
        seen &= seen.sum(axis=1, keepdims=True) > 2
        if not seen.any():
            return keypoints
        from_camera = camera or _far_camera(keypoints.pixels[seen].mean(axis=0))
        view = view_keypoints(from_camera, keypoints.pixels, seen)
        (plane,) = self._network(refiner_input(view, keypoints.confidences, seen))
        refined = plane_to_pixels(from_camera, view, plane)
        moved = seen & np.isfinite(refined).all(axis=-1)
        return replace(keypoints, pixels=np.where(moved[..., None], refined, keypoints.pixels))


def _far_camera(middle: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Camera:
    return Camera(fx=_FAR_FOCAL, fy=_FAR_FOCAL, cx=float(middle[0]), cy=float(middle[1]), width=1, height=1)


def load_refiner(path: Path | None = None, threads: int = 1, backend: str = "auto") -> KeypointRefiner:
    """A trained refiner; that of the package by default.

    Raises:
        ResourceError, WeightsError: there is none, or it is damaged.
        BackendError: the backend asked for is not there.
    """
    from unipose_ros.backends.inference import load_for_inference

    file = path or resource_path("weights", "refiner.safetensors")
    return KeypointRefiner(load_for_inference(file, "refiner", backend, "cpu", threads).run)
