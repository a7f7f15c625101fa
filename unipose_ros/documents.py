"""YAML and JSON that others wrote: whatever they hold, they are read, or refused with one kind of error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml


class DocumentError(ValueError):
    """A text is no YAML or JSON, or not what it should be; says why, not where."""


def read_yaml(path: Path) -> Any:
    """The content of a YAML file; ``None`` of an empty one.

    Raises:
        DocumentError: it cannot be read, or is no YAML.
    """
    try:
        return parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DocumentError(error.strerror or type(error).__name__) from error
    except UnicodeDecodeError as error:
        raise DocumentError(str(error)) from error


def parse_yaml(text: str) -> Any:
    """The content of a YAML text; errors as :func:`read_yaml`."""
    try:
        return yaml.safe_load(text)
    # ValueError for dates and numbers that are none, RecursionError for what is nested without end.
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        raise DocumentError(" ".join(str(error).split())) from error


def parse_json_object(text: str | bytes) -> dict[str, Any]:
    """The fields of a JSON object.

    Raises:
        DocumentError: it is no JSON, or something else than an object.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DocumentError(" ".join(str(error).split())) from error
    if not isinstance(found, dict):
        raise DocumentError(f"it is a JSON {type(found).__name__}, not an object")
    return found
