"""How many of our files a command enters: those in which a function is called, imports not counted.

    python benchmarks/files_entered.py crops BAG --keypoint-detector movenet --output samples
    python benchmarks/files_entered.py train weak_points samples=samples val_every_nth_clip=2 run.steps=4 run.batch=4

Prints each file with the number of its functions that were called, and how many files there are. With ``FILES=PATH``
in the environment the names are added to that file, so that ``sort -u PATH | wc -l`` counts several commands together.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType

from unipose_ros.cli.main import main

ROOT = Path(__file__).resolve().parents[1]
OURS = ("unipose_ros", "training")

entered: set[CodeType] = set()


def note(frame: FrameType, event: str, _: object) -> None:
    """A profile hook."""
    if event != "call" or frame.f_code in entered or frame.f_code.co_name == "<module>":
        return
    caller = frame.f_back
    while caller is not None:
        if caller.f_code.co_filename.startswith("<frozen importlib"):
            return
        caller = caller.f_back
    entered.add(frame.f_code)


def files() -> Counter[str]:
    """Functions that were called, by file of ours."""
    found: Counter[str] = Counter()
    for code in entered:
        path = Path(code.co_filename).resolve()
        if path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in OURS:
            found[str(path.relative_to(ROOT))] += 1
    return found


if __name__ == "__main__":
    threading.setprofile(note)
    sys.setprofile(note)
    try:
        status = main(sys.argv[1:])
    finally:
        sys.setprofile(None)
    found = files()
    print("\n".join(f"{count:4} {name}" for name, count in sorted(found.items())))
    print(f"{len(found)} files")
    if "FILES" in os.environ:
        with Path(os.environ["FILES"]).open("a", encoding="utf-8") as log:
            log.writelines(f"{name}\n" for name in found)
    sys.exit(status)
