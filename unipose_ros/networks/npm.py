"""The little that is needed of npm: where a package is, and the package itself."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from unipose_ros.networks.download import DownloadError

_VIEW_SECONDS = 120
_PACK_SECONDS = 3600


def tarball_address(package: str) -> str:
    """Address of ``name@version``'s tarball in the registry that npm is set to.

    Raises:
        DownloadError: npm is not installed, offline, or does not know the package.
    """
    answer = _npm("view", package, "dist.tarball", "--json", timeout=_VIEW_SECONDS)
    try:
        address = json.loads(answer)
    except ValueError:
        address = None
    if not isinstance(address, str):
        raise DownloadError(f"npm does not say where {package} is (it answered {answer[:200]!r}); check npm's registry")
    return address


def certificates() -> Path | None:
    """The certificate file npm is told to trust, if any."""
    value = _npm("config", "get", "cafile", timeout=_VIEW_SECONDS).strip()
    return Path(value) if value not in ("", "null", "undefined") else None


def pack(package: str, folder: Path) -> Path:
    """Have npm itself fetch a package's tarball: slower to repeat, but it knows its own credentials.

    Raises:
        DownloadError: npm is not installed, offline, or does not know the package.
    """
    folder.mkdir(parents=True, exist_ok=True)
    answer = _npm("pack", package, "--pack-destination", str(folder), "--silent", timeout=_PACK_SECONDS)
    name = answer.strip().splitlines()[-1] if answer.strip() else ""
    if not name or not (folder / name).is_file():
        raise DownloadError(f"npm pack {package} left no tarball (it answered {answer[:200]!r}); check npm's registry")
    return folder / name


def _npm(*arguments: str, timeout: float) -> str:
    program = shutil.which("npm")
    if program is None:
        raise DownloadError("npm is not installed; install it (apt install npm, or nodejs.org) and run this again")
    try:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        raise DownloadError(f"npm {arguments[0]} gave no answer in {timeout:.0f} s; check the network") from error
    if done.returncode:
        said = " ".join(done.stderr.split())[-300:]
        raise DownloadError(
            f"npm {arguments[0]} failed ({said}); check the network and npm's registry, and run it again"
        )
    return done.stdout
