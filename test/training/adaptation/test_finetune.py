"""Fine-tuning on pseudo-labels beside source people: batches, and weights that are the same twice and after a kill."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_stream import STREAM
from tiny_networks import TINY

from unipose_ros.files import file_sha256
from unipose_ros.networks.points import PointNetwork
from unipose_ros.networks.registry import build_network, load_network, save_network
from unipose_training.adaptation import finetune as module
from unipose_training.adaptation.finetune import Provenance, finetune, run_settings, target_of
from unipose_training.adaptation.lift import MixedPeople, PseudoLabels, mixed_loader
from unipose_training.adaptation.mixing import SHARES
from unipose_training.adaptation.settings import AdaptSettings, GateSettings
from unipose_training.engine.config import RunSettings
from unipose_training.samples.store import SampleStore
from unipose_training.tasks.base import model_card
from unipose_training.tasks.networks import TRAINED
from unipose_training.tasks.supervised import SupervisedWeights

SETTINGS = AdaptSettings(budget_minutes=0.02, batch=4, threads=1, gate=GateSettings(source_people=8))


@pytest.fixture(autouse=True)
def time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that its clock ends need not give the same weights."""
    monkeypatch.setattr(AdaptSettings, "most_minutes", lambda settings: 10.0)


def labels_of(store: SampleStore) -> PseudoLabels:
    joints = np.array(store["ground_truth"]) + 0.5  # no one's ground truth
    stds = np.full((len(store), 15), 0.03, np.float32)
    stds[:, 3] = 0.5
    good = np.ones(len(store), np.bool_)
    good[0] = False
    return PseudoLabels(joints.astype(np.float32), stds, good)


def mixed(store: SampleStore, replayed: int, steps: int = 3) -> MixedPeople:
    run = RunSettings(steps=steps, batch=4, accelerator="cpu")
    network = PointNetwork(TINY["points"])
    return MixedPeople(
        store, labels_of(store), ("points",), None, STREAM, TRAINED["points"].stream_inputs(network), run, replayed
    )


def test_batches_have_both_kinds_of_people_and_never_the_stores_ground_truth(store: SampleStore) -> None:
    people = mixed(store, 2)
    labels, run = labels_of(store), RunSettings(steps=3, batch=4, accelerator="cpu")
    stored, rendered = people._people, people._stream
    assert stored is not None
    assert rendered is not None
    store_points = np.array(store["points"]).shape[1]
    if store_points != TINY["points"].points:  # the store has other clouds than the network: only labels are compared
        people = mixed(store, 0)
    for batch in mixed_loader(people, run):
        own = batch.rows[: 4 - people._replayed]
        assert 0 not in own.tolist()
        expected = torch.from_numpy(labels.joints)[own]
        expected[:, 3] = torch.nan
        assert torch.equal(batch.ground_truth[: len(own), 0].nan_to_num(9), expected.nan_to_num(9))
        assert batch.visible[: len(own)].all()


def test_targets_know_how_wrong_pseudo_labels_may_be(store: SampleStore) -> None:
    people = mixed(store, 0)
    batch = people.__getitems__([0, 1, 2, 3])
    scales = target_of(batch, SupervisedWeights()).log_scales
    assert torch.allclose(scales.exp()[..., 0], torch.tensor(0.03 / 2**0.5))
    source = batch._replace(lifted_variance=torch.zeros_like(batch.lifted_variance))
    assert torch.isneginf(target_of(source, SupervisedWeights()).log_scales).all()


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    network = PointNetwork(replace(TINY["points"], points=256, centers=32))
    path = tmp_path / "parent.safetensors"
    card = replace(model_card("points", "x", "parents", {"verifier.bias": 1.0, "temperature": 2.0, "mpjpe": 3.0}))
    save_network(path, network, network.config, card)
    return path


def adapt(folder: Path, parent: Path, store: SampleStore) -> Path:
    finetune(folder, "points", parent, store, labels_of(store), STREAM, SETTINGS, Provenance("a recording", "parent"))
    return folder / "points.safetensors"


def test_two_runs_give_the_same_bits_and_the_card_says_where_they_come_from(
    tmp_path: Path, parent: Path, store: SampleStore
) -> None:
    first, second = (adapt(tmp_path / name, parent, store) for name in ("a", "b"))
    assert file_sha256(first) == file_sha256(second)
    new, card = load_network(first, "points")
    old, _ = load_network(parent, "points")
    assert any(not torch.equal(a, b) for a, b in zip(new.parameters(), old.parameters(), strict=True))
    assert "a recording" in card.training_data
    assert "begun from parent" in card.training_data
    assert card.metrics == {"verifier.bias": 1.0, "temperature": 2.0}


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(
    tmp_path: Path, parent: Path, store: SampleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = adapt(tmp_path / "whole", parent, store)
    full = run_settings(SETTINGS, "points")
    real = module.train

    def killed(task, training, validation, settings, output):  # type: ignore[no-untyped-def]
        steps = iter(training)

        class Cut:
            batch_sampler = training.batch_sampler

            def __iter__(self):  # type: ignore[no-untyped-def]
                for _ in range(3):
                    yield next(steps)
                raise KeyboardInterrupt

        return real(task, Cut(), validation, replace(settings, checkpoint_every=2), output)

    monkeypatch.setattr(module, "train", killed)
    with pytest.raises(KeyboardInterrupt):
        adapt(tmp_path / "parts", parent, store)
    monkeypatch.setattr(module, "train", real)
    assert full.steps > 3
    assert not (tmp_path / "parts" / "points.safetensors").exists()
    assert file_sha256(adapt(tmp_path / "parts", parent, store)) == file_sha256(whole)


def test_a_network_of_depth_images_is_adapted_too(tmp_path: Path, store: SampleStore) -> None:
    torch.manual_seed(0)
    config = replace(TINY["depth"], size=48)  # as the store's windows
    network = build_network("depth", asdict(config))
    parent = tmp_path / "depth.safetensors"
    save_network(parent, network, config, model_card("depth", "x", "parents", {}))
    provenance = Provenance("a recording", "parent")
    facts = finetune(tmp_path / "out", "depth", parent, store, labels_of(store), STREAM, SETTINGS, provenance)
    assert load_network(tmp_path / "out" / "depth.safetensors", "depth")
    mixture = facts["mixture"]
    assert mixture["recording_before"] > 0
    assert mixture["share"] in SHARES
