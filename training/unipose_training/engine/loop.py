"""The loop: batch, loss, gradient, step; with logs, checkpoints and an end at any time."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm
from typing_extensions import Self

from unipose_ros.backends import computes_in_bfloat16
from unipose_training.engine.config import RunSettings, TrainingError
from unipose_training.engine.data_loading import StepBatches, seed_everything
from unipose_training.engine.run_folder import RunLog, load_checkpoint, save_checkpoint
from unipose_training.engine.step import Stepper, StepResult, Task, learning_rate_at, make_optimizer, set_learning_rate

# What became of a run.


EndedBy = Literal["steps", "time", "signal"]


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Attributes:
        step: steps done, those of earlier pieces included.
        steps: steps of the whole run.
        skipped: batches without a finite loss and gradient.
        seconds: of training, those of earlier pieces included.
        figures: of the last validation; empty without one.
        ended_by: ``steps``: it is finished; ``time``: ``max_minutes`` are over; ``signal``: it was asked to stop.
        signal: number of the signal that asked; 0 for none.
        first: this is the first of the run's processes, which is the one that writes.
    """

    step: int
    steps: int
    skipped: int
    seconds: float
    figures: Mapping[str, float]
    ended_by: EndedBy
    first: bool = True
    signal: int = 0

    @property
    def finished(self) -> bool:
        """Nothing is left to be done."""
        return self.step >= self.steps

    @property
    def to_be_saved(self) -> bool:
        """The run is finished, and this process writes what it trained."""
        return self.finished and self.first

    @property
    def has_weights(self) -> bool:
        """:attr:`to_be_saved`, or the run's minutes are over: a run that may only last so long has its weights then."""
        return self.first and (self.finished or self.ended_by == "time")


# When a run stops before its last step: its time is over, or it was asked to.


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopCondition:
    """Watches the clock and, while entered, the signals that ask for an end.

    The second signal of a kind does what it always did, for those who cannot wait for the step.

    Args:
        minutes: the limit; 0 for none.

    Attributes:
        signal: number of the signal that asked; 0 before one has.
    """

    def __init__(self, minutes: float) -> None:
        self._end = time.monotonic() + 60 * minutes if minutes else float("inf")
        self.signal = 0
        self._before: dict[signal.Signals, Any] = {}

    @property
    def reason(self) -> Literal["time", "signal"] | None:
        """Why the run is to stop after this step, or None."""
        if self.signal:
            return "signal"
        return "time" if time.monotonic() >= self._end else None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # Python allows no other to do this
            self._before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        signal.signal(number, self._before[signal.Signals(number)])


# Means of what happened since the last entry in the logs.


