"""What goes wrong with recordings."""

from __future__ import annotations


class RecordingError(ValueError):
    """A recording cannot be read or written; the text names the file, the topic and the remedy."""
