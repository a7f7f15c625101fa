from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from unipose_training.engine import loop
from unipose_training.engine.config import RunSettings, TrainingError
from unipose_training.engine.data_loading import training_loader
from unipose_training.engine.loop import train
from unipose_training.engine.run_folder import CHECKPOINT, METRICS, read_metrics
from unipose_training.engine.step import Task

TrainFunction = Callable[..., Any]


def weights(task: nn.Module) -> dict[str, torch.Tensor]:
    return task.state_dict()


def assert_same(one: nn.Module, other: nn.Module) -> None:
    for name, value in weights(one).items():
        assert torch.equal(value, weights(other)[name]), name


def values(folder: Path, split: str, name: str) -> dict[int, float]:
    return {e.step: e.value for e in read_metrics(folder / METRICS) if (e.split, e.name) == (split, name)}


def test_it_learns(add_up: TrainFunction, tmp_path: Path) -> None:
    outcome, _ = add_up(tmp_path, steps=160, batch=8)
    assert outcome.finished
    assert outcome.ended_by == "steps"
    loss = values(tmp_path, "training", "loss")
    assert loss[160] < 0.7 * loss[4]
    assert outcome.figures["error"] < 0.5
    assert values(tmp_path, "validation", "error")[160] == pytest.approx(outcome.figures["error"], rel=1e-5)


def test_the_same_seed_gives_the_same_weights_and_another_others(add_up: TrainFunction, tmp_path: Path) -> None:
    _, one = add_up(tmp_path / "one")
    torch.rand(7)  # what was drawn before does not matter
    _, same = add_up(tmp_path / "same")
    _, other = add_up(tmp_path / "other", seed=1)
    assert_same(one, same)
    assert not torch.equal(one.network[0].weight, other.network[0].weight)


@pytest.mark.parametrize("stop_at", [3, 8, 19])
def test_a_killed_run_goes_on_to_the_weights_of_an_uninterrupted_one(
    add_up: TrainFunction, tmp_path: Path, stop_at: int
) -> None:
    _, whole = add_up(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        add_up(tmp_path / "broken", stop_at=stop_at)
    outcome, resumed = add_up(tmp_path / "broken")
    assert outcome.finished
    assert_same(whole, resumed)
    assert values(tmp_path / "broken", "training", "loss").keys() == {4, 8, 12, 16, 20, 24}


def test_workers_and_validation_change_nothing(add_up: TrainFunction, tmp_path: Path) -> None:
    _, plain = add_up(tmp_path / "plain")
    _, validated = add_up(tmp_path / "validated", workers=1, validate_every=7, log_every=9)
    assert_same(plain, validated)


def test_a_run_in_pieces_of_time_equals_one_in_one_piece(add_up: TrainFunction, tmp_path: Path) -> None:
    _, whole = add_up(tmp_path / "whole", steps=6)
    for step in range(1, 6):
        outcome, _ = add_up(tmp_path / "pieces", steps=6, max_minutes=1e-9)
        assert (outcome.step, outcome.finished, outcome.ended_by) == (step, False, "time")
    outcome, task = add_up(tmp_path / "pieces", steps=6, max_minutes=1e-9)
    assert outcome.finished
    assert_same(whole, task)


def test_a_finished_run_is_left_as_it_is(add_up: TrainFunction, tmp_path: Path) -> None:
    first, trained = add_up(tmp_path)
    before = (tmp_path / METRICS).read_bytes()
    again, task = add_up(tmp_path)
    assert again == first
    assert_same(trained, task)
    assert (tmp_path / METRICS).read_bytes() == before


def test_a_signal_ends_the_run_after_the_step(tmp_path: Path) -> None:
    class AsksToStop(Task):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def training_loss(self, batch: Any, step: int) -> Any:
            if step == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            return self.weight.sum(), {}

    before = signal.getsignal(signal.SIGTERM)
    settings = RunSettings(steps=9, batch=1, accelerator="cpu", threads=1)
    outcome = train(AsksToStop(), training_loader(TensorDataset(torch.zeros(3)), settings), None, settings, tmp_path)
    assert (outcome.step, outcome.ended_by, outcome.signal) == (3, "signal", signal.SIGTERM)
    assert (tmp_path / CHECKPOINT).is_file()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_does_not_wait_for_a_validation_that_is_not_the_last(tmp_path: Path) -> None:
    class IsAskedToStop(Task):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))
            self.validated = 0

        def training_loss(self, batch: Any, step: int) -> Any:
            return self.weight.sum(), {}

        def validation_metrics(self, batch: Any) -> Any:
            self.validated += 1
            os.kill(os.getpid(), signal.SIGTERM)
            return {"error": torch.ones(1)}

    settings = RunSettings(steps=9, batch=1, accelerator="cpu", threads=1, validate_every=2)
    task, validation = IsAskedToStop(), DataLoader(TensorDataset(torch.zeros(50)))
    outcome = train(task, training_loader(TensorDataset(torch.zeros(3)), settings), validation, settings, tmp_path)
    assert (outcome.step, outcome.ended_by, outcome.figures, task.validated) == (3, "signal", {}, 1)


