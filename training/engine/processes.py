"""Several processes may train together, each running the same command."""

from __future__ import annotations

from lightning_fabric.utilities.rank_zero import rank_zero_only


def is_first_process() -> bool:
    """Whether this process is the one that speaks and writes for all."""
    return int(getattr(rank_zero_only, "rank", 0)) == 0
