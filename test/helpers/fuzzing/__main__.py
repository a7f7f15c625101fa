"""Gives everything that is read inputs that are wrong in many ways, and counts what must not be.

    make fuzz                                     10,000 inputs a surface (FUZZ_INPUTS for another number)
    FUZZ_SECONDS=60 make fuzz                     as many as there is time for
    python -m fuzzing --surface weights itop      these alone (with test/helpers in PYTHONPATH)
    python -m fuzzing --reproduce FILE --surface itop

An input must be read, or refused with the reader's own error. Tracebacks of other kinds, crashes, more than 20 s of
computing and more than 2 GB are findings; each is left in the output folder. All inputs follow from the seed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from fuzzing.runner import FINDINGS, Result, run
from fuzzing.worker import CORPUS, judge, make_surface, surfaces


def main() -> int:
    """Returns 1 when there are findings."""
    parser = argparse.ArgumentParser(
        "fuzzing", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = surfaces()
    parser.add_argument("--surface", nargs="*", choices=sorted(known), default=list(known), help="default: all")
    parser.add_argument("--inputs", type=int, default=int(os.environ.get("FUZZ_INPUTS", "10000")))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("FUZZ_SEED", "0")))
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("FUZZ_SECONDS", "inf")), help="a surface")
    parser.add_argument("--output", type=Path, default=Path("fuzz_output"))
    parser.add_argument("--reproduce", type=Path, metavar="FILE", help="read this input of the one surface")
    options = parser.parse_args()
    if options.reproduce:
        return _reproduce(options.surface[0], options.reproduce)
    results = []
    for name in options.surface:
        kept = len(list((CORPUS / name).glob("*.bin")))
        kind = known[name]
        result = run(
            f"{kind.__module__}:{kind.__name__}",
            options.inputs,
            options.seed,
            options.output / name,
            kept=kept,
            budget_s=options.seconds,
        )
        result.surface = name
        results.append(result)
        print(_line(result), flush=True)
        for key, what in result.found.items():
            print(f"    {what['count']} x {key}: {options.output / name / what['file']}", flush=True)
        _write(options.output, results, {name: known[name].about for name in options.surface}, options.seed)
    bad = sum(result.bad for result in results)
    print(f"{sum(result.inputs for result in results)} inputs, {bad} findings; {options.output / 'summary.json'}")
    return 1 if bad else 0


def _line(result: Result) -> str:
    counts = ", ".join(f"{result.counts[kind]} {kind}" for kind in ("accepted", "refused", *FINDINGS))
    return (
        f"{result.surface}: {result.inputs} inputs, {counts}; slowest {result.slowest_s:.1f} s, most "
        f"{result.most_mb} MB, {result.seconds:.0f} s"
    )


def _write(folder: Path, results: list[Result], about: dict[str, str], seed: int) -> None:
    """``summary.json`` and a table."""
    record = {"seed": seed, "surfaces": [{**vars(result), "counts": dict(result.counts)} for result in results]}
    (folder / "summary.json").write_text(json.dumps(record, indent=2))
    head = (
        "| surface | what is read | inputs | read | refused | tracebacks | over 2 GB | hangs | crashes |\n" + "|---" * 9
    )
    rows = [
        f"| `{r.surface}` | {about[r.surface]} | {r.inputs} | {r.counts['accepted']} | {r.counts['refused']} | "
        + " | ".join(str(r.counts[kind]) for kind in FINDINGS)
        + " |"
        for r in results
    ]
    (folder / "summary.md").write_text("\n".join([head + "|", *rows, ""]))


def _reproduce(name: str, case: Path) -> int:
    with tempfile.TemporaryDirectory() as folder:
        outcome = judge(make_surface(name, Path(folder)), case.read_bytes())
    print(outcome.pop("trace", ""), outcome)
    return 1 if outcome["kind"] in FINDINGS else 0


if __name__ == "__main__":
    sys.exit(main())
