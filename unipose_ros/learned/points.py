"""Modality ``points``: a person's cloud of points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.codecs.point_cloud import Paint, PointCloudConfig, PointSample, encode_person
from unipose_ros.frame import RgbdFrame
from unipose_ros.learned.reader import Joints, recorded
from unipose_ros.networks.weights import WeightsError, WeightsRecord
from unipose_ros.people import Proposals
from unipose_ros.skeletons import COCO17


class PointsReader:
    """Clouds for a :class:`~unipose_ros.networks.point_cloud.PointNetwork`, one frame at a time.

    Raises:
        WeightsError: the record lacks a size, or the network wants other paint than COCO keypoints.
    """

    def __init__(self, record: WeightsRecord) -> None:
        names = ("points", "centres", "paint")
        self._config = PointCloudConfig(**{name: recorded(record, name) for name in names})
        if self._config.paint not in (0, len(COCO17)):
            raise WeightsError(
                f"weights record of {record.network}: paint = {self._config.paint}; there are {len(COCO17)} keypoints"
            )

    def encode(self, frame: RgbdFrame, people: Proposals, person: int) -> PointSample | None:
        """The person's points; ``None`` where there are too few."""
        distance = float(people.distances[person])
        return encode_person(frame, people.boxes[person], distance, self._config, self._paint(people, person))

    def _paint(self, people: Proposals, person: int) -> Paint | None:
        if not self._config.paint:
            return None
        if people.keypoints is None:
            # Found without a 2D network: nothing is painted, as in training where it saw nothing.
            return Paint(np.full((len(COCO17), 2), np.nan), np.zeros(len(COCO17)))
        return Paint(people.keypoints.pixels[person], people.keypoints.confidences[person])

    def blank(self, people: int) -> NDArray[np.float32]:
        """An input of so many people with all points in one place."""
        return np.zeros((people, 1, self._config.points, 3 + self._config.paint), np.float32)

    def stack(self, samples: Sequence[PointSample]) -> NDArray[np.float32]:
        """(N, 1, points, 3 + paint)."""
        return np.stack([sample.features for sample in samples])[:, None]

    def read(self, samples: Sequence[PointSample], outputs: Sequence[NDArray[Any]]) -> Joints:
        """Outputs: those of :class:`~unipose_ros.networks.votes.Votes` with one frame."""
        joints, log_scales, covariances = (output[:, -1] for output in outputs)
        centres = np.stack([sample.centre for sample in samples])
        return Joints((joints + centres[:, None]).astype(np.float32), np.exp(log_scales), covariances)
