"""Recipe ``camerapose``: the lifter, or the refiner in front of it, from motion capture and 2D labels.

No images: people of a body bank stand before virtual cameras. Sources without 3D ground truth (the same
before other cameras, or images that people have labeled) train by reprojection.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unipose_ros.joint_sets import COCO17, COCO23, ITOP15, convert_joints
from unipose_ros.networks.lifter import LifterConfig, RefinerConfig
from unipose_ros.networks.registry import save_network
from unipose_ros.networks.weights import ModelCard, fill_module, load_weights
from unipose_training.engine.config import RunSettings
from unipose_training.engine.data_loading import seed_everything, training_loader, validation_loader
from unipose_training.engine.loop import Outcome, train
from unipose_training.engine.step import Task
from unipose_training.losses.body import itop_priors
from unipose_training.losses.robust import bone_lengths
from unipose_training.mocap.detector_noise import DetectorNoise, EmpiricalErrors, load_detections
from unipose_training.mocap.pairs import LabelSource, MotionSource, Observation, PairDataset, Source, identity_collate
from unipose_training.mocap.virtual_cameras import Viewpoints, posed_joints
from unipose_training.synthetic.bank import BodyBank, load_bank
from unipose_training.tasks.base import validation_metrics
from unipose_training.tasks.lifter import LifterTask, LifterWeights, RefinerTask


@dataclass(frozen=True)
class CameraPoseRecipe:
    """What is trained on, and how.

    Attributes:
        bank: body bank for training (``python -m unipose_training.synthetic.bank``).
        heldout: another one, of other people and motions, for validation; ``None`` for no validation.
        trains: the lifter, or the refiner.
        paired: cameras before which 3D ground truth is known; ``None`` for none.
        unpaired: cameras before which only keypoints are.
        labels, split: data set in COCO's format with keypoints only, see
            :class:`unipose_training.datasets.coco.CocoImages`.
        views: cameras of the validation.
        bodies: every pose is put on so many bodies.
        noisy: keypoints are as false as a detector's, but for the share ``clean``.
        detections: file of ``benchmarks/detector_noise.py``; errors are then those that a detector made about
            people in like poses, and not drawn by the figures measured on them. Only 2D is used of it.
        unknown: share of people of whom K is not told.
        validation_people: how many are validated on.
        init_weights: weights to start from; "" begins anew.
        lifter, refiner: sizes.
        weights: of the lifter's losses.
        run: how the run is driven; its batch counts people.

    Raises:
        ValueError: there is nothing to learn from.
    """

    bank: Path
    heldout: Path | None = None
    target: Literal["lifter", "refiner"] = "lifter"
    paired: Viewpoints | None = None
    unpaired: Viewpoints | None = None
    labels: Path | None = None
    split: str = "train2017"
    views: Viewpoints | None = None
    bodies: int = 3
    noisy: bool = True
    detections: Path | None = None
    clean: float = 0.2
    unknown: float = 0.15
    validation_people: int = 2048
    init_weights: str = ""
    lifter: LifterConfig = field(default_factory=LifterConfig)
    refiner: RefinerConfig = field(default_factory=RefinerConfig)
    weights: LifterWeights = field(default_factory=LifterWeights)
    run: RunSettings = field(default_factory=RunSettings)

    def __post_init__(self) -> None:
        if self.paired is None and self.unpaired is None and self.labels is None:
            raise ValueError("paired, unpaired and labels are all empty: name cameras, or a data set")
        if self.bodies < 1 or self.validation_people < 1:
            raise ValueError(
                f"bodies = {self.bodies}, validation_people = {self.validation_people}: must be at least 1"
            )
        for name in ("clean", "unknown"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)}: must be within [0, 1]")

    def observation(self) -> Observation:
        """What the networks get to see of the people.

        Raises:
            DataError: the detections cannot be read.
        """
        if not self.noisy:
            return Observation(unknown=self.unknown)
        noise = DetectorNoise() if self.detections is None else EmpiricalErrors(load_detections(self.detections))
        return Observation(noise, clean=self.clean, unknown=self.unknown)


def run(config: CameraPoseRecipe, output: Path) -> Outcome:
    """Train; ``output`` gets the engine's files and, when the run is finished, the network's weights.

    Raises:
        DataError, SyntheticError: a bank, data set or file of detections cannot be read.
        WeightsError: those to begin with do not fit.
        TrainingError: see :func:`unipose_training.engine.train.train`.
    """
    bank = load_bank(config.bank)
    poses = posed_joints(bank, config.bodies, config.run.seed)
    seed_everything(config.run.seed)
    task, observation = _task(config, poses), config.observation()
    training = PairDataset(_sources(config, poses, observation), size=len(poses))
    validation = _validation(config, observation)
    outcome = train(
        task,
        training_loader(training, config.run, identity_collate),
        None if validation is None else validation_loader(validation, config.run, identity_collate),
        config.run,
        output,
    )
    if outcome.to_be_saved:
        sizes = config.lifter if config.target == "lifter" else config.refiner
        record = _record(config, bank, outcome)
        save_network(output / f"{config.target}.safetensors", task.trained(), sizes, record)
    return outcome


def _task(config: CameraPoseRecipe, poses: NDArray[np.float32]) -> Task:
    task: Task
    if config.target == "refiner":
        task = RefinerTask(config.refiner)
    else:
        task = LifterTask(config.lifter, config.weights, bone_ratios(poses))
    if config.init_weights:
        tensors, _ = load_weights(Path(config.init_weights), config.target)
        fill_module(task.trained(), tensors)
    return task


def _sources(config: CameraPoseRecipe, poses: NDArray[np.float32], observation: Observation) -> list[Source]:
    sources: list[Source] = []
    if config.paired is not None:
        sources.append(MotionSource(poses, config.paired, observation))
    if config.unpaired is not None:
        sources.append(MotionSource(poses, config.unpaired, observation, paired=False))
    if config.labels is not None:
        sources.append(LabelSource(config.labels, config.split))
    return sources


def _validation(config: CameraPoseRecipe, observation: Observation) -> PairDataset | None:
    views = config.views or config.paired
    if config.heldout is None or views is None:
        return None
    poses = posed_joints(load_bank(config.heldout), 1, config.run.seed)
    return PairDataset([MotionSource(poses, views, observation)], config.validation_people, seed=1)


def bone_ratios(poses: NDArray[np.float32]) -> Tensor:
    """(M, 23, 3) COCO-23 poses -> (K, 2) mean and std of each bone's part of the length of all of ITOP's."""
    joints, _ = convert_joints(poses, COCO23, ITOP15)
    lengths = bone_lengths(torch.from_numpy(np.asarray(joints)), itop_priors().bones)
    ratios = lengths / lengths.sum(-1, keepdim=True)
    return torch.stack([ratios.mean(0), ratios.std(0)], dim=1)


def _record(config: CameraPoseRecipe, bank: BodyBank, outcome: Outcome) -> ModelCard:
    lifts = config.target == "lifter"
    source = "made on rendered people" if config.detections else "by figures"
    seen = f"keypoints with MoveNet's errors, {source}," if config.noisy else "true keypoints"
    return ModelCard(
        network=config.target,
        config={},
        joint_set=ITOP15.name if lifts else COCO17.name,
        input="COCO-17 keypoints on the plane of a camera turned to the person, see unipose_ros.codecs.keypoints",
        training_data=f"{seen} of virtual cameras; {bank.record.motions}; bodies: {bank.record.body}",
        license=f"trained from scratch; {bank.record.license}",
        metrics=validation_metrics(outcome, "held out"),
    )
