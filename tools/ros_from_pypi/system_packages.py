"""System libraries that wheels expect, and programs of other ecosystems."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys

from console import Console
from place import Place, SetupError
from steps import Missing

#: What open3d's wheel links to and does not carry, with the Debian and Ubuntu package.
OPEN3D_LIBRARIES = {
    "libusb-1.0.so.0": "libusb-1.0-0",
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libX11.so.6": "libx11-6",
    "libudev.so.1": "libudev1",
    "libidn2.so.0": "libidn2-0",
    "libgomp.so.1": "libgomp1",
}


def install_libraries(place: Place, console: Console) -> None:
    """Libraries for open3d, by apt where we may.

    Raises:
        Missing: some are absent and we may not install them.
    """
    absent = _absent_packages()
    if sys.platform != "linux" or not absent:
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        console.detail(f"apt-get install {' '.join(absent)}")
        _apt_install(place, absent)
    still_absent = _absent_packages()
    if still_absent:
        packages = " ".join(still_absent)
        raise Missing(f"libraries that open3d (synthetic recordings) needs: sudo apt install {packages}")


def _absent_packages() -> list[str]:
    return [package for library, package in OPEN3D_LIBRARIES.items() if not _loads(library)]


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _apt_install(place: Place, packages: list[str]) -> None:
    install = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (install, ["apt-get", "update"], install):  # a fresh container has no package lists yet
        try:
            place.run(command, environment=quiet)
        except SetupError:
            continue
        if command is install:
            return


def compile_loops(place: Place, console: Console) -> None:
    """Loops over numbers, for this processor and into the cache: otherwise a first start of the node would wait."""
    place.run([place.venv / "bin" / "python", "-m", "unipose_ros.compiled"])


def download_movenet(place: Place, console: Console) -> None:
    """Weights of the 2D network, converted into the cache; the command knows when they are there.

    Raises:
        Missing: they are not there and cannot be had.
    """
    try:
        place.run([place.venv / "bin" / "unipose", "download", "movenet", "--quiet"])
    except SetupError as error:
        consequence = "the modalities `lookup` and `rgb` do not work, and `make demo` shows `points` alone"
        if shutil.which("npm") is None:
            raise Missing(
                f"npm, with which MoveNet's weights are downloaded: {consequence}; "
                "install Node.js, then run `make setup` again"
            ) from error
        reason = str(error).strip().splitlines()[-1]
        raise Missing(f"MoveNet's weights: {consequence}; `make setup` tries again. {reason}") from error
