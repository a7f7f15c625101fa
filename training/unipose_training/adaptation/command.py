"""``unipose adapt``: adapt networks to a camera, its mounting and its surroundings from recordings without labels.

A recording is divided by time: the first part is labeled by a 2D network, fused with depth into 3D pseudo-labels, and
trained on beside rendered source people; the end of it judges. Weights are accepted only if they are healthier there
and no worse on source data. Writes ``report.html`` and one folder for each stage to the output folder. A command that
was stopped resumes when it is repeated. Exit status: 0 accepted, 3 refused by the gate, 4 the recording is refused.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from unipose_ros.backends import BackendError
from unipose_ros.cli.options import add_mounting_option, add_topic_options, chosen_topics, description, positive, refuse
from unipose_ros.errors import EstimatorError
from unipose_ros.files import exclusive
from unipose_ros.networks.weights import WeightsError
from unipose_ros.recordings import RecordingError
from unipose_training.adaptation.pipeline import Adaptation, Outcome, Recording, sha256_of
from unipose_training.adaptation.settings import ADAPTED, AdaptSettings, GateSettings, parse_minutes
from unipose_training.datasets.base import RecordingClip, open_clips
from unipose_training.engine.config import TrainingError
from unipose_training.errors import AdaptationError, DataError, DataRefusedError, EvaluationError, SyntheticError
from unipose_training.jobs import ENGINES
from unipose_training.labeling.labeler import LabelerPlan, MoveNetLabeler

ACCEPTED, REFUSED_BY_GATE, REFUSED_DATA = 0, 3, 4
_REFUSALS = (
    AdaptationError, BackendError, DataError, EstimatorError, EvaluationError, OSError, RecordingError, SyntheticError,
    TrainingError, WeightsError,
)  # fmt: skip


def main(argv: Sequence[str], labeler: LabelerPlan | None = None) -> int:
    """Entry point of ``unipose adapt``.

    Args:
        labeler: 2D network in place of MoveNet.

    Returns:
        :data:`ACCEPTED`, :data:`REFUSED_BY_GATE`, :data:`REFUSED_DATA`, or 1 when something given cannot be used.
    """
    options = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        settings = adapt_settings(options)
        with exclusive(options.output, "adapting into it", refusal=AdaptationError):
            outcome = _adaptation(options, settings, labeler or MoveNetLabeler()).run()
    except DataRefusedError as error:
        print(f"unipose adapt: the recording is refused ({error.reason}): {error}", file=sys.stderr)
        return REFUSED_DATA
    except _REFUSALS as error:
        return refuse("unipose adapt", error)
    print(summary(outcome))
    return ACCEPTED if outcome.accepted else REFUSED_BY_GATE


def adapt_settings(options: argparse.Namespace) -> AdaptSettings:
    """What the options say.

    Raises:
        AdaptationError: a value cannot be used.
    """
    return AdaptSettings(
        modalities=tuple(dict.fromkeys(name for text in options.modality for name in text.split(",") if name))
        or AdaptSettings.modalities,
        budget_minutes=parse_minutes(options.budget),
        rate_hz=options.rate,
        held_out=options.held_out,
        replay=options.replay,
        most_steps=options.steps,
        seed=options.seed,
        threads=options.threads,
        refine=options.refine,
        gate=GateSettings(source_margin=options.source_margin, source_people=options.source_people),
    )


def summary(outcome: Outcome) -> str:
    """What became of it, in words."""
    lines = []
    for modality, verdict in outcome.verdicts.items():
        word = "accepted" if verdict.accepted else "refused"
        lines.append(f"{modality}: {word}; health figures {100 * verdict.gain:+.1f} %")
        lines += [f"  {reason}" for reason in verdict.reasons]
        truth = outcome.ground_truth.get(modality, {})
        if len(truth) == 2:
            old, new = (_truth(truth[side]) for side in ("before", "after"))
            lines.append(f"  by ground truth, held out: {old} before; {new} after")
        if verdict.accepted:
            lines.append(f"  weights: {outcome.weights[modality]}")
    lines.append(f"report: {outcome.report}")
    return "\n".join(lines)


def _truth(figures: Mapping[str, float]) -> str:
    error, found, false = (
        figures.get(name, float("nan")) for name in ("mpjpe_mm", "people_found_percent", "false_people")
    )
    return f"MPJPE {error:.1f} mm, {found:.1f} % of the people found, {false:.0f} false people"


def _adaptation(options: argparse.Namespace, settings: AdaptSettings, labeler: LabelerPlan) -> Adaptation:
    topics = chosen_topics(options)
    names = [path.name for path in options.bags]
    if len(set(names)) < len(names):
        raise AdaptationError(f"two recordings are called '{max(names, key=names.count)}'; rename one of them")
    recordings = [
        Recording(RecordingClip(path, topics, mounting=options.mounting), sha256_of(path)) for path in options.bags
    ]
    sources = [Recording(clip, sha256_of(path)) for path in options.source for clip in open_clips(path)]
    return Adaptation(
        options.output, recordings, settings, labeler, ENGINES[options.engine], options.workers, sources,
        options.judge_by_ground_truth,
    )  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "unipose adapt", description=description(__doc__), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    default = AdaptSettings()
    add("bags", nargs="+", type=Path, metavar="BAG", help="rosbag2 recordings of people before this camera")
    add("--modality", action="append", default=[], metavar="NAMES",
        help=f"networks to adapt, with commas between: {', '.join(ADAPTED)} (default: points)")  # fmt: skip
    add("--budget", default="30min", metavar="TIME", help="for everything, on two cores (default: %(default)s)")
    add("--output", type=Path, required=True, metavar="DIR", help="folder of the stages and the report")
    add("--rate", type=float, default=default.rate_hz, metavar="HZ", help="frames used a second (default: %(default)g)")
    add("--held-out", type=float, default=default.held_out, metavar="FRACTION",
        help="the end of each recording that judges (default: %(default).2f)")  # fmt: skip
    add("--steps", type=positive, default=0, metavar="N",
        help="training steps, however long they take, instead of those that the budget buys")  # fmt: skip
    add("--replay", type=float, default=default.replay, metavar="FRACTION",
        help="of each batch that is rendered source people (default: %(default)g)")  # fmt: skip
    add("--source", type=Path, nargs="*", default=[], metavar="PATH",
        help="further source benchmarks: recordings or shards with ground truth, such as UniPose-Synth")  # fmt: skip
    add("--source-margin", type=float, default=default.gate.source_margin, metavar="FRACTION",
        help="by which source benchmarks may get worse (default: %(default)g)")  # fmt: skip
    add("--source-people", type=positive, default=default.gate.source_people, metavar="N",
        help="rendered people of the source benchmark (default: %(default)s)")  # fmt: skip
    add("--seed", type=int, default=default.seed, help="random seed (default: %(default)s)")
    add("--threads", type=positive, default=default.threads, metavar="N", help="CPU threads (default: %(default)s)")
    add("--refine", action="store_true",
        help="repair the 2D pseudo-labels by CameraPose's refiner before people are cut out and fused")  # fmt: skip
    add("--judge-by-ground-truth", action="store_true",
        help="also report errors on the held-out part by the recording's own ground truth, to judge the adaptation; "
        "nothing is trained or decided by it")  # fmt: skip
    add("--engine", choices=sorted(ENGINES), default="processes", help="what runs the workers (default: %(default)s)")
    add("--workers", type=positive, default=1, metavar="N",
        help="that label, cut out and fuse parts of recordings (default: %(default)s)")  # fmt: skip
    add_topic_options(parser)
    add_mounting_option(parser)
    return parser
