"""Modalities ``depth`` and ``rgb``: a person's window of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.codecs.anchors import WindowSample
from unipose_ros.codecs.colour_image import ColourImageConfig, encode_colour
from unipose_ros.codecs.depth_image import DepthImageConfig, encode_depth
from unipose_ros.frame import RgbdFrame
from unipose_ros.learned.distance import lifted_distance, size_distance
from unipose_ros.learned.reader import Joints, recorded
from unipose_ros.networks.spread import LEAST_SPREAD, sized_spread
from unipose_ros.networks.weights import WeightsError, WeightsRecord
from unipose_ros.people import PeopleConfig, Proposals, seen_keypoints

if TYPE_CHECKING:
    from unipose_ros.lifting import Lifter

FloatArray = NDArray[np.float64]

#: A smaller part of a depth window with readings near the person is nobody: a decimetre squared of 2.4 m.
_LEAST_PART = 0.002
#: Row and column of xx, xy, xz, yy, yz, zz.
_UPPER = np.triu_indices(3)


class DepthReader:
    """Windows for an :class:`~unipose_ros.networks.anchor_to_joint.AnchorNetwork` that looks at depth.

    Raises:
        WeightsError: the record lacks a size, or the network wants keypoints, too.
    """

    def __init__(self, record: WeightsRecord) -> None:
        _refuse_keypoints(record)
        self._config = DepthImageConfig(size=recorded(record, "size"))

    def encode(self, frame: RgbdFrame, people: Proposals, person: int) -> WindowSample | None:
        """The person's window; ``None`` where hardly anything is near its distance."""
        sample = encode_depth(frame, people.boxes[person], float(people.distances[person]), self._config)
        near = np.abs(sample.image) < self._config.clip
        return sample if near.mean() >= _LEAST_PART else None

    def blank(self, people: int) -> NDArray[np.float32]:
        """An input of so many people with nothing to see."""
        return np.zeros((people, 1, self._config.size, self._config.size), np.float32)

    def stack(self, samples: Sequence[WindowSample]) -> NDArray[np.float32]:
        """(N, 1, size, size)."""
        return np.stack([sample.image for sample in samples])

    def read(self, samples: Sequence[WindowSample], outputs: Sequence[NDArray[Any]]) -> Joints:
        """Outputs: those of :class:`~unipose_ros.networks.anchor_to_joint.AnchorVotes`."""
        return read_windows(samples, outputs)


@dataclass(frozen=True, eq=False)
class ColourSample:
    """A window, and how well the person's distance is known.

    Attributes:
        window: as the network takes it.
        spread: standard deviation of the distance in metres.
    """

    window: WindowSample
    spread: float


class ColourReader:
    """Windows for an :class:`~unipose_ros.networks.anchor_to_joint.AnchorNetwork` that looks at colour.

    Args:
        people: which keypoints are believed, where the distance is to be told from them.
        lifter: says how far away people are, also from few depth readings or none; ``None`` to go by the finder's
            distance, or by their size.

    Raises:
        WeightsError: the record lacks a size, or the network wants keypoints, too.
    """

    def __init__(self, record: WeightsRecord, people: PeopleConfig, lifter: Lifter | None = None) -> None:
        _refuse_keypoints(record)
        self._config = ColourImageConfig(size=recorded(record, "size"))
        self._people = people
        self._lifter = lifter

    def encode(self, frame: RgbdFrame, people: Proposals, person: int) -> ColourSample | None:
        """The person's window; ``None`` where neither depth nor size tells a distance."""
        distance, spread = self._distance(frame, people, person)
        if not distance > 0:
            return None
        return ColourSample(encode_colour(frame, people.boxes[person], distance, self._config), spread)

    def _distance(self, frame: RgbdFrame, people: Proposals, person: int) -> tuple[float, float]:
        """Of one person, and its standard deviation; NaN where it is not known."""
        keypoints = None if people.keypoints is None else people.keypoints.select(np.array([person]))
        if keypoints is not None and self._lifter is not None:
            distance, spread = lifted_distance(self._lifter, frame, keypoints)
            if np.isfinite(distance):
                return distance, spread
        distance = float(people.distances[person])
        if np.isfinite(distance) or keypoints is None:
            return distance, 0.0
        camera = frame.camera
        (seen,) = seen_keypoints(keypoints, camera.width, camera.height, self._people)
        return size_distance(camera, keypoints.pixels[0], seen)

    def blank(self, people: int) -> NDArray[np.float32]:
        """An input of so many people with nothing to see."""
        return np.zeros((people, 3, self._config.size, self._config.size), np.float32)

    def stack(self, samples: Sequence[ColourSample]) -> NDArray[np.float32]:
        """(N, 3, size, size)."""
        return np.stack([sample.window.image for sample in samples])

    def read(self, samples: Sequence[ColourSample], outputs: Sequence[NDArray[Any]]) -> Joints:
        """Outputs: those of :class:`~unipose_ros.networks.anchor_to_joint.AnchorVotes`.

        A person at another distance than was believed lies farther along the same rays.
        """
        said = read_windows([sample.window for sample in samples], outputs)
        spreads = np.array([sample.spread for sample in samples])
        along = said.positions / said.positions[..., 2:]
        outer = along[..., _UPPER[0]] * along[..., _UPPER[1]]
        covariances = said.covariances + spreads[:, None, None] ** 2 * outer
        # Laplace's variance is 2 s^2 in each of three coordinates.
        scales = np.sqrt(said.scales**2 + spreads[:, None] ** 2 * (along**2).sum(axis=-1) / 6)
        return Joints(said.positions, scales.astype(np.float32), covariances.astype(np.float32))


def _refuse_keypoints(record: WeightsRecord) -> None:
    """The lifting variant would run without its keypoints, and worse than it was trained to.

    Raises:
        WeightsError: the network is one.
    """
    if record.config.get("local", 0):
        raise WeightsError(
            f"weights record of {record.network}: local = {record.config['local']}: this network wants 2D keypoints "
            "beside the window, which is for training and evaluation; train one with local = 0"
        )


def read_windows(samples: Sequence[WindowSample], outputs: Sequence[NDArray[Any]]) -> Joints:
    """What anchors voted, in the camera's frame; covariances have the spread's shape and the scale's size."""
    pixels, depths, log_scales, spread = outputs[:4]
    scales = np.exp(log_scales)
    people = range(len(samples))
    turned = np.stack([samples[i].covariances_to_camera(pixels[i], depths[i], spread[i]) for i in people])
    covariances = sized_spread(turned, np.array(LEAST_SPREAD, np.float32), scales)
    positions = np.stack([samples[i].to_camera(pixels[i], depths[i]) for i in people])
    return Joints(positions, scales, covariances.astype(np.float32))