class MetricAverager:
    """Collects the results of steps."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._steps = 0
        self._began = time.monotonic()

    def add(self, result: StepResult) -> None:
        """Add a step; one that changed nothing counts for the speed only."""
        self._steps += 1
        if result.good:
            for name, value in {**result.terms, "gradient_norm": result.gradient_norm}.items():
                self._sums[name] = self._sums.get(name, 0.0) + value
                self._counts[name] = self._counts.get(name, 0) + 1

    def take(self) -> tuple[dict[str, float], float]:
        """Mean of each term, and steps per second; then begin anew."""
        means = {name: total / self._counts[name] for name, total in self._sums.items()}
        speed = self._steps / max(time.monotonic() - self._began, 1e-9)
        self._begin()
        return means, speed


# A task's figures over all samples of a loader.


@torch.no_grad()
def validate(
    fabric: Fabric, task: Task, loader: DataLoader[Any], cancelled: Callable[[], bool] = lambda: False
) -> dict[str, float]:
    """Mean of each figure over the samples that have it; NaN when none has.

    The first process does all of it, the others wait.

    Args:
        cancelled: called before each batch; once it is true there are no figures.
    """
    figures: dict[str, float] = {}
    if fabric.is_global_zero:
        task.eval()
        figures = _means(fabric, task, loader, cancelled)
        task.train()
    fabric.barrier()
    return figures


def _means(fabric: Fabric, task: Task, loader: DataLoader[Any], cancelled: Callable[[], bool]) -> dict[str, float]:
    found: dict[str, list[Tensor]] = defaultdict(list)
    for batch in loader:
        if cancelled():
            return {}
        with fabric.autocast():
            figures = task.validation_metrics(fabric.to_device(batch))
        for name, values in figures.items():
            found[name].append(values.detach().double().flatten().cpu())
    return {name: float(torch.cat(values).nanmean()) for name, values in found.items()}


_log = logging.getLogger(__name__)


def train(
    task: Task, training: DataLoader[Any], validation: DataLoader[Any] | None, settings: RunSettings, output: Path
) -> Outcome:
    """Train a task until its last step, the end of its time, or a signal.

    ``output`` gets ``checkpoint.pt``, ``metrics.csv`` and ``tensorboard/``. When it holds a checkpoint
    the run resumes from there, and ends with the weights that it would have had in one piece (on the
    CPU bit by bit).

    A batch whose loss or gradient is not finite changes nothing; it is counted and logged.

    Args:
        training: from :func:`unipose_training.engine.data_loading.training_loader`.
        validation: read as a whole every ``validate_every`` steps and at the end.

    Raises:
        TrainingError: the device is not there, the checkpoint does not fit, or too many batches in
            a row were not finite.
    """
    if not isinstance(training.batch_sampler, StepBatches):
        raise TrainingError("training: its batches cannot go on after a break; make it with training_loader(...)")
    with _threads(settings.threads), StopCondition(settings.max_minutes) as stopping:
        run = _Run(_launch(settings), task, settings, output)
        return run.go(training, training.batch_sampler, validation, stopping)


class _Run:
    """A run, or a piece of one, in this process."""

    def __init__(self, fabric: Fabric, task: Task, settings: RunSettings, output: Path) -> None:
        self._fabric, self._task, self._settings, self._output = fabric, task, settings, output
        output.mkdir(parents=True, exist_ok=True)
        self._optimizer = make_optimizer(task, settings)
        self._stepper = Stepper(fabric, task, self._optimizer, settings)
        self._progress = load_checkpoint(output, fabric, task, self._optimizer)
        self._averager = MetricAverager()
        self._quiet = not fabric.is_global_zero

    def go(
        self,
        training: DataLoader[Any],
        batches: StepBatches,
        validation: DataLoader[Any] | None,
        stopping: StopCondition,
    ) -> Outcome:
        """Take all steps that are left, or those until the run is to stop."""
        progress, settings = self._progress, self._settings
        if progress.step >= settings.steps:
            return self._outcome("steps", 0)
        batches.begin(progress.step, self._fabric.global_rank, self._fabric.world_size)
        reason: EndedBy | None = None
        self._task.train()
        with nullcontext() if self._quiet else closing(RunLog(self._output, progress.step)) as log, self._bar() as bar:
            for batch in training:
                self._step(batch)
                # The first process decides for all: their clocks differ.
                reason = "steps" if progress.step == settings.steps else self._fabric.broadcast(stopping.reason)
                self._keep(log, bar, validation, reason, stopping)
                if reason is not None:
                    break
        return self._outcome(reason or "steps", stopping.signal if reason == "signal" else 0)

    def _step(self, batch: Any) -> None:
        progress, settings = self._progress, self._settings
        began = time.monotonic()
        seed_everything(settings.seed, 2, progress.step, self._fabric.global_rank)
        set_learning_rate(self._optimizer, learning_rate_at(progress.step, settings))
        result = self._stepper.step(self._fabric.to_device(batch), progress.step)
        progress.step += 1
        progress.seconds += time.monotonic() - began
        self._averager.add(result)
        self._count(result)

    def _count(self, result: StepResult) -> None:
        """Keep count of the batches that were not finite; too many in a row end the run."""
        progress = self._progress
        progress.in_row = 0 if result.good else progress.in_row + 1
        if result.good:
            return
        progress.skipped += 1
        failure = f"step {progress.step - 1}: {result}"
        if progress.in_row >= self._settings.max_consecutive_nonfinite:
            raise TrainingError(
                f"{failure}; so were {progress.in_row} batches in a row. Lower the learning rate, or check the samples"
            )
        if progress.skipped.bit_count() == 1:  # the 1st, 2nd, 4th, 8th ...: logged, but no flood
            _log.warning("%s; the batch is left out, the %d. of this run", failure, progress.skipped)

    def _keep(
        self,
        log: RunLog | None,
        bar: tqdm[Any],
        validation: DataLoader[Any] | None,
        reason: EndedBy | None,
        stopping: StopCondition,
    ) -> None:
        """Write what is due after a step; before an end, all."""
        bar.update()
        settings = self._settings
        if self._due(settings.log_every) or reason:
            self._write(log, bar)
        if validation is not None and (self._due(settings.validate_every) or reason in ("steps", "time")):
            # A signal does not wait for figures that the run could do without; the next step ends the run.
            figures = validate(self._fabric, self._task, validation, lambda: reason is None and stopping.signal != 0)
            if figures or not log:
                self._progress.figures = figures
            if figures and log:
                log.write(self._progress.step, "validation", figures)
        if self._due(settings.checkpoint_every) or reason:
            save_checkpoint(self._output, self._fabric, self._task, self._optimizer, self._progress)

    def _due(self, every: int) -> bool:
        return every > 0 and self._progress.step % every == 0

    def _write(self, log: RunLog | None, bar: tqdm[Any]) -> None:
        """The figures of the steps since the last entry; the losses are those of the first process."""
        step, settings = self._progress.step, self._settings
        means, speed = self._averager.take()
        if log is None:
            return
        log.write(step, "training", means)
        rate = learning_rate_at(step - 1, settings)
        run = {"learning_rate": rate, "samples_per_second": speed * settings.batch, "skipped": self._progress.skipped}
        log.write(step, "run", run)
        loss = f"{means.get('loss', float('nan')):.4g}"
        bar.set_postfix(loss=loss, refresh=False)
        if bar.disable:  # no terminal: lines instead
            _log.info("step %d of %d: loss %s, %.1f samples/s", step, settings.steps, loss, speed * settings.batch)

    def _bar(self) -> tqdm[Any]:
        # disable=None: no bar where no one looks, in a file or a pipe.
        steps, done = self._settings.steps, self._progress.step
        return tqdm(total=steps, initial=done, desc="training", unit="step", disable=True if self._quiet else None)

    def _outcome(self, ended_by: EndedBy, by_signal: int) -> Outcome:
        progress = self._progress
        return Outcome(
            progress.step, self._settings.steps, progress.skipped, progress.seconds, progress.figures, ended_by,
            first=self._fabric.is_global_zero, signal=by_signal,
        )  # fmt: skip


def _launch(settings: RunSettings) -> Fabric:
    def made(precision: Any) -> Fabric:
        return Fabric(
            accelerator=settings.accelerator,
            devices=settings.devices,
            num_nodes=settings.nodes,
            strategy=settings.strategy,
            precision=precision,
        )

    try:
        fabric = made("32-true" if settings.precision == "32" else settings.precision)
        if settings.precision == "bf16-mixed" and fabric.device.type == "cpu" and not computes_in_bfloat16():
            # Without such instructions torch emulates them: products of matrices take 50 times as long as in 32 bits.
            _log.warning("precision = bf16-mixed: this CPU does not compute in bfloat16; 32 bits are used")
            fabric = made("32-true")
        fabric.launch()
    except (MisconfigurationException, RuntimeError, ValueError) as error:
        raise TrainingError(
            f"accelerator = {settings.accelerator}, devices = {settings.devices}, precision = {settings.precision}: "
            f"this machine cannot do that ({error})"
        ) from error
    if settings.precision == "16-mixed" and fabric.device.type == "cpu":
        raise TrainingError("precision = 16-mixed: a CPU has no such arithmetic; use 32 or bf16-mixed")
    return fabric


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    yield
    torch.set_num_threads(before)
