"""Whether cameras that look at the same scene agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import yaml
from numpy.typing import NDArray

from unipose_ros.frame import Skeletons
from unipose_ros.recordings.rgbd import pair_stamps
from unipose_ros.tracking.assignment import match, mean_distances
from unipose_training.errors import EvaluationError, reading
from unipose_training.evaluation.matching import MATCH_GATE

#: Name of the frame into which every camera's people are transformed.
_COMMON = "common"
#: No camera is farther from the common frame, in meters.
_FARTHEST = 1e6


@dataclass(frozen=True)
class Agreement:
    """Two cameras' opinions of the same people.

    Attributes:
        first, second: names of the recordings.
        frames: pairs of frames taken less than half a frame period apart.
        people: people whom both saw.
        mean_mm, median_mm: distances of the same joint as the two have it.
    """

    first: str
    second: str
    frames: int
    people: int
    mean_mm: float
    median_mm: float


def read_camera_poses(path: Path) -> dict[str, NDArray[np.float64]]:
    """Name of a recording -> (4, 4) camera's optical frame to the common frame.

    The YAML file maps each name to 16 numbers, row by row, meters.

    Raises:
        EvaluationError: the file cannot be read, or a matrix is not a rigid transform.
    """
    remedy = "give 'name: [16 numbers]' lines"
    with reading(path, remedy, "cannot be read as YAML", remedy, EvaluationError):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(content, Mapping):
        raise EvaluationError(f"{path}: {remedy}, one for each recording")
    return {str(name): _rigid(path, str(name), values) for name, values in content.items()}


def _is_short(values: object) -> TypeGuard[list[Any]]:
    """A list of numbers or of rows; YAML's references make lists of any length out of a few lines."""
    return isinstance(values, list) and len(values) <= 16 and all(len(v) <= 4 for v in values if isinstance(v, list))


def _rigid(path: Path, name: str, values: object) -> NDArray[np.float64]:
    flat = [each for row in values for each in (row if isinstance(row, list) else [row])] if _is_short(values) else []
    # Compared, not converted: YAML has whole numbers that no float holds.
    if len(flat) != 16 or not all(isinstance(each, int | float) and abs(each) < _FARTHEST for each in flat):
        raise EvaluationError(
            f"{path}: '{name}' has not 16 numbers within {_FARTHEST:.0e}; give a 4 x 4 matrix row by row"
        )
    matrix = np.array(flat, np.float64).reshape(4, 4)
    rotation = matrix[:3, :3]
    orthonormal = np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3) and np.linalg.det(rotation) > 0
    if not orthonormal or not np.allclose(matrix[3], (0, 0, 0, 1)):
        raise EvaluationError(f"{path}: '{name}' is not a rotation and a translation; give the camera's pose in meters")
    return matrix


def joint_differences(first: Skeletons, second: Skeletons) -> NDArray[np.float64]:
    """(M, J) meters between the joints of the M people whom both have; in a common frame and joint set."""
    distances = mean_distances(first.positions, second.positions)
    rows, columns = match(distances, np.full(len(first), MATCH_GATE))
    return np.asarray(np.linalg.norm(first.positions[rows] - second.positions[columns], axis=-1), np.float64)


def agreements(
    views: Mapping[str, Sequence[Skeletons]], poses: Mapping[str, NDArray[np.float64]]
) -> tuple[Agreement, ...]:
    """Every two of the recordings that have a pose and frames at the same time.

    Args:
        views: predicted people frame by frame, by recording.
        poses: from :func:`read_camera_poses`.
    """
    common = {
        name: {people.stamp_ns: people.transformed(poses[name], _COMMON) for people in frames}
        for name, frames in views.items()
        if name in poses
    }
    pairs = (_agreement(a, common[a], b, common[b]) for a, b in combinations(common, 2))
    return tuple(pair for pair in pairs if pair.frames)


def _agreement(
    first: str, of_first: Mapping[int, Skeletons], second: str, of_second: Mapping[int, Skeletons]
) -> Agreement:
    together = pair_stamps(list(of_first), list(of_second))
    found = [joint_differences(of_first[a], of_second[b]) for b, a in sorted(together.items())]
    joints = np.concatenate([values.ravel() for values in found]) if found else np.zeros(0)
    known = 1e3 * joints[np.isfinite(joints)]
    return Agreement(
        first=first,
        second=second,
        frames=len(together),
        people=sum(len(values) for values in found),
        mean_mm=float(known.mean()) if known.size else float("nan"),
        median_mm=float(np.median(known)) if known.size else float("nan"),
    )
