"""Fine-tuning of the person detector on people whom the 2D network sees, with replay of rendered source scenes.

Frames of the recording in which the 2D network sees no one are negatives; its unsure detections are ignored. Then the
weights go from the parent's towards the adapted ones by one share for all layers (Wortsman et al., CVPR 2022): the one
at which people of the recording are found best while those of source scenes are found no worse.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from typing_extensions import Self

from unipose_ros.config import DetectionConfig, EstimatorConfig, WeightsConfig
from unipose_ros.modalities.factory import Components, build_person_detector
from unipose_ros.networks.detector import PersonCenterNet
from unipose_ros.networks.registry import load_network, save_network
from unipose_training.adaptation.finetune import Provenance, run_settings
from unipose_training.adaptation.mixing import Mixture, interpolate
from unipose_training.adaptation.settings import DETECTOR, AdaptSettings
from unipose_training.datasets.base import Clip
from unipose_training.datasets.keypoint_files import KeypointLabels
from unipose_training.detection.average_precision import error_percent
from unipose_training.detection.dataset import DetectorDataset
from unipose_training.detection.evaluate import measure
from unipose_training.detection.scenes import Scene, label_scene, read_scene_file, write_scenes
from unipose_training.engine.config import RunSettings
from unipose_training.engine.data_loading import loader_of, seed_everything, seed_of
from unipose_training.engine.loop import train
from unipose_training.errors import AdaptationError
from unipose_training.recipes.detector import DetectorTask
from unipose_training.synthetic.bank import load_bank
from unipose_training.synthetic.batch.placing import Mounting
from unipose_training.synthetic.stream.dataset import StreamBatches
from unipose_training.synthetic.stream.detection import DetectionStream, SceneMaker, validation_scenes
from unipose_training.synthetic.stream.people import divided
from unipose_training.synthetic.stream.settings import StreamSettings

#: Focal length in pixels of the depth images that are kept, as in config/training/detector.yaml.
SCENE_FOCAL = 144.0
_EMA = 0.99
#: Shares of the adapted weights that are tried.
SHARES = (1.0, 0.8, 0.6, 0.4, 0.2)
#: Fraction of the recording's views that are of frames without people, where there are both kinds.
_EMPTY = 0.3
#: Parts of seeds: scenes of the recording, source scenes by which the share is chosen.
_SCENES, _SELECTION = 37, 38
#: Rendered people of the gate by those of its settings; scenes of the recording by which the share is chosen, at most.
_PEOPLE = 2
_RECORDED = 200
_FRAMES = 16
#: Fraction of the gate's margin that may be used up on the source scenes by which the share is chosen.
_OF_MARGIN = 0.5
_FILE = "scenes.npz"
#: What :func:`unipose_training.adaptation.health.judge` is told of the detector.
GATE: dict[str, Any] = {"improving": ("missed", "false_people"), "unit": "%"}


def recorded_scenes(parts: Sequence[Clip], labels: Sequence[KeypointLabels]) -> Iterator[Scene]:
    """The labeled frames with depth of a recording, also those without people.

    Args:
        labels: 2D pseudo-labels of each part.
    """
    for part, known in zip(parts, labels, strict=True):
        for frame in part.frames():
            keypoints = known.keypoints_of(frame.stamp_ns)
            if keypoints is not None and frame.depth is not None:
                yield label_scene(frame, keypoints, DetectionConfig(), SCENE_FOCAL, part.name)


class MixedScenes(Dataset[Any]):
    """Every batch: ``run.batch - replayed`` views of a recording's scenes and ``replayed`` of rendered ones.

    Args:
        scenes: of the recording.
        focal: focal length of the views in pixels.
        stream: rendered scenes.
        run: steps, batch and seed.
        replayed: of each batch.

    Raises:
        AdaptationError: there are no scenes with people.
    """

    def __init__(
        self, scenes: Sequence[Scene], focal: float, stream: StreamSettings, run: RunSettings, replayed: int
    ) -> None:
        self._run, self._replayed = run, replayed
        self._views = DetectorDataset(scenes, SCENE_FOCAL, focal, varied=True)
        self._peopled = np.flatnonzero([len(scene) > 0 for scene in scenes])
        self._empty = np.flatnonzero([len(scene) == 0 for scene in scenes])
        if not len(self._peopled):
            raise AdaptationError("person_detector: the 2D network sees no one with depth; record people")
        self._stream: DetectionStream | None = None
        if replayed:
            self._stream = DetectionStream(stream, SCENE_FOCAL, focal, replace(run, batch=replayed))

    def __len__(self) -> int:
        return self._run.steps * self._run.batch

    def __getitem__(self, index: int) -> Any:
        """One view of the batch that a number belongs to."""
        return self.__getitems__([index])[index % self._run.batch]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """The views of one step, varied by NumPy's global generator as the engine seeds it."""
        step = indices[0] // self._run.batch
        views = [self._views[number] for number in self.numbers(step)]
        if self._stream is not None:
            views += self._stream.__getitems__(range(step * self._replayed, (step + 1) * self._replayed))
        return views

    def numbers(self, step: int) -> list[int]:
        """The recording's scenes of a step."""
        rng = np.random.default_rng(seed_of(self._run.seed, _SCENES, step))
        count = self._run.batch - self._replayed
        empty = int((rng.random(count) < _EMPTY).sum()) if len(self._empty) else 0
        return [*rng.choice(self._peopled, count - empty).tolist(), *rng.choice(self._empty, empty).tolist()]


