"""Where everything lies: the checkout, the virtual environment in it, and how to run things there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

TOOL = Path(__file__).resolve().parent
#: A ROS installation or another environment that the shell has active would leak into the build.
FOREIGN_VARIABLES = (
    "PYTHONPATH",
    "PYTHONHOME",
    "AMENT_PREFIX_PATH",
    "CMAKE_PREFIX_PATH",
    "COLCON_PREFIX_PATH",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "_ROS_WHEELS_BOOTSTRAP_COMPLETE",
)
_LINES_SHOWN_OF_A_FAILURE = 15


class SetupError(Exception):
    """A step failed, although all it needs is there."""


@dataclass(frozen=True)
class Place:
    """The checkout and its virtual environment."""

    checkout: Path
    venv: Path

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.venv / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        """Where pip puts packages."""
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        return self.venv / "lib" / version / "site-packages"

    @property
    def environment(self) -> dict[str, str]:
        """The caller's environment without any other ROS or Python, with ours active."""
        kept = {name: value for name, value in os.environ.items() if name not in FOREIGN_VARIABLES}
        path = f"{self.venv / 'bin'}{os.pathsep}{kept.get('PATH', os.defpath)}"
        return kept | {"PATH": path, "VIRTUAL_ENV": str(self.venv), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}

    def run(
        self,
        command: Sequence[str | Path],
        shown: str | None = None,
        show: Callable[[str], None] = print,
        environment: dict[str, str] | None = None,
    ) -> str:
        """Run a command and return what it printed.

        Args:
            shown: lines that match this pattern are handed to ``show`` as they come.

        Raises:
            SetupError: the command cannot be started or fails; the text ends with its last lines.
        """
        words = [str(word) for word in command]
        lines: list[str] = []
        try:
            process = subprocess.Popen(
                words,
                cwd=self.checkout,
                env=self.environment | (environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        except OSError as error:
            raise SetupError(f"{words[0]}: {error}") from error
        with process:
            assert process.stdout is not None  # PIPE was asked for
            for line in process.stdout:
                lines.append(line)
                if shown and re.search(shown, line):
                    show(line.strip())
        if process.returncode:
            tail = "".join(lines[-_LINES_SHOWN_OF_A_FAILURE:])
            raise SetupError(f"'{' '.join(words[:4])} ...' ended with {process.returncode}:\n{tail}")
        return "".join(lines)
