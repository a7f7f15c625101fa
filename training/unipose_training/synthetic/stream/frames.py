"""Whole depth frames of the stream, with ground truth and keypoints: to evaluate on, to fit verifiers, to calibrate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.joint_sets import ITOP15
from unipose_ros.keypoints import Keypoints2D
from unipose_training.datasets.base import FIRST_STAMP_NS, true_skeletons
from unipose_training.engine.data_loading import seed_of
from unipose_training.synthetic.bank import load_bank
from unipose_training.synthetic.batch.torch_renderer import TorchRenderer
from unipose_training.synthetic.stream.people import divided, keypoints_of
from unipose_training.synthetic.stream.scenes import Scenes, portrait, render_scenes
from unipose_training.synthetic.stream.settings import StreamSettings

_FRAME_ID = "camera"
#: Part of seeds: these frames.
_FRAMES = 15
#: Scenes rendered together, and nanoseconds between frames, which have nothing to do with each other.
_TOGETHER, _APART_NS = 8, 10_000_000_000
#: The stream has no color; what needs an image gets a gray one.
_GRAY = 128


@dataclass(frozen=True, eq=False)
class RenderedFrame:
    """A frame and what is known of it.

    Attributes:
        frame: depth as a sensor measures it, and a gray image in place of color.
        ground_truth: all people of whom anything is in view, ITOP-15.
        keypoints: as a 2D network with the error model of :mod:`.keypoints` sees them.
    """

    frame: RgbdFrame
    ground_truth: Skeletons
    keypoints: Keypoints2D


def rendered_frames(settings: StreamSettings, seed: int, count: int) -> Iterator[RenderedFrame]:
    """So many frames of bodies and motions that no network was trained on.

    Args:
        settings: of the stream; its sensors, portrait images, and scenes without people.
        seed: the same seed gives the same frames on the same device.

    Raises:
        SyntheticError: the body bank cannot be read.
    """
    bank = divided(load_bank(settings.bank_file), settings.validation_bodies, validation=True)
    renderer = TorchRenderer(bank, torch.device("cpu"), cull=True)
    for number in range(-(-count // _TOGETHER)):
        part = seed_of(seed, _FRAMES, number)
        rng = np.random.default_rng(seed_of(part, 0))
        draw = portrait(settings.draw) if rng.random() < settings.portrait else settings.draw
        scenes = render_scenes(renderer, bank, draw, settings.sensors.dark, int(rng.integers(2**31)), _TOGETHER)
        depth = scenes.measured(settings.sensors, torch.Generator().manual_seed(seed_of(part, 1) % 2**62)).numpy()
        keypoints = keypoints_of(scenes, rng, settings)
        for index in range(min(_TOGETHER, count - number * _TOGETHER)):
            stamp_ns = FIRST_STAMP_NS + (number * _TOGETHER + index) * _APART_NS
            color = np.full((*depth[index].shape, 3), _GRAY, np.uint8)
            here = (scenes.batch.people.frames == index).numpy()
            yield RenderedFrame(
                RgbdFrame(stamp_ns, _FRAME_ID, scenes.batch.cameras.camera(index), depth[index], color),
                _ground_truth(scenes, here, stamp_ns),
                _detections(keypoints[here]),
            )


def _ground_truth(scenes: Scenes, here: NDArray[np.bool_], stamp_ns: int) -> Skeletons:
    labels = scenes.labels
    shown = here & (labels.pixels > 0).numpy()
    ids = tuple(str(person) for person in range(int(shown.sum())))
    return true_skeletons(
        stamp_ns, _FRAME_ID, labels.itop15[shown].numpy(), labels.itop15_seen[shown].numpy(), ids, ITOP15
    )


def _detections(keypoints: NDArray[np.float64]) -> Keypoints2D:
    """(N, 17, 3) pixels and confidences -> the people whom the network sees at all."""
    seen = keypoints[(keypoints[..., 2] > 0).any(axis=1)].astype(np.float32)
    pixels, confidences = seen[..., :2], seen[..., 2]
    known = np.isfinite(pixels) & (confidences > 0)[..., None]
    low = np.where(known, pixels, np.inf).min(axis=1, initial=np.inf)
    high = np.where(known, pixels, -np.inf).max(axis=1, initial=-np.inf)
    scores = np.array([person[person > 0].mean() for person in confidences], np.float32)
    return Keypoints2D(pixels, confidences, scores, np.concatenate([low, high], axis=1))


class ShownKeypoints:
    """A 2D network that sees what it is shown beside the image."""

    runtime = "error model of a 2D network"

    def __init__(self) -> None:
        self.seen = Keypoints2D.empty()

    def __call__(self, image: NDArray[np.uint8]) -> Keypoints2D:
        """What was shown last."""
        return self.seen


class RenderedClip:
    """Rendered frames as a :class:`~unipose_training.datasets.base.Clip`.

    Args:
        frames: to show.
        detector: is shown each frame's keypoints before the frame comes out.
    """

    name, subset = "rendered people", ""

    def __init__(self, frames: Sequence[RenderedFrame], detector: ShownKeypoints) -> None:
        self._frames, self._detector = frames, detector

    def __len__(self) -> int:
        return len(self._frames)

    def frames(self) -> Iterator[RgbdFrame]:
        """The frames in the order of time."""
        for each in self._frames:
            self._detector.seen = each.keypoints
            yield each.frame

    def ground_truth(self) -> Iterator[Skeletons]:
        """Ground truth of every frame."""
        return (each.ground_truth for each in self._frames)

    def losses(self) -> Mapping[str, int]:
        """Nothing is lost."""
        return {}


def without_color(rendered: RenderedFrame) -> RgbdFrame:
    """The frame for estimators of depth alone."""
    return replace(rendered.frame, color=None)
