"""What the commands of training refuse; each text names what is wrong, and the remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# What goes wrong with data sets.

DAMAGED = "cannot be read, it is damaged or of another version"
COMPLETE = "check --root and that the data set is complete"
#: Characters of a reason that are shown.
_LONGEST_REASON = 300


class DataError(ValueError):
    """A data set cannot be read; the text names the file and the remedy."""


@contextmanager
def reading(
    path: Path,
    remedy: str = "download it again",
    what: str = DAMAGED,
    missing: str = COMPLETE,
    refusal: type[Exception] = DataError,
) -> Iterator[None]:
    """Whatever goes wrong in this block, which reads a file, is one error that names the file.

    Damaged files, and those of other versions, break readers in more ways than can be listed: wrong types in JSON,
    errors of decompression, of parsers, of array shapes, sizes beyond the memory. This is the one place for them.

    Args:
        path: of the file, or of the data set's folder.
        remedy: what to do about a file that cannot be read.
        what: is the matter with it.
        missing: what to do where it is not there.
        refusal: what is raised.

    Raises:
        DataError: with the reason, or ``refusal`` in its place; those of the block pass as they are.
    """
    try:
        yield
    except (DataError, refusal):
        raise
    except FileNotFoundError as error:
        raise refusal(f"{error.filename or path}: not found; {missing}") from None
    except Exception as error:
        raise refusal(f"{path}: {what} ({_reason(error)}); {remedy}") from error


def _reason(error: Exception) -> str:
    """One line of bearable length: some libraries quote what they could not read."""
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror
    else:
        text = str(error) if isinstance(error, ValueError) and str(error) else repr(error)
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}..."


# What goes wrong when something is evaluated.


class EvaluationError(ValueError):
    """Something given cannot be evaluated; the text names it and the remedy."""


# What goes wrong when people are synthesised.


class SyntheticError(ValueError):
    """Motion, clothes or a setting cannot be used; the text names it and the remedy."""


# What keeps an adaptation from going on.


class AdaptationError(RuntimeError):
    """An adaptation cannot be run; the text names the cause and the remedy."""


class DataRefusedError(AdaptationError):
    """A recording must not be trained on.

    Attributes:
        reason: identifier of the check that failed; see :mod:`unipose_training.adaptation.checks`.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason
