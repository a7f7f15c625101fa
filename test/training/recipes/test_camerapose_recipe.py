from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from unipose_ros.joint_sets import ITOP15
from unipose_ros.lifting import KeypointRefiner, Lifter
from unipose_ros.networks.lifter import LifterConfig, RefinerConfig
from unipose_ros.networks.registry import load_network
from unipose_ros.networks.weights import WeightsError
from unipose_ros.resources import resource_path
from unipose_training.engine.config import RunSettings, load_config
from unipose_training.mocap.pairs import MotionSource, Observation, PairDataset
from unipose_training.mocap.virtual_cameras import Viewpoints, posed_joints
from unipose_training.recipes.camerapose import CameraPoseRecipe, bone_ratios, run
from unipose_training.synthetic.bank import load_bank
from unipose_training.tasks.lifter import LifterTask, LifterWeights, landmarks_of_joints

BANK = Path(__file__).parents[2] / "data" / "body_bank.npz"
VIEWS = Viewpoints(("d435",), (0.5, 2.0))
TINY = LifterConfig(width=16, blocks=1)
SHORT = RunSettings(steps=2, batch=8, warmup_steps=1, threads=1, accelerator="cpu", validate_every=0)


@pytest.fixture(scope="module")
def poses():
    return posed_joints(load_bank(BANK), 1, seed=0)


def batch_of(poses, *paired: bool):
    sources = [MotionSource(poses, VIEWS, Observation(), paired=pair) for pair in paired]
    return PairDataset(sources, 100, seed=0).__getitems__(list(range(8)))


def task_of(poses, **weights) -> LifterTask:
    torch.manual_seed(0)
    return LifterTask(TINY, LifterWeights(**weights), bone_ratios(poses))


def test_pairs_and_keypoints_alone_have_their_own_terms(poses):
    _, paired = task_of(poses).training_loss(batch_of(poses, True), 0)
    assert set(paired) == {"joints", "scales", "tilt", "paired_reprojection"}
    _, both = task_of(poses).training_loss(batch_of(poses, True, False), 0)
    assert set(both) == {*paired, "reprojection", "bones", "critic"}
    # Nothing real to compare with: no critic, and ground truth that may not be used has no part in the loss.
    total, alone = task_of(poses).training_loss(batch_of(poses, False), 0)
    assert "critic" not in alone
    hidden = batch_of(poses, False)
    again, _ = task_of(poses).training_loss(
        hidden._replace(joints=hidden.joints + 100, rotation=hidden.rotation * 0), 0
    )
    assert total.item() == again.item()


def test_every_part_of_the_network_is_trained_by_keypoints_alone(poses):
    task = task_of(poses)
    task.training_loss(batch_of(poses, False), 0)[0].backward()
    for layer in (task.network.pose, task.network.camera):
        assert layer.weight.grad.abs().max() > 0


def test_a_lifter_that_knows_the_ground_truth_has_no_error(poses):
    task, batch = task_of(poses), batch_of(poses, True)
    perfect = task.network(batch.inputs)._replace(joints=batch.joints, rotation=batch.rotation)
    task.network.forward = lambda _: perfect
    figures = task.eval().validation_metrics(batch)
    assert figures["mpjpe_mm"].max() < 1e-3
    assert figures["tilt_deg"].max() < 0.1
    _, terms = task.training_loss(batch, 0)
    assert terms["joints"] < 1e-6


def test_landmarks_of_joints_are_their_keypoints():
    table = landmarks_of_joints()
    np.testing.assert_allclose(table[ITOP15.index("left_foot")].nonzero().ravel(), [15])
    np.testing.assert_allclose(table[ITOP15.index("head")].sum(), 1)
    assert table[ITOP15.index("neck")].abs().sum() == 0


@pytest.mark.parametrize("target", ["lifter", "refiner"])
def test_a_run_leaves_weights_that_work(tmp_path, target):
    config = CameraPoseRecipe(
        bank=BANK, heldout=BANK, target=target, paired=VIEWS, unpaired=VIEWS, bodies=1, validation_people=8,
        lifter=TINY, refiner=RefinerConfig(width=16, blocks=1), run=SHORT,
    )  # fmt: skip
    outcome = run(config, tmp_path)
    assert outcome.finished
    assert all(np.isfinite(value) for value in outcome.figures.values())
    network, record = load_network(tmp_path / f"{target}.safetensors", target)
    assert record.joint_set == ("itop15" if target == "lifter" else "coco17")
    (Lifter if target == "lifter" else KeypointRefiner)(network)


def test_a_run_goes_on_from_weights(tmp_path):
    begun = CameraPoseRecipe(bank=BANK, paired=VIEWS, bodies=1, lifter=TINY, run=SHORT)
    run(begun, tmp_path / "begun")
    weights = tmp_path / "begun" / "lifter.safetensors"
    still = replace(SHORT, learning_rate=1e-12, weight_decay=0.0)
    run(replace(begun, init_weights=str(weights), run=still), tmp_path / "gone_on")
    first, _ = load_network(weights, "lifter")
    second, _ = load_network(tmp_path / "gone_on" / "lifter.safetensors", "lifter")
    torch.testing.assert_close(first.pose.weight, second.pose.weight)
    with pytest.raises(WeightsError, match="lifter"):
        run(replace(begun, target="refiner", init_weights=str(weights)), tmp_path / "other")


def test_the_shipped_configuration_is_complete():
    shipped = load_config(
        CameraPoseRecipe, resource_path("config", "training", "camerapose.yaml"), ["bank=a.npz", "heldout=b.npz"]
    )
    assert shipped.paired is not None
    assert not set(shipped.paired.kinds) & set(shipped.views.kinds)


def test_nothing_to_learn_from_is_refused():
    good = CameraPoseRecipe(bank=BANK, paired=VIEWS)
    with pytest.raises(ValueError, match="all empty"):
        replace(good, paired=None)
    with pytest.raises(ValueError, match="unknown"):
        replace(good, unknown=2.0)
    with pytest.raises(ValueError, match="tilt"):
        LifterWeights(tilt=-1.0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_run_on_a_gpu(tmp_path):
    fast = replace(SHORT, accelerator="gpu", precision="bf16-mixed")
    config = CameraPoseRecipe(bank=BANK, paired=VIEWS, unpaired=VIEWS, bodies=1, lifter=TINY, run=fast)
    assert run(config, tmp_path).finished
