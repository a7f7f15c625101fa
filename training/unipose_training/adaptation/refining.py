"""2D pseudo-labels repaired by CameraPose's refiner (Yang et al., WACV 2023) before people are cut out and fused.

What judges stays as the 2D network predicted it, and so does what estimators are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from unipose_ros.deployment import weights_path
from unipose_ros.files import file_sha256
from unipose_ros.lifting.lifter import KeypointRefiner, load_refiner
from unipose_training.datasets.base import Clip
from unipose_training.datasets.keypoint_files import KeypointLabels, keypoint_path, write_keypoints
from unipose_training.errors import AdaptationError


def refiner_sha256() -> str:
    """Of the refiner's weights; empty where there are none."""
    path = weights_path("refiner")
    return "" if path is None else file_sha256(path)


def default_refiner() -> KeypointRefiner | None:
    """What the estimators have in front of the lifter; ``None`` where no weights of a refiner are there.

    Raises:
        WeightsError, BackendError: it cannot be loaded.
    """
    path = weights_path("refiner")
    return None if path is None else load_refiner(path)


def refine_labels(parts: Sequence[Clip], labels: Sequence[KeypointLabels], folder: Path) -> dict[str, int]:
    """Write refined labels of all parts; confidences, scores and boxes stay.

    Args:
        parts: their cameras are those of their first frames.
        labels: of each.
        folder: gets a file for each part, as the labeler writes it.

    Returns:
        How many people there are.

    Raises:
        AdaptationError: there are no weights of a refiner.
    """
    refiner = default_refiner()
    if refiner is None:
        raise AdaptationError("--refine: no weights of a refiner are shipped or deployed; leave it out")
    for part, found in zip(parts, labels, strict=True):
        people = found.people
        if len(people):
            people = refiner(people, next(iter(part.frames())).camera)
        teacher = replace(found.teacher, settings={**found.teacher.settings, "refiner": refiner_sha256()})
        write_keypoints(keypoint_path(folder, part.name), replace(found, teacher=teacher, people=people))
    return {"people": sum(len(each.people) for each in labels)}
