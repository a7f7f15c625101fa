"""Pairs of ROS messages -> frames, with the decoder that reads recordings too."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from unipose_ros import decoding
from unipose_ros.frame import RgbdFrame
from unipose_ros.ros.synchronizer import Pair


class FrameDecoder:
    """The node's decoder; see :class:`unipose_ros.decoding.FrameDecoder`.

    Args:
        rectified: the images are rectified ones: P is their calibration.
        calibrations: messages by ``color`` and ``depth``, known from earlier; new ones are put there. A driver that
            publishes its calibration once does not do so again when the node is activated once more.
        transforms: of the robot, for depth and clouds of another frame than color's.
    """

    def __init__(
        self,
        rectified: bool = False,
        calibrations: MutableMapping[str, Any] | None = None,
        transforms: decoding.Lookup | None = None,
    ) -> None:
        self._decoder = decoding.FrameDecoder(("color", "depth") if rectified else (), transforms)
        self._calibrations = {} if calibrations is None else calibrations
        for name, info in self._calibrations.items():
            self._decoder.set_info(name, info)

    def set_info(self, name: str, info: Any) -> None:
        """Take a ``CameraInfo`` of ``color`` or ``depth``. Safe from one other thread."""
        self._calibrations[name] = info
        self._decoder.set_info(name, info)

    @property
    def remarks(self) -> dict[str, str]:
        """What looks wrong with the last frame, by reason."""
        return self._decoder.remarks

    @property
    def figures(self) -> dict[str, float]:
        """Numbers of the last frame, by name, for the diagnostics."""
        return self._decoder.figures

    def decode(self, pair: Pair) -> RgbdFrame:
        """Decode a pair, or an image that came alone.

        Raises:
            BadInputError: something about it is not usable; says what, and what to do.
        """
        return self._decoder.decode(pair.color, pair.depth, pair.stamp_ns)
