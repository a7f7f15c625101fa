"""Stages of a long computation as folders: complete or absent, and made again only when what they depend on changes.

A stage is worked at in ``.NAME.partial`` and renamed to ``NAME`` at its end, with a manifest of its inputs, its result
and the checksums of its files. A run that was killed finds the partial folder and resumes in it; a partial folder of
other inputs is removed first.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unipose_ros.files import file_sha256, remove_made_folder, write_atomic
from unipose_training.errors import AdaptationError

MANIFEST = "stage.json"
_KEY = "inputs.json"


@dataclass(frozen=True)
class Stage:
    """A finished stage.

    Attributes:
        folder: of its files.
        key: SHA-256 of its inputs; what depends on the stage has it among its own.
        result: what it found, as JSON has it.
    """

    folder: Path
    key: str
    result: Mapping[str, Any]


def run_stage(root: Path, name: str, inputs: Mapping[str, Any], work: Callable[[Path], Mapping[str, Any]]) -> Stage:
    """Run a stage, or take the finished one with the same inputs.

    Args:
        root: folder of all stages; the caller has its lock.
        inputs: everything that the stage depends on, as JSON has it.
        work: fills a folder, which may hold what an earlier run of the same inputs left, and gives the result; numbers
            that are not finite become None.

    Raises:
        AdaptationError: the folder holds something else.
        OSError: a file cannot be written.
    """
    key = _digest(inputs)
    done, partial = root / name, root / f".{name}.partial"
    finished = read_stage(done)
    if finished is not None and finished.key == key:
        return finished
    if done.exists():
        _remove(done, MANIFEST)
    if partial.exists() and _key_of(partial) != key:
        _remove(partial, _KEY)
    partial.mkdir(parents=True, exist_ok=True)
    write_atomic(partial / _KEY, json.dumps({"key": key, "inputs": inputs}, sort_keys=True, indent=1))
    result = json.loads(json.dumps(without_nan(work(partial))))
    files = {
        path.relative_to(partial).as_posix(): file_sha256(path)
        for path in sorted(partial.rglob("*"))
        if path.is_file() and path.name not in (MANIFEST, _KEY)
    }
    manifest = {"key": key, "inputs": inputs, "result": result, "files": files}
    write_atomic(partial / MANIFEST, json.dumps(manifest, sort_keys=True, indent=1) + "\n")
    partial.rename(done)
    return Stage(done, key, result)


def without_nan(value: Any) -> Any:
    """The same, with None in the place of numbers that are not finite, which JSON does not have."""
    if isinstance(value, Mapping):
        return {str(key): without_nan(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_stage(folder: Path) -> Stage | None:
    """A finished stage; ``None`` where there is none, or its manifest cannot be read."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return Stage(folder, str(manifest["key"]), dict(manifest["result"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _digest(inputs: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _key_of(folder: Path) -> str:
    try:
        return str(json.loads((folder / _KEY).read_text(encoding="utf-8"))["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _remove(folder: Path, mark: str) -> None:
    """Remove a stage's folder, which is told by its mark."""
    if folder.is_symlink() or (any(folder.iterdir()) and not (folder / mark).is_file()):
        raise AdaptationError(f"{folder}: no stage of 'unipose adapt'; move it away, or name another --output")
    remove_made_folder(folder)
