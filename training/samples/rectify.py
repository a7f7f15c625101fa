"""Frames of lenses that bend, as an ideal pinhole would see them."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from unipose_ros.frame import RgbdFrame


def rectified(frame: RgbdFrame) -> RgbdFrame:
    """The frame with the same K and without distortion; the same frame where there is none.

    Depth takes the nearest pixel: a mixture of two depths is a place where nothing is.
    """
    camera = frame.camera
    if not camera.distortion:
        return frame
    coefficients, size = np.asarray(camera.distortion), (camera.width, camera.height)
    if camera.model == "equidistant":
        maps = cv2.fisheye.initUndistortRectifyMap(camera.K, coefficients, np.eye(3), camera.K, size, cv2.CV_32FC1)
    else:
        maps = cv2.initUndistortRectifyMap(camera.K, coefficients, None, camera.K, size, cv2.CV_32FC1)
    depth, colour = frame.depth, frame.colour
    return replace(
        frame,
        camera=replace(camera, distortion=()),
        depth=None if depth is None else np.asarray(cv2.remap(depth, *maps, cv2.INTER_NEAREST)),
        colour=None if colour is None else np.asarray(cv2.remap(colour, *maps, cv2.INTER_LINEAR)),
    )
