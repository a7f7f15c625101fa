"""What a command says when it cannot go on: one line, and the exit status 1."""

from __future__ import annotations

import sys

from unipose_ros.files import describe_os_error


def refuse(command: str, error: Exception) -> int:
    """Say why a command ends.

    Args:
        command: as typed, e.g. ``unipose demo``.

    Returns:
        The exit status 1.

    Raises:
        BrokenPipeError: that is what it was; no one listens any more.
    """
    if isinstance(error, BrokenPipeError):
        raise error
    print(f"{command}: {describe(error)}", file=sys.stderr)
    return 1


def describe(error: Exception) -> str:
    """The text of an error, with the remedy where the operating system has none."""
    if isinstance(error, OSError):
        return describe_os_error(error)
    if isinstance(error, MemoryError):
        return f"out of memory ({error or 'no size is known'}); end other programs, or give it less at a time"
    text = str(error)
    if text.startswith("Caught ") and "DataLoader worker" in text:  # torch puts the worker's traceback into the text
        return text.strip().splitlines()[-1].partition(": ")[2]
    return text