def mixed_scene_loader(scenes: MixedScenes, run: RunSettings) -> DataLoader[Any]:
    """What :func:`unipose_training.engine.loop.train` reads."""
    return loader_of(scenes, StreamBatches(len(scenes), run.steps, run.batch, run.seed), run)


class AdaptedDetector(DetectorTask):
    """The detector's task with the parent's statistics in batch normalization.

    Those of a batch, a third recording and two thirds renders, are neither's; and means of two networks' variances are
    no network's.
    """

    def train(self, mode: bool = True) -> Self:
        """Batch normalization stays in evaluation mode."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


def detector_task(network: nn.Module, centers: int = 0) -> AdaptedDetector:
    """What is minimized for the person detector."""
    del centers
    assert isinstance(network, PersonCenterNet)
    return AdaptedDetector(network, _EMA)


def finetune_detector(
    folder: Path,
    weights: Path,
    scenes: Callable[[], Iterator[Scene]],
    stream: StreamSettings,
    settings: AdaptSettings,
    provenance: Provenance,
) -> dict[str, Any]:
    """Train, or go on; ``folder`` gets the engine's files and ``person_detector.safetensors``.

    Args:
        scenes: of the recording; they are read once and kept in ``folder``.

    Returns:
        Steps, scenes, and what ended the run, as :func:`unipose_training.adaptation.finetune.finetune`.

    Raises:
        AdaptationError: the recording shows no one with depth.
        TrainingError, WeightsError, DataError: as the recipe.
    """
    # bfloat16 would round batch normalization of a network of which a step takes little anyway.
    run = replace(run_settings(settings, DETECTOR), precision="32")
    seed_everything(run.seed)
    network, card = load_network(weights, DETECTOR)
    assert isinstance(network, PersonCenterNet)
    parent = copy.deepcopy(network).eval()
    recorded = _kept(folder / _FILE, scenes)
    mixed = MixedScenes(recorded, network.config.focal, stream, run, round(settings.replay * settings.batch))
    task = detector_task(network)
    outcome = train(task, mixed_scene_loader(mixed, run), None, run, folder)
    if outcome.signal:
        raise KeyboardInterrupt(outcome.signal)
    trained = task.trained().eval()
    assert isinstance(trained, PersonCenterNet)
    mixture = choose_share(
        parent, trained, selection_scenes(stream, settings), recorded, _OF_MARGIN * settings.gate.source_margin
    )
    interpolate(trained, parent, mixture.share)
    people, empty = sum(map(len, recorded)), sum(not len(scene) for scene in recorded)
    text = (
        f"adapted ({outcome.step} steps) to {provenance.recordings}: {len(recorded)} depth images with {people} people "
        f"whom a 2D network saw in their color, {empty} of them without, and replay of rendered scenes; begun from "
        f"{provenance.parent}, which was trained on: {card.training_data}"
    )
    save_network(
        folder / f"{DETECTOR}.safetensors", trained, network.config,
        replace(card, training_data=text, metrics={}, config={}),
    )  # fmt: skip
    return {
        "steps": outcome.step,
        "planned": run.steps,
        "ended_by": outcome.ended_by,
        "scenes": len(recorded),
        "people": people,
        "empty scenes": empty,
        "mixture": asdict(mixture),
    }


def _kept(path: Path, scenes: Callable[[], Iterator[Scene]]) -> list[Scene]:
    """From the file that an earlier piece of the run left, or from the recording."""
    found = read_scene_file(path, DETECTOR)
    if found is None:
        found = list(scenes())
        write_scenes(path, found, DETECTOR)
    return found


def choose_share(
    parent: PersonCenterNet, trained: PersonCenterNet, source: Sequence[Scene], recorded: Sequence[Scene], margin: float
) -> Mixture:
    """The share of the adapted weights at which the recording's people are found best; errors are ``100 (1 - AP)``.

    Args:
        source: scenes with ground truth.
        recorded: scenes of the recording.
        margin: fraction by which the error on source scenes may grow; where it grows by more with every share, the
            smallest one is taken.
    """
    focal = parent.config.focal
    recorded = [recorded[at] for at in np.linspace(0, len(recorded) - 1, min(len(recorded), _RECORDED)).astype(int)]
    on_source, on_recording = (DetectorDataset(each, SCENE_FOCAL, focal, varied=False) for each in (source, recorded))
    before = error_percent(parent, on_source), error_percent(parent, on_recording)
    found: list[Mixture] = []
    for share in SHARES:
        network = copy.deepcopy(trained)
        interpolate(network, parent, share)
        errors = error_percent(network, on_source), error_percent(network, on_recording)
        found.append(Mixture(share, before[0], errors[0], before[1], errors[1]))
    allowed = [each for each in found if each.source <= (1 + margin) * before[0]]
    return min(allowed, key=lambda each: each.recording) if allowed else found[-1]


def selection_scenes(stream: StreamSettings, settings: AdaptSettings) -> list[Scene]:
    """Source scenes by which the share is chosen: others than the gate's, of the bodies that were kept back."""
    plain = plain_stream(stream, 0)
    bank = divided(load_bank(plain.bank_file), plain.validation_bodies, validation=True)
    maker = SceneMaker(bank, replace(plain, frames=_FRAMES), SCENE_FOCAL, torch.device("cpu"))
    scenes: list[Scene] = []
    for number in range(settings.gate.source_people):
        scenes += maker.make(seed_of(settings.seed, _SELECTION, number))
        if sum(map(len, scenes)) >= settings.gate.source_people:
            break
    return scenes


