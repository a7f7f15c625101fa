"""People of the stream: the same from the same seed, no person twice, and targets that lie on them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from unipose_ros.codecs.points import PointCloudConfig
from unipose_ros.codecs.windows import DepthImageConfig
from unipose_ros.joint_sets import ITOP15
from unipose_training.engine.config import RunSettings
from unipose_training.errors import SyntheticError
from unipose_training.losses.projection import project
from unipose_training.samples.dataset import PersonBatch
from unipose_training.synthetic.bank import BodyBank
from unipose_training.synthetic.batch.draw import DrawSettings
from unipose_training.synthetic.batch.torch_renderer import TorchRenderer
from unipose_training.synthetic.stream.dataset import PersonStream, StreamBatches, ValidationPeople, stream_loader
from unipose_training.synthetic.stream.detection import labeled_scenes
from unipose_training.synthetic.stream.people import Inputs, PeopleMaker, divided, with_fewer_children
from unipose_training.synthetic.stream.scenes import Scenes, render_scenes
from unipose_training.synthetic.stream.sensors import SensorSettings
from unipose_training.synthetic.stream.settings import StreamSettings

RUN = RunSettings(steps=12, batch=4, accelerator="cpu")


def _equal(one: PersonBatch, other: PersonBatch) -> bool:
    return all(
        torch.equal(torch.nan_to_num(a.float()), torch.nan_to_num(b.float())) for a, b in zip(one, other, strict=True)
    )


@pytest.fixture(scope="module")
def batches(stream_settings: StreamSettings, stream_inputs: Inputs) -> list[PersonBatch]:
    """All steps of a run."""
    return list(stream_loader(PersonStream(stream_settings, stream_inputs, RUN), RUN))


def test_a_batch_has_what_recipes_read(batches: list[PersonBatch]) -> None:
    assert len(batches) == RUN.steps
    joints = len(ITOP15)
    for batch in batches:
        assert batch.points.shape == (RUN.batch, 1, 256, 3)
        assert batch.ground_truth.shape == batch.lifted.shape == (RUN.batch, 1, joints, 3)
        assert batch.keypoints.shape == (RUN.batch, 1, 17, 3)
        assert batch.visible.dtype == torch.bool
        assert torch.isfinite(batch.ground_truth).all()
        assert torch.isfinite(batch.points).all()
        assert (batch.visible.sum(dim=-1) >= 3).all()


def test_people_are_about_their_own_points(batches: list[PersonBatch]) -> None:
    apart = []
    for batch in batches:
        places = batch.points[:, 0] + batch.centers[:, None]
        apart.append(torch.cdist(batch.ground_truth[:, 0], places).amin(dim=-1)[batch.visible[:, 0]])
        pixels = project(batch.ground_truth, batch.camera)
        assert float((pixels - batch.pixels)[batch.visible].abs().max()) < 0.5
    assert float(torch.cat(apart).median()) < 0.15


def test_no_person_is_seen_twice_beyond_views_and_replays(
    batches: list[PersonBatch], stream_settings: StreamSettings
) -> None:
    ground_truths = [
        tuple(np.round(ground_truth.flatten().tolist(), 4))
        for batch in batches
        for ground_truth in batch.ground_truth[:, 0]
    ]
    most = stream_settings.views * stream_settings.replays
    assert max(Counter(ground_truths).values()) <= most
    clouds = [tuple(np.round(cloud[:5].flatten().tolist(), 4)) for batch in batches for cloud in batch.points[:, 0]]
    assert max(Counter(clouds).values()) <= stream_settings.replays
    chunk = stream_settings.batches * stream_settings.interleave
    earlier = {tuple(np.round(t.flatten().tolist(), 4)) for b in batches[:chunk] for t in b.ground_truth[:, 0]}
    later = {tuple(np.round(t.flatten().tolist(), 4)) for b in batches[chunk : 2 * chunk] for t in b.ground_truth[:, 0]}
    assert not earlier & later


def test_a_run_that_was_broken_off_goes_on_with_the_same_people(
    batches: list[PersonBatch], stream_settings: StreamSettings, stream_inputs: Inputs
) -> None:
    loader = stream_loader(PersonStream(stream_settings, stream_inputs, RUN), RUN)
    assert isinstance(loader.batch_sampler, StreamBatches)
    loader.batch_sampler.begin(7)
    rest = list(loader)
    assert len(rest) == 5
    assert all(_equal(one, other) for one, other in zip(rest, batches[7:], strict=True))


def test_reading_processes_give_the_same_people(
    batches: list[PersonBatch], stream_settings: StreamSettings, stream_inputs: Inputs
) -> None:
    run = replace(RUN, workers=2)
    found = list(stream_loader(PersonStream(stream_settings, stream_inputs, run), run))
    assert all(_equal(one, other) for one, other in zip(found, batches, strict=True))


def test_each_of_two_processes_gets_its_part(
    batches: list[PersonBatch], stream_settings: StreamSettings, stream_inputs: Inputs
) -> None:
    loader = stream_loader(PersonStream(stream_settings, stream_inputs, RUN), RUN)
    assert isinstance(loader.batch_sampler, StreamBatches)
    loader.batch_sampler.begin(0, part=1, parts=2)
    part = next(iter(loader))
    assert torch.equal(part.ground_truth, batches[0].ground_truth[1::2])


def test_other_seeds_are_other_people(
    batches: list[PersonBatch], stream_settings: StreamSettings, stream_inputs: Inputs
) -> None:
    other = PersonStream(stream_settings, stream_inputs, replace(RUN, seed=1)).__getitems__([0, 1, 2, 3])
    assert not _equal(other, batches[0])


def test_kept_chunks_are_the_chunks_that_were_made(
    batches: list[PersonBatch], stream_settings: StreamSettings, stream_inputs: Inputs, tmp_path: Path
) -> None:
    settings = replace(stream_settings, cache=tmp_path)
    for _ in range(2):
        batch = PersonStream(settings, stream_inputs, RUN).__getitems__([0, 1, 2, 3])
        assert _equal(batch, batches[0])
    (kept,) = tmp_path.rglob("*.npz")
    kept.write_bytes(kept.read_bytes()[:1000])
    assert _equal(PersonStream(settings, stream_inputs, RUN).__getitems__([0, 1, 2, 3]), batches[0])
    other = replace(settings, portrait=1.0)
    PersonStream(other, stream_inputs, RUN).__getitems__([0, 1, 2, 3])
    assert len(list(tmp_path.rglob("*.npz"))) == 2


def test_windows_of_depth_belong_to_their_cameras(stream_bank: BodyBank, stream_settings: StreamSettings) -> None:
    maker = PeopleMaker(stream_bank, stream_settings, Inputs(depth=DepthImageConfig(size=64)), torch.device("cpu"))
    batch = maker.make(3, 12)
    assert batch.depth.shape == (12, 1, 64, 64)
    pixels = project(batch.ground_truth, batch.depth_camera)
    inside = ((pixels > 0) & (pixels < 63)).all(dim=-1) & batch.visible
    assert float(inside.float().sum() / batch.visible.float().sum()) > 0.7
    u, v = pixels.round().long().clamp(0, 63).unbind(-1)
    read = batch.depth.flatten(2).gather(2, v * 64 + u)
    behind = (batch.ground_truth[..., 2] - read)[inside & (read > 0)]
    assert 0.0 < float(behind.median()) < 0.15


def test_targets_project_onto_the_persons_own_pixels(stream_scenes: Scenes) -> None:
    labels, people, cameras = stream_scenes.labels, stream_scenes.batch.people, stream_scenes.batch.cameras
    pixels = cameras.project(labels.itop15, people.frames).round().long()
    u, v = pixels[..., 0].clamp(0, cameras.width - 1), pixels[..., 1].clamp(0, cameras.height - 1)
    owner = stream_scenes.rendered.owner[people.frames[:, None], v, u]
    own = owner == people.owners[:, None]
    assert float(own[labels.itop15_seen].float().mean()) > 0.97


def test_validation_people_are_others(
    stream_settings: StreamSettings, stream_inputs: Inputs, stream_bank: BodyBank
) -> None:
    training, kept = (divided(stream_bank, 2, validation=side) for side in (False, True))
    assert len(training.people) + len(kept.people) == len(stream_bank.people)
    assert not {id(person) for person in training.people} & {id(person) for person in kept.people}
    assert not set(training.poses.names) & set(kept.poses.names)
    assert len(training.poses) + len(kept.poses) == len(stream_bank.poses)
    first, again = (ValidationPeople(stream_settings, stream_inputs, RUN) for _ in range(2))
    assert len(first) == stream_settings.validation_people
    numbers = list(range(len(first)))
    assert _equal(first.__getitems__(numbers), again.__getitems__(numbers))


def test_children_are_as_rare_as_is_asked_for(stream_bank: BodyBank) -> None:
    adult = stream_bank.people[0]
    assert np.ptp(adult.vertices[:, 2]) > 1.45
    child = replace(adult, vertices=(0.6 * adult.vertices).astype(np.float32))
    bank = replace(stream_bank, people=(adult, child, adult, child, adult, child, adult))
    for fraction, children in ((0.0, 0), (0.25, 1), (0.34, 2), (1.0, 3)):
        kept = with_fewer_children(bank, fraction).people
        assert sum(person is child for person in kept) == children
        assert sum(person is adult for person in kept) == 4


def test_occluded_people_are_thinned_out(
    stream_bank: BodyBank, stream_settings: StreamSettings, stream_inputs: Inputs
) -> None:
    fractions = []
    for occluded in (0.0, 1.0):
        settings = replace(stream_settings, occluded=occluded, min_joints=3)
        people = PeopleMaker(stream_bank, settings, stream_inputs, torch.device("cpu")).make(1, 60)
        fractions.append(float((people.visible.sum(dim=-1) < 8).float().mean()))
    assert fractions[0] == 0 < fractions[1]


def test_scenes_without_people_are_an_error(stream_bank: BodyBank, stream_settings: StreamSettings) -> None:
    hopeless = replace(stream_settings, draw=DrawSettings(width=32, height=24), min_pixels=10**6, frames=1, views=1)
    maker = PeopleMaker(stream_bank, hopeless, Inputs(points=PointCloudConfig()), torch.device("cpu"))
    with pytest.raises(SyntheticError, match="draw"):
        maker.make(0, 1)


def test_rooms_without_anybody_are_scenes_too(stream_bank: BodyBank) -> None:
    empty = DrawSettings(width=64, height=48, scenes={"empty": 1.0})
    renderer = TorchRenderer(stream_bank, torch.device("cpu"), cull=True)
    scenes = render_scenes(renderer, stream_bank, empty, 0.1, 3, 2)
    depth = scenes.measured(SensorSettings(), torch.Generator().manual_seed(0))
    assert len(scenes.labels.itop15) == 0
    assert [len(scene) for scene in labeled_scenes(scenes, depth, 48.0)] == [0, 0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("views", 0),
        ("interleave", 0),
        ("portrait", 2.0),
        ("occluded", -0.1),
        ("children", 1.1),
        ("max_pixels", (9, 3)),
        ("validation_bodies", 1),
    ],
)
def test_settings_are_checked(name: str, value: object) -> None:
    with pytest.raises(SyntheticError, match=name):
        StreamSettings(draw=DrawSettings(), **{name: value})  # type: ignore[arg-type]  # wrong on purpose
