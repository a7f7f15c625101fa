"""Where files that are made at set-up are kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """The package's cache folder; it is not created.

    ``$UNIPOSE_CACHE``, else ``$XDG_CACHE_HOME/unipose_ros``, else ``~/.cache/unipose_ros``.
    """
    own = os.environ.get("UNIPOSE_CACHE")
    if own:
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared).expanduser() if shared else Path.home() / ".cache") / "unipose_ros"
