"""Modality ``rgb``: the lifter and its camera branch, fitted to a recording's camera, mounting and people.

After CameraPose (Yang et al., WACV 2023): people with a fused 3D pseudo-label train pose and scales; all others train
by reprojection through the camera branch, with a critic and bone ratios against depths that merely reproject. The
camera branch learns the tilt that people who stand tell of the mounting. Replay is what the lifter was trained on:
people of the shipped body bank before virtual cameras, half of them mounted as the recording's, with a detector's
errors.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from unipose_ros.camera import Camera
from unipose_ros.codecs.keypoints import lifter_input, view_keypoints
from unipose_ros.config import DetectionConfig
from unipose_ros.detection import select_people, visible_keypoints
from unipose_ros.joint_sets import COCO17, ITOP15
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.lifting.lifter import KeypointRefiner, enough_keypoints
from unipose_ros.networks.lifter import Lifted, LifterNetwork
from unipose_ros.networks.registry import load_network, save_network
from unipose_training.adaptation.finetune import Provenance, adapted_card, run_settings
from unipose_training.adaptation.lift import PseudoLabels
from unipose_training.adaptation.mixing import choose_share, interpolate
from unipose_training.adaptation.mounting import EstimatedMounting
from unipose_training.adaptation.refining import default_refiner
from unipose_training.adaptation.settings import AdaptSettings
from unipose_training.datasets.base import Clip
from unipose_training.datasets.keypoint_files import KeypointLabels
from unipose_training.engine.config import RunSettings
from unipose_training.engine.data_loading import loader_of, seed_everything, seed_of
from unipose_training.engine.loop import train
from unipose_training.errors import AdaptationError
from unipose_training.losses.projection import tilt_loss
from unipose_training.losses.robust import bone_lengths
from unipose_training.mocap.detector_noise import DetectorNoise
from unipose_training.mocap.pairs import (
    MotionSource,
    Observation,
    PairBatch,
    identity_collate,
    joined,
    upright_rotations,
)
from unipose_training.mocap.virtual_cameras import Viewpoints, fraction_seen, posed_joints
from unipose_training.recipes.camerapose import bone_ratios
from unipose_training.samples.store import SampleStore
from unipose_training.synthetic.bank import load_bank
from unipose_training.synthetic.batch.placing import Mounting
from unipose_training.synthetic.stream.dataset import StreamBatches
from unipose_training.synthetic.stream.people import divided, select
from unipose_training.synthetic.stream.settings import StreamSettings
from unipose_training.synthetic.variety.cameras import KINDS
from unipose_training.tasks.lifter import BONES, LifterTask, LifterWeights

#: Name of the network's weights, and of the modality that they are adapted for.
LIFTER, RGB = "lifter", "rgb"
#: People are cheap here: batches and benchmarks have so many times as many as the settings say.
_MANY = 8
#: A joint whose pseudo-label is less certain than this is not trained on, meters.
_MOST_STD = 0.15
#: Replay, as the shipped lifter was trained (config/training/camerapose.yaml), and the cameras of the benchmark.
_VIEWS = Viewpoints(("kinect_v1", "d435", "kinect_v2", "azure_kinect"), (0.2, 2.8), (1.2, 6.0), aim_std=0.12)
_JUDGED = Viewpoints(("astra", "femto_bolt", "d455", "zed2"), (0.2, 3.0), (1.5, 5.0), aim_std=0.1)
_OBSERVED = Observation(DetectorNoise(), clean=0.2, unknown=0.15)
#: Pseudo-labels make bones of one side longer than those of the other.
_WEIGHTS = LifterWeights(symmetry=0.3)
#: The recording's keypoints are moved at random by this standard deviation, in sizes of the person, and left out at
#: this rate: few people are seen often.
_MOVED, _LEFT_OUT = 0.05, 0.05
#: How far copies of a mounting differ: meters, degrees.
_HEIGHTS, _TILTS = 0.1, 4.0
#: A mounting that shows fewer of the people who are drawn before it is not believed.
_FEWEST_SEEN = 0.05
#: Parts of seeds: poses, which people a step has, those by whom weights are mixed, and those of the gate.
_POSES, _ROWS, _SELECTION, _BENCHMARK = 41, 42, 43, 44
#: Fraction of the gate's margin that may be used up on the people by whom weights are mixed.
_OF_MARGIN = 0.9
_HIPS = [ITOP15.index("left_hip"), ITOP15.index("right_hip")]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RecordedPeople:
    """The people of the adaptation part whose keypoints suffice to be lifted.

    Attributes:
        batch: as the lifter reads them at run time, after the refiner where there is one. ``joints`` are the fused
            pseudo-labels, NaN where there is none or it is uncertain; ``rotation`` is that of the estimated mounting,
            NaN where it is not known; ``keypoints`` are the 2D pseudo-labels.
        distances: least and largest horizontal distance of people in meters, for replay.
    """

    batch: PairBatch
    distances: tuple[float, float] = _VIEWS.distance

    @property
    def labeled(self) -> int:
        """How many have a 3D pseudo-label."""
        return int(self.batch.paired.sum())


def recorded_people(
    parts: Sequence[Clip],
    labels: Sequence[KeypointLabels],
    store: SampleStore,
    fused: PseudoLabels,
    mounting: EstimatedMounting | None,
) -> RecordedPeople:
    """All people of some parts who can be lifted.

    Args:
        parts: the clips of the store, in its order; the camera of a part is that of its first frame.
        labels: 2D pseudo-labels of each.
        fused: 3D pseudo-labels of all rows of the store.
        mounting: of the camera; ``None`` where it is not known.

    Raises:
        AdaptationError: there is no one.
    """
    rows = _rows_by_keypoints(store, fused)
    down = None if mounting is None else gravity(mounting.pitch, mounting.roll)
    refiner = default_refiner()
    found: list[PairBatch] = []
    for number, (part, seen_by) in enumerate(zip(parts, labels, strict=True)):
        camera = next(iter(part.frames())).camera
        people, stamps = liftable_people(seen_by, camera)
        if not len(people):
            continue
        joints = np.full((len(people), len(ITOP15), 3), np.nan)
        for person, stamp in enumerate(stamps.tolist()):
            row = rows.get((number, stamp, people.confidences[person].tobytes()))
            if row is not None:
                joints[person] = np.where(fused.stds[row][:, None] < _MOST_STD, fused.joints[row], np.nan)
        found.append(people_as_pairs(camera, people, joints, down, refiner))
    if not found:
        raise AdaptationError("rgb: no one shows enough keypoints to be lifted; record people from head to foot")
    return RecordedPeople(joined(found), _distances(fused.joints[fused.good], down))


def gravity(pitch: float, roll: float) -> FloatArray:
    """(3,) unit vector downwards in the optical frame of a camera; degrees, pitch is down."""
    down, side = np.radians(pitch), np.radians(roll)
    return np.array([np.cos(down) * np.sin(side), np.cos(down) * np.cos(side), np.sin(down)])


def liftable_people(labels: KeypointLabels, camera: Camera) -> tuple[Keypoints2D, NDArray[np.int64]]:
    """The people of all frames whom the estimators would lift, and (N,) stamps of their frames."""
    config = DetectionConfig()
    frames = [select_people(labels.keypoints_at(i), camera.width, camera.height, config) for i in range(len(labels))]
    stamps = np.repeat(labels.stamps_ns, [len(frame) for frame in frames])
    people = Keypoints2D.empty()
    if frames:
        arrays = ("pixels", "confidences", "scores", "boxes")
        together = {name: np.concatenate([getattr(frame, name) for frame in frames]) for name in arrays}
        people = Keypoints2D(**together, joint_set=COCO17)
    enough = enough_keypoints(visible_keypoints(people, camera.width, camera.height, config))
    return people.select(enough), stamps[enough]


def people_as_pairs(
    camera: Camera, people: Keypoints2D, joints: FloatArray, down: FloatArray | None, refiner: KeypointRefiner | None
) -> PairBatch:
    """What the lifter reads of people, with what is known of them.

    Args:
        people: N of one camera, in pixels of its raw image.
        joints: (N, 15, 3) meters in the optical frame; NaN unknown.
        down: (3,) gravity in the optical frame; ``None`` where it is not known.
    """
    seen = visible_keypoints(people, camera.width, camera.height, DetectionConfig())
    if refiner is not None:
        people = refiner(people, camera)
    view = view_keypoints(camera, people.pixels, seen)
    relative = (joints - joints[:, _HIPS].mean(axis=1, keepdims=True)) @ view.turns.transpose(0, 2, 1)
    rotation = np.full((len(people), 3, 3), np.nan)
    if down is not None:
        rotation = upright_rotations(view.turns @ down)
    tensor = torch.from_numpy
    return PairBatch(
        inputs=tensor(lifter_input(view, people.confidences, seen)),
        seen=tensor(seen),
        confidences=tensor(np.where(seen, people.confidences, 0.0).astype(np.float32)),
        keypoints=tensor(view.plane.astype(np.float32)),
        labeled=tensor(seen),
        joints=tensor(relative.astype(np.float32)),
        rotation=tensor(rotation.astype(np.float32)),
        sizes=tensor(view.sizes.astype(np.float32)),
        known=tensor(view.known),
        paired=tensor(np.isfinite(relative).all(axis=-1).any(axis=-1)),
    )


def mirrored(batch: PairBatch) -> PairBatch:
    """The same people in a mirror: left and right are exchanged, and x is turned round."""
    sides, other = torch.tensor(COCO17.mirror), torch.tensor(ITOP15.mirror)
    count = 3 * len(COCO17)
    table = batch.inputs[:, :count].reshape(-1, len(COCO17), 3)[:, sides] * torch.tensor([-1.0, 1.0, 1.0])
    context = batch.inputs[:, count:] * torch.tensor([-1.0, 1.0, 1.0, 1.0])
    flip = torch.tensor([-1.0, 1.0, 1.0])
    return batch._replace(
        inputs=torch.cat([table.flatten(1), context], dim=-1),
        seen=batch.seen[:, sides],
        confidences=batch.confidences[:, sides],
        keypoints=batch.keypoints[:, sides] * flip[:2],
        labeled=batch.labeled[:, sides],
        joints=batch.joints[:, other] * flip,
        rotation=batch.rotation * flip[:, None] * flip,
    )


def _rows_by_keypoints(store: SampleStore, fused: PseudoLabels) -> dict[tuple[int, int, bytes], int]:
    """Rows with a pseudo-label by clip, stamp and confidences, which tell one person of a frame from another."""
    clips, stamps, confidences = store["clip"], store["stamp_ns"], np.array(store["keypoints"])[..., 2]
    return {
        (int(clips[row]), int(stamps[row]), confidences[row].tobytes()): int(row) for row in np.flatnonzero(fused.good)
    }


def _distances(joints: NDArray[np.floating], down: FloatArray | None) -> tuple[float, float]:
    """Horizontal distances that 96 % of the people are within, meters."""
    hips = np.asarray(joints, np.float64)[:, _HIPS].mean(axis=1)
    hips = hips[np.isfinite(hips).all(axis=1)]
    if down is None or len(hips) < 2:
        return _VIEWS.distance
    level = np.linalg.norm(hips - (hips @ down)[:, None] * down, axis=1)
    low, high = np.percentile(level, [2, 98])
    return float(max(low, 0.3)), float(max(high, low + 0.5, 0.8))


# Batches of the recording's people and of source people.


def mounted_views(mounting: Mounting, distances: tuple[float, float]) -> Viewpoints:
    """Cameras like the recording's: of the kind whose field of view is the nearest, as high and as tilted."""
    kind = min(KINDS, key=lambda name: abs(KINDS[name].focal / KINDS[name].width - mounting.focal))
    height = (max(mounting.height - _HEIGHTS, 0.05), mounting.height + _HEIGHTS)
    tilt = (max(mounting.pitch - _TILTS, -89.0), min(mounting.pitch + _TILTS, 89.0))
    return Viewpoints((kind,), height, distances, roll_std=max(0.02, abs(np.radians(mounting.roll))), tilt=tilt)


