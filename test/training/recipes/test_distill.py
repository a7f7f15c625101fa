"""Stage B: training, students, mutual losses, and whole runs of tiny networks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from unipose_ros.codecs.windows import DepthImageConfig
from unipose_ros.joint_sets import ITOP15
from unipose_ros.networks import points as point_sizes
from unipose_ros.networks.anchors import DEPTH_SIZES, RGB_SIZES, AnchorNetwork, AnchorNetworkConfig, AnchorVotes
from unipose_ros.networks.points import PointNetwork, PointNetworkConfig
from unipose_ros.networks.registry import load_network, save_network
from unipose_ros.networks.weights import ModelCard
from unipose_training.engine.config import RunSettings
from unipose_training.errors import DataError
from unipose_training.losses.projection import project
from unipose_training.pseudo_labels.fusion import FusionSettings
from unipose_training.pseudo_labels.teacher import TeacherNetwork, measure_quality, teacher_predictions
from unipose_training.recipes.distill import DistillConfig, run
from unipose_training.samples.augment_points import NO_AUGMENTATION as SAME_POINTS
from unipose_training.samples.augment_windows import (
    NO_NOISE,
    KeypointNoise,
    Warp,
    WindowAugmentation,
    Windows,
    corrupt_keypoints,
    to_window,
    warp_joints,
    window_keypoints,
)
from unipose_training.samples.dataset import PersonBatch, PersonDataset
from unipose_training.samples.store import GROUND_TRUTH, SampleStore, StoredClip, StoreWriter, stacked
from unipose_training.tasks.points import Prediction
from unipose_training.tasks.students import (
    PointStudent,
    StudentLossWeights,
    Target,
    WindowStudent,
    ground_truth_target,
    scale_term,
)
from unipose_training.tasks.supervised import DistillationTargets, DistillTask

SIZE = 32
POINTS = PointNetworkConfig(
    points=64, centers=8, neighbors=4, width=16, edge=(8,), layers=1, heads=2, head_width=8, hidden=16
)
SMALL = AnchorNetworkConfig(size=SIZE, widths=(8, 8, 8, 8), blocks=(1, 1, 1), head_width=8)
MIRROR = torch.tensor(ITOP15.mirror)
CLIPS, ROWS = 4, 5


def row(random: np.random.Generator) -> dict[str, np.ndarray]:
    """A person at 2.5 m in the middle of a small image; keypoints and lifted joints are a little off."""
    camera = np.array([60.0, 60.0, 32.0, 32.0], np.float32)
    ground_truth = (random.normal(0, 0.3, (15, 3)) + [0, 0, 2.5]).astype(np.float32)
    lifted = ground_truth + random.normal(0, 0.02, (15, 3)).astype(np.float32)
    pixels = (lifted[:, :2] / lifted[:, 2:] * camera[:2] + camera[2:]).astype(np.float32)
    points = np.repeat(ground_truth, 5, axis=0)[:64] + random.normal(0, 0.03, (64, 3)) - [0, 0, 2.5]
    window = np.array([32, 32, 57.6, 57.6], np.float32)
    return {
        "points": points.astype(np.float16),
        "center": np.array([0, 0, 2.5], np.float32),
        "depth": random.integers(2000, 3000, (SIZE, SIZE)).astype(np.uint16),
        "depth_window": window,
        "color": random.integers(0, 255, (SIZE, SIZE, 3)).astype(np.uint8),
        "color_window": window,
        "keypoints": np.zeros((17, 3), np.float32),
        "pixels": pixels,
        "confidence": random.uniform(0.3, 1, 15).astype(np.float32),
        "score": np.array(0.9, np.float32),
        "lifted": lifted,
        "lifted_variance": np.full(15, 0.002, np.float32),
        "lifted_status": np.ones(15, np.uint8),
        "lifted_confidence": np.full(15, 0.8, np.float32),
        "size": np.array(1.0, np.float32),
        "ground_truth": ground_truth,
        "visible": np.ones(15, np.uint8),
        "box": np.array([3, 3, 60, 60], np.float32),
        "distance": np.array(2.5, np.float32),
        "camera": camera,
        "image_size": np.array([64, 64], np.int32),
        "stamp_ns": np.array(random.integers(2**40), np.int64),
        "frame": np.array(0, np.int32),
        "previous": np.array(-1, np.int64),
    }


def build(folder: Path, teacher: str = "a 2D network", blind: bool = False) -> SampleStore:
    random = np.random.default_rng(0)
    writer = StoreWriter(folder, {"points": {"centers": 8}}, {"name": teacher})
    for clip in range(CLIPS):
        rows = stacked([row(random) for _ in range(ROWS)])
        if blind:
            rows["ground_truth"], rows["visible"] = (
                np.full_like(rows["ground_truth"], np.nan),
                np.zeros_like(rows["visible"]),
            )
        writer.append(StoredClip(f"clip{clip}", "single", ROWS, ROWS, 0), rows)
    return SampleStore(folder)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SampleStore:
    return build(tmp_path_factory.mktemp("store"))


@pytest.fixture
def small_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    for sizes, channels in ((DEPTH_SIZES, 1), (RGB_SIZES, 3)):
        monkeypatch.setitem(sizes, "small", replace(SMALL, channels=channels))
    monkeypatch.setitem(point_sizes.SIZES, "small", POINTS)


def batch_of(store: SampleStore) -> PersonBatch:
    return PersonDataset(store, inputs=("points", "depth", "color")).__getitems__(range(len(store)))


def ground_truth_of(batch: PersonBatch) -> Target:
    return ground_truth_target(batch.ground_truth[:, -1], torch.ones(1))


def depth_student(kind: type[WindowStudent] = WindowStudent, local: int = 0) -> WindowStudent:
    torch.manual_seed(0)
    network = AnchorNetwork(replace(SMALL, local=local))
    return kind(network, WindowAugmentation(), DepthImageConfig(size=SIZE), KeypointNoise(), StudentLossWeights())


def point_student() -> PointStudent:
    torch.manual_seed(0)
    return PointStudent(PointNetwork(POINTS), SAME_POINTS, 8, StudentLossWeights())


class _Knowing(WindowStudent):
    """Votes for the target of what it sees."""

    def _forward(
        self, network: AnchorNetwork, batch: PersonBatch, windows: Windows, warp: Warp, noise: KeypointNoise
    ) -> AnchorVotes:
        pixels, depths = to_window(warp_joints(batch.ground_truth[:, -1], warp, self.mirror), windows)
        nothing = torch.zeros(*depths.shape, 6)
        return AnchorVotes(pixels, depths, torch.zeros_like(depths), nothing, pixels)


def test_who_votes_right_in_a_changed_window_is_right_in_the_camera(store: SampleStore) -> None:
    torch.manual_seed(3)
    batch = batch_of(store)
    prediction, terms = depth_student(_Knowing).forward_train(batch, ground_truth_of(batch))
    assert (prediction.joints[:, 0] - batch.ground_truth[:, -1]).abs().max() < 1e-4
    assert terms["regression"] < 1e-4
    # What lies beyond the window is not asked of the anchors.
    inside = (project(batch.ground_truth[:, -1], batch.depth_camera[:, -1]) - SIZE / 2).abs().amax() < SIZE / 4
    assert not inside or terms["anchor"] < 1e-4
    assert (depth_student(_Knowing).predict_ema(batch).joints[:, 0] - batch.ground_truth[:, -1]).abs().max() < 1e-4


@pytest.mark.parametrize("local", [0, 8])
def test_a_student_learns_and_its_average_only_follows(store: SampleStore, local: int) -> None:
    student, batch = depth_student(local=local).train(), batch_of(store)
    assert student.network.training
    assert not student.averaged.training
    _, terms = student.forward_train(batch, ground_truth_of(batch))
    torch.stack(list(terms.values())).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in student.network.parameters())
    assert all(p.grad is None for p in student.averaged.parameters())
    before = student.averaged.stem[0].weight.clone()
    with torch.no_grad():
        student.network.stem[0].weight += 1
    student.update_ema(0.9, step=1000)
    assert torch.allclose(student.averaged.stem[0].weight, before + 0.1)


def test_a_student_that_repeats_its_teacher_is_as_sure_as_the_teacher() -> None:
    target = Target(torch.zeros(1, 1, 3), torch.tensor([[-2.0]]), torch.ones(1, 1))
    losses = []
    for scale in (-2.3, -2.0, -1.7):
        losses.append(scale_term(torch.zeros(1, 1, 3), torch.full((1, 1), scale), target).item())
    assert losses[1] == min(losses)


def targets(store: SampleStore, labeled: tuple[int, ...] = ()) -> DistillationTargets:
    rows = len(store)
    chosen = torch.zeros(rows, dtype=torch.bool)
    chosen[list(labeled)] = True
    joints = torch.from_numpy(np.array(store["lifted"]))
    return DistillationTargets(joints, torch.full((rows, 15), -3.0), torch.full((rows, 15), 0.2), chosen)


def test_true_joints_replace_pseudo_labels_where_rows_are_labeled(store: SampleStore) -> None:
    task = DistillTask({"depth": depth_student()}, targets(store, (0, 1)), "depth", 0.0, 0.9)
    batch = batch_of(store)
    batch.ground_truth[1, -1, 4] = torch.nan
    target = task.target(batch)
    assert torch.equal(target.joints[0], batch.ground_truth[0, -1])
    assert target.weights[0].tolist() == [1.0] * 15
    assert torch.equal(target.joints[1, 4], batch.lifted[1, -1, 4])
    assert torch.equal(target.joints[2:], batch.lifted[2:, -1])
    assert (target.weights[2:] == 0.2).all()


def test_students_follow_each_others_averages(store: SampleStore) -> None:
    students = {"depth": depth_student(), "points": point_student()}
    task = DistillTask(students, targets(store), "depth", 0.5, 0.9).train()
    loss, terms = task.training_loss(batch_of(store), 0)
    assert {"depth_consistent_with_points", "points_consistent_with_depth", "points_joints", "depth_regression"} <= set(
        terms
    )
    assert loss.item() == pytest.approx(sum(value.item() for value in terms.values()), rel=1e-5)
    mutual = terms["depth_consistent_with_points"]
    own = torch.autograd.grad(mutual, _weights(students["depth"]), retain_graph=True, allow_unused=True)
    assert any(gradient is not None and gradient.any() for gradient in own)
    others = torch.autograd.grad(mutual, _weights(students["points"]), allow_unused=True)
    assert all(gradient is None for gradient in others)


def _weights(student: torch.nn.Module) -> list[Tensor]:
    return [p for p in student.network.parameters() if p.requires_grad]  # type: ignore[union-attr]


def test_students_that_predict_the_same_agree(store: SampleStore) -> None:
    class _Same(PointStudent):
        def predict_ema(self, batch: PersonBatch) -> Prediction:
            return Prediction(batch.ground_truth, torch.full(batch.ground_truth.shape[:3], -3.0))

        def forward_train(self, batch: PersonBatch, target: Target) -> tuple[Prediction, dict[str, Tensor]]:
            return self.predict_ema(batch), {"joints": torch.zeros(())}

    students = {name: _Same(PointNetwork(POINTS), SAME_POINTS, 8, StudentLossWeights()) for name in ("points", "rgb")}
    _, terms = DistillTask(students, targets(store), "rgb", 1.0, 0.9).training_loss(batch_of(store), 0)
    assert terms["rgb_consistent_with_points"].item() == 0


def test_keypoints_lie_where_the_joints_are_in_a_changed_window(store: SampleStore) -> None:
    seen = []

    class _Reading(WindowStudent):
        def _forward(
            self, network: AnchorNetwork, batch: PersonBatch, windows: Windows, warp: Warp, noise: KeypointNoise
        ) -> AnchorVotes:
            places, _ = to_window(warp_joints(batch.lifted[:, -1], warp, MIRROR), windows)
            seen.append((window_keypoints(batch, windows, warp, MIRROR), places, warp))
            return super()._forward(network, batch, windows, warp, noise)

    torch.manual_seed(5)
    batch = batch_of(store)
    depth_student(_Reading).forward_train(batch, ground_truth_of(batch))
    keypoints, places, warp = seen[0]
    assert (keypoints[..., :2] - places).abs().max() < 1e-2
    mirrored = torch.linalg.det(warp.across) < 0
    assert 0 < mirrored.sum() < len(mirrored)
    confidence = batch.confidence[:, -1]
    assert torch.equal(keypoints[~mirrored, :, 2], confidence[~mirrored])
    assert torch.equal(keypoints[mirrored, :, 2], confidence[mirrored][:, MIRROR])


def test_keypoints_are_made_worse_as_told() -> None:
    torch.manual_seed(0)
    keypoints = torch.cat([64 * torch.rand(200, 15, 2), torch.full((200, 15, 1), 0.7)], dim=-1)
    assert torch.equal(corrupt_keypoints(keypoints, NO_NOISE, 64, MIRROR), keypoints)
    assert corrupt_keypoints(keypoints, replace(NO_NOISE, lost=1.0), 64, MIRROR)[..., 2].max() == 0
    assert torch.equal(corrupt_keypoints(keypoints, replace(NO_NOISE, swapped=1.0), 64, MIRROR), keypoints[:, MIRROR])
    moved = (corrupt_keypoints(keypoints, replace(NO_NOISE, wrong=0.5, reach=0.25), 64, MIRROR) - keypoints)[
        ..., :2
    ].norm(dim=-1)
    assert moved.max() <= 16
    assert 0.4 < (moved > 0).float().mean() < 0.6


def test_a_missing_keypoint_is_known_to_be_missing(store: SampleStore) -> None:
    batch = batch_of(store)
    batch.pixels[:, -1, 3] = torch.nan
    student = depth_student(local=8)
    prediction = student.predict_ema(batch)
    assert prediction.joints.isfinite().all()


def test_a_teacher_is_asked_once(store: SampleStore, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    teacher = TeacherNetwork(PointNetwork(POINTS).eval(), "abc")
    first = teacher_predictions(store, teacher, torch.device("cpu"), progress=False)
    assert first.joints.shape == (CLIPS * ROWS, 15, 3)
    assert measure_quality(store, first).bone_deviation.shape == (CLIPS * ROWS,)
    monkeypatch.setattr(teacher.network, "forward", None)
    again = teacher_predictions(store, teacher, torch.device("cpu"), progress=False)
    assert torch.equal(first.joints, again.joints)
    assert len(list(store.folder.glob("predictions_*.npz"))) == 1


def test_without_a_teacher_the_lifted_joints_are_the_predictions(tmp_path: Path) -> None:
    store = build(tmp_path)
    predictions = teacher_predictions(store, TeacherNetwork(), torch.device("cpu"), progress=False)
    assert torch.equal(predictions.joints, torch.from_numpy(np.array(store["lifted"])))
    assert predictions.log_scales[0, 0].exp().item() == pytest.approx((0.002 / 2) ** 0.5)
    assert measure_quality(store, predictions).ray_pixels.max() < 1e-2


def config(store: SampleStore, **changed: Any) -> DistillConfig:
    settings = RunSettings(steps=2, batch=8, warmup_steps=1, accelerator="cpu", threads=1, log_every=1)
    # These people are heaps of joints: no body would agree with them.
    fusion = FusionSettings(steps=20, bone_weight=0)
    return DistillConfig(
        samples=store.folder, size="small", val_every_nth_clip=4, run=settings, fusion=fusion, **changed
    )


@pytest.fixture
def points_weights(tmp_path: Path) -> str:
    torch.manual_seed(0)
    path = tmp_path / "points.safetensors"
    record = ModelCard("points", {}, "itop15", "points", "nothing", "Apache-2.0")
    save_network(path, PointNetwork(POINTS), POINTS, record)
    return str(path)


@pytest.mark.usefixtures("small_sizes", "one_thread")
@pytest.mark.parametrize(
    "changed", [{}, {"student": "rgb", "label_fraction": 0.5}, {"lifting": True}, {"student": "points", "paint": True}]
)
def test_a_run_leaves_a_network_and_its_figures(store: SampleStore, tmp_path: Path, changed: dict[str, Any]) -> None:
    outcome = run(config(store, **changed), tmp_path / "run")
    name = changed.get("student", "depth")
    assert outcome.finished
    network, record = load_network(tmp_path / "run" / f"{name}.safetensors", name)
    assert isinstance(network, PointNetwork if name == "points" else AnchorNetwork)
    assert getattr(network.config, "local", 0) == (8 if changed.get("lifting") else 0)
    assert getattr(network.config, "paint", 0) == (17 if changed.get("paint") else 0)
    assert record.metrics["validation mpjpe_mm"] > 0
    figures = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert set(figures["passed_by_rule"]) == {
        "ray_pixels", "unsupported", "leg_asymmetry", "bone_deviation", "scale_quantile",
    }  # fmt: skip
    assert figures["validation"]["teacher_mpjpe_mm"] < 60


@pytest.mark.usefixtures("small_sizes", "one_thread")
def test_ground_truth_is_not_read_in_training(store: SampleStore, tmp_path: Path) -> None:
    hashes = []
    for name, samples in (("seen", store), ("blind", build(tmp_path / "store", blind=True))):
        run(config(samples, lifting=True), tmp_path / name)
        hashes.append(load_network(tmp_path / name / "depth.safetensors", "depth")[1].sha256)
    assert hashes[0] == hashes[1]


@pytest.mark.usefixtures("small_sizes", "one_thread")
def test_peers_learn_too(store: SampleStore, tmp_path: Path, points_weights: str) -> None:
    chosen = config(store, teacher=points_weights, peers={"points": points_weights})
    run(chosen, tmp_path / "run")
    before, _ = load_network(Path(points_weights), "points")
    after, _ = load_network(tmp_path / "run" / "points.safetensors", "points")
    assert not torch.equal(before.vote.weight, after.vote.weight)
    assert (tmp_path / "run" / "depth.safetensors").is_file()


@pytest.mark.usefixtures("small_sizes")
def test_it_begins_where_it_is_told_to(store: SampleStore, tmp_path: Path) -> None:
    torch.manual_seed(7)
    sizes = replace(SMALL, channels=3)
    given = AnchorNetwork(sizes)
    path = tmp_path / "rgb.safetensors"
    save_network(path, given, sizes, ModelCard("rgb", {}, "itop15", "windows", "order", "Apache-2.0"), half=False)
    settings = RunSettings(steps=1, batch=8, learning_rate=1e-12, weight_decay=0, accelerator="cpu", threads=1)
    begun = replace(config(store, student="rgb", init_weights=str(path)), run=settings)
    run(begun, tmp_path / "run")
    learned, _ = load_network(tmp_path / "run" / "rgb.safetensors", "rgb")
    assert torch.allclose(learned.stem[0].weight, given.stem[0].weight, atol=1e-3)


@pytest.mark.usefixtures("small_sizes")
def test_projected_ground_truth_is_no_weak_label(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="projected 3D ground truth"):
        run(config(build(tmp_path / "store", GROUND_TRUTH)), tmp_path / "run")


@pytest.mark.usefixtures("small_sizes")
@pytest.mark.parametrize(
    "wrong",
    [
        {"size": "huge"},
        {"paint": True},
        {"lifting": True, "student": "points"},
        {"peers": {"depth": "x"}},
        {"mutual_weight": -1.0},
        {"label_fraction": 2.0},
        {"ema_decay": 1.0},
    ],
)
def test_an_impossible_configuration_is_refused(store: SampleStore, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(config(store), **wrong)
