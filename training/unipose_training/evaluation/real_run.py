"""``unipose evaluate --dataset real-frames``: one or several settings on frames of real people, and a comparison."""

from __future__ import annotations

import argparse
import base64
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from unipose_ros.config import PERSON_DETECTORS
from unipose_ros.detection.movenet import load_movenet
from unipose_ros.estimator import MODALITIES, EstimatorConfig, EstimatorError, build_estimator
from unipose_ros.files import write_atomic
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.joint_sets import JointSet
from unipose_ros.keypoints import KeypointDetector, Keypoints2D
from unipose_ros.modalities.base import RequiredInputs, StageClock
from unipose_ros.networks.weights import WeightsError
from unipose_ros.visualization.overlay import Image
from unipose_training.datasets.real_sets import NAME, RealClip
from unipose_training.errors import EvaluationError
from unipose_training.evaluation.real_checks import (
    RealChecks,
    RealResults,
    ReferenceKeypoints,
    check_real_clips,
    renamed,
    summarize_real,
)
from unipose_training.evaluation.replay import Estimator, ReplayedFrame
from unipose_training.evaluation.report.images import Shown, View, compose, describe, worst_joints
from unipose_training.evaluation.report.real_page import RealEvaluation, comparison, real_page
from unipose_training.evaluation.results import Results, plain
from unipose_training.evaluation.run import evaluate_clips

_log = logging.getLogger(__name__)

#: Every modality, with the detectors and images that make a difference.
ALL = "all"
_NO_DEPTH = "no-depth"
#: What a tracked sequence is called.
_TRACKED = ", tracked"


@dataclass(frozen=True)
class Setting:
    """What is evaluated.

    Attributes:
        name: as it was asked for: ``points``, ``points/keypoints``, ``rgb/no-depth``.
        config: of the estimator.
        depth: whether frames with color keep their depth.
    """

    name: str
    config: EstimatorConfig
    depth: bool = True


def settings_of(names: Sequence[str], config: EstimatorConfig) -> list[Setting]:
    """Settings by their names: ``MODALITY``, ``MODALITY/DETECTOR``, ``MODALITY/no-depth`` or ``all``.

    Args:
        config: of the estimator for all that a name does not say.

    Raises:
        EvaluationError: a name is unknown.
    """
    wanted = [each for name in names for each in (all_settings() if name == ALL else [name])]
    return [_setting(name, config) for name in dict.fromkeys(wanted)]


def all_settings() -> list[str]:
    """Names of every modality's settings."""
    names = []
    for name, kind in MODALITIES.items():
        names.append(name)
        if not kind.images.color:
            names.append(f"{name}/keypoints")
        elif not kind.images.depth:
            names.append(f"{name}/{_NO_DEPTH}")
    return names


def _setting(name: str, config: EstimatorConfig) -> Setting:
    modality, _, variant = name.partition("/")
    if modality not in MODALITIES or variant not in ("", _NO_DEPTH, *PERSON_DETECTORS):
        raise EvaluationError(
            f"--modality {name}: use one of {', '.join(sorted(MODALITIES))} or {ALL}, and after a slash one of "
            f"{', '.join((_NO_DEPTH, *PERSON_DETECTORS))}"
        )
    person_detector = variant if variant in PERSON_DETECTORS else config.detection.detector
    chosen = replace(config, modality=modality, detection=replace(config.detection, detector=person_detector))
    return Setting(name, chosen, variant != _NO_DEPTH)


class _FrameByFrame:
    """An estimator that forgets the last frame before each new one."""

    def __init__(self, estimator: Estimator, reset: Callable[[], object]) -> None:
        self._estimator, self._reset = estimator, reset

    @property
    def modality(self) -> str:
        return self._estimator.modality

    @property
    def last_keypoints(self) -> Keypoints2D | None:
        return self._estimator.last_keypoints

    def estimate(self, frame: RgbdFrame, clock: StageClock | None = None) -> Skeletons:
        self._reset()
        return self._estimator.estimate(frame, clock)


@dataclass(frozen=True, eq=False)
class EvaluatedFrames:
    """What a setting made of the frames.

    Attributes:
        clips: those that it can look at, as it sees them.
        evaluation: all figures.
        frames, checks: of every frame, without tracking.
    """

    clips: Sequence[RealClip]
    evaluation: RealEvaluation
    frames: Sequence[ReplayedFrame]
    checks: Sequence[RealChecks]


def evaluate_setting(
    setting: Setting,
    clips: Sequence[RealClip],
    keypoints: ReferenceKeypoints,
    joint_set: JointSet | None = None,
    limit: int | None = None,
    tracking: bool = True,
    advance: Callable[[], object] = lambda: None,
) -> EvaluatedFrames:
    """Run one setting over all clips frame by frame, and over sequences with tracking, too.

    Raises:
        EvaluationError: there is no frame that it can look at.
        WeightsError, BackendError: a network cannot be loaded.
    """
    needs = setting.config.needs
    usable = [clip.seen_by(needs.color, setting.depth) for clip in clips]
    usable = [clip for clip in usable if _can_see(setting, needs, clip)]
    if not usable:
        raise EvaluationError(f"--modality {setting.name}: none of the frames has the images that it needs")
    sequences = [clip for clip in usable if len(clip) > 1] if tracking else []
    with closing(build_estimator(setting.config)) as estimator:
        alone = _FrameByFrame(estimator, estimator.reset)
        results, frames = evaluate_clips(usable, alone, False, joint_set, limit, advance=advance)
        checks = list(check_real_clips(usable, frames, keypoints))
        tracked: Results | None = None
        real_tracked: RealResults | None = None
        if sequences:
            tracked, followed = evaluate_clips(sequences, estimator, True, joint_set, limit)
            real_tracked = renamed(summarize_real(list(check_real_clips(sequences, followed, keypoints))), _TRACKED)
    evaluation = RealEvaluation(setting.name, results, summarize_real(checks), tracked, real_tracked)
    return EvaluatedFrames(usable, evaluation, frames, checks)


