"""The pose verifier of adapted weights, fitted again: poses of source scenes, and those of the recording.

Whom the 2D network confirms is a person; what is found in a frame in which it sees no one is none. What clothes without
depth look like is not in the source scenes: there a pose that lies on no surface is no person's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.config import DetectionConfig, EstimatorConfig, WeightsConfig
from unipose_ros.detection import select_people
from unipose_ros.detection.verification import PoseVerifier, card_verifier, pose_features
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.modalities.factory import Components
from unipose_ros.modalities.registry import MODALITIES
from unipose_ros.networks.weights import load_weights, read_model_card, save_weights
from unipose_training.adaptation.settings import AdaptSettings
from unipose_training.datasets.base import Clip
from unipose_training.datasets.keypoint_files import KeypointLabels
from unipose_training.detection.verifier import AcceptAll, Poses, PoseSource, fit_verifier, poses_of
from unipose_training.evaluation.keypoint_checks import pair_with_keypoints
from unipose_training.synthetic.stream.frames import rendered_frames, without_color
from unipose_training.synthetic.stream.settings import StreamSettings

#: Rendered frames, and those of the recording, at most.
_SOURCE_FRAMES, _RECORDED_FRAMES = 100, 200
#: One frame of so many judges.
_KEPT = 4
#: By so much the AUC on one of the two may be less: that of some hundred poses is no surer.
_SLACK = 0.002
#: Of whom the 2D network is so sure is a person, as in :mod:`.health`.
_SURE = 0.4
#: All proposals are verified.
_PEOPLE = DetectionConfig(max_people=20)


def refit_verifier(
    weights: Path,
    modality: str,
    beside: Mapping[str, str],
    parts: Sequence[Clip],
    keypoints: Sequence[KeypointLabels],
    settings: AdaptSettings,
) -> dict[str, Any]:
    """Fit again, and write into the model card of the weights what is no worse; nothing for who sees color.

    Args:
        weights: of the modality.
        beside: files of other networks by name, such as an adapted person detector.
        parts, keypoints: the adaptation parts, and the 2D network's people in them.
        settings: seed and number of the source scenes, threads.

    Returns:
        Poses and AUC of the present verifier and of the new one on those that trained neither, and whether the new one
        is taken; empty where there is no verifier.

    Raises:
        WeightsError: the file cannot be read.
    """
    images = MODALITIES[modality].images
    if images.color or not images.depth:
        return {}
    accept_all = AcceptAll()
    named = WeightsConfig(**{**beside, modality: str(weights)})
    config = EstimatorConfig(modality, threads=settings.threads, weights=named, detection=_PEOPLE)
    with closing(MODALITIES[modality].build(modality, config, Components(verifier=accept_all))) as built:
        source = PoseSource(built, accept_all)
        rendered = source_poses(source, settings.seed, min(_SOURCE_FRAMES, settings.gate.source_people))
        recorded = list(recorded_poses(source, parts, keypoints))
    present = card_verifier(read_model_card(weights))
    source_training, source_judging = _divided(rendered)
    own_training, own_judging = _divided(recorded)
    training = Poses.together([source_training, balanced(own_training)])
    judging = {"source": source_judging, "recording": own_judging}
    new, facts = choose_verifier(present, training, judging)
    if new is not present:
        tensors, card = load_weights(weights, read_model_card(weights).network)
        save_weights(weights, tensors, replace(card, metrics={**card.metrics, **new.metrics()}))
    return facts


def _divided(frames: Sequence[Poses]) -> tuple[Poses, Poses]:
    """Poses that train, and poses that judge."""
    training = Poses.together(poses for number, poses in enumerate(frames) if number % _KEPT)
    return training, Poses.together(frames[::_KEPT])


def balanced(poses: Poses) -> Poses:
    """As many people as others, evenly: of a recording in which hardly anything but people is found, the regression
    would learn that what looks like this recording is a person."""
    kinds = [np.flatnonzero(poses.people), np.flatnonzero(~poses.people)]
    count = min(map(len, kinds))
    rows = np.concatenate([kind[np.linspace(0, len(kind) - 1, count).astype(int)] for kind in kinds])
    return Poses(poses.columns[rows], poses.people[rows])


def choose_verifier(
    present: PoseVerifier, training: Poses, judging: Mapping[str, Poses]
) -> tuple[PoseVerifier, dict[str, Any]]:
    """A new verifier, or the present one where the new one's AUC is less on any of the poses that judge."""
    facts: dict[str, Any] = {"poses": len(training), "people": int(training.people.sum()), "taken": False}
    if not 0 < facts["people"] < len(training):
        return present, facts
    new = fit_verifier(training)
    gains = []
    for name, poses in judging.items():
        old, other = (area_under_roc(each.probabilities(poses.columns), poses.people) for each in (present, new))
        facts[f"auc on {name}"] = [old, other]
        gains.append(other - old)
    known = [gain for gain in gains if np.isfinite(gain)]
    facts["taken"] = bool(known and min(known) >= -_SLACK and max(known) > 0)
    return (new if facts["taken"] else present), facts


def area_under_roc(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> float:
    """Probability that a positive has a higher score than another, ties half (Mann and Whitney 1947); NaN without
    both."""
    if not 0 < positive.sum() < len(positive):
        return float("nan")
    above = scores[positive][:, None] - scores[~positive][None]
    return float(((above > 0) + 0.5 * (above == 0)).mean())


def source_poses(source: PoseSource, seed: int, count: int) -> list[Poses]:
    """Of so many rendered frames with ground truth, one after the other."""
    rng = np.random.default_rng(seed)
    frames = rendered_frames(StreamSettings(), seed, count)
    return [poses_of([(without_color(each), each.ground_truth)], source, rng) for each in frames]


def recorded_poses(source: PoseSource, parts: Sequence[Clip], keypoints: Sequence[KeypointLabels]) -> Iterator[Poses]:
    """Of the recording's frames, one after the other; at most 200, evenly.

    Args:
        keypoints: the 2D network's people in each part.
    """
    step = max(1, -(-sum(len(each) for each in keypoints) // _RECORDED_FRAMES))
    number = 0
    for part, seen in zip(parts, keypoints, strict=True):
        for frame in part.frames():
            people = seen.keypoints_of(frame.stamp_ns)
            if people is None or frame.depth is None:
                continue
            if number % step == 0:
                shown = replace(frame, color=None)
                found = source(shown)
                is_person, known = confirmed(frame, found, people)
                yield Poses(pose_features(shown, found).columns[known], is_person[known])
            number += 1


def confirmed(
    frame: RgbdFrame, found: Skeletons, keypoints: Keypoints2D
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(N,) whether a pose is that of someone of whom the 2D network is sure, and (N,) whether it is known to be that,
    or to be no person: in a frame in which it sees no one."""
    is_person = np.zeros(len(found), np.bool_)
    if not len(keypoints):
        return is_person, ~is_person
    people = select_people(keypoints, frame.camera.width, frame.camera.height, DetectionConfig())
    sure = people.select(np.flatnonzero(people.scores >= _SURE))
    is_person[pair_with_keypoints(frame.camera, found, sure).predicted] = True
    return is_person, is_person
