"""The folder of a run belongs to one configuration."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from unipose_training.engine.checkpoint import CHECKPOINT
from unipose_training.engine.configuration import as_mapping, to_yaml
from unipose_training.engine.errors import TrainingError

CONFIG = "config.yaml"


def claim(output: Path, config: Any, changed: bool = False) -> None:
    """Make the folder of a run and write ``config.yaml`` into it; every recipe begins with this.

    Fields marked :data:`unipose_training.engine.settings.FREE` may differ from those that the run
    began with.

    Args:
        config: the recipe's dataclass.
        changed: go on with another configuration all the same.

    Raises:
        TrainingError: the folder cannot be made, or holds a run of another configuration.
    """
    path = output / CONFIG
    try:
        output.mkdir(parents=True, exist_ok=True)
        if path.is_file() and not changed and any(output.rglob(CHECKPOINT)):
            _refuse_changes(path, config)
        path.write_text(to_yaml(config), encoding="utf-8")
    except OSError as error:
        raise TrainingError(f"--output {output}: cannot be used ({error.strerror}); name another folder") from error


def _refuse_changes(path: Path, config: Any) -> None:
    before = dict(_leaves(_read(path)))
    now, free = dict(_leaves(as_mapping(config))), set(_free(config))
    differing = [key for key in sorted(before.keys() | now.keys()) if before.get(key) != now.get(key)]
    if changes := [f"{key} was {before.get(key)!r}, is {now.get(key)!r}" for key in differing if key not in free]:
        raise TrainingError(
            f"{path.parent} holds a run of another configuration: {'; '.join(changes[:4])}; "
            "name another --output, or go on all the same with --changed"
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        values = None
    return values if isinstance(values, dict) else {}


def _leaves(values: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{place}{key}.")
        else:
            yield f"{place}{key}", value


def _free(config: Any, place: str = "") -> Iterator[str]:
    """Dotted names of the fields that may change."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from _free(value, f"{place}{field.name}.")
        elif field.metadata.get("free"):
            yield f"{place}{field.name}"
