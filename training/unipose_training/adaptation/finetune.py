"""Fine-tuning of a shipped network on pseudo-labels, with replay of rendered source people."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from unipose_ros.networks.points import PointNetwork
from unipose_ros.networks.registry import load_named, load_network, save_network
from unipose_ros.networks.weights import ModelCard
from unipose_training.adaptation.lift import MixedPeople, PseudoLabels, mixed_loader
from unipose_training.adaptation.mixing import choose_share, interpolate
from unipose_training.adaptation.mounting import EstimatedMounting
from unipose_training.adaptation.settings import ADAPTED, AdaptSettings
from unipose_training.engine.config import RunSettings
from unipose_training.engine.data_loading import seed_everything, seed_of, validation_loader
from unipose_training.engine.loop import train
from unipose_training.engine.step import Task
from unipose_training.losses.robust import joint_loss
from unipose_training.samples.augment_points import PointAugmentation
from unipose_training.samples.dataset import PersonBatch, identity_collate
from unipose_training.samples.store import SampleStore
from unipose_training.synthetic.bank import load_bank
from unipose_training.synthetic.batch.draw import DrawSettings
from unipose_training.synthetic.batch.placing import Mounting
from unipose_training.synthetic.stream.dataset import ValidationPeople
from unipose_training.synthetic.stream.people import PeopleMaker, divided
from unipose_training.synthetic.stream.settings import StreamSettings
from unipose_training.tasks.networks import TRAINED, Augmentations
from unipose_training.tasks.points import predict
from unipose_training.tasks.students import Target, scale_term
from unipose_training.tasks.supervised import (
    SupervisedPoints,
    SupervisedWeights,
    body_terms,
    weighted_target,
)

#: As the shipped weights were trained (config/training/points.yaml).
_LOSS = SupervisedWeights(joints=1.0, likelihood=0.01, bones=0.5, lengths=0.5, scale=0.02)
_AUGMENTATION = PointAugmentation(yaw=20.0, tilt=8.0, scale=0.06)
_EMA = 0.99
#: Part of seeds: source people by whom weights are mixed, and by how many times as many as the gate has.
_SELECTION, _SELECTING = 31, 1
#: Fraction of the gate's margin that may be used up on these people.
_OF_MARGIN = 0.8
_WARMUP = 30


@dataclass(frozen=True)
class Provenance:
    """Where adapted weights come from, for their model card.

    Attributes:
        recordings: names and checksums.
        parent: file and SHA-256 of the weights that were begun from.
    """

    recordings: str
    parent: str


def stream_settings(
    settings: AdaptSettings, mounting: EstimatedMounting | None, focal: float, people: int = 256
) -> StreamSettings:
    """Source people; a part of them seen by a camera that is mounted as the recording's.

    Args:
        mounting: ``None`` where it is not known.
        focal: focal length as a fraction of the image's width.
        people: who validate.
    """
    like = Mounting()
    if mounting is not None and settings.mounted:
        like = Mounting(settings.mounted, mounting.height, mounting.pitch, mounting.roll, focal)
    return StreamSettings(draw=DrawSettings(people=4, mounting=like), replays=4, validation_people=people, interleave=2)


def run_settings(settings: AdaptSettings, modality: str) -> RunSettings:
    """How training is driven; on the CPU, so that two runs give the same weights."""
    spec = ADAPTED[modality]
    steps = settings.steps(modality)
    return RunSettings(
        steps=steps,
        batch=settings.batch,
        seed=settings.seed,
        optimizer=spec.optimizer,
        learning_rate=spec.rate * settings.learning_rate,
        warmup_steps=min(_WARMUP, steps // 4),
        accelerator="cpu",
        precision="bf16-mixed",
        threads=settings.threads,
        log_every=20,
        validate_every=0,
        checkpoint_every=25,
        max_minutes=settings.most_minutes(),
    )


def finetune(
    folder: Path,
    modality: str,
    weights: Path,
    store: SampleStore,
    labels: PseudoLabels,
    stream: StreamSettings,
    settings: AdaptSettings,
    provenance: Provenance,
) -> dict[str, Any]:
    """Train, or go on; ``folder`` gets the engine's files and ``<modality>.safetensors``.

    Returns:
        Steps, and what ended the run: ``time`` means that two runs need not give the same weights.

    Raises:
        TrainingError, WeightsError, DataError: as the recipes.
    """
    run = run_settings(settings, modality)
    seed_everything(run.seed)
    spec = ADAPTED[modality]
    network, card = load_network(weights, spec.network)
    parent = copy.deepcopy(network)
    network.train()
    training = TRAINED[spec.network]
    replayed = round(settings.replay * settings.batch)
    people = MixedPeople(
        store, labels, (training.stored,), training.sizes(network), stream, training.stream_inputs(network), run,
        replayed,
    )  # fmt: skip
    make_task = load_named(spec.task)
    task: Task = make_task(network, store.centers)
    outcome = train(task, mixed_loader(people, run), None, run, folder)
    if outcome.signal:
        raise KeyboardInterrupt(outcome.signal)
    trained = task.trained()
    mixture = choose_share(
        parent, trained, partial(make_task, centers=store.centers),
        source_people(modality, parent, stream, settings),
        people.labeled(settings.gate.source_people), _OF_MARGIN * settings.gate.source_margin,
    )  # fmt: skip
    interpolate(trained, parent, mixture.share)
    save_network(
        folder / f"{modality}.safetensors", trained, network.config,
        adapted_card(card, modality, provenance, outcome.step, len(store), int(labels.good.sum())),
    )  # fmt: skip
    return {
        "steps": outcome.step,
        "planned": run.steps,
        "ended_by": outcome.ended_by,
        "people": int(labels.good.sum()),
        "mixture": asdict(mixture),
    }


def source_people(modality: str, network: nn.Module, stream: StreamSettings, settings: AdaptSettings) -> PersonBatch:
    """Source people by whom weights are mixed: other scenes than the gate's, with the bodies that were kept back.

    On bodies that trained the parent, the parent is better than it is.
    """
    plain = replace(stream, draw=replace(stream.draw, mounting=Mounting()), views=1, replays=1)
    bank = divided(load_bank(plain.bank_file), plain.validation_bodies, validation=True)
    maker = PeopleMaker(bank, plain, TRAINED[ADAPTED[modality].network].stream_inputs(network), torch.device("cpu"))
    return maker.make(seed_of(settings.seed, _SELECTION), _SELECTING * settings.gate.source_people)


def adapted_card(
    card: ModelCard, modality: str, provenance: Provenance, steps: int, people: int, used: int
) -> ModelCard:
    """The model card of adapted weights.

    Args:
        card: of the parent.
        steps: of training.
        people, used: of the recording, and those with a 3D pseudo-label.
    """
    kept = {name: value for name, value in card.metrics.items() if name.startswith(("verifier.", "temperature"))}
    text = (
        f"adapted ({modality}, {steps} steps) to {provenance.recordings}: {used} of {people} people with fused "
        f"pseudo-labels, no 3D annotation, and replay of rendered people; begun from {provenance.parent}, which was "
        f"trained on: {card.training_data}"
    )
    return replace(card, training_data=text, metrics=kept, config={})


@torch.inference_mode()
def source_error(weights: Path, modality: str, stream: StreamSettings, threads: int) -> dict[str, float]:
    """Errors on rendered people of bodies and motions that no network was trained on, with ground truth.

    Args:
        stream: without a mounting of its own: the source benchmark is the same for every recording.
    """
    run = RunSettings(batch=64, accelerator="cpu", threads=threads)
    spec = ADAPTED[modality]
    network, _ = load_network(weights, spec.network)
    training = TRAINED[spec.network]
    people = ValidationPeople(stream, training.stream_inputs(network), run)
    task: Task = load_named(spec.task)(network, training.centers(network)).eval()
    found: dict[str, list[torch.Tensor]] = {}
    for batch in validation_loader(people, run, identity_collate):
        for name, values in task.validation_metrics(batch).items():
            found.setdefault(name, []).append(values.double().flatten())
    figures = {name: float(torch.cat(values).nanmean()) for name, values in found.items()}
    return {name: value for name, value in figures.items() if value == value}


# What fine-tuning minimizes: the losses of recipe ``supervised`` with pseudo-labels that may be wrong.

#: Pseudo-labels are never surer than this, meters: a student that repeats them is no surer than they are.
_LEAST_SCALE = 1e-4


def target_of(batch: PersonBatch, weights: SupervisedWeights) -> Target:
    """The joints of a mixed batch, with the scales of the pseudo-labels; those of ground truth are minus infinity."""
    target = weighted_target(batch, weights)
    # Of Laplace's distribution the variance is 2 s^2.
    scale = (batch.lifted_variance / 2).sqrt()
    return target._replace(log_scales=torch.where(scale > _LEAST_SCALE, scale.log(), -torch.inf))


class AdaptedPoints(SupervisedPoints):
    """A point network on a :class:`~unipose_training.adaptation.lift.MixedPeople`."""

    def training_loss(self, batch: PersonBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See :class:`SupervisedPoints`; the network's scales learn what the pseudo-labels may be wrong, too."""
        prediction = predict(self.network, batch, self._augmentation, self._centers)
        target = target_of(batch, self._weights)
        terms = {
            "joints": self._weights.joints * joint_loss(prediction.joints, target.joints, target.weights),
            "scale": self._weights.scale * scale_term(prediction.joints, prediction.log_scales, target),
            **body_terms(prediction, target, self._weights),
        }
        return torch.stack(list(terms.values())).sum(), terms


def points_task(network: nn.Module, centers: int) -> Task:
    """What is minimized for a point network: its scales learn how wrong pseudo-labels may be.

    Args:
        centers: so many of each cloud's first points are spread evenly.
    """
    assert isinstance(network, PointNetwork)
    augmentation = replace(_AUGMENTATION, unpainted=0.15 if network.config.paint else 0.0)
    return AdaptedPoints(network, _LOSS, augmentation, centers, _EMA)


def depth_task(network: nn.Module, centers: int) -> Task:
    """What is minimized for the depth network; see :func:`points_task`."""
    return TRAINED["depth"].supervised(network, Augmentations(), centers, _LOSS, _EMA)
