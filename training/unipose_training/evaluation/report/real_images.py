"""Overlays of real frames: predictions, ground truth in white, masks outlined."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from unipose_ros.files import write_atomic
from unipose_ros.visualization.overlay import Image
from unipose_training.datasets.real_sets import RealClip
from unipose_training.evaluation.real_checks import RealChecks
from unipose_training.evaluation.replay import ReplayedFrame
from unipose_training.evaluation.report.comparison import View, compose, describe, worst_joints
from unipose_training.evaluation.report.images import Shown

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
