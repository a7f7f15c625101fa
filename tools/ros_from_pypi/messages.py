"""Messages: ours, and tf2_msgs and hri_msgs, which have no wheels."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from console import Console
from place import TOOL, Place
from steps import Missing


def build_tf2_msgs(place: Place, console: Console) -> None:
    """``tf2_msgs/TFMessage``; same type hash as the real one, so real listeners understand it."""
    _build(place, TOOL / "tf2_msgs", "tf2_msgs", ())


def build_hri_msgs(place: Place, console: Console) -> None:
    """What the REP-155 bridge publishes."""
    _build(place, TOOL / "hri_msgs", "hri_msgs", ())


def build_messages(place: Place, console: Console) -> None:
    """The messages of this package; its Python is not installed, the checkout's is used."""
    _build(place, place.checkout, "unipose_ros", ["-DUNIPOSE_MESSAGES_ONLY=ON"])


def _build(place: Place, source: Path, name: str, options: Sequence[str]) -> None:
    _require_compilers()
    build = place.venv / "build" / name
    shutil.rmtree(build, ignore_errors=True)  # a cache made for another Python would be believed
    configure: list[str | Path] = [
        *("cmake", "-S", source, "-B", build, "-G", "Ninja"),
        "-DCMAKE_BUILD_TYPE=Release",
        f"-DCMAKE_PREFIX_PATH={place.venv}",
        f"-DCMAKE_INSTALL_PREFIX={place.venv}",
        f"-DPython3_EXECUTABLE={place.python}",
        "-DBUILD_TESTING=OFF",
        *options,
    ]
    ros = {"AMENT_PREFIX_PATH": str(place.venv)}
    place.run(configure, environment=ros)
    place.run(["cmake", "--build", build, "--target", "install"], environment=ros)


def _require_compilers() -> None:
    for variable, names in (("CC", ("cc", "gcc", "clang")), ("CXX", ("c++", "g++", "clang++"))):
        if not any(shutil.which(name) for name in (os.environ.get(variable, ""), *names) if name):
            raise Missing(
                "a C and C++ compiler, without which no messages can be built: nodes and `make demo` do not work; "
                "on Debian and Ubuntu: apt install build-essential"
            )
