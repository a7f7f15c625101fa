"""What a machine is, what else runs on it, and how fast it can compute and copy at most."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

_PACKAGES = ("numpy", "scipy", "opencv-python-headless", "numba", "onnxruntime", "openvino", "torch")
#: Side of the matrices that are multiplied, and bytes that are copied: more than any cache holds.
_MATRIX, _COPIED = 1536, 2**27
_REPETITIONS = 5
_TICKS = os.sysconf("SC_CLK_TCK")


def machine_facts() -> dict[str, Any]:
    """Processor, memory, load and versions, for the results' head."""
    facts: dict[str, Any] = {
        "processor": _from_proc("cpuinfo", "model name") or platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load": [round(value, 2) for value in os.getloadavg()],
        "waiting_percent": waiting_percent(),
        "system": f"{platform.system()} {platform.release()}",
        "python": sys.version.split()[0],
        "packages": {},
    }
    flags = (_from_proc("cpuinfo", "flags") or "").split()
    facts["instructions"] = [
        flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8") if flag in flags
    ]
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            facts["packages"][package] = version(package)
    return facts


def waiting_percent() -> float | None:
    """Percent of the last ten seconds in which some program waited for a core; ``None`` where Linux does not say."""
    with suppress(OSError, ValueError, IndexError):
        return float(Path("/proc/pressure/cpu").read_text().split()[1].partition("=")[2])
    return None


def _from_proc(name: str, key: str) -> str | None:
    with suppress(OSError):
        for line in Path("/proc", name).read_text().splitlines():
            field, _, value = line.partition(":")
            if field.strip() == key:
                return value.strip()
    return None


def ceilings(threads: int) -> dict[str, float]:
    """The most that this machine reaches: 10^9 operations a second in products of matrices, and 10^9 bytes copied."""
    with torch_threads(threads):
        a, b = torch.randn(_MATRIX, _MATRIX), torch.randn(_MATRIX, _MATRIX)
        product = torch.empty(_MATRIX, _MATRIX)
        seconds = _best(lambda: torch.mm(a, b, out=product))
        source, target = torch.ones(_COPIED // 4), torch.empty(_COPIED // 4)
        copying = _best(lambda: target.copy_(source))
    return {"gflops": round(2 * _MATRIX**3 / seconds / 1e9, 1), "gbytes": round(2 * _COPIED / copying / 1e9, 1)}


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Torch's threads within a block. More than are free wait for each other by spinning."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _best(call: Callable[[], object]) -> float:
    call()
    taken = []
    for _ in range(_REPETITIONS):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return min(taken)


def quantiles(values: list[float]) -> dict[str, float]:
    """Median and 95th percentile."""
    p50, p95 = np.percentile(values, [50, 95])
    return {"p50": round(float(p50), 2), "p95": round(float(p95), 2)}


def process_seconds(pid: int) -> float:
    """CPU time of a process and all of its threads.

    Raises:
        OSError: there is no such process.
    """
    # The command's name, in brackets, may hold blanks.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def process_mebibytes(pid: int) -> float:
    """Most memory that a process has had at once.

    Raises:
        OSError: there is no such process.
    """
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return round(int(line.split()[1]) / 1024, 1)
    return float("nan")
