"""What goes wrong when people are synthesised."""

from __future__ import annotations


class SyntheticError(ValueError):
    """Motion, clothes or a setting cannot be used; the text names it and the remedy."""