def source_sightings(
    poses: NDArray[np.float32], stream: StreamSettings, distances: tuple[float, float]
) -> list[tuple[float, MotionSource]]:
    """Where source people are drawn from, and the fraction from each; the mounting's only if it shows people."""
    mounting, plain = stream.draw.mounting, MotionSource(poses, _VIEWS, _OBSERVED)
    if not mounting.fraction:
        return [(1.0, plain)]
    views = mounted_views(mounting, distances)
    if fraction_seen(np.random.default_rng(0), poses, views) < _FEWEST_SEEN:
        return [(1.0, plain)]
    return [(mounting.fraction, MotionSource(poses, views, _OBSERVED)), (1 - mounting.fraction, plain)]


class MixedSightings(Dataset[PairBatch]):
    """Every batch: people of the recording, half of them in a mirror, and source people; a function of seed and step.

    Args:
        people: of the recording.
        sources: of source people, see :func:`source_sightings`.
        run: steps, batch and seed.
        replayed: source people of each batch.
    """

    def __init__(
        self, people: PairBatch, sources: Sequence[tuple[float, MotionSource]], run: RunSettings, replayed: int
    ) -> None:
        self._people, self._mirrored, self._run = people, mirrored(people), run
        counts = [round(fraction * replayed) for fraction, _ in sources]
        counts[-1] = replayed - sum(counts[:-1])
        self._sources = [(source, count) for (_, source), count in zip(sources, counts, strict=True) if count]
        self._own = run.batch - replayed

    def __len__(self) -> int:
        return self._run.steps * self._run.batch

    def __getitem__(self, index: int) -> PairBatch:
        """The whole batch that a number belongs to."""
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> PairBatch:
        """The batch of one step; this is what a DataLoader calls."""
        rng = np.random.default_rng(seed_of(self._run.seed, _ROWS, indices[0] // self._run.batch))
        count = len(self._people.rows)
        own = torch.from_numpy(rng.choice(count, self._own, replace=count < self._own))
        half = self._own // 2
        people = joined([select(self._people, own[:half]), select(self._mirrored, own[half:])])
        return joined([_disturbed(rng, people)] + [source.draw(rng, count) for source, count in self._sources])


def _disturbed(rng: np.random.Generator, batch: PairBatch) -> PairBatch:
    """The same people, whose keypoints the lifter is given less exactly; what it is to learn stays."""
    table = batch.inputs[:, : 3 * len(COCO17)].reshape(-1, len(COCO17), 3).clone()
    moves = torch.from_numpy(rng.normal(0, _MOVED, (len(table), len(COCO17), 2)).astype(np.float32))
    table[..., :2] += moves * (table[..., 2:] > 0)
    table *= torch.from_numpy(rng.random((len(table), len(COCO17), 1)) >= _LEFT_OUT)
    return batch._replace(inputs=torch.cat([table.flatten(1), batch.inputs[:, 3 * len(COCO17) :]], dim=-1))


class AdaptedLifter(LifterTask):
    """A lifter on :class:`MixedSightings`: the mounting is known of people without a 3D pseudo-label, too.

    Args:
        network: to be trained.
        ratios: see :class:`LifterTask`.
    """

    def __init__(self, network: LifterNetwork, ratios: Tensor) -> None:
        super().__init__(network.config, _WEIGHTS, ratios)
        self.network = network

    def _paired_terms(self, lifted: Lifted, batch: PairBatch) -> dict[str, Tensor]:
        told = batch.rotation.isfinite().flatten(1).all(-1)
        rotation = torch.where(told[:, None, None], batch.rotation, lifted.rotation.detach())
        terms = super()._paired_terms(lifted, batch._replace(rotation=rotation))
        return terms | {"tilt": tilt_loss(lifted.rotation, rotation, told.to(rotation.dtype))}


def _task(network: nn.Module, ratios: Tensor) -> AdaptedLifter:
    assert isinstance(network, LifterNetwork)
    return AdaptedLifter(network, ratios)


def lifter_run(settings: AdaptSettings) -> RunSettings:
    """How training is driven; on the CPU, so that two runs give the same weights."""
    run = run_settings(settings, RGB)
    return replace(run, batch=_MANY * settings.batch, precision="32")


def finetune_lifter(
    folder: Path,
    weights: Path,
    people: RecordedPeople,
    stream: StreamSettings,
    settings: AdaptSettings,
    provenance: Provenance,
) -> dict[str, Any]:
    """Train, or go on; ``folder`` gets the engine's files and ``lifter.safetensors``.

    Args:
        stream: bank of the source people, and how the recording's camera is mounted.

    Returns:
        Steps, and what ended the run: ``time`` means that two runs need not give the same weights.

    Raises:
        TrainingError, WeightsError, SyntheticError: as the recipes.
    """
    run = lifter_run(settings)
    seed_everything(run.seed)
    network, card = load_network(weights, LIFTER)
    parent = copy.deepcopy(network)
    bank = divided(load_bank(stream.bank_file), stream.validation_bodies, validation=False)
    poses = posed_joints(bank, 1, seed_of(settings.seed, _POSES))
    make_task: Callable[[nn.Module], AdaptedLifter] = partial(_task, ratios=bone_ratios(poses))
    sources = source_sightings(poses, stream, people.distances)
    batch, size = in_the_lifters_size(network, people.batch)
    mixed = MixedSightings(batch, sources, run, round(settings.replay * run.batch))
    task = make_task(network.train())
    loader = loader_of(mixed, StreamBatches(len(mixed), run.steps, run.batch, run.seed), run, identity_collate)
    outcome = train(task, loader, None, run, folder)
    if outcome.signal:
        raise KeyboardInterrupt(outcome.signal)
    count = settings.gate.source_people
    judged: Any = benchmark_people(stream, _SELECTION, 2 * _MANY * count)
    recording: Any = _labeled(batch, _MANY * count)
    mixture = None
    if len(recording.rows):
        mixture = choose_share(
            parent, task.trained(), make_task, judged, recording, _OF_MARGIN * settings.gate.source_margin
        )
        interpolate(task.trained(), parent, mixture.share)
    used, everyone = people.labeled, len(people.batch.rows)
    save_network(
        folder / f"{LIFTER}.safetensors", network, network.config,
        adapted_card(card, RGB, provenance, outcome.step, everyone, used),
    )  # fmt: skip
    return {
        "steps": outcome.step,
        "planned": run.steps,
        "ended_by": outcome.ended_by,
        "people": everyone,
        "people_with_3d": used,
        "size": size,
        "mounted_replay": len(sources) > 1,
        "mixture": None if mixture is None else asdict(mixture),
    }


@torch.no_grad()
def in_the_lifters_size(network: nn.Module, batch: PairBatch) -> tuple[PairBatch, float]:
    """3D pseudo-labels whose median size is what the lifter believes of these people, and the factor to it.

    Without depth, distances follow from sizes. Those of the few people of a recording say little about who comes next;
    the lifter keeps the size that it knows of many.
    """
    lengths = bone_lengths(batch.joints, BONES).sum(dim=-1)
    believed = bone_lengths(network.eval()(batch.inputs).joints, BONES).sum(dim=-1)
    factor = float((believed / lengths).nanmedian())
    if not np.isfinite(factor):
        return batch, 1.0
    return batch._replace(joints=factor * batch.joints), factor


def _labeled(batch: PairBatch, most: int) -> PairBatch:
    """At most so many people with a 3D pseudo-label, evenly over the recording."""
    known = batch.paired.nonzero()[:, 0]
    count = min(most, len(known))
    return select(batch, known[torch.linspace(0, max(len(known) - 1, 0), count).round().long()])


def benchmark_people(stream: StreamSettings, part: int, count: int) -> PairBatch:
    """Source people with ground truth, of bodies and motions that are kept back, before cameras of other lenses.

    Args:
        part: of the seed: other people for other purposes.
    """
    bank = divided(load_bank(stream.bank_file), stream.validation_bodies, validation=True)
    poses = posed_joints(bank, 1, seed_of(_BENCHMARK))
    return MotionSource(poses, _JUDGED, _OBSERVED).draw(np.random.default_rng(seed_of(part)), count)


@torch.inference_mode()
def lifter_source_error(weights: Path, stream: StreamSettings) -> dict[str, float]:
    """Root-aligned error of a lifter on source people with ground truth, millimeters, and of the tilt in degrees.

    Raises:
        WeightsError, SyntheticError: weights or bank cannot be read.
    """
    network, _ = load_network(weights, LIFTER)
    assert isinstance(network, LifterNetwork)
    task = AdaptedLifter(network, torch.ones(len(ITOP15.bones), 2)).eval()
    people = benchmark_people(stream, _BENCHMARK, _MANY * stream.validation_people)
    return {name: float(values.double().nanmean()) for name, values in task.validation_metrics(people).items()}
