"""Cameras that hang upside down or stand on their side: images are turned upright, results turned back.

Networks are trained on upright people. A camera's mounting is how far its images are to be turned clockwise, in
quarters of a turn: 2 for a camera that hangs upside down.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, CameraError
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.geometry.covariance import transformed
from unipose_ros.keypoints import Keypoints2D

#: A point of the camera's frame in that of the camera whose images are turned by a quarter clockwise.
_QUARTER = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]], np.float64)
#: Degrees by which gravity must lie nearer to another mounting than to the present one, to change it.
_HYSTERESIS = 10.0
#: Cameras that look up or down within this many degrees have no upright image.
_VERTICAL = 15.0
#: Evidence that says anything is about half a person's; so many times more of it is clear; so often it has to be.
_LEAST_EVIDENCE, _CLEARLY, _VOTES = 0.3, 1.5, 3
#: The same of sums over several frames: who sees color finds people on their side, too.
_CLEARLY_IN_SUM = 1.25
#: Frames from look to look, and at most while no people are there.
_CHECK_EVERY, _CHECK_RARELY = 2, 300


def turn_camera(camera: Camera, quarters: int) -> Camera:
    """The camera of the images turned clockwise.

    Raises:
        CameraError: the lens has a tilt in both directions, which no turned lens model describes.
    """
    for _ in range(quarters % 4):
        camera = Camera(
            fx=camera.fy,
            fy=camera.fx,
            cx=camera.height - 1 - camera.cy,
            cy=camera.cx,
            width=camera.height,
            height=camera.width,
            distortion=_turn_distortion(camera),
            model=camera.model,
        )
    return camera


def _turn_distortion(camera: Camera) -> tuple[float, ...]:
    """Coefficients of the same lens for an image turned by a quarter clockwise: x' = -y, y' = x."""
    if not camera.distortion or camera.model == "equidistant":
        return camera.distortion
    d = np.zeros(14)
    d[: len(camera.distortion)] = camera.distortion
    p1, p2, (s1, s2, s3, s4), (tilt_x, tilt_y) = d[2], d[3], d[8:12], d[12:]
    if tilt_x and tilt_y:
        raise CameraError(
            f"D[12] = {tilt_x:g} and D[13] = {tilt_y:g}: a tilted sensor's images cannot be turned by a quarter; use "
            "rectified topics and input.rectified"
        )
    d[2:4] = p2, -p1
    d[8:12] = -s3, -s4, s1, s2
    d[12:] = -tilt_y, tilt_x
    return tuple(float(value) for value in d[: len(camera.distortion)])


def turn_frame(frame: RgbdFrame, quarters: int) -> RgbdFrame:
    """The frame with its images turned clockwise; the optical frame turns with them."""
    if not quarters % 4:
        return frame
    back = np.eye(4)
    back[:3, :3] = np.linalg.matrix_power(_QUARTER.T, quarters % 4)
    return replace(
        frame,
        camera_pose=None if frame.camera_pose is None else frame.camera_pose @ back,
        camera=turn_camera(frame.camera, quarters),
        depth=None if frame.depth is None else np.ascontiguousarray(np.rot90(frame.depth, -quarters)),
        color=None if frame.color is None else np.ascontiguousarray(np.rot90(frame.color, -quarters)),
    )


def turn_back(skeletons: Skeletons, quarters: int) -> Skeletons:
    """People found in a frame of :func:`turn_frame`, in the camera's own optical frame."""
    if not quarters % 4:
        return skeletons
    back = np.linalg.matrix_power(_QUARTER.T, quarters % 4)
    covariances = skeletons.covariances
    if covariances is not None:
        covariances = transformed(covariances, back).astype(np.float32)
    positions = (skeletons.positions @ back.T).astype(np.float32)
    return replace(skeletons, positions=positions, covariances=covariances)


def turn_skeletons(skeletons: Skeletons, quarters: int) -> Skeletons:
    """People of the camera's own optical frame, in that of a frame of :func:`turn_frame`."""
    return turn_back(skeletons, -quarters)