def _can_see(setting: Setting, needs: RequiredInputs, clip: RealClip) -> bool:
    try:
        needs.check(clip.frame_at(0), setting.name)
    except EstimatorError as error:
        _log.warning("%s: left out, %s", clip.name, error)
        return False
    return True


def evaluate_real_frames(
    options: argparse.Namespace,
    clips: Sequence[RealClip],
    settings: Sequence[Setting],
    joint_set: JointSet | None,
    command: str,
) -> str:
    """Evaluate what the options name, write it to the output folder, and return the table.

    Of each setting there are ``metrics.json``, ``report.html`` and ``overlays/``; of several in a folder each.
    ``table.md`` compares them.

    Raises:
        EvaluationError, DataError, WeightsError, BackendError: something cannot be used.
    """
    keypoints = ReferenceKeypoints(_reference(options))
    done: list[RealEvaluation] = []
    for setting in settings:
        folder = options.output / _folder(setting, settings)
        total = sum(min(len(clip), options.limit or len(clip)) for clip in clips)
        try:
            with tqdm(total=total, desc=setting.name, unit="frame") as bar:
                evaluated = evaluate_setting(
                    setting, clips, keypoints, joint_set, options.limit, not options.no_tracking, bar.update
                )
        except WeightsError as error:
            if len(settings) == 1:
                raise
            _log.warning("%s: left out, %s", setting.name, error)
            continue
        _write(folder, evaluated, command)
        done.append(evaluated.evaluation)
    if not done:
        raise EvaluationError(f"--modality {', '.join(setting.name for setting in settings)}: there are no weights")
    table = comparison(done)
    write_atomic(options.output / "table.md", f"`{command}`\n\n{table}")
    return table


def output_files(settings: Sequence[Setting]) -> list[str]:
    """Names of the files that are written, relative to the output folder, but for the overlays."""
    folders = [_folder(setting, settings) for setting in settings]
    return ["table.md", *(str(place / name) for place in folders for name in ("metrics.json", "report.html"))]


def _folder(setting: Setting, settings: Sequence[Setting]) -> Path:
    return Path(setting.name.replace("/", "-") if len(settings) > 1 else "")


def _reference(options: argparse.Namespace) -> KeypointDetector | None:
    try:
        return load_movenet(backend=options.backend, device=options.device)
    except WeightsError as error:
        _log.warning("no 2D network to compare with: %s", error)
        return None


def _write(folder: Path, evaluated: EvaluatedFrames, command: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    evaluation = evaluated.evaluation
    content = {
        **asdict(evaluation.results),
        "setting": evaluation.name,
        "real": asdict(evaluation.real),
        "tracked": None if evaluation.tracked is None else asdict(evaluation.tracked),
        "real_tracked": None if evaluation.real_tracked is None else asdict(evaluation.real_tracked),
    }
    write_atomic(folder / "metrics.json", json.dumps(plain(content), indent=2, allow_nan=False) + "\n")
    images = draw_real(evaluated.clips, evaluated.frames, evaluated.checks, folder / "overlays")
    page = real_page(evaluation, images, f"{evaluation.name} on {NAME}", command)
    write_atomic(folder / "report.html", page)


# Overlays of real frames: predictions, ground truth in white, masks outlined.

#: Width of an overlay in pixels.
_WIDTH = 1080
_QUALITY = 82


def draw_real(
    clips: Sequence[RealClip], frames: Sequence[ReplayedFrame], checks: Sequence[RealChecks], folder: Path
) -> list[Shown]:
    """Write an overlay of every frame into the folder as JPEG, and return all of them for the report.

    Args:
        frames, checks: of the clips' frames, in their order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shown = []
    for number, clip in enumerate(clips):
        own = [(frame, check) for frame, check in zip(frames, checks, strict=True) if frame.clip == number]
        view = View.around([frame for frame, _ in own])
        for index, (frame, check) in enumerate(own):
            title = clip.name if len(clip) == 1 else f"{clip.name}  frame {index + 1}"
            real = clip.real_frame(index)
            remark = _remark(frame, check)
            data = _to_jpeg(compose(real.frame, frame, view, title, real.mask, remark))
            write_atomic(folder / f"{clip.name.replace('/', '_')}_{index:04d}.jpg", data)
            caption = "; ".join(text for text in (title, remark, worst_joints(frame)) if text)
            shown.append(Shown(caption, base64.b64encode(data).decode()))
    return shown


def _remark(frame: ReplayedFrame, check: RealChecks) -> str:
    if frame.ground_truth is not None:
        return describe(frame)
    parts = [f"{check.predicted} predicted"]
    if check.reference:
        parts += [
            f"{check.found} of {check.people} found ({check.reference})",
            f"{len(check.false_people)} {'unconfirmed' if check.reference == 'keypoints' else 'false'}",
        ]
    if check.swaps[1]:
        parts.append("left and right swapped")
    return ", ".join(parts)


def _to_jpeg(image: Image) -> bytes:
    height = round(image.shape[0] * _WIDTH / image.shape[1])
    smaller = cv2.resize(image, (_WIDTH, height), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(smaller, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return np.asarray(data, np.uint8).tobytes()
