"""What goes wrong with data sets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Characters of a reason that are shown.
_LONGEST_REASON = 300


class DataError(ValueError):
    """A data set cannot be read; the text names the file and the remedy."""


@contextmanager
def reading(path: Path, remedy: str = "download it again") -> Iterator[None]:
    """Whatever goes wrong in this block, which reads a file, is a :class:`DataError` that names the file.

    Damaged files, and those of other versions, break readers in more ways than can be listed: wrong types in JSON,
    errors of decompression, of parsers, of array shapes, sizes beyond the memory. This is the one place for them.

    Args:
        path: of the file, or of the data set's folder.
        remedy: what to do about it.

    Raises:
        DataError: with the reason; those of the block pass as they are.
    """
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(
            f"{error.filename or path}: not found; check --root and that the data set is complete"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); {remedy}") from error
    except Exception as error:
        reason = str(error) if isinstance(error, ValueError) and str(error) else repr(error)
        text = f"{path}: cannot be read ({_short(reason)}); it is damaged or of another version, {remedy}"
        raise DataError(text) from error


def _short(reason: str) -> str:
    """One line of bearable length: some libraries quote what they could not read."""
    line = " ".join(reason.split())
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}..."