def turn_keypoints_back(keypoints: Keypoints2D, camera: Camera, quarters: int) -> Keypoints2D:
    """Keypoints and boxes found in a frame of :func:`turn_frame`, in the camera's own pixels.

    Args:
        camera: the camera's own, not turned.
    """
    width, height = (camera.width, camera.height) if quarters % 2 == 0 else (camera.height, camera.width)
    pixels, boxes = keypoints.pixels, keypoints.boxes.reshape(-1, 2, 2)
    for _ in range(quarters % 4):
        # A quarter counterclockwise: what was at the top comes to the left.
        pixels, boxes = (np.stack([points[..., 1], width - 1 - points[..., 0]], axis=-1) for points in (pixels, boxes))
        width, height = height, width
    corners = np.concatenate([boxes.min(axis=1), boxes.max(axis=1)], axis=1)
    return replace(keypoints, pixels=pixels.astype(np.float32), boxes=corners.astype(np.float32))


def mounting_of(up: NDArray[np.floating], present: int | None) -> int | None:
    """Quarters by which images have to be turned clockwise, from where up is.

    Args:
        up: (3,) direction away from the ground, in the optical frame.
        present: the mounting so far, which is kept where gravity lies between two; ``None`` without one.

    Returns:
        ``None`` for a camera that looks straight up or down.
    """
    unit = np.asarray(up, np.float64) / np.linalg.norm(up)
    if np.hypot(unit[0], unit[1]) < np.sin(np.radians(_VERTICAL)):
        return None
    # How far up has turned clockwise from the image's top.
    angle = float(np.degrees(np.arctan2(unit[0], -unit[1])))
    if present is not None and abs((angle + 90 * present + 180) % 360 - 180) < 45 + _HYSTERESIS:
        return present
    return round(-angle / 90) % 4


class MountingCheck:
    """Finds out, with the estimator itself, whether people would be seen better in images turned otherwise.

    Upside down, networks put upright skeletons onto people who stand on their heads, and are less sure of the joints;
    in an image on its side they find no people. So the evidence for people is compared with that in the frame turned
    otherwise: in every second frame at first, more and more rarely while there are no people, and not any more once
    it has been clear a few times.

    Attributes:
        better: quarters by which the images should be turned on top of the present mounting; 0 when all is well;
            ``None`` while it is not known.
    """

    def __init__(self) -> None:
        self.better: int | None = None
        self._votes = [0, 0, 0, 0]
        self._turn = 2
        self._pause = self._wait = _CHECK_EVERY

    def due(self, people: Skeletons) -> int:
        """Quarters by which this frame is to be turned and processed once more; 0 for none.

        Args:
            people: found in the frame as it is.
        """
        self._wait -= 1
        if self.better is not None or self._wait > 0:
            return 0
        self._wait = self._pause
        if not self._votes[self._turn]:
            # Turned upside down people are still found; in an image on its side they are not.
            self._turn = 2 if evidence(people) >= _LEAST_EVIDENCE else {1: 3, 3: 2, 2: 1}[self._turn]
        return self._turn

    def judge(self, as_is: Skeletons, turned: Skeletons) -> None:
        """Compare what was found in a frame as it is, and turned as :meth:`due` asked."""
        seen, otherwise = evidence(as_is), evidence(turned)
        clear = max(seen, otherwise) >= _LEAST_EVIDENCE and max(seen, otherwise) > _CLEARLY * min(seen, otherwise)
        # Upright against one turn is no evidence against the others, but then people were seen well.
        self._pause = _CHECK_EVERY if clear else min(2 * self._pause, _CHECK_RARELY)
        if clear:
            self._vote(self._turn if otherwise > seen else 0)

    def _vote(self, quarters: int) -> None:
        self._votes[quarters] += 1
        if self._votes[quarters] >= _VOTES:
            self.better = int(np.argmax(self._votes))


def evidence(people: Skeletons) -> float:
    """How much there is of people: about 1 for each who is seen well."""
    return float((people.scores * people.confidences.mean(axis=1)).sum()) if len(people) else 0.0


def clearly_better(seen: NDArray[np.float64]) -> int:
    """Quarters by which images should be turned, from what was seen in some of them; 0 where nothing is clear.

    Args:
        seen: (4,) sums of :func:`evidence` by quarters.
    """
    best = int(np.argmax(seen))
    return best if seen[best] >= _LEAST_EVIDENCE and seen[best] > _CLEARLY_IN_SUM * seen[0] else 0
