"""Fits the judge of a network's poses on rendered clips for training, and writes it into the network's record.

``python -m unipose_training.people.fit_judge CLIPS --modality points``

The judge (:mod:`unipose_ros.learned.judge`) says how likely a pose that was found in depth alone is a person's. How
sure a network is of its joints counts most, and differs between networks: fit again whenever one was trained.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from unipose_ros.estimator import MODALITIES, EstimatorConfig, WeightsConfig
from unipose_ros.learned.build import Parts, weights_file
from unipose_ros.learned.evidence import EVIDENCE
from unipose_ros.learned.judge import Judge
from unipose_ros.networks.weights import load_weights, save_weights
from unipose_ros.people import PeopleConfig
from unipose_training.data.clips import open_clips
from unipose_training.data.shards import ShardClip
from unipose_training.people.judging import Everybody, Looker, Poses, fit, poses_of

#: One clip of so many tells how good the judge is and does not teach it.
_KEPT = 5
#: All who are proposed are looked at.
_PEOPLE = PeopleConfig(max_people=20)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit, show and write; returns the exit code."""
    given = _parser().parse_args(arguments)
    config = EstimatorConfig(given.modality, threads=1, people=_PEOPLE)
    path = given.weights or weights_file(config, given.modality)
    named = replace(WeightsConfig(), **{given.modality: str(path)})
    judge_all = Everybody()
    built = MODALITIES[given.modality].build(replace(config, weights=named), Parts(judge=judge_all))
    look = Looker(built, judge_all)
    rng = np.random.default_rng(given.seed)
    clips = [clip for clip in open_clips(given.clips)[:: given.clips_every] if isinstance(clip, ShardClip)]
    found = [poses_of(clip, look, given.every, rng) for clip in tqdm(clips, unit="clip")]
    built.close()
    kept = Poses.together(found[::_KEPT])
    teaching = Poses.together(poses for number, poses in enumerate(found) if number % _KEPT)
    judge, other = fit(teaching), fit(teaching, tuple(name for name in EVIDENCE if name != "sure"))
    for name, each in (("judge", judge), ("without 'sure'", other)):
        print(f"{name}: {_shown(each)}; {quality(each, kept)}")
    if not given.dry_run:
        tensors, record = load_weights(path, given.modality)
        save_weights(path, tensors, replace(record, metrics={**record.metrics, **judge.metrics()}))
        print(f"written into the record of {path}")
    return 0


def quality(judge: Judge, poses: Poses) -> str:
    """What a judge is worth on poses that did not teach it, in words."""
    likely = judge.probabilities(poses.columns)
    called = likely >= 0.5
    wrong = called & ~poses.people
    parts = [
        f"{len(poses)} poses of clips kept back, {int(poses.people.sum())} of people",
        f"people believed {(called & poses.people).sum() / max(poses.people.sum(), 1):.3f}",
        f"others believed {wrong.sum() / max((~poses.people).sum(), 1):.3f}",
        f"mean probability {likely.mean():.3f}",
        f"Brier {np.mean((likely - poses.people) ** 2):.4f}",
    ]
    return ", ".join(parts)


def _shown(judge: Judge) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in {**judge.weights, "bias": judge.bias}.items())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, help="folder of shards for training (unipose record-synthetic)")
    parser.add_argument("--modality", choices=("points", "depth"), default="points")
    parser.add_argument("--weights", type=Path, help="file of the network (default: the shipped one)")
    parser.add_argument("--every", type=int, default=6, help="frames of a clip; one of so many is looked at")
    parser.add_argument("--clips-every", type=int, default=3, help="clips; one of so many is looked at")
    parser.add_argument("--seed", type=int, default=0, help="of which frames, and what is cut off")
    parser.add_argument("--dry-run", action="store_true", help="show the judge, write nothing")
    return parser


if __name__ == "__main__":
    sys.exit(main())
