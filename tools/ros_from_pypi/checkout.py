"""Make the checkout importable in the environment, and stand-ins for ROS packages that have no wheel."""

from __future__ import annotations

from pathlib import Path

from console import Console
from place import TOOL, Place

STANDINS = TOOL / "standins"
IMPORT_NAMES = {"unipose_ros": "unipose_ros", "unipose_training": "training/unipose_training"}
_COMMAND = """\
#!{python}
import sys

from unipose_ros.cli.main import main

if __name__ == "__main__":  # worker processes import this file again
    sys.exit(main())
"""
_FIND_ABSENT = """\
import importlib.util, sys
sys.path = [entry for entry in sys.path if entry != sys.argv[1]]
print(*[name for name in sys.argv[2:] if importlib.util.find_spec(name) is None])
"""


def link_checkout(place: Place, console: Console) -> None:
    """Put the checkout under its import names at the front of ``sys.path``.

    In front, so that an edited file counts: ``unipose_ros.__path__`` extends to the installed
    messages, and the first folder on the path wins.
    """
    source = place.venv / "src"
    for name, folder in IMPORT_NAMES.items():
        _link(source / name, place.checkout / folder)
    path_file = place.site_packages / "unipose_checkout.pth"
    # A plain line would be appended; what starts with "import" is executed.
    path_file.write_text(f"import sys; sys.path.insert(0, {str(source)!r})\n{place.venv / 'standins'}\n")


def link_standins(place: Place, console: Console) -> None:
    """Only where the real package is absent, and last on ``sys.path``: a real one always wins."""
    folder = place.venv / "standins"
    names = sorted(path.name for path in STANDINS.iterdir() if (path / "__init__.py").is_file())
    absent = place.run([place.python, "-I", "-c", _FIND_ABSENT, folder, *names]).split()
    for name in names:
        if name in absent:
            _link(folder / name, STANDINS / name)
        else:
            (folder / name).unlink(missing_ok=True)


def install_command(place: Place, console: Console) -> None:
    """``.venv/bin/unipose``, written again when it is another one; a running command's workers may be reading it."""
    command, text = place.venv / "bin" / "unipose", _COMMAND.format(python=place.python)
    if not command.is_file() or command.read_text() != text:
        command.parent.mkdir(parents=True, exist_ok=True)
        command.write_text(text)
    command.chmod(0o755)


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and link.readlink() == target:
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target)
