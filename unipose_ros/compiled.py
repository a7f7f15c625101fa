"""Machine code from loops over numbers, by Numba where it is installed (``pip install unipose_ros[fast]``).

For what takes NumPy many calls on few numbers, or many passes over the same ones. Every such loop has a reference in
NumPy beside it, which does the same, is what runs without Numba, and what tests compare it with. Compiled functions
release Python's lock: searches in threads of their own do not hold up the frames.

Numba compiles anew when the file of a function has changed, and looks at no other: a loop calls functions and uses
constants of its own file alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

try:
    import numba
except ImportError:  # absent, or for another NumPy
    numba = None

Function = TypeVar("Function", bound=Callable[..., Any])

#: ``UNIPOSE_COMPILED=0`` in the environment does without, to measure or to look for faults.
ENABLED = numba is not None and os.environ.get("UNIPOSE_COMPILED", "1") != "0"


#: As in NumPy, numbers are divided by zero without an exception.
_OPTIONS = {"nogil": True, "error_model": "numpy"}


def compiled(reference: Callable[..., Any] | None, *signatures: str) -> Callable[[Function], Function]:
    """Decorate a function of loops: it is compiled when its module is imported, for these types and no others.

    What is compiled is kept beside the source or, where that cannot be written, in the user's cache, and only loaded
    by the next process. Since the types are fixed, no frame ever waits for the compiler.

    Args:
        reference: does the same in NumPy, and takes its place without Numba; ``None`` for what is done in another way
            then, by who looks at :data:`ENABLED`.
        signatures: as Numba writes types, with that of the result: ``f8(f4[:,::1],i8)`` takes an (N, M) float32 array
            without gaps and an int, and returns a float. Other arrays raise ``TypeError``.
    """

    def build(function: Function) -> Function:
        return cast(Function, _machine_code(function, signatures) if ENABLED else reference or function)

    return build


def compiled_part() -> Callable[[Function], Function]:
    """Decorate what only compiled functions of the same file call: it is compiled with them."""

    def build(function: Function) -> Function:
        return cast(Function, numba.njit(function, **_OPTIONS)) if ENABLED else function

    return build


def _machine_code(function: Callable[..., Any], signatures: tuple[str, ...]) -> Any:
    try:
        return numba.njit(list(signatures), cache=True, **_OPTIONS)(function)
    except RuntimeError:  # no folder can be written: each process compiles anew
        return numba.njit(list(signatures), cache=False, **_OPTIONS)(function)
