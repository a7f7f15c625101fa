"""What goes wrong when training."""

from __future__ import annotations


class TrainingError(RuntimeError):
    """A run cannot begin or go on; the text names the cause and the remedy."""


class ConfigError(TrainingError):
    """A configuration is wrong; the text names file, key, value and what is allowed."""
