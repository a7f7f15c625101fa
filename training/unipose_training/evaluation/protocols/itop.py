"""ITOP's protocol: the share of joints within 10 cm, by body part, as the papers print it.

Frames with valid labels only; all 15 joints, hidden ones too; a hit is an error strictly below
10 cm (Haque et al., ECCV 2016; RefiNet, SPiKE and A2J count alike). Left and right are merged. The
upper body is head to hands, the lower body hips to feet; the torso counts in the mean alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.joint_sets import ITOP15
from unipose_training.errors import EvaluationError
from unipose_training.evaluation.metrics.pose import THRESHOLDS, joint_errors, mean_average_precision

# Published ITOP results, each with how it is known.
#
# "authors' table" was read in a paper, its abstract or its authors' repository; "recalled" is from
# memory and to be verified before it is quoted; "protocol unclear" was read, but how it was measured
# was not.


_A2J_TABLE = "authors' table, as collected by A2J"


@dataclass(frozen=True)
class PublishedRow:
    """One method.

    Attributes:
        year, method: of the publication.
        supervision: what it learns from, and its input.
        front, top: mAP at 10 cm of the two views as a share in [0, 1]; ``None`` where not known.
        error_mm: mean error of the front view, ``None`` where not known.
        mark: how the row is known.
    """

    year: str
    method: str
    supervision: str
    front: float | None
    top: float | None
    error_mm: float | None
    mark: str


#: In the order of time.
ROWS: tuple[PublishedRow, ...] = (
    PublishedRow("2011", "Random forest", "full, depth", 0.658, 0.474, None, _A2J_TABLE),
    PublishedRow("2015", "Random tree walk", "full, depth", 0.805, 0.682, None, _A2J_TABLE),
    PublishedRow("2016", "IEF", "full, depth", 0.710, 0.512, None, _A2J_TABLE),
    PublishedRow("2016", "Viewpoint-invariant", "full, depth", 0.774, 0.755, None, _A2J_TABLE),
    PublishedRow("2017", "CMB", "full, depth", 0.833, None, None, _A2J_TABLE),
    PublishedRow("2017", "REN-9x6x6", "full, depth", 0.849, 0.755, None, _A2J_TABLE),
    PublishedRow("2018", "V2V-PoseNet (ensemble)", "full, voxels", 0.8874, 0.8344, None, _A2J_TABLE),
    PublishedRow(
        "2019", "A2J", "full, depth", 0.880, 0.805, 58.5, "authors' table; error computed from their predictions"
    ),
    PublishedRow("2020", "WSM", "weak and full, points", 0.896, 0.851, None, "recalled, unverified"),
    PublishedRow("2020", "DGCNN-PointNet", "full, points", 0.851, None, None, "recalled, unverified"),
    PublishedRow("2021", "AdaPose", "full, point sequence", 0.9341, None, 39.4, "authors' table; protocol unclear"),
    PublishedRow("2021", "DECA-D3", "full, depth", 0.8875, 0.8692, None, "recalled, unverified"),
    PublishedRow("2024", "SPiKE", "full, point sequence", 0.8919, None, None, "authors' abstract"),
    PublishedRow("2026", "A2J INT8 on Kria K26", "full, depth", 0.8413, None, None, "authors' text"),
)


#: Meters; an error of exactly this is a miss.
THRESHOLD = 0.10

_BOTH = {"shoulders": "shoulder", "elbows": "elbow", "hands": "hand", "hips": "hip", "knees": "knee", "feet": "foot"}
#: Body parts in the order of the papers' tables, with their joints.
PARTS: dict[str, tuple[int, ...]] = {
    part: tuple(ITOP15.index(f"{side}_{_BOTH[part]}") for side in ("right", "left"))
    if part in _BOTH
    else (ITOP15.index(part),)
    for part in ("head", "neck", "shoulders", "elbows", "hands", "torso", "hips", "knees", "feet")
}
UPPER = ("head", "neck", "shoulders", "elbows", "hands")
LOWER = ("hips", "knees", "feet")


@dataclass(frozen=True, eq=False)
class ItopScore:
    """What ITOP's tables hold.

    Attributes:
        frames: with valid labels.
        hits: (15,) share of each joint within 10 cm; a joint that was not predicted is a miss.
        errors_mm: (15,) mean error of each joint where it was predicted; NaN where it never was.
        mean_mm, median_mm: over all predicted joints.
        predicted: share of joints that there is a prediction for; the errors are of these.
        curve: mAP at each of :data:`~unipose_training.evaluation.metrics.pose.THRESHOLDS`.
    """

    frames: int
    hits: NDArray[np.float64]
    errors_mm: NDArray[np.float64]
    mean_mm: float
    median_mm: float
    predicted: float
    curve: tuple[float, ...]

    def part(self, name: str) -> float:
        """Share of a body part of :data:`PARTS`, left and right merged."""
        return float(self.hits[list(PARTS[name])].mean())

    @property
    def upper(self) -> float:
        """Mean over the joints from head to hands."""
        return self._mean_of(UPPER)

    @property
    def lower(self) -> float:
        """Mean over the joints from hips to feet."""
        return self._mean_of(LOWER)

    @property
    def mean(self) -> float:
        """mAP at 10 cm over all 15 joints."""
        return float(self.hits.mean())

    def _mean_of(self, parts: tuple[str, ...]) -> float:
        return float(self.hits[[joint for part in parts for joint in PARTS[part]]].mean())


def score_itop(predicted: NDArray[np.floating], ground_truth: NDArray[np.floating]) -> ItopScore:
    """Score N poses, meters, in any axes that both share.

    Args:
        predicted: (N, 15, 3); NaN where there is no prediction.
        ground_truth: (N, 15, 3) of the frames with valid labels.

    Raises:
        EvaluationError: the shapes differ, there is no frame, or the ground truth has gaps.
    """
    joints = len(ITOP15)
    if predicted.shape != ground_truth.shape or ground_truth.shape[1:] != (joints, 3) or not len(ground_truth):
        raise EvaluationError(
            f"predicted {predicted.shape} and ground truth {ground_truth.shape}: both must be (N, {joints}, 3)"
        )
    if not np.isfinite(ground_truth).all():
        raise EvaluationError("the ground truth of a valid frame is not finite; the labels are damaged")
    errors = joint_errors(predicted, ground_truth)
    counted = np.ones(errors.shape, np.bool_)
    there = np.isfinite(errors)
    found = there.sum(axis=0)
    sums = np.where(there, errors, 0).sum(axis=0)
    return ItopScore(
        frames=len(ground_truth),
        hits=(errors < THRESHOLD).mean(axis=0),
        errors_mm=1000 * np.divide(sums, found, out=np.full(joints, np.nan), where=found > 0),
        mean_mm=1000 * float(errors[there].mean()) if there.any() else float("nan"),
        median_mm=1000 * float(np.median(errors[there])) if there.any() else float("nan"),
        predicted=float(there.mean()),
        curve=tuple(mean_average_precision(errors, counted, threshold) for threshold in THRESHOLDS),
    )


def protocol_report(score: ItopScore, view: str, split: str, name: str) -> str:
    """The tables as Markdown: body parts, joints, thresholds, and the published rows beside this one."""
    heads = [part.capitalize() for part in PARTS] + ["Upper", "Lower", "Mean"]
    values = [*(score.part(part) for part in PARTS), score.upper, score.lower, score.mean]
    joints = [
        [joint, _percent(hit), f"{error:.1f}"]
        for joint, hit, error in zip(ITOP15.joints, score.hits, score.errors_mm, strict=True)
    ]
    curve = [f"{round(100 * threshold)} cm" for threshold in THRESHOLDS]
    sections = [
        f"# ITOP {view} {split}: {name}",
        f"{score.frames} frames with valid labels, all 15 joints, error strictly below 10 cm, left and right merged. "
        f"Mean error {score.mean_mm:.1f} mm, median {score.median_mm:.1f} mm, over the "
        f"{_percent(score.predicted)} % of joints that were predicted.",
        "## mAP at 10 cm by body part (%)",
        _table(heads, [[_percent(value) for value in values]]),
        "## By joint",
        _table(["Joint", "mAP at 10 cm (%)", "Mean error (mm)"], joints),
        "## mAP by threshold (%)",
        _table(curve, [[_percent(value) for value in score.curve]]),
        f"## Beside published results ({'front' if view == 'side' else 'top'} view, test split, %)",
        _published(score, view, name),
    ]
    return "\n\n".join(sections) + "\n"


def _published(score: ItopScore, view: str, name: str) -> str:
    rows = [[r.year, r.method, r.supervision, *_cells(r, view), r.mark] for r in ROWS]
    rows.append(["-", name, "this run", _percent(score.mean), f"{score.mean_mm:.1f}", "measured here"])
    return _table(["Year", "Method", "Supervision, input", "mAP at 10 cm", "Mean error (mm)", "How known"], rows)


def _cells(row: PublishedRow, view: str) -> list[str]:
    value = row.front if view == "side" else row.top
    error = row.error_mm if view == "side" else None
    about = "about " if row.mark.startswith("recalled") else ""
    # As many digits as were published, at least one.
    shown = "-" if value is None else about + _percent(value).removesuffix("0")
    return [shown, "-" if error is None else f"{error:.1f}"]


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