def plain_stream(stream: StreamSettings, people: int) -> StreamSettings:
    """The source benchmark, which is the same for every recording: no mounting of its own.

    Args:
        people: who validate, 0 to leave it as it is.
    """
    return replace(
        stream, draw=replace(stream.draw, mounting=Mounting()),
        validation_people=_PEOPLE * people if people else stream.validation_people,
    )  # fmt: skip


def detector_source_error(weights: Path, stream: StreamSettings, settings: AdaptSettings) -> float:
    """``100 (1 - AP)`` on rendered scenes of bodies and motions that no network was trained on."""
    network, _ = load_network(weights, DETECTOR)
    assert isinstance(network, PersonCenterNet)
    run = RunSettings(accelerator="cpu", threads=settings.threads)
    scenes = validation_scenes(plain_stream(stream, settings.gate.source_people), SCENE_FOCAL, run)
    return error_percent(network.eval(), DetectorDataset(scenes, SCENE_FOCAL, network.config.focal, varied=False))


def detector_benchmark_error(clip: Clip, weights: Path, threads: int) -> float:
    """People who are not found and those who are not there, in a hundred people who can be seen.

    Raises:
        AdaptationError: the clip has no ground truth.
    """
    config = EstimatorConfig(
        threads=threads, detection=DetectionConfig(detector="centernet"),
        weights=WeightsConfig(**{DETECTOR: str(weights)}),
    )  # fmt: skip
    detector = build_person_detector(config, Components())
    try:
        counts = list(measure(detector, [clip], 1).values())
    finally:
        detector.close()
    people = sum(each.people for each in counts)
    if not people:
        raise AdaptationError(f"--source {clip.name}: it has no ground truth of people; name recordings that have")
    return 100 * sum(each.people - each.hits + each.wrong for each in counts) / people
