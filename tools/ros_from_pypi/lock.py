"""Write the lock files: what python.txt and ros.txt need, at the versions of constraints.txt, each with SHA-256.

Run it with ``make lock`` after a change of these files. ``make setup`` installs nothing that is not in a lock, or has
another hash. torch is left out, for a machine may bring a build of its own, and so is what torch's CUDA build alone
asks for.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent / "requirements"
LOCKS = {"python.txt": "python.lock.txt", "ros.txt": "ros.lock.txt"}
#: Packages that stay out of the locks.
UNLOCKED = re.compile(r"^(torch|triton|nvidia-\S+|cuda-\S+)==")
_HEAD = (
    "# Made from {source} and constraints.txt by `make lock`: every package with the SHA-256 of its files, but torch.\n"
)


def main() -> int:
    """Make both locks; 1 when uv finds no solution."""
    for source, target in LOCKS.items():
        with tempfile.TemporaryDirectory() as folder:
            found = Path(folder, "lock.txt")
            command = [
                sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.10",
                "--generate-hashes", "--no-annotate", "--no-header", "--output-file", str(found), source,
            ]  # fmt: skip
            status = subprocess.run(command, cwd=REQUIREMENTS, check=False).returncode
            if status:
                return status
            entries = split_entries(found.read_text())
        locked = [entry for entry in entries if not UNLOCKED.match(entry)]
        (REQUIREMENTS / target).write_text(_HEAD.format(source=source) + "".join(locked))
        print(f"{target}: {len(locked)} packages")
    return 0


def split_entries(text: str) -> list[str]:
    """A requirement and its hashes each; comments are left out."""
    entries: list[str] = []
    for line in text.splitlines(keepends=True):
        if line.startswith(" "):
            entries[-1] += line
        elif line.strip() and not line.startswith("#"):
            entries.append(line)
    return entries


if __name__ == "__main__":
    sys.exit(main())
