"""``unipose pseudo-label``: label people in recordings, shards or a data set with a 2D keypoint network, for training.

Writes one file ``NAME.keypoints.npz`` per clip to the output folder. An interrupted command resumes when it is
repeated. Clips that cannot be read are reported and skipped.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from tqdm import tqdm

from unipose_ros.backends import BackendError
from unipose_ros.cli.options import add_topic_options, description, positive, refuse
from unipose_ros.files import exclusive, remove_partial_files, write_atomic
from unipose_ros.networks.weights import WeightsError
from unipose_ros.recordings import RecordingError
from unipose_training.datasets.base import Clip
from unipose_training.datasets.keypoint_files import SUFFIX
from unipose_training.datasets.registry import add_clip_options, chosen_clips
from unipose_training.errors import DataError
from unipose_training.jobs import ENGINES, Engine, share_out
from unipose_training.labeling.labeler import Labeler, MoveNetLabeler, Outcome, Plan, jobs_for, unfinished

REPORT = "labeling.json"
#: What an earlier version left when it was killed.
_OLD_PARTIAL = re.compile(rf"\..+{re.escape(SUFFIX)}\.\d+")
_REFUSALS = (BackendError, DataError, OSError, RecordingError, WeightsError)


@dataclass
class Report:
    """What a run did.

    Attributes:
        clips: that there are.
        before: had been labeled by an earlier run.
        labeled: by this one, with so many frames and people.
        losses: frames that could not be processed, by reason.
        damaged: clips without labels, and why.
    """

    clips: int = 0
    before: int = 0
    labeled: int = 0
    frames: int = 0
    people: int = 0
    losses: dict[str, int] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        """Count a clip."""
        if outcome.problem:
            self.set_aside(outcome.clip, outcome.problem)
            return
        self.labeled += 1
        self.frames += outcome.frames
        self.people += outcome.people
        self.losses = dict(Counter(self.losses) + Counter(outcome.losses))

    def set_aside(self, clip: str, problem: str) -> None:
        """Note a clip that cannot be labeled."""
        self.damaged[clip] = problem

    def __str__(self) -> str:
        lines = [
            f"{self.labeled} clips labeled: {self.people} people in {self.frames} frames; "
            f"{self.before} had been labeled before, {len(self.damaged)} are damaged"
        ]
        lines += [f"lost: {count} {why}" for why, count in sorted(self.losses.items())]
        lines += [f"damaged: {name}: {why}" for name, why in sorted(self.damaged.items())]
        return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    """Entry point of ``unipose pseudo-label``.

    Returns:
        0; 1 when a clip is damaged, or nothing could be done.
    """
    options = _parser().parse_args(argv)
    report = Report()
    try:
        plan = Plan(MoveNetLabeler(options.device), options.every, options.render_depth)
        clips = chosen_clips(options, report.set_aside)
        label(clips, options.output, plan, options.workers, ENGINES[options.engine], report)
    except _REFUSALS as error:
        return refuse("unipose pseudo-label", error)
    print(report)
    print(f"labels and {REPORT} are in {options.output}")
    return 1 if report.damaged else 0


def label(
    clips: Sequence[Clip], folder: Path, plan: Plan, workers: int, engine: Engine, report: Report | None = None
) -> Report:
    """Label clips into a folder, with a progress bar.

    Args:
        report: to count into; what could not be opened may stand there already.

    Raises:
        DataError: two clips have one name, another teacher's labels are there, or another run is at work in the folder.
        WorkersError: a worker was killed.
    """
    report = report or Report()
    jobs = jobs_for(clips, folder)
    with _sole_use(folder):
        waiting = unfinished(jobs, plan.identity())
        report.clips, report.before = len(jobs) + len(report.damaged), len(jobs) - len(waiting)
        frames = {job.clip.name: -(-len(job.clip) // plan.every) for job in waiting}
        with (
            tqdm(total=sum(frames.values()), desc="labeling", unit="frame") as bar,
            closing(share_out(waiting, partial(Labeler, plan), workers, engine)) as outcomes,
        ):
            for _, outcome in outcomes:
                report.add(outcome)
                bar.update(frames[outcome.clip])
        write_atomic(folder / REPORT, json.dumps(asdict(report), indent=2, sort_keys=True) + "\n")
    return report


@contextmanager
def _sole_use(folder: Path) -> Iterator[None]:
    """Keep other runs out of the folder, and clear away what killed ones left half written."""
    with exclusive(folder, "labeling into it", refusal=DataError):
        remove_partial_files(folder, below=True)
        for partial in list(folder.rglob(f".*{SUFFIX}.*")):
            if _OLD_PARTIAL.fullmatch(partial.name):
                partial.unlink()
        yield


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "unipose pseudo-label", description=description(__doc__), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add_clip_options(parser)
    add("--output", type=Path, required=True, metavar="DIR", help="folder for the labels")
    cores = len(os.sched_getaffinity(0))
    add("--workers", type=positive, default=cores, metavar="N", help="number of parallel workers (default: all cores)")
    add("--engine", choices=sorted(ENGINES), default="processes", help="what runs the workers (default: %(default)s)")
    add("--every", type=positive, default=1, metavar="K", help="label every K-th frame (default: %(default)s)")
    add("--render-depth", action="store_true", help="render depth as the network's input, for data without color")
    add("--device", default="cpu", help="where the network runs: cpu, cuda or auto (default: %(default)s)")
    add_topic_options(parser)
    return parser
