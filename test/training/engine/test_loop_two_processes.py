from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from unipose_training.engine.run_folder import CHECKPOINT

SCRIPT = """
import sys
from pathlib import Path
import torch
from torch import nn
from torch.utils.data import TensorDataset
from unipose_training.engine.data_loading import training_loader, validation_loader
from unipose_training.engine.config import RunSettings
from unipose_training.engine.step import Task
from unipose_training.engine.loop import train

class Line(Task):
    def __init__(self):
        super().__init__()
        self.line = nn.Linear(2, 1)
        nn.init.zeros_(self.line.weight)
        nn.init.zeros_(self.line.bias)
    def training_loss(self, batch, step):
        loss = ((self.line(batch[0])[:, 0] - batch[0].sum(1)) ** 2).mean()
        return loss, {}
    def validation_metrics(self, batch):
        return {"error": (self.line(batch[0])[:, 0] - batch[0].sum(1)).abs()}

numbers = torch.randn(12, 2, generator=torch.Generator().manual_seed(0))
numbers[3] = torch.nan if sys.argv[3] == "broken" else 0
settings = RunSettings(
    steps=8, batch=4, accelerator="cpu", devices=int(sys.argv[2]), threads=1, warmup_steps=0, learning_rate=0.1,
    log_every=2, checkpoint_every=3,
)
samples = TensorDataset(numbers)
checked = validation_loader(TensorDataset(torch.ones(2, 2)), settings)
outcome = train(Line(), training_loader(samples, settings), checked, settings, Path(sys.argv[1]))
print("skipped", outcome.skipped)
print("to be saved", outcome.to_be_saved)
"""


def run(folder: Path, processes: int, samples: str) -> tuple[dict[str, torch.Tensor], str]:
    script = folder / "script.py"
    script.write_text(SCRIPT)
    output = folder / f"{processes}"
    command = [sys.executable, str(script), str(output), str(processes), samples]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=240, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    return torch.load(output / CHECKPOINT, weights_only=True)["task"], done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("samples", ["whole", "broken"])
def test_two_processes_learn_what_one_learns(tmp_path: Path, samples: str) -> None:
    one, _ = run(tmp_path, 1, samples)
    two, log = run(tmp_path, 2, samples)
    for name, value in one.items():
        assert torch.allclose(value, two[name], atol=1e-5), name
    assert ("skipped 0" in log) == (samples == "whole")
    assert log.count("to be saved True") == log.count("to be saved False") == 1
