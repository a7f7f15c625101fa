from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_registry
import pytest

from unipose_ros.networks.movenet.download import DownloadError, _reason, download

CONTENTS = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENTS).hexdigest()


@pytest.fixture
def registry() -> Iterator[Any]:
    with fake_registry.serve(CONTENTS) as registry:
        yield registry


def test_plain(registry: Any, tmp_path: Path) -> None:
    path = download(registry.url, tmp_path / "new" / "file", SHA256, progress=False)
    assert path.read_bytes() == CONTENTS
    assert [each.name for each in path.parent.iterdir()] == ["file"]


def test_what_is_there_is_not_fetched(registry: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENTS)
    download(registry.url, tmp_path / "file", SHA256, progress=False)
    assert registry.asked == []


def test_broken_connections_are_continued(registry: Any, tmp_path: Path) -> None:
    registry.breaks = [1000, 500_000]
    download(registry.url, tmp_path / "file", SHA256, progress=False)
    assert registry.asked == [None, "bytes=1000-", "bytes=501000-"]
    assert (tmp_path / "file").read_bytes() == CONTENTS


def test_a_later_call_continues(registry: Any, tmp_path: Path) -> None:
    registry.breaks = [1000, 0, 0, 0, 0]
    with pytest.raises(DownloadError, match="run it again to continue"):
        download(registry.url, tmp_path / "file", SHA256, progress=False)
    assert not (tmp_path / "file").exists()
    registry.asked.clear()
    download(registry.url, tmp_path / "file", SHA256, progress=False)
    assert registry.asked == ["bytes=1000-"]


def test_a_server_that_cannot_continue(registry: Any, tmp_path: Path) -> None:
    registry.ranges, registry.breaks = False, [1000]
    assert download(registry.url, tmp_path / "file", SHA256, progress=False).read_bytes() == CONTENTS


@pytest.mark.parametrize("left", [b"x" * 1000, b"x" * len(CONTENTS), b"x" * (len(CONTENTS) + 5)])
def test_a_part_of_another_file_is_thrown_away(registry: Any, tmp_path: Path, left: bytes) -> None:
    (tmp_path / "file.part").write_bytes(left)
    assert download(registry.url, tmp_path / "file", SHA256, progress=False).read_bytes() == CONTENTS


def test_a_complete_part_is_recovered(registry: Any, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENTS)
    assert download(registry.url, tmp_path / "file", SHA256, progress=False).read_bytes() == CONTENTS


def test_wrong_checksum(registry: Any, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=f"file has sha256 {SHA256}, not 0000.*another file"):
        download(registry.url, tmp_path / "file", "0" * 64, progress=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (401, 1), (503, 5)])
def test_only_server_errors_are_tried_again(registry: Any, tmp_path: Path, status: int, requests: int) -> None:
    registry.status = status
    with pytest.raises(DownloadError, match=str(status)):
        download(registry.url, tmp_path / "file", SHA256, progress=False)
    assert len(registry.asked) == requests


def test_no_server(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="no complete download in 5 attempts"):
        download("http://127.0.0.1:9/file", tmp_path / "file", SHA256, progress=False)


def test_progress_bar(registry: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    download(registry.url, tmp_path / "file", SHA256)
    assert "100%" in capsys.readouterr().err


def test_the_reason_of_npm_begins_with_its_first_line() -> None:
    stack = "".join(f"npm ERR!     at a place of its own, number {number}\n" for number in range(50))
    reason = _reason(f"npm ERR! code ENOTFOUND\nnpm ERR! network request failed\n{stack}")
    assert reason.startswith("code ENOTFOUND network request failed")
    assert len(reason) < len(stack) / 4
