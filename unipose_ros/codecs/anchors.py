"""Joints as an image network says them, in window pixels and metres of depth, in camera coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project, rays
from unipose_ros.codecs.crop import Window

FloatArray = NDArray[np.float32]

#: Row and column of xx, xy, xz, yy, yz, zz.
_UPPER = np.triu_indices(3)


@dataclass(frozen=True, eq=False)
class WindowSample:
    """One person in one frame, as an image network takes it.

    Attributes:
        image: (C, S, S) float32.
        window: where in the picture it is.
        distance: metres along z; depths are said relative to it.
        camera: of the picture.
    """

    image: FloatArray
    window: Window
    distance: float
    camera: Camera

    def to_camera(self, pixels: NDArray[np.floating], depths: NDArray[np.floating]) -> FloatArray:
        """Joints in the camera's optical frame.

        Args:
            pixels: (..., 2) of the window.
            depths: (...) metres relative to ``distance``.

        Returns:
            (..., 3) metres.
        """
        directions = rays(self.camera, self.window.to_image(pixels))
        return np.asarray(directions * (depths + self.distance)[..., None], np.float32)

    def to_sample(self, joints: NDArray[np.floating]) -> tuple[FloatArray, FloatArray]:
        """(..., 3) metres in the camera's optical frame -> pixels of the window and relative depths."""
        pixels = self.window.to_window(project(self.camera, joints))
        return np.asarray(pixels, np.float32), np.asarray(joints[..., 2] - self.distance, np.float32)

    def covariances_to_camera(
        self, pixels: NDArray[np.floating], depths: NDArray[np.floating], covariances: NDArray[np.floating]
    ) -> FloatArray:
        """Covariances in the camera's optical frame, to first order and without what the lens bends.

        Args:
            pixels: (..., 2) of the window.
            depths: (...) metres relative to ``distance``.
            covariances: (..., 6) of (u, v, depth), upper triangle.

        Returns:
            (..., 6) square metres: xx, xy, xz, yy, yz, zz.
        """
        z = np.asarray(depths, np.float64) + self.distance
        change = np.zeros((*z.shape, 3, 3))
        scale = self.window.scale * np.array([self.camera.fx, self.camera.fy])
        change[..., 0, 0], change[..., 1, 1] = z / scale[0], z / scale[1]
        change[..., :, 2] = rays(self.camera, self.window.to_image(pixels))
        full = np.zeros_like(change)
        full[..., _UPPER[0], _UPPER[1]] = covariances
        full[..., _UPPER[1], _UPPER[0]] = covariances
        turned = change @ full @ np.swapaxes(change, -1, -2)
        return np.asarray(turned[..., _UPPER[0], _UPPER[1]], np.float32)
