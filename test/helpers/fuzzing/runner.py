"""Watches workers: hangs and crashes are found from outside, and the rest goes on without them."""

from __future__ import annotations

import json
import os
import selectors
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Seconds of computing that one input may take, and how much longer by the clock where the machine is busy.
LIMIT_S = 20.0
_PATIENCE = 15.0
#: Kinds of outcomes that must not be.
FINDINGS = ("traceback", "memory", "hang", "crash")


@dataclass
class Result:
    """What came of one surface.

    Attributes:
        counts: inputs by outcome: accepted, refused, and those of :data:`FINDINGS`.
        found: by kind and place: an example's traceback, how often, and its file.
        seconds, slowest_s: of all inputs together, of the slowest.
        most_mb: by which an input made the worker larger than it had ever been; no more than 2 GB can be had.
    """

    surface: str
    counts: Counter[str] = field(default_factory=Counter)
    found: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: float = 0.0
    slowest_s: float = 0.0
    most_mb: int = 0

    @property
    def inputs(self) -> int:
        """How many were read."""
        return sum(self.counts.values())

    @property
    def bad(self) -> int:
        """How many must not be."""
        return sum(self.counts[kind] for kind in FINDINGS)


class Worker:
    """A process that reads inputs of one surface from a number on."""

    def __init__(self, surface: str, seed: int, first: int, last: int, output: Path) -> None:
        mine, theirs = os.pipe()
        words = ["--surface", surface, "--seed", str(seed), "--first", str(first), "--last", str(last)]
        self.log = (output / "worker.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fuzzing.worker", *words, "--pipe", str(theirs), "--failures", str(output)],
            pass_fds=(theirs,), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=_environment(),
        )  # fmt: skip
        os.close(theirs)
        self._pipe = mine
        self._rest = b""
        self._selector = selectors.DefaultSelector()
        self._selector.register(mine, selectors.EVENT_READ)

    def heard(self, timeout: float) -> list[dict[str, Any]] | None:
        """What the worker has reported; ``None`` when it has ended."""
        if not self._selector.select(timeout):
            return []
        data = os.read(self._pipe, 1 << 16)
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def computed(self) -> float:
        """Seconds that it has computed so far."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> int:
        """Kill it if it is still there; returns its exit status."""
        if self.process.poll() is None:
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
        status = self.process.wait()
        self._selector.close()
        os.close(self._pipe)
        self.log.close()
        return status


def _environment() -> dict[str, str]:
    here = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH", "")]))
    return {"OMP_NUM_THREADS": "1", "OPENCV_LOG_LEVEL": "OFF", **os.environ, "PYTHONPATH": path}


def run(
    surface: str,
    inputs: int,
    seed: int,
    output: Path,
    limit_s: float = LIMIT_S,
    kept: int = 0,
    budget_s: float = float("inf"),
) -> Result:
    """Give a surface its inputs, whatever happens to the process that reads them.

    Args:
        output: a folder for what was found.
        kept: inputs of the corpus, which come first.
        budget_s: seconds after which the rest of the inputs is left out.

    Raises:
        RuntimeError: the worker does not even start.
    """
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    result, number, began = Result(surface), -kept, time.monotonic()
    while number < inputs and time.monotonic() - began < budget_s:
        number = _run_some(result, number, inputs, seed, output, limit_s, began + budget_s)
    result.seconds = round(time.monotonic() - began, 1)
    (output / "current.bin").unlink(missing_ok=True)
    return result


def _run_some(result: Result, number: int, inputs: int, seed: int, output: Path, limit_s: float, until: float) -> int:
    """Until the worker ends; returns the number to go on with."""
    worker = Worker(result.surface, seed, number, inputs, output)
    ready, current = False, None
    since = computed = 0.0
    while True:
        heard = worker.heard(1.0)
        if heard is None:
            break
        for report in heard:
            ready = ready or "ready" in report
            if "begin" in report:
                current, since, computed = report["begin"], time.monotonic(), worker.computed()
            elif "end" in report:
                _count(result, report, output)
                number, current = report["end"] + 1, None
                if time.monotonic() > until:
                    worker.process.kill()
                    worker.end()
                    return inputs
            elif "done" in report:
                number = inputs
        late = current is not None and time.monotonic() - since > limit_s
        if late and (worker.computed() - computed > limit_s or time.monotonic() - since > _PATIENCE * limit_s):
            worker.process.kill()
            worker.end()
            _count_dead(result, int(current or 0), "hang", f"more than {limit_s:g} s", output)
            return int(current or 0) + 1
    status = worker.end()
    if current is not None:
        _count_dead(result, int(current), "crash", f"exit status {status}", output)
        return int(current) + 1
    if not ready or number < inputs:
        raise RuntimeError(f"{result.surface}: no input {number} could be made; see {output / 'worker.log'}")
    return number


def _count_dead(result: Result, number: int, kind: str, where: str, output: Path) -> None:
    """Of an input that its worker did not survive."""
    (output / "current.bin").rename(output / f"{number}.bin")
    _count(result, {"kind": kind, "where": where, "end": number}, output)


def _count(result: Result, report: dict[str, Any], output: Path) -> None:
    kind = report["kind"]
    result.counts[kind] += 1
    result.slowest_s = max(result.slowest_s, report.get("seconds", 0.0))
    result.most_mb = max(result.most_mb, report.get("used_mb", 0))
    if kind not in FINDINGS:
        return
    key = f"{kind} {report.get('error', '')} {report.get('where', '')}".strip()
    file = output / f"{report['end']}.bin"
    known = result.found.setdefault(key, {"count": 0, "size": 1 << 60, "file": ""})
    known["count"] += 1
    size = file.stat().st_size
    if size < known["size"]:  # the smallest of each kind is kept
        if known["file"]:
            (output / known["file"]).unlink()
        known |= {"size": size, "trace": report.get("trace", ""), "number": report["end"], "file": file.name}
    else:
        file.unlink()
