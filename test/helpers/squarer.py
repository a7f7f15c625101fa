"""What workers of other processes do in tests of how jobs are shared out."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import cv2

from unipose_ros.networks.weights import WeightsError


class Squarer:
    """A worker's function; the job 13 cannot be done, and 99 ends its process."""

    def __init__(self, folder: Path | None = None, seconds: float = 0.0) -> None:
        self._folder, self._seconds = folder, seconds

    def __call__(self, job: int) -> tuple[int, int]:
        """Its square, and the process that found it."""
        if self._folder is not None:
            (self._folder / str(job)).touch()
        if job == 13:
            raise WeightsError("13 is damaged")
        if job == 99:
            os._exit(9)
        time.sleep(self._seconds if job == 0 else 0)
        return job**2, os.getpid()


def fails() -> Squarer:
    raise WeightsError("no worker can be made")


def threads() -> Any:
    import torch

    return lambda job: (cv2.getNumThreads(), torch.get_num_threads())
