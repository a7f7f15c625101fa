"""Machine code from loops over numbers, by Numba where it is installed (``pip install unipose_ros[fast]``).

For what takes NumPy many calls on few numbers, or many passes over the same ones. Every such loop has a reference in
NumPy beside it, which does the same, is what runs without Numba, and what tests compare it with. Compiled functions
release Python's lock: searches in threads of their own do not hold up the frames.

What is compiled is kept for the next process, in a folder of its own for each state of the files that import this
module: Numba by itself looks at the file of a function alone, not at those of what it calls. Constants of a loop are
those of such files, or arguments.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, cast

from unipose_ros.files import describe_os_error, remove_made_folder
from unipose_ros.resources import cache_dir

try:
    import numba
    import numba.core.sigutils
except ImportError:  # absent, or for another NumPy
    numba = None

Function = TypeVar("Function", bound=Callable[..., Any])

#: ``UNIPOSE_COMPILED=0`` in the environment does without, to measure or to look for faults.
ENABLED = numba is not None and os.environ.get("UNIPOSE_COMPILED", "1") != "0"

_IMPORT = b"from unipose_ros.compiled import"
#: Folders of earlier states of the sources that are kept beside the present one, with it.
_KEPT = 4
_log = logging.getLogger(__name__)
#: As in NumPy, numbers are divided by zero without an exception.
_OPTIONS = {"nogil": True, "error_model": "numpy"}


def compiled(reference: Callable[..., Any] | None, *signatures: str) -> Callable[[Function], Function]:
    """Decorate a function of loops: it is compiled when its module is imported, for these types and no others.

    Since the types are fixed, no frame ever waits for the compiler.

    Args:
        reference: does the same in NumPy, and takes its place without Numba; ``None`` for what is done in another way
            then, by who looks at :data:`ENABLED`.
        signatures: as Numba writes types, with that of the result: ``f8(f4[:,::1],i8)`` takes an (N, M) float32 array
            without gaps and an int, and returns a float. Other arrays raise ``TypeError``. Arrays may be read-only,
            but for those of a function that returns nothing (``void``), which is there to write.
    """

    def build(function: Function) -> Function:
        return cast(Function, _machine_code(function, signatures) if ENABLED else reference or function)

    return build


def compiled_part() -> Callable[[Function], Function]:
    """Decorate what only compiled functions call: it is compiled with them."""

    def build(function: Function) -> Function:
        return cast(Function, numba.njit(_by_real_path(function), **_OPTIONS)) if ENABLED else function

    return build


def _machine_code(function: Callable[..., Any], signatures: tuple[str, ...]) -> Any:
    function = _by_real_path(function)
    folder, usual = _kept_in(), numba.config.CACHE_DIR
    if folder is None:
        return numba.njit([_reading(each) for each in signatures], **_OPTIONS)(function)
    try:
        numba.config.CACHE_DIR = str(folder)
        return numba.njit([_reading(each) for each in signatures], cache=True, **_OPTIONS)(function)
    finally:
        numba.config.CACHE_DIR = usual


def _by_real_path(function: Function) -> Function:
    """The same function: what is kept goes by the path of its file, which an installation may reach through a link."""
    code = function.__code__
    function.__code__ = code.replace(co_filename=str(Path(code.co_filename).resolve()))
    return function


def _reading(signature: str) -> Any:
    """The signature with arrays that are only read."""
    arguments, result = numba.core.sigutils.normalize_signature(signature)
    if result == numba.types.void:
        return signature
    return result(*(_read_only(each) for each in arguments))


def _read_only(kind: Any) -> Any:
    if isinstance(kind, numba.types.BaseTuple):
        return numba.types.Tuple([_read_only(each) for each in kind])
    return kind.copy(readonly=True) if isinstance(kind, numba.types.Array) else kind


def _sources() -> list[Path]:
    """The files of the package that have compiled loops, or parts of them, and this one."""
    return [path for path in sorted(Path(__file__).parent.rglob("*.py")) if _IMPORT in path.read_bytes()]


def compile_all() -> None:
    """Compile all that is not in the cache: ``python -m unipose_ros.compiled``, so that no first start has to."""
    package = Path(__file__).parent
    for path in _sources():
        import_module(".".join([package.name, *path.relative_to(package).with_suffix("").parts]))


@cache
def _kept_in() -> Path | None:
    """The folder for what is compiled from the sources as they are; ``None`` where none can be written."""
    state = sha256(b"".join(path.read_bytes() for path in _sources())).hexdigest()[:16]
    try:
        folder = cache_dir() / "numba" / state
        if not folder.is_dir():
            _log.warning("loops are compiled for this processor, which takes a while; the next start loads them")
            folder.mkdir(parents=True, exist_ok=True)
            earlier = sorted(folder.parent.iterdir(), key=lambda path: path.stat().st_mtime_ns)[:-_KEPT]
            for other in earlier:
                with suppress(OSError):  # another process did
                    remove_made_folder(other)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        _log.warning("loops are compiled anew at each start, for they cannot be kept: %s", describe_os_error(error))
        return None


if __name__ == "__main__":
    compile_all()
