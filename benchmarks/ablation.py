"""What each part of UniPose's training brings: short runs of the smallest points network, side by side; prints a table.

    python benchmarks/ablation.py --samples SAMPLES --output runs/ablation [--teacher POINTS.safetensors]
    python benchmarks/ablation.py --samples SAMPLES --output runs/ablation --rows whole,pixel --seeds 0,1

Every row is a command of its own, ``unipose train RECIPE ...``, which is printed before it runs; a row that is
finished is only read. Errors are those on the clips kept for validation, against the true joints, which trained
``supervised`` and ``labels_*`` alone. Rows ``students*`` need a teacher (stage B). 1,200 steps are two minutes of a
free core: the table says what a part brings early on, not what it brings in the end.
"""

from __future__ import annotations

import argparse
import csv
import shlex
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

WEIGHTS = "points.safetensors"
SETTINGS = {
    "size": "nano",
    "run.batch": 32,
    "run.steps": 1200,
    "run.warmup_steps": 100,
    "run.learning_rate": 3e-3,
    "run.optimizer": "muon",
    "run.precision": "bf16-mixed",
    "run.validate_every": 0,
    "run.threads": 1,
    "run.accelerator": "cpu",
}
FIGURES = ("mpjpe_mm", "visible_mpjpe_mm", "occluded_mpjpe_mm", "pck_10cm")


class Row(NamedTuple):
    """A run: what it shows, the recipe, and what differs."""

    shows: str
    recipe: str
    changes: str = ""


#: "{teacher}" and "{whole}" are the weights that are named, and those of row ``whole`` with the same seed.
ROWS: Mapping[str, Row] = {
    "whole": Row("stage A: all terms", "weak_points"),
    "pixel": Row("pixels instead of rays", "weak_points", "loss.terms.ray=0 loss.terms.pixel=0.01"),
    "ray2": Row("rays count twice", "weak_points", "loss.terms.ray=2"),
    "no_symmetry": Row("- symmetry", "weak_points", "loss.terms.symmetry=0"),
    "no_body": Row("- symmetry, bone lengths", "weak_points", "loss.terms.symmetry=0 loss.terms.bones=0"),
    "no_surface": Row("- surface", "weak_points", "loss.terms.surface=0"),
    "no_space": Row("- free space", "weak_points", "loss.terms.free_space=0"),
    "no_support": Row("- support, cover", "weak_points", "loss.terms.support=0 loss.terms.cover=0"),
    "equal_keypoints": Row("all keypoints count alike", "weak_points", "loss.label_weights.confidence_exponent=0"),
    "noise5": Row("keypoints 5 cm worse", "weak_points", "loss.label_weights.noise_std=0.05"),
    "noise15": Row("keypoints 15 cm worse", "weak_points", "loss.label_weights.noise_std=0.15"),
    "paint": Row("+ keypoints painted on the points", "weak_points", "paint=true"),
    "time": Row("three frames, half the steps", "weak_points", "frames=3 run.steps=600"),
    "no_motion": Row(
        "three frames, - motion, constancy", "weak_points",
        "frames=3 run.steps=600 loss.terms.motion=0 loss.terms.constancy=0",
    ),
    "students": Row("stage B on points: fused pseudo-labels", "distill", "student=points teacher={teacher}"),
    "students_raw": Row(
        "- fusion: the teacher's predictions", "distill", "student=points teacher={teacher} fusion.steps=0"
    ),
    "students_strict": Row(
        "fused pseudo-labels, rejected ones count 0.2",
        "distill",
        "student=points teacher={teacher} filter.rejected_weight=0.2",
    ),
    "students_scaled": Row(
        "the same, and joints by their scale", "distill",
        "student=points teacher={teacher} filter.rejected_weight=0.2 filter.confidence_exponent=1",
    ),
    "supervised": Row("true joints", "supervised", "network=points"),
    "labels_1": Row("whole, then true joints of 1 % of the clips", "supervised", "{fine} label_fraction=0.01"),
    "labels_10": Row("whole, then true joints of 10 %", "supervised", "{fine} label_fraction=0.1"),
    "labels_100": Row("whole, then true joints of all", "supervised", "{fine} label_fraction=1.0"),
    "plain_1": Row("true joints of 1 % alone", "supervised", "network=points label_fraction=0.01"),
    "plain_10": Row("true joints of 10 % alone", "supervised", "network=points label_fraction=0.1"),
}  # fmt: skip
_FINE = "network=points init_weights={whole} run.steps=500 run.learning_rate=1e-3"


