"""Where the files lie that are not Python: configuration, weights, the demo recording, RViz set-ups; and memory."""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

# Where files that are made at set-up are kept.


def cache_dir() -> Path:
    """The package's cache folder; it is not created.

    ``$UNIPOSE_CACHE``, else ``$XDG_CACHE_HOME/unipose_ros``, else ``~/.cache/unipose_ros``.

    Raises:
        OSError: there is no home folder, and none of the two is set.
    """
    own = os.environ.get("UNIPOSE_CACHE")
    shared = os.environ.get("XDG_CACHE_HOME")
    try:
        if own:
            return Path(own).expanduser()
        return (Path(shared).expanduser() if shared else Path.home() / ".cache") / "unipose_ros"
    except RuntimeError as error:
        raise OSError(f"no folder for the cache: {error}; set UNIPOSE_CACHE") from error


PACKAGE = "unipose_ros"
_HERE = Path(__file__)


class ResourceError(FileNotFoundError):
    """A file that belongs to the package is not there."""


def resource_roots() -> tuple[Path, ...]:
    """Folders that may hold ``config/``, ``weights/``, ``demo/`` and ``rviz/``, best first.

    The checkout comes before an installed copy, so an edited file counts without a new build.
    Then ``share/unipose_ros`` of every prefix above this file (colcon, apt, pip and ``pip
    --user`` differ only in how far up their prefix is), then that of the interpreter.
    """
    resolved = _HERE.resolve()  # a checkout or a symlink install may reach us through links
    prefixes = (*_HERE.absolute().parents, *resolved.parents, Path(sys.prefix))
    shares = (prefix / "share" / PACKAGE for prefix in prefixes)
    candidates = (resolved.parents[1], *shares)
    return tuple(dict.fromkeys(path for path in candidates if (path / "package.xml").is_file()))


def resource_path(*parts: str) -> Path:
    """A file or folder of the package, e.g. ``resource_path("config", "unipose.yaml")``.

    Raises:
        ResourceError: it is in none of the places; the message lists them.
    """
    roots = resource_roots()
    for root in roots:
        path = root.joinpath(*parts)
        if path.exists():
            return path
    searched = ", ".join(str(root) for root in roots) or f"any share/{PACKAGE} above {_HERE}"
    raise ResourceError(f"'{Path(*parts)}' is not in {searched}; install the package again or work in a full checkout")


# The version of the package; ``package.xml`` is the one place that states it.


def _read_version() -> str:
    """From ``package.xml``, which lies in a checkout as in every full installation.

    The installed metadata is asked second: beside a checkout it may be that of an older build.
    """
    try:
        stated = ElementTree.parse(resource_path("package.xml")).findtext("version")
    except ResourceError:
        return version(PACKAGE)
    return (stated or "").strip()


__version__ = _read_version()


#: Parameters of mallopt(3), by their numbers in <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def set_malloc_thresholds(size: int) -> None:
    """Have malloc map blocks of so many bytes and more for themselves, and keep no more than that at an arena's end.

    By default glibc raises both with the largest block that is freed, up to 32 MB and twice as much: after a 4K image,
    every thread keeps memory for the next one. A mapped block costs a page fault for each 4 KB whenever it is made, so
    sizes that come with every frame should lie below. Other C libraries manage in their own ways.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, size)
        mallopt(_M_TRIM_THRESHOLD, size)
