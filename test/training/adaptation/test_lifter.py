"""Modality ``rgb`` adapted: whose keypoints are trained on, with what, and weights that are the same twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_stream import STREAM

from unipose_ros.camera import Camera, project
from unipose_ros.codecs.keypoints import view_keypoints
from unipose_ros.config import DetectionConfig
from unipose_ros.detection import visible_keypoints
from unipose_ros.files import file_sha256
from unipose_ros.frame import RgbdFrame
from unipose_ros.joint_sets import COCO17, COCO23, ITOP15, convert_joints
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.networks.lifter import LifterConfig, LifterNetwork
from unipose_ros.networks.registry import load_network, save_network
from unipose_ros.networks.weights import ModelCard
from unipose_training.adaptation import lifter as module
from unipose_training.adaptation.finetune import Provenance
from unipose_training.adaptation.lift import PseudoLabels
from unipose_training.adaptation.lifter import (
    AdaptedLifter,
    MixedSightings,
    RecordedPeople,
    finetune_lifter,
    gravity,
    in_the_lifters_size,
    lifter_run,
    lifter_source_error,
    mirrored,
    mounted_views,
    people_as_pairs,
    recorded_people,
    source_sightings,
)
from unipose_training.adaptation.mounting import EstimatedMounting
from unipose_training.adaptation.settings import AdaptSettings, GateSettings
from unipose_training.datasets.keypoint_files import KeypointLabels, LabelerId
from unipose_training.errors import AdaptationError
from unipose_training.mocap.pairs import upright_rotations
from unipose_training.mocap.virtual_cameras import Viewpoints, posed_joints, sample_sightings
from unipose_training.synthetic.bank import load_bank
from unipose_training.synthetic.batch.placing import Mounting
from unipose_training.tasks.lifter import landmarks_of_joints

CAMERA = Camera(fx=525, fy=525, cx=319.5, cy=239.5, width=640, height=480)
SETTINGS = AdaptSettings(
    modalities=("rgb",), most_steps=4, batch=2, threads=1, gate=GateSettings(source_people=8), learning_rate=5e-3
)
MOUNTING = Mounting(0.5, 2.2, 35.0, 0.0, 0.82)


@pytest.fixture(scope="module")
def sightings():
    """Twelve people before cameras that look 35 degrees down."""
    poses = posed_joints(load_bank(STREAM.bank_file), 1, seed=0)
    views = Viewpoints(("kinect_v1",), (2.0, 2.2), (1.5, 3.5), roll_std=0.0, tilt=(35.0, 35.0))
    return sample_sightings(np.random.default_rng(1), poses, views, 12)


def itop(joints: np.ndarray) -> np.ndarray:
    return np.asarray(convert_joints(joints, COCO23, ITOP15)[0])


def keypoints_of(sightings) -> Keypoints2D:
    """As a 2D network that does not err, in the image of CAMERA."""
    pixels = project(CAMERA, sightings.joints[:, :17]).astype(np.float32)
    sure = np.random.default_rng(2).uniform(0.6, 0.9, (len(pixels), 17)).astype(np.float32)
    boxes = np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=1)
    return Keypoints2D(pixels, sure, np.full(len(pixels), 0.9, np.float32), boxes, COCO17)


@pytest.fixture
def pairs(sightings):
    return people_as_pairs(CAMERA, keypoints_of(sightings), itop(sightings.joints), gravity(35.0, 0.0), None)


def test_the_mounting_tells_gravity_and_the_upright_frame(sightings, pairs) -> None:
    assert np.allclose(sightings.gravity, gravity(35.0, 0.0), atol=1e-6)
    assert np.allclose(gravity(0.0, 0.0), [0, 1, 0])
    assert gravity(0.0, 10.0)[0] > 0
    # In the upright frame feet are below heads.
    upright = (pairs.joints @ pairs.rotation).numpy()
    foot, head = ITOP15.index("left_foot"), ITOP15.index("head")
    assert (upright[:, foot, 1] > upright[:, head, 1]).mean() > 0.9


def test_true_joints_reproject_onto_their_keypoints(sightings, pairs) -> None:
    hips = itop(sightings.joints)[:, module._HIPS].mean(axis=1)
    joints = (
        pairs.joints + torch.from_numpy(np.einsum("nij,nj->ni", _turns(sightings), hips).astype(np.float32))[:, None]
    )
    plane = joints[..., :2] / joints[..., 2:] / pairs.sizes[:, None, None]
    table = landmarks_of_joints()
    wanted = torch.einsum("jk,bkc->bjc", table, pairs.keypoints)
    shown = pairs.labeled.all(dim=1)
    direct = [ITOP15.index(f"{side}_{part}") for side in ("left", "right") for part in ("hip", "knee", "shoulder")]
    assert shown.any()
    assert (plane - wanted)[shown][:, direct].abs().max() < 1e-3


def _turns(sightings) -> np.ndarray:
    people = keypoints_of(sightings)
    return view_keypoints(CAMERA, people.pixels, visible_keypoints(people, 640, 480, DetectionConfig())).turns


def test_a_mirror_twice_is_none_and_once_is_another_valid_view(pairs) -> None:
    once = mirrored(pairs)
    for before, after in zip(pairs, mirrored(once), strict=True):
        assert torch.equal(before, after)
    left, right = ITOP15.index("left_hand"), ITOP15.index("right_hand")
    assert torch.equal(once.joints[:, left, 0], -pairs.joints[:, right, 0])
    # The same as people in front of the mirrored camera would be coded.
    down = (pairs.rotation @ torch.tensor([0.0, 1.0, 0.0])) * torch.tensor([-1.0, 1.0, 1.0])
    assert np.allclose(once.rotation.numpy(), upright_rotations(down.double().numpy()), atol=1e-5)
    assert torch.allclose(torch.linalg.det(once.rotation), torch.ones(len(pairs.rows)), atol=1e-5)


class Part:
    """A clip of which only the camera counts."""

    name = "room/adaptation"

    def frames(self) -> Iterator[RgbdFrame]:
        yield RgbdFrame(1, "camera", CAMERA, np.zeros((480, 640), np.float32), None)


def labels_and_store(sightings, good: int) -> tuple[KeypointLabels, dict[str, np.ndarray], PseudoLabels]:
    """One person a frame; the store has all but the last of them, with pseudo-labels of the first ones."""
    people = keypoints_of(sightings)
    count = len(people)
    stamps = np.arange(1, count + 1, dtype=np.int64)
    labels = KeypointLabels("room/adaptation", LabelerId("x"), stamps, np.arange(count + 1), people)
    rows = count - 1
    store = {
        "clip": np.zeros(rows, np.int32), "stamp_ns": stamps[:rows],
        "keypoints": np.concatenate([people.pixels, people.confidences[..., None]], axis=-1)[:rows],
    }  # fmt: skip
    stds = np.full((rows, 15), 0.03, np.float32)
    stds[:, 3] = 0.5
    fused = PseudoLabels(itop(sightings.joints)[:rows].astype(np.float32), stds, np.arange(rows) < good)
    return labels, store, fused


def test_people_without_a_3d_label_are_trained_on_too_and_uncertain_joints_are_not(sightings) -> None:
    labels, store, fused = labels_and_store(sightings, good=5)
    mounting = EstimatedMounting(2.1, 35.0, 0.0, 20)
    found = recorded_people([Part()], [labels], store, fused, mounting)  # type: ignore[list-item, arg-type]
    assert len(found.batch.rows) == len(sightings.joints)
    assert found.labeled == 5
    assert found.batch.joints[:5, 3].isnan().all()
    assert found.batch.joints[:5, 4].isfinite().all()
    assert found.batch.joints[5:].isnan().all()
    assert found.batch.rotation.isfinite().all()
    assert 1.0 < found.distances[0] < found.distances[1] < 4.5
    unknown = recorded_people([Part()], [labels], store, fused, None)  # type: ignore[list-item, arg-type]
    assert unknown.batch.rotation.isnan().all()


def test_no_one_who_can_be_lifted(sightings) -> None:
    labels, store, fused = labels_and_store(sightings, good=5)
    unseen = replace(labels, people=replace(labels.people, confidences=np.zeros_like(labels.people.confidences)))
    with pytest.raises(AdaptationError, match="no one"):
        recorded_people([Part()], [unseen], store, fused, None)  # type: ignore[list-item, arg-type]


def task_of(pairs) -> AdaptedLifter:
    torch.manual_seed(0)
    return AdaptedLifter(LifterNetwork(LifterConfig(width=16, blocks=1)), torch.rand(len(ITOP15.bones), 2) + 0.1)


def test_unknown_joints_and_cameras_have_no_part_in_the_loss(pairs) -> None:
    task, half = task_of(pairs), torch.arange(len(pairs.rows)) < 6
    joints = pairs.joints.masked_fill(~half[:, None, None], torch.nan)
    rotation = pairs.rotation.masked_fill(~half[:, None, None], torch.nan)
    batch = pairs._replace(joints=joints, rotation=rotation, paired=half)
    total, _ = task.training_loss(batch, 0)
    total.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in task.parameters())
    assert total.isfinite()
    first = pairs._replace(**{name: value[:6] for name, value in pairs._asdict().items()})
    task.eval()  # what one person is normalized by would hang on the others
    _, terms = task.training_loss(batch, 0)
    _, alone = task.training_loss(first, 0)
    # Means are over the whole batch: half of it tells half as much.
    for name in ("joints", "scales", "tilt"):
        assert terms[name].item() == pytest.approx(alone[name].item() / 2, rel=1e-4)
    figures = task.validation_metrics(batch)["mpjpe_mm"]
    assert figures[:6].isfinite().all()
    assert figures[6:].isnan().all()


def test_the_mounting_trains_the_camera_branch_without_any_3d_label(pairs) -> None:
    task = task_of(pairs)
    alone = pairs._replace(joints=torch.full_like(pairs.joints, torch.nan), paired=torch.zeros(len(pairs.rows)).bool())
    _, terms = task.training_loss(alone, 0)
    assert terms["tilt"] > 0.1
    assert {"reprojection", "bones"} <= set(terms)
    terms["tilt"].backward()
    assert task.network.camera.weight.grad is not None
    assert task.network.camera.weight.grad.abs().max() > 0


def test_left_and_right_are_asked_to_be_alike(pairs) -> None:
    task = task_of(pairs)
    _, terms = task.training_loss(pairs, 0)
    assert terms["symmetry"] > 0
    lifted = task.network(pairs.inputs)
    even = pairs.joints + pairs.joints[:, list(ITOP15.mirror)] * torch.tensor([-1.0, 1.0, 1.0])
    task.network.forward = lambda _: lifted._replace(joints=even)  # type: ignore[method-assign]
    assert task.training_loss(pairs, 0)[1]["symmetry"] < 1e-6


def test_half_of_the_source_people_stand_before_the_recordings_camera() -> None:
    poses = posed_joints(load_bank(STREAM.bank_file), 1, seed=0)
    stream = replace(STREAM, draw=replace(STREAM.draw, mounting=MOUNTING))
    (fraction, mounted), (rest, plain) = source_sightings(poses, stream, (1.5, 3.5))
    assert fraction == rest == 0.5
    assert mounted.views.kinds == ("kinect_v1",)
    assert mounted.views.tilt == (31.0, 39.0)
    assert plain.views.tilt is None
    # A camera that looks at the floor, and people far away: no one would be seen.
    blind = replace(STREAM, draw=replace(STREAM.draw, mounting=replace(MOUNTING, pitch=80.0)))
    assert [share for share, _ in source_sightings(poses, blind, (5.0, 6.0))] == [1.0]
    assert mounted_views(replace(MOUNTING, focal=0.4), (1.0, 2.0)).kinds == ("zed2",)


def test_batches_are_a_function_of_the_step_and_hold_both_kinds(pairs) -> None:
    poses = posed_joints(load_bank(STREAM.bank_file), 1, seed=0)
    run = lifter_run(SETTINGS)
    mixed = MixedSightings(pairs, source_sightings(poses, STREAM, (1.5, 3.5)), run, 10)
    first, again, other = (mixed.__getitems__([step * run.batch]) for step in (1, 1, 2))
    assert len(first.rows) == run.batch == 16
    for one, two in zip(first, again, strict=True):
        assert torch.equal(one, two)
    assert not torch.equal(first.inputs, other.inputs)
    known = {row.numpy().tobytes() for row in torch.cat([pairs.keypoints, mirrored(pairs).keypoints])}
    own = [row.numpy().tobytes() in known for row in first.keypoints]
    assert sum(own) == 6
    # What the lifter reads of them is moved a little, and what it is to learn is not.
    given, wanted = first.inputs[:6, :51].reshape(-1, 17, 3), first.keypoints[:6]
    kept = given[..., 2] > 0
    assert 0.01 < (given[..., :2] - wanted)[kept].abs().mean() < 0.1
    assert (given[~kept] == 0).all()


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = LifterNetwork(LifterConfig(width=16, blocks=1))
    path = tmp_path / "parent.safetensors"
    save_network(path, network, network.config, ModelCard("lifter", {}, "itop15", "x", "parents", "x", {"mpjpe": 3.0}))
    return path


def adapt(folder: Path, parent: Path, pairs, settings: AdaptSettings = SETTINGS) -> Path:
    stream = replace(STREAM, draw=replace(STREAM.draw, mounting=MOUNTING))
    people = RecordedPeople(pairs, (1.5, 3.5))
    facts = finetune_lifter(folder, parent, people, stream, settings, Provenance("a recording", "parent"))
    assert facts["people_with_3d"] == len(pairs.rows)
    assert facts["mounted_replay"]
    return folder / "lifter.safetensors"


def test_two_runs_give_the_same_bits_and_the_card_says_where_they_come_from(
    tmp_path: Path, parent: Path, pairs
) -> None:
    first, second = (adapt(tmp_path / name, parent, pairs) for name in ("a", "b"))
    assert file_sha256(first) == file_sha256(second)
    old, _ = load_network(parent, "lifter")
    new, card = load_network(first, "lifter")
    assert any(not torch.equal(a, b) for a, b in zip(new.parameters(), old.parameters(), strict=True))
    assert "a recording" in card.training_data
    assert "begun from parent" in card.training_data
    assert card.network == "lifter"


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(
    tmp_path: Path, parent: Path, pairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, real = adapt(tmp_path / "whole", parent, pairs), module.train

    def killed(task, training, validation, settings, output):  # type: ignore[no-untyped-def]
        steps = iter(training)

        class Cut:
            batch_sampler = training.batch_sampler

            def __iter__(self):  # type: ignore[no-untyped-def]
                yield next(steps)
                yield next(steps)
                raise KeyboardInterrupt

        return real(task, Cut(), validation, replace(settings, checkpoint_every=1), output)

    monkeypatch.setattr(module, "train", killed)
    with pytest.raises(KeyboardInterrupt):
        adapt(tmp_path / "parts", parent, pairs)
    assert not (tmp_path / "parts" / "lifter.safetensors").exists()
    monkeypatch.setattr(module, "train", real)
    assert file_sha256(adapt(tmp_path / "parts", parent, pairs)) == file_sha256(whole)


def test_people_have_the_size_that_the_lifter_believes(pairs) -> None:
    network = task_of(pairs).network
    batch = pairs._replace(joints=pairs.joints.clone())
    batch.joints[0] = torch.nan
    scaled, factor = in_the_lifters_size(network, batch)
    _, again = in_the_lifters_size(network, scaled)
    assert factor != pytest.approx(1.0, abs=0.01)
    assert again == pytest.approx(1.0, abs=1e-5)
    assert torch.equal(scaled.joints[1:], factor * pairs.joints[1:])
    unknown = pairs._replace(joints=torch.full_like(pairs.joints, torch.nan))
    assert in_the_lifters_size(network, unknown)[1] == 1.0


def test_the_source_benchmark_is_the_same_for_every_recording(parent: Path) -> None:
    mounted = replace(STREAM, draw=replace(STREAM.draw, mounting=MOUNTING))
    first, second = lifter_source_error(parent, STREAM), lifter_source_error(parent, mounted)
    assert first == second
    assert first["mpjpe_mm"] > 100  # of a network that never learned anything


def test_the_budget_buys_steps_up_to_what_a_recording_is_good_for() -> None:
    assert AdaptSettings(modalities=("rgb",), budget_minutes=30).steps("rgb") == 1500
    assert AdaptSettings(modalities=("rgb",), budget_minutes=1).steps("rgb") < 1500
