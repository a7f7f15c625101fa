"""What goes wrong with data sets."""

from __future__ import annotations


class DataError(ValueError):
    """A data set cannot be read; the text names the file and the remedy."""