def command(name: str, seed: int, options: argparse.Namespace) -> list[str]:
    """The command of a row, without what starts ``unipose``."""
    row = ROWS[name]
    whole = run_folder("whole", seed, options) / WEIGHTS
    changes = row.changes.replace("{fine}", _FINE).format(teacher=options.teacher, whole=whole)
    output = run_folder(name, seed, options)
    differs = dict(each.split("=", 1) for each in changes.split())
    settings = {"samples": options.samples, **SETTINGS, "run.seed": seed, **differs}
    return ["train", row.recipe, *(f"{key}={value}" for key, value in settings.items()), "--output", str(output)]


def run_folder(name: str, seed: int, options: argparse.Namespace) -> Path:
    """Where a row's run is."""
    folder: Path = options.output / (f"{name}_seed{seed}" if seed else name)
    return folder


def figures(folder: Path) -> dict[str, float]:
    """The last validation of a run."""
    with (folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
        metrics = [line for line in csv.DictReader(file) if line["split"] == "validation"]
    return {line["name"]: float(line["value"]) for line in metrics}


def table(names: Sequence[str], seeds: Sequence[int], options: argparse.Namespace) -> str:
    """Markdown: means over the seeds that are finished, and how far they are apart."""
    lines = ["| row | shows | MPJPE, mm | seen | hidden | within 10 cm, % | runs |", "|---|---|---|---|---|---|---|"]
    for name in names:
        done = [run_folder(name, seed, options) for seed in seeds]
        metrics = [figures(folder) for folder in done if (folder / WEIGHTS).is_file()]
        if not metrics:
            continue
        means = [statistics.mean(each[figure] for each in metrics) for figure in FIGURES]
        errors = [each["mpjpe_mm"] for each in metrics]
        half_range = f" ± {(max(errors) - min(errors)) / 2:.1f}" if len(errors) > 1 else ""
        cells = [f"{means[0]:.1f}{half_range}", *(f"{mean:.1f}" for mean in means[1:])]
        lines.append(f"| `{name}` | {ROWS[name].shows} | {' | '.join(cells)} | {len(metrics)} |")
    return "\n".join(lines)


def parse_options() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=Path, required=True, help="sample store with ground truth; see unipose crops")
    parser.add_argument("--output", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--teacher", type=Path, help="weights of a points network, for the rows of stage B")
    parser.add_argument("--rows", default=",".join(ROWS), help="some of: %(default)s")
    parser.add_argument("--seeds", default="0")
    return parser.parse_args()


def main() -> None:
    """Run what is missing, and print the table."""
    options = parse_options()
    names, seeds = options.rows.split(","), [int(seed) for seed in options.seeds.split(",")]
    if unknown := [name for name in names if name not in ROWS]:
        sys.exit(f"--rows {','.join(unknown)}: use some of {', '.join(ROWS)}")
    for name in names:
        if "{teacher}" in ROWS[name].changes and options.teacher is None:
            print(f"row {name} is left out: it needs --teacher")
            continue
        for seed in seeds:
            if not (run_folder(name, seed, options) / WEIGHTS).is_file():
                arguments = command(name, seed, options)
                print(f"unipose {shlex.join(arguments)}", flush=True)
                done = subprocess.run(
                    [sys.executable, "-m", "unipose_ros.cli", *arguments], capture_output=True, text=True
                )
                if done.returncode:
                    sys.exit(f"row {name} failed: {done.stderr.strip().splitlines()[-1]}")
    print(table(names, seeds, options))


if __name__ == "__main__":
    main()
