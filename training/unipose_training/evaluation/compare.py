"""Two sets of weights on the same clips: ``unipose evaluate BAG --compare OLD NEW``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from html import escape
from pathlib import Path

from unipose_ros.config import WeightsConfig
from unipose_ros.networks.weights import read_model_card
from unipose_training.datasets.base import Clip
from unipose_training.errors import EvaluationError
from unipose_training.evaluation.replay import ReplayedFrame
from unipose_training.evaluation.report.html import document, number, section, table
from unipose_training.evaluation.report.images import before_after
from unipose_training.evaluation.results import Results

#: Key of the figure -> what it is called, and its digits. Less is better but where it says so.
FIGURES = {
    "mpjpe_mm": ("MPJPE, mm", 1),
    "root_aligned_mm": ("root-aligned MPJPE, mm", 1),
    "procrustes_mm": ("PA-MPJPE, mm", 1),
    "within_10cm_percent": ("joints within 10 cm, % (more is better)", 1),
    "people_found_percent": ("people found, % (more is better)", 1),
    "false_people": ("false people", 0),
    "swaps_percent": ("left-right swaps, % of the poses", 1),
    "people": ("people predicted", 0),
    "reprojection_percent": ("distance to the 2D network's keypoints, % of the height", 2),
    "in_front_percent": ("joints in front of the surface, %", 1),
    "limb_implausible_percent": ("implausible limbs, %", 1),
    "leg_asymmetry_mm": ("difference of left and right legs, mm", 1),
    "arm_asymmetry_mm": ("difference of left and right arms, mm", 1),
    "bone_std_mm": ("standard deviation of bone lengths over time, mm", 1),
    "jitter_mm": ("jitter (second differences), mm", 1),
}


def figures_of(results: Results) -> dict[str, float]:
    """The figures of an evaluation that are known; those with ground truth only where there is some."""
    free, nan = results.label_free, float("nan")
    stds = [bone.std_mm for bone in results.bones if math.isfinite(bone.std_mm)]
    found = {
        "people": float(free.people),
        "reprojection_percent": free.reprojection_percent,
        "in_front_percent": 100 * free.in_front,
        "limb_implausible_percent": 100 * free.limb_implausible,
        "leg_asymmetry_mm": free.leg_asymmetry_mm,
        "arm_asymmetry_mm": free.arm_asymmetry_mm,
        "bone_std_mm": sum(stds) / len(stds) if stds else nan,
        "jitter_mm": results.jitter.median_mm,
    }
    accuracy = results.accuracy
    if accuracy is not None:
        poses = accuracy.swaps.poses
        found |= {
            "mpjpe_mm": accuracy.overall.mpjpe_mm,
            "root_aligned_mm": accuracy.overall.root_aligned_mm,
            "procrustes_mm": accuracy.overall.procrustes_mm,
            "within_10cm_percent": 100 * accuracy.overall.pck_10cm,
            "people_found_percent": 100 * accuracy.people.recall,
            "false_people": float(accuracy.people.extra),
            "swaps_percent": 100 * accuracy.swaps.swapped / poses if poses else nan,
        }
    return {name: found[name] for name in FIGURES if math.isfinite(found.get(name, nan))}


def compared_network(modality: str, files: Sequence[str]) -> str:
    """Of which network two files are, by the names of :class:`~unipose_ros.config.WeightsConfig`.

    Args:
        modality: that is evaluated; ``rgb`` has two networks, and the model card of a file that is named tells which.
        files: as they are named; ``shipped`` for the shipped one.

    Raises:
        WeightsError: a file cannot be read.
        EvaluationError: the modality has no weights.
    """
    network = "rgbd" if modality == "auto" else modality
    if network not in [field.name for field in fields(WeightsConfig)]:
        raise EvaluationError(f"--compare: modality '{network}' has no weights; name points, rgbd, depth or rgb")
    named = [Path(file) for file in files if file != "shipped"]
    if modality == "rgb" and named and read_model_card(named[0]).network == "lifter":
        return "lifter"
    return network


def comparison_text(old: Mapping[str, float], new: Mapping[str, float], names: tuple[str, str]) -> str:
    """A plain table."""
    width = max(len(text) for text, _ in FIGURES.values())
    lines = [f"{'':{width}}  {names[0]:>12}  {names[1]:>12}"]
    lines += [f"{text:{width}}  {before:>12}  {after:>12}" for text, before, after in _rows(old, new)]
    return "\n".join(lines)


def comparison_json(old: Mapping[str, float], new: Mapping[str, float], weights: tuple[str, str], modality: str) -> str:
    """``compare.json``."""
    content = {"modality": modality, "old": {"weights": weights[0], **old}, "new": {"weights": weights[1], **new}}
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def comparison_page(
    clips: Sequence[Clip],
    frames: tuple[Sequence[ReplayedFrame], Sequence[ReplayedFrame]],
    figures: tuple[Mapping[str, float], Mapping[str, float]],
    weights: tuple[str, str],
    title: str,
) -> str:
    """``compare.html``: the figures, and the same frames with either weights."""
    body = section(
        title, f"old: {weights[0]}; new: {weights[1]}", table(["", "old", "new"], list(map(list, _rows(*figures))))
    )
    old, new = ([(frame.clip, frame.predicted) for frame in side] for side in frames)
    images = before_after("The same frames", clips, old, new, ("old", "new"))
    return document(title, f"<h1>{escape(title)}</h1>{body}{images}")


def _rows(old: Mapping[str, float], new: Mapping[str, float]) -> list[tuple[str, str, str]]:
    nan = float("nan")
    return [
        (text, number(old.get(name, nan), digits), number(new.get(name, nan), digits))
        for name, (text, digits) in FIGURES.items()
        if name in old or name in new
    ]
