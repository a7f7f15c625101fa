"""Downloads that survive a broken connection and are checked."""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from unipose_ros.networks.movenet_files import file_sha256
from unipose_ros.networks.weights import WeightsError

_BLOCK = 1 << 18
_ATTEMPTS = 5
_TIMEOUT_SECONDS = 30.0


class DownloadError(WeightsError):
    """A file could not be had, or is not the file it should be."""


def download(url: str, path: Path, sha256: str, *, certificates: Path | None = None, progress: bool = True) -> Path:
    """Fetch ``url`` to ``path`` unless it is there already.

    What has arrived is kept in ``<path>.part`` and continued by the next attempt or the next
    call. Proxies and certificates are taken from the environment, as Python's ``urllib`` and
    ``ssl`` do.

    Args:
        sha256: hexadecimal checksum that the file must have.
        certificates: further trusted certificates, PEM.
        progress: show a bar.

    Raises:
        DownloadError: no connection after several attempts, or another checksum.
    """
    if path.is_file() and file_sha256(path) == sha256:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    continued = part.is_file() and part.stat().st_size > 0
    _download_part(url, part, _trust(certificates), progress)
    if continued and file_sha256(part) != sha256:
        # What was left over may have belonged to another file; only a whole new one settles it.
        part.unlink()
        _download_part(url, part, _trust(certificates), progress)
    install_checked(part, path, sha256)
    return path


def install_checked(part: Path, path: Path, sha256: str) -> None:
    """Move a complete download to its place, or remove it if its checksum is wrong.

    Raises:
        DownloadError: the checksum is wrong.
    """
    found = file_sha256(part)
    if found != sha256:
        part.unlink()
        raise DownloadError(
            f"{path.name} has sha256 {found}, not {sha256}: the registry sent another file; "
            "try again, and check which registry npm is set to (npm config get registry)"
        )
    part.replace(path)


def _trust(certificates: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if certificates is not None and certificates.is_file():
        context.load_verify_locations(certificates)
    return context


def _download_part(url: str, part: Path, trust: ssl.SSLContext, progress: bool) -> None:
    """Bring ``part`` to full length, continuing after interruptions as long as there are attempts left."""
    reason: Exception | None = None
    for _ in range(_ATTEMPTS):
        try:
            _continue_part(url, part, trust, progress)
            return
        except urllib.error.HTTPError as error:
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.unlink(missing_ok=True)  # as long as the file or longer: start again
            elif error.code < http.HTTPStatus.INTERNAL_SERVER_ERROR:
                raise DownloadError(f"{url}: the server answers {error.code} {error.reason}") from error
            reason = error
        except (OSError, http.client.HTTPException) as error:
            reason = error
    raise DownloadError(f"{url}: no complete download in {_ATTEMPTS} attempts ({reason}); run it again to continue")


def _continue_part(url: str, part: Path, trust: ssl.SSLContext, progress: bool) -> None:
    start = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS, context=trust) as answer:
        if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
            start = 0  # the server does not continue
        with part.open("r+b" if start else "wb") as stream:
            stream.seek(start)
            _copy(answer, stream, start, part.name.removesuffix(".part"), progress)


def _copy(answer: Any, stream: Any, start: int, name: str, progress: bool) -> None:
    """Copy the body; a body shorter than announced is an error."""
    from tqdm import tqdm

    left = int(answer.headers["Content-Length"]) if "Content-Length" in answer.headers else None
    total = None if left is None else start + left
    with tqdm(total=total, initial=start, desc=name, unit="B", unit_scale=True, disable=not progress) as bar:
        while block := answer.read(_BLOCK):
            stream.write(block)
            bar.update(len(block))
        if total is not None and stream.tell() < total:
            raise ConnectionError(f"the connection ended after {stream.tell()} of {total} bytes")
