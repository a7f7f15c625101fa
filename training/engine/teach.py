"""The loop: batch, loss, gradient, step; with logs, checkpoints and an end at any time."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch.utils.data import DataLoader
from tqdm import tqdm

from unipose_training.engine.batches import StepBatches
from unipose_training.engine.checkpoint import load_checkpoint, save_checkpoint
from unipose_training.engine.errors import TrainingError
from unipose_training.engine.log import RunLog
from unipose_training.engine.optimiser import learning_rate_at, make_optimiser, set_learning_rate
from unipose_training.engine.outcome import EndedBy, Outcome
from unipose_training.engine.seeds import seed_everything
from unipose_training.engine.settings import RunSettings
from unipose_training.engine.step import Stepper, StepResult
from unipose_training.engine.stopping import Stopping
from unipose_training.engine.tally import Tally
from unipose_training.engine.task import Task
from unipose_training.engine.validation import validate

_log = logging.getLogger(__name__)


def teach(
    task: Task, training: DataLoader[Any], validation: DataLoader[Any] | None, settings: RunSettings, output: Path
) -> Outcome:
    """Teach a task until its last step, the end of its time, or a signal.

    ``output`` gets ``checkpoint.pt``, ``metrics.csv`` and ``tensorboard/``. When it holds a checkpoint
    the run goes on from there, and ends with the weights that it would have had in one piece (on the
    CPU bit by bit).

    A batch whose loss or gradient is not finite changes nothing; it is counted and logged.

    Args:
        training: from :func:`unipose_training.engine.batches.training_loader`.
        validation: read as a whole every ``validate_every`` steps and at the end.

    Raises:
        TrainingError: the device is not there, the checkpoint does not fit, or too many batches in
            a row were not finite.
    """
    if not isinstance(training.batch_sampler, StepBatches):
        raise TrainingError("training: its batches cannot go on after a break; make it with training_loader(...)")
    with _threads(settings.threads), Stopping(settings.max_minutes) as stopping:
        run = _Run(_launch(settings), task, settings, output)
        return run.go(training, training.batch_sampler, validation, stopping)


class _Run:
    """A run, or a piece of one, in this process."""

    def __init__(self, fabric: Fabric, task: Task, settings: RunSettings, output: Path) -> None:
        self._fabric, self._task, self._settings, self._output = fabric, task, settings, output
        output.mkdir(parents=True, exist_ok=True)
        self._optimiser = make_optimiser(task, settings)
        self._stepper = Stepper(fabric, task, self._optimiser, settings)
        self._progress = load_checkpoint(output, fabric, task, self._optimiser)
        self._tally = Tally()
        self._quiet = not fabric.is_global_zero

    def go(
        self, training: DataLoader[Any], batches: StepBatches, validation: DataLoader[Any] | None, stopping: Stopping
    ) -> Outcome:
        """Take all steps that are left, or those until the run is to stop."""
        progress, settings = self._progress, self._settings
        if progress.step >= settings.steps:
            return self._outcome("steps")
        batches.begin(progress.step, self._fabric.global_rank, self._fabric.world_size)
        reason: EndedBy | None = None
        self._task.train()
        with nullcontext() if self._quiet else closing(RunLog(self._output, progress.step)) as log, self._bar() as bar:
            for batch in training:
                self._step(batch)
                # The first process decides for all: their clocks differ.
                reason = "steps" if progress.step == settings.steps else self._fabric.broadcast(stopping.reason)
                self._keep(log, bar, validation, reason)
                if reason is not None:
                    break
        return self._outcome(reason or "steps")

    def _step(self, batch: Any) -> None:
        progress, settings = self._progress, self._settings
        began = time.monotonic()
        seed_everything(settings.seed, 2, progress.step, self._fabric.global_rank)
        set_learning_rate(self._optimiser, learning_rate_at(progress.step, settings))
        result = self._stepper.step(self._fabric.to_device(batch), progress.step)
        progress.step += 1
        progress.seconds += time.monotonic() - began
        self._tally.add(result)
        self._count(result)

    def _count(self, result: StepResult) -> None:
        """Keep count of the batches that were not finite; too many in a row end the run."""
        progress = self._progress
        progress.in_row = 0 if result.good else progress.in_row + 1
        if result.good:
            return
        progress.skipped += 1
        said = f"step {progress.step - 1}: {result}"
        if progress.in_row >= self._settings.skips_in_row:
            raise TrainingError(
                f"{said}; so were {progress.in_row} batches in a row. Lower the learning rate, or look at the samples"
            )
        if progress.skipped.bit_count() == 1:  # the 1st, 2nd, 4th, 8th ...: said, but no flood
            _log.warning("%s; the batch is left out, the %d. of this run", said, progress.skipped)

    def _keep(
        self, log: RunLog | None, bar: tqdm[Any], validation: DataLoader[Any] | None, reason: EndedBy | None
    ) -> None:
        """Write what is due after a step; before an end, all."""
        bar.update()
        settings = self._settings
        if self._due(settings.log_every) or reason:
            self._write(log, bar)
        if validation is not None and (self._due(settings.validate_every) or reason in ("steps", "time")):
            self._progress.figures = validate(self._fabric, self._task, validation)
            if log:
                log.write(self._progress.step, "validation", self._progress.figures)
        if self._due(settings.checkpoint_every) or reason:
            save_checkpoint(self._output, self._fabric, self._task, self._optimiser, self._progress)

    def _due(self, every: int) -> bool:
        return every > 0 and self._progress.step % every == 0

    def _write(self, log: RunLog | None, bar: tqdm[Any]) -> None:
        """The figures of the steps since the last entry; the losses are those of the first process."""
        step, settings = self._progress.step, self._settings
        means, speed = self._tally.take()
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
        # disable=None: no bar where nobody looks, in a file or a pipe.
        steps, done = self._settings.steps, self._progress.step
        return tqdm(total=steps, initial=done, desc="teaching", unit="step", disable=True if self._quiet else None)

    def _outcome(self, ended_by: EndedBy) -> Outcome:
        progress = self._progress
        return Outcome(
            progress.step, self._settings.steps, progress.skipped, progress.seconds, progress.figures, ended_by,
            first=self._fabric.is_global_zero,
        )  # fmt: skip


def _launch(settings: RunSettings) -> Fabric:
    precision: Any = "32-true" if settings.precision == "32" else settings.precision
    try:
        fabric = Fabric(
            accelerator=settings.accelerator,
            devices=settings.devices,
            num_nodes=settings.nodes,
            strategy=settings.strategy,
            precision=precision,
        )
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