def test_broken_batches_change_nothing_and_are_counted(
    add_up: TrainFunction, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outcome, task = add_up(tmp_path, broken=frozenset({3}))
    assert outcome.skipped == values(tmp_path, "run", "skipped")[24] >= 2
    assert all(torch.isfinite(value).all() for value in weights(task).values())
    assert all(value == value for value in values(tmp_path, "training", "loss").values())
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "distance = nan" in warnings[0].getMessage()


def test_broken_batches_alone_leave_the_weights_as_they_were(add_up: TrainFunction, tmp_path: Path) -> None:
    _, untouched = add_up(tmp_path / "one", steps=1, broken=frozenset(range(30)))
    _, after_more = add_up(tmp_path / "more", steps=9, broken=frozenset(range(30)))
    assert_same(untouched, after_more)


def test_too_many_broken_batches_in_a_row_end_the_run(add_up: TrainFunction, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"step 4: not finite: loss = nan, distance = nan; so were 5 batches"):
        add_up(tmp_path, broken=frozenset(range(30)), max_consecutive_nonfinite=5)


def test_an_infinite_gradient_of_a_finite_loss_is_left_out(tmp_path: Path) -> None:
    class Root(Task):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def training_loss(self, batch: Any, step: int) -> Any:
            return self.weight.sqrt().sum(), {}

    settings = RunSettings(steps=2, batch=1, accelerator="cpu", threads=1)
    task = Root()
    outcome = train(task, training_loader(TensorDataset(torch.zeros(3)), settings), None, settings, tmp_path)
    assert outcome.skipped == 2
    assert task.weight.item() == 0


def test_the_gradient_is_clipped(add_up: TrainFunction, tmp_path: Path) -> None:
    _, free = add_up(tmp_path / "free", gradient_clip=0, steps=3)
    _, clipped = add_up(tmp_path / "clipped", gradient_clip=1e-12, weight_decay=0, steps=3)

    def moved(task: nn.Module) -> float:
        return max(float((new - weights(start)[name]).abs().max()) for name, new in weights(task.network[0]).items())

    start = type(clipped)().network[0]
    assert moved(clipped) < 1e-4 < moved(free)


@pytest.mark.parametrize(("computes", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_bfloat16_where_the_cpu_computes_in_it_and_targets_are_not_rounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, computes: bool, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(loop, "computes_in_bfloat16", lambda: computes)
    seen = []

    class Watches(Task):
        def __init__(self) -> None:
            super().__init__()
            self.network = nn.Linear(1, 1)

        def training_loss(self, batch: Any, step: int) -> Any:
            seen.append((batch[0].dtype, self.network(batch[0][:, None]).dtype))
            return self.network(batch[0][:, None]).sum(), {}

    settings = RunSettings(steps=1, batch=1, accelerator="cpu", threads=1, precision="bf16-mixed")
    train(Watches(), training_loader(TensorDataset(torch.ones(1)), settings), None, settings, tmp_path)
    assert seen == [(torch.float32, dtype)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param(
            {"accelerator": "gpu"},
            "accelerator = gpu",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
        ({"precision": "16-mixed"}, "precision = 16-mixed"),
    ],
)
def test_what_the_machine_cannot_do_is_refused(
    add_up: TrainFunction, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        add_up(tmp_path, **settings)


@pytest.mark.parametrize("contents", [b"", b"nonsense", None])
def test_a_damaged_checkpoint_is_refused(add_up: TrainFunction, tmp_path: Path, contents: bytes | None) -> None:
    add_up(tmp_path, steps=1)
    path = tmp_path / CHECKPOINT
    path.write_bytes(path.read_bytes()[:-300] if contents is None else contents)
    with pytest.raises(TrainingError, match="damaged"):
        add_up(tmp_path, steps=2)


def test_the_checkpoint_of_another_task_is_refused(add_up: TrainFunction, tmp_path: Path) -> None:
    add_up(tmp_path, steps=1)

    class Other(Task):
        def __init__(self) -> None:
            super().__init__()
            self.network = nn.Linear(1, 1)

    settings = RunSettings(steps=2, batch=1, accelerator="cpu", threads=1)
    with pytest.raises(TrainingError, match="of another task"):
        train(Other(), training_loader(TensorDataset(torch.ones(1)), settings), None, settings, tmp_path)


def test_loaders_that_cannot_go_on_are_refused(add_up: TrainFunction, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="training_loader"):
        train(Task(), DataLoader(TensorDataset(torch.ones(1))), None, RunSettings(), tmp_path)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("precision", ["32", "bf16-mixed", "16-mixed"])
def test_it_learns_on_a_gpu_and_goes_on(add_up: TrainFunction, tmp_path: Path, precision: str) -> None:
    settings = {"accelerator": "gpu", "precision": precision, "learning_rate": 1e-2}
    add_up(tmp_path, steps=200, max_minutes=1e-9, **settings)
    outcome, _ = add_up(tmp_path, steps=200, **settings)
    assert outcome.finished
    assert outcome.figures["error"] < 0.5
