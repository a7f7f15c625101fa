"""How a run is driven, whatever it teaches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

#: Marks a field of a configuration that does not change what is learned: a run may go on with another value.
FREE: dict[str, Any] = {"free": True}


@dataclass(frozen=True)
class RunSettings:
    """How a run is driven.

    Attributes:
        steps: batches of the whole run.
        batch: samples per step, over all processes together.
        seed: of everything random.
        optimiser: ``adamw``, or ``muon`` for the large matrices, which learn faster so.
        learning_rate: the highest one.
        matrix_rate: Muon's learning rate as a multiple of that.
        weight_decay: on matrices and filters only.
        warm_up_steps: steps in which the learning rate grows to its height.
        schedule: what follows: down to zero along a cosine, or no change.
        gradient_clip: the longest gradient; 0 for any.
        precision: of the arithmetic: 32 bits, or mixed with bfloat16 or float16 (GPU only).
        skips_in_row: so many batches in a row without a finite loss and gradient end the run.
        accelerator: what computes.
        devices: of each machine.
        nodes: machines.
        strategy: how several devices work together; ``auto`` is ``ddp`` for more than one.
        threads: CPU threads of each process; 0 leaves them to torch.
        workers: processes that read samples; 0 reads them between the steps.
        log_every, validate_every, checkpoint_every: steps; 0 validates at the end only.
        max_minutes: stop after so long, with a checkpoint to go on from; 0 for no limit.

    Raises:
        ValueError: a value is out of range.
    """

    steps: int = 10_000
    batch: int = 32
    seed: int = 0
    optimiser: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = 1e-3
    matrix_rate: float = 3.0
    weight_decay: float = 0.01
    warm_up_steps: int = 200
    schedule: Literal["cosine", "constant"] = "cosine"
    gradient_clip: float = 1.0
    precision: Literal["32", "bf16-mixed", "16-mixed"] = "32"
    skips_in_row: int = 20
    accelerator: Literal["auto", "cpu", "gpu"] = field(default="auto", metadata=FREE)
    devices: int = field(default=1, metadata=FREE)
    nodes: int = field(default=1, metadata=FREE)
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true"] = field(default="auto", metadata=FREE)
    threads: int = field(default=0, metadata=FREE)
    workers: int = field(default=0, metadata=FREE)
    log_every: int = field(default=20, metadata=FREE)
    validate_every: int = field(default=500, metadata=FREE)
    checkpoint_every: int = field(default=200, metadata=FREE)
    max_minutes: float = field(default=0.0, metadata=FREE)

    def __post_init__(self) -> None:
        positive = ("steps", "batch", "learning_rate", "matrix_rate", "skips_in_row", "devices", "nodes", "log_every")
        for name in (*positive, "checkpoint_every"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} = {getattr(self, name)}: must be positive")
        for name in ("seed", "weight_decay", "warm_up_steps", "gradient_clip", "threads", "workers", "max_minutes"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} = {getattr(self, name)}: must be at least 0")
        if self.validate_every < 0:
            raise ValueError(f"validate_every = {self.validate_every}: give steps, or 0 for the end only")
        if self.batch % (self.devices * self.nodes):
            raise ValueError(
                f"batch = {self.batch}: must be a multiple of devices x nodes = {self.devices * self.nodes}"
            )
