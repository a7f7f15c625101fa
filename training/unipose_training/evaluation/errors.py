"""What goes wrong when something is evaluated."""

from __future__ import annotations


class EvaluationError(ValueError):
    """Something given cannot be evaluated; the text names it and the remedy."""
