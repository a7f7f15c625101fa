"""Gives one surface its inputs, in a process with a bound on its memory; :mod:`fuzzing.runner` watches it."""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import random
import resource
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fuzzing.surface import Surface, memory_is_behind

MODULES = ("messages", "recordings", "data_sets", "settings", "commands")
CORPUS = Path(__file__).resolve().parents[2] / "data" / "fuzz_corpus"
_ATTEMPTS = 10
#: Bytes that one input may take.
MEMORY = 2 << 30


def surfaces() -> dict[str, type[Surface]]:
    """All by name; those of packages that are not installed are left out."""
    found: dict[str, type[Surface]] = {}
    for module in MODULES:
        for kind in importlib.import_module(f"fuzzing.{module}").SURFACES:
            found[kind.name] = kind
    return found


def make_surface(name: str, folder: Path) -> Surface:
    """One of :func:`surfaces`, or ``module:Class``."""
    module, _, kind = name.partition(":")
    made: Surface = (getattr(importlib.import_module(module), kind) if kind else surfaces()[name])(folder)
    return made


def cases(surface: Surface, seed: int, numbers: range) -> Iterator[tuple[int, bytes]]:
    """Inputs by their numbers: those below zero come from the corpus of what ever failed."""
    kept = sorted((CORPUS / surface.name).glob("*.bin"))
    for number in numbers:
        if number >= 0:
            yield number, _generate(surface, seed, number)
        elif -number <= len(kept):
            yield number, kept[-number - 1].read_bytes()


def _generate(surface: Surface, seed: int, number: int) -> bytes:
    """Some changes cannot be written down, as numbers of more digits than Python prints; others take their place."""
    rng = random.Random(f"{surface.name} {seed} {number}")
    for _ in range(_ATTEMPTS):
        try:
            return surface.generate(rng)
        except (ValueError, OverflowError):
            continue
    return surface.generate(rng)


def judge(surface: Surface, case: bytes) -> dict[str, str]:
    """Read an input: ``kind`` is accepted, refused, memory or traceback."""
    try:
        surface.read(case)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if memory_is_behind(error):
            return {"kind": "memory", **_described(error)}
        if isinstance(error, surface.refusals):
            return {"kind": "refused"}
        return {"kind": "traceback", **_described(error)}
    return {"kind": "accepted"}


def _described(error: BaseException) -> dict[str, str]:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "unipose" in frame.filename and "fuzzing" not in frame.filename] or frames
    where = f"{Path(ours[-1].filename).name}:{ours[-1].name}" if ours else ""
    return {"error": type(error).__name__, "where": where, "trace": "".join(traceback.format_exception(error))[-4000:]}


def main() -> None:
    """Say what begins and how it ended, a line of JSON each, on a pipe."""
    parser = argparse.ArgumentParser()
    for name in ("surface", "seed", "first", "last", "pipe", "failures"):
        parser.add_argument(f"--{name}", required=True, type=str if name in ("surface", "failures") else int)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    where = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # a disk takes longer than most readers
    with (
        os.fdopen(options.pipe, "w", buffering=1) as pipe,
        tempfile.TemporaryDirectory(prefix="fuzz_", dir=where) as folder,
    ):

        def say(**what: Any) -> None:
            pipe.write(json.dumps(what) + "\n")

        surface = make_surface(options.surface, Path(folder))
        failures = Path(options.failures)
        failures.mkdir(parents=True, exist_ok=True)
        current = os.open(failures / "current.bin", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        _bound_memory()
        say(ready=True)
        for number, case in cases(surface, options.seed, range(options.first, options.last)):
            os.pwrite(current, case, 0)
            os.ftruncate(current, len(case))
            pipe.write(f'{{"begin": {number}}}\n')
            before, began = _most_resident(), time.process_time()
            outcome = judge(surface, case)
            used, seconds = _most_resident() - before, time.process_time() - began
            if outcome["kind"] not in ("accepted", "refused"):
                (failures / f"{number}.bin").write_bytes(case)
            say(end=number, used_mb=used, seconds=round(seconds, 3), size=len(case), **outcome)
            if number % 50 == 0:
                gc.collect()
        surface.close()
        say(done=True)
    os._exit(0)


def _bound_memory() -> None:
    size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _most_resident() -> int:
    """Megabytes in memory, at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


if __name__ == "__main__":
    main()
